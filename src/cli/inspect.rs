//! `tinyc inspect`: what is in a model, whether or not it can be compiled.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use frontends::tflite::{self, Inspection, OperatorInfo, TensorInfo};
use ir::diag::Diagnostic;
use serde::Serialize;

use super::table::{Align, Table, bytes, grouped, shape, shortened};
use super::{Outcome, print, read};

/// Longest name of an operator in the table, in characters.
const NAME_WIDTH: usize = 40;

#[derive(Args)]
pub struct Arguments {
    /// The model: a .tflite file
    model: PathBuf,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    description: &'a str,
    accepted: bool,
    macs: u64,
    constant_bytes: u64,
    inputs: Vec<ShownTensor<'a>>,
    outputs: Vec<ShownTensor<'a>>,
    operators: Vec<ShownOperator<'a>>,
    refusals: Vec<&'a str>,
}

#[derive(Serialize)]
struct ShownOperator<'a> {
    index: usize,
    op: &'a str,
    name: &'a str,
    inputs: Vec<ShownTensor<'a>>,
    outputs: Vec<ShownTensor<'a>>,
    macs: u64,
    constant_bytes: u64,
    refusal: Option<&'a str>,
}

#[derive(Serialize)]
struct ShownTensor<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    elem: &'a str,
    shape: &'a [i32],
    constant: bool,
}

pub fn main(arguments: &Arguments) -> Outcome {
    let inspection = tflite::inspect(&read(&arguments.model)?)?;
    if arguments.json {
        let json = serde_json::to_string_pretty(&shown(&inspection)).expect("plain data has a JSON form");
        print(&format!("{json}\n"))
    } else {
        print(&text(&inspection))
    }
}

fn text(inspection: &Inspection) -> String {
    let Inspection { description, inputs, outputs, operators, macs, constant_bytes, refusals } = inspection;
    let mut out = String::new();
    if !description.is_empty() {
        let _ = writeln!(out, "description: {description}");
    }
    for (kind, tensors) in [("input", inputs), ("output", outputs)] {
        for (idx, tensor) in tensors.iter().enumerate() {
            let name = shortened(&tensor.name, NAME_WIDTH);
            let _ = writeln!(out, "{kind} {idx}: {} `{name}`", tensor_type(tensor));
        }
    }
    let _ = writeln!(out, "\n{}", table(operators).text());
    let _ = writeln!(
        out,
        "operators: {}  MACs: {}  constants: {}",
        grouped(operators.len() as u64),
        grouped(*macs),
        bytes(*constant_bytes)
    );
    if refusals.is_empty() {
        out.push_str("tinyc accepts this model\n");
    } else {
        out.push_str("tinyc refuses this model:\n");
    }
    for Diagnostic { message, help, .. } in refusals {
        let _ = writeln!(out, "  {message}");
        if let Some(help) = help {
            let _ = writeln!(out, "    help: {help}");
        }
    }
    out
}

fn table(operators: &[OperatorInfo]) -> Table {
    let mut table = Table::new(&[
        ("op", Align::Right),
        ("operator", Align::Left),
        ("result", Align::Left),
        ("MACs", Align::Right),
        ("constants", Align::Right),
        ("", Align::Left),
        ("name", Align::Left),
    ]);
    for OperatorInfo { index, kind, name, outputs, macs, weight_bytes, refusal, .. } in operators {
        let results: Vec<String> = outputs.iter().map(tensor_type).collect();
        table.row(vec![
            index.to_string(),
            kind.clone(),
            results.join(", "),
            grouped(*macs),
            bytes(*weight_bytes),
            if refusal.is_some() { "refused".into() } else { String::new() },
            shortened(name, NAME_WIDTH),
        ]);
    }
    table
}

fn tensor_type(tensor: &TensorInfo) -> String {
    format!("{} {}", tensor.elem, shape(&tensor.shape))
}

fn shown(inspection: &Inspection) -> Shown<'_> {
    Shown {
        description: &inspection.description,
        accepted: inspection.refusals.is_empty(),
        macs: inspection.macs,
        constant_bytes: inspection.constant_bytes,
        inputs: shown_tensors(&inspection.inputs),
        outputs: shown_tensors(&inspection.outputs),
        operators: inspection.operators.iter().map(shown_operator).collect(),
        refusals: inspection.refusals.iter().map(|refusal| refusal.message.as_str()).collect(),
    }
}

fn shown_operator(operator: &OperatorInfo) -> ShownOperator<'_> {
    ShownOperator {
        index: operator.index,
        op: &operator.kind,
        name: &operator.name,
        inputs: shown_tensors(&operator.inputs),
        outputs: shown_tensors(&operator.outputs),
        macs: operator.macs,
        constant_bytes: operator.weight_bytes,
        refusal: operator.refusal.as_deref(),
    }
}

fn shown_tensors(tensors: &[TensorInfo]) -> Vec<ShownTensor<'_>> {
    tensors
        .iter()
        .map(|TensorInfo { name, elem, shape, is_constant }| ShownTensor {
            name,
            elem,
            shape,
            constant: *is_constant,
        })
        .collect()
}
