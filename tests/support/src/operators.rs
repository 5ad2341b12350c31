//! Random graphs of one operator each: shapes, scales, zero points and weights at and between their extremes; and random
//! data for nests.
//!
//! `None` is given for what the graph level refuses.

use ir::graph::ops::{Add, AvgPool2d, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d, Relu};
use ir::graph::{Graph, Op, Tensor, Value};
use ir::loops::{Buffer, Nest};
use ir::ty::{Quant, TensorType, Ty};

use crate::Random;

/// Channels of pointwise convolutions: odd ones, and those that divide often.
const CHANNELS: [usize; 10] = [1, 2, 3, 4, 5, 7, 8, 9, 12, 16];

/// Numbers that look random and are the same in every run; or given ones, of which smaller ones decide for what is smaller.
pub struct Rng {
    random: Random,
    /// What is drawn instead of random numbers; behind the last one come zeros.
    given: Option<Vec<u32>>,
    drawn: Vec<u32>,
}

impl Rng {
    /// The numbers that belong to a seed.
    pub fn new(seed: u64) -> Self {
        Self { random: Random(seed), given: None, drawn: Vec::new() }
    }

    /// What [`Self::drawn`] gave, or less.
    pub fn replay(numbers: &[u32]) -> Self {
        Self { given: Some(numbers.to_vec()), ..Self::new(0) }
    }

    /// All draws until now, each as its distance from the least that could be drawn.
    pub fn drawn(&self) -> &[u32] {
        &self.drawn
    }

    /// Other numbers, for data of any length: one draw decides about them.
    pub fn fork(&mut self) -> Self {
        Self::new(self.pick(0, 1 << 20) as u64)
    }

    /// A number of `low..=high`, at most 2³² of them.
    pub fn pick(&mut self, low: i64, high: i64) -> i64 {
        let count = (high - low + 1) as usize;
        let number = match &self.given {
            None => self.random.below(count),
            Some(given) => given.get(self.drawn.len()).map_or(0, |number| *number as usize % count),
        };
        self.drawn.push(number as u32);
        low + number as i64
    }

    /// A size of `low..=high`.
    pub fn size(&mut self, low: usize, high: usize) -> usize {
        self.pick(low as i64, high as i64) as usize
    }

    /// One of the choices.
    pub fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.size(0, choices.len() - 1)].clone()
    }

    /// A zero point: often an extreme one.
    pub fn zero(&mut self) -> i32 {
        let any = self.pick(-128, 127) as i32;
        self.of(&[-128, 127, 0, any, any])
    }

    /// A positive number of about `around`.
    pub fn scale(&mut self, around: f32) -> f32 {
        around * (1.0 + self.pick(0, 1 << 20) as f32 / (1 << 19) as f32)
    }

    /// A range of results: all, those of an activation, or any.
    pub fn clamp(&mut self, zero: i32) -> [i32; 2] {
        let (a, b) = (self.pick(-128, 127) as i32, self.pick(-128, 127) as i32);
        self.of(&[[-128, 127], [zero, 127], [zero, zero.max(a)], [a.min(b), a.max(b)], [-128, a]])
    }
}

/// A graph of a convolution: grouped, strided, dilated and padded, or none of that.
pub fn convolution(rng: &mut Rng) -> Option<Graph> {
    let groups = rng.of(&[1, 1, 1, 2, 3]);
    let own = rng.size(1, 5);
    let outputs = groups * rng.size(1, 4);
    let x = image(rng, own * groups);
    let kernel = [rng.size(1, 4), rng.size(1, 4)];
    let op = Conv2d {
        stride: [rng.size(1, 3), rng.size(1, 3)],
        dilation: [rng.of(&[1, 1, 2]), rng.of(&[1, 1, 3])],
        pad: [pad(rng, kernel[0] + 1), pad(rng, kernel[1] + 1)],
        clamp: [0, 0],
    };
    let out = quantized(rng, &[]);
    let op = Conv2d { clamp: rng.clamp(out.per_tensor()?.1), ..op };
    let w = weights(rng, &[outputs, kernel[0], kernel[1], own], 0);
    let b = biases(rng, outputs);
    graph_of(op, &x, &[w, b], out.quant)
}

