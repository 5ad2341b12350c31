//! Numbers for each channel, and adding them to what a sum starts with: a rewrite of constants that costs no operation.
//!
//! ```text
//! init { a = b[n] }                 … requantize a …
//! =>
//! init { a = b_offset[n] }          … requantize a …      // a is more by the offset, and so is what reads it
//! ```
//!
//! Legal where the steps of the reduction only add to the sum, and the place that is to see more is its only reader.

use std::collections::{BTreeMap, BTreeSet};

use ir::loops::{
    Access, Atom, Buffer, BufferId, Expr, Index, Init, LocalId, Loop, Nest, Prim, Reduce, Role, Stmt, VarId,
};
use ir::ty::Ty;

use super::edit::{blocks_mut, fresh_name, fresh_var, visit_local_uses, visit_local_uses_of};

/// A number for each channel, as an operand.
#[derive(Clone, Debug)]
pub enum Numbers {
    /// All channels have this one.
    Same(i32),
    /// Each has its own, at this place of a constant.
    Table(BufferId, Vec<Index>),
}

impl Numbers {
    /// The operand.
    pub fn expr(&self) -> Expr {
        match self {
            Numbers::Same(value) => int(*value),
            Numbers::Table(buffer, at) => word(*buffer, at.clone()),
        }
    }
}

/// `x` with the offset in it at no cost: in the initial value of a sum, or in a literal.
pub fn try_offset(nest: &mut Nest, x: &Expr, offset: &Numbers) -> Option<Expr> {
    match x {
        Expr::Local(local, at) => {
            let mut body = std::mem::take(&mut nest.body);
            let done =
                in_reduce_of(&mut body, *local, &mut |reduce| shift_sum(nest, reduce, *local, at, offset));
            nest.body = body;
            done.flatten().map(|()| x.clone())
        }
        Expr::Int(value, Ty::I32) => match offset {
            Numbers::Same(by) => Some(int((*value as i32).wrapping_add(*by))),
            Numbers::Table(..) => None,
        },
        Expr::Op { prim: prim @ (Prim::Add | Prim::Sub), args, imm } => {
            let of_sum = |nest: &mut Nest, at: usize| {
                let mut args = args.clone();
                args[at] = try_offset(nest, &args[at], offset)?;
                Some(Expr::Op { prim: *prim, args, imm: imm.clone() })
            };
            if let (Prim::Sub, Expr::Int(value, Ty::I32), Numbers::Same(by)) = (prim, &args[1], offset) {
                let less = int((*value as i32).wrapping_sub(*by));
                return Some(op(Prim::Sub, vec![args[0].clone(), less]));
            }
            let of_second = |nest: &mut Nest| (*prim == Prim::Add).then(|| of_sum(nest, 1)).flatten();
            of_second(nest).or_else(|| of_sum(nest, 0))
        }
        _ => None,
    }
}

/// Calls `f` with the reduction that carries `local`.
fn in_reduce_of<R>(block: &mut [Stmt], local: LocalId, f: &mut dyn FnMut(&mut Reduce) -> R) -> Option<R> {
    for stmt in block {
        if let Stmt::Reduce(reduce) = stmt
            && reduce.carried.contains(&local)
        {
            return Some(f(reduce));
        }
        for inner in blocks_mut(stmt) {
            if let Some(result) = in_reduce_of(inner, local, f) {
                return Some(result);
            }
        }
    }
    None
}

/// Adds the offset to every initial value of a sum whose only reader uses it as `local[at]`; `None` where that is not so.
fn shift_sum(
    nest: &mut Nest,
    reduce: &mut Reduce,
    local: LocalId,
    at: &[Index],
    offset: &Numbers,
) -> Option<()> {
    let mut readers = 0;
    visit_local_uses(&mut reduce.finish, &mut |found, _| readers += usize::from(found == local));
    if readers != 1 || !reduce.update.iter_mut().all(|stmt| only_adds(stmt, local)) {
        return None;
    }
    let inside = loops_in(&reduce.finish);
    let mut init = reduce.init.clone();
    let mut made = BTreeMap::new();
    shift_init(nest, &mut init, local, &mut |nest, to, value| {
        let offset = moved(offset, at, to, &inside)?;
        Some(sum(nest, value, offset, &mut made))
    })?;
    reduce.init = init;
    Some(())
}

/// Whether a step of a reduction does nothing with `local` but add to it.
fn only_adds(stmt: &mut Stmt, local: LocalId) -> bool {
    let uses = |expr: &mut Expr| {
        let mut uses = 0;
        visit_local_uses_of(expr, &mut |found, _| uses += usize::from(found == local));
        uses
    };
    match stmt {
        Stmt::Set(to, at, value) if *to == local => {
            let at = at.clone();
            let count = uses(value);
            let Expr::Op { prim, args, .. } = value else { return false };
            let itself = |arg: &Expr| *arg == Expr::Local(local, at.clone());
            let place = args.iter().position(itself);
            let adds = match prim {
                Prim::Add => place.is_some(),
                Prim::Sub | Prim::Dot2 | Prim::Dot2Cross => place == Some(0),
                _ => false,
            };
            count == 1 && adds
        }
        Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) => uses(value) == 0,
        Stmt::For(..) | Stmt::Reduce(_) => {
            blocks_mut(stmt).into_iter().all(|inner| inner.iter_mut().all(|stmt| only_adds(stmt, local)))
        }
    }
}

