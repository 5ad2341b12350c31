//! Random networks give the same outputs after all passes, and after each pass alone.
//!
//! Weights are sparse and biases large, so that many channels are constant; windows pad, and zero points are anything.

mod common;

use std::ops::Range;

use ir::graph::ops::{
    Add, AvgPool2d, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d, Mean, Pad, Quantize, Relu, Reshape,
    Transpose,
};
use ir::graph::verify::verify;
use ir::graph::{Graph, Op, Tensor, Value};
use ir::ty::{Quant, TensorType, Ty};
use test_support::first_seed;
use tinyc_passes::graph;
use tinyc_passes::graph::ranges::Ranges;

const N_GRAPHS: u64 = 400;

/// From `TINYC_TEST_SEED` on, or from 1.
fn seeds() -> Range<u64> {
    let first = first_seed();
    first..first + N_GRAPHS
}

#[test]
fn random_graphs_keep_their_outputs() {
    let mut n_narrowed = 0;
    for seed in seeds() {
        let before = Random::new(seed).graph();
        assert_eq!(verify(&before), [], "seed {seed}");
        let mut all = before.clone();
        graph::optimize(&mut all, |pass, after| {
            expect_same(&before, after, &format!("`{}`, seed {seed}", pass.name))
        });
        n_narrowed += u32::from(all.total_macs() < before.total_macs());
        for pass in graph::PIPELINE {
            let mut after = before.clone();
            graph::run(pass, &mut after);
            expect_same(&before, &after, &format!("`{}` alone, seed {seed}", pass.name));
        }
    }
    assert!(n_narrowed > 100, "only {n_narrowed} graphs lost a channel");
}

#[test]
fn a_pass_leaves_nothing_for_a_second_run() {
    for seed in seeds() {
        let mut graph = Random::new(seed).graph();
        for pass in graph::PIPELINE {
            graph::run(pass, &mut graph);
            assert_eq!(graph::run(pass, &mut graph), graph::Changed::No, "`{}`, seed {seed}", pass.name);
        }
    }
}

#[test]
fn every_element_is_in_its_range() {
    let mut n_constant = 0;
    for seed in seeds() {
        let graph = Random::new(seed).graph();
        let ranges = Ranges::of(&graph);
        let values = graph.eval_all(&common::random_inputs(&graph, seed));
        for (idx, tensor) in
            values.iter().flatten().enumerate().filter(|(_, tensor)| tensor.ty.elem == Ty::I8)
        {
            let channels = ranges.channels(Value::new(idx));
            n_constant += channels.iter().filter(|[low, high]| low == high).count();
            for (element, [low, high]) in tensor.i8s().iter().zip(channels.iter().cycle()) {
                assert!((*low..=*high).contains(&i32::from(*element)), "%{idx}, seed {seed}");
            }
        }
    }
    assert!(n_constant > 1000, "only {n_constant} constant channels");
}

fn expect_same(before: &Graph, after: &Graph, what: &str) {
    for seed in [3, 5, 9] {
        let inputs = common::random_inputs(before, seed);
        for (wanted, found) in before.eval(&inputs).iter().zip(&after.eval(&inputs)) {
            assert_eq!(wanted, found, "after {what}");
        }
    }
}

/// Draws networks; the same seed draws the same one.
struct Random {
    state: u64,
    graph: Graph,
    /// Results with four dimensions that further operators may read.
    open: Vec<Value>,
}

impl Random {
    fn new(seed: u64) -> Self {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { state, graph: Graph::new("random"), open: Vec::new() }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state >> 20
    }

    /// A number from `from` to `to`, both included.
    fn number(&mut self, from: i64, to: i64) -> i64 {
        from + (self.next() % (to - from + 1) as u64) as i64
    }

    fn graph(mut self) -> Graph {
        let shape = [1, self.number(3, 6) as usize, self.number(3, 6) as usize, self.number(1, 4) as usize];
        let Quant::PerTensor { scale, zero } = self.quant() else {
            unreachable!("activations have one scale")
        };
        let input = self.graph.add_input(TensorType::quantized(Ty::I8, &shape, scale, zero), "x");
        self.open.push(input);
        for _ in 0..self.number(2, 8) {
            let x = self.pick();
            if let Some(y) = self.layer(x) {
                self.open.push(y);
            }
        }
        let last = self.open[self.open.len() - 1];
        let output = self.head(last);
        self.graph.add_output(output);
        if self.number(0, 3) == 0 {
            let other = self.pick();
            if other != input && other != output {
                self.graph.add_output(other);
            }
        }
        self.graph
    }

