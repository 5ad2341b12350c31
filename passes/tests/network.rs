//! Runs `tests/network/*.tir`: each case is a program, scopes with steps, and the program that it becomes. Between scopes stands `then`.
//!
//! The schedule in use says the same, reads back, and does the same.

use std::process::ExitCode;

use ir::loops::Program;
use ir::loops::interp::{Checks, Runner};
use ir::loops::text::parse_program;
use ir::loops::verify::verify_program;
use ir::text::cases::Case;
use test_support::files::{self, Outcome};
use test_support::{Random, first_seed};
use tinyc_passes::schedule::Schedule;

/// Inferences for each case, with the data of seeds from `TINYC_TEST_SEED` on.
const N_RUNS: u64 = 8;

fn main() -> ExitCode {
    files::main(&["network"], rewrite)
}

fn rewrite(case: &Case) -> Result<Outcome, String> {
    if case.kind != "network" {
        return Err(format!("`{}` is no kind of test", case.kind));
    }
    let before = parse_program(&case.input).map_err(|error| error.to_string())?;
    expect_right(&before)?;
    let mut after = before.clone();
    let schedule = Schedule::parse(&schedule(&case.args.join(" "))?);
    let applied = schedule.and_then(|schedule| {
        schedule.apply(&mut after, &mut |_, _| {})?;
        schedule.in_use(&before)
    });
    let in_use = match applied {
        Ok(in_use) => in_use,
        Err(mut error) => {
            error.place = None; // In a comment, of no use here.
            return Ok(Outcome::refused(case, &error));
        }
    };
    expect_same(&in_use, &before, &after)?;
    expect_right(&after)?;
    let text = after.to_string();
    if parse_program(&text).map(|parsed| parsed.to_string()) != Ok(text.clone()) {
        return Err("what is printed does not parse back".into());
    }
    let first = first_seed();
    for seed in first..first + N_RUNS {
        let (wanted, found) = (run(&before, seed)?, run(&after, seed)?);
        if wanted != found {
            return Err(format!(
                "with the data of seed {seed} the results differ:\n{wanted:?}\n{found:?}\n{text}"
            ));
        }
    }
    Ok(Outcome::printed(text))
}

/// The text of a schedule whose scopes are separated by `then`.
fn schedule(words: &str) -> Result<String, String> {
    let mut text = String::from("schedule 1\n");
    for part in words.split(" then ") {
        let (scope, steps) = part.split_once(": ").ok_or("expected a scope and steps")?;
        text += &format!("{scope}:\n  {steps}\n");
    }
    Ok(text)
}

fn expect_same(in_use: &Schedule, before: &Program, after: &Program) -> Result<(), String> {
    let text = in_use.to_string();
    let again = Schedule::parse(&text).map_err(|error| format!("{error}\n{text}"))?;
    if again.to_string() != text {
        return Err(format!("the schedule in use does not read back\n{text}"));
    }
    let mut found = before.clone();
    again.apply(&mut found, &mut |_, _| {}).map_err(|error| format!("{error}\n{text}"))?;
    if found == *after { Ok(()) } else { Err(format!("the schedule in use does something else\n{text}")) }
}

fn expect_right(program: &Program) -> Result<(), String> {
    let errors = verify_program(program);
    if errors.is_empty() { Ok(()) } else { Err(format!("{errors:?}\n{program}")) }
}

/// The outputs for random inputs.
fn run(program: &Program, seed: u64) -> Result<Vec<Vec<u8>>, String> {
    let mut random = Random(seed);
    let is_input = |tensor: &&ir::loops::TensorSlot| matches!(tensor.lifetime, ir::loops::Lifetime::Input(_));
    let inputs: Vec<Vec<u8>> =
        program.tensors.iter().filter(is_input).map(|tensor| random.bytes(tensor.ty.bytes())).collect();
    let mut runner = Runner::new(program, Checks::On).map_err(|error| error.to_string())?;
    runner.run(&inputs).map_err(|error| format!("{error}\n{program}"))
}
