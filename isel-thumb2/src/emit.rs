//! From blocks on real registers to bytes: layout, branches, 16-bit forms, and how often each edge is taken.

use std::sync::Arc;

use ir::loops::BufferId;

use crate::cores::{Core, Edge, TimedBlock, TimedFunction, function_cycles};
use crate::frame::{Frame, Home, plain};
use crate::isa::imm::Cond;
use crate::isa::{Inst, narrow};
use crate::memory::{Counters, Touched};
use crate::object::{FunctionCode, LineRow, Reloc, RelocKind};
use crate::regalloc::{Assigned, AssignedEnd, Coded};
use crate::select::asm;

/// A function as it goes into the object, and as its core times it.
#[derive(Clone, Debug)]
pub struct Emitted {
    /// Bytes, relocations and lines.
    pub code: FunctionCode,
    /// The same instructions with the counts of their blocks and edges.
    pub timed: Timed,
    /// Bytes of stack below the caller's.
    pub stack_bytes: u32,
    /// Whether it touches S registers.
    pub uses_fpu: bool,
    /// The constants that it reads; of those that lie together the first.
    pub constants: Vec<BufferId>,
}

/// The instructions of a function with the counts of its blocks and edges.
#[derive(Clone, Debug, Default)]
pub struct Timed {
    /// Blocks in layout order.
    pub blocks: Vec<CountedBlock>,
    /// How often control passes from one block to another.
    pub edges: Vec<Edge>,
}

/// A block with its executions in one call.
#[derive(Clone, Debug, Default)]
pub struct CountedBlock {
    /// The instructions, branches included.
    pub insts: Vec<Inst>,
    /// What loads and stores touch, by position in `insts`; those of the function's own frame are left out.
    pub touched: Vec<(usize, Arc<Touched>)>,
    /// How often it runs.
    pub count: u64,
}

impl Emitted {
    /// Predicted cycles of one call, functions that it calls not included.
    pub fn cycles(&self, core: &dyn Core) -> u64 {
        self.timed.cycles(core)
    }

    /// Loads and stores of one call, functions that it calls not included.
    pub fn memory(&self) -> Counters {
        let mut counters = Counters::default();
        for block in &self.timed.blocks {
            for (inst, touched) in block.timed().steps() {
                counters.add(inst, touched, block.count);
            }
        }
        counters
    }
}

impl Timed {
    fn cycles(&self, core: &dyn Core) -> u64 {
        let blocks = self.blocks.iter().map(CountedBlock::timed).collect();
        function_cycles(core, &TimedFunction { blocks, edges: self.edges.clone() })
    }
}

impl CountedBlock {
    fn timed(&self) -> TimedBlock<'_> {
        TimedBlock { insts: &self.insts, touched: &self.touched, count: self.count }
    }
}

/// The names that a function refers to.
pub struct Names<'a> {
    /// Its own symbol.
    pub symbol: String,
    /// The symbol of a constant.
    pub constant: &'a dyn Fn(BufferId) -> String,
    /// The line of a statement in the listing, by pre-order number.
    pub line: &'a dyn Fn(u32) -> u32,
}

/// Emits a function.
pub fn emit(assigned: &Assigned, home: Home, names: &Names) -> Emitted {
    let Layout { frame, blocks, starts, size } = Layout::new(assigned, home);
    Emitted {
        code: code(&blocks, &starts, size, &frame, names),
        stack_bytes: frame.bytes(),
        uses_fpu: insts(assigned).any(|inst| inst.regs().iter().any(|reg| reg.is_s())),
        constants: constants(&blocks),
        timed: timed(blocks, &starts),
    }
}

/// What [`emit`] gives would cost: predicted cycles of one call, and bytes of code.
pub fn price(assigned: &Assigned, home: Home, core: &dyn Core) -> (u64, usize) {
    let Layout { blocks, starts, size, .. } = Layout::new(assigned, home);
    (timed(blocks, &starts).cycles(core), size as usize)
}

fn insts(assigned: &Assigned) -> impl Iterator<Item = Inst> {
    assigned.blocks.iter().flat_map(|block| block.code.iter().map(|coded| coded.inst))
}

/// A function whose instructions have their final forms and places.
struct Layout {
    frame: Frame,
    blocks: Vec<Placed>,
    /// By block, its offset.
    starts: Vec<u32>,
    size: u32,
}

impl Layout {
    fn new(assigned: &Assigned, home: Home) -> Self {
        let frame = Frame::new(insts(assigned), assigned.slots, home, false);
        let mut blocks = lay_out(assigned, &frame);
        blocks.iter_mut().for_each(use_short_forms);
        let (starts, size) = place(&mut blocks);
        Self { frame, blocks, starts, size }
    }
}

