//! Random operators, and chains of them, under random schedules: whatever the steps that are legal do, no bit of a result changes.
//!
//! After every step what is there prints, parses back, verifies and gives the results of the plain nests; after the last one it does
//! so as native code too, and some cases as emitted code on the emulated cores. Illegal steps stand among the others: they are refused.
//! A failing case is made smaller and kept as a file that runs first from then on (`kept`). A run goes on to its end, and then fails with
//! all that it found.
//!
//! `cargo test --test random_schedules -- --nocapture` prints how often each step was accepted and refused, what the graphs were like,
//! and how channels are rescaled. `TINYC_TEST_ALL=1` runs four times as many cases, and `TINYC_TEST_SEED=20001` those from that number on.

mod case;
mod check;
#[path = "../emitted/mod.rs"]
mod emitted;
mod features;
mod kept;
mod shrink;
mod steps;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use ir::diag::Diagnostic;
use ir::graph::Graph;
use ir::loops::{Loop, Nest, Program, Stmt};
use isel_thumb2::isa::Extension;
use passes::loops::STEPS;
use passes::loops::rescalings::rescalings;
use passes::loops::short_requantize::Report;
use passes::loops::step::{Arg, Step};
use passes::network;
use rayon::prelude::*;
use test_support::first_seed;

use case::{Apply, Counts, Recipe, Scope, Scoped};
use check::{Checked, check, shipped};
use emitted::Device;
use features::FEATURES;

/// Cases, and how many of them run on the emulated cores too.
const N_CASES: (u64, usize) = (2000, 300);
/// With `TINYC_TEST_ALL=1` so many times as many.
const ALL: u64 = 4;
/// Cases in one firmware.
const BATCH: usize = 75;
/// Of ten cases so many take five steps or more.
const LONG_OF_TEN: usize = 6;
/// Failures that are made smaller, kept and shown whole; of others the first line is enough.
const MOST_SMALLER: usize = 12;

/// With this a compiler refuses schedules that repeat statements hundreds of times: the other cases go on without.
const REFUSED: &str = "has more values at once than its stack frame can hold";

/// A case that is right.
struct Case {
    seed: u64,
    recipe: Recipe,
    graph: Graph,
    counts: Counts,
    checked: Checked,
}

#[test]
fn random_schedules_change_no_result() {
    let boards = emitted::ready();
    let mut failures = run_kept(boards);
    let times = if std::env::var_os("TINYC_TEST_ALL").is_some() { ALL } else { 1 };
    let (n_cases, n_emitted) = (N_CASES.0 * times, N_CASES.1 * times as usize);
    let first = first_seed();
    let n_failed = AtomicUsize::new(0);
    let run = |seed| checked(seed, &n_failed);
    let cases: Vec<Result<Case, String>> = (first..first + n_cases).into_par_iter().map(run).collect();
    let (right, failed): (Vec<_>, Vec<_>) = cases.into_iter().partition(Result::is_ok);
    let right: Vec<Case> = right.into_iter().filter_map(Result::ok).collect();
    failures.extend(failed.into_iter().filter_map(Result::err));
    println!("{} of {n_cases} cases from {first} on are right on the host", right.len());
    let n_emitted = if boards { n_emitted } else { 0 };
    let emitted: Vec<&Case> =
        right.iter().filter(|case| !case.recipe.steps.is_empty()).take(n_emitted).collect();
    if boards {
        let batches: Vec<&[&Case]> = emitted.chunks(BATCH).collect();
        let wrong: Vec<String> = batches.par_iter().flat_map_iter(|batch| run_emitted(batch)).collect();
        println!("{} cases ran on all emulated cores, {} failures", emitted.len(), wrong.len());
        failures.extend(wrong);
        let layers = emitted.iter().flat_map(|case| &case.checked.layers);
        let n_shared = layers.filter(|layer| layer.shares.is_some()).count();
        println!("{n_shared} layers of them run the code of another one");
        assert!(n_shared > 0 || !failures.is_empty(), "no emitted layer shared its code");
    }
    let missed = report(&right, &emitted);
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(missed.is_empty(), "never accepted, never refused or never there: {missed:?}");
}

