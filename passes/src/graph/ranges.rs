//! Which integers each channel of each tensor can hold, whatever the input: interval analysis on the actual weights.
//!
//! A channel is an index of the last dimension. The ranges of sums are exact for independent operands: every way in
//! which a window can lie over the edge is looked at by itself. Requantisation and clamps are monotone, so a range maps
//! to the range of its ends; where an accumulator could wrap, the whole clamp is assumed, and the whole element type
//! for operators that the analysis does not know.

use std::collections::BTreeSet;

use ir::fixed::Multiplier;
use ir::graph::ops::requant::{requantize, zero_of};
use ir::graph::ops::window::Window;
use ir::graph::ops::{
    Add, AvgPool2d, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d, Mean, Pad, Quantize,
};
use ir::graph::{Def, Graph, Op, OpData, Value};
use ir::ty::{TensorType, Ty};

/// Least and greatest integer.
pub type Range = [i32; 2];

/// All integers of a signed byte.
pub const FULL: Range = [-128, 127];

/// The ranges of all values of a graph.
pub struct Ranges {
    values: Vec<Vec<Range>>,
}

impl Ranges {
    /// Analyses a verified graph.
    pub fn of(graph: &Graph) -> Self {
        let mut ranges = Self { values: vec![Vec::new(); graph.values.len()] };
        for (idx, value) in graph.values.iter().enumerate().filter(|(_, value)| value.ty.elem == Ty::I8) {
            ranges.values[idx] = match &value.def {
                Def::Const(bytes) => constant(&value.ty, bytes),
                Def::Input(_) | Def::Op(_) => vec![FULL; n_channels(&value.ty)],
            };
        }
        for (_, data) in graph.iter_ops().filter(|(_, data)| graph.ty(data.output).elem == Ty::I8) {
            let found = ranges.result(graph, data);
            debug_assert_eq!(found.len(), n_channels(graph.ty(data.output)), "one range for each channel");
            ranges.values[data.output.idx()] = found;
        }
        ranges
    }

    /// The range of each channel; empty for a tensor that is not of signed bytes.
    pub fn channels(&self, value: Value) -> &[Range] {
        &self.values[value.idx()]
    }

    /// The range of all channels together.
    fn hull(&self, value: Value) -> Range {
        self.channels(value).iter().copied().reduce(hull).unwrap_or(FULL)
    }

    /// The ranges of an operator's result.
    fn result(&self, graph: &Graph, data: &OpData) -> Vec<Range> {
        let (Some(&input), out) = (data.inputs.first(), graph.ty(data.output)) else { return Vec::new() };
        let (x, ty) = (self.channels(input), graph.ty(input));
        let each = |f: &dyn Fn(Range) -> Range| x.iter().map(|range| f(*range)).collect();
        match &data.op {
            Op::Conv2d(op) => conv2d(op, graph, data, x),
            Op::DepthwiseConv2d(op) => depthwise_conv2d(op, graph, data, x),
            Op::FullyConnected(op) => fully_connected(op, graph, data, x),
            Op::Add(op) => self.add(op, graph, data),
            Op::AvgPool2d(AvgPool2d { clamp, .. }) | Op::MaxPool2d(MaxPool2d { clamp, .. }) => {
                each(&|range| range.map(|end| end.clamp(clamp[0], clamp[1])))
            }
            Op::Relu(op) => each(&|range| rescaled(range, ty, op.requant(ty, out), out, op.clamp)),
            Op::Quantize(_) if ty.elem == Ty::I8 => {
                each(&|range| rescaled(range, ty, Quantize::requant(ty, out), out, FULL))
            }
            Op::Mean(op) => self.mean(op, graph, data),
            Op::Pad(op) => pad(op, x),
            Op::Reshape(_) => reshaped(x, n_channels(out)),
            Op::Transpose(op) if op.perm.last() == op.perm.iter().max() => x.to_vec(),
            Op::Transpose(_) => vec![self.hull(input); n_channels(out)],
            _ => vec![FULL; n_channels(out)],
        }
    }

    fn add(&self, op: &Add, graph: &Graph, data: &OpData) -> Vec<Range> {
        let [a, b] = [0, 1].map(|idx| data.inputs[idx]);
        let params = Add::params(graph.ty(a), graph.ty(b), graph.ty(data.output));
        let of = |value: Value, channel: usize| match self.channels(value) {
            [one] => *one,
            all => all[channel],
        };
        let sum = |channel| {
            let (a, b) = (of(a, channel), of(b, channel));
            [0, 1].map(|end| i32::from(params.apply(a[end] as i8, b[end] as i8, op.clamp)))
        };
        (0..n_channels(graph.ty(data.output))).map(sum).collect()
    }

