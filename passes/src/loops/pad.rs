//! `pad AXIS MULTIPLE`: lengthens the loop of a sum by products with zero, up to a multiple.
//!
//! ```text
//! reduce a: i32 over k in 0..57 { … update { a = add a, mul(sext(x[p, k]), sext(w[n, k])) } … }
//! => pad k 4
//! const w_padded: i8[4, 60] = {
//!   for n in 0..4 { for k in 0..57 { w_padded[n, k] = sext w[n, k] } }
//!   for n in 0..4 { for k in 0..3 { w_padded[n, k + 57] = 0 } }
//! }
//! reduce a: i32 over k in 0..60 { … update { a = add a, mul(sext(x[p, k] else 0), sext(w_padded[n, k])) } … }
//! ```
//!
//! For depths that pairs and words do not divide. Legal for a loop of sums of products of which one factor is a
//! constant that the loop moves. What the other factor reads behind its edge does not matter, so it gets
//! a border; scratch gets more elements instead, which are zero from the start. Scratch that is not complete by then is refused: that
//! loops around fill bit by bit, or what follows.

use std::collections::BTreeMap;

use ir::diag::Diagnostic;
use ir::loops::walk;
use ir::loops::{
    Access, Buffer, BufferId, Expr, Index, Init, Loop, MOST_ITERATIONS, Nest, Prim, Role, Stmt, StmtNo, VarId,
};
use ir::ty::Ty;

use super::edit::{Extents, Site, fresh_name, fresh_var, loop_of, loops, renew_vars, substitute, with_loop};
use super::step::StepDef;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "pad",
    usage: "pad AXIS MULTIPLE",
    summary: "Lengthen the loop of a sum by products with zero, up to a multiple",
    run: |nest, args| {
        args.at_most(2)?;
        let axis = args.axis(nest, 0)?;
        pad(nest, axis, args.int(1)?)
    },
};

/// Why data are refused that are not there yet.
const FILLED_LATER: &str = "what it reads is filled bit by bit";

/// Lengthens the loop over `axis` to a multiple of `multiple`.
pub fn pad(nest: &mut Nest, axis: VarId, multiple: u32) -> Result<(), Diagnostic> {
    let name = nest.vars[axis.idx()].clone();
    let cannot = |reason: String| Diagnostic::new(format!("cannot pad `{name}`: {reason}"));
    let extent = loop_of(nest, axis).extent;
    let padded = extent.checked_next_multiple_of(multiple).filter(|padded| *padded <= MOST_ITERATIONS);
    let padded = match padded {
        Some(padded) if padded != extent => padded,
        Some(_) => {
            let cannot = cannot(format!("its extent {extent} is a multiple of {multiple} already"));
            return Err(cannot.help(format!("legal: numbers that do not divide {extent}")));
        }
        None => {
            let cannot = cannot(format!("{multiple} is no length that a loop can have a multiple of"));
            return Err(cannot.help(format!("legal: multiples of 2 to {MOST_ITERATIONS}")));
        }
    };
    let filled = filled_later(nest, axis);
    let mut extents: Extents = loops(nest).into_iter().map(|l| (l.var, l.extent)).collect();
    let mut body = take_body(nest, axis);
    let stored = nest.stored();
    let mut constants = Vec::new();
    let mut grown = Grown::new();
    let result = products(&mut body, axis, &mut |value| {
        let [x, w] = factors(nest, value, axis)?;
        if filled.contains(&x.buffer) {
            return Err(FILLED_LATER);
        }
        let constant = match constants.iter().find(|(access, _)| access == w) {
            Some((_, constant)) => *constant,
            None => {
                let made = constant(nest, w, (axis, padded), &extents);
                constants.push((w.clone(), made));
                made
            }
        };
        let order = order(w, &extents);
        w.buffer = constant;
        w.index = order.into_iter().map(Index::var).collect();
        extents.insert(axis, padded);
        let inside = give_border(nest, x, &extents, &stored, &mut grown);
        extents.insert(axis, extent);
        inside
    });
    result.map_err(|reason: &str| {
        cannot(reason.into()).help(match reason {
            FILLED_LATER => "legal where it is filled before: pad before `rows`, or `fuse`",
            _ => {
                "inside stands `a = add a, mul(sext(…), sext(…))`, one factor a constant that the loop moves"
            }
        })
    })?;
    with_loop(&mut nest.body, axis, &mut |site| {
        let (l, place) = site_of(site);
        l.extent = padded;
        *place = std::mem::take(&mut body);
    });
    let mut zeros = Vec::new();
    for (buffer, shape) in grown {
        zeros.extend(grow(nest, buffer, shape));
    }
    nest.body.splice(0..0, zeros);
    Ok(())
}

