//! What graphs must have somewhere, so that a run means something.

use ir::graph::ops::{AvgPool2d, Conv2d, DepthwiseConv2d, MaxPool2d};
use ir::graph::{Graph, Op, Tensor};
use ir::ty::{Quant, Ty};

/// A property with its name.
pub type Feature = (&'static str, fn(&Graph) -> bool);

/// All that are counted.
pub const FEATURES: [Feature; 12] = [
    ("several layers", |graph| graph.iter_ops().count() > 1),
    ("odd channels", |graph| shapes(graph).any(|shape| shape.last().is_some_and(|n| n % 2 == 1 && *n > 1))),
    ("maps of one pixel", |graph| shapes(graph).any(|shape| matches!(shape[..], [_, 1, 1, _]))),
    ("stride 3", |graph| windows(graph).any(|(stride, _)| stride.contains(&3))),
    ("dilation", |graph| windows(graph).any(|(_, dilation)| dilation.iter().any(|d| *d > 1))),
    ("channel multiplier 2", |graph| {
        graph.find::<DepthwiseConv2d>().iter().any(|id| graph.op(*id).multiplier >= 2)
    }),
    ("weights of ±127 only", |graph| weights(graph).any(|w| w.i8s().iter().all(|w| w.abs_diff(0) == 127))),
    ("weights of -128 only", |graph| weights(graph).any(|w| w.i8s().iter().all(|w| *w == -128))),
    ("weights of -128", |graph| weights(graph).any(|w| w.i8s().contains(&-128))),
    ("factors above 1", |graph| factors(graph).any(|factor| factor > 1.0)),
    ("factors below 2^-20", |graph| factors(graph).any(|factor| factor < f64::from(2f32.powi(-20)))),
    ("clamps of one value", |graph| {
        graph.find::<Conv2d>().iter().any(|id| {
            let [low, high] = graph.op(*id).clamp;
            low == high
        })
    }),
];

fn shapes(graph: &Graph) -> impl Iterator<Item = &[usize]> {
    graph.values.iter().filter(|value| value.ty.elem == Ty::I8).map(|value| &value.ty.shape[..])
}

/// Strides and dilations.
fn windows(graph: &Graph) -> impl Iterator<Item = ([usize; 2], [usize; 2])> {
    graph.iter_ops().filter_map(|(_, data)| match &data.op {
        Op::Conv2d(Conv2d { stride, dilation, .. })
        | Op::DepthwiseConv2d(DepthwiseConv2d { stride, dilation, .. }) => Some((*stride, *dilation)),
        Op::AvgPool2d(AvgPool2d { stride, .. }) | Op::MaxPool2d(MaxPool2d { stride, .. }) => {
            Some((*stride, [1, 1]))
        }
        _ => None,
    })
}

fn is_weighted(op: &Op) -> bool {
    matches!(op, Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::FullyConnected(_))
}

fn weights(graph: &Graph) -> impl Iterator<Item = Tensor> {
    let weighted = graph.iter_ops().filter(|(_, data)| is_weighted(&data.op));
    weighted.filter_map(|(_, data)| graph.const_tensor(data.inputs[1]))
}

/// By what sums are rescaled.
fn factors(graph: &Graph) -> impl Iterator<Item = f64> {
    let weighted = graph.iter_ops().filter(|(_, data)| is_weighted(&data.op));
    weighted.flat_map(|(_, data)| {
        let scale = |value| graph.ty(value).per_tensor().map_or(1.0, |(scale, _)| f64::from(scale));
        let ratio = scale(data.inputs[0]) / scale(data.output);
        let scales = match &graph.ty(data.inputs[1]).quant {
            Quant::PerChannel { scales, .. } => scales.clone(),
            Quant::PerTensor { scale, .. } => vec![*scale],
            Quant::None => Vec::new(),
        };
        scales.into_iter().map(move |scale| f64::from(scale) * ratio)
    })
}
