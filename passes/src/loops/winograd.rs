//! `winograd 2|4 [at COUNT] [by COUNT]`: computes tiles of 2 by 2, or 4 by 4, outputs of a 3x3 convolution with fewer products.
//!
//! ```text
//! for row in 0..8 { for column in 0..8 { for n in 0..16 {
//!   reduce a over ky in 0..3, kx in 0..3, k in 0..16 { … mul(x[row + ky, column + kx, k], w[n, ky, kx, k]) … }
//! } } }
//! => winograd 4 at 2
//! for row.o in 0..2 {                                            // Two tiles at a time, of 4 by 4 outputs.
//!   for tile_in in 0..2 { for k_in in 0..16 {                    // 36 inputs become 36 combinations.
//!     x_winograd[0, tile_in, k_in] = …  x_winograd[1, tile_in, k_in] = … …
//!   } }
//!   for position in 0..36 { for tile in 0..2 { for n in 0..16 {  // A matrix product for each.
//!     reduce a over k in 0..16 { … mul(x_winograd[position, tile, k], w_winograd[position, n, k]) … }
//!   } } }
//!   for tile_out in 0..2 { for n_out in 0..16 {                  // Combinations of the sums are the outputs, times 576.
//!     reduce a_out: i32[4, 4] {
//!       init { a_out[0, 0] = …  a_out[0, 1] = …  … }
//!       finish { for row_out in 0..4 unroll { for column_out in 0..4 unroll {
//!         y[4*row.o + row_out, 4*tile_out + column_out, n_out] = … unscaled(a_out[row_out, column_out], …) {by = 576} …
//!       } } }
//!     }
//!   } }
//! }
//! ```
//!
//! `at` gives the number of tiles that share what is loaded of the weights, side by side or whole rows of them; `by` makes
//! blocks of that many channels, so that the sums of one block only are kept. The matrices are [`algorithm`]'s, the weights' transform is a
//! constant. All sums wrap; what is read at the end is the old sum times 4 or 576, exactly, and `unscaled` says within which bounds.
//!
//! Legal for three loops around a sum over a window of 3 by 3 and channels, in which both inputs move by one with output and tap, and where the
//! real weights show that transformed weights and inputs are halfwords and that no scaled sum leaves its word. Sizes need not be multiples of
//! the tile: tiles reach beyond the outputs then, and go through a copy of which the outputs are the part inside.

mod algorithm;
mod build;
mod site;

use ir::diag::Diagnostic;
use ir::loops::{Nest, Stmt};
use ir::ty::Ty;

use super::edit::{Site, with_loop};
use super::step::{Arg, StepDef};
use crate::proofs::accumulators::Interval;
use algorithm::Algorithm;
use build::{Build, Tiles};
use site::Convolution;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "winograd",
    usage: "winograd 2|4 [at COUNT] [by COUNT]",
    summary: "Compute tiles of a 3x3 convolution with fewer products",
    run: |nest, args| {
        let outputs = args.int(0)?;
        let (mut tiles, mut channels) = (1, None);
        let mut next = 1;
        if args.get(next) == Some(&Arg::Word("at".into())) {
            tiles = args.int(next + 1)?;
            next += 2;
        }
        if args.get(next) == Some(&Arg::Word("by".into())) {
            channels = Some(args.int(next + 1)?);
            next += 2;
        }
        args.at_most(next)?;
        winograd(nest, outputs, tiles, channels)
    },
};

/// Rewrites the first convolution of the nest that allows it: tiles of `outputs` by `outputs`, this many at a time, and
/// all channels or blocks of them.
pub fn winograd(nest: &mut Nest, outputs: u32, tiles: u32, channels: Option<u32>) -> Result<(), Diagnostic> {
    let named = |error: Diagnostic| Diagnostic {
        message: format!("cannot apply `winograd {outputs}`: {}", error.message),
        ..error
    };
    let Some(algorithm) = Algorithm::of(outputs) else {
        return Err(named(
            Diagnostic::new("there are no such tiles").help("legal: `winograd 2`, `winograd 4`"),
        ));
    };
    let convolution = site::find(nest).map_err(named)?;
    let build = plan(nest, algorithm, convolution, tiles, channels).map_err(named)?;
    let row = build.convolution.loops[0].var;
    let mut stmts = build.statements(nest).map_err(named)?;
    with_loop(&mut nest.body, row, &mut |place| match place {
        Site::For(block, at) => drop(block.splice(at..=at, stmts.drain(..))),
        Site::Reduction(..) => unreachable!("the loop stands around a reduction"),
    });
    Ok(())
}

/// Checks what the numbers have to show.
fn plan(
    nest: &Nest,
    algorithm: Algorithm,
    convolution: Convolution,
    at: u32,
    channels: Option<u32>,
) -> Result<Build, Diagnostic> {
    let tiles = Tiles::of(&algorithm, convolution.row().extent, convolution.column().extent, at)?;
    let n_channels = convolution.channel().extent;
    let channels = channels.unwrap_or(n_channels);
    if channels == 0 || !n_channels.is_multiple_of(channels) {
        return Err(Diagnostic::new(format!("{n_channels} channels are no multiple of {channels}"))
            .help(format!("legal: by {}", listed(&divisors(n_channels)))));
    }
    let inputs = algorithm.input.kronecker(&algorithm.input)?;
    let x = convolution.inputs();
    if !inputs
        .ranges(&vec![x; inputs.width()])
        .iter()
        .all(|range| range.is_within(Interval::of_type(Ty::I16)))
    {
        let name = &nest.buffers[convolution.x.buffer.idx()].name;
        return Err(Diagnostic::new(format!("combinations of `{name}` do not fit in `i16`"))
            .help("legal for inputs that are bytes; of larger ones `winograd 2` takes less"));
    }
    let sums = convolution.sums(nest)?;
    let scale = algorithm.scale * algorithm.scale;
    let fits = |sum: &&Interval| sum.times(Interval::point(scale)).is_within(Interval::of_type(Ty::I32));
    if let Some(sum) = sums.iter().find(|sum| !fits(sum)) {
        let message = format!("sums from {} to {} times {scale} leave `i32`", sum.low, sum.high);
        let refusal = Diagnostic::new(message);
        return Err(if algorithm.outputs > 2 {
            refusal.help("a smaller factor: `winograd 2`")
        } else {
            refusal
        });
    }
    let build = Build { algorithm, convolution, tiles, channels, sums };
    let x = build.convolution.x.buffer;
    if build.leaves() && build.convolution.x.border.is_none() && nest.stored()[x.idx()] {
        let name = &nest.buffers[x.idx()].name;
        return Err(Diagnostic::new(format!("tiles reach beyond `{name}`, which the nest fills"))
            .help("apply it before inputs are copied, by `stage` or `border`"));
    }
    Ok(build)
}

fn divisors(n: u32) -> Vec<u32> {
    (1..=n).filter(|d| n.is_multiple_of(*d)).collect()
}

fn listed(numbers: &[u32]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Whether a statement is a loop.
fn only_loop(block: &[Stmt]) -> Option<(&ir::loops::Loop, &[Stmt])> {
    match block {
        [Stmt::For(l, body)] => Some((l, body)),
        _ => None,
    }
}
