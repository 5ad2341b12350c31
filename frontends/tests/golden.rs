//! Every model that loads must give the reference's outputs, bit for bit, when its graph is evaluated.
//!
//! Our own models are always tested, the shared models where their folder is there. Which models are refused, and why, stands in `tests/refused_own.expected` and
//! `tests/refused_shared.expected`; `TINYC_BLESS=1` rewrites these files.

use std::fmt::Write;
use std::path::Path;

use ir::graph::{Graph, Tensor};
use libtest_mimic::{Arguments, Failed, Trial};
use test_support::{Case, Golden, Model, crc32};
use tinyc_frontends::tflite;

/// The shared networks that must load.
const NETWORKS: [&str; 12] = [
    "ad01_int8",
    "digits_cnn",
    "hello_world_int8",
    "kws_ref_model",
    "mbv2-w0.35-r144",
    "mcunet-vww0",
    "mcunet-vww0_trained",
    "mcunet-vww1_trained",
    "person_detect",
    "pretrainedResnet_quant",
    "tinyengine_vww",
    "vww_96_int8",
];

fn main() {
    let arguments = Arguments::from_args();
    let own = test_support::own_models();
    let shared = test_support::shared_models();
    let mut trials = Vec::new();
    for (collection, models) in [("own", own), ("shared", shared)] {
        for model in models.clone() {
            trials.push(Trial::test(format!("{collection}/{}", model.name), move || evaluate(&model)));
        }
        if !models.is_empty() {
            trials.push(Trial::test(format!("{collection}/refused"), move || refused(collection, &models)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// A model that loads is exact. Which models do not load is another test, except for the networks.
fn evaluate(model: &Model) -> Result<(), Failed> {
    match load(model) {
        Ok(graph) => compare(&graph, &model.golden()),
        Err(error) if NETWORKS.contains(&model.name.as_str()) => Err(error),
        Err(_) => Ok(()),
    }
}

fn load(model: &Model) -> Result<Graph, Failed> {
    tflite::load(&model.read(), &model.name).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n").into()
    })
}

/// Evaluates all cases.
fn compare(graph: &Graph, golden: &Golden) -> Result<(), Failed> {
    for (idx, case) in golden.cases.iter().enumerate() {
        let inputs = graph.inputs.iter().zip(&case.inputs).map(|(value, bytes)| {
            let ty = graph.ty(*value).clone();
            Tensor::new(ty, bytes.as_slice()).ok_or_else(|| format!("an input has {} bytes", bytes.len()))
        });
        let values = graph.eval_all(&inputs.collect::<Result<Vec<_>, _>>()?);
        for (position, (value, wanted)) in graph.outputs.iter().zip(&case.outputs).enumerate() {
            let found = values[value.idx()].as_ref().ok_or("an output is not computed")?;
            if *found.data != wanted[..] {
                let layer = first_wrong_layer(graph, &values, golden, idx);
                return Err(describe(idx, case, position, &found.data, wanted, &layer).into());
            }
        }
        if graph.outputs.len() != case.outputs.len() {
            return Err(format!("{} outputs, expected {}", graph.outputs.len(), case.outputs.len()).into());
        }
    }
    Ok(())
}

fn describe(idx: usize, case: &Case, position: usize, found: &[u8], wanted: &[u8], layer: &str) -> String {
    let wrong = found.iter().zip(wanted).filter(|(a, b)| a != b).count();
    let kind = &case.kind;
    format!("case {idx} ({kind}), output {position}: {wrong} of {} bytes differ; {layer}", wanted.len())
}

/// The first operator whose result has another checksum than the golden data say.
fn first_wrong_layer(graph: &Graph, values: &[Option<Tensor>], golden: &Golden, case: usize) -> String {
    for layer in &golden.layers {
        // Where one operator of the file became two, the last one has its result.
        let Some((_, op)) = graph.iter_ops().filter(|(_, op)| op.source == layer.op).last() else { continue };
        let data = &values[op.output.idx()].as_ref().expect("operators were evaluated").data;
        if crc32(data) != layer.crc32[case] {
            let doubt = if layer.exact { "" } else { ", whose checksum is of another reference" };
            return format!("the first wrong layer is op {} `{}`{doubt}", layer.op, layer.name);
        }
    }
    "no layer has a wrong checksum".to_string()
}

/// The refused models with the first error of each are as expected.
fn refused(collection: &str, models: &[Model]) -> Result<(), Failed> {
    let mut text = String::new();
    for model in models {
        if let Err(errors) = tflite::load(&model.read(), &model.name) {
            writeln!(text, "{}: {}", model.name, errors[0].message).expect("strings take all text");
        }
    }
    test_support::compare_with_file(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/refused_{collection}.expected")),
        &text,
    )?;
    Ok(())
}
