//! How far away the next use of each value is: what decides which value leaves its register.
//!
//! The distance of a use behind the end of a loop is larger than any within it, so values that a loop does not use leave their registers
//! before those that it does (Braun and Hack, "Register Spilling and Live-Range Splitting for SSA-Form Programs").

use std::cell::OnceCell;
use std::collections::BTreeMap;

use regalloc2::{Operand, OperandKind};

use super::view::View;

/// What leaving a loop adds to a distance.
pub(super) const FAR: u32 = 1 << 20;
/// A parked value keeps its register for a use within so many instructions.
const NEAR: u32 = 4;
/// No use.
pub(super) const NEVER: u32 = u32::MAX;

/// A value, by number.
pub(super) type Value = usize;

/// Distances in instructions.
pub(super) struct NextUse {
    /// For each block the values that it uses, ascending, each with the positions of its first and last use.
    uses: Vec<Vec<(Value, u32, u32)>>,
    /// For each operand that is read the position of the next use in the same block, [`NEVER`] where there is none.
    following: Vec<u32>,
    /// The number of the first operand of each instruction.
    operands: Vec<usize>,
    /// For each block the values that live at its start, with the distance of their next use from there.
    at_start: Vec<BTreeMap<Value, u32>>,
    /// The same from the end of the block.
    at_end: Vec<BTreeMap<Value, u32>>,
    /// For each block the first and last block of each loop around it, outermost first.
    loops: Vec<Vec<(usize, usize)>>,
    /// The block that defines each value.
    defined_in: Vec<usize>,
    /// The position of the instruction there that defines it; none for parameters.
    defined_at: Vec<Option<u32>>,
    /// Whether a value is parked: its uses count as far away, unless they are close.
    parked: Vec<bool>,
    /// For each block that a loop begins with what [`Self::pressure`] has found.
    pressure: Vec<OnceCell<usize>>,
}

/// The next uses while a block is visited from its start to its end.
pub(super) struct Ahead<'a> {
    next_use: &'a NextUse,
    block: usize,
    /// Instructions of the block.
    length: u32,
    /// Where the visit is: behind the instruction at the position before this one.
    position: u32,
    /// For each value the position of its next use in the block.
    next: Vec<u32>,
    /// The position of the last one, 0 where there is none.
    last: Vec<u32>,
    /// The distance of its next use from the end of the block.
    at_end: Vec<u32>,
}

impl NextUse {
    /// Finds all distances in `view`.
    pub(super) fn new(view: &View) -> Self {
        let n = view.blocks.len();
        let mut found = Self {
            uses: Vec::with_capacity(n),
            following: Vec::new(),
            operands: Vec::with_capacity(view.operands.len()),
            at_start: vec![BTreeMap::new(); n],
            at_end: vec![BTreeMap::new(); n],
            loops: loops(view),
            defined_in: vec![0; view.n_regs],
            defined_at: vec![None; view.n_regs],
            parked: (0..view.n_regs).map(|value| view.parked.contains(&value)).collect(),
            pressure: vec![OnceCell::new(); n],
        };
        for operands in &view.operands {
            found.operands.push(found.following.len());
            found.following.resize(found.following.len() + operands.len(), NEVER);
        }
        let (mut next, mut last) = (vec![NEVER; view.n_regs], vec![NEVER; view.n_regs]);
        for block in 0..n {
            found.collect(view, block, &mut next, &mut last);
        }
        loop {
            let changed: Vec<bool> = (0..n).rev().map(|block| found.update(view, block)).collect();
            if !changed.contains(&true) {
                break;
            }
        }
        found
    }

