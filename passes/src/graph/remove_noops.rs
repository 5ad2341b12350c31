//! Removes operators that change nothing.
//!
//! ```text
//! %1 = pad %0 {margins = [[0, 0], [0, 0], [0, 0], [0, 0]], value = -128}
//! %2 = conv2d %1, %w, %b
//! =>
//! %2 = conv2d %0, %w, %b
//! ```
//!
//! So go, too: a `reshape` to the same shape, before another `reshape`, or before a `fully_connected`, which reads rows
//! whatever the shape; a `transpose` that keeps the order; a `quantize` to the same scale and zero point; a `relu` that
//! neither rescales nor clamps any integer that can occur; pools of one element; a `mean` of one element.
//! Left alone: an operator whose result the graph gives out, if its operand is no result.

use ir::graph::ops::{FullyConnected, Mean, Reshape};
use ir::graph::{Graph, Op, OpId};

use super::ranges::Ranges;
use super::{Changed, GraphPass, bypass};

/// The pass.
pub const PASS: GraphPass =
    GraphPass { name: "remove-noops", summary: "Remove operators that change nothing", run };

fn run(graph: &mut Graph) -> Changed {
    let mut changed = see_through_reshapes(graph);
    let ids: Vec<OpId> = graph.iter_ops().map(|(id, _)| id).collect();
    let ranges = Ranges::of(graph);
    for id in ids {
        if is_noop(graph, &ranges, id) && bypass(graph, id, 0) == Changed::Yes {
            changed = Changed::Yes;
        }
    }
    changed
}

/// Lets operators that see only the order of elements read what a `reshape` reads.
fn see_through_reshapes(graph: &mut Graph) -> Changed {
    let reshapes = graph.find::<Reshape>().into_iter().map(OpId::from);
    let rows = graph.find::<FullyConnected>().into_iter().map(OpId::from);
    let readers: Vec<OpId> = reshapes.chain(rows).collect();
    let mut changed = Changed::No;
    for reader in readers {
        while let Some(reshape) =
            graph.def_op(graph.input(reader, 0)).and_then(|id| graph.typed::<Reshape>(id))
        {
            let seen = graph.output(reshape);
            graph.set_input(reader, 0, graph.input(reshape, 0));
            if graph.users(seen).is_empty() && !graph.is_output(seen) {
                graph.remove_op(reshape);
            }
            changed = Changed::Yes;
        }
    }
    changed
}

/// Whether the result always equals the first operand, in type and in every element.
fn is_noop(graph: &Graph, ranges: &Ranges, id: OpId) -> bool {
    let data = graph.op(id);
    let Some(&input) = data.inputs.first() else { return false };
    let (x, y) = (graph.ty(input), graph.ty(data.output));
    if x != y {
        return false;
    }
    let clamps = |clamp: [i32; 2]| {
        let bites = |range: &[i32; 2]| range[0] < clamp[0] || range[1] > clamp[1];
        ranges.channels(input).iter().any(bites)
    };
    match &data.op {
        Op::Pad(_) | Op::Reshape(_) | Op::Quantize(_) => true, // Nothing is left to differ.
        Op::Transpose(op) => keeps_order(&op.perm, &x.shape),
        Op::Relu(op) => !clamps(op.clamp),
        Op::MaxPool2d(op) => op.window == [1, 1] && op.stride == [1, 1] && !clamps(op.clamp),
        Op::AvgPool2d(op) => op.window == [1, 1] && op.stride == [1, 1] && !clamps(op.clamp),
        Op::Mean(op) => Mean::count(op, x) == 1,
        _ => false,
    }
}

/// Whether the dimensions with more than one index stay in order.
fn keeps_order(perm: &[usize], shape: &[usize]) -> bool {
    let moved: Vec<usize> = perm.iter().copied().filter(|&dim| shape[dim] != 1).collect();
    moved.is_sorted()
}
