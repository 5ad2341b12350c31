//! The cores that code is made for: which extensions they have, and how long instructions take on them.
//!
//! A core's timing is a machine with a state, because what an instruction costs depends on its neighbours.
//! One machine serves instruction scheduling, prediction and report. All memory is taken to have no wait
//! states; caches and interrupts are left out.

pub mod address;
pub mod function;
pub mod m3;
pub mod m33;
pub mod m4;
pub mod m7;

pub use address::{Address, Term};
pub use function::{Edge, TimedBlock, TimedFunction, function_cycles, loop_cycles};

use crate::isa::{Extension, Inst};
use crate::object::Architecture;
use crate::schedule::Style;

/// A core.
pub trait Core: Sync {
    /// As `--cpu` takes it.
    fn name(&self) -> &'static str;

    /// Whether the core runs instructions of an extension.
    fn has(&self, extension: Extension) -> bool;

    /// What orders of instructions should strive for.
    fn style(&self) -> Style;

    /// The architecture, without the extensions.
    fn architecture(&self) -> Architecture;

    /// A timing machine at rest: nothing is known of what came before.
    fn machine(&self) -> Box<dyn Machine>;

    /// Cycles of all executions of one conditional branch that [`Machine::issue`] leaves out, since it does
    /// not know which way the branch goes.
    fn branch_penalty(&self, taken: u64, not_taken: u64) -> u64;
}

/// A core in the course of running instructions with real registers.
pub trait Machine {
    /// Runs one more instruction, an access at an address if it is known. Branches that are always taken are
    /// taken, conditional ones are not.
    fn issue(&mut self, inst: &Inst, address: Option<&Address>);

    /// Tells that the conditional branch issued last was taken.
    fn branch_taken(&mut self);

    /// Time since the start in parts of a cycle, [`TICKS`] to each.
    fn ticks(&self) -> u64;

    /// What decides how long the same instructions take again that were just run, apart from themselves: where two runs of them in a row
    /// leave the same, all further runs take as long as the last.
    fn mark(&self) -> Vec<i64>;

    /// A copy, to try what comes next.
    fn fork(&self) -> Box<dyn Machine>;
}

/// Parts of a cycle that time is counted in: what happens in some executions only counts with its share.
/// So many that their rounding does not add up to a cycle.
pub const TICKS: u64 = 1 << 20;

/// Every core, a row each.
pub const CORES: &[&dyn Core] = &[&m3::CortexM3, &m4::CortexM4, &m7::CortexM7, &m33::CortexM33];

/// The core that `--cpu` names.
pub fn by_name(name: &str) -> Option<&'static dyn Core> {
    CORES.iter().copied().find(|core| core.name() == name)
}

/// Cycles of instructions in a row, nothing known of what came before; half a cycle is rounded up.
pub fn straight_line_cycles(core: &dyn Core, insts: &[Inst]) -> u64 {
    let mut machine = core.machine();
    insts.iter().for_each(|inst| machine.issue(inst, None));
    whole_cycles(machine.ticks())
}

/// The nearest number of cycles; half a cycle is rounded up.
fn whole_cycles(ticks: u64) -> u64 {
    (ticks + TICKS / 2) / TICKS
}
