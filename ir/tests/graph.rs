//! Runs the text files of the graph level, `tests/graph/*.tir`. Kinds of cases:
//!
//! - `print`: parses, verifies and prints; `//=` lines where the print is not what stands there.
//! - `eval`: evaluates a graph without inputs; the `//=` lines are its outputs, a row of the last dimension on each line.
//!
//! `TINYC_BLESS=1` rewrites what the files expect.

mod text_files;

use std::fmt::Write;

use libtest_mimic::{Arguments, Trial};
use text_files::{Outcome, files, trials};
use tinyc_ir::graph::text::{Style, parse, print};
use tinyc_ir::graph::{Op, Tensor};
use tinyc_ir::text::cases::{self, Case};
use tinyc_ir::ty::Ty;

fn main() {
    let mut all = trials("graph", run);
    all.push(Trial::test("each operator is evaluated", || Ok(each_operator_is_evaluated()?)));
    libtest_mimic::run(&Arguments::from_args(), all).exit();
}

fn run(case: &Case) -> Result<Outcome, String> {
    match case.kind.as_str() {
        "print" => printed(case),
        "eval" => evaluated(case),
        kind => Err(format!("`{kind}` is no kind of test")),
    }
}

fn printed(case: &Case) -> Result<Outcome, String> {
    let graph = match parse(&case.input) {
        Ok(graph) => graph,
        Err(errors) => return Ok(Outcome::refused(&errors)),
    };
    let text = print(&graph, Style::Full);
    let again = parse(&text).map_err(|errors| format!("the print does not parse: {}\n{text}", errors[0]))?;
    let text_again = print(&again, Style::Full);
    if text_again != text {
        return Err(format!("printed\n{text}which prints again as\n{text_again}"));
    }
    let lines = case.input.lines().filter(|line| !line.is_empty() && !line.starts_with("//"));
    let as_written: String = lines.flat_map(|line| [line, "\n"]).collect();
    Ok(Outcome { errors: Vec::new(), output: (as_written != text).then_some(text) })
}

fn evaluated(case: &Case) -> Result<Outcome, String> {
    let graph = parse(&case.input).map_err(|errors| errors[0].to_string())?;
    let outputs = graph.eval(&[]);
    Ok(Outcome { errors: Vec::new(), output: Some(outputs.iter().map(rows).collect()) })
}

/// Element type and shape, then the elements.
fn rows(tensor: &Tensor) -> String {
    let elements: Vec<String> = match tensor.ty.elem {
        Ty::F32 => tensor.f32s().iter().map(|x| format!("{x:?}")).collect(),
        _ => tensor.i8s().iter().map(ToString::to_string).collect(),
    };
    let mut text = format!("{}{:?}\n", tensor.ty.elem, tensor.ty.shape);
    for row in elements.chunks(tensor.ty.shape.last().copied().unwrap_or(1)) {
        let _ = writeln!(text, "{}", row.join(" "));
    }
    text
}

fn each_operator_is_evaluated() -> Result<(), String> {
    let mut seen = Vec::new();
    for path in files("graph") {
        let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
        for case in cases::split(&text).iter().filter(|case| case.kind == "eval") {
            let graph = parse(&case.input).map_err(|errors| errors[0].to_string())?;
            seen.extend(graph.iter_ops().map(|(_, data)| data.op.name()));
        }
    }
    match Op::NAMES.iter().find(|name| !seen.contains(name)) {
        Some(missing) => Err(format!("no `eval` case has `{missing}`")),
        None => Ok(()),
    }
}
