//! From the graph level to loop nests, and from tensors to places in one arena.
//!
//! [`lower`] gives one nest for each operator, as plain as the operator's formula: one loop for each dimension, loads that
//! read a border outside of their tensor, requantisation as one operation. What makes a nest fast is left to rewrites.
//! Only the zero points are gone: they are part of the constants.

pub mod builder;
pub mod memory;
pub mod overlap;

mod add;
mod conv;
mod depthwise;
mod fully_connected;
mod mean;
mod movement;
mod pack;
mod pool;
mod rescale;
mod site;
mod slots;
mod softmax;

use ir::diag::Diagnostic;
use ir::graph::{Graph, Op, OpData};
use ir::loops::{Layer, Nest, Program};

use site::Site;
use slots::Slots;

/// One layer for each operator, and a place for each tensor that layers pass to each other.
///
/// A `reshape` is no layer: its result is its operand, read with another shape. Refused: operators on floats, which are
/// taken off before lowering, and weights that are not constant.
pub fn lower(graph: &Graph) -> Result<Program, Diagnostic> {
    let slots = Slots::of(graph);
    let mut layers = Vec::new();
    for (id, op) in graph.iter_ops() {
        if slots.is_alias(op.output) {
            continue;
        }
        let name = unique_name(&layers, format!("{}_{}", op.op.name(), op.source));
        let site = Site { graph, id, op, name, slots: &slots };
        let nest = nest(&site)?;
        let args = slots.args(op);
        layers.push(layer(graph, op, nest, args));
    }
    for (value, slot) in slots.copies(graph) {
        let name = unique_name(&layers, format!("copy_{}", layers.len()));
        let (nest, args) = movement::copy_of(graph, &slots, name, value, slot);
        layers.push(Layer { nest, args, op: "copy".into(), macs: 0, sources: Vec::new(), shares: None });
    }
    Ok(Program { name: graph.name.clone(), tensors: slots.into_tensors(), layers })
}

fn layer(graph: &Graph, op: &OpData, nest: Nest, args: Vec<usize>) -> Layer {
    let inputs: Vec<_> = op.inputs.iter().map(|value| &graph.values[value.idx()].ty).collect();
    let macs = op.op.macs(&inputs, &graph.values[op.output.idx()].ty);
    Layer { nest, args, op: op.op.name().into(), macs, sources: vec![op.source], shares: None }
}

fn nest(site: &Site) -> Result<Nest, Diagnostic> {
    match &site.op.op {
        Op::Add(op) => add::add(site, op),
        Op::AvgPool2d(op) => pool::avg_pool2d(site, op),
        Op::Conv2d(op) => conv::conv2d(site, op),
        Op::DepthwiseConv2d(op) => depthwise::depthwise_conv2d(site, op),
        Op::Dequantize(_) => {
            Err(site.refuse("gives floats, which are only supported as results of the model"))
        }
        Op::FullyConnected(op) => fully_connected::fully_connected(site, op),
        Op::MaxPool2d(op) => pool::max_pool2d(site, op),
        Op::Mean(op) => mean::mean(site, op),
        Op::Pad(op) => movement::pad(site, op),
        Op::Quantize(_) => rescale::quantize(site),
        Op::Relu(op) => rescale::relu(site, op),
        Op::Reshape(_) => movement::reshape(site),
        Op::Softmax(op) => softmax::softmax(site, op),
        Op::Transpose(op) => movement::transpose(site, op),
    }
}

/// `name`, or `name` with the least number that no layer has.
fn unique_name(layers: &[Layer], name: String) -> String {
    let taken = |name: &str| layers.iter().any(|layer| layer.nest.name == name);
    if !taken(&name) {
        return name;
    }
    let mut numbered = (1u32..).map(|number| format!("{name}_{number}"));
    numbered.find(|name| !taken(name)).expect("there are finitely many layers")
}
