//! From virtual registers to real ones: an allocator is a trait, and regalloc2's checker verifies each.
//!
//! What does not fit into r0 to r12 and lr waits in S registers where the core has them, then on the stack.

mod belady;
mod moves;
mod next_use;
mod rewrite;
mod slots;
mod view;

use std::fmt;
use std::sync::Arc;

use regalloc2::{MachineEnv, Output, PReg, PRegSet, RegClass as RaClass, RegallocOptions};

use crate::isa::imm::Cond;
use crate::isa::{Inst, Reg};
use crate::memory::Touched;
use crate::mir::{Function, Reloc, Word};
pub use belady::Belady;
use rewrite::rewrite;
pub use view::View;

/// Assigns registers to a function.
pub trait Allocator {
    /// Where each operand of `view` is, and the moves between.
    fn allocate(&self, view: &View) -> Result<Output, Failure>;

    /// The same without what is only for speed, for functions where the checker finds the first answer wrong; `None` where
    /// there is no such way.
    fn allocate_plainly(&self, _view: &View) -> Option<Result<Output, Failure>> {
        None
    }
}

/// Why there is no assignment: a mistake of the compiler.
#[derive(Debug)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "register allocation failed: {}", self.0)
    }
}

/// regalloc2's backtracking allocator: good for code that is not at full register pressure.
pub struct Regalloc2;

/// A function on real registers.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// Blocks in layout order, ids as in the function that it was made from.
    pub blocks: Vec<AssignedBlock>,
    /// Words that live outside of the core registers at one time or another.
    pub slots: u32,
    /// What it loads from its table, as in the function that it was made from.
    pub parameters: Vec<Vec<Word>>,
}

/// A block on real registers.
#[derive(Clone, Debug)]
pub struct AssignedBlock {
    /// What happens, moves of the allocator included.
    pub code: Vec<Coded>,
    /// Where it goes on.
    pub end: AssignedEnd,
    /// How often it runs in one call.
    pub count: u64,
}

/// An instruction with what belongs to it.
#[derive(Clone, Debug)]
pub struct Coded {
    /// The instruction.
    pub inst: Inst,
    /// Completed by the linker.
    pub reloc: Option<Reloc>,
    /// What it touches; nothing here for the function's own frame.
    pub touched: Option<Arc<Touched>>,
    /// The statement that it stems from, by pre-order number.
    pub stmt: u32,
}

/// The end of a block on real registers; blocks by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssignedEnd {
    /// Goes on at a block.
    Jump(u32),
    /// To the first block while the condition holds, else to the second.
    Branch(Cond, u32, u32),
    /// Back to the caller.
    Return,
}

/// Gives values a home outside of the core registers.
pub trait Spill {
    /// Stores a core register.
    fn store(&self, from: Reg, slot: u32) -> Inst;
    /// Loads a core register.
    fn load(&self, to: Reg, slot: u32) -> Inst;
    /// How many slots it has.
    fn most_slots(&self) -> u32;
}

/// Whether an allocation is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Every use is seen to get the value that it names.
    Full,
    /// Nothing is: for code of which only the price is of interest.
    Off,
}

/// Allocates, checks the result, and rewrites the function with it.
///
/// What the checker refuses is allocated again, first without what is only for speed, then by [`Regalloc2`]. `None` where that needs more
/// slots than there are.
pub fn assign(
    function: &Function,
    allocator: &dyn Allocator,
    spill: &dyn Spill,
    check: Check,
) -> Result<Option<Assigned>, Failure> {
    let view = View::new(function);
    let checked = |output| if check == Check::Full { checked(&view, output) } else { output };
    let output = checked(allocator.allocate(&view))
        .or_else(|failure| checked(allocator.allocate_plainly(&view).unwrap_or(Err(failure))))
        .or_else(|_| checked(Regalloc2.allocate(&view)))?;
    let fits = output.num_spillslots <= spill.most_slots() as usize;
    Ok(fits.then(|| rewrite(function, &view, &output, spill)))
}

/// The same assignment, after every use has been seen to get the value that it names.
fn checked(view: &View, output: Result<Output, Failure>) -> Result<Output, Failure> {
    let output = output?;
    let environment = environment();
    let mut checker = regalloc2::checker::Checker::new(view, &environment);
    checker.prepare(&output);
    checker.run().map_err(|errors| Failure(format!("{errors:?}")))?;
    Ok(output)
}

impl Allocator for Regalloc2 {
    fn allocate(&self, view: &View) -> Result<Output, Failure> {
        let options = RegallocOptions {
            verbose_log: false,
            validate_ssa: cfg!(debug_assertions),
            ..Default::default()
        };
        regalloc2::run(view, &environment(), &options).map_err(|error| Failure(format!("{error:?}")))
    }
}

/// r0 to r12 and lr; the low ones first, since they have 16-bit forms and the first four cost no save.
fn environment() -> MachineEnv {
    let core = |n: usize| PReg::new(n, RaClass::Int);
    let set = |regs: &[usize]| regs.iter().fold(PRegSet::empty(), |set, n| set.with(core(*n)));
    MachineEnv {
        preferred_regs_by_class: [set(&[0, 1, 2, 3, 12]), PRegSet::empty(), PRegSet::empty()],
        non_preferred_regs_by_class: [
            set(&[4, 5, 6, 7, 8, 9, 10, 11, 14]),
            PRegSet::empty(),
            PRegSet::empty(),
        ],
        scratch_by_class: [None, None, None],
        fixed_stack_slots: Vec::new(),
    }
}
