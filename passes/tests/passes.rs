//! Runs `tests/passes/*.tir`: each case is a graph, the pass that runs over it, and what it makes of it.
//!
//! Whatever the pass, the graph must give the same outputs as before. `TINYC_BLESS=1` rewrites what the files expect.

mod common;

use std::path::{Path, PathBuf};

use ir::graph::Graph;
use ir::graph::text::{Style, parse, print};
use ir::text::cases::{self, Case};
use libtest_mimic::{Arguments, Failed, Trial};
use tinyc_passes::graph;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/passes");
    let mut trials = vec![Trial::test("every_pass_has_a_file", {
        let folder = folder.clone();
        move || every_pass_has_a_file(&folder)
    })];
    let entries = std::fs::read_dir(&folder).expect("the folder of the tests is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.sort();
    for path in paths {
        trials.push(Trial::test(stem(&path), move || run_file(&path)));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn stem(path: &Path) -> String {
    path.file_stem().expect("a file has a name").to_string_lossy().into_owned()
}

fn every_pass_has_a_file(folder: &Path) -> Result<(), Failed> {
    for pass in graph::PIPELINE {
        let file = folder.join(pass.name).with_extension("tir");
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let marker = format!("//! test pass {}\n", pass.name);
        if !text.contains(&marker) {
            return Err(format!("{} has no line `{}`", file.display(), marker.trim()).into());
        }
    }
    Ok(())
}

fn run_file(path: &Path) -> Result<(), Failed> {
    let mut text = std::fs::read_to_string(path)?;
    let bless = std::env::var_os("TINYC_BLESS").is_some();
    let cases = cases::split(&text);
    if cases.is_empty() {
        return Err("the file has no `//! test` line".into());
    }
    let mut failures = Vec::new();
    for case in cases.iter().rev() {
        match run_case(case) {
            Err(failure) => failures.push(format!("line {}: {failure}", case.line)),
            Ok(found) if bless => text = cases::bless(&text, case, &[], Some(&found)),
            Ok(found) => {
                let wanted = case.output.clone().unwrap_or_default();
                if found != wanted {
                    failures.push(format!("line {}: expected\n{wanted}found\n{found}", case.line));
                }
            }
        }
    }
    if bless {
        std::fs::write(path, &text)?;
    }
    failures.reverse();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

/// The graph after the pass.
fn run_case(case: &Case) -> Result<String, String> {
    let [name] = &case.args[..] else { return Err("expected `//! test pass NAME`".into()) };
    let pass = graph::find(name).ok_or_else(|| format!("no pass is called `{name}`"))?;
    let before = parse(&case.input)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let mut after = before.clone();
    let changed = graph::run(&pass, &mut after);
    let printed = print(&after, Style::Full);
    if (changed == graph::Changed::No) != (printed == print(&before, Style::Full)) {
        return Err(format!("the pass says {changed:?}, the graph says otherwise"));
    }
    for seed in 1..20 {
        expect_same(&before, &after, seed)?;
    }
    Ok(printed)
}

fn expect_same(before: &Graph, after: &Graph, seed: u64) -> Result<(), String> {
    let inputs = common::random_inputs(before, seed);
    let integers = inputs.iter().zip(&after.inputs).map(|(x, value)| common::as_input(x, after.ty(*value)));
    let found = after.eval(&integers.collect::<Vec<_>>());
    for (wanted, found) in before.eval(&inputs).iter().zip(&found) {
        if wanted.data != common::as_output(found, wanted.ty.elem).data {
            return Err(format!("with the inputs of seed {seed} the outputs differ"));
        }
    }
    Ok(())
}