/// A block in its final place; other blocks are named by position.
struct Placed {
    code: Vec<Coded>,
    branches: Vec<Branch>,
    /// Whether the block behind it is entered without a branch.
    falls_through: bool,
    count: u64,
}

/// A branch at the end of a block.
struct Branch {
    cond: Cond,
    to: usize,
    taken: u64,
    wide: bool,
}

/// Blocks without code vanish, and a block goes on at the one behind it without a branch where it can.
fn lay_out(assigned: &Assigned, frame: &Frame) -> Vec<Placed> {
    let target = |block: u32| thread(assigned, block);
    let mut order: Vec<u32> = Vec::new();
    for block in 0..assigned.blocks.len() as u32 {
        if block == 0 || target(block) == block {
            order.push(block);
        }
    }
    let position = |block: u32| {
        order.iter().position(|have| *have == target(block)).expect("a jump ends at a block with code")
    };
    let mut placed = Vec::new();
    for (at, id) in order.iter().enumerate() {
        let block = &assigned.blocks[*id as usize];
        let mut code = if at == 0 { plain(frame.prologue(), 0) } else { Vec::new() };
        code.extend(block.code.iter().cloned());
        let mut branches = Vec::new();
        let always = |to: usize, taken: u64| Branch { cond: Cond::Al, to, taken, wide: false };
        match block.end {
            AssignedEnd::Return => {
                let stmt = code.last().map_or(0, |coded| coded.stmt);
                code.extend(plain(frame.epilogue(), stmt));
            }
            AssignedEnd::Jump(to) if position(to) == at + 1 => {}
            AssignedEnd::Jump(to) => branches.push(always(position(to), block.count)),
            AssignedEnd::Branch(cond, yes, no) => {
                let count = |to: u32| assigned.blocks[to as usize].count;
                let (yes_count, no_count) = (count(yes), count(no));
                let (yes, no) = (position(yes), position(no));
                if yes == at + 1 {
                    branches.push(Branch { cond: cond.negated(), to: no, taken: no_count, wide: false });
                } else {
                    branches.push(Branch { cond, to: yes, taken: yes_count, wide: false });
                    assert_eq!(no, at + 1, "the way out of a loop lies behind it");
                }
            }
        }
        let stops =
            block.end == AssignedEnd::Return || branches.last().is_some_and(|branch| branch.cond == Cond::Al);
        placed.push(Placed { code, branches, falls_through: !stops, count: block.count });
    }
    placed
}

/// The block where a jump to `block` really ends.
fn thread(assigned: &Assigned, mut block: u32) -> u32 {
    for _ in 0..assigned.blocks.len() {
        let at = &assigned.blocks[block as usize];
        match at.end {
            AssignedEnd::Jump(to) if at.code.is_empty() => block = to,
            _ => break,
        }
    }
    block
}

/// Takes 16-bit forms where they do the same; flags may change where nothing reads them.
fn use_short_forms(block: &mut Placed) {
    let mut read_later = block.branches.iter().any(|branch| branch.cond != Cond::Al);
    for coded in block.code.iter_mut().rev() {
        if coded.reloc.is_none()
            && let Some(short) = narrow(&coded.inst, !read_later)
        {
            coded.inst = short;
        }
        let effects = coded.inst.effects();
        read_later = effects.reads_flags || read_later && !effects.sets_flags;
    }
}

/// Finds where each block starts; branches become wide until all reach.
fn place(blocks: &mut [Placed]) -> (Vec<u32>, u32) {
    loop {
        let mut starts = Vec::new();
        let mut at = 0;
        for block in blocks.iter() {
            starts.push(at);
            at += block.code.iter().map(|coded| coded.inst.size() as u32).sum::<u32>();
            at += block.branches.iter().map(|branch| if branch.wide { 4 } else { 2 }).sum::<u32>();
        }
        let mut grown = false;
        for (idx, block) in blocks.iter_mut().enumerate() {
            let mut from = starts[idx] + block.code.iter().map(|coded| coded.inst.size() as u32).sum::<u32>();
            for branch in &mut block.branches {
                if !branch.wide && encode_branch(branch, from, &starts).is_none() {
                    branch.wide = true;
                    grown = true;
                }
                from += if branch.wide { 4 } else { 2 };
            }
        }
        if !grown {
            return (starts, at);
        }
    }
}

fn encode_branch(branch: &Branch, from: u32, starts: &[u32]) -> Option<Inst> {
    let offset = i64::from(starts[branch.to]) - i64::from(from) - 4;
    asm::branch(branch.cond, offset, branch.wide)
}

