//! Random networks like those that run on microcontrollers: a strided convolution, blocks of depthwise and pointwise convolutions with
//! or without expansion and residual additions, a pool, a classifier.
//!
//! Scales are such that results fill their range, as training leaves them.

use ir::graph::ops::{Add, AvgPool2d, Conv2d, DepthwiseConv2d, FullyConnected, Reshape};
use ir::graph::{Graph, Op, Tensor, Value};
use ir::ty::{Quant, TensorType, Ty};

use crate::operators::Rng;

/// A network with what each of its layers computes, in order.
pub struct Network {
    /// What it computes.
    pub graph: Graph,
    /// Its layers, in order; a reshape is none.
    pub layers: Vec<Work>,
}

/// The size of a layer: all that its best cycles depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Every pixel with every output channel; `depth` is what one output sums up.
    Product {
        /// Pixels of the result.
        pixels: usize,
        /// Products for each output.
        depth: usize,
        /// Output channels.
        outputs: usize,
        /// Rows and columns of the window.
        size: usize,
        /// Input pixels between neighbouring outputs.
        stride: usize,
    },
    /// Channel by channel, over a square window.
    Depthwise {
        /// Rows of the result.
        rows: usize,
        /// Columns of the result.
        columns: usize,
        /// Channels.
        channels: usize,
        /// Rows and columns of the window.
        size: usize,
        /// Input pixels between neighbouring outputs.
        stride: usize,
    },
    /// Every input with every output.
    FullyConnected {
        /// Inputs.
        depth: usize,
        /// Outputs.
        outputs: usize,
    },
    /// The sum of two tensors of so many elements.
    Add(usize),
    /// The mean of all pixels of each channel, of so many elements.
    Pool(usize),
}

/// A network from these numbers.
pub fn mobile(rng: &mut Rng) -> Network {
    let (rows, columns) = (rng.size(24, 56), rng.size(24, 56));
    let x =
        TensorType::quantized(Ty::I8, &[1, rows, columns, rng.of(&[1, 3, 3])], 0.02, rng.of(&[-128, -1, 0]));
    let mut graph = Graph::new("test");
    let at = graph.add_input(x, "x");
    let mut net = Builder { graph, layers: Vec::new(), at };
    let first = channels(rng, 6, 16);
    net.convolution(rng, first, 3, 2, true);
    for _ in 0..rng.size(2, 4) {
        net.block(rng);
    }
    net.classifier(rng);
    Network { graph: net.graph, layers: net.layers }
}

/// Mostly what divides by 8 or 4, as designers choose; else what is left where dead channels were removed.
fn channels(rng: &mut Rng, least: usize, most: usize) -> usize {
    let any = rng.size(least, most);
    let unit = rng.of(&[8, 8, 4, 1]);
    any.next_multiple_of(unit)
}

struct Builder {
    graph: Graph,
    layers: Vec<Work>,
    /// The last tensor.
    at: Value,
}

impl Builder {
    fn shape(&self) -> [usize; 4] {
        self.graph.ty(self.at).shape[..].try_into().expect("images have four dimensions")
    }

    /// Depthwise, then pointwise; with expansion and perhaps a residual, or neither.
    fn block(&mut self, rng: &mut Rng) {
        let [_, rows, columns, depth] = self.shape();
        let stride = if rows.min(columns) > 6 { rng.of(&[1, 2]) } else { 1 };
        let size = rng.of(&[3, 3, 5, 7]);
        if rng.pick(0, 1) == 0 {
            self.depthwise(rng, size, stride);
            let outputs = channels(rng, 8, 64);
            return self.convolution(rng, outputs, 1, 1, true);
        }
        let before = self.at;
        let keeps = stride == 1 && rng.pick(0, 1) == 0;
        let outputs = if keeps { depth } else { channels(rng, 8, 32) };
        let expansion = rng.size(2, 4);
        self.convolution(rng, depth * expansion, 1, 1, true);
        self.depthwise(rng, size, stride);
        self.convolution(rng, outputs, 1, 1, false);
        if keeps {
            self.add(rng, before);
        }
    }

    fn convolution(&mut self, rng: &mut Rng, outputs: usize, size: usize, stride: usize, relu: bool) {
        let [_, rows, columns, depth] = self.shape();
        let pad = [same(rows, size, stride), same(columns, size, stride)];
        let op = Conv2d { stride: [stride; 2], dilation: [1, 1], pad, clamp: [-128, 127] };
        let taps = size * size * depth;
        self.weighted(rng, op.into(), (&[outputs, size, size, depth], 0), taps, relu);
        let [_, rows, columns, _] = self.shape();
        self.layers.push(Work::Product { pixels: rows * columns, depth: taps, outputs, size, stride });
    }

