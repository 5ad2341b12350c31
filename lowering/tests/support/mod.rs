//! What the tests of lowering share: random operators, and running what they are lowered to.

use ir::graph::{Graph, Op, Tensor, Value};
use ir::loops::Program;
use ir::loops::interp::{Checks, Runner};
use ir::loops::verify::verify_program;
use ir::ty::{Quant, TensorType, Ty};
use test_support::Random;

/// Numbers that look random and are the same in every run.
pub struct Rng(Random);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(Random(seed))
    }

    /// A number of `low..=high`.
    pub fn pick(&mut self, low: i64, high: i64) -> i64 {
        low + self.0.below((high - low + 1) as usize) as i64
    }

    pub fn size(&mut self, low: usize, high: usize) -> usize {
        self.pick(low as i64, high as i64) as usize
    }

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

    pub fn clamp(&mut self, zero: i32) -> [i32; 2] {
        let (a, b) = (self.pick(-128, 127) as i32, self.pick(-128, 127) as i32);
        self.of(&[[-128, 127], [zero, 127], [zero, zero.max(a)], [a.min(b), a.max(b)], [-128, a]])
    }
}

/// A tensor of bytes: random ones, or nothing but extremes.
pub fn bytes(rng: &mut Rng, ty: &TensorType) -> Tensor {
    let kind = rng.pick(0, 5);
    let byte = |rng: &mut Rng| match kind {
        0 => -128,
        1 => 127,
        2 => rng.of(&[-128, 127]),
        _ => rng.pick(-128, 127) as i8,
    };
    let values: Vec<i8> = (0..ty.len()).map(|_| byte(rng)).collect();
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
        let around = rng.of(&[0.003, 0.003, 0.1, 1e-12]);
        let scales = (0..shape[axis]).map(|_| rng.scale(around)).collect();
        ty.quant = Quant::PerChannel { axis, scales };
    }
    bytes(rng, &ty)
}

pub fn biases(rng: &mut Rng, len: usize) -> Tensor {
    let reach = rng.of(&[10, 5000, 1 << 20]);
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

/// Compares the lowered graph with the graph's evaluation, as it is and after the passes that every nest takes.
pub fn check(graph: &Graph, rng: &mut Rng) {
    let mut program = tinyc_lowering::lower(graph).expect("the graph can be lowered");
    let inputs: Vec<Vec<Tensor>> = (0..4)
        .map(|_| graph.inputs.iter().map(|input| bytes(rng, &graph.values[input.idx()].ty)).collect())
        .collect();
    compare(graph, &program, &inputs, "as lowered");
    for pass in passes::loops::PASSES {
        for layer in &mut program.layers {
            passes::loops::run(pass, &mut layer.nest).expect("the pass accepts what lowering gives");
        }
        compare(graph, &program, &inputs, pass.name);
    }
}

fn compare(graph: &Graph, program: &Program, inputs: &[Vec<Tensor>], stage: &str) {
    assert_eq!(verify_program(program), [], "{stage}\n{program}");
    let mut runner = Runner::new(program, Checks::On).expect("the constants can be evaluated");
    for inputs in inputs {
        let wanted = graph.eval(inputs);
        let data: Vec<Vec<u8>> = inputs.iter().map(|tensor| tensor.data.to_vec()).collect();
        let found = runner.run(&data).unwrap_or_else(|error| panic!("{stage}: {error}\n{program}"));
        for (wanted, found) in wanted.iter().zip(&found) {
            assert_eq!(&*wanted.data, &found[..], "{stage}, inputs {inputs:?}\n{graph}\n{program}");
        }
    }
}
