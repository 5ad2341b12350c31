//! Every operator, lowered and run, equals the graph's evaluation on random data: as lowered, then after each pass.

mod support;

use ir::graph::ops::{FullyConnected, Mean, Pad, Quantize, Relu, Reshape, Softmax, Transpose};
use ir::graph::{Graph, Tensor};
use ir::ty::{Quant, TensorType, Ty};

use support::check;
use test_support::operators::{self, Rng, biases, bytes, finish, graph_of, image, quantized};

/// Runs `case` with many seeds; it gives `None` for what the graph level refuses.
fn many(n_cases: usize, case: impl Fn(&mut Rng) -> Option<Graph>) {
    let mut rng = Rng::new(7);
    let mut n_checked = 0;
    for _ in 0..20 * n_cases {
        let Some(graph) = case(&mut rng) else { continue };
        check(&graph, &mut rng);
        n_checked += 1;
        if n_checked == n_cases {
            return;
        }
    }
    panic!("only {n_checked} of {n_cases} random cases were legal");
}

#[test]
fn convolutions() {
    many(60, operators::convolution);
}

#[test]
fn pointwise_convolutions() {
    many(20, operators::pointwise_convolution);
}

#[test]
fn depthwise_convolutions() {
    many(50, operators::depthwise_convolution);
}

#[test]
fn fully_connected_layers() {
    many(40, operators::fully_connected);
}

#[test]
fn additions() {
    many(60, operators::addition);
}

#[test]
fn average_pools() {
    many(50, operators::average_pool);
}

#[test]
fn max_pools() {
    many(40, operators::max_pool);
}

#[test]
fn means() {
    many(40, |rng| {
        let channels = rng.size(1, 5);
        let x = image(rng, channels);
        let axes = rng.of(&[vec![1, 2], vec![1], vec![3], vec![0, 1, 2, 3], vec![0, 2], vec![]]);
        let same = x.quant.clone();
        let other = quantized(rng, &[]).quant;
        let out = rng.of(&[same, other]);
        graph_of(Mean { axes, keep_dims: rng.pick(0, 1) == 0 }, &x, &[], out)
    });
}

#[test]
fn softmaxes() {
    many(30, |rng| {
        let shape = rng.of(&[
            vec![1, 12],
            vec![3, 5],
            vec![4, 2],
            vec![1, 1],
            vec![2, 2, 33],
            vec![1, 511],
            vec![1, 1200],
        ]);
        let around = rng.of(&[0.001, 0.05, 0.4]);
        let x = TensorType::quantized(Ty::I8, &shape, rng.scale(around), rng.zero());
        let out = Quant::PerTensor { scale: 1.0 / 256.0, zero: -128 };
        graph_of(Softmax { beta: rng.of(&[1.0, 0.5]) }, &x, &[], out)
    });
}

#[test]
fn rescaling() {
    many(60, |rng| {
        let x = quantized(rng, &[2, 3, 50]);
        let around = rng.of(&[0.05, 0.001, 1.0, 30.0, 1e-5]);
        let out = TensorType::quantized(Ty::I8, &[], rng.scale(around), rng.zero());
        if rng.pick(0, 1) == 0 {
            return graph_of(Quantize {}, &x, &[], out.quant);
        }
        graph_of(
            Relu { clamp: rng.clamp(out.per_tensor()?.1), single_ratio: rng.pick(0, 1) == 0 },
            &x,
            &[],
            out.quant,
        )
    });
}

#[test]
fn paddings() {
    many(30, |rng| {
        let shape: Vec<usize> = (0..rng.size(1, 4)).map(|_| rng.size(1, 4)).collect();
        let x = quantized(rng, &shape);
        let margins = shape.iter().map(|_| [rng.size(0, 2), rng.size(0, 2)]).collect();
        let out = x.quant.clone();
        graph_of(Pad { margins, value: rng.pick(-128, 127) as i8 }, &x, &[], out)
    });
}

