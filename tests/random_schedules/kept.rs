//! Cases that failed once: files in `tests/random_schedules/kept` that run before all others.
//!
//! A file has the schedule in lines that begin with `//!`, then the program. Where the schedule has only steps for layers, or only
//! for tensors and bands, the case may move to `tests/rewrites` or `tests/network` once it is right.

use std::fs;
use std::path::{Path, PathBuf};

use ir::loops::Program;
use ir::loops::text::parse_program;
use passes::schedule::Schedule;
use test_support::repository;

use crate::case::{Scoped, schedule_text, steps_of};

/// Begins the lines of the schedule.
const MARK: &str = "//! ";

/// Where the files are.
pub fn folder() -> PathBuf {
    repository().join("tests/random_schedules/kept")
}

/// The files of a folder, in order; none where it is not there.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "tir"));
    paths.sort();
    paths
}

/// Writes a case and says where it is.
pub fn keep(folder: &Path, name: &str, program: &Program, steps: &[Scoped], failure: &str) -> String {
    let schedule: String = schedule_text(steps).lines().map(|line| format!("{MARK}{line}\n")).collect();
    let reason = failure.lines().next().unwrap_or_default();
    let text = format!("// {reason}\n{schedule}{program}");
    let path = folder.join(format!("{name}.tir"));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, &text));
    let place = written.map_or_else(|error| format!("not kept: {error}"), |()| path.display().to_string());
    format!("{failure}\n--> {place}\n{text}")
}

/// The case of a file.
pub fn read(path: &Path) -> Result<(Program, Vec<Scoped>), String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let schedule: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(MARK)).collect();
    let schedule =
        Schedule::parse(&format!("{}\n", schedule.join("\n"))).map_err(|error| error.to_string())?;
    let program = parse_program(&text).map_err(|error| error.to_string())?;
    Ok((program, steps_of(&schedule)))
}
