//! Cycles of a function whose block and edge counts are known: a sum over its blocks, each timed after every
//! block that runs before it.
//!
//! Control flow does not depend on data, so the counts are numbers of the schedule and the sum is what an
//! execution takes, as far as the core's machine is right.

use std::sync::Arc;

use super::{Core, Machine, TICKS, whole_cycles};
use crate::isa::{Class, Inst};
use crate::memory::Touched;

/// Instructions in a row that are entered at the top and left at the end. Calls may stand inside.
#[derive(Clone, Copy, Debug)]
pub struct TimedBlock<'a> {
    /// The instructions, with real registers.
    pub insts: &'a [Inst],
    /// What loads and stores touch, where that is known, by position in `insts`.
    pub touched: &'a [(usize, Arc<Touched>)],
    /// How often the block runs.
    pub count: u64,
}

/// A way from one block to another.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// Index of the block that is left.
    pub from: usize,
    /// Index of the block that is entered.
    pub to: usize,
    /// Whether a branch leads there; otherwise control runs on.
    pub taken: bool,
    /// How often it is gone.
    pub count: u64,
}

/// A function with its counts. Executions of a block that no edge accounts for enter the function there.
#[derive(Clone, Debug, Default)]
pub struct TimedFunction<'a> {
    /// The blocks in the order of their addresses.
    pub blocks: Vec<TimedBlock<'a>>,
    /// The ways between them; returns are not listed.
    pub edges: Vec<Edge>,
}

impl<'a> TimedBlock<'a> {
    /// The instructions in order, each with what it touches.
    pub fn steps(&self) -> impl Iterator<Item = (&'a Inst, Option<&'a Touched>)> + use<'a> {
        let mut touched = self.touched.iter().peekable();
        self.insts.iter().enumerate().map(move |(at, inst)| {
            let here = touched.next_if(|(position, _)| *position == at);
            (inst, here.map(|(_, touched)| &**touched))
        })
    }

    fn run_on(&self, machine: &mut dyn Machine) {
        self.steps().for_each(|(inst, touched)| machine.issue(inst, touched.map(|touched| &touched.address)));
    }
}

/// Cycles of all executions together, callees not included.
pub fn function_cycles(core: &dyn Core, function: &TimedFunction) -> u64 {
    whole_cycles(block_cycles(core, function).into_iter().sum())
}

/// Ticks of each block, all its executions together.
pub fn block_cycles(core: &dyn Core, function: &TimedFunction) -> Vec<u64> {
    let blocks = function.blocks.iter().enumerate();
    let cycles = |(at, block): (usize, &TimedBlock)| {
        let into = || function.edges.iter().filter(|edge| edge.to == at && edge.count > 0);
        let known: u64 = into().map(|edge| edge.count).sum();
        let entered = block.count.saturating_sub(known) * entry_cost(core, block);
        let followed: u64 = into().map(|edge| followed_cost(core, function, edge)).sum();
        entered + followed + TICKS * penalty(core, function, at)
    };
    blocks.map(cycles).collect()
}

/// Cycles of a loop of one block, entered once, whose last instruction branches back.
pub fn loop_cycles(core: &dyn Core, body: &[Inst], iterations: u64) -> u64 {
    let blocks = vec![TimedBlock { insts: body, touched: &[], count: iterations }];
    let edges = vec![Edge { from: 0, to: 0, taken: true, count: iterations.saturating_sub(1) }];
    function_cycles(core, &TimedFunction { blocks, edges })
}

/// Iterations until a loop of one block has settled, and iterations to take the mean of.
const SETTLING: usize = 8;
const MEASURED: usize = 6;

/// Ticks of one execution with nothing known of what came before.
fn entry_cost(core: &dyn Core, block: &TimedBlock) -> u64 {
    let mut machine = core.machine();
    block.run_on(&mut *machine);
    machine.ticks()
}

/// Ticks of a block each time it is entered by an edge.
fn followed_cost(core: &dyn Core, function: &TimedFunction, edge: &Edge) -> u64 {
    if edge.from == edge.to {
        return repeated_cost(core, &function.blocks[edge.from], edge);
    }
    let mut machine = core.machine();
    let mut run = |block: usize| {
        function.blocks[block].run_on(&mut *machine);
        let end = machine.ticks();
        if edge.taken {
            machine.branch_taken();
        }
        end
    };
    let before = run(edge.from);
    edge.count * (run(edge.to) - before)
}

/// Ticks of a block each time it follows itself, on the mean once that has settled.
fn repeated_cost(core: &dyn Core, block: &TimedBlock, edge: &Edge) -> u64 {
    let mut machine = core.machine();
    let (mut ends, mut marks) = (Vec::new(), Vec::new());
    while ends.len() < SETTLING + MEASURED {
        block.run_on(&mut *machine);
        ends.push(machine.ticks());
        if edge.taken {
            machine.branch_taken();
        }
        let mark = machine.mark();
        if let Some(same) = marks.iter().position(|have| *have == mark) {
            let period = marks.len() - same;
            for at in ends.len()..SETTLING + MEASURED {
                ends.push(ends[at - 1] + ends[at - period] - ends[at - period - 1]);
            }
        }
        marks.push(mark);
    }
    edge.count * (ends[SETTLING + MEASURED - 1] - ends[SETTLING - 1]) / MEASURED as u64
}

/// What the conditional branch at the end of a block costs beside its issue.
fn penalty(core: &dyn Core, function: &TimedFunction, at: usize) -> u64 {
    let block = &function.blocks[at];
    if block.insts.last().is_none_or(|inst| inst.class() != Class::BranchIf) {
        return 0;
    }
    let taken: u64 = function.edges.iter().filter(|e| e.from == at && e.taken).map(|e| e.count).sum();
    core.branch_penalty(taken, block.count.saturating_sub(taken))
}