/// The branches of a block as instructions.
fn branches(block: &Placed, from: u32, starts: &[u32]) -> Vec<Inst> {
    let mut at = from;
    let mut out = Vec::new();
    for branch in &block.branches {
        let inst =
            encode_branch(branch, at, starts).expect("a function is shorter than a wide branch reaches");
        at += inst.size() as u32;
        out.push(inst);
    }
    out
}

fn code(blocks: &[Placed], starts: &[u32], size: u32, frame: &Frame, names: &Names) -> FunctionCode {
    let mut out = FunctionCode { symbol: names.symbol.clone(), align: 4, ..FunctionCode::default() };
    let mut prologue_ends = Vec::new();
    let mut line = None;
    for (idx, block) in blocks.iter().enumerate() {
        for coded in &block.code {
            let offset = out.bytes.len() as u32;
            let now = (names.line)(coded.stmt);
            if line != Some(now) {
                out.lines.push(LineRow { offset, line: now });
                line = Some(now);
            }
            if let Some(reloc) = coded.reloc {
                let kind = if reloc.high { RelocKind::ThmMovtAbs } else { RelocKind::ThmMovwAbs };
                let target = (names.constant)(reloc.buffer);
                out.relocs.push(Reloc { offset, kind, target, addend: reloc.addend.into() });
            }
            out.bytes.extend(coded.inst.encode().bytes());
            if idx == 0 && prologue_ends.len() < frame.prologue().len() {
                prologue_ends.push(out.bytes.len() as u32);
            }
        }
        for branch in branches(block, out.bytes.len() as u32, starts) {
            out.bytes.extend(branch.encode().bytes());
        }
    }
    debug_assert_eq!(out.bytes.len() as u32, size);
    out.frame = frame.unwinding(&prologue_ends);
    out
}

fn timed(blocks: Vec<Placed>, starts: &[u32]) -> Timed {
    let mut out = Timed::default();
    let n_blocks = blocks.len();
    for (idx, block) in blocks.into_iter().enumerate() {
        let mut insts: Vec<Inst> = block.code.iter().map(|coded| coded.inst).collect();
        let size = insts.iter().map(|inst| inst.size() as u32).sum::<u32>();
        insts.extend(branches(&block, starts[idx] + size, starts));
        let touched = block.code.into_iter().enumerate();
        let touched = touched.filter_map(|(at, coded)| Some((at, coded.touched?))).collect();
        out.blocks.push(CountedBlock { insts, touched, count: block.count });
        let mut left = block.count;
        for branch in &block.branches {
            out.edges.push(Edge { from: idx, to: branch.to, taken: true, count: branch.taken });
            left -= branch.taken;
        }
        if block.falls_through && idx + 1 < n_blocks {
            out.edges.push(Edge { from: idx, to: idx + 1, taken: false, count: left });
        }
    }
    out
}

fn constants(blocks: &[Placed]) -> Vec<BufferId> {
    let mut out: Vec<BufferId> = blocks
        .iter()
        .flat_map(|block| &block.code)
        .filter_map(|coded| coded.reloc)
        .map(|reloc| reloc.buffer)
        .collect();
    out.sort_unstable();
    out.dedup();
    out
}

/// An instruction of a function without branches.
pub struct Step {
    /// The instruction.
    pub inst: Inst,
    /// What the linker completes in it.
    pub reloc: Option<(RelocKind, String)>,
    /// The line of the listing that it belongs to; 0 for none.
    pub line: u32,
}

/// A global function without branches of its own, which may call others.
pub fn straight(symbol: String, steps: &[Step], frame: &Frame) -> Emitted {
    let mut out = FunctionCode { symbol, global: true, align: 4, ..FunctionCode::default() };
    let mut prologue_ends = Vec::new();
    for step in steps {
        let offset = out.bytes.len() as u32;
        if let Some((kind, target)) = &step.reloc {
            out.relocs.push(Reloc { offset, kind: *kind, target: target.clone(), addend: 0 });
        }
        if out.lines.last().is_none_or(|row| row.line != step.line) {
            out.lines.push(LineRow { offset, line: step.line });
        }
        out.bytes.extend(step.inst.encode().bytes());
        if prologue_ends.len() < frame.prologue().len() {
            prologue_ends.push(out.bytes.len() as u32);
        }
    }
    out.frame = frame.unwinding(&prologue_ends);
    let insts = steps.iter().map(|step| step.inst).collect();
    let block = CountedBlock { insts, touched: Vec::new(), count: 1 };
    let timed = Timed { blocks: vec![block], edges: Vec::new() };
    Emitted { code: out, timed, stack_bytes: frame.bytes(), uses_fpu: false, constants: Vec::new() }
}
