//! The disassembly of a whole object is our own listing of it: every offset, every byte and every text.

mod compiled;
mod emitted;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use emitted::Case;
use ir::loops::text::calls::RunFile;
use isel_thumb2::cores::m4::CortexM4;
use isel_thumb2::emit::Emitted;
use isel_thumb2::entry::{self, Callee};
use isel_thumb2::listing::{Line, listing};
use isel_thumb2::program::assemble;

const DISASSEMBLER: &str = "arm-none-eabi-objdump";

/// The instructions of each function of an object, as the disassembler reads them from the file.
fn disassembled(object: &[u8]) -> BTreeMap<String, Vec<Line>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.o");
    std::fs::write(&path, object).unwrap();
    let output =
        Command::new(DISASSEMBLER).args(["-d", "-r", "-z", "-M", "reg-names-std"]).arg(&path).output();
    let text = String::from_utf8(output.expect("the disassembler runs").stdout).unwrap();
    let mut functions = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(symbol) = line.strip_suffix(">:").and_then(|line| line.split_once(" <")) {
            current = symbol.1.to_owned();
            functions.insert(current.clone(), Vec::new());
        } else if let Some((_, target)) = line.split_once(": R_ARM_THM_CALL\t") {
            let lines: &mut Vec<Line> = functions.get_mut(&current).expect("a symbol stands first");
            let call = lines.last_mut().expect("what is completed stands before");
            call.text = format!("bl {target}");
        } else if let Some(line) = instruction(line) {
            functions.get_mut(&current).expect("a symbol stands before its instructions").push(line);
        }
    }
    functions
}

/// Reads an offset, a colon, halfwords, text and perhaps a comment, with tabs between them.
///
/// A target is an address, with what it is relative to behind it: the address alone says it, for each function
/// begins at address 0 of its section. For a call the linker's note in the next line names the other function.
fn instruction(line: &str) -> Option<Line> {
    let (offset, rest) = line.split_once(":\t")?;
    let (code, text) = rest.split_once('\t')?;
    let halves = code.split_whitespace().map(|half| u16::from_str_radix(half, 16).expect("a halfword"));
    let text = text.split(['@', ';']).next().unwrap_or_default().trim_end().replace('\t', " ");
    let text = match text.split_once(" <") {
        Some((before, _)) => {
            let (mnemonic, target) = before.rsplit_once(' ').expect("a target follows the mnemonic");
            format!("{mnemonic} 0x{target}")
        }
        None => text,
    };
    Some(Line {
        offset: u32::from_str_radix(offset.trim(), 16).expect("an offset"),
        bytes: halves.flat_map(u16::to_le_bytes).collect(),
        text,
    })
}

/// Compares every function, and gives the number of instructions.
fn compare(object: &[u8], functions: &[Emitted]) -> usize {
    let mut theirs = disassembled(object);
    let mut count = 0;
    for function in functions {
        let symbol = &function.code.symbol;
        let ours = listing(function);
        let theirs = theirs.remove(symbol).unwrap_or_else(|| panic!("the object has no `{symbol}`"));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "`{symbol}`:\n{ours}\n{theirs}");
        }
        assert_eq!(ours.len(), theirs.len(), "`{symbol}`");
        count += ours.len();
    }
    assert!(theirs.is_empty(), "the object has more functions: {:?}", theirs.keys());
    count
}

#[test]
fn the_disassembly_of_an_object_is_our_listing() {
    if !available() {
        return;
    }
    for model in test_support::own_models() {
        for fpu in [true, false] {
            let Some(layers) = compiled::layers(&model.read(), fpu) else { continue };
            let mut settings = compiled::settings(&CortexM4, fpu);
            settings.run_until = true;
            let mut functions: Vec<Emitted> = layers.iter().map(|layer| layer.emitted.clone()).collect();
            let callee = |layer: &Emitted| Callee { symbol: layer.code.symbol.clone(), line: 0 };
            let callees: Vec<Callee> = functions.iter().map(callee).collect();
            let object = assemble(layers, &settings).expect("the object is written");
            functions.push(entry::run_until("model_run_until".into(), &callees));
            functions.push(object.run.clone());
            let count = compare(&object.bytes, &functions);
            println!("{} with fpu: {fpu}: {count} instructions", model.name);
            assert!(count > 20 * callees.len());
        }
    }
}

/// The nests that reach each kind of instruction.
#[test]
fn the_disassembly_of_the_test_nests_is_our_listing() {
    if !available() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/isel");
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = RunFile::parse(&std::fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap();
        let zeros = |nest: &ir::loops::Nest| -> Vec<Vec<u8>> {
            nest.params().map(|id| vec![0; nest.buffers[id.idx()].bytes()]).collect()
        };
        let cases: Vec<Case> =
            file.nests.iter().map(|nest| Case::new(nest.clone(), zeros(nest)).unwrap()).collect();
        for fpu in [true, false] {
            let layers = emitted::compile(&cases, fpu).unwrap();
            let mut functions: Vec<Emitted> = layers.iter().map(|layer| layer.emitted.clone()).collect();
            let object = emitted::object(layers, fpu).unwrap();
            functions.push(object.run.clone());
            compare(&object.bytes, &functions);
        }
    }
}

fn available() -> bool {
    let found = Command::new(DISASSEMBLER).arg("--version").output().is_ok();
    if !found {
        println!("skipped: {DISASSEMBLER} not found");
    }
    found
}