/// The case of this number; an error is a failure, of which the first ones are made smaller and kept.
fn checked(seed: u64, n_failed: &AtomicUsize) -> Result<Case, String> {
    let failure = |recipe: &Recipe, reason: String| {
        if n_failed.fetch_add(1, Ordering::Relaxed) < MOST_SMALLER {
            return failure(seed, recipe, &wrong_on_host);
        }
        format!("case {seed}: {}", reason.lines().next().unwrap_or_default())
    };
    let (recipe, counts) = case::draw(seed).map_err(|(recipe, reason)| failure(&recipe, reason))?;
    let graph = recipe.graph().expect("it was drawn");
    let plain = lowering::lower(&graph).expect("it was lowered");
    match check(&plain, &recipe.steps, shipped) {
        Ok(checked) => Ok(Case { seed, recipe, graph, counts, checked }),
        Err(reason) => Err(failure(&recipe, reason)),
    }
}

/// What is wrong with a case in the interpreter or as native code.
fn wrong_on_host(recipe: &Recipe) -> Option<String> {
    wrong_with(recipe, shipped)
}

fn wrong_with(recipe: &Recipe, apply: Apply) -> Option<String> {
    match lowering::lower(&recipe.graph()?) {
        Ok(plain) => check(&plain, &recipe.steps, apply).err(),
        Err(error) => Some(error.to_string()),
    }
}

/// What is wrong with a case as emitted code.
fn wrong_on(recipe: &Recipe, device: Device) -> Option<String> {
    let plain = lowering::lower(&recipe.graph()?).ok()?;
    let checked = check(&plain, &recipe.steps, shipped).ok()?;
    run_on(&emitted_cases(0, &checked).ok()?, device).err()
}

/// Runs emitted code; a failure too is that none can be made.
fn run_on(cases: &[emitted::Case], device: Device) -> Result<(), String> {
    let run = AssertUnwindSafe(|| emitted::run(cases, device));
    catch_unwind(run).unwrap_or_else(|_| Err("code generation panics".into()))
}

/// Makes a failing case smaller, keeps it, and says what it is.
fn failure(seed: u64, recipe: &Recipe, wrong: &dyn Fn(&Recipe) -> Option<String>) -> String {
    let (recipe, failure) = shrink::smallest(recipe, wrong);
    let failure = format!("case {seed}: {failure}");
    match recipe.graph().map(|graph| lowering::lower(&graph)) {
        Some(Ok(program)) => {
            kept::keep(&kept::folder(), &format!("case_{seed}"), &program, &recipe.steps, &failure)
        }
        _ => format!("{failure}\n{recipe:?}"),
    }
}

/// Runs the cases that failed once; gives those that do so again.
fn run_kept(boards: bool) -> Vec<String> {
    let run = |path: &Path| -> Result<(), String> {
        let (program, steps) = kept::read(path)?;
        let cases = emitted_cases(0, &check(&program, &steps, shipped)?)?;
        emitted::DEVICES.into_iter().filter(|_| boards).try_for_each(|device| run_on(&cases, device))
    };
    let paths = kept::files(&kept::folder());
    let failure = |path: &PathBuf| run(path).err().map(|failure| format!("{}: {failure}", path.display()));
    paths.iter().filter_map(failure).collect()
}

/// The layers of a case that takes its data in turn: random, all least, all greatest elements.
fn emitted_cases(seed: u64, checked: &Checked) -> Result<Vec<emitted::Case>, String> {
    let layers = checked.layers.iter().enumerate();
    let case = |(at, layer): (usize, &check::Scheduled)| -> Result<emitted::Case, String> {
        let nest = Nest { name: format!("case_{seed}_{at}"), ..layer.nest.clone() };
        let [random, least, greatest] = check::data(&layer.plain);
        let data = [random.clone(), least, random, greatest][seed as usize % 4].clone();
        Ok(emitted::Case { shares: layer.shares.map(|first| at - first), ..emitted::Case::new(nest, data)? })
    };
    layers.map(case).collect()
}

