//! Rewrites of loop nests: what a layer does stays, how it does it changes.

pub mod basis;
pub mod border;
pub mod byte_function;
pub mod bytes4;
pub mod carry;
pub mod collapse;
pub mod common_shift;
pub mod common_term;
pub mod common_types;
pub mod dependence;
pub mod distribute;
pub mod edit;
pub mod expand_composites;
pub mod fill;
pub mod flatten;
pub mod footprint;
pub mod forward;
pub mod fuse;
pub mod hoist;
pub mod im2col;
pub mod implicit_gemm;
pub mod interleave;
pub mod kronecker;
pub mod lanes;
pub mod narrow;
pub mod pack;
pub mod pad;
pub mod pairs;
pub mod park;
pub mod partial_sums;
pub mod peel;
pub mod permute;
pub mod phases;
mod read_groups;
pub mod registers;
mod remove_buffer;
pub mod reorder;
pub mod rescalings;
pub mod ring;
pub mod rotate;
pub mod rows;
pub mod scale;
pub mod short_add;
pub mod short_divide;
pub mod short_form;
pub mod short_requantize;
pub mod simplify;
pub mod split_reduction;
pub mod stage;
pub mod start;
pub mod step;
pub mod sum_offset;
pub mod table;
pub mod tile;
pub mod unroll;
pub mod unroll_and_jam;
pub mod vectorize;
pub mod winograd;

use ir::diag::Diagnostic;
use ir::loops::Nest;
use ir::loops::verify::verify;

use crate::Changed;
use step::StepDef;

/// A rewrite that applies to a nest wherever it can.
#[derive(Clone, Copy)]
pub struct NestPass {
    /// Its name on the command line and in test files.
    pub name: &'static str,
    /// One sentence for the help text.
    pub summary: &'static str,
    /// Rewrites, or says why the nest cannot be what the pass promises.
    pub run: fn(&mut Nest) -> Result<Changed, Diagnostic>,
}

/// Every pass of this level, in the order in which a nest without schedule takes them.
pub const PASSES: &[NestPass] = &[
    border::PASS,            // No core has a load that tests bounds.
    expand_composites::PASS, // Nor an operation that is a formula.
];

/// Every rewrite that schedules can name.
pub const STEPS: &[StepDef] = &[
    tile::STEP,
    collapse::STEP,
    fuse::STEP,
    forward::STEP,
    distribute::STEP,
    split_reduction::STEP,
    partial_sums::STEP,
    peel::STEP,
    pad::STEP,
    reorder::STEP,
    permute::STEP,
    unroll::STEP,
    unroll_and_jam::STEP,
    pack::STEP,
    vectorize::STEP,
    winograd::STEP,
    lanes::STEP,
    phases::STEP,
    narrow::STEP,
    kronecker::STEP,
    scale::STEP,
    short_requantize::STEP,
    common_shift::STEP,
    short_divide::STEP,
    short_add::STEP,
    table::STEP,
    border::STEP,
    stage::STEP,
    im2col::STEP,
    implicit_gemm::STEP,
    ring::STEP,
    rows::STEP,
    interleave::STEP,
    hoist::STEP,
    carry::STEP,
    rotate::STEP,
    park::STEP,
];

/// The pass called `name`.
pub fn find(name: &str) -> Option<NestPass> {
    PASSES.iter().find(|pass| pass.name == name).copied()
}

/// Runs one pass. In debug builds the verifier looks at the result.
pub fn run(pass: &NestPass, nest: &mut Nest) -> Result<Changed, Diagnostic> {
    let changed = (pass.run)(nest)?;
    if cfg!(debug_assertions) && changed == Changed::Yes {
        let errors = verify(nest);
        assert!(errors.is_empty(), "`{}` broke `{}`: {errors:?}", pass.name, nest.name);
    }
    Ok(changed)
}

/// Runs all passes in order: what a nest without schedule goes through before selection.
pub fn legalize(nest: &mut Nest) -> Result<(), Diagnostic> {
    PASSES.iter().try_for_each(|pass| run(pass, nest).map(|_| ()))
}
