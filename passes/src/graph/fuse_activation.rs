//! Fuses a `relu` into the clamp of the operator before it.
//!
//! ```text
//! %1 = conv2d %0, %w, %b {clamp = [-128, 127], …} : i8[1, 8, 8, 4] scale 0.1 zero -5
//! %2 = relu %1 {clamp = [-5, 55]} : i8[1, 8, 8, 4] scale 0.1 zero -5
//! =>
//! %1 = conv2d %0, %w, %b {clamp = [-5, 55], …} : i8[1, 8, 8, 4] scale 0.1 zero -5
//! ```
//!
//! Left alone: a `relu` that rescales, and one whose operand has another reader or is given out by the graph.

use ir::graph::ops::Relu;
use ir::graph::{Graph, Op};

use super::{Changed, GraphPass};

/// The pass.
pub const PASS: GraphPass = GraphPass {
    name: "fuse-activation",
    summary: "Fuse activations into the clamp of the operator before",
    run,
};

fn run(graph: &mut Graph) -> Changed {
    let mut changed = Changed::No;
    for relu in graph.find::<Relu>() {
        let (x, y) = (graph.input(relu, 0), graph.output(relu));
        let Some(before) = graph.def_op(x) else { continue };
        if graph.ty(x) != graph.ty(y) || graph.users(x) != [relu.into()] || graph.is_output(x) {
            continue;
        }
        let mut op = graph.op(before).op.clone();
        let Some(clamp) = clamp_mut(&mut op) else { continue };
        *clamp = both(*clamp, graph.op(relu).clamp);
        graph.set_op(before, op);
        graph.replace_uses(y, x);
        graph.remove_op(relu);
        changed = Changed::Yes;
    }
    changed
}

/// The clamp of an operator that ends with one.
fn clamp_mut(op: &mut Op) -> Option<&mut [i32; 2]> {
    match op {
        Op::Add(op) => Some(&mut op.clamp),
        Op::AvgPool2d(op) => Some(&mut op.clamp),
        Op::Conv2d(op) => Some(&mut op.clamp),
        Op::DepthwiseConv2d(op) => Some(&mut op.clamp),
        Op::FullyConnected(op) => Some(&mut op.clamp),
        Op::MaxPool2d(op) => Some(&mut op.clamp),
        Op::Relu(op) => Some(&mut op.clamp),
        _ => None,
    }
}

/// One clamp that does what `first` and then `second` do; where they have no integer in common, `second` decides.
fn both(first: [i32; 2], second: [i32; 2]) -> [i32; 2] {
    first.map(|end| end.clamp(second[0], second[1]))
}
