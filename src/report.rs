//! What is known about a compiled model: every cycle and every byte, as a whole and by layer.
//!
//! Its JSON form is what `tinyc build --json` prints; the names of the fields are part of the command line.

use serde::Serialize;

/// A compiled model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The prefix of its symbols.
    pub model: String,
    /// The core that the code is for: `cortex-m4`.
    pub cpu: String,
    /// Predicted cycles of one inference.
    pub cycles: u64,
    /// Size of the arena, with inputs, outputs and scratch.
    pub arena_bytes: u32,
    /// Stack of a run, all calls included.
    pub stack_bytes: u32,
    /// Code and constants.
    pub flash_bytes: u32,
    /// The part of the flash that is code.
    pub code_bytes: u32,
    /// The part of the flash that is weights and other constants.
    pub const_bytes: u32,
    /// Multiply-accumulates of one inference that the result needs.
    pub macs: u64,
    /// The layers, in order of execution.
    pub layers: Vec<LayerReport>,
}

/// One layer of a compiled model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerReport {
    /// Its name, as schedules and messages say it.
    pub name: String,
    /// The operator of the graph.
    pub op: String,
    /// Extents of its result, outermost first.
    pub shape: Vec<usize>,
    /// Multiply-accumulates that its result needs.
    pub macs: u64,
    /// Predicted cycles of its function, call included.
    pub cycles: u64,
    /// Its code and its constants.
    pub flash_bytes: u32,
    /// Bytes of the arena that only it uses, while it runs.
    pub scratch_bytes: u32,
    /// The symbol of its function in the object file.
    pub symbol: String,
}
