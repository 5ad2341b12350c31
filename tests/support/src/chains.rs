//! Random graphs of a few small layers, one after the other: what steps for tensors and bands are tried on.
//!
//! Scales and weights are anything, as in [`super::operators`].

use ir::graph::ops::{Add, AvgPool2d, Conv2d, DepthwiseConv2d, MaxPool2d};
use ir::graph::{Graph, Op, Tensor, Value};
use ir::ty::Quant;

use crate::operators::{Rng, biases, image, quantized, weights, weights_around};

/// Channels between layers: those of words, odd ones, a single one.
const CHANNELS: [usize; 6] = [1, 2, 3, 4, 6, 8];

/// A graph of two to four layers; often a pointwise, a depthwise and a pointwise convolution. `None` where a shape is refused.
pub fn chain(rng: &mut Rng) -> Option<Graph> {
    let channels = rng.of(&CHANNELS);
    let x = image(rng, channels);
    let mut graph = Graph::new("test");
    let x = graph.add_input(x, "x");
    let mut chain = Chain { graph, at: x, before: x, length: 0 };
    if rng.pick(0, 1) == 0 {
        chain.pointwise(rng)?;
        chain.depthwise(rng)?;
        chain.pointwise(rng)?;
    } else {
        for _ in 0..rng.size(2, 4) {
            chain.any(rng)?;
        }
    }
    chain.graph.add_output(chain.at);
    ir::graph::verify::verify(&chain.graph).is_empty().then_some(chain.graph)
}

/// A graph of two or three layers of one kind whose numbers differ, and whose shapes may: what can share code. `None` where a shape is
/// refused.
pub fn alike(rng: &mut Rng) -> Option<Graph> {
    let (rows, columns, channels) = (rng.size(2, 7), rng.size(2, 7), rng.size(2, 8));
    let x = quantized(rng, &[1, rows, columns, channels]);
    let mut graph = Graph::new("test");
    let x = graph.add_input(x, "x");
    let mut chain = Chain { graph, at: x, before: x, length: 0 };
    let (kind, around) = (rng.pick(0, 4), rng.of(&[0.003, 0.003, 0.01]));
    let any = result(rng)?.1;
    let clamp = rng.of(&[[-128, 127], [-128, 127], [-128, 127], any]);
    for _ in 0..rng.size(2, 3) {
        let out = result(rng)?.0;
        match kind {
            0 | 1 => {
                let outputs = rng.size(2, 8);
                let op = Conv2d { stride: [1, 1], dilation: [1, 1], pad: [[0, 0]; 2], clamp };
                let w = weights_around(rng, &[outputs, 1, 1, chain.channels()], 0, around);
                chain.with_weights(rng, op, w, outputs, out)?;
            }
            2 | 3 => {
                let (stride, dilation, pad) = ([1, 1], [1, 1], [[1, 1]; 2]);
                let op = DepthwiseConv2d { stride, dilation, pad, multiplier: 1, clamp };
                let w = weights_around(rng, &[1, 3, 3, channels], 3, around);
                chain.with_weights(rng, op, w, channels, out)?;
            }
            _ => chain.push(Add { clamp }, &[chain.before, chain.at], out)?,
        }
    }
    chain.graph.add_output(chain.at);
    ir::graph::verify::verify(&chain.graph).is_empty().then_some(chain.graph)
}

struct Chain {
    graph: Graph,
    /// The last tensor.
    at: Value,
    /// The one before it.
    before: Value,
    length: u32,
}

impl Chain {
    fn any(&mut self, rng: &mut Rng) -> Option<()> {
        match rng.pick(0, 5) {
            0 => self.pointwise(rng),
            1 | 2 => self.depthwise(rng),
            3 => self.neighbours(rng),
            4 => self.pool(rng),
            _ => self.add(rng),
        }
    }

    fn channels(&self) -> usize {
        *self.graph.ty(self.at).shape.last().expect("images have dimensions")
    }

