//! The loops that are short of registers.

use crate::isa::Reg;
use crate::isa::imm::Cond;
use crate::isa::row::Form;
use crate::mir::BlockId;
use crate::regalloc::{Assigned, AssignedEnd, Coded};

/// The last blocks of the loops in which the allocator moves something between a register and its other place.
pub fn crowded(assigned: &Assigned) -> Vec<BlockId> {
    let is_crowded = |last: &usize| {
        let AssignedEnd::Branch(Cond::Ne, back, _) = assigned.blocks[*last].end else { return false };
        let latch = &assigned.blocks[back as usize];
        let AssignedEnd::Jump(first) = latch.end else { return false };
        let inside = assigned.blocks.get(first as usize..=*last).unwrap_or_default().iter().chain([latch]);
        inside.flat_map(|block| &block.code).any(moves)
    };
    let loops = (0..assigned.blocks.len()).filter(is_crowded);
    loops.map(|last| BlockId(last as u32)).collect()
}

/// Whether the allocator put an instruction there to move a register to or from its other place.
fn moves(coded: &Coded) -> bool {
    let inst = &coded.inst;
    match inst.form() {
        Form::VmovToS | Form::VmovFromS => true,
        Form::Str | Form::Ldr => inst.reg(b'n') == Some(Reg::SP),
        _ => false,
    }
}
