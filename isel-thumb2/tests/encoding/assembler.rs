//! GNU as and objdump: what they make of our text, and what they read in its bytes.

use std::path::Path;
use std::process::Command;

use tinyc_isel_thumb2::isa::{Class, Cond, Inst};

/// An instruction as the assembler encoded and the disassembler printed it.
pub struct Listed {
    /// Halfwords in hexadecimal, as in `fb21 3002`.
    pub code: String,
    /// Text; the target of a branch is written relative to it, as in `b.n .+8`.
    pub text: String,
}

/// Whether the tools are on this machine; prints a line if not.
pub fn available() -> bool {
    let found = Command::new(ASSEMBLER).arg("--version").output().is_ok();
    if !found {
        println!("skipped: no {ASSEMBLER} on the path");
    }
    found
}

/// The first line of the assembler's version.
pub fn version() -> String {
    let output = Command::new(ASSEMBLER).arg("--version").output().expect("available");
    String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_string()
}

/// Assembles and lists; `None` for each line that the assembler refuses. Semicolons part the instructions of
/// a line.
pub fn list(lines: &[String]) -> Vec<Option<Vec<Listed>>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let refused = assemble(folder.path(), lines, &[]);
    let left = if refused.is_empty() { Vec::new() } else { assemble(folder.path(), lines, &refused) };
    assert!(left.is_empty(), "the assembler refuses lines {left:?} as well");
    let listing = Command::new(DISASSEMBLER)
        .args(["-d", "-z", "-M", "reg-names-std"])
        .arg(folder.path().join("a.o"))
        .output()
        .expect("objdump runs");
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    let mut listed = listing.lines().filter_map(parse);
    let per_line = |(at, line): (usize, &String)| {
        if refused.contains(&at) {
            return None;
        }
        let count = 1 + line.matches(';').count();
        Some((0..count).map(|_| listed.next().expect("every instruction is listed")).collect())
    };
    lines.iter().enumerate().map(per_line).collect()
}

/// The text of an instruction for the assembler: its width stated, an IT block filled, or put around it.
pub fn source(inst: &Inst) -> String {
    let text = inst.to_string();
    if inst.class() == Class::It {
        return fill_it(&text);
    }
    if inst.cond() != Cond::Al {
        return format!("it {}; {text}", inst.cond().suffix());
    }
    if inst.class() == Class::Shift && text.starts_with("mov") {
        return shift_by_name(&text);
    }
    let (mnemonic, rest) = text.split_once(' ').unwrap_or((&text, ""));
    let wide = inst.size() == 4 && !mnemonic.contains('.') && !mnemonic.starts_with('v');
    format!("{mnemonic}{} {rest}", if wide { ".w" } else { "" })
}

const ASSEMBLER: &str = "arm-none-eabi-as";
const DISASSEMBLER: &str = "arm-none-eabi-objdump";
const HEADER: &str = ".syntax unified\n.thumb\n.cpu cortex-m7\n.fpu fpv5-sp-d16\n.text\n";

/// Assembles all lines but some; returns the numbers of the lines that are errors.
fn assemble(folder: &Path, lines: &[String], without: &[usize]) -> Vec<usize> {
    let mut text = String::from(HEADER);
    for (at, line) in lines.iter().enumerate() {
        text += if without.contains(&at) { "" } else { line };
        text.push('\n');
    }
    std::fs::write(folder.join("a.s"), text).expect("a temporary file");
    let output =
        Command::new(ASSEMBLER).args(["a.s", "-o", "a.o"]).current_dir(folder).output().expect("as runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let number = |line: &str| line.strip_prefix("a.s:")?.split_once(": Error")?.0.parse::<usize>().ok();
    let header = HEADER.lines().count();
    let mut refused: Vec<usize> = errors.lines().filter_map(number).map(|n| n - 1 - header).collect();
    refused.dedup();
    refused
}

/// Reads an address, a colon, halfwords, text and perhaps a comment, with tabs between them.
fn parse(line: &str) -> Option<Listed> {
    let (address, rest) = line.split_once(":\t")?;
    let address = u32::from_str_radix(address.trim(), 16).ok()?;
    let (code, text) = rest.split_once('\t').unwrap_or((rest, ""));
    let text = text.split(['@', ';']).next().unwrap_or_default().trim_end().replace('\t', " ");
    let Some((before, _)) = text.split_once(" <") else {
        return Some(Listed { code: code.trim().to_string(), text });
    };
    let (before, target) = before.rsplit_once(' ').expect("a target follows the mnemonic");
    let distance =
        u32::from_str_radix(target, 16).expect("a target is an address").wrapping_sub(address) as i32;
    Some(Listed { code: code.trim().to_string(), text: format!("{before} .{distance:+}") })
}

/// `ite ne` becomes `ite ne; nopne; nopeq`.
fn fill_it(text: &str) -> String {
    let (mnemonic, cond) = text.split_once(' ').expect("an IT block names its condition");
    let first = Cond::ALL.into_iter().find(|c| c.suffix() == cond).expect("a condition");
    let covered = mnemonic[1..].chars().map(|c| if c == 'e' { first.negated() } else { first });
    covered.fold(text.to_string(), |line, cond| format!("{line}; nop{}", cond.suffix()))
}

/// `movs.w r0, r1, lsr #1` becomes `lsrs.w r0, r1, #1`: objdump prints the first, but as takes only the
/// second.
fn shift_by_name(text: &str) -> String {
    let (start, amount) = text.rsplit_once(' ').expect("a shift has an amount");
    let (start, shift) = start.rsplit_once(", ").expect("a shift has a name");
    format!("{}, {amount}", start.replacen("mov", shift, 1))
}