#[test]
fn transpositions() {
    for perm in [vec![1, 0], vec![0, 3, 1, 2], vec![3, 2, 1, 0], vec![0, 1], vec![2, 0, 1]] {
        let mut rng = Rng::new(3);
        let shape: Vec<usize> = [2, 3, 4, 5][..perm.len()].to_vec();
        let x = quantized(&mut rng, &shape);
        let out = x.quant.clone();
        check(&graph_of(Transpose { perm }, &x, &[], out).expect("a legal permutation"), &mut rng);
    }
}

/// A network that asks for every kind of sharing: results that are inputs, constants, aliases, or listed twice.
#[test]
fn memory_is_shared_where_nobody_can_tell() {
    let mut rng = Rng::new(1);
    let x_ty = quantized(&mut rng, &[2, 6]);
    let quant = x_ty.quant.clone();
    let constant: Tensor = bytes(&mut rng, &x_ty.with_shape(vec![3]));
    let mut graph = Graph::new("test");
    let x = graph.add_input(x_ty, "x");
    let c = graph.add_const(constant, "c");
    let op = |graph: &mut Graph, op: ir::graph::Op, operand, source| {
        graph.add_op(op, &[operand], quant.clone(), "", source).expect("the operator is legal")
    };
    let flat = op(&mut graph, Reshape { shape: vec![12] }.into(), x, 0);
    let relu = op(&mut graph, Relu { clamp: [0, 50], single_ratio: false }.into(), flat, 1);
    let square = op(&mut graph, Reshape { shape: vec![3, 4] }.into(), relu, 2);
    let turned = op(&mut graph, Transpose { perm: vec![1, 0] }.into(), square, 2);
    let line = op(&mut graph, Reshape { shape: vec![1, 12] }.into(), turned, 3);
    let column = op(&mut graph, Reshape { shape: vec![12, 1] }.into(), turned, 4);
    for output in [line, column, x, flat, c, line, relu] {
        graph.add_output(output);
    }
    assert_eq!(ir::graph::verify::verify(&graph), []);
    check(&graph, &mut rng);

    let program = tinyc_lowering::lower(&graph).expect("the graph can be lowered");
    let names: Vec<&str> = program.layers.iter().map(|layer| layer.nest.name.as_str()).collect();
    // `line` lies where `transpose_2` left it; `flat` may not lie in the input, nor `column` in `line`.
    let wanted = ["reshape_0", "relu_1", "transpose_2", "reshape_4", "copy_4", "copy_5", "copy_6"];
    assert_eq!(names, wanted, "the copies are of `x`, `c` and the second `line`");
    let names: std::collections::BTreeSet<&str> = program.tensors.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names.len(), program.tensors.len());
}

#[test]
fn floats_and_weights_that_vary_are_refused() {
    let x = TensorType::new(Ty::F32, &[4]);
    let out = Quant::PerTensor { scale: 0.5, zero: 0 };
    let graph = graph_of(Quantize {}, &x, &[], out.clone()).expect("the graph level has floats");
    let message = tinyc_lowering::lower(&graph).expect_err("floats are taken off before").message;
    assert_eq!(
        message,
        "op 3 `quantize` (`y`): takes floats, which are only supported as inputs of the model"
    );

    let mut graph = Graph::new("test");
    let x = graph.add_input(TensorType::quantized(Ty::I8, &[1, 4], 0.5, 0), "x");
    let w = graph.add_input(TensorType::quantized(Ty::I8, &[2, 4], 0.5, 0), "w");
    let b = graph.add_const(biases(&mut Rng::new(1), 2), "b");
    let op = FullyConnected { clamp: [-128, 127] };
    let graph = finish(graph, op, &[x, w, b], out).expect("the graph level allows any operand");
    let message = tinyc_lowering::lower(&graph).expect_err("weights are data").message;
    assert_eq!(
        message,
        "op 3 `fully_connected` (`y`): weights are not constant, only constant ones are supported"
    );
}