/// A graph of a convolution that looks at a pixel and its neighbours, one by one.
pub fn neighbour_convolution(rng: &mut Rng) -> Option<Graph> {
    let (inputs, outputs) = (rng.of(&CHANNELS), rng.of(&CHANNELS));
    let x = image(rng, inputs);
    let out = quantized(rng, &[]);
    let clamp = rng.clamp(out.per_tensor()?.1);
    let op = Conv2d { stride: [1, 1], dilation: [1, 1], pad: [pad(rng, 2), pad(rng, 2)], clamp };
    let w = weights(rng, &[outputs, 3, 3, inputs], 0);
    let b = biases(rng, outputs);
    graph_of(op, &x, &[w, b], out.quant)
}

/// A graph of a convolution that looks at one pixel.
pub fn pointwise_convolution(rng: &mut Rng) -> Option<Graph> {
    let (inputs, outputs) = (rng.of(&CHANNELS), rng.of(&CHANNELS));
    let x = image(rng, inputs);
    let out = quantized(rng, &[]);
    let clamp = rng.clamp(out.per_tensor()?.1);
    let op = Conv2d { stride: [1, 1], dilation: [1, 1], pad: [[0, 0], [0, 0]], clamp };
    let w = weights(rng, &[outputs, 1, 1, inputs], 0);
    let b = biases(rng, outputs);
    graph_of(op, &x, &[w, b], out.quant)
}

/// A graph of a depthwise convolution, often with several outputs for each channel.
pub fn depthwise_convolution(rng: &mut Rng) -> Option<Graph> {
    let (channels, multiplier) = (rng.size(1, 5), rng.of(&[1, 1, 2, 3]));
    let x = image(rng, channels);
    let kernel = [rng.size(1, 5), rng.size(1, 5)];
    let out = quantized(rng, &[]);
    let op = DepthwiseConv2d {
        stride: [rng.size(1, 3), rng.size(1, 3)],
        dilation: [rng.of(&[1, 1, 2]), rng.of(&[1, 1, 2])],
        pad: [pad(rng, kernel[0] + 1), pad(rng, kernel[1] + 1)],
        multiplier,
        clamp: rng.clamp(out.per_tensor()?.1),
    };
    let w = weights(rng, &[1, kernel[0], kernel[1], channels * multiplier], 3);
    let b = biases(rng, channels * multiplier);
    graph_of(op, &x, &[w, b], out.quant)
}

/// A graph of a fully connected layer, for one row or several.
pub fn fully_connected(rng: &mut Rng) -> Option<Graph> {
    let (depth, outputs) = (rng.size(1, 40), rng.size(1, 10));
    let shape = rng.of(&[vec![1, depth], vec![3, depth], vec![2, 1, 1, depth]]);
    let x = quantized(rng, &shape);
    let out = quantized(rng, &[]);
    let op = FullyConnected { clamp: rng.clamp(out.per_tensor()?.1) };
    let w = weights(rng, &[outputs, depth], 0);
    let b = biases(rng, outputs);
    graph_of(op, &x, &[w, b], out.quant)
}

