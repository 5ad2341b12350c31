//! Cortex-M4: one instruction at a time, three pipeline stages; the pipeline serves the Cortex-M3 too.
//!
//! Sources: Cortex-M4 Technical Reference Manual r0p1 (DDI 0439), tables 3-1 and 3-2 for cycles of
//! instructions, section 3.3.3 for loads and stores, table 7-1 for the FPU. The manual gives 1 to 3 cycles
//! for the refill after a branch and 2 to 12 for a division; what this file takes is said at the constants.

use super::{Address, Core, Machine, TICKS};
use crate::isa::{Addressing, Class, Extension, Inst, Reg};
use crate::object::Architecture;
use crate::schedule::Style;

/// The Cortex-M4 with its FPU.
pub struct CortexM4;

impl Core for CortexM4 {
    fn name(&self) -> &'static str {
        "cortex-m4"
    }

    fn has(&self, extension: Extension) -> bool {
        match extension {
            Extension::Base | Extension::Dsp | Extension::Fpu => true,
        }
    }

    fn style(&self) -> Style {
        Style::Grouped
    }

    fn architecture(&self) -> Architecture {
        Architecture::V7EM
    }

    fn machine(&self) -> Box<dyn Machine> {
        Box::new(Pipeline::new(&COSTS))
    }

    fn branch_penalty(&self, taken: u64, _not_taken: u64) -> u64 {
        taken * REFILL
    }
}

/// Tables 3-1 and 3-2.
const COSTS: Costs = Costs { mac: 1, long_mul: 1, long_mac: 1, write_back_waits: false };

/// In what the cores with this pipeline differ.
pub(super) struct Costs {
    /// Cycles of a multiply-accumulate of words.
    pub mac: u64,
    /// Cycles of a 64-bit product.
    pub long_mul: u64,
    /// Cycles of a 64-bit multiply-accumulate.
    pub long_mac: u64,
    /// Whether an access that writes its base back never overlaps with the load before it.
    pub write_back_waits: bool,
}

/// Cycles to refill the pipeline after a branch. A guess in the middle of the manual's 1 to 3.
pub(super) const REFILL: u64 = 2;

/// Cycles of a division: the most that the manual gives.
const DIVISION: u64 = 12;

/// What came before decides what a load costs.
#[derive(Clone)]
pub(super) struct Pipeline {
    costs: &'static Costs,
    ticks: u64,
    /// The instruction just before; none behind a branch.
    before: Option<Inst>,
}

impl Machine for Pipeline {
    fn issue(&mut self, inst: &Inst, address: Option<&Address>) {
        self.ticks += TICKS * self.cost(inst) + address.map_or(0, |address| unaligned_cost(inst, address));
        self.before = (!is_branch(inst.class())).then_some(*inst);
    }

    fn branch_taken(&mut self) {
        self.before = None;
    }

    fn ticks(&self) -> u64 {
        self.ticks
    }

    /// Only the last instruction.
    fn mark(&self) -> Vec<i64> {
        Vec::new()
    }

    fn fork(&self) -> Box<dyn Machine> {
        Box::new(self.clone())
    }
}

impl Pipeline {
    /// At rest.
    pub(super) fn new(costs: &'static Costs) -> Self {
        Pipeline { costs, ticks: 0, before: None }
    }

    fn cost(&self, inst: &Inst) -> u64 {
        let transfers = inst.transferred().count() as u64;
        let cycles = match inst.class() {
            Class::Load => {
                if self.pipelines(inst) {
                    1
                } else {
                    2
                }
            }
            Class::Store if self.costs.write_back_waits && self.writes_back_behind_load(inst) => 2,
            // A store waits in the buffer unless its address takes an addition of registers (3.3.3).
            Class::Store if !has_index(inst) || self.pipelines(inst) => 1,
            Class::Store => 2,
            Class::LoadMultiple | Class::StoreMultiple => 1 + transfers,
            Class::FloatLoad | Class::FloatStore => 2,
            Class::FloatLoadMultiple | Class::FloatStoreMultiple => 1 + transfers,
            Class::LoadReturn => 1 + transfers + REFILL,
            Class::Branch | Class::Call | Class::Return => 1 + REFILL,
            Class::Div => DIVISION,
            Class::Mac => self.costs.mac,
            Class::LongMul => self.costs.long_mul,
            Class::LongMac => self.costs.long_mac,
            // Folded into a 16-bit instruction before it (table 3-1, note on IT).
            Class::It if self.before.is_some_and(|before| before.size() == 2) => 0,
            Class::It
            | Class::BranchIf
            | Class::Add
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
            | Class::System
            | Class::FloatMove
            | Class::FloatToCore => 1,
        };
        cycles + u64::from(self.address_is_fresh(inst))
    }

    /// Whether a load or an indexed store overlaps with the load before it: not if that load made the
    /// address, or if both write the same base back. The latter was measured by others
    /// (github.com/jnk0le/random).
    fn pipelines(&self, inst: &Inst) -> bool {
        let Some(before) = self.before.filter(|before| before.class() == Class::Load) else { return false };
        let same_base = self.costs.write_back_waits || inst.updated_base() == before.updated_base();
        let waits = inst.class() == Class::Load && inst.updated_base().is_some() && same_base;
        !waits && !before.transferred().any(|reg| reads_at_address(inst, reg))
    }

    fn writes_back_behind_load(&self, inst: &Inst) -> bool {
        inst.updated_base().is_some() && self.before.is_some_and(|before| before.class() == Class::Load)
    }

    /// Whether data processing just before computed a register of the address (3.3.3).
    fn address_is_fresh(&self, inst: &Inst) -> bool {
        self.before.is_some_and(|before| {
            is_data_processing(before.class()) && before.defs().any(|reg| reads_at_address(inst, reg))
        })
    }
}

/// Ticks that a load takes longer on the mean because it is not aligned: it is cut at the places where it would
/// be (3.3.3). The parts of a store go through the buffer.
fn unaligned_cost(inst: &Inst, address: &Address) -> u64 {
    let bytes = inst.mem().map_or(0, |mem| mem.bytes);
    if inst.class() != Class::Load || bytes < 2 || address.is_multiple(bytes.into()) {
        return 0;
    }
    let odd = address.share_with_rest(1, 2);
    let further = if bytes == 4 { address.share_with_rest(2, 4) + 2.0 * odd } else { odd };
    (TICKS as f64 * further).round() as u64
}

fn reads_at_address(inst: &Inst, reg: Reg) -> bool {
    inst.address().any(|read| read == reg)
}

fn has_index(inst: &Inst) -> bool {
    inst.mem().is_some_and(|mem| mem.addressing == Addressing::Reg)
}

fn is_branch(class: Class) -> bool {
    matches!(class, Class::Branch | Class::BranchIf | Class::Call | Class::Return | Class::LoadReturn)
}

fn is_data_processing(class: Class) -> bool {
    matches!(
        class,
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
            | Class::Div
    )
}
