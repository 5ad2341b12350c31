//! Random operators under random schedules: whatever the steps that are legal do, no bit of a result changes.
//!
//! After every step the nest prints, parses back, verifies and gives the results of the plain nest; after the last one it does
//! so as native code too, and some cases as emitted code on the emulated cores. Illegal steps stand among the others. A failing case is shrunk to the steps that it takes, and
//! its nest is in the message. `TINYC_TEST_ALL=1` runs more cases. Counts of each step are printed (`--nocapture`).

#[path = "../emitted/mod.rs"]
mod emitted;
mod steps;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ir::graph::Graph;
use ir::loops::text::parse_nest;
use ir::loops::verify::verify;
use ir::loops::{Nest, interp};
use isel_thumb2::isa::Extension;
use passes::loops::rescalings::rescalings;
use passes::loops::short_requantize::Report;
use passes::loops::step::{self, Step};
use passes::loops::{STEPS, legalize};
use passes::schedule::Schedule;
use rayon::prelude::*;
use test_support::operators::{self, Rng, memory};

/// How many steps a case is meant to take, and how often it may try: each step several times, since most are illegal.
const WANTED_STEPS: (usize, usize) = (4, 9);
const MOST_ATTEMPTS: usize = 8 * STEPS.len();
/// Sets of data for each case.
const N_DATA: u64 = 3;

/// From so many cases on every step must have been legal somewhere.
const MANY_CASES: usize = 2000;
/// Cases in one firmware.
const BATCH: usize = 50;

/// What the operators are.
const OPERATORS: [fn(&mut Rng) -> Option<Graph>; 11] = [
    operators::convolution,
    operators::convolution,
    operators::neighbour_convolution,
    operators::pointwise_convolution,
    operators::pointwise_convolution,
    operators::depthwise_convolution,
    operators::fully_connected,
    operators::addition,
    operators::activation,
    operators::average_pool,
    operators::max_pool,
];

/// A nest with the legal steps that were found for it.
struct Case {
    seed: u64,
    plain: Nest,
    /// The nest after the steps.
    scheduled: Nest,
    steps: Vec<Step>,
    /// For each step, how often it was accepted and refused.
    counts: BTreeMap<&'static str, [usize; 2]>,
}

#[test]
fn random_schedules_change_no_result() {
    let all = std::env::var_os("TINYC_TEST_ALL").is_some();
    let (n_cases, n_emitted) = if all { (2400, 300) } else { (400, 50) };
    let cases: Vec<Result<Case, String>> = (1..=n_cases).into_par_iter().map(checked).collect();
    let (mut right, mut failures) = (Vec::new(), Vec::new());
    for case in cases {
        match case {
            Ok(case) => right.push(case),
            Err(failure) => failures.push(failure),
        }
    }
    let shown: Vec<&str> = failures.iter().take(3).map(String::as_str).collect();
    assert!(failures.is_empty(), "{} of {n_cases} cases failed:\n{}", failures.len(), shown.join("\n"));
    report(&right);
    if emitted::ready() {
        right.retain(|case| !case.steps.is_empty());
        let batches: Vec<&[Case]> = right[..n_emitted.min(right.len())].chunks(BATCH).collect();
        batches.par_iter().for_each(|batch| run_emitted(batch));
        println!("{} cases right on all emulated cores", batches.iter().map(|b| b.len()).sum::<usize>());
    }
}

/// Runs cases as emitted code, in one firmware for each core.
fn run_emitted(cases: &[Case]) {
    let case = |case: &Case| {
        let nest = Nest { name: format!("case_{}", case.seed), ..case.scheduled.clone() };
        emitted::Case::new(nest, memory(&case.plain, 1)).expect("it was run before")
    };
    let batch: Vec<emitted::Case> = cases.iter().map(case).collect();
    for device in
        emitted::DEVICES.into_iter().filter(|device| device.fpu == device.core().has(Extension::Fpu))
    {
        let Err(failure) = emitted::run(&batch, device) else { continue };
        let wrong = cases.iter().filter(|case| failure.contains(&format!("`@case_{}_", case.seed)));
        let texts: Vec<String> = wrong
            .map(|case| described(case.seed, &case.plain, &case.steps, "wrong as emitted code"))
            .collect();
        panic!("{}: {failure}\n{}", device.board.machine(), texts.join("\n"));
    }
}

