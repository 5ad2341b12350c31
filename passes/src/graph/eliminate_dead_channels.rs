//! Removes channels that are constant, or that only zeros read, with the filters that compute them.
//!
//! ```text
//! %1 = conv2d %0, %w, %b {…} : i8[1, 8, 8, 16]       // channel 3 is -128 whatever the input
//! %2 = conv2d %1, %v, %c {…} : i8[1, 8, 8, 4]
//! =>
//! %1 = conv2d %0, %w', %b' {…} : i8[1, 8, 8, 15]     // without filter 3
//! %2 = conv2d %1, %v', %c' {…} : i8[1, 8, 8, 4]      // without the weights of channel 3; the bias has their sum
//! ```
//!
//! A channel may go when every reader can do without it. A convolution can where the channel adds the same at every
//! position, edges included: the channel is constant, and equals what padding reads or meets no padding, or its weights
//! are zero. Operators that compute channel by channel can where their results may go, too. Repeats until nothing is
//! left to remove, since the ranges of what remains get no wider.
//!
//! Left alone: inputs and outputs of the graph; one channel of each tensor; convolutions in groups; constants that
//! differ from what a padded reader pads with, since their sum depends on the position.

use ir::graph::ops::requant::zero_of;
use ir::graph::ops::{Conv2d, Reshape};
use ir::graph::{Graph, Op, OpData, OpId, Tensor, Value};
use ir::ty::{Quant, Ty};

use super::ranges::{Range, Ranges, n_channels, tap_sets};
use super::slice::{slice, sliced_type};
use super::{Changed, GraphPass};

/// The pass.
pub const PASS: GraphPass = GraphPass {
    name: "eliminate-dead-channels",
    summary: "Remove channels that are constant, with the filters that compute them",
    run,
};

/// For each value and channel, whether it stays.
type Kept = Vec<Vec<bool>>;

/// How an operator reads the channels of an operand.
enum Reads {
    /// Each output sums over all of them.
    Sum,
    /// Channel `c` is read by this many outputs, from `c` times their number on, and by no other.
    Own(usize),
    /// In a way that needs all of them.
    All,
}

fn run(graph: &mut Graph) -> Changed {
    let mut changed = Changed::No;
    loop {
        let ranges = Ranges::of(graph);
        let kept = choose(graph, &ranges);
        if kept.iter().flatten().all(|kept| *kept) {
            return changed;
        }
        remove(graph, &ranges, &kept);
        changed = Changed::Yes;
    }
}

/// Marks every channel that some reader, or the operator behind it, cannot do without.
fn choose(graph: &Graph, ranges: &Ranges) -> Kept {
    let mut kept = candidates(graph);
    for &value in graph.inputs.iter().chain(&graph.outputs) {
        kept[value.idx()].fill(true);
    }
    for (_, data) in graph.iter_ops() {
        if !can_omit_outputs(graph, data) {
            kept[data.output.idx()].fill(true);
        }
        for (idx, &input) in data.inputs.iter().enumerate() {
            match reads(graph, data, idx) {
                Reads::Own(_) => {}
                Reads::All => kept[input.idx()].fill(true),
                Reads::Sum => {
                    let summands = Summands::new(graph, data);
                    for (channel, range) in ranges.channels(input).iter().enumerate() {
                        kept[input.idx()][channel] |= summands.added(channel, *range).is_none();
                    }
                }
            }
        }
    }
    spread(graph, &mut kept);
    while let Some((value, channel)) = too_few(graph, &kept) {
        kept[value][channel] = true;
        spread(graph, &mut kept);
    }
    kept
}

/// Nothing stays of results and of constants that are read like them, all of whatever else there is.
fn candidates(graph: &Graph) -> Kept {
    let mut kept: Kept = graph.values.iter().map(|value| vec![true; n_channels(&value.ty)]).collect();
    for (_, data) in graph.iter_ops() {
        for value in data.inputs.iter().chain([&data.output]).filter(|value| graph.ty(**value).elem == Ty::I8)
        {
            kept[value.idx()].fill(false);
        }
    }
    kept
}