    /// Looks at a block from its end on; `next` and `last` hold no position before and behind it.
    fn collect(&mut self, view: &View, block: usize, next: &mut [u32], last: &mut [u32]) {
        let data = &view.blocks[block];
        data.params.iter().for_each(|param| self.defined_in[param.vreg()] = block);
        let mut used: Vec<Value> = Vec::new();
        let mut note = |next: &mut [u32], value: Value, position: u32| {
            if std::mem::replace(&mut next[value], position) == NEVER {
                last[value] = position;
                used.push(value);
            }
        };
        let end = data.insts.len() as u32 - 1;
        data.args.iter().for_each(|arg| note(next, arg.vreg(), end));
        for (behind, inst) in data.insts.iter().rev().enumerate() {
            let position = end - behind as u32;
            let operands = || (self.operands[inst.index()]..).zip(&view.operands[inst.index()]);
            for (at, operand) in operands() {
                let value = operand.vreg().vreg();
                match operand.kind() {
                    OperandKind::Use => self.following[at] = next[value],
                    OperandKind::Def => {
                        self.defined_in[value] = block;
                        self.defined_at[value] = Some(position);
                    }
                }
            }
            let is_read = |operand: &&Operand| operand.kind() == OperandKind::Use;
            let read = operands().map(|(_, operand)| operand).filter(is_read);
            read.for_each(|operand| note(next, operand.vreg().vreg(), position));
        }
        used.sort_unstable();
        self.uses.push(used.iter().map(|value| (*value, next[*value], last[*value])).collect());
        used.iter().for_each(|value| next[*value] = NEVER);
    }

    /// Computes the distances of a block from those of its successors; says whether anything changed.
    fn update(&mut self, view: &View, block: usize) -> bool {
        let mut at_end: BTreeMap<Value, u32> = BTreeMap::new();
        for successor in &view.blocks[block].successors {
            let next = successor.index();
            let left =
                self.loops[block].iter().filter(|around| !self.loops[next].contains(around)).count() as u32;
            for (value, distance) in &self.at_start[next] {
                if view.blocks[next].params.iter().any(|param| param.vreg() == *value) {
                    continue;
                }
                let distance = distance.saturating_add(left * FAR).min(NEVER - 1);
                let entry = at_end.entry(*value).or_insert(NEVER);
                *entry = distance.min(*entry);
            }
        }
        let length = view.blocks[block].insts.len() as u32;
        let mut at_start: BTreeMap<Value, u32> = BTreeMap::new();
        for (value, distance) in &at_end {
            at_start.insert(*value, distance.saturating_add(length).min(NEVER - 1));
        }
        for (value, first, _) in &self.uses[block] {
            at_start.insert(*value, first + if self.parked[*value] { FAR } else { 0 });
        }
        let params = &view.blocks[block].params;
        at_start.retain(|value, _| {
            self.defined_in[*value] != block || params.iter().any(|param| param.vreg() == *value)
        });
        let changed = self.at_start[block] != at_start || self.at_end[block] != at_end;
        (self.at_start[block], self.at_end[block]) = (at_start, at_end);
        changed
    }

    /// The values that live at the start of a block, parameters with a use among them, with their distances.
    pub(super) fn live_in(&self, block: usize) -> &BTreeMap<Value, u32> {
        &self.at_start[block]
    }

    /// How many loops are around a block.
    pub(super) fn depth(&self, block: usize) -> usize {
        self.loops[block].len()
    }

    /// How many loops are around the definition of a value.
    pub(super) fn depth_of(&self, value: Value) -> usize {
        self.loops[self.defined_in[value]].len()
    }

    /// The block that defines a value.
    pub(super) fn home(&self, value: Value) -> usize {
        self.defined_in[value]
    }

    /// The position of the instruction that defines a value; none for parameters of blocks.
    pub(super) fn defined_at(&self, value: Value) -> Option<u32> {
        self.defined_at[value]
    }

    /// The first and last block of each loop around a block, outermost first.
    pub(super) fn loops_around(&self, block: usize) -> &[(usize, usize)] {
        &self.loops[block]
    }

    /// The last block of the loop whose first block is `header`.
    pub(super) fn loop_end(&self, header: usize) -> Option<usize> {
        self.loops[header].iter().find(|(first, _)| *first == header).map(|(_, last)| *last)
    }

    /// The most values that are needed at one time within a loop, those left out that live through it unused.
    pub(super) fn pressure(&self, view: &View, header: usize, last: usize) -> usize {
        *self.pressure[header].get_or_init(|| self.most_live(view, header, last))
    }

