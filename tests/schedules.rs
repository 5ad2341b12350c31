//! `docs/schedules.md`: its reference is what the sources say, its tutorial runs.
//!
//! After each snippet of the tutorial the whole model gives its golden outputs on both emulated cores. Predicted cycles
//! are printed (`--nocapture`); those in the document may differ by a quarter, so that better code changes no text.
//! `TINYC_BLESS=1` rewrites what is marked.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use passes::loops::STEPS;
use passes::network;
use passes::schedule::Schedule;
use rayon::prelude::*;
use test_support::{Model, all_models, compare_with_file, repository};
use tinyc::emulate::run_on;
use tinyc::link::Board;
use tinyc::pipeline::{self, Options};

/// The cores of the tutorial's tables.
const CORES: [&str; 2] = ["cortex-m4", "cortex-m7"];
/// How far the numbers of the document may be off.
const TOLERANCE: f64 = 0.25;
/// The emulator executes some hundred million instructions a second.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// What one snippet, with those before it, gives.
struct Stage {
    /// The steps that it adds, in backquotes.
    name: String,
    /// Cycles of the layer on each core.
    cycles: Vec<u64>,
}

#[test]
fn the_document_is_true() {
    expect_reference(); // One after the other: both may rewrite the document.
    expect_tutorial();
}

/// The marked parts from headers are what the sources say.
fn expect_reference() {
    let text = read(&document());
    let filled = fill(&text, &mut |mark| match mark.split(' ').collect::<Vec<_>>()[..] {
        ["header", path] => Some(header(&repository().join(path))),
        ["steps"] => Some(steps()),
        ["network-steps"] => Some(network_steps()),
        _ => None,
    });
    compare_with_file(&document(), &filled).unwrap();
}

/// The tutorial gives the golden outputs on both cores, in about the cycles that it says.
fn expect_tutorial() {
    let text = read(&document());
    let models = all_models();
    let filled = fill(&text, &mut |mark| {
        let [cycles, name, layer] = mark.split(' ').collect::<Vec<_>>()[..] else { return None };
        let model = models.iter().find(|found| cycles == "cycles" && found.name == name)?;
        Some(table(&stages(model, layer, &snippets(&text, mark))))
    });
    println!("{}", marked(&filled, "cycles").join("\n"));
    if std::env::var_os("TINYC_BLESS").is_some() {
        fs::write(document(), &filled).expect("the document can be written");
        return;
    }
    for (written, found) in marked(&text, "cycles").iter().zip(marked(&filled, "cycles")) {
        expect_near(written, &found);
    }
}