/// The buffers that are not complete when the loop over `axis` runs: of which loops around fill some more in each iteration, or what
/// follows does.
fn filled_later(nest: &Nest, axis: VarId) -> Vec<BufferId> {
    let mut around = Vec::new();
    find_around(&nest.body, axis, &mut around);
    let (mut filled, mut is_behind) = (Vec::new(), false);
    walk::walk(&nest.body, StmtNo(0), &mut |_, stmt| match stmt {
        Stmt::For(l, _) => is_behind |= l.var == axis,
        Stmt::Reduce(reduce) => is_behind |= reduce.loops.iter().any(|l| l.var == axis),
        Stmt::Store(access, _) => {
            let mut used = Vec::new();
            access.index.iter().for_each(|index| index.vars(&mut used));
            if is_behind || used.iter().any(|var| around.contains(var)) {
                filled.push(access.buffer);
            }
        }
        Stmt::Let(..) | Stmt::Set(..) => {}
    });
    filled
}

/// The loops around the one over `axis`; whether that is in the block.
fn find_around(block: &[Stmt], axis: VarId, around: &mut Vec<VarId>) -> bool {
    block.iter().any(|stmt| {
        let vars: Vec<VarId> = match stmt {
            Stmt::For(l, _) => vec![l.var],
            Stmt::Reduce(reduce) => reduce.loops.iter().map(|l| l.var).collect(),
            _ => return false,
        };
        if vars.contains(&axis)
            || walk::blocks(stmt).into_iter().any(|inner| find_around(inner, axis, around))
        {
            around.extend(vars);
            return true;
        }
        false
    })
}

/// Scratch that needs another shape.
type Grown = BTreeMap<BufferId, Vec<u32>>;

/// Gives scratch a larger shape; the statements make what is new zero.
fn grow(nest: &mut Nest, buffer: BufferId, shape: Vec<u32>) -> Vec<Stmt> {
    let old = std::mem::replace(&mut nest.buffers[buffer.idx()].shape, shape.clone());
    let map = &mut nest.buffers[buffer.idx()].map;
    for ((_, extent), new) in map.dims.iter_mut().zip(&shape) {
        *extent = (*extent).max(*new);
    }
    let mut stmts = Vec::new();
    for dim in (0..shape.len()).filter(|dim| shape[*dim] > old[*dim]) {
        // Dimensions before are those that are not new.
        let from = |at: usize| if at == dim { old[dim] } else { 0 };
        let to = |at: usize| if at < dim { old[at] } else { shape[at] };
        let name = format!("{}_{dim}", nest.buffers[buffer.idx()].name);
        let vars: Vec<VarId> = (0..shape.len()).map(|_| fresh_var(nest, &name)).collect();
        let index =
            vars.iter().enumerate().map(|(at, var)| Index::var(*var).offset(from(at).into())).collect();
        let access = Access { buffer, index, ty: nest.buffers[buffer.idx()].elem, border: None };
        let mut store = vec![Stmt::Store(access, Expr::Int(0, Ty::I32))];
        for (at, var) in vars.iter().enumerate().rev() {
            match to(at) - from(at) {
                1 => substitute(&mut store, *var, &Index::constant(0)),
                extent => store = vec![Stmt::For(Loop { var: *var, extent, unroll: false }, store)],
            }
        }
        stmts.extend(store);
    }
    stmts
}

/// The loop of a site and what it repeats.
fn site_of(site: Site<'_>) -> (&mut Loop, &mut Vec<Stmt>) {
    match site {
        Site::For(block, at) => match &mut block[at] {
            Stmt::For(l, body) => (l, body),
            _ => unreachable!("a site is a loop"),
        },
        Site::Reduction(block, at, position) => match &mut block[at] {
            Stmt::Reduce(reduce) => (&mut reduce.loops[position], &mut reduce.update),
            _ => unreachable!("a site is a reduction"),
        },
    }
}

fn take_body(nest: &mut Nest, axis: VarId) -> Vec<Stmt> {
    let taken = with_loop(&mut nest.body, axis, &mut |site| site_of(site).1.clone());
    taken.expect("the axis is in the body")
}

/// Calls `f` for the product that each statement of a block adds to what it sets; anything else is refused.
fn products<'r>(
    block: &mut [Stmt],
    axis: VarId,
    f: &mut dyn FnMut(&mut Expr) -> Result<(), &'r str>,
) -> Result<(), &'r str> {
    block.iter_mut().try_for_each(|stmt| match stmt {
        Stmt::For(_, body) => products(body, axis, f),
        Stmt::Set(local, at, Expr::Op { prim: Prim::Add, args, .. }) => {
            let mut used = Vec::new();
            at.iter().for_each(|index| index.vars(&mut used));
            if used.contains(&axis) {
                return Err("each iteration adds to a sum of its own");
            }
            let itself = Expr::Local(*local, at.clone());
            match args.iter().position(|arg| *arg == itself) {
                Some(sum) => f(&mut args[1 - sum]),
                None => Err("what happens inside is no sum"),
            }
        }
        _ => Err("what happens inside is no sum of products"),
    })
}