/// Where an operator works channel by channel, lets a channel and its results stay or go together.
fn spread(graph: &Graph, kept: &mut Kept) {
    let mut is_settled = false;
    while !is_settled {
        is_settled = true;
        for (_, data) in graph.iter_ops() {
            for (idx, &input) in data.inputs.iter().enumerate() {
                let Reads::Own(n) = reads(graph, data, idx) else { continue };
                for channel in 0..kept[input.idx()].len() {
                    let results = channel * n..(channel + 1) * n;
                    let stays = kept[input.idx()][channel]
                        || kept[data.output.idx()][results.clone()].contains(&true);
                    let agree = kept[input.idx()][channel] == stays
                        && kept[data.output.idx()][results.clone()].iter().all(|kept| *kept == stays);
                    if !agree {
                        kept[input.idx()][channel] = true;
                        kept[data.output.idx()][results].fill(true);
                        is_settled = false;
                    }
                }
            }
        }
    }
}

/// A channel to keep of a tensor that would be left with too few.
///
/// One must stay. Two of a `fully_connected` with a scale for each output: with one it would round its scales otherwise.
fn too_few(graph: &Graph, kept: &Kept) -> Option<(usize, usize)> {
    kept.iter().enumerate().find_map(|(idx, kept)| {
        let by_channel = graph.def_op(Value::new(idx)).is_some_and(|id| {
            let data = graph.op(id);
            matches!(data.op, Op::FullyConnected(_))
                && matches!(graph.ty(data.inputs[1]).quant, Quant::PerChannel { .. })
        });
        let least = if by_channel { 2 } else { 1 };
        let first_gone = kept.iter().position(|kept| !kept)?;
        (kept.iter().filter(|kept| **kept).count() < least).then_some((idx, first_gone))
    })
}

/// Whether an operator can compute only some channels of its result.
fn can_omit_outputs(graph: &Graph, data: &OpData) -> bool {
    match &data.op {
        Op::Conv2d(_) => matches!(reads(graph, data, 0), Reads::Sum),
        Op::FullyConnected(_) => has_constant_weights(graph, data),
        _ => (0..data.inputs.len()).any(|idx| matches!(reads(graph, data, idx), Reads::Own(_))),
    }
}

/// How an operator reads its operand `idx`.
fn reads(graph: &Graph, data: &OpData, idx: usize) -> Reads {
    let (x, out) = (graph.ty(data.inputs[idx]), graph.ty(data.output));
    let own_if = |is_own: bool| if is_own { Reads::Own(1) } else { Reads::All };
    let last = x.shape.len().wrapping_sub(1);
    match &data.op {
        Op::Conv2d(_) if idx == 0 && has_constant_weights(graph, data) => {
            match Conv2d::groups(x, graph.ty(data.inputs[1])) {
                1 => Reads::Sum,
                _ => Reads::All,
            }
        }
        Op::FullyConnected(_) if idx == 0 && has_constant_weights(graph, data) => {
            match graph.ty(data.inputs[1]).shape[1] % n_channels(x) {
                0 => Reads::Sum,
                _ => Reads::All,
            }
        }
        Op::DepthwiseConv2d(op) if idx == 0 && has_constant_weights(graph, data) => Reads::Own(op.multiplier),
        Op::Add(_) => own_if(n_channels(x) == n_channels(out)),
        Op::AvgPool2d(_) | Op::MaxPool2d(_) | Op::Relu(_) => Reads::Own(1),
        Op::Quantize(_) => own_if(x.elem == Ty::I8),
        Op::Mean(op) => own_if(!op.axes.contains(&last)),
        Op::Pad(op) => own_if(op.margins.last() == Some(&[0, 0])),
        Op::Transpose(op) => own_if(op.perm.last() == Some(&last)),
        Op::Reshape(_) => own_if(!x.shape.is_empty() && x.shape.last() == out.shape.last()),
        _ => Reads::All,
    }
}

fn has_constant_weights(graph: &Graph, data: &OpData) -> bool {
    data.inputs[1..].iter().all(|value| graph.const_data(*value).is_some())
}

/// Takes the channels that do not stay out of all operators.
fn remove(graph: &mut Graph, ranges: &Ranges, kept: &Kept) {
    let ids: Vec<OpId> = graph.iter_ops().map(|(id, _)| id).collect();
    for &id in &ids {
        let data = graph.op(id).clone();
        let outputs = &kept[data.output.idx()];
        match &data.op {
            Op::Conv2d(_) | Op::FullyConnected(_) => {
                let inputs = &kept[data.inputs[0].idx()];
                if !inputs.iter().chain(outputs).all(|kept| *kept) {
                    narrow_sum(graph, ranges.channels(data.inputs[0]), id, inputs, outputs);
                }
            }
            _ if outputs.iter().all(|kept| *kept) => {}
            Op::DepthwiseConv2d(_) => {
                for (idx, axis) in [(1, 3), (2, 0)] {
                    let narrowed = slice(graph, data.inputs[idx], axis, outputs);
                    graph.set_input(id, idx, narrowed);
                }
            }
            Op::Reshape(Reshape { shape }) => {
                let mut shape = shape.clone();
                *shape.last_mut().expect("a reshape with channels has them last") = count(outputs);
                graph.set_op(id, Reshape { shape });
            }
            _ => narrow_constants(graph, id, kept),
        }
    }
    for id in ids {
        let output = graph.output(id);
        let ty = graph.ty(output);
        if let Some(last) = ty.shape.len().checked_sub(1) {
            graph.set_type(output, sliced_type(ty, last, &kept[output.idx()]));
        }
    }
}

