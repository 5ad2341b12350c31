//! `forward BUFFER`: what is stored and read again right behind goes from one statement to the other, and not through memory.
//!
//! ```text
//! scratch s: i8[4, 8]
//! for p in 0..4 { for n in 0..8 {
//!   reduce a: i32 over k in 0..16 { init { … } update { … } finish { s[p, n] = ssat a {bits = 8, asr = 3} } }
//!   y[p, n] = ssat add(sext(r[p, n]), sext(s[p, n])) {bits = 8, asr = 0}
//! } }
//! => forward s
//! for p in 0..4 { for n in 0..8 {
//!   reduce a: i32 over k in 0..16 { init { … } update { … } finish {
//!     s_value: i32 = ssat a {bits = 8, asr = 3}
//!     y[p, n] = ssat add(sext(r[p, n]), s_value) {bits = 8, asr = 0}
//!   } }
//! } }
//! ```
//!
//! What stands behind a reduction that stores the buffer at its end moves to that end, so that the reduction is all there is in
//! its loops, as other steps want it. Where what is stored may not fit the elements of the buffer, its upper bits are made what a load would
//! give. The buffer is gone afterwards.
//!
//! Legal for scratch of which every element that is read was stored before by a statement of the same block, or at the end of a reduction there, under
//! the same index, with no other store to the buffer between.

use ir::diag::Diagnostic;
use ir::loops::{Access, Buffer, BufferId, Expr, LocalId, Nest, Prim, Role, Stmt};
use ir::ty::Ty;

use super::edit::{Extents, blocks_mut, fresh_local, fresh_name, stores_to, visit_loads, visit_locals};
use super::footprint::{Read, reads, replace_reads};
use super::remove_buffer::remove_buffer;
use super::step::StepDef;
use crate::network::view::looks_up;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "forward",
    usage: "forward BUFFER",
    summary: "Pass on what is stored and read again right behind, without memory",
    run: |nest, args| {
        args.at_most(1)?;
        let buffer = args.buffer(nest, 0)?;
        forward(nest, buffer)
    },
};

/// Elements that a value of 32 bits holds.
const ELEMENTS: &[Ty] = &[Ty::I8, Ty::U8, Ty::I16, Ty::U16, Ty::I32];

/// Takes a scratch buffer away: who reads it gets what was stored.
pub fn forward(nest: &mut Nest, buffer: BufferId) -> Result<(), Diagnostic> {
    let Buffer { name, role, elem, .. } = nest.buffers[buffer.idx()].clone();
    let cannot = |reason: &str| Diagnostic::new(format!("cannot forward `{name}`: {reason}"));
    if !ELEMENTS.contains(&elem) {
        return Err(
            cannot(&format!("its elements are `{elem}`")).help("legal for bytes, halfwords and `i32`")
        );
    }
    if role != Role::Scratch {
        return Err(
            cannot("others see it").help("legal for scratch, as `join` makes of a tensor between two layers")
        );
    }
    let mut body = std::mem::take(&mut nest.body);
    forward_in(nest, buffer, &mut body);
    let is_read = is_read(&mut body, buffer);
    nest.body = body;
    if is_read {
        return Err(cannot("some of its elements are read where they have not just been stored")
            .help("fuse the loops that store them with those that read them, before other steps"));
    }
    remove_stores(&mut nest.body, buffer);
    remove_buffer(nest, buffer);
    Ok(())
}

/// Passes on what the statements of a block store.
fn forward_in(nest: &mut Nest, buffer: BufferId, block: &mut Vec<Stmt>) {
    let mut at = 0;
    while at < block.len() {
        move_into_end(nest, buffer, block, at);
        blocks_mut(&mut block[at]).into_iter().for_each(|inner| forward_in(nest, buffer, inner));
        pass_on(nest, buffer, block, at);
        at += 1;
    }
}

/// Moves what reads the buffer behind a reduction into its end, if that is where it is stored, with all that needs values from there.
fn move_into_end(nest: &mut Nest, buffer: BufferId, block: &mut Vec<Stmt>, at: usize) {
    let Stmt::Reduce(reduce) = &block[at] else { return };
    if !reduce.finish.iter().any(|stmt| stored(stmt, buffer).is_some()) {
        return;
    }
    let is_reader = |stmt: &Stmt| is_read(&mut [stmt.clone()], buffer);
    let Some(mut count) = last(&block[at + 1..], is_reader) else { return };
    loop {
        let (moved, rest) = block[at + 1..].split_at(count);
        let defined: Vec<LocalId> = moved.iter().filter_map(defined).collect();
        let needs = |stmt: &Stmt| uses(&mut [stmt.clone()], &defined);
        let Some(more) = last(rest, needs) else { break };
        count += more;
    }
    let mut moved: Vec<Stmt> = block.drain(at + 1..=at + count).collect();
    rename_values(nest, &mut moved);
    let Stmt::Reduce(reduce) = &mut block[at] else { unreachable!("it was one before") };
    reduce.finish.append(&mut moved);
}

