//! Every model that loads must give the reference's outputs, bit for bit, when its graph has gone through all passes.
//!
//! Our own models are always tested, the shared ones where their folder is there.

mod common;

use frontends::tflite;
use ir::graph::{Graph, OpData, Tensor};
use libtest_mimic::{Arguments, Failed, Trial};
use test_support::Model;
use tinyc_passes::graph;

/// Multiply-accumulates of shared models before and after all passes.
const MACS: [(&str, u64, u64); 2] =
    [("vww_96_int8", 7_489_664, 3_727_313), ("kws_ref_model", 2_656_768, 2_656_768)];

/// Models with more multiply-accumulates are evaluated for one case only.
const MANY_MACS: u64 = 3_000_000;

fn main() {
    let shared = test_support::shared_models();
    let mut trials = Vec::new();
    for (collection, models) in [("own", test_support::own_models()), ("shared", shared)] {
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
    let mut after = before.clone();
    graph::optimize(&mut after, |_, _| {});
    let macs = (before.total_macs(), after.total_macs());
    let wanted = MACS.iter().find(|(name, ..)| *name == model.name).map(|(_, was, is)| (*was, *is));
    if wanted.is_some_and(|wanted| wanted != macs) {
        return Err(format!("{macs:?} multiply-accumulates, expected {wanted:?}").into());
    }
    if let Some(layer) = first_other_layer(&before, &after) {
        return Err(format!("{layer} gives another result than before").into());
    }
    let golden = model.golden();
    let n_cases = if after.total_macs() > MANY_MACS { 1 } else { golden.cases.len() };
    for (idx, case) in golden.cases[..n_cases].iter().enumerate() {
        let found = eval(&before, &after, &case.inputs)?;
        if found != case.outputs {
            return Err(format!("case {idx} ({}): the outputs differ", case.kind).into());
        }
    }
    Ok(())
}

/// The first operator with the same attributes and result type as before, but another result for a random input.
///
/// The last layers of a network forgive much that is wrong in the first.
fn first_other_layer(before: &Graph, after: &Graph) -> Option<String> {
    let inputs = common::random_inputs(before, 1);
    let integers = inputs.iter().zip(&after.inputs).map(|(x, value)| common::as_input(x, after.ty(*value)));
    let found = after.eval_all(&integers.collect::<Vec<_>>());
    let wanted = before.eval_all(&inputs);
    after.iter_ops().find_map(|(id, data)| {
        let is_same = |other: &&OpData| {
            other.source == data.source
                && other.op == data.op
                && before.ty(other.output) == after.ty(data.output)
        };
        let (_, other) = before.iter_ops().find(|(_, other)| is_same(other))?;
        (found[data.output.idx()] != wanted[other.output.idx()]).then(|| after.describe(id))
    })
}

/// The outputs of the graph after all passes, for inputs and in types of the graph before.
fn eval(before: &Graph, after: &Graph, inputs: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Failed> {
    let mut tensors = Vec::new();
    for (idx, bytes) in inputs.iter().enumerate() {
        let ty = before.ty(before.inputs[idx]).clone();
        let tensor =
            Tensor::new(ty, bytes.as_slice()).ok_or_else(|| format!("an input has {} bytes", bytes.len()))?;
        tensors.push(common::as_input(&tensor, after.ty(after.inputs[idx])));
    }
    let outputs = after.eval(&tensors);
    let types = before.outputs.iter().map(|value| before.ty(*value).elem);
    Ok(outputs.iter().zip(types).map(|(y, elem)| common::as_output(y, elem).data.to_vec()).collect())
}