    fn depthwise(&mut self, rng: &mut Rng, size: usize, stride: usize) {
        let [_, rows, columns, channels] = self.shape();
        let pad = [same(rows, size, stride), same(columns, size, stride)];
        let op =
            DepthwiseConv2d { stride: [stride; 2], dilation: [1, 1], pad, multiplier: 1, clamp: [-128, 127] };
        self.weighted(rng, op.into(), (&[1, size, size, channels], 3), size * size, true);
        let [_, rows, columns, _] = self.shape();
        self.layers.push(Work::Depthwise { rows, columns, channels, size, stride });
    }

    fn add(&mut self, rng: &mut Rng, other: Value) {
        let scale = self.graph.ty(self.at).per_tensor().expect("one scale").0;
        let out = TensorType::quantized(Ty::I8, &[], rng.scale(scale), rng.pick(-20, 20) as i32).quant;
        let elements = self.graph.ty(self.at).len();
        self.push(Op::from(Add { clamp: [-128, 127] }), &[other, self.at], out);
        self.layers.push(Work::Add(elements));
    }

    /// The mean of each channel, and a layer that reads all of them.
    fn classifier(&mut self, rng: &mut Rng) {
        let [_, rows, columns, depth] = self.shape();
        let out = self.graph.ty(self.at).quant.clone();
        let pad = [[0, 0], [0, 0]];
        let pool = AvgPool2d { window: [rows, columns], stride: [rows, columns], pad, clamp: [-128, 127] };
        self.push(pool.into(), &[self.at], out.clone());
        self.layers.push(Work::Pool(rows * columns * depth));
        self.push(Reshape { shape: vec![1, depth] }.into(), &[self.at], out);
        let outputs = rng.size(2, 12);
        self.weighted(
            rng,
            FullyConnected { clamp: [-128, 127] }.into(),
            (&[outputs, depth], 0),
            depth,
            false,
        );
        self.layers.push(Work::FullyConnected { depth, outputs });
        self.graph.add_output(self.at);
    }

    /// A layer with weights of a shape, one scale for each index along an axis. With `relu` the range begins at the zero point.
    fn weighted(&mut self, rng: &mut Rng, op: Op, (shape, axis): (&[usize], usize), taps: usize, relu: bool) {
        let mut ty = TensorType::quantized(Ty::I8, shape, 0.01, 0);
        let scales: Vec<f32> = (0..shape[axis]).map(|_| rng.scale(0.01)).collect();
        let out = self.out(rng, taps, relu);
        ty.quant = Quant::PerChannel { axis, scales };
        let weights = bell_shaped(rng, &ty);
        let bias = biases(rng, shape[axis], taps);
        let weights = self.graph.add_const(weights, "");
        let bias = self.graph.add_const(bias, "");
        self.push(op, &[self.at, weights, bias], out);
    }

    /// A range that sums of so many products fill.
    fn out(&self, rng: &mut Rng, taps: usize, relu: bool) -> Quant {
        let x = self.graph.ty(self.at).per_tensor().expect("one scale").0;
        // Weights and data deviate by about 50 from their zero points; a result shall deviate as much.
        let scale = x * 0.015 * 50.0 * (taps as f32).sqrt();
        let zero = if relu { -128 } else { rng.pick(-20, 20) as i32 };
        TensorType::quantized(Ty::I8, &[], scale, zero).quant
    }

    fn push(&mut self, op: Op, operands: &[Value], out: Quant) {
        self.at = self.graph.add_op(op, operands, out, "", self.layers.len() as u32).expect("the shapes fit");
    }
}

/// Padding that keeps the size but for the stride.
fn same(extent: usize, size: usize, stride: usize) -> [usize; 2] {
    let all = ((extent.div_ceil(stride) - 1) * stride + size).saturating_sub(extent);
    [all / 2, all - all / 2]
}

/// Biases that move results by a part of their range: a channel that they made constant would be removed.
fn biases(rng: &mut Rng, len: usize, taps: usize) -> Tensor {
    let reach = (1000.0 * (taps as f64).sqrt()) as i64;
    let values: Vec<i32> = (0..len).map(|_| rng.pick(-reach, reach) as i32).collect();
    Tensor::from_i32s(&TensorType::new(Ty::I32, &[len]), &values)
}

/// Weights like trained ones: small ones are frequent.
fn bell_shaped(rng: &mut Rng, ty: &TensorType) -> Tensor {
    let values: Vec<i8> =
        (0..ty.len()).map(|_| ((0..3).map(|_| rng.pick(-127, 127)).sum::<i64>() / 3) as i8).collect();
    Tensor::from_i8s(ty, &values)
}