/// Takes filters and weights out of a convolution; the bias gets what the weights always added.
fn narrow_sum(graph: &mut Graph, ranges: &[Range], id: OpId, inputs: &[bool], outputs: &[bool]) {
    let data = graph.op(id).clone();
    let summands = Summands::new(graph, &data);
    let mut bias = graph.const_tensor(data.inputs[2]).expect("the bias is constant").i32s();
    for channel in (0..inputs.len()).filter(|channel| !inputs[*channel]) {
        let added = summands.added(channel, ranges[channel]).expect("the channel was chosen for that");
        bias.iter_mut().zip(added).for_each(|(bias, added)| *bias = bias.wrapping_add(added));
    }
    let tensor = Tensor::from_i32s(graph.ty(data.inputs[2]), &bias);
    let bias = graph.add_const(tensor, graph.value(data.inputs[2]).name.clone());
    let bias = slice(graph, bias, 0, outputs);
    let filters = slice(graph, data.inputs[1], 0, outputs);
    let axis = graph.ty(filters).shape.len() - 1;
    let columns = graph.ty(filters).shape[axis];
    let by_column: Vec<bool> = inputs.iter().copied().cycle().take(columns).collect();
    let weights = slice(graph, filters, axis, &by_column);
    graph.set_input(id, 1, weights);
    graph.set_input(id, 2, bias);
}

/// Takes channels out of the constants that an operator reads channel by channel.
fn narrow_constants(graph: &mut Graph, id: OpId, kept: &Kept) {
    let data = graph.op(id).clone();
    for (idx, &input) in data.inputs.iter().enumerate() {
        if graph.const_data(input).is_some() && matches!(reads(graph, &data, idx), Reads::Own(_)) {
            let narrowed = slice(graph, input, graph.ty(input).shape.len() - 1, &kept[input.idx()]);
            graph.set_input(id, idx, narrowed);
        }
    }
}

fn count(kept: &[bool]) -> usize {
    kept.iter().filter(|kept| **kept).count()
}

/// The weights of an operator whose outputs sum over all channels: `[output, tap, channel]`.
struct Summands {
    weights: Vec<i8>,
    n_taps: usize,
    n_channels: usize,
    /// Which taps fall inside the input, for every way in which the window can lie over the edge.
    sets: Vec<Vec<usize>>,
    /// The integer that adds nothing.
    zero: i32,
}

impl Summands {
    /// Of a `conv2d` or `fully_connected` that [`reads`] calls a sum.
    fn new(graph: &Graph, data: &OpData) -> Self {
        let (x, w) = (graph.ty(data.inputs[0]), graph.const_tensor(data.inputs[1]));
        let w = w.expect("the weights are constant");
        let n_channels = n_channels(x);
        let n_taps = w.ty.shape[1..].iter().product::<usize>() / n_channels;
        let sets = match &data.op {
            Op::Conv2d(op) => tap_sets(&op.window(&w.ty), x, graph.ty(data.output)),
            _ => vec![(0..n_taps).collect()],
        };
        Self { weights: w.i8s(), n_taps, n_channels, sets, zero: zero_of(x) }
    }

    /// What a channel with these integers adds to each output, where that is the same at every position and for every
    /// input.
    fn added(&self, channel: usize, range: Range) -> Option<Vec<i32>> {
        let filters = self.weights.chunks_exact(self.n_taps * self.n_channels);
        let filter = |filter: &[i8]| {
            let tap = |tap: usize| i32::from(filter[tap * self.n_channels + channel]);
            if (0..self.n_taps).all(|n| tap(n) == 0) {
                return Some(0);
            }
            if range[0] != range[1] {
                return None;
            }
            let step = range[0] - self.zero;
            let mut sums = self.sets.iter().map(|set| step * set.iter().map(|n| tap(*n)).sum::<i32>());
            let first = sums.next()?;
            sums.all(|sum| sum == first).then_some(first)
        };
        filters.map(filter).collect()
    }
}