/// A graph of an addition of tensors, also of different shapes, also of a constant, also of a tensor and itself.
pub fn addition(rng: &mut Rng) -> Option<Graph> {
    let shapes: [(&[usize], &[usize]); 6] = [
        (&[1, 3, 4, 5], &[1, 3, 4, 5]),
        (&[2, 3], &[2, 3]),
        (&[1, 3, 4, 5], &[5]),
        (&[1, 1, 4, 1], &[2, 3, 1, 5]),
        (&[], &[4]),
        (&[1, 1], &[1]),
    ];
    let (a_shape, b_shape) = rng.of(&shapes);
    let (around_a, around_b, around_out) =
        (rng.of(&[0.05, 1e-4, 3.0]), rng.of(&[0.05, 0.05, 1e-11]), rng.of(&[0.05, 0.01, 2.0]));
    let a = TensorType::quantized(Ty::I8, a_shape, rng.scale(around_a), rng.zero());
    let b = TensorType::quantized(Ty::I8, b_shape, rng.scale(around_b), rng.zero());
    let out = TensorType::quantized(Ty::I8, &[], rng.scale(around_out), rng.zero());
    let op = Add { clamp: rng.clamp(out.per_tensor()?.1) };
    if rng.pick(0, 3) == 0 {
        let b = bytes(rng, &b);
        return graph_of(op, &a, &[b], out.quant);
    }
    let mut graph = Graph::new("test");
    let a = graph.add_input(a, "a");
    let b = graph.add_input(b, "b");
    let operands = rng.of(&[[a, b], [b, a], [a, a]]);
    finish(graph, op, &operands, out.quant)
}

/// A graph of an activation that rescales.
pub fn activation(rng: &mut Rng) -> Option<Graph> {
    let (x, out) = (quantized(rng, &[1, 3, 4, 5]), quantized(rng, &[1, 3, 4, 5]));
    let op = Relu { clamp: rng.clamp(out.per_tensor()?.1), single_ratio: rng.pick(0, 1) == 0 };
    graph_of(op, &x, &[], out.quant)
}

/// A graph of an average pool.
pub fn average_pool(rng: &mut Rng) -> Option<Graph> {
    let (op, x) = pool(rng)?;
    graph_of(op, &x, &[], x.quant.clone())
}

/// A graph of a max pool.
pub fn max_pool(rng: &mut Rng) -> Option<Graph> {
    let (AvgPool2d { window, stride, pad, clamp }, x) = pool(rng)?;
    graph_of(MaxPool2d { window, stride, pad, clamp }, &x, &[], x.quant.clone())
}

/// A pool and what it reads; those of either kind have the same attributes.
fn pool(rng: &mut Rng) -> Option<(AvgPool2d, TensorType)> {
    let channels = rng.size(1, 5);
    let x = image(rng, channels);
    let window = [rng.size(1, 5), rng.size(1, 5)];
    let op = AvgPool2d {
        window,
        stride: [rng.size(1, 3), rng.size(1, 3)],
        pad: [pad(rng, window[0]), pad(rng, window[1])],
        clamp: rng.clamp(x.per_tensor()?.1),
    };
    Some((op, x))
}

/// A tensor of bytes: random ones, or nothing but extremes.
pub fn bytes(rng: &mut Rng, ty: &TensorType) -> Tensor {
    let kind = rng.pick(0, 8);
    let mut rng = rng.fork();
    let mut byte = || match kind {
        0 => rng.of(&[0, 1, -1]),
        1 => -128,
        2 => 127,
        3 => rng.of(&[-128, 127]),
        4 => rng.of(&[-127, 127]),
        _ => rng.pick(-128, 127) as i8,
    };
    let values: Vec<i8> = (0..ty.len()).map(|_| byte()).collect();
    Tensor::from_i8s(ty, &values)
}

/// An `i8` type with a random scale and zero point.
pub fn quantized(rng: &mut Rng, shape: &[usize]) -> TensorType {
    let (scale, zero) = (rng.scale(0.05), rng.zero());
    TensorType::quantized(Ty::I8, shape, scale, zero)
}

/// Weights with one scale, or one for each index along `axis`.
pub fn weights(rng: &mut Rng, shape: &[usize], axis: usize) -> Tensor {
    let mut ty = TensorType::quantized(Ty::I8, shape, rng.scale(0.003), 0);
    if rng.pick(0, 3) > 0 {
        let around = rng.of(&[0.003, 0.003, 0.1, 40.0, 1e-12]);
        ty.quant = scales(rng, shape, axis, around);
    }
    bytes(rng, &ty)
}

/// Weights with a scale of about `around` for each index along `axis`.
pub fn weights_around(rng: &mut Rng, shape: &[usize], axis: usize, around: f32) -> Tensor {
    let mut ty = TensorType::quantized(Ty::I8, shape, around, 0);
    ty.quant = scales(rng, shape, axis, around);
    bytes(rng, &ty)
}

