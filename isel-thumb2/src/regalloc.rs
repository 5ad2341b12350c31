//! From virtual registers to real ones: an allocator is a trait, and regalloc2's checker verifies each.
//!
//! What does not fit into r0 to r12 and lr waits in S registers where the core has them, then on the stack.

use std::fmt;

use regalloc2::{
    Allocation, Block, Edit, Inst as RaInst, InstOrEdit, InstRange, MachineEnv, Operand, OperandConstraint,
    OperandKind, OperandPos, Output, PReg, PRegSet, RegClass as RaClass, RegallocOptions, VReg,
};

use crate::isa::imm::Cond;
use crate::isa::{Inst, Reg, ops};
use crate::mir::{End, Function, Group, Reloc};

/// Assigns registers to a function.
pub trait Allocator {
    /// Where each operand of `view` is, and the moves between.
    fn allocate(&self, view: &View) -> Result<Output, Failure>;
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
#[derive(Clone, Copy, Debug)]
pub struct Coded {
    /// The instruction.
    pub inst: Inst,
    /// Completed by the linker.
    pub reloc: Option<Reloc>,
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
}

/// Allocates, checks the result, and rewrites the function with it.
pub fn assign(
    function: &Function,
    allocator: &dyn Allocator,
    spill: &dyn Spill,
) -> Result<Assigned, Failure> {
    let view = View::new(function);
    let output = allocator.allocate(&view)?;
    let environment = environment();
    let mut checker = regalloc2::checker::Checker::new(&view, &environment);
    checker.prepare(&output);
    checker.run().map_err(|errors| Failure(format!("{errors:?}")))?;
    Ok(rewrite(function, &view, &output, spill))
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

/// A function as regalloc2 sees it: one instruction for each group, and one for the end of each block.
pub struct View {
    blocks: Vec<ViewBlock>,
    operands: Vec<Vec<Operand>>,
    ends: Vec<Option<u32>>,
    ends_in_return: Vec<bool>,
    n_regs: usize,
}

struct ViewBlock {
    insts: InstRange,
    successors: Vec<Block>,
    predecessors: Vec<Block>,
    params: Vec<VReg>,
    args: Vec<VReg>,
}

impl View {
    /// The view of a function.
    pub fn new(function: &Function) -> Self {
        let mut view = View {
            blocks: Vec::new(),
            operands: Vec::new(),
            ends: Vec::new(),
            ends_in_return: Vec::new(),
            n_regs: function.n_regs as usize,
        };
        for (idx, block) in function.blocks.iter().enumerate() {
            let first = view.operands.len();
            for group in &block.groups {
                view.push(operands(group), None, false);
            }
            view.push(Vec::new(), Some(idx as u32), matches!(block.end, End::Return));
            let args = match &block.end {
                End::Jump(_, args) => args.iter().map(|reg| vreg(*reg)).collect(),
                _ => Vec::new(),
            };
            view.blocks.push(ViewBlock {
                insts: InstRange::new(RaInst::new(first), RaInst::new(view.operands.len())),
                successors: block.end.successors().iter().map(|to| Block::new(to.idx())).collect(),
                predecessors: Vec::new(),
                params: block.params.iter().map(|reg| vreg(*reg)).collect(),
                args,
            });
        }
        for from in 0..view.blocks.len() {
            for to in view.blocks[from].successors.clone() {
                view.blocks[to.index()].predecessors.push(Block::new(from));
            }
        }
        view
    }

    fn push(&mut self, operands: Vec<Operand>, end: Option<u32>, ret: bool) {
        self.operands.push(operands);
        self.ends.push(end);
        self.ends_in_return.push(ret);
    }
}

fn vreg(reg: Reg) -> VReg {
    debug_assert!(reg.is_virtual(), "code before allocation is on virtual registers");
    VReg::new(reg.number() as usize, RaClass::Int)
}

/// The operands of a group: what it reads, then what it writes.
///
/// In a group of several instructions nothing written may share a register with anything read.
fn operands(group: &Group) -> Vec<Operand> {
    let (uses, defs) = group.operands();
    let ties = group.all_ties();
    let end_of_use = if group.insts.len() > 1 { OperandPos::Late } else { OperandPos::Early };
    let fixed = |reg: &Reg| group.fixed.iter().find(|(have, _)| have == reg).map(|(_, real)| preg(*real));
    let mut operands = Vec::new();
    for reg in &uses {
        let tied = ties.iter().any(|(_, old)| old == reg);
        let constraint = fixed(reg).map_or(OperandConstraint::Reg, OperandConstraint::FixedReg);
        let pos = if tied { OperandPos::Early } else { end_of_use };
        operands.push(Operand::new(vreg(*reg), constraint, OperandKind::Use, pos));
    }
    for reg in &defs {
        let tie = ties.iter().find(|(new, _)| new == reg);
        let constraint = match (tie, fixed(reg)) {
            (Some((_, old)), _) => {
                let at = uses.iter().position(|have| have == old).expect("a tied register is read");
                OperandConstraint::Reuse(at)
            }
            (None, Some(real)) => OperandConstraint::FixedReg(real),
            (None, None) => OperandConstraint::Reg,
        };
        operands.push(Operand::new(vreg(*reg), constraint, OperandKind::Def, OperandPos::Late));
    }
    operands
}

fn preg(reg: Reg) -> PReg {
    PReg::new(reg.number() as usize, RaClass::Int)
}

impl regalloc2::Function for View {
    fn num_insts(&self) -> usize {
        self.operands.len()
    }

    fn num_blocks(&self) -> usize {
        self.blocks.len()
    }

    fn entry_block(&self) -> Block {
        Block::new(0)
    }

    fn block_insns(&self, block: Block) -> InstRange {
        self.blocks[block.index()].insts
    }

    fn block_succs(&self, block: Block) -> &[Block] {
        &self.blocks[block.index()].successors
    }

    fn block_preds(&self, block: Block) -> &[Block] {
        &self.blocks[block.index()].predecessors
    }

    fn block_params(&self, block: Block) -> &[VReg] {
        &self.blocks[block.index()].params
    }

    fn is_ret(&self, inst: RaInst) -> bool {
        self.ends_in_return[inst.index()]
    }

    fn is_branch(&self, inst: RaInst) -> bool {
        self.ends[inst.index()].is_some() && !self.ends_in_return[inst.index()]
    }

    fn branch_blockparams(&self, block: Block, _: RaInst, _: usize) -> &[VReg] {
        &self.blocks[block.index()].args
    }

    fn inst_operands(&self, inst: RaInst) -> &[Operand] {
        &self.operands[inst.index()]
    }

    fn inst_clobbers(&self, _: RaInst) -> PRegSet {
        PRegSet::empty()
    }

    fn num_vregs(&self) -> usize {
        self.n_regs
    }

    fn spillslot_size(&self, _: RaClass) -> usize {
        1
    }
}

fn rewrite(function: &Function, view: &View, output: &Output, spill: &dyn Spill) -> Assigned {
    let mut blocks = Vec::new();
    for (idx, block) in function.blocks.iter().enumerate() {
        let range = view.blocks[idx].insts;
        let first = range.first().index();
        let mut code = Vec::new();
        let mut stmt = block.groups.first().map_or(0, |group| group.stmt);
        for item in output.block_insts_and_edits(view, Block::new(idx)) {
            match item {
                InstOrEdit::Edit(Edit::Move { from, to }) => {
                    code.push(Coded { inst: move_between(*from, *to, spill), reloc: None, stmt });
                }
                InstOrEdit::Inst(inst) => {
                    if let Some(group) = block.groups.get(inst.index() - first) {
                        stmt = group.stmt;
                        code.extend(rewrite_group(group, output.inst_allocs(inst)));
                    }
                }
            }
        }
        blocks.push(AssignedBlock { code, end: rewrite_end(&block.end), count: block.count });
    }
    Assigned { blocks, slots: output.num_spillslots as u32 }
}

fn rewrite_group(group: &Group, allocations: &[Allocation]) -> Vec<Coded> {
    let (uses, defs) = group.operands();
    let of = |reg: Reg| {
        if !reg.is_virtual() {
            return reg;
        }
        let def = defs.iter().position(|have| *have == reg).map(|at| at + uses.len());
        let at =
            def.or_else(|| uses.iter().position(|have| *have == reg)).expect("every register is an operand");
        real(allocations[at])
    };
    let coded = |inst: &Inst| Coded { inst: inst.map_regs(of), reloc: group.reloc, stmt: group.stmt };
    group.insts.iter().map(coded).collect()
}

fn rewrite_end(end: &End) -> AssignedEnd {
    match end {
        End::Jump(to, _) => AssignedEnd::Jump(to.0),
        End::Branch(cond, taken, other) => AssignedEnd::Branch(*cond, taken.0, other.0),
        End::Return => AssignedEnd::Return,
    }
}

fn real(allocation: Allocation) -> Reg {
    Reg::core(allocation.as_reg().expect("operands are in registers").hw_enc() as u32)
}

fn move_between(from: Allocation, to: Allocation, spill: &dyn Spill) -> Inst {
    let slot = |at: Allocation| at.as_stack().expect("an allocation is a register or a slot").index() as u32;
    match (from.as_reg(), to.as_reg()) {
        (Some(_), Some(_)) => ops::mov(real(to), real(from)),
        (Some(_), None) => spill.store(real(from), slot(to)),
        (None, Some(_)) => spill.load(real(to), slot(from)),
        (None, None) => unreachable!("regalloc2 moves between slots through a register"),
    }
}
