//! The judge: a cycle model that others wrote. It runs a firmware in QEMU and is looked for in the shared folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// QEMU translates no block beyond a page, so the judge sees one that goes on there as two.
const PAGE_BYTES: u32 = 4096;
/// What the judge runs.
const TOOLS: [&str; 3] = ["python3", "qemu-system-arm", "llvm-mc-19"];
/// Seconds that one inference may take; an emulated core executes some hundred million instructions in one.
const TIME_LIMIT: &str = "1200";

/// What the judge says of one inference.
#[derive(Clone, Debug, Deserialize)]
pub struct Judged {
    ok: bool,
    /// Cycles of the inference.
    pub cycles: u64,
    /// Cycles by function.
    pub functions: Vec<JudgedFunction>,
    /// What all functions load and store.
    pub mem: JudgedMemory,
    warnings: Vec<String>,
}

/// A function's own instructions, callees not included.
#[derive(Clone, Debug, Deserialize)]
pub struct JudgedFunction {
    /// Its symbol.
    pub name: String,
    /// Where it begins.
    addr: u32,
    /// Cycles of all its calls.
    pub cycles: u64,
}

/// Registers loaded and stored by all functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct JudgedMemory {
    /// Loads.
    pub loads: u64,
    /// Stores.
    pub stores: u64,
    /// The loads that read constants.
    pub flash_loads: u64,
}

/// The judge, if all that it needs is here; otherwise a line says what is missing.
pub fn find() -> Option<PathBuf> {
    let judge = crate::shared_dir()?.join("judge/judge");
    let missing = |tool: &&str| Command::new(tool).arg("--version").output().is_err();
    if !judge.exists() {
        println!("skipped: no judge in ../shared");
        return None;
    }
    if let Some(tool) = TOOLS.iter().find(|tool| missing(tool)) {
        println!("skipped: `{tool}` is not in the PATH");
        return None;
    }
    Some(judge)
}

/// Runs one inference of a linked firmware with these inputs, in an empty folder for its files.
pub fn run(judge: &Path, firmware: &Path, input: &[u8], core: &str, folder: &Path) -> Judged {
    std::fs::write(folder.join("cases.bin"), input).expect("a file");
    let output = Command::new("python3")
        .arg(judge)
        .arg(firmware)
        .args(["--core", core.trim_start_matches("cortex-")])
        .args(["--json", "-", "--no-mca", "--timeout", TIME_LIMIT])
        .current_dir(folder)
        .output()
        .expect("python3 starts");
    let said = || String::from_utf8_lossy(&output.stderr);
    let judged: Judged =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said()));
    assert!(judged.ok && judged.warnings.is_empty(), "{:?}", judged.warnings);
    judged
}

impl Judged {
    /// Cycles of a function; none that never ran.
    pub fn of(&self, symbol: &str) -> u64 {
        self.functions.iter().find(|function| function.name == symbol).map_or(0, |function| function.cycles)
    }

    /// Whether a function goes on from one page to the next. On pipelined cores the judge then takes a loop around that place for one of
    /// two blocks, which overlap otherwise than one.
    pub fn is_parted(&self, symbol: &str) -> bool {
        let Some(function) = self.functions.iter().find(|function| function.name == symbol) else {
            return false;
        };
        let behind = self.functions.iter().map(|other| other.addr).filter(|addr| *addr > function.addr);
        let end = behind.min().unwrap_or(u32::MAX);
        function.addr / PAGE_BYTES != (end - 1) / PAGE_BYTES
    }
}
