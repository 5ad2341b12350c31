//! Moves the boundary of the model from real numbers to the integers inside: the user quantises and dequantises.
//!
//! ```text
//! graph(%0: f32[1, 8]) { %1 = quantize %0 : i8[1, 8] scale 0.5 zero 3 … %8 = dequantize %7 : f32[1, 2]  return %8 }
//! =>
//! graph(%0: i8[1, 8] scale 0.5 zero 3) { … return %7 }
//! ```
//!
//! Operators that only move elements may stand between: `transpose` and `reshape` then move integers. Scales and zero
//! points stay in the types of the inputs and outputs, where the C header finds them. Left alone: floats that anything
//! else reads, and a `quantize` from integers to integers.

use ir::graph::ops::{Dequantize, Quantize};
use ir::graph::{Graph, Op, OpId, Value};
use ir::ty::{TensorType, Ty};

use super::{Changed, GraphPass};

/// The pass.
pub const PASS: GraphPass = GraphPass {
    name: "strip-float-boundary",
    summary: "Let inputs and outputs be the integers that a model converts from and to floats",
    run,
};

fn run(graph: &mut Graph) -> Changed {
    let mut changed = Changed::No;
    for quantize in graph.find::<Quantize>() {
        let (x, y) = (graph.input(quantize, 0), graph.output(quantize));
        if let Some(chain) = input_chain(graph, x, quantize.into()) {
            retype(graph, &chain, y);
            graph.replace_uses(y, x);
            graph.remove_op(quantize);
            changed = Changed::Yes;
        }
    }
    for dequantize in graph.find::<Dequantize>() {
        let (x, y) = (graph.input(dequantize, 0), graph.output(dequantize));
        if graph.const_data(x).is_some() || graph.is_output(x) {
            continue; // The graph would give out a constant, or one value twice.
        }
        if let Some(chain) = output_chain(graph, y) {
            retype(graph, &chain, x);
            graph.replace_uses(y, x);
            graph.remove_op(dequantize);
            changed = Changed::Yes;
        }
    }
    changed
}

/// The float values from a graph input down to `x`, if nothing but this chain and `reader` reads them.
fn input_chain(graph: &Graph, mut x: Value, mut reader: OpId) -> Option<Vec<Value>> {
    let mut chain = Vec::new();
    loop {
        if graph.ty(x).elem != Ty::F32 || graph.users(x) != [reader] || graph.is_output(x) {
            return None;
        }
        chain.push(x);
        if graph.inputs.contains(&x) {
            return Some(chain);
        }
        reader = graph.def_op(x).filter(|id| moves_elements(graph, *id))?;
        x = graph.input(reader, 0);
    }
}

/// The float values from `y` to a graph output, if nothing but this chain reads them.
fn output_chain(graph: &Graph, mut y: Value) -> Option<Vec<Value>> {
    let mut chain = Vec::new();
    loop {
        chain.push(y);
        match (graph.users(y).as_slice(), graph.is_output(y)) {
            ([], true) => return Some(chain),
            ([reader], false) if moves_elements(graph, *reader) => y = graph.output(*reader),
            _ => return None,
        }
    }
}

fn moves_elements(graph: &Graph, id: OpId) -> bool {
    matches!(graph.op(id).op, Op::Transpose(_) | Op::Reshape(_))
}

/// Gives all of `chain` the element type and quantisation of `like`; shapes stay.
fn retype(graph: &mut Graph, chain: &[Value], like: Value) {
    let TensorType { elem, quant, .. } = graph.ty(like).clone();
    for &value in chain {
        let shape = graph.ty(value).shape.clone();
        graph.set_type(value, TensorType { elem, shape, quant: quant.clone() });
    }
}