/// Runs cases as emitted code, in one firmware for each core; gives the failures on the first core that has some.
fn run_emitted(cases: &[&Case]) -> Vec<String> {
    let batch = cases.iter().map(|case| emitted_cases(case.seed, &case.checked));
    let batch: Vec<emitted::Case> =
        batch.collect::<Result<Vec<_>, _>>().expect("they ran before").into_iter().flatten().collect();
    for device in
        emitted::DEVICES.into_iter().filter(|device| device.fpu == device.core().has(Extension::Fpu))
    {
        let Err(all) = run_on(&batch, device) else { continue };
        let is_named = |case: &&&Case| all.contains(&format!("`@case_{}_", case.seed));
        let (named, others): (Vec<&&Case>, Vec<&&Case>) = cases.iter().partition(is_named);
        if all.contains(REFUSED) && !named.is_empty() {
            println!("{all}");
            return run_emitted(&others.into_iter().copied().collect::<Vec<_>>());
        }
        // Without a name in it any of the cases may be the one.
        let wrong = |case: &&Case| wrong_on(&case.recipe, device).is_some();
        let wrong = if named.is_empty() { cases.iter().filter(|case| wrong(case)).collect() } else { named };
        let texts =
            wrong.into_iter().take(3).map(|case| failure(case.seed, &case.recipe, &|r| wrong_on(r, device)));
        return [format!("{}: {all}", device.board.machine())].into_iter().chain(texts).collect();
    }
    Vec::new()
}

/// Prints how often each step was legal and ran on the emulated cores, what the graphs had and how channels are rescaled; gives what never
/// happened.
fn report(cases: &[Case], emitted: &[&Case]) -> Vec<String> {
    let nests = STEPS.iter().map(|def| def.name.to_string());
    let networks = network::STEPS.iter().map(|def| format!("{} {}", def.run.scope(), def.name));
    println!("{:18} {:>9} {:>9} {:>9}", "step", "accepted", "refused", "emitted");
    let mut missed = Vec::new();
    for name in nests.chain(networks) {
        let count = |which: usize| {
            cases.iter().map(|case| case.counts.get(&name).map_or(0, |count| count[which])).sum::<usize>()
        };
        let has = |case: &&&Case| case.checked.taken.iter().any(|scoped| scoped.title() == name);
        println!("{name:18} {:>9} {:>9} {:>9}", count(0), count(1), emitted.iter().filter(has).count());
        if count(0) == 0 || count(1) == 0 {
            missed.push(name);
        }
    }
    for (name, has) in FEATURES {
        let count = cases.iter().filter(|case| has(&case.graph)).count();
        println!("{name:24} in {count} cases");
        if count == 0 {
            missed.push(name.into());
        }
    }
    let long = cases.iter().filter(|case| case.checked.taken.len() >= 5).count();
    missed.extend(report_rescalings(cases));
    println!("{long} of {} cases took five steps or more", cases.len());
    if 10 * long < LONG_OF_TEN * cases.len() {
        missed.push("five steps in most cases".into());
    }
    missed
}

fn report_rescalings(cases: &[Case]) -> Option<String> {
    let mut channels = [0; 5];
    for layer in cases.iter().flat_map(|case| &case.checked.layers) {
        let Report { short, literal } = rescalings(&layer.nest);
        short.iter().chain([&literal]).zip(&mut channels).for_each(|(count, sum)| *sum += count);
    }
    let [two, three, four, five, literal] = channels;
    println!(
        "channels rescaled in 2, 3, 4, 5 operations: {two}, {three}, {four}, {five}; literally: {literal}"
    );
    let all = two > 0 && three > 0 && four > 0 && literal > 0;
    (!all).then(|| "some form of rescaling".into())
}

