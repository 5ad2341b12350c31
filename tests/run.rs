//! Runs `tests/run/*.tir` and `tests/isel/*.tir` as emitted code on the emulated cores, and looks for the instructions
//! that the files name.
//!
//! ```text
//! //! selects smlad; sxtb16 ror #8          These occur in the code of some nest: a name, and parts of the operands.
//! //! selects-in @dot2 smlad                These in the code of this nest.
//! //! selects-in-loop smlad                 These in an innermost loop.
//! //! selects-not-in-loop vmov              None of these in any innermost loop.
//! //! selects-without-fpu str [sp           These where S registers may not hold values.
//! //! steps @dot2 tile k 4; unroll k.i       The schedule of this nest: its results are those of the nest without it.
//! ```

mod emitted;

use std::path::Path;

use emitted::{Case, DEVICES};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let ready = emitted::ready();
    let mut trials = Vec::new();
    for (name, path) in emitted::files() {
        trials.push(Trial::test(name, move || run_file(&path, ready)));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn run_file(path: &Path, ready: bool) -> Result<(), Failed> {
    let text = std::fs::read_to_string(path)?;
    let cases = emitted::cases(&text)?;
    check_selection(&text, &cases)?;
    let mut failures = Vec::new();
    for device in DEVICES.iter().filter(|_| ready) {
        if let Err(failure) = emitted::run(&cases, *device) {
            failures.push(format!("{} with fpu: {}: {failure}", device.board.machine(), device.fpu));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

/// The instructions of a nest as text, with those of its innermost loops marked.
struct Listing {
    nest: String,
    lines: Vec<(String, bool)>,
}

fn listings(cases: &[Case], fpu: bool) -> Result<Vec<Listing>, String> {
    let mut once: Vec<Case> = Vec::new();
    for case in cases {
        if once.iter().all(|have| have.nest.name != case.nest.name) {
            once.push(case.clone());
        }
    }
    let listing = |(case, layer): (&Case, isel_thumb2::program::CompiledLayer)| {
        let blocks = &layer.emitted.timed.blocks;
        let most = blocks.iter().map(|block| block.count).max().unwrap_or(0);
        let lines = blocks.iter().flat_map(|block| {
            block.insts.iter().map(move |inst| (inst.to_string(), most > 1 && block.count == most))
        });
        Listing { nest: case.nest.name.clone(), lines: lines.collect() }
    };
    Ok(once.iter().zip(emitted::compile(&once, fpu)?).map(listing).collect())
}

/// Checks every `//! selects` line.
fn check_selection(text: &str, cases: &[Case]) -> Result<(), Failed> {
    let (with_fpu, without) = (listings(cases, true)?, listings(cases, false)?);
    let mut missing = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("//! selects")) {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (nest, wanted) = match kind {
            "-in" => rest.split_once(' ').map_or((None, rest), |(nest, rest)| (nest.strip_prefix('@'), rest)),
            "" | "-in-loop" | "-not-in-loop" | "-without-fpu" => (None, rest),
            _ => return Err(format!("`selects{kind}` is no directive").into()),
        };
        let listings = if kind == "-without-fpu" { &without } else { &with_fpu };
        let listings = || listings.iter().filter(|listing| nest.is_none_or(|nest| listing.nest == nest));
        let lines =
            || listings().flat_map(|listing| &listing.lines).filter(|at| !kind.ends_with("-in-loop") || at.1);
        for wanted in wanted.split(';').map(str::trim) {
            let is_there = lines().any(|(inst, _)| is(inst, wanted));
            if kind == "-not-in-loop" && is_there {
                let has =
                    |listing: &&Listing| listing.lines.iter().any(|(inst, inner)| *inner && is(inst, wanted));
                let nests: Vec<&str> = listings().filter(has).map(|listing| listing.nest.as_str()).collect();
                missing.push(format!("`{wanted}` is in a loop of {}", nests.join(", ")));
            } else if kind != "-not-in-loop" && !is_there {
                let name = wanted.split(' ').next().unwrap_or_default();
                let near = lines().filter(|(inst, _)| inst.starts_with(name)).map(|(inst, _)| inst.as_str());
                let near = near.collect::<Vec<_>>().join("; ");
                missing.push(format!("no instruction is `{wanted}` (selects{kind}); found: {near}"));
            }
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(missing.join("\n").into()) }
}

/// Whether an instruction has this name, whatever its width, and these parts in its operands.
fn is(inst: &str, wanted: &str) -> bool {
    let (name, operands) = inst.split_once(' ').unwrap_or((inst, ""));
    let (wanted_name, parts) = wanted.split_once(' ').unwrap_or((wanted, ""));
    // The 16-bit forms of the same instruction set the flags: which one is taken depends on the registers.
    let plain = |name: &str| name.trim_end_matches(".w").trim_end_matches('s').to_string();
    plain(name) == plain(wanted_name) && parts.split('|').all(|part| operands.contains(part.trim()))
}
