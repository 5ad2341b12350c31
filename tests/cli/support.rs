//! Starting the program, and the files it is started with.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The model that most tests use.
pub const DIGITS: &str = "tests/models/digits/digits.tflite";

/// A folder of its own for a test.
pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

/// What the program does with `arguments`, started in the root of the repository.
pub fn tinyc<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Output {
    command().args(arguments).output().expect("the program starts")
}

/// The program, to be given arguments and an environment.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tinyc"));
    // Not the terminal that the tests run in: help texts would be as wide as it is.
    command.current_dir(test_support::repository()).env_remove("COLUMNS").stdin(Stdio::null());
    command
}

/// What was printed and how it ended, in one text.
pub fn shown(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    if !said.is_empty() {
        text = format!("{text}--- standard error\n{said}");
    }
    match output.status.code() {
        Some(0) => text,
        code => format!("{text}--- exit code {}\n", code.map_or("none".into(), |code| code.to_string())),
    }
}

/// What the program says, which must be an error that it ends with by itself.
pub fn refusal(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: "), "{said}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    said
}

/// The models that must be refused, by name.
pub fn refused_models() -> Vec<PathBuf> {
    let folder = test_support::repository().join("tests/models/refused");
    let mut models: Vec<PathBuf> = folder
        .read_dir()
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    models.retain(|path| path.extension().is_some_and(|extension| extension == "tflite"));
    models.sort();
    models
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("test files have names in UTF-8")
}
