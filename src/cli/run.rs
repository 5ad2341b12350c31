//! `tinyc run`: a model on the host or on an emulated board.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use ir::diag::Diagnostic;
use ir::graph::{Graph, Value};
use ir::loops::Program;
use ir::ty::{TensorType, Ty};
use isel_thumb2::cores::m4::CortexM4;
use isel_thumb2::cores::{self, CORES, Core};
use tinyc::emulate::run_on;
use tinyc::header;
use tinyc::link::Board;
use tinyc::output::{OutputFile, check_target, write_files};
use tinyc::pipeline::{self, Options};
use tinyc::report::Report;

use super::progress::Progress;
use super::table::grouped;
use super::{Failed, Outcome, build, core, input, print, read, schedule, stem};

const HOST: &str = "host";
/// Longest output that is printed in full, in elements.
const MAX_SHOWN: usize = 16;
/// Cycles that even a busy machine emulates in a second.
const EMULATED_PER_SECOND: u64 = 5_000_000;
/// What starting the emulator may take.
const START_SECONDS: u64 = 60;

#[derive(Args)]
pub struct Arguments {
    /// The model: a .tflite file
    model: PathBuf,
    /// The model's inputs one after the other, as raw little-endian elements, for one case or for several in a row
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where the outputs go, in the same form
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What to run it on: this machine, or an emulated board with this core
    #[arg(long, value_parser = places(), default_value = HOST)]
    on: String,
    /// How layers are computed: `none`, `default`, or a file as `tinyc build --emit schedule` prints it
    #[arg(long, value_name = "FILE")]
    schedule: Option<PathBuf>,
    /// Keep values out of the FPU registers of an emulated core
    #[arg(long)]
    no_fpu: bool,
    /// The right class of each case, a byte each: prints predictions beside labels, and the accuracy
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
}

/// The bytes of each tensor of each case.
type Cases = Vec<Vec<Vec<u8>>>;

/// What a run gave.
struct Ran {
    outputs: Cases,
    /// For a core: what the code needs of it.
    report: Option<Report>,
}

fn places() -> PossibleValuesParser {
    PossibleValuesParser::new(std::iter::once(HOST).chain(CORES.iter().map(|core| core.name())))
}

pub fn main(arguments: &Arguments) -> Outcome {
    if let Some(path) = &arguments.output {
        check_target(path)?;
    }
    let name = header::identifier(stem(&arguments.model)?);
    let graph = pipeline::graph(&read(&arguments.model)?, &name, &mut |_, _| {})?;
    let cases = input::cases(&read(&arguments.input)?, &sizes(&graph, &graph.inputs))?;
    let labels = arguments.labels.as_deref().map(read).transpose()?;
    if let Some(labels) = &labels {
        input::check_labels(labels, cases.len(), output_types(&graph)[0].len())?;
    }
    let schedule = schedule(arguments.schedule.as_deref(), || {
        // On the host any schedule gives the same outputs.
        let target = cores::by_name(&arguments.on).unwrap_or(&CortexM4);
        Ok(pipeline::default_schedule(&graph, target, !arguments.no_fpu)?)
    })?;
    let program = pipeline::program(&graph, schedule.as_ref(), &mut |_, _| {})
        .map_err(|error| Failed::in_file(arguments.schedule.as_deref(), vec![error]))?;
    let ran = match arguments.on.as_str() {
        HOST => on_host(&program, &cases)?,
        name => on_core(&program, core(name), !arguments.no_fpu, &cases)?,
    };
    if let Some(path) = &arguments.output {
        let bytes: Vec<u8> = ran.outputs.iter().flatten().flatten().copied().collect();
        write_files(&[OutputFile { path: path.clone(), bytes: &bytes }])?;
    }
    let mut text = match labels {
        Some(labels) => predictions(&ran.outputs, output_types(&graph)[0], &labels),
        None if arguments.output.is_none() => values(&ran.outputs, &output_types(&graph)),
        None => String::new(),
    };
    if let Some(report) = &ran.report {
        text.push_str(&build::figures(report));
    }
    print(&text)
}

fn output_types(graph: &Graph) -> Vec<&TensorType> {
    graph.outputs.iter().map(|value| graph.ty(*value)).collect()
}

fn sizes(graph: &Graph, values: &[Value]) -> Vec<usize> {
    values.iter().map(|value| graph.ty(*value).bytes()).collect()
}

