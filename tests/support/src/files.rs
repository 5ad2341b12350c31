//! Runs text files of cases, as `ir::text::cases` splits them: one test for each file, the same in every crate.
//!
//! With `TINYC_BLESS` set, the files are rewritten to what is found.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ir::diag::Diagnostic;
use ir::text::cases::{self, Case};
use libtest_mimic::{Arguments, Failed, Trial};

/// What a case gives.
#[derive(Default)]
pub struct Outcome {
    /// Lines and messages of errors, as [`Outcome::refused`] has them.
    pub errors: Vec<(u32, String)>,
    /// What is printed.
    pub output: Option<String>,
}

/// How a case runs; an error is a failure of the test, whatever the file expects.
pub type Run = fn(&Case) -> Result<Outcome, String>;

impl Outcome {
    /// What was printed.
    pub fn printed(text: impl Into<String>) -> Self {
        Self { errors: Vec::new(), output: Some(text.into()) }
    }

    /// An error; without a place it belongs to the first line of the case.
    pub fn refused(case: &Case, error: &Diagnostic) -> Self {
        let line = error.place.map_or(case.line, |place| place.line);
        Self { errors: vec![(line, format!("error: {}", error.message))], output: None }
    }
}

/// A test program that runs every `.tir` file of the folders under `tests`.
pub fn main(folders: &[&str], run: Run) -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials(folders, run)).exit_code()
}

/// A test for every `.tir` file of the folders under `tests`.
pub fn trials(folders: &[&str], run: Run) -> Vec<Trial> {
    let mut trials = Vec::new();
    for folder in folders {
        for path in files(&crate::repository().join("tests").join(folder)) {
            let stem = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            trials.push(Trial::test(format!("{folder}/{stem}"), move || run_file(&path, run)));
        }
    }
    trials
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "tir"));
    files.sort();
    files
}

fn run_file(path: &Path, run: Run) -> Result<(), Failed> {
    let mut text = fs::read_to_string(path)?;
    let bless = std::env::var_os("TINYC_BLESS").is_some();
    let cases = cases::split(&text);
    if cases.is_empty() {
        return Err("the file has no `//! test` line".into());
    }
    let mut failures = Vec::new();
    for case in cases.iter().rev() {
        match run(case) {
            Err(failure) => failures.push(format!("line {}: {failure}", case.line)),
            Ok(outcome) if bless => {
                text = cases::bless(&text, case, &outcome.errors, outcome.output.as_deref());
            }
            Ok(outcome) => failures.extend(differences(case, &outcome)),
        }
    }
    if bless {
        fs::write(path, &text)?;
    }
    failures.reverse();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

fn differences(case: &Case, outcome: &Outcome) -> Vec<String> {
    let mut differences = Vec::new();
    for (line, message) in outcome.errors.iter().filter(|error| !case.errors.contains(error)) {
        differences.push(format!("line {line}: unexpected {message}"));
    }
    for (line, message) in case.errors.iter().filter(|error| !outcome.errors.contains(error)) {
        differences.push(format!("line {line}: missing {message}"));
    }
    if case.output != outcome.output {
        let shown = |text: &Option<String>| text.clone().unwrap_or_default();
        let (wanted, found) = (shown(&case.output), shown(&outcome.output));
        differences.push(format!("line {}: expected\n{wanted}found\n{found}", case.line));
    }
    differences
}