    /// One of the open results, the last one more often.
    fn pick(&mut self) -> Value {
        let last = self.open.len() as i64 - 1;
        let idx = if self.number(0, 3) == 0 { self.number(0, last) } else { last };
        self.open[idx as usize]
    }

    /// Adds an operator that reads `x`; `None` where what was drawn does not suit it.
    fn layer(&mut self, x: Value) -> Option<Value> {
        match self.number(0, 12) {
            0..=3 => self.conv2d(x),
            4..=6 => self.depthwise_conv2d(x),
            7 => self.pool(x),
            8 => self.add_to(x),
            9 => self.pad(x),
            10 => self.activation(x),
            11 => {
                let op = Transpose { perm: vec![0, 2, 1, 3] };
                self.op(op, &[x], self.graph.ty(x).quant.clone())
            }
            _ => {
                let quant = self.quant();
                self.op(Quantize {}, &[x], quant)
            }
        }
    }

    /// The end of a network: a `fully_connected` over everything, a `mean`, or nothing.
    fn head(&mut self, x: Value) -> Value {
        let shape = self.graph.ty(x).shape.clone();
        let flat: usize = shape.iter().product();
        match self.number(0, 2) {
            0 => {
                let quant = self.graph.ty(x).quant.clone();
                let row = self.op(Reshape { shape: vec![1, flat] }, &[x], quant).expect("as many elements");
                let n = self.number(1, 3) as usize;
                let (w, b) = (self.weights(&[n, flat], 0), self.bias(n));
                let (clamp, quant) = (self.clamp(), self.quant());
                self.op(FullyConnected { clamp }, &[row, w, b], quant).unwrap_or(x)
            }
            1 => {
                let quant = self.quant();
                self.op(Mean { axes: vec![1, 2], keep_dims: false }, &[x], quant).unwrap_or(x)
            }
            _ => x,
        }
    }

    fn conv2d(&mut self, x: Value) -> Option<Value> {
        let channels = self.graph.ty(x).shape[3];
        let (n, size) = (self.number(1, 6) as usize, self.size());
        let (w, b) = (self.weights(&[n, size[0], size[1], channels], 0), self.bias(n));
        let (pad, clamp, quant) = (self.margins(size), self.clamp(), self.quant());
        let stride = [self.number(1, 2) as usize, self.number(1, 2) as usize];
        self.op(Conv2d { stride, dilation: [1, 1], pad, clamp }, &[x, w, b], quant)
    }

    fn depthwise_conv2d(&mut self, x: Value) -> Option<Value> {
        let multiplier = self.number(1, 4).saturating_sub(2).max(1) as usize;
        let (n, size) = (self.graph.ty(x).shape[3] * multiplier, self.size());
        let (w, b) = (self.weights(&[1, size[0], size[1], n], 3), self.bias(n));
        let (pad, clamp, quant) = (self.margins(size), self.clamp(), self.quant());
        self.op(
            DepthwiseConv2d { stride: [1, 1], dilation: [1, 1], pad, multiplier, clamp },
            &[x, w, b],
            quant,
        )
    }

    fn pool(&mut self, x: Value) -> Option<Value> {
        let (window, clamp, quant) = (self.size(), self.clamp(), self.graph.ty(x).quant.clone());
        let (pad, stride) = (self.margins(window), [1, 1]);
        match self.number(0, 1) {
            0 => self.op(MaxPool2d { window, stride, pad, clamp }, &[x], quant),
            _ => self.op(AvgPool2d { window, stride, pad, clamp }, &[x], quant),
        }
    }

