//! Runs `tests/passes/*.tir`: each case is a graph, the pass that runs over it, and what it makes of it.
//!
//! Whatever the pass, the graph must give the same outputs as before. `TINYC_BLESS=1` rewrites what the files expect.

mod common;

use ir::graph::Graph;
use ir::graph::text::{Style, parse, print};
use ir::text::cases::Case;
use libtest_mimic::{Arguments, Failed, Trial};
use test_support::files::{self, Outcome};
use tinyc_passes::graph;

fn main() {
    let mut trials = files::trials(&["passes"], run_case);
    trials.push(Trial::test("every_pass_has_a_file", every_pass_has_a_file));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn every_pass_has_a_file() -> Result<(), Failed> {
    let folder = test_support::repository().join("tests/passes");
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

/// The graph after the pass.
fn run_case(case: &Case) -> Result<Outcome, String> {
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
    Ok(Outcome::printed(printed))
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
