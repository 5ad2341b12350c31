//! Every refusal of every step in one text, `tests/refusals.snap`: reading it, one learns the language.
//!
//! The cases are those of `tests/rewrites`. `TINYC_BLESS=1` rewrites the text.

use std::fmt::Write;
use std::fs;

use ir::diag::Diagnostic;
use ir::loops::Nest;
use ir::loops::text::{parse_file, parse_program};
use ir::text::cases::{self, Case};
use test_support::{compare_with_file, repository};
use tinyc_passes::loops::{STEPS, edit};
use tinyc_passes::network;
use tinyc_passes::schedule::Schedule;

#[test]
fn every_step_says_why_it_is_refused() {
    let mut out = String::from("What steps refuse, with the loops of the nest before them.\n");
    for def in STEPS {
        let file = repository().join("tests/rewrites").join(format!("{}.tir", def.name));
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        write!(out, "\n== {}\n{}\n", def.usage, def.summary).unwrap();
        let mut n_refused = 0;
        for case in cases::split(&text).iter().filter(|case| case.kind == "steps") {
            let Some((loops, error)) = refusal(case) else { continue };
            n_refused += 1;
            show(&format!("{} [{loops}]", case.args.join(" ")), &error, &mut out);
        }
        assert!(n_refused > 0, "no case of {} is refused", file.display());
    }
    out.push_str("\nWhat steps for tensors, bands and groups refuse, each in its scope.\n");
    for def in network::STEPS {
        let file = repository().join("tests/network").join(format!("{}.tir", def.name));
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        write!(out, "\n== {}\n{}\n", def.usage, def.summary).unwrap();
        let cases = cases::split(&text);
        let refused: Vec<_> = cases.iter().filter_map(|case| Some((case, network_refusal(case)?))).collect();
        assert!(!refused.is_empty(), "no case of {} is refused", file.display());
        for (case, error) in refused {
            show(&case.args.join(" "), &error, &mut out);
        }
    }
    compare_with_file(&repository().join("tests/refusals.snap"), &out).unwrap();
    let silent: Vec<&str> =
        out.split("\n\n").filter(|part| part.starts_with("  ") && !part.contains(HELP)).collect();
    assert!(silent.is_empty(), "nobody learns from these what would be legal:\n{}", silent.join("\n"));
}

/// Begins the line that says what would be legal.
const HELP: &str = "\n    help: ";

/// The message says what was found, the help what would be legal.
fn show(what: &str, error: &Diagnostic, out: &mut String) {
    write!(out, "\n  {what}\n    {}\n", error.message).unwrap();
    if let Some(help) = &error.help {
        writeln!(out, "{}{help}", &HELP[1..]).unwrap();
    }
}

/// Why the steps of a scope are refused; `None` where they are legal.
fn network_refusal(case: &Case) -> Option<Diagnostic> {
    let mut program = parse_program(&case.input).expect("the case is run by another test too");
    let words = case.args.join(" ");
    let (scope, steps) = words.split_once(": ").expect("the case is run by another test too");
    let schedule = Schedule::parse(&format!("schedule 1\n{scope}:\n  {steps}\n"));
    schedule.and_then(|schedule| schedule.apply(&mut program, &mut |_, _| {})).err()
}

/// The loops of the nest and why the steps are refused; `None` where they are legal.
fn refusal(case: &Case) -> Option<(String, Diagnostic)> {
    let file = parse_file(&case.input).expect("the case is run by another test too");
    let mut nest = file.nests.first().expect("a case has a nest").0.clone();
    let loops = loops(&nest);
    let error = Schedule::parse_steps(&case.args.join(" "))
        .and_then(|schedule| schedule.apply_to(&mut nest, &mut |_, _| {}))
        .err()?;
    let layer = format!("layer `{}`: ", nest.name);
    let message = error.message.strip_prefix(&layer).map(str::to_string).unwrap_or(error.message);
    Some((loops, Diagnostic { message, ..error }))
}

/// `p 6, n 4, k 8`
fn loops(nest: &Nest) -> String {
    let loops = edit::loops(nest);
    let shown = loops.iter().map(|l| format!("{} {}", nest.vars[l.var.idx()], l.extent));
    shown.collect::<Vec<_>>().join(", ")
}
