//! Every model that loads and lowers must give the reference's outputs, bit for bit, as native code.
//!
//! Once as it is lowered, each tensor in memory of its own, and once after the rewrites that every nest takes, in the arena. Our own models are always tested, the
//! shared ones where their folder is there.

use frontends::tflite;
use ir::graph::ops::{Dequantize, GraphOp, Quantize};
use ir::graph::{Graph, Tensor};
use ir::ty::{TensorType, Ty};
use libtest_mimic::{Arguments, Failed, Trial};
use test_support::{Case, Model};
use tinyc_host::{Arena, HostProgram};

fn main() {
    let mut trials = Vec::new();
    for (collection, models) in
        [("own", test_support::own_models()), ("shared", test_support::shared_models())]
    {
        for model in models {
            trials.push(Trial::test(format!("{collection}/{}", model.name), move || run(&model)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn run(model: &Model) -> Result<(), Failed> {
    let Ok(before) = tflite::load(&model.read(), "model") else {
        return Ok(()); // What is refused is another test's business.
    };
    let mut graph = before.clone();
    passes::graph::optimize(&mut graph, |_, _| {});
    let mut program = match lowering::lower(&graph) {
        Ok(program) => program,
        Err(_) if graph.values.iter().any(|value| value.ty.elem == Ty::F32) => return Ok(()), // Integers only.
        Err(error) => return Err(error.to_string().into()),
    };
    let cases = model.golden().cases;
    let apart = tinyc_host::compile(&program).map_err(|error| error.to_string())?;
    compare(apart, &before, &graph, &cases).map_err(|error| format!("as lowered: {error}"))?;
    for layer in &mut program.layers {
        for pass in passes::loops::PASSES {
            (pass.run)(&mut layer.nest).map_err(|error| error.to_string())?;
        }
    }
    let placement = lowering::memory::place(&program).map_err(|error| error.to_string())?;
    let arena = Arena {
        bytes: placement.arena_bytes as usize,
        tensors: &placement.tensors,
        scratch: &placement.scratch,
    };
    let placed = tinyc_host::compile_in(&program, arena).map_err(|error| error.to_string())?;
    compare(placed, &before, &graph, &cases).map_err(|error| format!("in the arena: {error}"))?;
    Ok(())
}

fn compare(mut native: HostProgram, before: &Graph, graph: &Graph, cases: &[Case]) -> Result<(), String> {
    for (idx, case) in cases.iter().enumerate() {
        let inputs: Vec<Vec<u8>> = case
            .inputs
            .iter()
            .zip(before.inputs.iter().zip(&graph.inputs))
            .map(|(bytes, (was, is))| quantized(bytes, before.ty(*was), graph.ty(*is)))
            .collect();
        let slices: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let outputs = native.run(&slices).map_err(|error| error.to_string())?;
        let types = before.outputs.iter().zip(&graph.outputs);
        let found: Vec<Vec<u8>> = outputs
            .iter()
            .zip(types)
            .map(|(y, (was, is))| dequantized(y, graph.ty(*is), before.ty(*was)))
            .collect();
        if found != case.outputs {
            return Err(format!("case {idx} ({}): the outputs differ", case.kind));
        }
    }
    Ok(())
}

/// The bytes of an input as the program takes them, which may be the integers behind a float boundary.
fn quantized(bytes: &[u8], was: &TensorType, is: &TensorType) -> Vec<u8> {
    let tensor = Tensor::new(was.clone(), bytes).expect("golden data fill the input");
    match (was.elem, is.elem) {
        (Ty::F32, Ty::I8) => Quantize {}.eval(&[&tensor], is).data.to_vec(),
        _ => bytes.to_vec(),
    }
}

/// The bytes of an output as the model gives them.
fn dequantized(bytes: &[u8], is: &TensorType, was: &TensorType) -> Vec<u8> {
    let tensor = Tensor::new(is.clone(), bytes).expect("the program fills the output");
    match (is.elem, was.elem) {
        (Ty::I8, Ty::F32) => Dequantize {}.eval(&[&tensor], was).data.to_vec(),
        _ => bytes.to_vec(),
    }
}
