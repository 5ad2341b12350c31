//! Runs `tests/rewrites/*.tir`: each case is a nest, what to do with it, and the nest that it becomes.

use std::process::ExitCode;

use ir::diag::Diagnostic;
use ir::loops::text::{parse_file, parse_nest};
use ir::loops::verify::verify;
use ir::loops::{Nest, interp};
use ir::text::cases::Case;
use test_support::files::{self, Outcome};
use test_support::first_seed;
use test_support::operators::memory;
use tinyc_passes::schedule::Schedule;
use tinyc_passes::{Changed, loops};

/// Random data that a nest is run with, from `TINYC_TEST_SEED` on.
const N_DATA: u64 = 8;

fn main() -> ExitCode {
    files::main(&["rewrites"], rewrite)
}

fn rewrite(case: &Case) -> Result<Outcome, String> {
    let file = parse_file(&case.input).map_err(|error| error.to_string())?;
    let [(before, places)] = &file.nests[..] else { return Err("expected one nest".into()) };
    let mut after = before.clone();
    let result = match (case.kind.as_str(), &case.args[..]) {
        ("pass", [name]) => {
            let pass = loops::find(name).ok_or_else(|| format!("no pass is called `{name}`"))?;
            let changed = loops::run(&pass, &mut after);
            if changed.as_ref().is_ok_and(|changed| (*changed == Changed::No) != (after == *before)) {
                return Err(format!("the pass says {changed:?}, the nest says otherwise"));
            }
            changed.map(|_| ())
        }
        ("steps", steps) => apply(&steps.join(" "), &mut after),
        (kind, _) => return Err(format!("`{kind}` is no kind of test")),
    };
    match result {
        Err(error) => Ok(Outcome::refused(case, &error.at(places.nest))),
        Ok(()) => {
            expect_same(before, &after)?;
            Ok(Outcome::printed(after.to_string()))
        }
    }
}

/// Applies steps of a schedule; an error's place is of no use here, since the steps stand in a comment.
fn apply(steps: &str, nest: &mut Nest) -> Result<(), Diagnostic> {
    let schedule = Schedule::parse(&format!("schedule 1\nlayer *:\n  {steps}\n"))?;
    schedule.apply_to(nest, &mut |_, nest| {
        let text = nest.to_string();
        assert_eq!(
            parse_nest(&text).map(|parsed| parsed.to_string()),
            Ok(text),
            "what is printed parses back"
        );
    })
}

/// Whatever a rewrite does, the nest gives the same results, on random and on extreme data.
fn expect_same(before: &Nest, after: &Nest) -> Result<(), String> {
    expect_right(before)?;
    expect_right(after)?;
    let first = first_seed();
    for seed in first..first + N_DATA {
        let memory = memory(before, seed);
        let (wanted, found) = (run(before, &memory)?, run(after, &memory)?);
        if wanted != found {
            return Err(format!("with the data of seed {seed} the results differ:\n{wanted:?}\n{found:?}"));
        }
    }
    Ok(())
}

fn expect_right(nest: &Nest) -> Result<(), String> {
    let errors = verify(nest);
    if errors.is_empty() { Ok(()) } else { Err(format!("{errors:?}\n{nest}")) }
}

fn run(nest: &Nest, memory: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, String> {
    let mut memory = memory.to_vec();
    let mut params: Vec<&mut [u8]> = memory.iter_mut().map(Vec::as_mut_slice).collect();
    interp::run_checked(nest, &mut params).map_err(|error| format!("{error}\n{nest}"))?;
    Ok(memory)
}
