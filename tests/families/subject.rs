//! What a schedule is for: a model, or an operator of some shape with random weights.

use ir::graph::ops::{Add, AvgPool2d, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d};
use ir::graph::{Graph, Op, Tensor};
use ir::ty::{Quant, TensorType, Ty};
use test_support::Model;
use test_support::operators::{Rng, finish, graph_of};
use tinyc::pipeline;

/// The network that a comment names.
pub fn graph(subject: &str, models: &[Model]) -> Result<Option<Graph>, String> {
    let words: Vec<&str> = subject.split_whitespace().collect();
    match words[..] {
        ["model", name, ..] => {
            let Some(model) = models.iter().find(|model| model.name == name) else { return Ok(None) };
            let graph = pipeline::graph(&model.read(), "model", &mut |_, _| {});
            graph.map(Some).map_err(|errors| format!("{errors:?}"))
        }
        ["shape", operator, ..] => {
            let graph = operator_of(operator, &|key| numbers(&words, key));
            graph.map(Some).ok_or_else(|| format!("`{subject}` is no operator"))
        }
        _ => Err(format!("`{subject}` names neither a model nor a shape")),
    }
}

/// The numbers behind a word.
fn numbers(words: &[&str], key: &str) -> Vec<usize> {
    let behind = words.iter().skip_while(|word| **word != key).skip(1);
    behind.map_while(|word| word.trim_end_matches(',').parse().ok()).collect()
}

/// An operator with random weights, as they are after training: all values, several scales, and a fused activation.
fn operator_of(name: &str, of: &dyn Fn(&str) -> Vec<usize>) -> Option<Graph> {
    let mut rng = Rng::new(7);
    let rng = &mut rng;
    let (x, w) = (of("x"), of("w"));
    let clamp = [-128, 127];
    let windows = || {
        let (stride, pad) = (of("stride"), of("pad"));
        Some((
            (*stride.first()?, *stride.get(1)?),
            [[*pad.first()?, *pad.get(1)?], [*pad.get(2)?, *pad.get(3)?]],
        ))
    };
    let dilation = of("dilation").try_into().unwrap_or([1, 1]);
    let multiplier = of("multiplier").first().copied().unwrap_or(1);
    match (name, &x[..], &w[..]) {
        ("conv2d", &[rows, columns, depth], &[n, height, width]) => {
            let (stride, pad) = windows()?;
            let op = Conv2d { stride: stride.into(), dilation, pad, clamp };
            let w = weights(rng, &[n, height, width, depth], 0);
            graph_of(
                op,
                &input(&[1, rows, columns, depth]),
                &[w, biases(rng, n)],
                output(height * width * depth),
            )
        }
        ("depthwise_conv2d", &[rows, columns, depth], &[height, width]) => {
            let (stride, pad) = windows()?;
            let op = DepthwiseConv2d { stride: stride.into(), dilation, pad, multiplier, clamp };
            let w = weights(rng, &[1, height, width, depth * multiplier], 3);
            let b = biases(rng, depth * multiplier);
            graph_of(op, &input(&[1, rows, columns, depth]), &[w, b], output(height * width))
        }
        ("band", &[rows, columns, depth], &[height, width]) => {
            let (stride, pad) = windows()?;
            let (expand, project) = (*of("expand").first()?, *of("project").first()?);
            let pointwise = Conv2d { stride: [1, 1], dilation: [1, 1], pad: [[0, 0]; 2], clamp };
            let middle = DepthwiseConv2d { stride: stride.into(), dilation, pad, multiplier, clamp };
            let mut graph = Graph::new("test");
            let x = graph.add_input(input(&[1, rows, columns, depth]), "x");
            let mut layer = |op: Op, x, shape: &[usize], axis: usize, products| {
                let (w, b) = (weights(rng, shape, axis), biases(rng, shape[axis]));
                let operands = [x, graph.add_const(w, ""), graph.add_const(b, "")];
                graph.add_op(op, &operands, output(products), "", graph.ops.len() as u32).ok()
            };
            let x = layer(pointwise.clone().into(), x, &[expand, 1, 1, depth], 0, depth)?;
            let n = expand * multiplier;
            let x = layer(middle.into(), x, &[1, height, width, n], 3, height * width)?;
            let y = layer(pointwise.into(), x, &[project, 1, 1, n], 0, n)?;
            graph.add_output(y);
            Some(graph)
        }
        ("fully_connected", &[depth], &[n]) => {
            let w = weights(rng, &[n, depth], 0);
            graph_of(FullyConnected { clamp }, &input(&[1, depth]), &[w, biases(rng, n)], output(depth))
        }
        ("add", &[rows, columns, depth], &[]) => {
            let shape = [1, rows, columns, depth];
            let mut graph = Graph::new("test");
            let a = graph.add_input(input(&shape), "a");
            let b = graph.add_input(TensorType::quantized(Ty::I8, &shape, 0.031, 7), "b");
            let out = TensorType::quantized(Ty::I8, &[], 0.043, -9).quant;
            finish(graph, Add { clamp }, &[a, b], out)
        }
        ("avg_pool2d", &[rows, columns, depth], &[height, width]) => {
            let window = [height, width];
            let op = AvgPool2d { window, stride: window, pad: [[0, 0]; 2], clamp };
            let x = input(&[1, rows, columns, depth]);
            graph_of(op, &x, &[], x.quant.clone())
        }
        ("max_pool2d", &[rows, columns, depth], &[height, width]) => {
            let window = [height, width];
            let op = MaxPool2d { window, stride: window, pad: [[0, 0]; 2], clamp };
            let x = input(&[1, rows, columns, depth]);
            graph_of(op, &x, &[], x.quant.clone())
        }
        _ => None,
    }
}

fn input(shape: &[usize]) -> TensorType {
    TensorType::quantized(Ty::I8, shape, 0.02, -5)
}

/// A scale with which sums of so many products fill the range, from the zero point on.
fn output(products: usize) -> Quant {
    TensorType::quantized(Ty::I8, &[], 0.0005 * 60.0 * (products as f32).sqrt(), -128).quant
}

fn weights(rng: &mut Rng, shape: &[usize], axis: usize) -> Tensor {
    let mut ty = TensorType::quantized(Ty::I8, shape, 0.02, 0);
    ty.quant = Quant::PerChannel { axis, scales: (0..shape[axis]).map(|_| rng.scale(0.01)).collect() };
    let values: Vec<i8> = (0..ty.len()).map(|_| rng.pick(-127, 127) as i8).collect();
    Tensor::from_i8s(&ty, &values)
}

fn biases(rng: &mut Rng, len: usize) -> Tensor {
    let values: Vec<i32> = (0..len).map(|_| rng.pick(-5000, 5000) as i32).collect();
    Tensor::from_i32s(&TensorType::new(Ty::I32, &[len]), &values)
}