/// A step that is wrong shows in the results, and what is left of the case is the step and a few numbers.
#[test]
fn a_wrong_step_is_found_made_small_and_kept() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut n_found = 0;
    for seed in (1..200).filter(|seed| seed % 8 == 0) {
        let Ok((mut recipe, _)) = case::draw(seed) else { continue };
        let Some(step) = wrong_step(&recipe) else { continue };
        let at =
            recipe.steps.iter().position(|scoped| scoped.scope == step.scope).unwrap_or(recipe.steps.len());
        recipe.steps.insert(at, step.clone());
        if wrong_with(&recipe, with_wrong_step).is_none() {
            continue; // Weights may be zero there, or clamps hide it.
        }
        n_found += 1;
        let (small, failure) = shrink::smallest(&recipe, |recipe| wrong_with(recipe, with_wrong_step));
        let program = lowering::lower(&small.graph().expect("it is legal")).expect("it is lowered");
        assert_eq!(small.steps, [step], "{failure}");
        assert!(elements(&program) <= 16, "case {seed} is left with {program}");

        let text = kept::keep(folder.path(), &format!("case_{seed}"), &program, &small.steps, &failure);
        let path = folder.path().join(format!("case_{seed}.tir"));
        assert!(text.contains(&path.display().to_string()), "{text}");
        let (program, steps) = kept::read(&path).expect("it can be read");
        assert!(check(&program, &steps, with_wrong_step).is_err(), "the file has the failure");
        assert!(check(&program, &steps, shipped).is_ok(), "without the wrong step all is right");
    }
    assert!(n_found >= 5, "only {n_found} cases had the failure");
    assert_eq!(kept::files(folder.path()).len(), n_found);
}

/// `forget AXIS` for the first loop of a sum that runs twice or more, in the first layer.
fn wrong_step(recipe: &Recipe) -> Option<Scoped> {
    let is_layer = |scoped: &&Scoped| matches!(scoped.scope, Scope::Layer(_));
    let program = lowering::lower(&recipe.graph()?).ok()?;
    let nest = &program.layers[0].nest;
    if recipe.steps.iter().filter(is_layer).count() < recipe.steps.len() {
        return None; // The layer may be another one by then.
    }
    let mut axis = None;
    nest.walk(&mut |_, stmt| {
        if let Stmt::Reduce(reduce) = stmt {
            axis = axis.or(reduce.loops.iter().find(|l| l.extent > 1).map(|l| l.var));
        }
    });
    let name = nest.vars[axis?.idx()].clone();
    let step = Step { name: "forget".into(), args: vec![Arg::Word(name)] };
    Some(Scoped { scope: Scope::Layer(nest.name.clone()), step })
}

/// What is shipped, and `forget AXIS`, which leaves out the last iteration of a loop of a sum.
fn with_wrong_step(step: &Step, nest: &mut Nest) -> Result<(), Diagnostic> {
    if step.name != "forget" {
        return shipped(step, nest);
    }
    let [Arg::Word(axis)] = &step.args[..] else { return Err(Diagnostic::new("no axis")) };
    let vars = nest.vars.clone();
    let mut n_shortened = 0;
    shorten(&mut nest.body, &mut |l| {
        if vars[l.var.idx()] == *axis && l.extent > 1 {
            l.extent -= 1;
            n_shortened += 1;
        }
    });
    if n_shortened == 0 { Err(Diagnostic::new("no such loop")) } else { Ok(()) }
}

fn shorten(body: &mut [Stmt], change: &mut dyn FnMut(&mut Loop)) {
    for stmt in body {
        match stmt {
            Stmt::For(_, body) => shorten(body, change),
            Stmt::Reduce(reduce) => reduce.loops.iter_mut().for_each(&mut *change),
            _ => {}
        }
    }
}

/// All elements of all tensors.
fn elements(program: &Program) -> usize {
    program.tensors.iter().map(|tensor| tensor.ty.len()).sum()
}
