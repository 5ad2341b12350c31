//! A function as regalloc2 and its checker see it: one instruction for each group, and one for the end of each block.

use std::collections::BTreeSet;

use regalloc2::{
    Block, Inst as RaInst, InstRange, Operand, OperandConstraint, OperandKind, OperandPos, PReg, PRegSet,
    RegClass as RaClass, VReg,
};

use crate::isa::Reg;
use crate::mir::{End, Function, Group};

/// The view of a function.
pub struct View {
    pub(super) blocks: Vec<ViewBlock>,
    pub(super) operands: Vec<Vec<Operand>>,
    pub(super) ends: Vec<Option<u32>>,
    pub(super) ends_in_return: Vec<bool>,
    pub(super) n_regs: usize,
    /// Registers whose values wait elsewhere between uses that are not close together.
    pub(super) parked: BTreeSet<usize>,
}

pub(super) struct ViewBlock {
    pub(super) insts: InstRange,
    pub(super) successors: Vec<Block>,
    pub(super) predecessors: Vec<Block>,
    pub(super) params: Vec<VReg>,
    pub(super) args: Vec<VReg>,
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
            parked: function.parked.iter().map(|reg| reg.number() as usize).collect(),
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
