//! Cortex-M33: one instruction at a time, in order; a branch may go together with a 16-bit instruction before it.
//!
//! Arm publishes no table. Sources: results and pairs that others measured on an RP2350 (github.com/jnk0le/random,
//! "pipeline cycle test"); what they leave open is said at the constants to be a guess. Nothing of it has been checked
//! on a whole network.

use super::m7::uses_shifter;
use super::{Address, Core, Machine, TICKS};
use crate::isa::{Class, Extension, Inst, Reg, Role};
use crate::object::Architecture;
use crate::schedule::Style;

/// The Cortex-M33 with the DSP extension and a single-precision FPU.
pub struct CortexM33;

impl Core for CortexM33 {
    fn name(&self) -> &'static str {
        "cortex-m33"
    }

    fn has(&self, extension: Extension) -> bool {
        match extension {
            Extension::Base | Extension::Dsp | Extension::Fpu => true,
        }
    }

    fn architecture(&self) -> Architecture {
        Architecture::V8MMain
    }

    fn style(&self) -> Style {
        Style::Soonest
    }

    fn machine(&self) -> Box<dyn Machine> {
        Box::new(Pipeline::default())
    }

    /// None: whether a taken branch pairs is known where it is taken.
    fn branch_penalty(&self, _taken: u64, _not_taken: u64) -> u64 {
        0
    }
}

/// Cycles of a division; measured as above.
const DIVISION: u64 = 11;

/// Cycles of a taken branch that goes together with nothing; measured as above.
const TAKEN: u64 = 2;

/// Cycles of a branch to an address in a register: a guess.
const INDIRECT: u64 = 3;

/// Cycles that an unaligned load takes longer: a guess.
const UNALIGNED: f64 = 1.0;

/// Cycles from the issue of an instruction with a late result to that of one that needs it early; 1 for all others.
const LATE: u64 = 2;

#[derive(Clone, Default)]
struct Pipeline {
    /// Where the next instruction can issue at the soonest.
    next: u64,
    /// Ticks of what happens in a part of all executions.
    chances: u64,
    before: Option<Inst>,
    /// The cycles that the last conditional branch takes longer if it is taken.
    if_taken: u64,
    /// The late result of the instruction before the one that issues next; all others have arrived.
    late: Option<Late>,
}

/// A late result on its way.
#[derive(Clone, Copy)]
struct Late {
    by: Inst,
    /// The cycle in which `by` issued.
    issued: u64,
}

impl Machine for Pipeline {
    fn issue(&mut self, inst: &Inst, address: Option<&Address>) {
        let issued = self.next.max(self.operands_ready(inst));
        let cost = Cost::of(inst, self.before.as_ref());
        self.chances += address.map_or(0, |address| unaligned_cost(inst, address));
        if is_late(inst) {
            self.late = Some(Late { by: *inst, issued });
        }
        self.next = issued + cost.cycles;
        self.if_taken = cost.if_taken;
        self.before = Some(*inst);
    }

    fn branch_taken(&mut self) {
        self.next += std::mem::take(&mut self.if_taken);
    }

    fn ticks(&self) -> u64 {
        TICKS * self.next + self.chances
    }

    fn mark(&self) -> Vec<i64> {
        self.late.iter().map(|late| (late.issued + LATE).saturating_sub(self.next) as i64).collect()
    }

    fn fork(&self) -> Box<dyn Machine> {
        Box::new(self.clone())
    }
}

impl Pipeline {
    /// The first cycle in which every operand arrives in time.
    fn operands_ready(&self, inst: &Inst) -> u64 {
        let Some(late) = &self.late else { return 0 }; // The next cycle is soon enough.
        let base = late.by.updated_base();
        let mut results = late.by.defs().filter(|reg| Some(*reg) != base);
        let waits = |result: Reg| early_reads(inst).any(|read| read == result);
        if results.any(waits) { late.issued + LATE } else { 0 }
    }
}

/// What an instruction takes beside waiting for operands.
struct Cost {
    cycles: u64,
    /// More cycles for a conditional branch that is taken.
    if_taken: u64,
}

impl Cost {
    fn of(inst: &Inst, before: Option<&Inst>) -> Cost {
        let pairs = inst.size() == 2 && before.is_some_and(|b| b.size() == 2 && !is_branch(b.class()));
        // What sets the flags does not go together with a branch that is taken.
        let taken = if pairs && before.is_some_and(|b| !b.effects().sets_flags) { 1 } else { TAKEN };
        let words = inst.transferred().count() as u64;
        let cycles = match inst.class() {
            Class::BranchIf => {
                let cycles = u64::from(!pairs);
                return Cost { cycles, if_taken: taken - cycles };
            }
            Class::Branch | Class::Call => taken,
            Class::Return => INDIRECT,
            Class::LoadReturn => words + TAKEN,
            Class::LoadMultiple | Class::StoreMultiple => words,
            Class::FloatLoadMultiple | Class::FloatStoreMultiple => words,
            Class::Div => DIVISION,
            Class::It => u64::from(before.is_none()),
            Class::Add
            | Class::Movw
            | Class::Movt
            | Class::Logic
            | Class::Shift
            | Class::Lanes
            | Class::LanesLate
            | Class::Pack
            | Class::Clear
            | Class::Extract
            | Class::Saturate
            | Class::Reverse
            | Class::Mul
            | Class::Mac
            | Class::LongMul
            | Class::LongMac
            | Class::Load
            | Class::Store
            | Class::System
            | Class::FloatLoad
            | Class::FloatStore
            | Class::FloatMove
            | Class::FloatToCore => 1,
        };
        Cost { cycles, if_taken: 0 }
    }
}

/// Whether the result is there one cycle later than that of an addition: loads, products, and what passes the shifter
/// ahead of another operation.
fn is_late(inst: &Inst) -> bool {
    match inst.class() {
        Class::Load | Class::Mul | Class::Mac | Class::LongMul | Class::LongMac => true,
        Class::Pack | Class::Clear | Class::Extract | Class::Saturate | Class::Reverse => true,
        Class::Add | Class::Movw | Class::Movt | Class::Logic => uses_shifter(inst),
        _ => false,
    }
}

/// The registers that are needed when the instruction issues: all that are read, the accumulator of a product and the
/// data of a store left out. A branch is predicted and waits for none.
fn early_reads(inst: &Inst) -> impl Iterator<Item = Reg> {
    let class = inst.class();
    let is_late = move |reg: Reg, letter: u8| match class {
        Class::Mac => letter == b'a',
        Class::LongMac => inst.defs().any(|def| def == reg),
        Class::Store | Class::StoreMultiple | Class::FloatStore | Class::FloatStoreMultiple => {
            !inst.address().any(|read| read == reg)
        }
        _ => false,
    };
    let operands = inst.operands().filter(move |(_, operand)| operand.role != Role::Def && !is_branch(class));
    operands.filter(move |(reg, operand)| !is_late(*reg, operand.letter)).map(|(reg, _)| reg)
}

/// Ticks that a load takes longer on the mean because it is not aligned.
fn unaligned_cost(inst: &Inst, address: &Address) -> u64 {
    let bytes = inst.mem().map_or(0, |mem| usize::from(mem.bytes));
    if inst.class() != Class::Load || bytes < 2 {
        return 0;
    }
    (TICKS as f64 * UNALIGNED * (1.0 - address.share_with_rest(0, bytes))).round() as u64
}

fn is_branch(class: Class) -> bool {
    matches!(class, Class::Branch | Class::BranchIf | Class::Call | Class::Return | Class::LoadReturn)
}