    fn most_live(&self, view: &View, header: usize, last: usize) -> usize {
        let through =
            |value: &Value| self.at_start[header].get(value).is_some_and(|distance| *distance >= FAR);
        let mut most = 0;
        for block in header..=last {
            let mut live: Vec<Value> =
                self.at_end[block].keys().copied().filter(|value| !through(value)).collect();
            live.extend(view.blocks[block].args.iter().map(|arg| arg.vreg()));
            live.sort_unstable();
            live.dedup();
            most = most.max(live.len());
            for inst in view.blocks[block].insts.iter().rev() {
                let operands = &view.operands[inst.index()];
                let of = |kind| {
                    operands
                        .iter()
                        .filter(move |operand| operand.kind() == kind)
                        .map(|operand| operand.vreg().vreg())
                };
                live.retain(|value| of(OperandKind::Def).all(|def| def != *value));
                let new: Vec<Value> =
                    of(OperandKind::Use).filter(|value| !live.contains(value) && !through(value)).collect();
                live.extend(new);
                most = most.max(live.len());
            }
        }
        most
    }
}

impl<'a> Ahead<'a> {
    /// Before the first visit.
    pub(super) fn new(next_use: &'a NextUse) -> Self {
        let n = next_use.defined_in.len();
        let (next, last, at_end) = (vec![NEVER; n], vec![0; n], vec![NEVER; n]);
        Self { next_use, block: 0, length: 0, position: 0, next, last, at_end }
    }

    /// Goes to the start of a block.
    pub(super) fn enter(&mut self, view: &View, block: usize) {
        let known = self.next_use;
        known.uses[self.block]
            .iter()
            .for_each(|(value, ..)| (self.next[*value], self.last[*value]) = (NEVER, 0));
        known.at_end[self.block].keys().for_each(|value| self.at_end[*value] = NEVER);
        (self.block, self.length, self.position) = (block, view.blocks[block].insts.len() as u32, 0);
        for (value, first, last) in &known.uses[block] {
            (self.next[*value], self.last[*value]) = (*first, *last);
        }
        known.at_end[block].iter().for_each(|(value, distance)| self.at_end[*value] = *distance);
    }

    /// Goes on behind the next instruction.
    pub(super) fn pass(&mut self, view: &View) {
        let data = &view.blocks[self.block];
        let inst = data.insts.first().index() + self.position as usize;
        let first = self.next_use.operands[inst];
        for (at, operand) in view.operands[inst].iter().enumerate() {
            if operand.kind() == OperandKind::Use {
                self.next[operand.vreg().vreg()] = self.next_use.following[first + at];
            }
        }
        self.position += 1;
        if self.position == self.length {
            data.args.iter().for_each(|arg| self.next[arg.vreg()] = NEVER);
        }
    }

    /// The distance of the next use of a value; a use by the next instruction is at distance 0.
    pub(super) fn distance(&self, value: Value) -> u32 {
        match self.next.get(value) {
            None => NEVER, // It came into being for the time of a move.
            Some(&NEVER) if self.at_end[value] == NEVER => NEVER,
            Some(&NEVER) => self.at_end[value].saturating_add(self.length - self.position),
            Some(at) if self.next_use.parked[value] && at - self.position >= NEAR => at - self.position + FAR,
            Some(at) => at - self.position,
        }
    }

    /// The position of the last use of a value in the block, [`NEVER`] where it lives on.
    pub(super) fn last(&self, value: Value) -> u32 {
        match self.at_end.get(value) {
            None => 0,
            Some(&NEVER) => self.last[value],
            Some(_) => NEVER,
        }
    }
}

/// For each block the loops around it. Blocks of a loop stand together: a jump back closes it.
fn loops(view: &View) -> Vec<Vec<(usize, usize)>> {
    let mut loops = Vec::new();
    for (last, block) in view.blocks.iter().enumerate() {
        loops.extend(block.successors.iter().filter(|to| to.index() <= last).map(|to| (to.index(), last)));
    }
    loops.sort_by_key(|(first, last)| (*first, usize::MAX - last));
    let around = |block: usize| {
        loops.iter().copied().filter(|(first, last)| (*first..=*last).contains(&block)).collect()
    };
    (0..view.blocks.len()).map(around).collect()
}
