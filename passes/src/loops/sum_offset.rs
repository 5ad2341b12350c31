//! Numbers for each channel, and adding them to what a sum starts with: a rewrite of constants that costs no operation.
//!
//! ```text
//! init { a = b[n] }                 … requantize a …
//! =>
//! init { a = b_offset[n] }          … requantize a …      // a is more by the offset, and so is what reads it
//! ```
//!
//! Legal where the steps of the reduction only add to the sum, and the place that is to see more is its only reader. A difference
//! `sub(other, a)` beside that sees no more if the other sum, which nothing else reads, begins with the offset too.

use std::collections::{BTreeMap, BTreeSet};

use ir::loops::{
    Access, Atom, Buffer, BufferId, Expr, Index, Init, LocalId, Loop, Nest, Prim, Reduce, Role, Stmt, VarId,
};
use ir::ty::Ty;

use super::common_term::common_term;
use super::edit::{blocks_mut, extended, fresh_name, fresh_var, visit_local_uses, visit_local_uses_of};

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
pub fn in_reduce_of<R>(block: &mut [Stmt], local: LocalId, f: &mut dyn FnMut(&mut Reduce) -> R) -> Option<R> {
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

/// Adds the offset to every initial value of a sum that is used once as `local[at]`, and perhaps taken off from others, which
/// begin with the offset as well; `None` where that is not so.
fn shift_sum(
    nest: &mut Nest,
    reduce: &mut Reduce,
    local: LocalId,
    at: &[Index],
    offset: &Numbers,
) -> Option<()> {
    let mut shifted = minuends(&mut reduce.finish, local)?;
    shifted.push(local);
    if !reduce.update.iter_mut().all(|stmt| shifted.iter().all(|local| only_adds(stmt, *local))) {
        return None;
    }
    let inside = loops_in(&reduce.finish);
    if shifted == [local] && shift_term(reduce, local, offset, &inside) {
        return Some(());
    }
    let mut init = reduce.init.clone();
    let mut made = Made::default();
    for local in shifted {
        shift_init(nest, &mut init, local, &mut |nest, to, value| {
            let offset = moved(offset, at, to, &inside)?;
            Some(combined(nest, Prim::Add, value, offset, &mut made))
        })?;
    }
    reduce.init = init;
    Some(())
}

/// Adds the offset to a value that all registers of `local` contain; false where there is none, or the registers differ in the offset.
fn shift_term(reduce: &mut Reduce, local: LocalId, offset: &Numbers, inside: &BTreeSet<VarId>) -> bool {
    let mut used = Vec::new();
    if let Numbers::Table(_, index) = offset {
        index.iter().for_each(|index| index.vars(&mut used));
    }
    if !reduce.loops.is_empty() || !reduce.update.is_empty() || used.iter().any(|var| inside.contains(var)) {
        return false;
    }
    let Some(term) = common_term(&reduce.init, local) else { return false };
    for stmt in &mut reduce.init {
        if let Stmt::Let(found, value) = stmt
            && *found == term
        {
            *value = op(Prim::Add, vec![value.clone(), offset.expr()]);
        }
    }
    true
}

/// The sums from which `local` is taken off, register by register, and that nothing else reads; `None` where it is not used
/// once beside that.
fn minuends(finish: &mut [Stmt], local: LocalId) -> Option<Vec<LocalId>> {
    let mut differences = Vec::new();
    visit_exprs(finish, &mut |expr| {
        if let Expr::Op { prim: Prim::Sub, args, .. } = expr
            && let [Expr::Local(of, of_at), Expr::Local(less, at)] = &args[..]
            && (*less, at) == (local, of_at)
            && *of != local
        {
            differences.push(*of);
        }
    });
    let mut readers = |local: LocalId| {
        let mut readers = 0;
        visit_local_uses(finish, &mut |found, _| readers += usize::from(found == local));
        readers
    };
    if readers(local) != differences.len() + 1 {
        return None;
    }
    let mut distinct = differences.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let is_only_read_there = |of: &LocalId| differences.iter().filter(|other| *other == of).count();
    distinct.iter().all(|of| readers(*of) == is_only_read_there(of)).then_some(distinct)
}

/// Calls `f` for every expression of a block, outer ones first.
fn visit_exprs(block: &[Stmt], f: &mut dyn FnMut(&Expr)) {
    fn of(expr: &Expr, f: &mut dyn FnMut(&Expr)) {
        f(expr);
        match expr {
            Expr::Op { args, .. } => args.iter().for_each(|arg| of(arg, f)),
            Expr::Lookup(_, at) => of(at, f),
            Expr::Int(..) | Expr::Index(_) | Expr::Local(..) | Expr::Load(_) => {}
        }
    }
    ir::loops::walk::walk(block, ir::loops::StmtNo(0), &mut |_, stmt| {
        if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = stmt {
            of(value, f);
        }
    });
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
pub fn loops_in(block: &[Stmt]) -> BTreeSet<VarId> {
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
pub fn shift_init(
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
pub fn moved(offset: &Numbers, at: &[Index], to: &[Index], inside: &BTreeSet<VarId>) -> Option<Expr> {
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

/// `value` combined with a number by `prim`, a sum or a product: as a literal or a constant where both are known at compile time.
pub fn combined(nest: &mut Nest, prim: Prim, value: &Expr, with: Expr, made: &mut Made) -> Expr {
    match (value, &with) {
        (Expr::Int(a, _), Expr::Int(b, _)) => Expr::Int((prim.row().eval)(Ty::I32, &[*a, *b], &[]), Ty::I32),
        (Expr::Int(0, _), _) if prim == Prim::Add => with,
        (Expr::Int(0, _), _) if prim == Prim::Mul => int(0),
        (Expr::Load(access), _) if is_constant_word(nest, access) => {
            let by_dims = match &with {
                Expr::Load(of) => over_dims(&access.index, &of.index).map(|index| word(of.buffer, index)),
                other => Some(other.clone()),
            };
            let Some(by_dims) = by_dims else { return op(prim, vec![value.clone(), with]) };
            let same = |(source, other, _): &&(BufferId, Expr, BufferId)| {
                *source == access.buffer && *other == by_dims
            };
            let buffer = match made.0.iter().find(same) {
                Some((.., buffer)) => *buffer,
                None => constant_of(nest, prim, access.buffer, &by_dims),
            };
            made.0.push((access.buffer, by_dims, buffer));
            word(buffer, access.index.clone())
        }
        _ => op(prim, vec![value.clone(), with]),
    }
}

/// The constants that were made, each with its source and what that was combined with.
#[derive(Default)]
pub struct Made(Vec<(BufferId, Expr, BufferId)>);

/// An index, given by the variables of `access`, in terms of the dimensions that this reads: `VarId` counts them.
pub fn over_dims(access: &[Index], index: &[Index]) -> Option<Vec<Index>> {
    let dim = |at: &Index| access.iter().position(|own| own == at).map(|dim| Index::var(VarId::new(dim)));
    let over = |index: &Index| {
        let mut vars = Vec::new();
        index.vars(&mut vars);
        let are_dims = vars.iter().all(|var| dim(&Index::var(*var)).is_some());
        let substituted = || index.substitute(&|var| dim(&Index::var(var)).unwrap_or(Index::var(var)));
        dim(index).or_else(|| are_dims.then(substituted))
    };
    index.iter().map(over).collect()
}

fn is_constant_word(nest: &Nest, access: &Access) -> bool {
    nest.buffers[access.buffer.idx()].is_const() && access.ty == Ty::I32 && access.border.is_none()
}

/// A constant whose elements are those of `source`, combined with a number that depends on the dimensions, as `VarId` counts them.
pub fn constant_of(nest: &mut Nest, prim: Prim, source: BufferId, with: &Expr) -> BufferId {
    let Buffer { name, shape, elem, map, .. } = nest.buffers[source.idx()].clone();
    let suffix = if prim == Prim::Add { "offset" } else { "scaled" };
    let name = fresh_name(nest, &format!("{name}_{suffix}"));
    let buffer =
        Buffer { name: name.clone(), elem, shape: shape.clone(), map, values: None, role: Role::Scratch };
    let made = nest.add_buffer(buffer);
    let vars: Vec<VarId> = (0..shape.len()).map(|dim| fresh_var(nest, &format!("{name}_{dim}"))).collect();
    let at: Vec<Index> = vars.iter().map(|var| Index::var(*var)).collect();
    let with = match with {
        Expr::Load(access) => {
            let index = access.index.iter().map(|index| index.substitute(&|dim| Index::var(vars[dim.idx()])));
            word(access.buffer, index.collect())
        }
        other => other.clone(),
    };
    let element = |buffer| Access { buffer, index: at.clone(), ty: elem, border: None };
    let value = op(prim, vec![extended(Expr::Load(element(source)), elem), with]);
    let store = Stmt::Store(element(made), value);
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