/// How many statements there are up to the last such one.
fn last(block: &[Stmt], is_such: impl Fn(&Stmt) -> bool) -> Option<usize> {
    block.iter().rposition(is_such).map(|at| at + 1)
}

/// The value that a statement gives a name in its block.
fn defined(stmt: &Stmt) -> Option<LocalId> {
    match stmt {
        Stmt::Let(local, _) => Some(*local),
        _ => None,
    }
}

/// Whether a block names one of these values.
fn uses(block: &mut [Stmt], values: &[LocalId]) -> bool {
    let mut uses = false;
    visit_locals(block, &mut |local| uses |= values.contains(local));
    uses
}

/// Gives every value that is defined there a name that nothing else has.
fn rename_values(nest: &mut Nest, block: &mut [Stmt]) {
    let mut defined: Vec<LocalId> = Vec::new();
    ir::loops::walk::walk(block, ir::loops::StmtNo(0), &mut |_, stmt| match stmt {
        Stmt::Let(local, _) => defined.push(*local),
        Stmt::Reduce(reduce) => defined.extend(&reduce.carried),
        Stmt::For(..) | Stmt::Set(..) | Stmt::Store(..) => {}
    });
    for local in defined {
        let name = std::mem::take(&mut nest.locals[local.idx()].name);
        nest.locals[local.idx()].name = fresh_name(nest, &name);
    }
}

/// Puts a named value in the place of a store, if statements behind it read the same element before the buffer is stored to again.
fn pass_on(nest: &mut Nest, buffer: BufferId, block: &mut [Stmt], at: usize) {
    let Some(to) = stored(&block[at], buffer).cloned() else { return };
    let elem = nest.buffers[buffer.idx()].elem;
    let (before, behind) = block.split_at_mut(at + 1);
    let again = behind.iter().position(|stmt| stores_to(std::slice::from_ref(stmt), buffer));
    // What a store takes is read before it stores.
    let end = again.map_or(behind.len(), |at| at + usize::from(stored(&behind[at], buffer).is_some()));
    let is_same = |read: &Read| {
        let is_extended = elem == Ty::I32 || matches!(read.expr, Expr::Op { .. });
        *read.access() == to && is_extended
    };
    if !reads(&mut behind[..end], buffer).iter().any(is_same) {
        return;
    }
    let name = format!("{}_value", nest.buffers[buffer.idx()].name);
    let value = fresh_local(nest, &name, Ty::I32);
    let passed = |read: &Read| is_same(read).then(|| Expr::Local(value, Vec::new()));
    replace_reads(&mut behind[..end], buffer, &passed);
    if let Some(Stmt::Store(_, stored)) = before.last() {
        before[at] = Stmt::Let(value, as_loaded(stored.clone(), elem));
    }
}

/// Where a statement stores the buffer, if that is what it does.
fn stored(stmt: &Stmt, buffer: BufferId) -> Option<&Access> {
    match stmt {
        Stmt::Store(to, _) if to.buffer == buffer => Some(to),
        _ => None,
    }
}

/// What a load gives after this was stored as an element of that type.
fn as_loaded(value: Expr, elem: Ty) -> Expr {
    let op =
        |prim, value, by: i64| Expr::Op { prim, args: vec![value, Expr::Int(by, Ty::I32)], imm: Vec::new() };
    let unused = 32 - 8 * elem.bytes() as i64;
    if fits(&value, elem) {
        return value;
    }
    match elem {
        Ty::U8 | Ty::U16 => op(Prim::And, value, (1 << (32 - unused)) - 1),
        _ => op(Prim::Asr, op(Prim::Shl, value, unused), unused),
    }
}

/// Whether a value is one of this type for certain.
fn fits(value: &Expr, elem: Ty) -> bool {
    let Expr::Op { prim, imm, .. } = value else { return elem == Ty::I32 };
    let (low, high) = match prim {
        Prim::Ssat => (-(1 << (imm[0] - 1)), (1 << (imm[0] - 1)) - 1),
        Prim::Usat => (0, (1 << imm[0]) - 1),
        Prim::Requantize => (i64::from(imm[1]), i64::from(imm[2])),
        _ => return elem == Ty::I32,
    };
    elem.range().is_some_and(|(least, greatest)| least <= low && high <= greatest)
}

/// Whether statements read the buffer.
fn is_read(block: &mut [Stmt], buffer: BufferId) -> bool {
    let mut is_read = false;
    visit_loads(block, &mut Extents::new(), &mut |access, _| is_read |= access.buffer == buffer);
    is_read || looks_up(block, buffer)
}

/// Takes out stores to a buffer that nobody reads, and loops that do nothing else.
fn remove_stores(block: &mut Vec<Stmt>, buffer: BufferId) {
    for stmt in block.iter_mut() {
        blocks_mut(stmt).into_iter().for_each(|inner| remove_stores(inner, buffer));
    }
    block.retain(|stmt| match stmt {
        Stmt::For(_, body) => !body.is_empty(),
        other => stored(other, buffer).is_none(),
    });
}
