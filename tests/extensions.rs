//! Code holds only instructions that its core has: all nests of the tests, and all models of ours.
//!
//! The table of instructions says what needs an extension; a disassembler that knows the core is the second opinion.

mod compiled;
mod emitted;

use std::process::Command;

use emitted::{Case, DEVICES, Device, Program};
use isel_thumb2::cores::{CORES, Core};
use isel_thumb2::emit::Emitted;
use isel_thumb2::isa::Extension;
use tinyc::link::Board;

/// Every call in the files of nests.
fn cases() -> Vec<Case> {
    let cases = |path| emitted::cases(&std::fs::read_to_string(path).expect("a readable file"));
    emitted::files().into_iter().flat_map(|(name, path)| cases(path).expect(&name)).collect()
}

/// The instructions that the core lacks.
fn foreign(core: &dyn Core, code: &Emitted) -> Vec<String> {
    let insts = code.timed.blocks.iter().flat_map(|block| &block.insts);
    let lacking = insts.filter(|inst| !core.has(inst.row().ext));
    lacking.map(|inst| format!("`{}` on {}: {inst}", code.code.symbol, core.name())).collect()
}

#[test]
fn nests_of_tests_keep_to_the_core() {
    let cases = cases();
    for device in DEVICES {
        let program = Program::new(&cases, device).expect("the nests compile");
        let core = device.core();
        let code = program.layers.iter().map(|layer| &layer.emitted).chain([&program.object.run]);
        let found: Vec<String> = code.flat_map(|code| foreign(core, code)).collect();
        assert!(found.is_empty(), "{}", found.join("\n"));
        // Without the files that need an extension this would show nothing.
        let uses = |ext| {
            let blocks = program.layers.iter().flat_map(|layer| &layer.emitted.timed.blocks);
            blocks.flat_map(|block| &block.insts).any(|inst| inst.row().ext == ext)
        };
        assert_eq!(uses(Extension::Dsp), core.has(Extension::Dsp), "{}", core.name());
        assert_eq!(uses(Extension::Fpu), device.fpu, "{}", core.name());
    }
}

/// What it cannot read is no instruction of the core.
#[test]
fn a_disassembler_reads_all_code_of_the_plain_core() {
    const DISASSEMBLER: &str = "llvm-objdump-19";
    if Command::new(DISASSEMBLER).arg("--version").output().is_err() {
        println!("skipped: {DISASSEMBLER} not found");
        return;
    }
    let cases = cases();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let unknown = |board: Board, fpu: bool| {
        let path = folder.path().join("nests.o");
        let program = Program::new(&cases, Device { board, fpu }).expect("the nests compile");
        std::fs::write(&path, &program.object.bytes).expect("a file");
        let output = Command::new(DISASSEMBLER)
            .args(["-d", "--triple=thumbv7m", "--mcpu=cortex-m3"])
            .arg(&path)
            .output()
            .expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.lines().count() > 1000, "{text}");
        text.lines().filter(|line| line.contains("<unknown>")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(unknown(Board::Mps2An385, false), Vec::<String>::new());
    // The same nests on a core with extensions show that these would be found.
    assert!(unknown(Board::Mps2An386, true).len() > 100);
}

#[test]
fn models_keep_to_the_core() {
    for model in test_support::own_models() {
        for core in CORES {
            let Some(layers) = compiled::layers_for(&model.read(), *core, true) else { continue };
            let found: Vec<String> = layers.iter().flat_map(|layer| foreign(*core, &layer.emitted)).collect();
            assert!(found.is_empty(), "{}:\n{}", model.name, found.join("\n"));
        }
    }
}
