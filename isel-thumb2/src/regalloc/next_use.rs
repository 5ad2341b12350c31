//! How far away the next use of each value is: what decides which value leaves its register.
//!
//! The distance of a use behind the end of a loop is larger than any within it, so values that a loop does not use leave their registers
//! before those that it does (Braun and Hack, "Register Spilling and Live-Range Splitting for SSA-Form Programs").

use std::collections::BTreeMap;

use regalloc2::OperandKind;

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
    /// For each block the positions of the uses of each value, ascending.
    uses: Vec<BTreeMap<Value, Vec<u32>>>,
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
}

impl NextUse {
    /// Finds all distances in `view`.
    pub(super) fn new(view: &View) -> Self {
        let n = view.blocks.len();
        let mut found = Self {
            uses: vec![BTreeMap::new(); n],
            at_start: vec![BTreeMap::new(); n],
            at_end: vec![BTreeMap::new(); n],
            loops: loops(view),
            defined_in: vec![0; view.n_regs],
            defined_at: vec![None; view.n_regs],
            parked: (0..view.n_regs).map(|value| view.parked.contains(&value)).collect(),
        };
        for block in 0..n {
            found.collect(view, block);
        }
        loop {
            let changed: Vec<bool> = (0..n).rev().map(|block| found.update(view, block)).collect();
            if !changed.contains(&true) {
                break;
            }
        }
        found
    }

    fn collect(&mut self, view: &View, block: usize) {
        let data = &view.blocks[block];
        data.params.iter().for_each(|param| self.defined_in[param.vreg()] = block);
        for (position, inst) in data.insts.iter().enumerate() {
            for operand in &view.operands[inst.index()] {
                let value = operand.vreg().vreg();
                match operand.kind() {
                    OperandKind::Use => self.uses[block].entry(value).or_default().push(position as u32),
                    OperandKind::Def => {
                        self.defined_in[value] = block;
                        self.defined_at[value] = Some(position as u32);
                    }
                }
            }
        }
        let end = data.insts.len() as u32 - 1;
        for arg in &data.args {
            self.uses[block].entry(arg.vreg()).or_default().push(end);
        }
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
        for (value, positions) in &self.uses[block] {
            at_start.insert(*value, positions[0] + if self.parked[*value] { FAR } else { 0 });
        }
        let params = &view.blocks[block].params;
        at_start.retain(|value, _| {
            self.defined_in[*value] != block || params.iter().any(|param| param.vreg() == *value)
        });
        let changed = self.at_start[block] != at_start || self.at_end[block] != at_end;
        (self.at_start[block], self.at_end[block]) = (at_start, at_end);
        changed
    }

    /// The distance from before the instruction at `position` of `block`; a use by that instruction is at distance 0.
    pub(super) fn from(&self, block: usize, position: u32, value: Value, length: u32) -> u32 {
        let positions = self.uses[block].get(&value);
        let here =
            positions.and_then(|positions| positions.get(positions.partition_point(|at| *at < position)));
        match here {
            Some(at) if self.is_parked(value) && at - position >= NEAR => at - position + FAR,
            Some(at) => at - position,
            None => self.at_end[block]
                .get(&value)
                .map_or(NEVER, |distance| distance.saturating_add(length - position)),
        }
    }

    /// Values that came into being for the time of a move are not.
    fn is_parked(&self, value: Value) -> bool {
        self.parked.get(value).copied().unwrap_or(false)
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

    /// The position of the last use of a value in a block, [`NEVER`] where it lives on.
    pub(super) fn last_in(&self, block: usize, value: Value) -> u32 {
        if self.at_end[block].contains_key(&value) {
            return NEVER;
        }
        self.uses[block].get(&value).and_then(|positions| positions.last().copied()).unwrap_or(0)
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
