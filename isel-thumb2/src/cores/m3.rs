//! Cortex-M3: the pipeline of the Cortex-M4 without the DSP extension and without an FPU.
//!
//! Sources: Cortex-M3 Technical Reference Manual r2p1 (DDI 0337), table 3-1 for cycles of instructions and section 3.3.2
//! for loads and stores; that write-back keeps a load or store from overlapping was measured by others
//! (github.com/jnk0le/random, "pipeline cycle test"). Where the manual gives a range, this file takes its end.

use super::m4::{Costs, Pipeline, REFILL};
use super::{Core, Machine};
use crate::isa::Extension;
use crate::object::Architecture;
use crate::schedule::Style;

/// The Cortex-M3.
pub struct CortexM3;

impl Core for CortexM3 {
    fn name(&self) -> &'static str {
        "cortex-m3"
    }

    fn has(&self, extension: Extension) -> bool {
        match extension {
            Extension::Base => true,
            Extension::Dsp | Extension::Fpu => false,
        }
    }

    fn architecture(&self) -> Architecture {
        Architecture::V7M
    }

    fn style(&self) -> Style {
        Style::Grouped
    }

    fn machine(&self) -> Box<dyn Machine> {
        Box::new(Pipeline::new(&COSTS))
    }

    fn branch_penalty(&self, taken: u64, _not_taken: u64) -> u64 {
        taken * REFILL
    }
}

/// MLA takes 2 cycles, SMULL 3 to 5, SMLAL 4 to 7: longer the more bits of an operand are significant.
const COSTS: Costs = Costs { mac: 2, long_mul: 5, long_mac: 7, write_back_waits: true };