/// The variables of the loops in a block.
fn loops_in(block: &[Stmt]) -> BTreeSet<VarId> {
    let mut vars = BTreeSet::new();
    ir::loops::walk::walk(block, ir::loops::StmtNo(0), &mut |_, stmt| match stmt {
        Stmt::For(l, _) => vars.extend([l.var]),
        Stmt::Reduce(reduce) => vars.extend(reduce.loops.iter().map(|l| l.var)),
        _ => {}
    });
    vars
}

/// Gives every `local[to] = value` of a block the value that `new` makes of it.
#[allow(clippy::type_complexity)] // It is written once.
fn shift_init(
    nest: &mut Nest,
    block: &mut [Stmt],
    local: LocalId,
    new: &mut dyn FnMut(&mut Nest, &[Index], &Expr) -> Option<Expr>,
) -> Option<()> {
    for stmt in block {
        match stmt {
            Stmt::Set(to, at, value) if *to == local => *value = new(nest, at, value)?,
            _ => {}
        }
        for inner in blocks_mut(stmt) {
            shift_init(nest, inner, local, new)?;
        }
    }
    Some(())
}

/// The offset for register `to`, given as the one for register `at`; loops `inside` the finish are unknown elsewhere.
fn moved(offset: &Numbers, at: &[Index], to: &[Index], inside: &BTreeSet<VarId>) -> Option<Expr> {
    let Numbers::Table(buffer, index) = offset else { return Some(offset.expr()) };
    let mut known: BTreeMap<VarId, Index> = BTreeMap::new();
    for (at, to) in at.iter().zip(to) {
        match (&at.terms[..], at.constant) {
            ([(1, Atom::Var(var))], 0) => {
                known.insert(*var, to.clone());
            }
            _ if at == to => {}
            _ => return None,
        }
    }
    let mut vars = Vec::new();
    index.iter().for_each(|index| index.vars(&mut vars));
    if vars.iter().any(|var| inside.contains(var) && !known.contains_key(var)) {
        return None;
    }
    let moved = |index: &Index| index.substitute(&|var| known.get(&var).cloned().unwrap_or(Index::var(var)));
    Some(word(*buffer, index.iter().map(moved).collect()))
}

/// `value + offset`, as a literal or a constant where both are known at compile time; `made` has the constants so far.
fn sum(nest: &mut Nest, value: &Expr, offset: Expr, made: &mut BTreeMap<BufferId, BufferId>) -> Expr {
    match (value, &offset) {
        (Expr::Int(a, _), Expr::Int(b, _)) => int((*a as i32).wrapping_add(*b as i32)),
        (Expr::Int(0, _), _) => offset,
        (Expr::Load(access), _) if is_constant_word(nest, access) => {
            let same_place = match &offset {
                Expr::Load(of) => {
                    of.index == access.index
                        && nest.buffers[of.buffer.idx()].shape == nest.buffers[access.buffer.idx()].shape
                }
                _ => true,
            };
            if !same_place {
                return op(Prim::Add, vec![value.clone(), offset]);
            }
            let known = made.get(&access.buffer).copied();
            let buffer = known.unwrap_or_else(|| constant_sum(nest, access.buffer, &offset));
            made.insert(access.buffer, buffer);
            word(buffer, access.index.clone())
        }
        _ => op(Prim::Add, vec![value.clone(), offset]),
    }
}

fn is_constant_word(nest: &Nest, access: &Access) -> bool {
    nest.buffers[access.buffer.idx()].is_const() && access.ty == Ty::I32 && access.border.is_none()
}

/// A constant whose elements are those of `source` with the offset added.
fn constant_sum(nest: &mut Nest, source: BufferId, offset: &Expr) -> BufferId {
    let Buffer { name, shape, .. } = nest.buffers[source.idx()].clone();
    let name = fresh_name(nest, &format!("{name}_offset"));
    let made = nest.add_buffer(Buffer::new(name.clone(), Ty::I32, &shape, Role::Scratch));
    let vars: Vec<VarId> = (0..shape.len()).map(|dim| fresh_var(nest, &format!("{name}_{dim}"))).collect();
    let at: Vec<Index> = vars.iter().map(|var| Index::var(*var)).collect();
    let offset = match offset {
        Expr::Load(access) => word(access.buffer, at.clone()),
        other => other.clone(),
    };
    let value = op(Prim::Add, vec![word(source, at.clone()), offset]);
    let store = Stmt::Store(Access { buffer: made, index: at, ty: Ty::I32, border: None }, value);
    let nested = vars.iter().zip(&shape).rev().fold(vec![store], |body, (var, extent)| {
        vec![Stmt::For(Loop { var: *var, extent: *extent, unroll: false }, body)]
    });
    nest.buffers[made.idx()].role = Role::Const(Init::Nest(nested));
    made
}

/// Reads a word of a constant.
pub fn word(buffer: BufferId, index: Vec<Index>) -> Expr {
    Expr::Load(Access { buffer, index, ty: Ty::I32, border: None })
}

/// A literal word.
pub fn int(value: i32) -> Expr {
    Expr::Int(value.into(), Ty::I32)
}

/// An operation without attributes.
pub fn op(prim: Prim, args: Vec<Expr>) -> Expr {
    Expr::Op { prim, args, imm: Vec::new() }
}