/// Prints how often each step was legal; each must have been legal and illegal somewhere.
fn report(cases: &[Case]) {
    println!("{:18} {:>9} {:>9}", "step", "accepted", "refused");
    let mut never = Vec::new();
    for def in STEPS {
        let count = |which: usize| {
            cases.iter().map(|case| case.counts.get(def.name).map_or(0, |count| count[which])).sum::<usize>()
        };
        println!("{:18} {:>9} {:>9}", def.name, count(0), count(1));
        if count(0) == 0 || count(1) == 0 {
            never.push(def.name);
        }
    }
    let mut channels = [0; 5];
    for case in cases {
        let Report { short, literal } = rescalings(&case.scheduled);
        short.iter().chain([&literal]).zip(&mut channels).for_each(|(count, sum)| *sum += count);
    }
    let [two, three, four, five, literal] = channels;
    println!(
        "channels rescaled in 2, 3, 4, 5 operations: {two}, {three}, {four}, {five}; literally: {literal}"
    );
    assert!(two > 0 && three > 0 && four > 0 && literal > 0, "some form of rescaling never occurred");
    let long = cases.iter().filter(|case| case.steps.len() >= 5).count();
    println!("{long} of {} cases took five steps or more", cases.len());
    let most_missed = if cases.len() < MANY_CASES { 2 } else { 0 }; // In a short run a step that is rarely legal may be missed.
    assert!(never.len() <= most_missed, "never accepted or never refused: {never:?}");
    assert!(10 * long >= 6 * cases.len(), "only {long} of {} cases took five steps", cases.len());
}

/// The case of this number; an error is a failure, shrunk.
fn checked(seed: u64) -> Result<Case, String> {
    let case = random_case(seed)?;
    let failure = match check(&case.plain, &case.steps) {
        Ok(scheduled) => return Ok(Case { scheduled, ..case }),
        Err(failure) => failure,
    };
    let (steps, failure) = shrink(&case, failure);
    Err(described(seed, &case.plain, &steps, &failure))
}

fn described(seed: u64, plain: &Nest, steps: &[Step], failure: &str) -> String {
    let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
    format!("case {seed}: {failure}\n//! test steps {}\n{plain}", steps.join("; "))
}

fn random_case(seed: u64) -> Result<Case, String> {
    let mut rng = Rng::new(seed);
    let plain = loop {
        if let Some(graph) = rng.of(&OPERATORS)(&mut rng) {
            let program = lowering::lower(&graph).map_err(|error| format!("case {seed}: {error}"))?;
            break program.layers.into_iter().next().expect("an operator has a layer").nest;
        }
    };
    let scheduled = plain.clone();
    let mut case = Case { seed, plain, scheduled, steps: Vec::new(), counts: BTreeMap::new() };
    let wanted = rng.size(WANTED_STEPS.0, WANTED_STEPS.1);
    let mut nest = case.plain.clone();
    for _ in 0..MOST_ATTEMPTS {
        if case.steps.len() >= wanted {
            break;
        }
        for step in steps::random_steps(&nest, &mut rng) {
            let def = STEPS.iter().find(|def| def.name == step.name).expect("it was made from the table");
            let count = case.counts.entry(def.name).or_default();
            case.steps.push(step);
            let step = case.steps.last().expect("it was pushed");
            match attempt(step, &nest) {
                Err(panic) => return Err(described(seed, &case.plain, &case.steps, &panic)),
                Ok(None) => {
                    count[1] += 1;
                    case.steps.pop();
                }
                Ok(Some(changed)) => {
                    count[0] += 1;
                    nest = changed;
                }
            }
        }
    }
    Ok(case)
}

