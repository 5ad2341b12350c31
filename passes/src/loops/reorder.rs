//! `reorder AXIS AXIS …`: puts loops that stand directly within each other into the given order.
//!
//! ```text
//! for p in 0..9 { for n in 0..4 { S(p, n) } }
//! => reorder n p
//! for n in 0..4 { for p in 0..9 { S(p, n) } }
//! ```
//!
//! Loops that are not named keep their places. The loops of one reduction are reordered among themselves: a sum is the same in
//! any order, and so are the largest and the smallest value. Legal where no iteration reads what another one writes, and where nothing
//! but loops stands between the loops. A loop around a reduction does not move into it that way: that is `unroll-and-jam`.

use ir::diag::Diagnostic;
use ir::loops::{Loop, Nest, Stmt, VarId};

use super::edit::{Site, independent, order_is_free, with_loop};
use super::step::StepDef;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "reorder",
    usage: "reorder AXIS AXIS …",
    summary: "Put loops that stand directly within each other into another order",
    run: |nest, args| {
        let axes = args.axes(nest, 0)?;
        reorder(nest, &axes)
    },
};

/// Puts the loops over `axes` into this order.
pub fn reorder(nest: &mut Nest, axes: &[VarId]) -> Result<(), Diagnostic> {
    let names: Vec<String> = axes.iter().map(|axis| nest.vars[axis.idx()].clone()).collect();
    if axes.len() < 2 || (1..axes.len()).any(|at| axes[..at].contains(&axes[at])) {
        return Err(Diagnostic::new("`reorder` takes two axes or more, each once")
            .help(format!("usage: `{}`", STEP.usage)));
    }
    let outermost = super::edit::axes(nest)
        .into_iter()
        .find(|axis| axes.contains(axis))
        .expect("the axes are in the body");
    let result = with_loop(&mut nest.body, outermost, &mut |site| match site {
        Site::For(block, at) => permute(&mut block[at], axes, &names),
        Site::Reduction(block, at, _) => permute(&mut block[at], axes, &names),
    });
    result.expect("the axes are in the body")
}

/// Reorders the loops of the chain that begins with `stmt`.
fn permute(stmt: &mut Stmt, axes: &[VarId], names: &[String]) -> Result<(), Diagnostic> {
    let around = chain(stmt, axes);
    let (outside, inside): (Vec<VarId>, Vec<VarId>) =
        axes.iter().partition(|axis| around.iter().any(|l| l.var == **axis));
    let summed = reduction_below(stmt, around.len());
    if let Some(lost) = inside.iter().find(|axis| !summed.iter().any(|l| l.var == **axis)) {
        let name = &names[axes.iter().position(|axis| axis == lost).expect("it is one of the axes")];
        return Err(Diagnostic::new(format!(
            "cannot reorder `{name}`: other statements stand between it and the loops around"
        ))
        .help("reorder loops that stand directly within each other"));
    }
    if axes[..outside.len()].iter().any(|axis| inside.contains(axis)) {
        return Err(Diagnostic::new("cannot move a loop into or out of a reduction by reordering")
            .help("`unroll-and-jam` moves a loop into the reduction that it stands around"));
    }
    if outside.len() > 1 && !independent(stmt) {
        return Err(Diagnostic::new("cannot reorder: one iteration reads what another one writes")
            .help("reorder before values are staged in scratch"));
    }
    if inside.len() > 1 && !order_is_free(stmt) {
        return Err(Diagnostic::new(
            "cannot reorder the loops of this reduction: its result depends on their order",
        )
        .help("sums and extremes are the same in any order"));
    }
    let mut wanted = outside.into_iter();
    set_chain(stmt, around.len(), &mut |l| replace(l, axes, &around, &mut wanted));
    let mut wanted = inside.into_iter();
    set_reduction(stmt, around.len(), &mut |l| replace(l, axes, &summed, &mut wanted));
    Ok(())
}

/// Puts the next wanted loop where one of the axes stands.
fn replace(l: &mut Loop, axes: &[VarId], loops: &[Loop], wanted: &mut impl Iterator<Item = VarId>) {
    if axes.contains(&l.var) {
        let next = wanted.next().expect("as many loops are wanted as there are");
        *l = loops.iter().find(|l| l.var == next).expect("the loop was found before").clone();
    }
}

/// The loops from `stmt` on that stand directly within each other, up to the last one named.
fn chain(stmt: &Stmt, axes: &[VarId]) -> Vec<Loop> {
    let mut loops = Vec::new();
    let mut named = 0;
    let mut at = stmt;
    while let Stmt::For(l, body) = at {
        loops.push(l.clone());
        if axes.contains(&l.var) {
            named = loops.len();
        }
        let [only] = &body[..] else { break };
        at = only;
    }
    if !matches!(at, Stmt::Reduce(_)) {
        loops.truncate(named);
    }
    loops
}

/// The loops of the reduction that is all there is `depth` loops further in.
fn reduction_below(stmt: &Stmt, depth: usize) -> Vec<Loop> {
    match stmt {
        Stmt::For(_, body) if depth > 0 && body.len() == 1 => reduction_below(&body[0], depth - 1),
        Stmt::Reduce(reduce) if depth == 0 => reduce.loops.clone(),
        _ => Vec::new(),
    }
}

fn set_chain(stmt: &mut Stmt, depth: usize, set: &mut dyn FnMut(&mut Loop)) {
    if let (Stmt::For(l, body), 1..) = (stmt, depth) {
        set(l);
        if depth > 1 {
            set_chain(&mut body[0], depth - 1, set);
        }
    }
}

fn set_reduction(stmt: &mut Stmt, depth: usize, set: &mut dyn FnMut(&mut Loop)) {
    match stmt {
        Stmt::For(_, body) if depth > 0 => set_reduction(&mut body[0], depth - 1, set),
        Stmt::Reduce(reduce) if depth == 0 => reduce.loops.iter_mut().for_each(set),
        _ => {}
    }
}