    /// Adds another open result of the same shape, or a constant.
    fn add_to(&mut self, x: Value) -> Option<Value> {
        let shape = self.graph.ty(x).shape.clone();
        let same: Vec<Value> =
            self.open.iter().copied().filter(|other| self.graph.ty(*other).shape == shape).collect();
        let pick = self.number(0, same.len() as i64) as usize;
        let other = match same.get(pick) {
            Some(other) => *other,
            None => {
                let shape = if self.number(0, 1) == 0 { vec![1] } else { vec![shape[3]] };
                let ty = TensorType { elem: Ty::I8, quant: self.quant(), shape };
                let values: Vec<i8> = (0..ty.len()).map(|_| self.next() as i8).collect();
                self.graph.add_const(Tensor::from_i8s(&ty, &values), "")
            }
        };
        let (clamp, quant) = (self.clamp(), self.quant());
        self.op(Add { clamp }, &[x, other], quant)
    }

    fn pad(&mut self, x: Value) -> Option<Value> {
        let quant = self.graph.ty(x).quant.clone();
        let zero = self.graph.ty(x).per_tensor()?.1 as i8;
        let value = [zero, zero, i8::MIN, 7][self.number(0, 3) as usize];
        let channels = [0, self.number(0, 5).saturating_sub(4).max(0) as usize];
        let [rows, columns] = self.margins([2, 2]);
        self.op(Pad { margins: vec![[0, 0], rows, columns, channels], value }, &[x], quant)
    }

    fn activation(&mut self, x: Value) -> Option<Value> {
        let quant = if self.number(0, 3) == 0 { self.quant() } else { self.graph.ty(x).quant.clone() };
        let clamp = self.clamp();
        self.op(Relu { clamp, single_ratio: false }, &[x], quant)
    }

    fn op(&mut self, op: impl Into<Op>, inputs: &[Value], quant: Quant) -> Option<Value> {
        let source = self.graph.ops.len() as u32;
        self.graph.add_op(op, inputs, quant, "", source).ok()
    }

    fn size(&mut self) -> [usize; 2] {
        [self.number(1, 3) as usize, self.number(1, 3) as usize]
    }

    /// Margins smaller than a window.
    fn margins(&mut self, size: [usize; 2]) -> [[usize; 2]; 2] {
        size.map(|size| [0, 1].map(|_| self.number(0, size as i64 - 1) as usize))
    }

    fn clamp(&mut self) -> [i32; 2] {
        match self.number(0, 3) {
            0 => [-128, 127],
            1 => [self.number(-128, 0) as i32, self.number(1, 127) as i32],
            2 => [self.number(-20, 20) as i32, 127],
            _ => [-128, self.number(-100, 100) as i32],
        }
    }

    fn quant(&mut self) -> Quant {
        let zero = [-128, -128, 0, 5, 127][self.number(0, 4) as usize];
        Quant::PerTensor { scale: self.number(1, 40) as f32 / 100.0, zero }
    }

    /// Sparse weights, some filters without any, with a scale for each filter or one for all.
    fn weights(&mut self, shape: &[usize], axis: usize) -> Value {
        let n = shape[axis];
        let quant = match self.number(0, 1) {
            0 => Quant::PerTensor { scale: 0.01, zero: 0 },
            _ => Quant::PerChannel {
                axis,
                scales: (0..n).map(|_| self.number(1, 30) as f32 / 1000.0).collect(),
            },
        };
        let inner: usize = shape[axis + 1..].iter().product();
        let empty: Vec<bool> = (0..n).map(|_| self.number(0, 4) == 0).collect();
        let ty = TensorType { elem: Ty::I8, shape: shape.to_vec(), quant };
        let weight = |idx: usize| match self.number(0, 2) {
            0 => 0,
            _ if empty[idx / inner % n] => 0,
            _ => self.next() as i8,
        };
        let values: Vec<i8> = (0..ty.len()).map(weight).collect();
        self.graph.add_const(Tensor::from_i8s(&ty, &values), "")
    }

    /// Some biases are so large that nothing else counts.
    fn bias(&mut self, n: usize) -> Value {
        let ty = TensorType::new(Ty::I32, &[n]);
        let value = |_| match self.number(0, 3) {
            0 => self.number(-300_000, 300_000) as i32,
            1 => 0,
            _ => self.number(-5_000, 5_000) as i32,
        };
        let values: Vec<i32> = (0..n).map(value).collect();
        self.graph.add_const(Tensor::from_i32s(&ty, &values), "")
    }
}
