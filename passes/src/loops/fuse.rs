//! `fuse AXIS AXIS`: makes one loop of two that follow each other.
//!
//! ```text
//! for i in 0..8 { A(i) }
//! for j in 0..8 { B(j) }
//! =>
//! for i in 0..8 { A(i); B(i) }
//! ```
//!
//! Legal for loops of the same extent in the same block with nothing between them, where no iteration of the second reads what a
//! later one of the first writes, or writes what that one reads or writes.

use ir::diag::Diagnostic;
use ir::loops::{Index, Loop, Nest, Stmt, VarId};

use super::dependence::{Part, conflict};
use super::edit::{Site, loop_of, substitute, with_loop};
use super::step::StepDef;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "fuse",
    usage: "fuse AXIS AXIS",
    summary: "Make one loop of two that follow each other",
    run: |nest, args| {
        args.at_most(2)?;
        let (first, second) = (args.axis(nest, 0)?, args.axis(nest, 1)?);
        fuse(nest, first, second)
    },
};

/// Makes one loop of the one over `first` and the one over `second`, which follows it; it keeps the variable of the first.
pub fn fuse(nest: &mut Nest, first: VarId, second: VarId) -> Result<(), Diagnostic> {
    let (a, b) = (nest.vars[first.idx()].clone(), nest.vars[second.idx()].clone());
    let cannot = |reason: String| Diagnostic::new(format!("cannot fuse `{a}` and `{b}`: {reason}"));
    let (head, tail) = (loop_of(nest, first), loop_of(nest, second));
    let Some((before, mut behind)) = bodies(nest, first, second) else {
        return Err(cannot(format!("the loop over `{b}` does not directly follow the one over `{a}`"))
            .help("legal for loops in the same block with nothing between them"));
    };
    if head.extent != tail.extent {
        // What is over stays outside: in front of the first loop, or behind the second.
        let step = match head.extent > tail.extent {
            true => format!("peel {a} first {}", head.extent - tail.extent),
            false => format!("peel {b} {}", tail.extent - head.extent),
        };
        return Err(cannot(format!("their extents are {} and {}", head.extent, tail.extent))
            .help(format!("take iterations off first: `{step}`")));
    }
    let (from, to) = (Part { axis: first, body: &before }, Part { axis: second, body: &behind });
    if let Some(reason) = conflict(nest, from, to, head.extent) {
        return Err(
            cannot(reason).help("legal where an iteration needs only what the same and earlier ones did")
        );
    }
    substitute(&mut behind, second, &Index::var(first));
    let fused = Loop { unroll: head.unroll && tail.unroll, ..head };
    let body: Vec<Stmt> = before.into_iter().chain(behind).collect();
    with_loop(&mut nest.body, first, &mut |site| {
        if let Site::For(block, at) = site {
            block.splice(at..at + 2, [Stmt::For(fused.clone(), body.clone())]);
        }
    });
    Ok(())
}

/// What two loops repeat, the second of which directly follows the first.
fn bodies(nest: &mut Nest, first: VarId, second: VarId) -> Option<(Vec<Stmt>, Vec<Stmt>)> {
    with_loop(&mut nest.body, first, &mut |site| match site {
        Site::For(block, at) => match &block[at..] {
            [Stmt::For(_, before), Stmt::For(l, behind), ..] if l.var == second => {
                Some((before.clone(), behind.clone()))
            }
            _ => None,
        },
        Site::Reduction(..) => None,
    })?
}