fn scales(rng: &mut Rng, shape: &[usize], axis: usize, around: f32) -> Quant {
    let mut rng = rng.fork();
    Quant::PerChannel { axis, scales: (0..shape[axis]).map(|_| rng.scale(around)).collect() }
}

/// Biases of one random magnitude.
pub fn biases(rng: &mut Rng, len: usize) -> Tensor {
    let reach = rng.of(&[10, 5000, 1 << 20]);
    let mut rng = rng.fork();
    let values: Vec<i32> = (0..len).map(|_| rng.pick(-reach, reach) as i32).collect();
    Tensor::from_i32s(&TensorType::new(Ty::I32, &[len]), &values)
}

/// A graph of one operator: `x` is its input, `constants` are further operands.
///
/// `None` where shapes or scales are refused.
pub fn graph_of(op: impl Into<Op>, x: &TensorType, constants: &[Tensor], out: Quant) -> Option<Graph> {
    let mut graph = Graph::new("test");
    let mut operands = vec![graph.add_input(x.clone(), "x")];
    operands.extend(constants.iter().map(|tensor| graph.add_const(tensor.clone(), "")));
    finish(graph, op, &operands, out)
}

/// The graph with one more operator, whose result is its output.
pub fn finish(mut graph: Graph, op: impl Into<Op>, operands: &[Value], out: Quant) -> Option<Graph> {
    let y = graph.add_op(op, operands, out, "y", 3).ok()?;
    graph.add_output(y);
    ir::graph::verify::verify(&graph).is_empty().then_some(graph)
}

/// Padding below `size`.
fn pad(rng: &mut Rng, size: usize) -> [usize; 2] {
    let most = (size - 1).min(3);
    rng.of(&[[0, 0], [most, most / 2], [most / 2, most], [1.min(most), 1.min(most)]])
}

/// The type of one or two images.
pub fn image(rng: &mut Rng, channels: usize) -> TensorType {
    let [rows, columns] = if rng.pick(0, 15) == 15 { [1, 1] } else { [rng.size(1, 9), rng.size(1, 9)] };
    let images = rng.of(&[1, 1, 1, 2]);
    quantized(rng, &[images, rows, columns, channels])
}

/// Data for each parameter: nothing but the least element, or the greatest.
pub fn extreme(nest: &Nest, greatest: bool) -> Vec<Vec<u8>> {
    let bytes = |buffer: &Buffer| {
        let (low, high) = buffer.range().unwrap_or((0, 0));
        let element = if greatest { high } else { low };
        let mut bytes = element.to_le_bytes()[..buffer.elem.bytes()].repeat(buffer.map.len());
        bytes.resize(buffer.bytes(), 0);
        bytes
    };
    nest.params().map(|param| bytes(&nest.buffers[param.idx()])).collect()
}

/// Data for each parameter: mostly what is near a limit of the element, where rounding and saturation show.
pub fn memory(nest: &Nest, seed: u64) -> Vec<Vec<u8>> {
    let mut rng = Random(seed);
    let mut bytes = |buffer: &Buffer| {
        let (low, high) = buffer.range().unwrap_or((0, 0));
        let mut element = || match rng.below(6) {
            0 => low,
            1 => high,
            2 => low + rng.below(9) as i64,
            3 => high - rng.below(9) as i64,
            4 => rng.below(9) as i64 - 4,
            _ => rng.word() as i64,
        };
        let mut element = || match (element(), buffer.values) {
            (value, None) => value,
            (value, Some(_)) => low + (value - low).rem_euclid(high - low + 1),
        };
        let elements = (0..buffer.map.len()).map(|_| element().to_le_bytes());
        let mut bytes: Vec<u8> = elements.flat_map(|word| word[..buffer.elem.bytes()].to_vec()).collect();
        bytes.resize(buffer.bytes(), 0);
        bytes
    };
    nest.params().map(|param| bytes(&nest.buffers[param.idx()])).collect()
}
