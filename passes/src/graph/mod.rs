//! Passes over the graph level, and the order in which the compiler runs them.
//!
//! Every pass keeps the meaning of the graph to the last bit, [`strip_float_boundary`] aside, which moves the boundary
//! between the model and its user. A pass leaves alone what it does not know.

pub mod eliminate_dead_channels;
pub mod fold_constants;
pub mod fold_pad;
pub mod fuse_activation;
pub mod ranges;
pub mod remove_dead_ops;
pub mod remove_noops;
pub mod strip_float_boundary;
pub mod trim_windows;

mod slice;

use ir::graph::verify::verify;
use ir::graph::{Graph, OpId};

pub use crate::Changed;

/// A pass over a graph.
#[derive(Clone, Copy, Debug)]
pub struct GraphPass {
    /// Its name on the command line and in tests.
    pub name: &'static str,
    /// What it does, as an imperative without a full stop.
    pub summary: &'static str,
    /// Changes the graph, and says whether it did.
    pub run: fn(&mut Graph) -> Changed,
}

/// Every pass, in the order in which the compiler runs them.
pub const PIPELINE: &[GraphPass] = &[
    strip_float_boundary::PASS, // First: all others know only integers.
    fold_constants::PASS,
    remove_noops::PASS,    // Before patterns of neighbours are looked for.
    fold_pad::PASS,        // Before lowering, which knows no padding of convolutions by another operator.
    trim_windows::PASS,    // After padding is folded: what the window meets is known.
    fuse_activation::PASS, // Before channels are judged: a clamp makes constants.
    remove_dead_ops::PASS, // Before channels are judged: what a dead operator reads would stay.
    eliminate_dead_channels::PASS,
];

/// The pass called `name`.
pub fn find(name: &str) -> Option<GraphPass> {
    PIPELINE.iter().find(|pass| pass.name == name).copied()
}

/// Runs all passes in order; `after` sees the graph after each.
pub fn optimize(graph: &mut Graph, mut after: impl FnMut(&GraphPass, &Graph)) {
    for pass in PIPELINE {
        run(pass, graph);
        after(pass, graph);
    }
}

/// Runs one pass and renumbers what is left. In debug builds the verifier looks at the result.
pub fn run(pass: &GraphPass, graph: &mut Graph) -> Changed {
    let changed = (pass.run)(graph);
    if changed == Changed::Yes {
        graph.compact();
    }
    if cfg!(debug_assertions) {
        let errors = verify(graph);
        assert!(errors.is_empty(), "`{}` broke the graph: {errors:?}", pass.name);
    }
    changed
}

/// Lets all readers of an operator's result read its operand `idx`, and removes the operator.
///
/// Refuses where the graph would give out an input, a constant, or one value as two outputs.
fn bypass(graph: &mut Graph, id: OpId, idx: usize) -> Changed {
    let (from, to) = (graph.output(id), graph.input(id, idx));
    if graph.is_output(from) && (graph.is_output(to) || graph.def_op(to).is_none()) {
        return Changed::No;
    }
    graph.replace_uses(from, to);
    graph.remove_op(id);
    Changed::Yes
}