    fn mean(&self, op: &Mean, graph: &Graph, data: &OpData) -> Vec<Range> {
        let (input, out) = (data.inputs[0], graph.ty(data.output));
        let x = graph.ty(input);
        let (params, count) = (op.params(x, out), op.count(x) as i64);
        if count >= 1 << 22 {
            return vec![FULL; n_channels(out)]; // The sum could wrap.
        }
        let mean = |range: Range| {
            let sum = range.map(|end| i64::from(end) * count);
            requantized(sum, params.offset, params.multiplier, params.zero_out, FULL)
        };
        if op.axes.contains(&(x.shape.len().wrapping_sub(1))) {
            return vec![mean(self.hull(input)); n_channels(out)];
        }
        self.channels(input).iter().map(|range| mean(*range)).collect()
    }
}

/// Number of channels of a tensor.
pub fn n_channels(ty: &TensorType) -> usize {
    ty.shape.last().copied().unwrap_or(1)
}

/// Every set of taps of a window, as indices into its rows and columns, that falls inside the input at some position.
pub fn tap_sets(window: &Window, x: &TensorType, out: &TensorType) -> Vec<Vec<usize>> {
    let sets = |dim: usize| -> BTreeSet<Vec<usize>> {
        let inside = |at| window.taps(dim, at, x.shape[1 + dim]).map(|(tap, _)| tap).collect();
        (0..out.shape[1 + dim]).map(inside).collect()
    };
    let (rows, columns) = (sets(0), sets(1));
    let both = |rows: &Vec<usize>, columns: &Vec<usize>| -> Vec<usize> {
        let first = rows.iter().map(|row| row * window.size[1]);
        first.flat_map(|first| columns.iter().map(move |column| first + column)).collect()
    };
    rows.iter().flat_map(|rows| columns.iter().map(|columns| both(rows, columns))).collect()
}

fn constant(ty: &TensorType, bytes: &[u8]) -> Vec<Range> {
    let mut ranges = vec![[i32::from(i8::MAX), i32::from(i8::MIN)]; n_channels(ty)];
    let n = ranges.len();
    for (idx, byte) in bytes.iter().enumerate() {
        let value = i32::from(*byte as i8);
        let range = &mut ranges[idx % n];
        *range = hull(*range, [value, value]);
    }
    ranges
}

fn hull(a: Range, b: Range) -> Range {
    [a[0].min(b[0]), a[1].max(b[1])]
}

/// What a weight can add to a sum.
fn product(w: i8, x: Range, zero: i32) -> [i64; 2] {
    let ends = x.map(|end| i64::from(w) * i64::from(end - zero));
    [ends[0].min(ends[1]), ends[0].max(ends[1])]
}

fn sum(ranges: impl Iterator<Item = [i64; 2]>) -> [i64; 2] {
    ranges.fold([0, 0], |sum, range| [sum[0] + range[0], sum[1] + range[1]])
}

/// The range of a sum over one of `sets` of taps; `taps` has the range of each tap's part.
fn over_any(sets: &[Vec<usize>], taps: &[[i64; 2]]) -> [i64; 2] {
    let sums = sets.iter().map(|set| sum(set.iter().map(|tap| taps[*tap])));
    sums.reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])]).unwrap_or([0, 0])
}

fn conv2d(op: &Conv2d, graph: &Graph, data: &OpData, x: &[Range]) -> Vec<Range> {
    let [x_ty, w_ty] = [0, 1].map(|idx| graph.ty(data.inputs[idx]));
    let out = graph.ty(data.output);
    let Some((w, b)) = weights(graph, data) else { return vec![op.clamp; n_channels(out)] };
    let (own, n_taps) = (w_ty.shape[3], w_ty.shape[1] * w_ty.shape[2]);
    let per_group = w_ty.shape[0] / Conv2d::groups(x_ty, w_ty);
    let sets = tap_sets(&op.window(w_ty), x_ty, out);
    let filters = w.chunks_exact(n_taps * own).zip(&b).zip(Conv2d::requant(x_ty, w_ty, out));
    let filter = |(o, ((w, b), m)): (usize, ((&[i8], &i32), Multiplier))| {
        let x = &x[o / per_group * own..][..own];
        let tap = |w: &[i8]| sum(w.iter().zip(x).map(|(w, x)| product(*w, *x, zero_of(x_ty))));
        let taps: Vec<_> = w.chunks_exact(own).map(tap).collect();
        requantized(over_any(&sets, &taps), *b, m, zero_of(out), op.clamp)
    };
    filters.enumerate().map(filter).collect()
}

