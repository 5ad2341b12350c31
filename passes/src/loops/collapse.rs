//! `collapse AXIS AXIS …`: makes one loop of loops that stand directly within each other.
//!
//! ```text
//! for row in 0..5 { for column in 0..4 { S(row, column) } }
//! =>
//! for row_column in 0..20 { S(row_column div 4, row_column mod 4) }
//! ```
//!
//! The inverse of `tile`. Loops of one reduction, one after the other, collapse the same way: the window of a convolution becomes one
//! sum. Where the storage is contiguous along the loops, positions are those of a single loop again, since a quotient and its
//! remainder join. The order of iterations stays; the loops are named in their order, outermost first. Refused where only some of them
//! are unrolled: what is in registers by an unrolled loop would be chosen by one that branches.

use ir::diag::Diagnostic;
use ir::loops::{Index, Loop, MOST_ITERATIONS, Nest, Stmt, VarId};

use super::edit::{Site, fresh_var, substitute, with_loop};
use super::simplify::simplify;
use super::step::StepDef;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "collapse",
    usage: "collapse AXIS AXIS …",
    summary: "Make one loop of loops that stand directly within each other",
    run: |nest, args| {
        let axes = args.axes(nest, 0)?;
        collapse(nest, &axes).map(|_| ())
    },
};

/// Makes one loop of those over `axes`, outermost first; gives its variable.
pub fn collapse(nest: &mut Nest, axes: &[VarId]) -> Result<VarId, Diagnostic> {
    if axes.len() < 2 || (1..axes.len()).any(|at| axes[..at].contains(&axes[at])) {
        return Err(Diagnostic::new("`collapse` takes two axes or more, each once")
            .help(format!("usage: `{}`", STEP.usage)));
    }
    let names: Vec<String> = axes.iter().map(|axis| nest.vars[axis.idx()].clone()).collect();
    let taken = with_loop(&mut nest.body, axes[0], &mut |site| match site {
        Site::For(block, at) => take_chain(&block[at], axes, &names),
        Site::Reduction(block, at, position) => {
            let Stmt::Reduce(reduce) = &block[at] else { unreachable!("a site is a reduction") };
            take_summed(&reduce.loops[position..], &reduce.update, axes, &names)
        }
    });
    let (loops, mut body) = taken.expect("the axis is in the body")?;
    if loops.iter().any(|l| l.unroll != loops[0].unroll) {
        return Err(Diagnostic::new(format!(
            "cannot collapse `{}`: some of the loops are unrolled, and others are not",
            names.join(" ")
        ))
        .help("collapse first, then `unroll`"));
    }
    let extent = loops.iter().try_fold(1u32, |product, l| product.checked_mul(l.extent));
    let Some(extent) = extent.filter(|extent| *extent <= MOST_ITERATIONS) else {
        return Err(Diagnostic::new(format!(
            "cannot collapse `{}`: a loop has at most {MOST_ITERATIONS} iterations",
            names.join(" ")
        ))
        .help("collapse fewer loops"));
    };
    let var = fresh_var(nest, &names.join("_"));
    let mut rest = Index::var(var);
    for (number, l) in loops.iter().enumerate().rev() {
        let value = if number == 0 { rest.clone() } else { rest.modulo(l.extent) };
        substitute(&mut body, l.var, &value);
        rest = rest.div(l.extent);
    }
    let collapsed = Loop { var, extent, unroll: loops[0].unroll };
    put(nest, axes, collapsed, body);
    simplify(nest);
    Ok(var)
}

/// The loops over `axes` from `stmt` on, and the statements inside.
fn take_chain(stmt: &Stmt, axes: &[VarId], names: &[String]) -> Result<(Vec<Loop>, Vec<Stmt>), Diagnostic> {
    let (mut loops, mut inside) = (Vec::new(), std::slice::from_ref(stmt));
    for (axis, name) in axes.iter().zip(names) {
        match inside {
            [Stmt::For(l, body)] if l.var == *axis => {
                loops.push(l.clone());
                inside = body;
            }
            [Stmt::Reduce(reduce)] if reduce.loops.iter().any(|l| l.var == *axis) => {
                return Err(Diagnostic::new(format!(
                    "cannot collapse `{name}`: it is a loop of a reduction, and `{}` is not",
                    names[0]
                ))
                .help("collapse loops of the same reduction, or loops around it"));
            }
            _ => return Err(apart(name)),
        }
    }
    Ok((loops, inside.to_vec()))
}

/// The loops over `axes` that a reduction's loops begin with, and its update.
fn take_summed(
    loops: &[Loop],
    update: &[Stmt],
    axes: &[VarId],
    names: &[String],
) -> Result<(Vec<Loop>, Vec<Stmt>), Diagnostic> {
    for (at, axis) in axes.iter().enumerate() {
        if loops.get(at).is_none_or(|l| l.var != *axis) {
            return Err(apart(&names[at]));
        }
    }
    Ok((loops[..axes.len()].to_vec(), update.to_vec()))
}

/// Puts the loop over what it repeats where the loops over `axes` are.
fn put(nest: &mut Nest, axes: &[VarId], collapsed: Loop, body: Vec<Stmt>) {
    with_loop(&mut nest.body, axes[0], &mut |site| match site {
        Site::For(block, at) => block[at] = Stmt::For(collapsed.clone(), body.clone()),
        Site::Reduction(block, at, position) => {
            let Stmt::Reduce(reduce) = &mut block[at] else { unreachable!("a site is a reduction") };
            reduce.update = body.clone();
            reduce.loops.splice(position..position + axes.len(), [collapsed.clone()]);
        }
    });
}

fn apart(name: &str) -> Diagnostic {
    Diagnostic::new(format!("cannot collapse `{name}`: it does not stand directly inside of the axis before"))
        .help("move it there first: `reorder`")
}