fn on_host(program: &Program, cases: &Cases) -> Result<Ran, Failed> {
    let mut code = host::compile(program)?;
    let progress = Progress::new("cases");
    let mut outputs = Cases::new();
    for case in cases {
        let inputs: Vec<&[u8]> = case.iter().map(Vec::as_slice).collect();
        outputs.push(code.run(&inputs)?);
        progress.at(outputs.len(), cases.len());
    }
    Ok(Ran { outputs, report: None })
}

fn on_core(program: &Program, core: &'static dyn Core, fpu: bool, cases: &Cases) -> Result<Ran, Failed> {
    let Some(board) = Board::of_cpu(core.name()) else {
        return Err(Diagnostic::new(format!("no board with `{}` is emulated", core.name())).into());
    };
    let options =
        Options { core, prefix: &program.name, stem: &program.name, fpu, run_until: false, schedule: None };
    let progress = Progress::new("layers");
    let compiled = pipeline::generate(program, String::new(), &options, &|done, all| progress.at(done, all))?;
    drop(progress);
    let seconds = START_SECONDS + cases.len() as u64 * compiled.report.cycles / EMULATED_PER_SECOND;
    let outcome = run_on(board, &compiled.firmware(), cases, Duration::from_secs(seconds))?;
    Ok(Ran { outputs: outcome.outputs, report: Some(compiled.report) })
}

/// The prediction and the label of each case, and the share of those that are equal.
fn predictions(outputs: &Cases, ty: &TensorType, labels: &[u8]) -> String {
    let mut text = String::new();
    let mut n_right = 0;
    for (case, (outputs, &label)) in outputs.iter().zip(labels).enumerate() {
        let predicted = first_largest(&elements(ty.elem, &outputs[0]));
        let is_right = predicted == usize::from(label);
        n_right += usize::from(is_right);
        let remark = if is_right { "" } else { "  wrong" };
        let _ = writeln!(text, "image {case:>3}: predicted {predicted}, label {label}{remark}");
    }
    let share = 100.0 * n_right as f64 / labels.len() as f64;
    let _ = writeln!(text, "accuracy  {share:.1} %: {} of {} right", n_right, grouped(labels.len() as u64));
    text
}

/// The elements of each output of each case.
fn values(outputs: &Cases, types: &[&TensorType]) -> String {
    let mut text = String::new();
    for (case, outputs) in outputs.iter().enumerate() {
        for (number, (bytes, ty)) in outputs.iter().zip(types).enumerate() {
            let elements = elements(ty.elem, bytes);
            let shown: Vec<String> = elements.iter().take(MAX_SHOWN).map(i64::to_string).collect();
            let _ = write!(text, "case {case}, output {number}: {}", shown.join(" "));
            let rest = elements.len().saturating_sub(MAX_SHOWN) as u64;
            let more = if rest == 0 { String::new() } else { format!(" … and {} more", grouped(rest)) };
            let _ = writeln!(text, "{more}");
        }
    }
    text
}

/// The index of the largest element, the first one where several are equal.
fn first_largest(elements: &[i64]) -> usize {
    let largest = elements.iter().max();
    elements.iter().position(|element| Some(element) == largest).unwrap_or(0)
}

/// The elements of a tensor of integers.
fn elements(elem: Ty, bytes: &[u8]) -> Vec<i64> {
    let chunks = bytes.chunks_exact(elem.bytes());
    let element = |chunk: &[u8]| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let unused = 64 - 8 * chunk.len() as u32;
        let moved = u64::from_le_bytes(word) << unused;
        match elem {
            Ty::U8 | Ty::U16 => (moved >> unused) as i64,
            _ => (moved as i64) >> unused,
        }
    };
    chunks.map(element).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_keep_their_sign() {
        assert_eq!(elements(Ty::I8, &[0x80, 0x7f]), [-128, 127]);
        assert_eq!(elements(Ty::U8, &[0x80]), [128]);
        assert_eq!(elements(Ty::I16, &[0xff, 0xff]), [-1]);
        assert_eq!(elements(Ty::I32, &[1, 0, 0, 0x80]), [-0x7fff_ffff]);
        assert_eq!(elements(Ty::I64, &[0xfe, 255, 255, 255, 255, 255, 255, 255]), [-2]);
    }

    #[test]
    fn the_first_of_equals_is_the_largest() {
        assert_eq!(first_largest(&[-3, 5, 5, 1]), 1);
    }
}