fn document() -> PathBuf {
    repository().join("docs/schedules.md")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The document with what `content` gives for each mark in place of what stands there; `None` leaves it.
fn fill(text: &str, content: &mut dyn FnMut(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!-- ") {
        let (mark, after) = after.split_once(" -->\n").expect("a mark ends");
        let (old, after) = after.split_once("<!-- end -->").expect("a marked part ends");
        let new = content(mark).map_or(old.to_string(), |new| format!("\n{}\n\n", new.trim()));
        write!(out, "{before}<!-- {mark} -->\n{new}<!-- end -->").unwrap();
        rest = after;
    }
    out + rest
}

/// The marked parts whose marks begin with `word`.
fn marked(text: &str, word: &str) -> Vec<String> {
    let begins = |part: &&str| part.starts_with(word);
    let parts = text.split("<!-- ").filter(begins);
    parts.map(|part| part.split_once(" -->").expect("a mark ends").1.trim().to_string()).collect()
}

/// The reference of all steps, each from the header of its file.
fn steps() -> String {
    let mut out = String::from("| step | what it does |\n|---|---|\n");
    for def in STEPS {
        writeln!(out, "| `{}` | {} |", def.usage.replace('|', "\\|"), def.summary).unwrap();
    }
    STEPS.iter().for_each(|def| describe(def.name, "loops", &mut out));
    out
}

/// The reference of the steps for tensors, bands and groups.
fn network_steps() -> String {
    let mut out = String::from("| scope | step | what it does |\n|---|---|---|\n");
    for def in network::STEPS {
        let scope = def.run.scope();
        writeln!(out, "| {scope} | `{}` | {} |", def.usage.replace('|', "\\|"), def.summary).unwrap();
    }
    network::STEPS.iter().for_each(|def| describe(def.name, "network", &mut out));
    out
}

/// Appends the header of a step's file.
fn describe(name: &str, folder: &str, out: &mut String) {
    let file = format!("{}.rs", name.replace('-', "_"));
    let path = repository().join("passes/src").join(folder).join(file);
    write!(out, "\n### {name}\n\n{}\n", header(&path)).unwrap();
}

/// The module header of a source file; its links are names here.
fn header(path: &Path) -> String {
    let text = read(path);
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    lines
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
        .collect::<Vec<_>>()
        .join("\n")
        .replace("[`", "`")
        .replace("`]", "`")
}

/// The parts of the schedule that the tutorial around a mark builds, in order.
fn snippets(text: &str, mark: &str) -> Vec<String> {
    let mark = format!("<!-- {mark} -->");
    let tutorial =
        text.split("\n## ").find(|section| section.contains(&mark)).expect("a mark is in a section");
    let parts = tutorial.split("```schedule\n").skip(1);
    let snippets: Vec<String> =
        parts.map(|part| part.split_once("```").expect("a snippet ends").0.to_string()).collect();
    assert!(snippets.len() > 2, "a tutorial has snippets");
    snippets
}

/// Runs a model without schedule, then after each snippet, whose steps are for `layer`.
fn stages(model: &Model, layer: &str, snippets: &[String]) -> Vec<Stage> {
    let stage = |n: usize| {
        let text = snippets[..n].concat();
        let schedule = (n > 0).then(|| for_layer(&text, layer));
        let name = n.checked_sub(1).map_or("nothing".into(), |last| described(&snippets[last]));
        let cycles = CORES.iter().map(|core| measured(model, layer, schedule.as_ref(), core));
        Stage { name, cycles: cycles.collect() }
    };
    (0..=snippets.len()).into_par_iter().map(stage).collect()
}

/// The schedule of the tutorial for another layer.
fn for_layer(text: &str, layer: &str) -> Schedule {
    let lines = text.lines().map(|line| match line.strip_prefix("layer ") {
        Some(_) => format!("layer {layer}:\n"),
        None => format!("{line}\n"),
    });
    Schedule::parse(&lines.collect::<String>()).expect("the tutorial is legal")
}

/// The steps of a snippet, in backquotes.
fn described(snippet: &str) -> String {
    let is_step = |line: &&str| line.starts_with("  ");
    let steps: Vec<&str> = snippet.lines().filter(is_step).map(str::trim).collect();
    format!("`{}`", steps.join("; "))
}

/// Predicted cycles of the layer; every golden case must be right.
fn measured(model: &Model, layer: &str, schedule: Option<&Schedule>, cpu: &str) -> u64 {
    let core = isel_thumb2::cores::by_name(cpu).expect("it is in the list");
    let options = Options { core, prefix: "m", stem: "m", fpu: true, run_until: false, schedule };
    let compiled = pipeline::compile(&model.read(), &options, &|_, _| {}).expect("the tutorial is legal");
    let board = Board::of_cpu(cpu).expect("both cores are emulated");
    if emulator() {
        let golden = model.golden();
        let inputs: Vec<_> = golden.cases.iter().map(|case| case.inputs.clone()).collect();
        let outcome = run_on(board, &compiled.firmware(), &inputs, TIME_LIMIT).expect("it runs");
        for (case, outputs) in golden.cases.iter().zip(&outcome.outputs) {
            assert!(case.outputs == *outputs, "{} on {cpu}: a wrong answer", model.name);
        }
    }
    let report = compiled.report.layers.iter().find(|found| found.name == layer);
    report.expect("the layer is there").cycles
}

/// Whether QEMU is here; says so where not.
fn emulator() -> bool {
    let found = std::process::Command::new("qemu-system-arm").arg("--version").output().is_ok();
    if !found {
        println!("skipped: qemu-system-arm not found");
    }
    found
}

fn table(stages: &[Stage]) -> String {
    let mut out = format!("| after | {} |\n|---|{}\n", CORES.join(" | "), "---:|".repeat(CORES.len()));
    for stage in stages {
        let cycles: Vec<String> = stage.cycles.iter().map(u64::to_string).collect();
        writeln!(out, "| {} | {} |", stage.name, cycles.join(" | ")).unwrap();
    }
    out
}

/// Compares two tables: words are equal, numbers nearly so.
fn expect_near(written: &str, found: &str) {
    let rows = |text: &str| text.lines().map(cells).collect::<Vec<_>>();
    let (written, found) = (rows(written), rows(found));
    assert_eq!(written.len(), found.len(), "`TINYC_BLESS=1` rewrites the table");
    for (written, found) in written.iter().flatten().zip(found.iter().flatten()) {
        match (written.parse::<f64>(), found.parse::<f64>()) {
            (Ok(a), Ok(b)) if (a - b).abs() <= TOLERANCE * b => {}
            _ => assert_eq!(written, found, "`TINYC_BLESS=1` rewrites the table"),
        }
    }
}

fn cells(row: &str) -> Vec<String> {
    row.split('|').map(|cell| cell.trim().to_string()).collect()
}
