//! Random nests: the interpreter, native code of the host and emitted code on both cores agree to the last bit.
//!
//! A nest that fails is made smaller and kept as a run file in `tests/random/kept`, which runs first from then on.
//! `TINYC_TEST_ALL=1` runs ten times as many, and `TINYC_TEST_SEED=20001` those from that number on.

mod choices;
#[path = "../emitted/mod.rs"]
mod emitted;
mod generate;

use std::fs;
use std::path::PathBuf;

use choices::{numbers, shrink};
use emitted::{Case, DEVICES};
use ir::loops::Prim;
use ir::loops::text::calls::RunFile;
use ir::loops::verify::verify;
use rayon::prelude::*;
use test_support::{first_seed, repository};

/// Decisions of one nest.
const NUMBERS: usize = 1000;
/// Nests in one firmware.
const BATCH: u64 = 50;

fn n_nests() -> u64 {
    if std::env::var_os("TINYC_TEST_ALL").is_some() { 3000 } else { 300 }
}

#[test]
fn all_agree() {
    let ready = emitted::ready();
    run_kept(ready);
    let first = first_seed() - 1;
    (0..n_nests() / BATCH).into_par_iter().for_each(|number| run_batch(first + number * BATCH, ready));
}

/// Where nests are kept that failed once.
fn folder() -> PathBuf {
    repository().join("tests/random/kept")
}

fn run_kept(ready: bool) {
    let Ok(entries) = fs::read_dir(folder()) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.sort();
    for path in paths {
        let text = fs::read_to_string(&path).expect("it can be read");
        let run = case_of(&text).and_then(|case| {
            DEVICES
                .iter()
                .filter(|_| ready)
                .try_for_each(|device| emitted::run(std::slice::from_ref(&case), *device))
        });
        run.unwrap_or_else(|failure| panic!("{}: {failure}", path.display()));
    }
}

/// Runs the nests of some seeds in one firmware for each device.
fn run_batch(first: u64, ready: bool) {
    let mut batch = Vec::new();
    for seed in first..first + BATCH {
        match case(&numbers(seed + 1, NUMBERS)) {
            Ok(case) => batch.push(case),
            Err(_) => report(seed, &mut |numbers| case(numbers).err()),
        }
    }
    for device in DEVICES.iter().filter(|_| ready) {
        let Err(failure) = emitted::run(&batch, *device) else { continue };
        for (seed, one) in (first..).zip(&batch) {
            if emitted::run(std::slice::from_ref(one), *device).is_err() {
                let fails = |case: Case| emitted::run(&[case], *device).err();
                report(seed, &mut |numbers| case(numbers).ok().and_then(fails));
            }
        }
        panic!("only together: {failure}");
    }
}

/// Every operation, and what is said about loops and memory, occurs in the nests of a normal run.
#[test]
fn everything_is_reached() {
    let texts: Vec<String> = (0..300).map(|seed| generate::run_file(&numbers(seed + 1, NUMBERS))).collect();
    let names = Prim::ALL.iter().map(|prim| format!("{}(", prim.row().name));
    let others = [
        "reduce ", " unroll ", "scratch ", "const ", " map ", " slack ", " as i8x4", "lookup(", " mod ",
        " div ",
    ];
    let wanted = names.chain(others.map(String::from));
    let missing: Vec<String> =
        wanted.filter(|name| texts.iter().filter(|text| text.contains(name)).count() < 10).collect();
    assert!(missing.is_empty(), "fewer than ten nests have {missing:?}");
}

/// The nest of these numbers, after native code has agreed with the interpreter.
fn case(numbers: &[u32]) -> Result<Case, String> {
    case_of(&generate::run_file(numbers))
}

fn case_of(text: &str) -> Result<Case, String> {
    let file = RunFile::parse(text).map_err(|error| format!("the generator is wrong: {error}"))?;
    let nest = &file.nests[0];
    if let Some(error) = verify(nest).first() {
        return Err(format!("the generator is wrong: {error}"));
    }
    let before = file.calls[0].memory(nest);
    let case = Case::new(nest.clone(), before.clone())?;
    for (what, nest) in [("as it stands", nest), ("after the passes", &case.nest)] {
        let mut memory = before.clone();
        let mut params: Vec<&mut [u8]> = memory.iter_mut().map(Vec::as_mut_slice).collect();
        let mut native = host::compile_nest(nest).map_err(|error| format!("{what}: {error}"))?;
        native.run(&mut params).map_err(|error| format!("{what}: {error}"))?;
        if memory != case.after {
            return Err(format!("native code {what} differs from the interpreter"));
        }
    }
    Ok(case)
}

/// Makes a failure smaller, keeps it and panics with it.
fn report(seed: u64, failure: &mut dyn FnMut(&[u32]) -> Option<String>) -> ! {
    let smaller = shrink(numbers(seed + 1, NUMBERS), 300, &mut |numbers| failure(numbers).is_some());
    let text = generate::run_file(&smaller);
    let path = folder().join(format!("seed_{seed}.tir"));
    let kept = fs::create_dir_all(folder()).and_then(|()| fs::write(&path, &text));
    let place = kept.map_or_else(|error| format!("not kept: {error}"), |()| path.display().to_string());
    panic!("seed {seed}: {}\n--> {place}\n{text}", failure(&smaller).unwrap_or_default());
}
