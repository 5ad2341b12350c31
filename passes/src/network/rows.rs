//! `rows COUNT`: computes layers that follow each other by rows, and keeps only the rows of tensors between them that are still needed.
//!
//! ```text
//! loops @a(x, y: i8[1, 8, 4, 2]) { for p in 0..32 { … y[p, n] = … } }
//! loops @b(x: i8[1, 8, 4, 2], y) { for row in 0..8 { … x[0, row + ky - 1, column, c] else -9 … } }
//! => rows 1
//! loops @band_a_b(a.x, b.y) {
//!   scratch a.y: i8[1, 10, 4, 2] map (d0: 1, d1 mod 3: 3, d2: 4, d3: 2)
//!   a.y[0, 0, …] = -9                                    // The border above,
//!   … a.y[0, 1, …] = …                                   // and the rows that come before the first one of `b`.
//!   for band in 0..7 {
//!     … a.y[0, band + 2, …] = …
//!     … b.y[0, band, …] = … a.y[0, band + ky, …] …
//!   }
//!   a.y[0, 9, …] = -9
//!   … b.y[0, 7, …] = …
//! }
//! ```
//!
//! It is `join`, and then the step `rows` for the layer that the band has become: nothing is computed twice. Legal where these are.

use ir::diag::Diagnostic;
use ir::loops::Program;

use super::join::join;
use super::{ProgramStep, Run};
use crate::loops;

/// The step.
pub const STEP: ProgramStep = ProgramStep {
    name: "rows",
    usage: "rows COUNT",
    summary: "Compute layers by rows, and keep only the rows between them that are still needed",
    run: Run::Band(|program, layers, args| {
        args.at_most(1)?;
        rows(program, layers, args.int(0)?)
    }),
};

/// Makes one layer of these, of which the last does `count` rows at a time.
pub fn rows(program: &mut Program, layers: std::ops::Range<usize>, count: u32) -> Result<(), Diagnostic> {
    let first = layers.start;
    join(program, layers)?;
    loops::rows::rows(&mut program.layers[first].nest, count)
}