/// The loads of a product: of the data and of the constant.
fn factors<'e>(nest: &Nest, product: &'e mut Expr, axis: VarId) -> Result<[&'e mut Access; 2], &'static str> {
    let Expr::Op { prim: Prim::Mul, args, .. } = product else { return Err("what is added is no product") };
    let [a, b] = &mut args[..] else { return Err("what is added is no product") };
    let (Some(a), Some(b)) = (extended(a), extended(b)) else {
        return Err("a factor is no element of a buffer");
    };
    let is_zeroed = |access: &Access| {
        let mut used = Vec::new();
        access.index.iter().for_each(|index| index.vars(&mut used));
        nest.buffers[access.buffer.idx()].is_const() && access.border.is_none() && used.contains(&axis)
    };
    match (is_zeroed(a), is_zeroed(b)) {
        (_, true) => Ok([a, b]),
        (true, false) => Ok([b, a]),
        (false, false) => Err("no factor is a constant that it moves"),
    }
}

fn extended(expr: &mut Expr) -> Option<&mut Access> {
    let Expr::Op { prim: Prim::Sext | Prim::Zext, args, .. } = expr else { return None };
    match &mut args[..] {
        [Expr::Load(access)] if access.ty.lanes() == 1 => Some(access),
        _ => None,
    }
}

/// The variables on which a load depends, outermost first.
fn order(access: &Access, extents: &Extents) -> Vec<VarId> {
    let mut used = Vec::new();
    access.index.iter().for_each(|index| index.vars(&mut used));
    used.sort_unstable();
    used.dedup();
    debug_assert!(used.iter().all(|var| extents.contains_key(var)));
    used
}

/// Adds the constant that holds what `access` reads, and zeros in the iterations of `axis` that are new.
fn constant(nest: &mut Nest, access: &Access, (axis, padded): (VarId, u32), extents: &Extents) -> BufferId {
    let source = &nest.buffers[access.buffer.idx()];
    let (name, elem) = (fresh_name(nest, &format!("{}_padded", source.name)), source.elem);
    let vars = order(access, extents);
    let made = BufferId::new(nest.buffers.len());
    let old = extents[&axis];
    let part = |count: u32, first: u32, value: Expr| {
        let index = |var: &VarId| Index::var(*var).offset(if *var == axis { first.into() } else { 0 });
        let to = Access { buffer: made, index: vars.iter().map(index).collect(), ty: elem, border: None };
        vars.iter().rev().fold(Stmt::Store(to, value), |inner, var| {
            let extent = if *var == axis { count } else { extents[var] };
            Stmt::For(Loop { var: *var, extent, unroll: false }, vec![inner])
        })
    };
    let prim = if matches!(elem, Ty::U8 | Ty::U16) { Prim::Zext } else { Prim::Sext };
    let value = Expr::Op { prim, args: vec![Expr::Load(access.clone())], imm: Vec::new() };
    let mut parts = [vec![part(old, 0, value)], vec![part(padded - old, old, Expr::Int(0, Ty::I32))]];
    parts.iter_mut().for_each(|part| renew_vars(nest, part));
    let shape: Vec<u32> = vars.iter().map(|var| if *var == axis { padded } else { extents[var] }).collect();
    nest.add_buffer(Buffer::new(name, elem, &shape, Role::Const(Init::Nest(parts.concat()))))
}

/// Whether the storage dimensions are the logical ones in order, as far as they reach.
fn in_order(buffer: &Buffer) -> bool {
    let logical = (0..).map(|dim| Index::var(VarId::new(dim)));
    buffer.map.dims.len() == buffer.shape.len()
        && buffer.map.dims.iter().zip(logical).all(|((dim, _), logical)| *dim == logical)
}

/// Lets a load that may leave its buffer give zero there; scratch is to grow.
fn give_border(
    nest: &Nest,
    access: &mut Access,
    extents: &Extents,
    stored: &[bool],
    grown: &mut Grown,
) -> Result<(), &'static str> {
    let range = |var: VarId| (0, i64::from(extents[&var]) - 1);
    let buffer = &nest.buffers[access.buffer.idx()];
    let ranges: Vec<(i64, i64)> = access.index.iter().map(|index| index.range(&range)).collect();
    let leaves =
        ranges.iter().zip(&buffer.shape).any(|((low, high), extent)| *low < 0 || *high >= i64::from(*extent));
    if leaves && access.border.is_none() && buffer.role == Role::Scratch && in_order(buffer) {
        let shape = grown.entry(access.buffer).or_insert_with(|| buffer.shape.clone());
        for (extent, (_, high)) in shape.iter_mut().zip(&ranges) {
            *extent = (*extent).max((high + 1) as u32);
        }
        return Ok(());
    }
    if leaves && stored[access.buffer.idx()] {
        return Err("what it reads ends with what the nest stores; pad before that");
    }
    if leaves && access.border.is_none() {
        access.border = Some(0);
    }
    Ok(())
}
