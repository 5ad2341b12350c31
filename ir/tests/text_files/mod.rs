//! Runs the cases of `.tir` files, one trial a file, and compares or blesses what the cases expect.

use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};
use tinyc_ir::diag::Diagnostic;
use tinyc_ir::text::cases::{self, Case};

/// What a case gives.
#[derive(Default)]
pub struct Outcome {
    /// Line and `error: message` of each error.
    pub errors: Vec<(u32, String)>,
    /// What the `//=` lines have.
    pub output: Option<String>,
}

impl Outcome {
    /// The outcome of a refusal.
    pub fn refused(errors: &[Diagnostic]) -> Self {
        let located =
            |e: &Diagnostic| (e.place.map_or(0, |place| place.line), format!("error: {}", e.message));
        Self { errors: errors.iter().map(located).collect(), output: None }
    }
}

/// How a case runs; an error is a test that makes no sense or a rule that does not hold.
pub type Run = fn(&Case) -> Result<Outcome, String>;

/// One trial for each file of `tests/<folder>`.
pub fn trials(folder: &str, run: Run) -> Vec<Trial> {
    let trial = |path: PathBuf| {
        let stem = path.file_stem().expect("a file has a name").to_string_lossy();
        Trial::test(format!("{folder}/{stem}"), move || run_file(&path, run))
    };
    files(folder).into_iter().map(trial).collect()
}

/// The `.tir` files of `tests/<folder>`, by name.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests").join(folder);
    let entries = std::fs::read_dir(&folder).expect("the folder of the tests is there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "tir"));
    files.sort();
    files
}

fn run_file(path: &Path, run: Run) -> Result<(), Failed> {
    let mut text = std::fs::read_to_string(path)?;
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
            Ok(outcome) => failures.extend(compare(case, &outcome)),
        }
    }
    if bless {
        std::fs::write(path, &text)?;
    }
    failures.reverse();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

fn compare(case: &Case, outcome: &Outcome) -> Vec<String> {
    let mut failures = Vec::new();
    for (line, message) in outcome.errors.iter().filter(|error| !case.errors.contains(error)) {
        failures.push(format!("line {line}: unexpected {message}"));
    }
    for (line, message) in case.errors.iter().filter(|error| !outcome.errors.contains(error)) {
        failures.push(format!("line {line}: missing {message}"));
    }
    if case.output != outcome.output {
        let shown = |text: &Option<String>| text.clone().unwrap_or_default();
        let (wanted, found) = (shown(&case.output), shown(&outcome.output));
        failures.push(format!("line {}: expected\n{wanted}found\n{found}", case.line));
    }
    failures
}
