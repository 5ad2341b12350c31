//! Computes operators that read only constants.
//!
//! ```text
//! %2 = add %a, %b        // two constants
//! =>
//! %2 = const i8[4] …
//! ```
//!
//! Left alone: results that the graph gives out.

use ir::graph::{Graph, OpId, Tensor};

use super::{Changed, GraphPass};

/// The pass.
pub const PASS: GraphPass =
    GraphPass { name: "fold-constants", summary: "Compute operators that read only constants", run };

fn run(graph: &mut Graph) -> Changed {
    let mut changed = Changed::No;
    let ids: Vec<OpId> = graph.iter_ops().map(|(id, _)| id).collect();
    for id in ids {
        let data = graph.op(id);
        let operands: Option<Vec<Tensor>> =
            data.inputs.iter().map(|value| graph.const_tensor(*value)).collect();
        let Some(operands) = operands.filter(|_| !graph.is_output(data.output)) else { continue };
        let result = data.op.eval(&operands.iter().collect::<Vec<_>>(), graph.ty(data.output));
        graph.replace_by_const(id, result.data);
        changed = Changed::Yes;
    }
    changed
}
