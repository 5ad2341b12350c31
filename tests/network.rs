//! Whole models under steps for tensors and bands: exact in the interpreter, as host code, and on both emulated cores.
//!
//! A variant tries its steps on every tensor and keeps those that are legal, so no model is named for what it has. What the arena
//! takes before and after is printed (`--nocapture`).

use std::time::Duration;

use ir::loops::{Lifetime, Program, interp};
use isel_thumb2::cores::CORES;
use passes::schedule::Schedule;
use rayon::prelude::*;
use test_support::{Case, all_models};
use tinyc::emulate::run_on;
use tinyc::link::Board;
use tinyc::pipeline::{self, Options};

/// The models, as far as they are there.
const MODELS: [&str; 5] =
    ["digits", "kws_ref_model", "vww_96_int8", "pretrainedResnet_quant", "mcunet-vww1_trained"];
/// What a variant does to a model.
struct Variant {
    name: &'static str,
    /// Steps that are tried on every tensor, one after the other.
    tensors: &'static [&'static str],
    /// Scopes for bands.
    bands: &'static str,
}

const VARIANTS: &[Variant] = &[
    Variant { name: "borders", tensors: &["border"], bands: "" },
    Variant {
        name: "planes",
        tensors: &["border", "layout planes multiple 2", "encode i16", "flood"],
        bands: "",
    },
    Variant {
        name: "odd ones",
        tensors: &[
            "encode i16",
            "encode i8",
            "encode u8",
            "layout (0 2 1 3)",
            "border",
            "layout hwc multiple 8",
        ],
        bands: "",
    },
    Variant {
        name: "bands",
        tensors: &[],
        bands: "band conv2d_* depthwise_conv2d_* conv2d_*:\n  rows 1 or join\n",
    },
    Variant {
        name: "rings of planes",
        tensors: &["border", "layout planes multiple 2", "encode i16"],
        bands: "band conv2d_* depthwise_conv2d_* conv2d_*:\n  rows 3 or rows 2 or rows 1 or join\n",
    },
];
/// Golden cases of each model: the interpreter takes its time.
const N_CASES: usize = 2;
/// The emulator executes some hundred million instructions a second.
const TIME_LIMIT: Duration = Duration::from_secs(300);

#[test]
fn models_are_exact_however_their_tensors_lie() {
    let models = all_models().into_iter().filter(|model| MODELS.contains(&model.name.as_str()));
    let jobs: Vec<_> = models
        .flat_map(|model| VARIANTS.iter().map(move |variant| (model.clone(), variant)).collect::<Vec<_>>())
        .collect();
    let lines: Vec<String> = jobs
        .par_iter()
        .filter_map(|(model, variant)| {
            let name = variant.name;
            let graph = pipeline::graph(&model.read(), "m", &mut |_, _| {}).expect("the model is supported");
            let plain = pipeline::program(&graph, None, &mut |_, _| {}).expect("the model is supported");
            let text = legal(&lowering::lower(&graph).expect("the model is supported"), variant.tensors);
            let schedule = Schedule::parse(&format!("{text}{}", variant.bands)).expect("it is well formed");
            let program = match pipeline::program(&graph, Some(&schedule), &mut |_, _| {}) {
                Ok(program) => program,
                Err(error) if error.message.starts_with("no layers that follow each other") => return None,
                Err(error) => panic!("{}: {error}", model.name),
            };
            assert!(
                text.contains("tensor ") || !variant.bands.is_empty(),
                "{}: no step is legal",
                model.name
            );
            let cases = &model.golden().cases[..N_CASES];
            expect_exact(&program, cases, &format!("{} with {name}:\n{text}", model.name));
            let arena =
                |program: &Program| lowering::memory::place(program).expect("the model is small").arena_bytes;
            let (before, after) = (arena(&plain), arena(&program));
            Some(format!("{:24} {name:16} arena {after:6} B, {before:6} B without", model.name))
        })
        .collect();
    println!("{}", lines.join("\n"));
}

/// A scope for every tensor on which some of the steps are legal, one after the other.
fn legal(program: &Program, steps: &[&str]) -> String {
    let mut text = String::from("schedule 1\n");
    let mut changed = program.clone();
    let inner = program.tensors.iter().filter(|tensor| tensor.lifetime == Lifetime::Temporary);
    for tensor in inner {
        let mut kept = String::new();
        for step in steps {
            let scope = format!("schedule 1\ntensor {}:\n  {step}\n", tensor.name);
            let tried = Schedule::parse(&scope).expect("it is well formed");
            if tried.apply(&mut changed, &mut |_, _| {}).is_ok() {
                kept += &format!("  {step}\n");
            }
        }
        if !kept.is_empty() {
            text += &format!("tensor {}:\n{kept}", tensor.name);
        }
    }
    text
}

/// The golden outputs at every level.
fn expect_exact(program: &Program, cases: &[Case], what: &str) {
    let placement = lowering::memory::place(program).expect("the model is small");
    let arena = host::Arena {
        bytes: placement.arena_bytes as usize,
        tensors: &placement.tensors,
        scratch: &placement.scratch,
    };
    let mut host = host::compile_in(program, arena).unwrap_or_else(|error| panic!("{what}: {error}"));
    for case in cases {
        let inputs: Vec<&[u8]> = case.inputs.iter().map(Vec::as_slice).collect();
        let found = host.run(&inputs).expect("the inputs fit");
        assert!(found == case.outputs, "{what}: wrong on the host");
    }
    let found = interp::run_program(program, &cases[0].inputs).expect("the inputs fit");
    assert!(found == cases[0].outputs, "{what}: wrong in the interpreter");
    if !emulator() {
        return;
    }
    for core in CORES {
        let Some(board) = Board::of_cpu(core.name()) else { continue };
        let options =
            Options { core: *core, prefix: "m", stem: "m", fpu: true, run_until: false, schedule: None };
        let compiled = pipeline::generate(program, String::new(), &options, &|_, _| {})
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let inputs: Vec<_> = cases.iter().map(|case| case.inputs.clone()).collect();
        let outcome = run_on(board, &compiled.firmware(), &inputs, TIME_LIMIT)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        for (case, outputs) in cases.iter().zip(&outcome.outputs) {
            assert!(case.outputs == *outputs, "{what}: wrong on {}", core.name());
        }
    }
}

/// Whether QEMU is here; says so where not.
fn emulator() -> bool {
    let found = std::process::Command::new("qemu-system-arm").arg("--version").output().is_ok();
    if !found {
        println!("skipped: qemu-system-arm not found");
    }
    found
}
