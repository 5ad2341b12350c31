//! `unroll-and-jam AXIS …`: moves the loops directly around a reduction into it, as a block of registers.
//!
//! ```text
//! for p in 0..2 { for n in 0..4 {
//!   reduce a: i32 over k in 0..64 { init { I(p, n) } update { U(p, n, k) } finish { F(p, n) } }
//! } }
//! =>
//! reduce a: i32[2, 4] over k in 0..64 {
//!   init   { for p in 0..2 unroll { for n in 0..4 unroll { I(p, n) } } }
//!   update { for p in 0..2 unroll { for n in 0..4 unroll { U(p, n, k) } } }
//!   finish { for p in 0..2 unroll { for n in 0..4 unroll { F(p, n) } } }
//! }
//! ```
//!
//! The loops must be the innermost ones around the reduction, in this order, with nothing beside it. Legal where no iteration reads what
//! another one writes. Refused where the block needs more registers than there are: [`REGISTERS`] less one for each operand.

use ir::diag::Diagnostic;
use ir::loops::{Index, LocalId, Loop, Nest, Reduce, Stmt, VarId};

use super::edit::{Site, independent, renew_vars, visit_local_uses, with_loop};
use super::registers::{Held, OPERANDS, REGISTERS};
use super::step::StepDef;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "unroll-and-jam",
    usage: "unroll-and-jam AXIS …",
    summary: "Move the loops around a reduction into it, as a block of registers",
    run: |nest, args| {
        let axes = args.axes(nest, 0)?;
        unroll_and_jam(nest, &axes)
    },
};

/// Moves the loops over `axes`, outermost first, into the reduction inside.
pub fn unroll_and_jam(nest: &mut Nest, axes: &[VarId]) -> Result<(), Diagnostic> {
    let Some(outermost) = axes.first() else {
        return Err(Diagnostic::new("`unroll-and-jam` takes one axis or more")
            .help(format!("usage: `{}`", STEP.usage)));
    };
    let names: Vec<String> = axes.iter().map(|axis| nest.vars[axis.idx()].clone()).collect();
    let taken = with_loop(&mut nest.body, *outermost, &mut |site| match site {
        Site::For(block, at) => take(&block[at], axes, &names),
        Site::Reduction(..) => Err(already_inside(&names[0])),
    });
    let (loops, mut reduce) = taken.expect("the axis is in the body")?;
    let block: u32 = loops.iter().map(|l| l.extent).product();
    check_registers(nest, &reduce, block, &names)?;

    for local in reduce.carried.clone() {
        let shape = &mut nest.locals[local.idx()].shape;
        *shape = loops.iter().map(|l| l.extent).chain(shape.iter().copied()).collect();
    }
    let carried = reduce.carried.clone();
    for part in [&mut reduce.init, &mut reduce.update, &mut reduce.finish] {
        *part = jammed(nest, std::mem::take(part), &loops, &carried);
    }
    with_loop(&mut nest.body, *outermost, &mut |site| {
        if let Site::For(block, at) = site {
            block[at] = Stmt::Reduce(reduce.clone());
        }
    });
    Ok(())
}

/// The loops over `axes` from `stmt` on, and the reduction that is all there is inside.
fn take(stmt: &Stmt, axes: &[VarId], names: &[String]) -> Result<(Vec<Loop>, Reduce), Diagnostic> {
    if !independent(stmt) {
        return Err(Diagnostic::new(format!(
            "cannot jam `{}`: one iteration reads what another one writes",
            names[0]
        ))
        .help("jam before values are staged in scratch"));
    }
    let mut loops = Vec::new();
    let mut at = stmt;
    for (axis, name) in axes.iter().zip(names) {
        let Stmt::For(l, body) = at else { return Err(misplaced(name)) };
        let [only] = &body[..] else {
            return Err(Diagnostic::new(format!(
                "cannot jam `{name}`: {} statements stand inside of it",
                body.len()
            ))
            .help("the reduction must be all there is inside"));
        };
        if l.var != *axis {
            return Err(misplaced(name));
        }
        loops.push(l.clone());
        at = only;
    }
    match at {
        Stmt::Reduce(reduce) => Ok((loops, reduce.clone())),
        _ => Err(misplaced(names.last().expect("there is an axis"))),
    }
}

fn misplaced(name: &str) -> Diagnostic {
    Diagnostic::new(format!(
        "cannot jam `{name}`: it is not one of the innermost loops around a reduction, in this order"
    ))
    .help(format!("move it next to the reduction first: `reorder … {name}`"))
}

fn already_inside(name: &str) -> Diagnostic {
    Diagnostic::new(format!("cannot jam `{name}`: it is a loop of the reduction itself"))
        .help(format!("repeat its body: `unroll {name}`"))
}

fn check_registers(nest: &Nest, reduce: &Reduce, block: u32, names: &[String]) -> Result<(), Diagnostic> {
    let each = Held::by_values(nest, &reduce.carried).core;
    if block * each + OPERANDS > REGISTERS {
        let message = format!(
            "cannot jam `{}`: a block of {block} needs {} registers beside {OPERANDS} for operands, there are {REGISTERS}",
            names.join(" "),
            block * each
        );
        return Err(Diagnostic::new(message).help(format!(
            "tile so that the block has at most {} elements",
            (REGISTERS - OPERANDS) / each.max(1)
        )));
    }
    Ok(())
}

/// The statements inside copies of the loops; what is carried gets their indices in front.
fn jammed(nest: &mut Nest, mut block: Vec<Stmt>, loops: &[Loop], carried: &[LocalId]) -> Vec<Stmt> {
    if block.is_empty() {
        return block;
    }
    visit_local_uses(&mut block, &mut |local, at| {
        if carried.contains(&local) {
            at.splice(0..0, loops.iter().map(|l| Index::var(l.var)));
        }
    });
    for l in loops.iter().rev() {
        block = vec![Stmt::For(Loop { unroll: true, ..l.clone() }, block)];
    }
    renew_vars(nest, &mut block);
    block
}
