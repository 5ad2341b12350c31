//! Words that are loaded again instead of waiting in another place while registers are short.
//!
//! Selection names a word once however often an unrolled body reads it. Where its register is needed for something else in between, a second
//! load costs no more than to bring it back, and nothing to put it away. That is so for one return; what comes back several times
//! is cheaper brought from an S register each time.

use std::collections::{BTreeMap, BTreeSet};

use crate::isa::Reg;
use crate::isa::row::Access;
use crate::mir::{Block, End, Function, Group};
use crate::schedule::REGISTERS;

/// No use in this block.
const NEVER: usize = usize::MAX;

/// The function with such words loaded twice, if there are any.
pub fn reload(function: &Function) -> Option<Function> {
    let elsewhere = read_elsewhere(function);
    let places: Vec<Vec<(Reg, usize)>> =
        (0..function.blocks.len()).map(|at| Visit::of(function, at, &elsewhere).places).collect();
    if places.iter().all(Vec::is_empty) {
        return None;
    }
    let mut changed = function.clone();
    for (at, places) in places.into_iter().enumerate() {
        for (value, place) in places.into_iter().rev() {
            let new = changed.new_reg();
            let block = &mut changed.blocks[at];
            let first = defined_at(block, value).expect("it was loaded here");
            let again = renamed(&block.groups[first], value, new);
            block.groups[place..].iter_mut().for_each(|group| *group = renamed(group, value, new));
            block.groups.insert(place, again);
        }
    }
    Some(changed)
}

/// A block while its values pass through as many registers as there are; whatever is needed furthest in the future leaves.
struct Visit<'f> {
    block: &'f Block,
    /// The groups that read each value, in order.
    users: BTreeMap<Reg, Vec<usize>>,
    /// Where what could be loaded again is loaded.
    loads: BTreeMap<Reg, usize>,
    held: Vec<Reg>,
    /// Values that come back, with the group that reads them then, by position.
    places: Vec<(Reg, usize)>,
}

impl<'f> Visit<'f> {
    fn of(function: &'f Function, at: usize, elsewhere: &BTreeSet<Reg>) -> Self {
        let block = &function.blocks[at];
        let mut visit = Visit {
            block,
            users: BTreeMap::new(),
            loads: BTreeMap::new(),
            held: Vec::new(),
            places: Vec::new(),
        };
        if !block.groups.iter().any(is_load) || block.groups.len() <= REGISTERS as usize {
            return visit;
        }
        for (place, group) in block.groups.iter().enumerate() {
            group.operands().0.into_iter().for_each(|reg| visit.users.entry(reg).or_default().push(place));
        }
        visit.loads = loads(function, at, elsewhere);
        (0..block.groups.len()).for_each(|place| visit.pass(place));
        visit.settle();
        visit
    }

    fn pass(&mut self, place: usize) {
        let (uses, defs) = self.block.groups[place].operands();
        for reg in &uses {
            if !self.held.contains(reg) {
                if self.loads.contains_key(reg) {
                    self.places.push((*reg, place));
                }
                self.held.push(*reg);
            }
        }
        self.make_room(place, &uses);
        let mut held = std::mem::take(&mut self.held);
        held.retain(|reg| self.next_use(*reg, place + 1) != NEVER);
        held.extend(defs.iter().copied());
        self.held = held;
        self.make_room(place + 1, &defs);
    }

    /// Lets go of what is needed last, but for `keep`.
    fn make_room(&mut self, from: usize, keep: &[Reg]) {
        while self.held.len() > REGISTERS as usize {
            let others = (0..self.held.len()).filter(|at| !keep.contains(&self.held[*at]));
            let Some(last) = others.max_by_key(|at| self.next_use(self.held[*at], from)) else { return };
            self.held.swap_remove(last);
        }
    }

    fn next_use(&self, reg: Reg, from: usize) -> usize {
        let users = self.users.get(&reg).map_or(&[][..], Vec::as_slice);
        users.get(users.partition_point(|user| *user < from)).copied().unwrap_or(NEVER)
    }

    /// Leaves those that come back once, and may be loaded then.
    fn settle(&mut self) {
        let mut returns: BTreeMap<Reg, u32> = BTreeMap::new();
        self.places.iter().for_each(|(reg, _)| *returns.entry(*reg).or_default() += 1);
        let places = std::mem::take(&mut self.places);
        let may =
            |(reg, place): &(Reg, usize)| returns[reg] == 1 && self.is_unchanged(self.loads[reg], *place);
        self.places = places.into_iter().filter(may).collect();
    }

    /// Whether a load finds the same at another place behind it, from the same registers.
    fn is_unchanged(&self, load: usize, place: usize) -> bool {
        let groups = &self.block.groups;
        let bases = groups[load].operands().0;
        let loaded = groups[load].transfer().expect("it loads");
        groups[load + 1..place].iter().all(|group| {
            let over = group.all_ties().iter().any(|(_, old)| bases.contains(old));
            !over && group.transfer().is_none_or(|between| !between.may_meet(&loaded))
        })
    }
}

/// The values that a block loads by an instruction that does nothing else, and that only groups of this block read.
fn loads(function: &Function, at: usize, elsewhere: &BTreeSet<Reg>) -> BTreeMap<Reg, usize> {
    let block = &function.blocks[at];
    let of = |(place, group): (usize, &Group)| {
        let (_, defs) = group.operands();
        let may = |reg: &Reg| !function.parked.contains(reg) && !elsewhere.contains(reg);
        (is_load(group) && defs.len() == 1 && may(&defs[0])).then(|| (defs[0], place))
    };
    block.groups.iter().enumerate().filter_map(of).collect()
}

/// The values that are read in another block than that which defines them, or passed on.
fn read_elsewhere(function: &Function) -> BTreeSet<Reg> {
    let mut elsewhere = BTreeSet::new();
    for block in &function.blocks {
        let mut defined = BTreeSet::new();
        for group in &block.groups {
            let (uses, defs) = group.operands();
            elsewhere.extend(uses.into_iter().filter(|reg| !defined.contains(reg)));
            defined.extend(defs);
        }
        if let End::Jump(_, args) = &block.end {
            elsewhere.extend(args);
        }
    }
    elsewhere
}

/// Whether a group is a single load that writes nothing but its result.
fn is_load(group: &Group) -> bool {
    let [inst] = &group.insts[..] else { return false };
    let plain = group.ties.is_empty()
        && group.fixed.is_empty()
        && group.reloc.is_none()
        && inst.ties().next().is_none();
    plain && inst.mem().is_some_and(|mem| mem.access == Access::Load) && inst.defs().count() == 1
}

fn defined_at(block: &Block, reg: Reg) -> Option<usize> {
    block.groups.iter().position(|group| group.operands().1.contains(&reg))
}

/// A group with another register in the place of one.
fn renamed(group: &Group, old: Reg, new: Reg) -> Group {
    group.map_regs(|reg| if reg == old { new } else { reg })
}
