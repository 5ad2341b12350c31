//! The judge: assembles functions into a firmware, runs it, and reads what each function took.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::{ITERATIONS, Program};

/// Whether everything that the comparison needs is here; prints a line if not.
pub fn available() -> bool {
    let runs = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    let found = path().exists()
        && ["arm-none-eabi-as", "arm-none-eabi-ld", "qemu-system-arm", "python3"].into_iter().all(runs);
    if !found {
        println!("skipped: no judge in ../shared, or a tool that it needs is missing");
    }
    found
}

/// Cycles of each function, called once.
pub fn cycles(core: &str, programs: &[Program]) -> Vec<f64> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("a.s"), firmware(programs)).expect("a temporary file");
    std::fs::write(at("a.ld"), layout(core)).expect("a temporary file");
    run(Command::new("arm-none-eabi-as").args(["a.s", "-o", "a.o"]), folder.path());
    run(Command::new("arm-none-eabi-ld").args(["-T", "a.ld", "a.o", "-o", "a.elf"]), folder.path());
    let short = core.trim_start_matches("cortex-");
    let report = run(
        Command::new("python3").arg(path()).args(["a.elf", "--core", short, "--json", "-", "--no-mca"]),
        folder.path(),
    );
    (0..programs.len()).map(|index| cycles_of(&report, &format!("f{index}"))).collect()
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/judge/judge")
}

/// Runs a tool; its output.
fn run(command: &mut Command, folder: &Path) -> String {
    let output = command.current_dir(folder).output().expect("the tool runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Reads one number of the report: `"name": "f0", … "cycles": 123`.
fn cycles_of(report: &str, function: &str) -> f64 {
    let (_, rest) =
        report.split_once(&format!("\"name\": \"{function}\"")).expect("the report has the function");
    let (_, rest) = rest.split_once("\"cycles\": ").expect("a function has cycles");
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().expect("cycles are a number")
}

fn firmware(programs: &[Program]) -> String {
    let calls: String =
        (0..programs.len()).map(|index| format!("{}    bl f{index}\n", arguments())).collect();
    let functions = programs.iter().enumerate().map(|(index, program)| program.source(&format!("f{index}")));
    format!("{START}{calls}{END}{}{MEMORY}", functions.collect::<String>())
}

/// What a function expects in its registers.
fn arguments() -> String {
    let mut text = String::from("    movw r0, #:lower16:memory\n    movt r0, #:upper16:memory\n");
    text += "    add r1, r0, #0x4000\n    adds r1, #4\n    mov r12, #8\n";
    (3..12).for_each(|n| text += &format!("    mov r{n}, #{n}\n"));
    text + &format!("    movw r2, #{ITERATIONS}\n")
}

/// Where code and data are on the core's board.
fn layout(core: &str) -> String {
    let (code, data) = if core == "cortex-m33" { (0x1000_0000, 0x3800_0000) } else { (0, 0x2000_0000) };
    format!(
        "ENTRY(reset) SECTIONS {{ . = {code:#x}; .text : {{ *(.vectors) *(.text) }} \
         . = {data:#x}; .bss (NOLOAD) : {{ *(.bss) }} stack_top = {data:#x} + 0x10000; }}"
    )
}

/// Vectors, the FPU switched on, and the opening of the window that is counted.
const START: &str = "
    .syntax unified
    .cpu cortex-m7
    .fpu fpv5-sp-d16
    .thumb
    .section .vectors, \"a\"
    .word stack_top, reset
    .text
    .thumb_func
    .type reset, %function
reset:
    movw r0, #0xed88
    movt r0, #0xe000
    ldr r1, [r0]
    orr r1, #0xf00000
    str r1, [r0]
    dsb
    isb
    bl bench_begin
";

/// The end of the window, and the exit through semihosting.
const END: &str = "    bl bench_end
    movs r0, #0x18
    ldr r1, =0x20026
    bkpt 0xab
    b .
    .size reset, . - reset
    .ltorg
    .thumb_func
    .type bench_begin, %function
bench_begin: bx lr
    .size bench_begin, 2
    .thumb_func
    .type bench_end, %function
bench_end: bx lr
    .size bench_end, 2
";

const MEMORY: &str = "    .bss\n    .balign 16\nmemory: .space 0x8000\n";