    fn pointwise(&mut self, rng: &mut Rng) -> Option<()> {
        let (out, clamp) = result(rng)?;
        let outputs = rng.of(&CHANNELS);
        let op = Conv2d { stride: [1, 1], dilation: [1, 1], pad: [[0, 0]; 2], clamp };
        self.weighted(rng, op, &[outputs, 1, 1, self.channels()], 0, out)
    }

    fn neighbours(&mut self, rng: &mut Rng) -> Option<()> {
        let (out, clamp) = result(rng)?;
        let outputs = rng.of(&CHANNELS);
        let op = Conv2d { stride: stride(rng), dilation: [1, 1], pad: margins(rng), clamp };
        self.weighted(rng, op, &[outputs, 3, 3, self.channels()], 0, out)
    }

    fn depthwise(&mut self, rng: &mut Rng) -> Option<()> {
        let (out, clamp) = result(rng)?;
        let (multiplier, dilation) = (rng.of(&[1, 1, 1, 2]), rng.of(&[[1, 1], [1, 1], [2, 1]]));
        let op = DepthwiseConv2d { stride: stride(rng), dilation, pad: margins(rng), multiplier, clamp };
        let size = [rng.of(&[3, 3, 2, 5]), rng.of(&[3, 3, 1])];
        self.weighted(rng, op, &[1, size[0], size[1], self.channels() * multiplier], 3, out)
    }

    fn pool(&mut self, rng: &mut Rng) -> Option<()> {
        let out = self.graph.ty(self.at).quant.clone();
        let (window, stride, pad) = ([rng.size(1, 3), rng.size(1, 3)], stride(rng), [[0, 0]; 2]);
        let clamp = [-128, 127];
        if rng.pick(0, 1) == 0 {
            return self.push(MaxPool2d { window, stride, pad, clamp }, &[self.at], out);
        }
        self.push(AvgPool2d { window, stride, pad, clamp }, &[self.at], out)
    }

    /// The sum of the last two tensors, or of the last one and itself.
    fn add(&mut self, rng: &mut Rng) -> Option<()> {
        let (out, clamp) = result(rng)?;
        let same = self.graph.ty(self.at).shape == self.graph.ty(self.before).shape;
        let other = if same { self.before } else { self.at };
        self.push(Add { clamp }, &[other, self.at], out)
    }

    fn weighted(
        &mut self,
        rng: &mut Rng,
        op: impl Into<Op>,
        shape: &[usize],
        axis: usize,
        out: Quant,
    ) -> Option<()> {
        let w = weights(rng, shape, axis);
        self.with_weights(rng, op, w, shape[axis], out)
    }

    fn with_weights(
        &mut self,
        rng: &mut Rng,
        op: impl Into<Op>,
        w: Tensor,
        channels: usize,
        out: Quant,
    ) -> Option<()> {
        let b = biases(rng, channels);
        let (w, b) = (self.graph.add_const(w, ""), self.graph.add_const(b, ""));
        self.push(op, &[self.at, w, b], out)
    }

    fn push(&mut self, op: impl Into<Op>, operands: &[Value], out: Quant) -> Option<()> {
        let y = self.graph.add_op(op, operands, out, format!("t{}", self.length), self.length).ok()?;
        (self.before, self.at) = (self.at, y);
        self.length += 1;
        Some(())
    }
}

/// Scale, zero point and range of a result.
fn result(rng: &mut Rng) -> Option<(Quant, [i32; 2])> {
    let out = quantized(rng, &[]);
    let clamp = rng.clamp(out.per_tensor()?.1);
    Some((out.quant, clamp))
}

fn stride(rng: &mut Rng) -> [usize; 2] {
    rng.of(&[[1, 1], [1, 1], [2, 2], [1, 2], [3, 1]])
}

fn margins(rng: &mut Rng) -> [[usize; 2]; 2] {
    let margin = |rng: &mut Rng| rng.of(&[[0, 0], [1, 1], [1, 1], [0, 1], [2, 2]]);
    [margin(rng), margin(rng)]
}
