//! The loops that are short of registers.

use crate::isa::Reg;
use crate::isa::imm::Cond;
use crate::isa::row::Form;
use crate::mir::BlockId;
use crate::regalloc::{Assigned, AssignedBlock, AssignedEnd, Coded};

use super::values::counted;

/// Loops by their last blocks.
#[derive(Clone, Debug, Default)]
pub struct Short {
    /// Those in which the allocator moves something between a register and its other place.
    pub crowded: Vec<BlockId>,
    /// Those of them that put their counter away in every iteration.
    pub counters: Vec<BlockId>,
}

impl Short {
    /// Finds them.
    pub fn of(assigned: &Assigned) -> Self {
        let mut short = Short::default();
        for (at, block) in assigned.blocks.iter().enumerate() {
            let AssignedEnd::Branch(Cond::Ne, back, _) = block.end else { continue };
            let latch = &assigned.blocks[back as usize];
            let AssignedEnd::Jump(first) = latch.end else { continue };
            let inside = assigned.blocks.get(first as usize..=at).unwrap_or_default().iter().chain([latch]);
            if inside.flat_map(|block| &block.code).any(|coded| moved(coded).is_some()) {
                short.crowded.push(BlockId(at as u32));
            }
            if puts_counter_away(block, latch) {
                short.counters.push(BlockId(at as u32));
            }
        }
        short
    }
}

fn puts_counter_away(block: &AssignedBlock, latch: &AssignedBlock) -> bool {
    let Some(step) = block.code.iter().rposition(|coded| coded.inst.effects().sets_flags) else {
        return false;
    };
    let Some((counter, _)) = counted(&block.code[step].inst) else { return false };
    let behind = block.code[step + 1..].iter().chain(&latch.code);
    let mut behind = behind.take_while(|coded| coded.inst.defs().all(|reg| reg != counter));
    behind.any(|coded| moved(coded) == Some((counter, true)))
}

/// What an instruction of the allocator moves, and whether away.
fn moved(coded: &Coded) -> Option<(Reg, bool)> {
    let inst = &coded.inst;
    let in_frame = inst.reg(b'n') == Some(Reg::SP);
    let away = match inst.form() {
        Form::VmovToS => true,
        Form::VmovFromS => false,
        Form::Str if in_frame => true,
        Form::Ldr if in_frame => false,
        _ => return None,
    };
    Some((inst.reg(b't')?, away))
}
