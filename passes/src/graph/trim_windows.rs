//! Takes the rows and columns off a window that meet nothing but padding.
//!
//! ```text
//! %1 = depthwise_conv2d %0, %w, %b {pad = [[3, 3], [3, 3]], …} : i8[1, 2, 2, 384]      // %w: i8[1, 7, 7, 384]
//! =>
//! %1 = depthwise_conv2d %0, %w', %b {pad = [[1, 1], [1, 1]], …} : i8[1, 2, 2, 384]     // %w': i8[1, 3, 3, 384]
//! ```
//!
//! A convolution pads with the zero point of its input, which adds nothing to a sum. So a row of weights that lies outside the image at
//! every position of the window never counts. Only rows and columns at the ends of a window go, and those inside two that stay
//! remain. Left alone: weights that are no constants, and where the window would begin inside the image.

use ir::graph::ops::{Conv2d, DepthwiseConv2d};
use ir::graph::{Graph, Op, OpId};

use super::slice::slice;
use super::{Changed, GraphPass};

/// The pass.
pub const PASS: GraphPass =
    GraphPass { name: "trim-windows", summary: "Take off a window what meets nothing but padding", run };

/// The dimension of the weights that the rows of a window are; its columns are the next one.
const ROWS: usize = 1;

fn run(graph: &mut Graph) -> Changed {
    let mut changed = Changed::No;
    let ops: Vec<OpId> = graph.iter_ops().map(|(id, _)| id).collect();
    for op in ops {
        for side in [0, 1] {
            if trim(graph, op, side).is_some() {
                changed = Changed::Yes;
            }
        }
    }
    changed
}

/// Takes off what the window of an operator does not need along one side of the image; `None` if that is nothing.
fn trim(graph: &mut Graph, id: OpId, side: usize) -> Option<()> {
    let data = graph.op(id);
    let (stride, dilation, pad) = match &data.op {
        Op::Conv2d(conv) => (conv.stride, conv.dilation, conv.pad),
        Op::DepthwiseConv2d(conv) => (conv.stride, conv.dilation, conv.pad),
        _ => return None,
    };
    let (x, w) = (data.inputs[0], data.inputs[1]);
    graph.const_tensor(w)?;
    let line = Line {
        input: graph.ty(x).shape[1 + side],
        output: graph.ty(data.output).shape[1 + side],
        taps: graph.ty(w).shape[ROWS + side],
        stride: stride[side],
        dilation: dilation[side],
        before: pad[side][0],
    };
    let (first, last) = line.needed()?;
    let mut pads = pad;
    pads[side] = line.padding(first, last)?;
    let op: Op = match &data.op {
        Op::Conv2d(conv) => Conv2d { pad: pads, ..conv.clone() }.into(),
        Op::DepthwiseConv2d(conv) => DepthwiseConv2d { pad: pads, ..conv.clone() }.into(),
        _ => return None,
    };
    let keep: Vec<bool> = (0..line.taps).map(|tap| (first..=last).contains(&tap)).collect();
    let weights = slice(graph, w, ROWS + side, &keep);
    graph.set_op(id, op);
    graph.set_input(id, 1, weights);
    Some(())
}

/// A window that moves along one side of an image.
struct Line {
    /// Elements of the image.
    input: usize,
    /// Positions of the window.
    output: usize,
    /// Weights of the window.
    taps: usize,
    stride: usize,
    dilation: usize,
    /// Padding in front of the image.
    before: usize,
}

impl Line {
    /// The first and the last weight to keep; `None` if that is all, or none of them meets the image.
    fn needed(&self) -> Option<(usize, usize)> {
        let meets =
            |tap: &usize| (0..self.output).any(|at| self.is_inside(at * self.stride + tap * self.dilation));
        let (first, last) = ((0..self.taps).find(meets)?, (0..self.taps).rev().find(meets)?);
        let first = first.min(self.before / self.dilation); // Padding has no negative width.
        (last - first + 1 < self.taps).then_some((first, last))
    }

    /// Whether a place, counted from the beginning of the padding, is one of the image.
    fn is_inside(&self, place: usize) -> bool {
        (self.before..self.before + self.input).contains(&place)
    }

    /// The padding in front and behind with which the window of only these weights has as many positions as before.
    fn padding(&self, first: usize, last: usize) -> Option<[usize; 2]> {
        let before = self.before - first * self.dilation;
        let span = (last - first) * self.dilation + 1;
        let reached = (self.output - 1) * self.stride + span;
        let behind = reached.saturating_sub(self.input + before);
        let positions = (self.input + before + behind - span) / self.stride + 1;
        (positions == self.output).then_some([before, behind])
    }
}
