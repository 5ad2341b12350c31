//! `common-shift`: rescales all layers of a group with one shift, which they need in common to share their code.
//!
//! ```text
//! loops @conv_4(…) { … y[p, n] = requantize a, m[n], s[n] {zero = -128, min = -128, max = 127} … }    // s of -6 to -8
//! loops @conv_6(…) { … y[p, n] = requantize a, m[n], s[n] {zero = -128, min = -128, max = 127} … }    // s of -5 to -7
//! =>
//! loops @conv_4(…) { … y[p, n] = ssat mul_high_add(m_high[n], a, m_short[n]) {bits = 8, asr = 4} … }
//! loops @conv_6(…) { … y[p, n] = ssat mul_high_add(m_high[n], a, m_short[n]) {bits = 8, asr = 4} … }
//! ```
//!
//! Steps for the layers that stand above it leave the rescalings alone; those below it see the constants that it leaves, which `interleave` may
//! take. What it does to each layer, and how the shift is found, is
//! said at the step for one layer ([`crate::loops::common_shift`]).
//!
//! Legal where each layer is rescaled and there is a shift for all channels of all layers.

use ir::diag::Diagnostic;
use ir::loops::{Nest, Program};

use super::{ProgramStep, Run};
use crate::loops::common_shift;

/// The step.
pub const STEP: ProgramStep = ProgramStep {
    name: "common-shift",
    usage: "common-shift",
    summary: "Rescale all layers of a group with one shift",
    run: Run::Group(|program, layers, args| {
        args.at_most(0)?;
        common_shift(program, layers)
    }),
};

/// Shortens every rescaling of the layers of these numbers with one shift.
pub fn common_shift(program: &mut Program, layers: &[usize]) -> Result<(), Diagnostic> {
    let named = program.layers.iter_mut().enumerate().filter(|(number, _)| layers.contains(number));
    let mut nests: Vec<&mut Nest> = named.map(|(_, layer)| &mut layer.nest).collect();
    common_shift::common_shift(&mut nests).map(|_| ())
}
