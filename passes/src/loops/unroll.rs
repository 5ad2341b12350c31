//! `unroll AXIS`: the emitted code repeats the body instead of branching; `unroll AXIS SIZE` does so within tiles.
//!
//! ```text
//! for k in 0..4 { S(k) }
//! =>
//! for k in 0..4 unroll { S(k) }
//! ```
//!
//! Always legal within the bound on the size of the code: [`MOST_COPIES`] copies of an innermost body.

use ir::diag::Diagnostic;
use ir::loops::{Nest, Stmt, VarId};

use super::edit::{Site, blocks_mut, loop_of, with_loop};
use super::step::StepDef;
use super::tile::tile;

/// The most copies that unrolled loops within each other may make of a statement.
pub const MOST_COPIES: u64 = 2048;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "unroll",
    usage: "unroll AXIS [SIZE]",
    summary: "Repeat the body of a loop in the code instead of branching",
    run: |nest, args| {
        args.at_most(2)?;
        let axis = args.axis(nest, 0)?;
        if args.len() == 1 {
            return unroll(nest, axis);
        }
        let (_, inner) = tile(nest, axis, args.int(1)?)?;
        unroll(nest, inner)
    },
};

/// Marks the loop over `axis`.
pub fn unroll(nest: &mut Nest, axis: VarId) -> Result<(), Diagnostic> {
    let name = nest.vars[axis.idx()].clone();
    let extent = loop_of(nest, axis).extent;
    with_loop(&mut nest.body, axis, &mut |site| match site {
        Site::For(block, at) => match &mut block[at] {
            Stmt::For(l, _) => l.unroll = true,
            _ => unreachable!("a site is a loop"),
        },
        Site::Reduction(block, at, position) => match &mut block[at] {
            Stmt::Reduce(reduce) => reduce.loops[position].unroll = true,
            _ => unreachable!("a site is a reduction"),
        },
    });
    let copies = copies(&mut nest.body);
    if copies > MOST_COPIES {
        let message = format!(
            "cannot unroll `{name}` of extent {extent}: a statement would stand {copies} times in the code"
        );
        return Err(Diagnostic::new(message)
            .help(format!("at most {MOST_COPIES} copies; unroll a part: `unroll {name} 4`")));
    }
    Ok(())
}

/// How often the most repeated statement stands in the code.
fn copies(block: &mut [Stmt]) -> u64 {
    block.iter_mut().map(copies_of).max().unwrap_or(1)
}

fn copies_of(stmt: &mut Stmt) -> u64 {
    let factor: u64 = match stmt {
        Stmt::For(l, _) if l.unroll => l.extent.into(),
        Stmt::Reduce(reduce) => {
            reduce.loops.iter().filter(|l| l.unroll).map(|l| u64::from(l.extent)).product()
        }
        _ => 1,
    };
    let inner = blocks_mut(stmt).into_iter().map(|block| copies(block)).max().unwrap_or(1);
    factor.saturating_mul(inner)
}
