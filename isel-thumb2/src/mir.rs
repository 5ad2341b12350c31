//! Machine code before registers are assigned: blocks of instructions on virtual registers, in SSA form.
//!
//! A virtual register is defined once: by an instruction, or as a parameter of its block, whose value each jump to the
//! block passes. An instruction that changes a register in place (`movt`, `smlal`, write-back) defines a new one that is
//! tied to the old one. A group is several instructions that stay together, such as a comparison with the conditional
//! move behind it: nothing may come between them.

use std::collections::BTreeSet;
use std::sync::Arc;

use ir::loops::BufferId;

use crate::isa::imm::Cond;
use crate::isa::{Inst, Reg};
use crate::memory::{Touched, Transfer};

/// A block of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockId(pub u32);

impl BlockId {
    /// Its position in the function.
    pub fn idx(self) -> usize {
        self.0 as usize
    }
}

/// A function; its first block is the entry.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// Blocks in the order in which they are laid out.
    pub blocks: Vec<Block>,
    /// Number of virtual registers.
    pub n_regs: u32,
    /// Those that wait outside of the core registers between uses that are not close together. Code is right without them.
    pub parked: BTreeSet<Reg>,
    /// What it loads from its table, by position and then by member of the group that shares it; nothing for one nest.
    pub parameters: Vec<Vec<Word>>,
    /// How often each block runs, by block and then by member; nothing for one nest.
    pub counts: Vec<Vec<u64>>,
}

/// A word of the table that a member of a group calls the shared code with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// A number, modulo 2^32.
    Number(i64),
    /// The address of a constant of the member's nest, and bytes that are added to it.
    Constant(BufferId, i64),
}

/// A run of groups with one way in and one end.
#[derive(Clone, Debug)]
pub struct Block {
    /// Registers that hold what the jumps to this block pass.
    pub params: Vec<Reg>,
    /// What happens.
    pub groups: Vec<Group>,
    /// Where it goes on.
    pub end: End,
    /// How often it runs in one call of the function; for a group, in one call by each member.
    pub count: u64,
}

/// Instructions that stay together.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// One, or a few that nothing may separate; none where `fixed` names what is there already.
    pub insts: Vec<Inst>,
    /// `(new, old)`: `new` is written over `old`, beside what the rows of the instructions say.
    pub ties: Vec<(Reg, Reg)>,
    /// Registers that must be these: for register lists, and what a function is called with (no instruction).
    pub fixed: Vec<(Reg, Reg)>,
    /// Completed by the linker: the address of a constant, for `movw` and `movt`.
    pub reloc: Option<Reloc>,
    /// What its load or store touches.
    pub touched: Option<Arc<Touched>>,
    /// The statement of the nest that it stems from, by pre-order number.
    pub stmt: u32,
}

/// Half of the address of a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloc {
    /// Which constant of the nest.
    pub buffer: BufferId,
    /// Added to its address, in bytes.
    pub addend: i16,
    /// Whether it is the high half.
    pub high: bool,
}

/// The end of a block.
#[derive(Clone, Debug)]
pub enum End {
    /// Goes on at a block, with a value for each of its parameters.
    Jump(BlockId, Vec<Reg>),
    /// Goes to the first block while the condition holds, else to the second; neither has parameters.
    Branch(Cond, BlockId, BlockId),
    /// Back to the caller.
    Return,
}

impl Function {
    /// A new virtual register.
    pub fn new_reg(&mut self) -> Reg {
        self.n_regs += 1;
        Reg::virt(self.n_regs - 1)
    }

    /// The position in its table of a parameter with these words, by member.
    pub fn parameter(&mut self, words: Vec<Word>) -> usize {
        let known = self.parameters.iter().position(|have| *have == words);
        known.unwrap_or_else(|| {
            self.parameters.push(words);
            self.parameters.len() - 1
        })
    }

    /// The constants whose addresses it takes, each once.
    pub fn constants(&self) -> Vec<BufferId> {
        let groups = self.blocks.iter().flat_map(|block| &block.groups);
        let mut constants: Vec<BufferId> =
            groups.filter_map(|group| group.reloc).map(|reloc| reloc.buffer).collect();
        constants.sort_unstable();
        constants.dedup();
        constants
    }

    /// A new block at the end, which runs `count` times.
    pub fn new_block(&mut self, count: u64) -> BlockId {
        self.blocks.push(Block { params: Vec::new(), groups: Vec::new(), end: End::Return, count });
        BlockId(self.blocks.len() as u32 - 1)
    }
}

impl End {
    /// The blocks where it may go on.
    pub fn successors(&self) -> Vec<BlockId> {
        match self {
            End::Jump(to, _) => vec![*to],
            End::Branch(_, taken, other) => vec![*taken, *other],
            End::Return => Vec::new(),
        }
    }
}

impl Group {
    /// Its load or store, if it has one.
    pub fn transfer(&self) -> Option<Transfer<'_>> {
        Transfer::of(&self.insts, self.touched.as_deref())
    }

    /// A group of one instruction.
    pub fn one(inst: Inst, stmt: u32) -> Self {
        Self { insts: vec![inst], stmt, ..Self::default() }
    }

    /// No instruction: what `reg` holds on entry in the real register `at`.
    pub fn given(reg: Reg, at: Reg) -> Self {
        Self { fixed: vec![(reg, at)], ..Self::default() }
    }

    /// Virtual registers that it reads from outside, and those that it writes, each once.
    pub fn operands(&self) -> (Vec<Reg>, Vec<Reg>) {
        if self.insts.is_empty() {
            return (Vec::new(), self.fixed.iter().map(|(reg, _)| *reg).collect());
        }
        let (mut uses, mut defs) = (Vec::new(), Vec::new());
        for inst in &self.insts {
            let from_outside = |reg: &Reg| reg.is_virtual() && !defs.contains(reg);
            inst.uses().filter(from_outside).for_each(|reg| insert(&mut uses, reg));
            inst.defs().filter(|reg| reg.is_virtual()).for_each(|reg| insert(&mut defs, reg));
        }
        self.ties.iter().for_each(|(_, old)| insert(&mut uses, *old));
        (uses, defs)
    }

    /// The same group on other registers.
    pub fn map_regs(&self, of: impl Fn(Reg) -> Reg) -> Group {
        Group {
            insts: self.insts.iter().map(|inst| inst.map_regs(&of)).collect(),
            ties: self.ties.iter().map(|(new, old)| (of(*new), of(*old))).collect(),
            fixed: self.fixed.iter().map(|(reg, at)| (of(*reg), *at)).collect(),
            ..self.clone()
        }
    }

    /// `(new, old)` of every register that is written over another.
    pub fn all_ties(&self) -> Vec<(Reg, Reg)> {
        let of = |inst: &Inst| -> Vec<(Reg, Reg)> {
            inst.ties().map(|(new, old)| (inst.regs()[new], inst.regs()[old])).collect()
        };
        self.insts.iter().flat_map(of).chain(self.ties.iter().copied()).collect()
    }
}

fn insert(set: &mut Vec<Reg>, reg: Reg) {
    if !set.contains(&reg) {
        set.push(reg);
    }
}
