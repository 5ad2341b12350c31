//! Runs a model on an emulated board: `tinyc run --on cortex-m4`.
//!
//! All cases run in one start of QEMU, which reads and writes files in a folder of its own.
//! The driver checks more than the outputs: see `runtime/c/driver.c`.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use ir::diag::Diagnostic;

use crate::link::{self, Board, Firmware, Linker};

const QEMU: &str = "qemu-system-arm";
/// Between two looks at whether the emulator has ended.
const POLL: Duration = Duration::from_millis(5);

/// What the device said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The bytes of each output of each case.
    pub outputs: Vec<Vec<Vec<u8>>>,
    /// The deepest stack of a run in bytes; with interrupts on, theirs are in it.
    pub stack_bytes: u32,
}

/// Links `firmware` and runs it on all `cases`, each the bytes of its inputs.
pub fn run_on(
    board: Board,
    firmware: &Firmware,
    cases: &[Vec<Vec<u8>>],
    time_limit: Duration,
) -> Result<Outcome, Diagnostic> {
    let inputs = concatenated(firmware, cases)?;
    let folder =
        tempfile::tempdir().map_err(|error| Diagnostic::new(format!("cannot make a folder: {error}")))?;
    link::link(board, firmware, &Linker::find()?, folder.path())?;
    std::fs::write(folder.path().join("cases.bin"), inputs)
        .map_err(|error| Diagnostic::new(format!("cannot write the cases: {error}")))?;
    run_emulator(board, folder.path(), time_limit)?;
    let results = std::fs::read(folder.path().join("results.bin"))
        .map_err(|error| Diagnostic::new(format!("cannot read the results: {error}")))?;
    outcome(firmware, cases.len(), &results)
}

/// The contents of `cases.bin`.
fn concatenated(firmware: &Firmware, cases: &[Vec<Vec<u8>>]) -> Result<Vec<u8>, Diagnostic> {
    for (case_idx, case) in cases.iter().enumerate() {
        let found: Vec<usize> = case.iter().map(Vec::len).collect();
        let wanted: Vec<usize> = firmware.inputs.iter().map(|place| place.bytes as usize).collect();
        if found != wanted {
            return Err(Diagnostic::new(format!(
                "case {case_idx} has inputs of {found:?} bytes, the model wants {wanted:?}"
            )));
        }
    }
    Ok(cases.iter().flatten().flatten().copied().collect())
}

/// The outputs of `n_cases` cases, and the stack, out of the contents of `results.bin`.
fn outcome(firmware: &Firmware, n_cases: usize, results: &[u8]) -> Result<Outcome, Diagnostic> {
    let sizes: Vec<usize> = firmware.outputs.iter().map(|place| place.bytes as usize).collect();
    let wanted = n_cases * sizes.iter().sum::<usize>();
    let Some((bytes, stack)) = results.split_last_chunk::<4>().filter(|(bytes, _)| bytes.len() == wanted)
    else {
        let found = results.len();
        return Err(Diagnostic::new(format!(
            "the device wrote {found} B of results, {} are meant",
            wanted + 4
        )));
    };
    let mut rest = bytes;
    let mut take = |size: usize| {
        let (taken, after) = rest.split_at(size);
        rest = after;
        taken.to_vec()
    };
    let outputs = (0..n_cases).map(|_| sizes.iter().map(|&size| take(size)).collect()).collect();
    Ok(Outcome { outputs, stack_bytes: u32::from_le_bytes(*stack) })
}

/// Runs `firmware.elf` in `folder` until it ends by itself, or `time_limit` is over.
fn run_emulator(board: Board, folder: &Path, time_limit: Duration) -> Result<(), Diagnostic> {
    let console_path = folder.join("console.txt");
    let broken = |error: std::io::Error| Diagnostic::new(format!("cannot start `{QEMU}`: {error}"));
    let console = File::create(&console_path).map_err(broken)?;
    let mut child = Command::new(QEMU)
        .args(["-machine", board.machine(), "-display", "none", "-monitor", "none", "-serial", "none"])
        .args(["-semihosting-config", "enable=on,target=native", "-kernel", "firmware.elf"])
        .current_dir(folder)
        .stdin(std::process::Stdio::null())
        .stdout(console.try_clone().map_err(broken)?)
        .stderr(console)
        .spawn()
        .map_err(not_started)?;
    let status = wait(&mut child, time_limit).map_err(broken)?;
    let said = std::fs::read(&console_path).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(Diagnostic::new(format!(
            "the emulated {} stopped ({status}): {}",
            board.machine(),
            said.trim()
        ))),
        None => Err(Diagnostic::new(format!(
            "the emulated {} did not end within {} s",
            board.machine(),
            time_limit.as_secs()
        ))),
    }
}

fn not_started(error: std::io::Error) -> Diagnostic {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            Diagnostic::new(format!("no emulator found: `{QEMU}` is not in the PATH"))
                .help("install it: `apt-get install qemu-system-arm`")
        }
        _ => Diagnostic::new(format!("cannot start `{QEMU}`: {error}")),
    }
}

/// How `child` ended, or `None` where it was stopped after `time_limit`.
fn wait(child: &mut Child, time_limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begin.elapsed() > time_limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_emulator_is_named_with_its_package() {
        let message = not_started(std::io::ErrorKind::NotFound.into()).to_string();
        assert_eq!(
            message,
            "error: no emulator found: `qemu-system-arm` is not in the PATH\n\
             help: install it: `apt-get install qemu-system-arm`"
        );
    }
}
