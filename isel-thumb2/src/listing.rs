//! A function as text: offsets, bytes and instructions, as a disassembler shows the object file.
//!
//! What the linker completes has the addend in its place, as in the file.

use std::fmt;

use crate::emit::Emitted;
use crate::isa::Inst;
use crate::object::{Reloc, RelocKind};

/// One instruction of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Bytes from the start of the function.
    pub offset: u32,
    /// Its bytes in the object file.
    pub bytes: Vec<u8>,
    /// Its text; a branch names its target by bytes from the start of the function, as in `b.n 0x1c`, a call by symbol.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let halves: Vec<String> =
            self.bytes.chunks(2).map(|half| format!("{:02x}{:02x}", half[1], half[0])).collect();
        write!(f, "{:4x}: {:9}  {}", self.offset, halves.join(" "), self.text)
    }
}

/// The instructions of a function in the order of their addresses.
pub fn listing(function: &Emitted) -> Vec<Line> {
    let mut offset = 0;
    let mut lines = Vec::new();
    for inst in function.timed.blocks.iter().flat_map(|block| &block.insts) {
        if offset as usize >= function.code.bytes.len() {
            break; // What follows is code that it shares, a function of its own.
        }
        let reloc = function.code.relocs.iter().find(|reloc| reloc.offset == offset);
        let inst = reloc.map_or(*inst, |reloc| with_addend(inst, reloc));
        lines.push(line(&inst, offset, reloc));
        offset += inst.size() as u32;
    }
    lines
}

fn line(inst: &Inst, offset: u32, reloc: Option<&Reloc>) -> Line {
    let text = match (inst.branch_offset(), reloc) {
        (Some(_), Some(reloc)) => inst.display_with(&reloc.target).to_string(),
        // A branch counts from the address of the instruction plus 4.
        (Some(distance), None) => {
            let target = format!("{:#x}", i64::from(offset) + 4 + i64::from(distance));
            inst.display_with(&target).to_string()
        }
        (None, _) => inst.to_string(),
    };
    Line { offset, bytes: inst.encode().bytes().collect(), text }
}

/// The instruction as the object file has it: where the linker completes it, the addend stands in the field.
fn with_addend(inst: &Inst, reloc: &Reloc) -> Inst {
    let field = match reloc.kind {
        RelocKind::ThmCall | RelocKind::ThmJump => reloc.addend - 4,
        RelocKind::ThmMovwAbs | RelocKind::ThmMovtAbs => reloc.addend & 0xffff,
        RelocKind::Abs32 => unreachable!("instructions hold no whole address"),
    };
    let letter = inst.row().imms.first().expect("what the linker completes is an immediate").letter;
    inst.with_imm(letter, field).expect("an addend fits where the linker finds it")
}
