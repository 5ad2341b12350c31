//! `split-reduction AXIS PARTS`: makes loops of a reduction's loop, one after the other, whose sums continue each other.
//!
//! ```text
//! reduce a over k in 0..10 { init { … } update { U(k) } finish { … } }
//! => split-reduction k 2
//! reduce a {
//!   init { … }
//!   update {
//!     for k.0 in 0..5 { U(k.0) }
//!     for k.1 in 0..5 { U(k.1 + 5) }
//!   }
//!   finish { … }
//! }
//! ```
//!
//! Each part has addresses of its own, so that offsets from them fit in the loads of a long sum. Where the number of parts does not divide the
//! extent, the first parts have one iteration more. The axis is the outermost loop of its reduction, whose others move into the
//! parts, or a loop of an update. The order of iterations stays, so it is legal for any number of parts up to the extent.

use ir::diag::Diagnostic;
use ir::loops::walk::blocks;
use ir::loops::{Index, Loop, Nest, Reduce, Stmt, VarId};

use super::edit::{body_of, loop_of, rename_locals, renew_vars, replace_loop, substitute};
use super::simplify::simplify;
use super::step::StepDef;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "split-reduction",
    usage: "split-reduction AXIS PARTS",
    summary: "Make loops of a reduction's loop, one after the other, whose sums continue each other",
    run: |nest, args| {
        args.at_most(2)?;
        let axis = args.axis(nest, 0)?;
        split_reduction(nest, axis, args.int(1)?)
    },
};

/// Makes this many loops of the one over `axis`.
pub fn split_reduction(nest: &mut Nest, axis: VarId, parts: u32) -> Result<(), Diagnostic> {
    let name = nest.vars[axis.idx()].clone();
    let cannot = |reason: String| Diagnostic::new(format!("cannot split `{name}` into {parts}: {reason}"));
    let around = loop_of(nest, axis);
    if parts < 2 || parts > around.extent {
        let help = match around.extent {
            0 | 1 => "legal for loops of two iterations or more".into(),
            extent => format!("legal: 2 to {extent} parts"),
        };
        return Err(cannot(format!("its extent is {}", around.extent)).help(help));
    }
    if !is_summed(&nest.body, axis, false) {
        return Err(cannot("it is no loop of a reduction".into())
            .help(format!("take iterations off: `peel {name} {}`", around.extent / parts)));
    }
    let Some(body) = body_of(nest, axis, outermost) else {
        return Err(cannot("other loops of its reduction stand around it".into())
            .help(format!("make it the outermost one first: `reorder {name} …`")));
    };
    let mut loops = Vec::new();
    let mut start = 0;
    for number in 0..parts {
        let extent = around.extent / parts + u32::from(number < around.extent % parts);
        let var = nest.add_var(format!("{name}.{number}"));
        let mut part = body.clone();
        if number > 0 {
            renew_vars(nest, &mut part);
            rename_locals(nest, &mut part);
        }
        substitute(&mut part, axis, &Index::var(var).offset(start));
        loops.push(Stmt::For(Loop { var, extent, unroll: around.unroll }, part));
        start += i64::from(extent);
    }
    replace_loop(nest, axis, loops);
    simplify(nest);
    Ok(())
}

/// Whether the loop over `axis` belongs to a reduction: is one of its loops, or stands in its update.
fn is_summed(block: &[Stmt], axis: VarId, inside: bool) -> bool {
    block.iter().any(|stmt| match stmt {
        Stmt::For(l, _) if l.var == axis => inside,
        Stmt::Reduce(reduce) => {
            reduce.loops.iter().any(|l| l.var == axis)
                || is_summed(&reduce.update, axis, true)
                || is_summed(&reduce.init, axis, false)
                || is_summed(&reduce.finish, axis, false)
        }
        _ => blocks(stmt).into_iter().any(|inner| is_summed(inner, axis, inside)),
    })
}

/// What one iteration of the outermost loop of a reduction does.
fn outermost(reduce: &Reduce, position: usize) -> Option<Vec<Stmt>> {
    (position == 0).then(|| {
        let inner = reduce.loops[1..].iter().rev();
        inner.fold(reduce.update.clone(), |body, l| vec![Stmt::For(l.clone(), body)])
    })
}