fn depthwise_conv2d(op: &DepthwiseConv2d, graph: &Graph, data: &OpData, x: &[Range]) -> Vec<Range> {
    let [x_ty, w_ty] = [0, 1].map(|idx| graph.ty(data.inputs[idx]));
    let out = graph.ty(data.output);
    let Some((w, b)) = weights(graph, data) else { return vec![op.clamp; n_channels(out)] };
    let sets = tap_sets(&op.window(w_ty), x_ty, out);
    let filter = |(o, m): (usize, Multiplier)| {
        let x = x[o / op.multiplier];
        let taps: Vec<_> = w[o..].iter().step_by(b.len()).map(|w| product(*w, x, zero_of(x_ty))).collect();
        requantized(over_any(&sets, &taps), b[o], m, zero_of(out), op.clamp)
    };
    DepthwiseConv2d::requant(x_ty, w_ty, out).into_iter().enumerate().map(filter).collect()
}

fn fully_connected(op: &FullyConnected, graph: &Graph, data: &OpData, x: &[Range]) -> Vec<Range> {
    let [x_ty, w_ty] = [0, 1].map(|idx| graph.ty(data.inputs[idx]));
    let out = graph.ty(data.output);
    let Some((w, b)) = weights(graph, data) else { return vec![op.clamp; n_channels(out)] };
    let x = reshaped(x, w_ty.shape[1]);
    let rows = w.chunks_exact(x.len()).zip(&b).zip(FullyConnected::requant(x_ty, w_ty, out));
    let row = |((w, b), m): ((&[i8], &i32), Multiplier)| {
        let acc = sum(w.iter().zip(&x).map(|(w, x)| product(*w, *x, zero_of(x_ty))));
        requantized(acc, *b, m, zero_of(out), op.clamp)
    };
    rows.map(row).collect()
}

/// Weights and bias of a convolution, where both are constants.
fn weights(graph: &Graph, data: &OpData) -> Option<(Vec<i8>, Vec<i32>)> {
    Some((graph.const_tensor(data.inputs[1])?.i8s(), graph.const_tensor(data.inputs[2])?.i32s()))
}

/// The result's range for a range of sums before the bias.
fn requantized(sum: [i64; 2], bias: i32, m: Multiplier, zero: i32, clamp: Range) -> Range {
    let end = |sum: i64| {
        let acc = i32::try_from(sum + i64::from(bias)).ok()?;
        i32::try_from(i64::from(acc) << m.shift.max(0)).ok()?;
        m.apply(acc).checked_add(zero)?;
        Some(requantize(acc, m, zero, clamp))
    };
    match sum.map(end) {
        [Some(low), Some(high)] => [low, high],
        _ => clamp,
    }
}

fn rescaled(range: Range, x: &TensorType, m: Multiplier, out: &TensorType, clamp: Range) -> Range {
    requantized(range.map(i64::from), -zero_of(x), m, zero_of(out), clamp)
}

fn pad(op: &Pad, x: &[Range]) -> Vec<Range> {
    let value = [i32::from(op.value); 2];
    let (channels, others) = op.margins.split_last().expect("channels stand last");
    let is_wider = others.iter().any(|margin| *margin != [0, 0]);
    let inner = x.iter().map(|range| if is_wider { hull(*range, value) } else { *range });
    let margin = |n: usize| std::iter::repeat_n(value, n);
    margin(channels[0]).chain(inner).chain(margin(channels[1])).collect()
}

/// The ranges by another number of channels, elements staying in order.
fn reshaped(x: &[Range], n: usize) -> Vec<Range> {
    if n.is_multiple_of(x.len()) {
        return (0..n).map(|channel| x[channel % x.len()]).collect();
    }
    if x.len().is_multiple_of(n) {
        let every = |channel: usize| x[channel..].iter().step_by(n).copied().reduce(hull).unwrap_or(FULL);
        return (0..n).map(every).collect();
    }
    vec![x.iter().copied().reduce(hull).unwrap_or(FULL); n]
}
