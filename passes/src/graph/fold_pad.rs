//! Folds a `pad` into the operator with a window that reads it.
//!
//! ```text
//! %1 = pad %0 {margins = [[0, 0], [1, 1], [1, 1], [0, 0]], value = -128}
//! %2 = conv2d %1, %w, %b {pad = [[0, 0], [0, 0]], …}
//! =>
//! %2 = conv2d %0, %w, %b {pad = [[1, 1], [1, 1]], …}
//! ```
//!
//! A convolution pads with the zero point of its input; a `max_pool2d` ignores what it pads with, as it does the least
//! integer. Left alone: a `pad` with another reader, with another value, or along batch or channels, and an
//! `avg_pool2d`, which does not count its own padding. Leaves the `pad` itself to `remove-dead-ops`.

use ir::graph::ops::{Conv2d, DepthwiseConv2d, MaxPool2d, Pad};
use ir::graph::{Graph, Op, OpId};

use super::{Changed, GraphPass};

/// The pass.
pub const PASS: GraphPass = GraphPass {
    name: "fold-pad",
    summary: "Fold padding into the operator with a window that reads it",
    run,
};

fn run(graph: &mut Graph) -> Changed {
    let mut changed = Changed::No;
    let readers: Vec<OpId> = graph.iter_ops().map(|(id, _)| id).collect();
    for reader in readers {
        while let Some(folded) = fold(graph, reader) {
            let pad = graph.def_op(graph.input(reader, 0)).expect("`fold` found it");
            graph.set_op(reader, folded);
            graph.set_input(reader, 0, graph.input(pad, 0));
            changed = Changed::Yes;
        }
    }
    changed
}

/// The reader that pads by itself, or `None` where the two paddings differ in meaning.
fn fold(graph: &Graph, reader: OpId) -> Option<Op> {
    let x = *graph.op(reader).inputs.first()?;
    let pad = graph.op(graph.only_read_by::<Pad>(x, reader)?);
    let [[0, 0], rows, columns, [0, 0]] = pad.margins[..] else { return None };
    let is_zero = graph.ty(x).per_tensor().is_some_and(|(_, zero)| zero == i32::from(pad.value));
    let sum = |own: [[usize; 2]; 2]| {
        let add = |a: [usize; 2], b: [usize; 2]| [a[0] + b[0], a[1] + b[1]];
        [add(own[0], rows), add(own[1], columns)]
    };
    let folded: Op = match &graph.op(reader).op {
        Op::Conv2d(conv) if is_zero => Conv2d { pad: sum(conv.pad), ..conv.clone() }.into(),
        Op::DepthwiseConv2d(conv) if is_zero => DepthwiseConv2d { pad: sum(conv.pad), ..conv.clone() }.into(),
        Op::MaxPool2d(pool) if pad.value == i8::MIN => {
            MaxPool2d { pad: sum(pool.pad), ..pool.clone() }.into()
        }
        _ => return None,
    };
    // A pool refuses padding as wide as its window, and every window has an upper limit.
    let mut types = graph.input_types(reader);
    types[0] = graph.ty(graph.input(graph.def_op(x)?, 0));
    folded.check(&types, graph.ty(graph.output(reader))).ok().map(|()| folded)
}
