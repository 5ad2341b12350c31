//! What the tests of lowering share: running what a graph is lowered to.

use ir::graph::{Graph, Tensor};
use ir::loops::Program;
use ir::loops::interp::{Checks, Runner};
use ir::loops::verify::verify_program;
use test_support::operators::{Rng, bytes};

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
