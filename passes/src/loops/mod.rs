//! Rewrites of loop nests: what a layer does stays, how it does it changes.

pub mod border;
pub mod edit;
pub mod expand_composites;

use ir::diag::Diagnostic;
use ir::loops::Nest;

use crate::Changed;

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
