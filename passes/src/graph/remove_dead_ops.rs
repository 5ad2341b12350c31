//! Removes operators whose results nothing reads.
//!
//! ```text
//! %1 = pad %0 {…}        // no reader
//! %2 = conv2d %0, %w, %b
//! =>
//! %2 = conv2d %0, %w, %b
//! ```
//!
//! Left alone: inputs of the graph, read or not: the caller passes them.

use ir::graph::{Graph, OpId};

use super::{Changed, GraphPass};

/// The pass.
pub const PASS: GraphPass =
    GraphPass { name: "remove-dead-ops", summary: "Remove operators whose results nothing reads", run };

fn run(graph: &mut Graph) -> Changed {
    let mut changed = Changed::No;
    let ids: Vec<OpId> = graph.iter_ops().map(|(id, _)| id).collect();
    for id in ids.into_iter().rev() {
        let output = graph.output(id);
        if graph.users(output).is_empty() && !graph.is_output(output) {
            graph.remove_op(id);
            changed = Changed::Yes;
        }
    }
    changed
}