/// The nest after a step, `None` where it is refused, an error where it panics.
fn attempt(step: &Step, nest: &Nest) -> Result<Option<Nest>, String> {
    let mut changed = nest.clone();
    let applied = catch_unwind(AssertUnwindSafe(|| step::apply(step, &mut changed)));
    match applied {
        Err(_) => Err(format!("`{step}` panics")),
        Ok(Err(_)) => Ok(None),
        Ok(Ok(())) => Ok(Some(changed)),
    }
}

/// Applies those of the steps that are legal; everything is checked after each.
fn check(plain: &Nest, steps: &[Step]) -> Result<Nest, String> {
    check_text(steps)?;
    let data: Vec<_> = (1..=N_DATA).map(|seed| memory(plain, seed)).collect();
    let wanted = data.iter().map(|data| interpreted(plain, data)).collect::<Result<Vec<_>, _>>()?;
    let mut nest = plain.clone();
    for step in steps {
        let Some(changed) = attempt(step, &nest)? else { continue };
        check_nest(&changed, &data, &wanted).map_err(|error| format!("after `{step}`: {error}"))?;
        nest = changed;
    }
    let mut legal = nest.clone();
    legalize(&mut legal).map_err(|error| format!("passes before selection: {error}"))?;
    check_nest(&legal, &data, &wanted).map_err(|error| format!("before selection: {error}"))?;
    let mut code = host::compile_nest(&legal).map_err(|error| format!("as native code: {error}"))?;
    for (data, wanted) in data.iter().zip(&wanted) {
        let mut memory = data.clone();
        code.run(&mut slices(&mut memory)).map_err(|error| format!("as native code: {error}"))?;
        if memory != *wanted {
            return Err(format!("as native code: the results differ\n{legal}"));
        }
    }
    Ok(nest)
}

/// As a schedule the steps print, parse back and print the same.
fn check_text(steps: &[Step]) -> Result<(), String> {
    let lines: Vec<String> = steps.iter().map(|step| format!("  {step}\n")).collect();
    let text = format!("schedule 1\nlayer *:\n{}", lines.concat());
    let again = Schedule::parse(&text).map_err(|error| format!("{error}\n{text}"))?.to_string();
    if again == text {
        Ok(())
    } else {
        Err(format!("the schedule reads back as something else\n{text}{again}"))
    }
}

type Memory = Vec<Vec<u8>>;

fn check_nest(nest: &Nest, data: &[Memory], wanted: &[Memory]) -> Result<(), String> {
    let errors = verify(nest);
    if !errors.is_empty() {
        return Err(format!("{errors:?}\n{nest}"));
    }
    let text = nest.to_string();
    let again = parse_nest(&text).map_err(|error| format!("{error}\n{text}"))?.to_string();
    if again != text {
        return Err(format!("what is printed reads back as something else\n{text}\n{again}"));
    }
    for (data, wanted) in data.iter().zip(wanted) {
        if interpreted(nest, data)? != *wanted {
            return Err(format!("the results differ\n{nest}"));
        }
    }
    Ok(())
}

fn interpreted(nest: &Nest, data: &Memory) -> Result<Memory, String> {
    let mut memory = data.clone();
    interp::run_checked(nest, &mut slices(&mut memory)).map_err(|error| format!("{error}\n{nest}"))?;
    Ok(memory)
}

fn slices(memory: &mut Memory) -> Vec<&mut [u8]> {
    memory.iter_mut().map(Vec::as_mut_slice).collect()
}

/// Leaves steps out as long as the case fails without them.
fn shrink(case: &Case, failure: String) -> (Vec<Step>, String) {
    let (mut steps, mut failure) = (case.steps.clone(), failure);
    let mut at = 0;
    while at < steps.len() {
        let mut fewer = steps.clone();
        fewer.remove(at);
        match check(&case.plain, &fewer) {
            Err(still) => (steps, failure) = (fewer, still),
            Ok(_) => at += 1,
        }
    }
    (steps, failure)
}
