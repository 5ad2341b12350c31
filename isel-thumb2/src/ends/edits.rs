//! Changes of loops, collected first and made all at once, so that what is known of the function stays true meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use super::values::{Values, reads};
use super::{Pointer, Turn};
use crate::isa::imm::Shift;
use crate::isa::{Reg, ops};
use crate::mir::{Block, End, Function, Group, Word};
use crate::select::{MOST_PARAMETERS, asm, load_parameter};

/// Changes of a function.
pub(super) struct Edits<'a> {
    old: &'a Function,
    values: &'a Values,
    /// Registers, parameters and whatever else is not in blocks.
    new: Function,
    /// Groups that go, by block and position.
    removed: BTreeSet<(usize, usize)>,
    /// Groups that come to the end of blocks.
    added: BTreeMap<usize, Vec<Group>>,
    /// Counters that go: by block the position among its parameters, and among what it passes on.
    params: BTreeMap<usize, usize>,
    args: BTreeMap<usize, usize>,
    /// Registers in whose place others are.
    renamed: BTreeMap<Reg, Reg>,
}

impl<'a> Edits<'a> {
    pub(super) fn new(old: &'a Function, values: &'a Values) -> Self {
        Self {
            old,
            values,
            new: old.clone(),
            removed: BTreeSet::new(),
            added: BTreeMap::new(),
            params: BTreeMap::new(),
            args: BTreeMap::new(),
            renamed: BTreeMap::new(),
        }
    }

    /// Ends a loop where a pointer does.
    pub(super) fn end(&mut self, turn: &Turn, pointer: &Pointer) {
        let stmt = self.old.blocks[turn.entry].groups.last().map_or(0, |group| group.stmt);
        let end = self.new.new_reg();
        let mut groups = Vec::new();
        let add = match pointer.common().map(|way| asm::add_small(end, pointer.start, way as i32)) {
            Some(Some(add)) => add,
            Some(None) => {
                let by = self.number(pointer.way[0] as u32, stmt, &mut groups);
                ops::add(end, pointer.start, by, Shift::NONE)
            }
            None => {
                let Some(by) = self.parameter(&pointer.way, stmt, &mut groups) else { return };
                ops::add(end, pointer.start, by, Shift::NONE)
            }
        };
        groups.push(Group::one(add, stmt));
        self.added.entry(turn.entry).or_default().extend(groups);
        let stmt = self.old.blocks[turn.last].groups[turn.step].stmt;
        let compare = Group::one(ops::cmp(pointer.next, end, Shift::NONE), stmt);
        self.added.entry(turn.last).or_default().push(compare);
        self.removed.insert((turn.last, turn.step));
        self.params.insert(turn.first, turn.counter);
        self.args.extend([(turn.entry, turn.counter), (turn.back, turn.counter)]);
    }

    /// A number in a register.
    fn number(&mut self, value: u32, stmt: u32, groups: &mut Vec<Group>) -> Reg {
        let low = self.new.new_reg();
        groups.push(Group::one(ops::movw(low, asm::half(value)), stmt));
        if value >> 16 == 0 {
            return low;
        }
        let whole = self.new.new_reg();
        groups.push(Group::one(ops::movt(whole, low, asm::half(value >> 16)), stmt));
        whole
    }

    /// A number that each member has in its table.
    fn parameter(&mut self, numbers: &[i64], stmt: u32, groups: &mut Vec<Group>) -> Option<Reg> {
        let slot = self.new.parameter(numbers.iter().map(|number| Word::Number(*number)).collect());
        let table = self.values.table.filter(|_| slot < MOST_PARAMETERS)?;
        let by = self.new.new_reg();
        let (load, touched) = load_parameter(by, table, slot);
        groups.push(Group { touched: Some(touched.into()), ..Group::one(load, stmt) });
        Some(by)
    }

    /// What is computed behind a loop from where a pointer began, and is where it ends, is where the loop leaves it.
    pub(super) fn go_on(&mut self, turn: &Turn, pointer: &Pointer) {
        let behind = &self.old.blocks[turn.last + 1..];
        let groups = behind.iter().enumerate().flat_map(|(at, block)| {
            block.groups.iter().enumerate().map(move |(place, group)| (turn.last + 1 + at, place, group))
        });
        let mut readers = groups.filter(|(.., group)| reads(group).any(|reg| reg == pointer.start));
        let (Some((at, place, group)), None) = (readers.next(), readers.next()) else { return };
        let passes =
            |block: &Block| matches!(&block.end, End::Jump(_, args) if args.contains(&pointer.start));
        if behind.iter().any(passes) || group.transfer().is_some() {
            return;
        }
        let [reg] = group.operands().1[..] else { return };
        if self.values.distance(self.old, pointer.start, reg).as_ref() == Some(&pointer.way) {
            self.removed.insert((at, place));
            self.renamed.insert(reg, pointer.next);
        }
    }

    /// The function with all changes, if there are any.
    pub(super) fn made(mut self) -> Option<Function> {
        if self.removed.is_empty() {
            return None;
        }
        for at in 0..self.new.blocks.len() {
            self.rewrite(at);
        }
        remove_unread(&mut self.new);
        compact_table(&mut self.new);
        Some(self.new)
    }

    fn rewrite(&mut self, at: usize) {
        let added = self.added.remove(&at).unwrap_or_default();
        let block = &mut self.new.blocks[at];
        let groups = std::mem::take(&mut block.groups).into_iter().enumerate();
        let kept = groups.filter(|(place, _)| !self.removed.contains(&(at, *place))).map(|(_, group)| group);
        let name = |reg: Reg| follow(&self.renamed, reg);
        block.groups = kept.chain(added).map(|group| group.map_regs(name)).collect();
        if let Some(counter) = self.params.get(&at) {
            block.params.remove(*counter);
        }
        if let End::Jump(_, args) = &mut block.end {
            if let Some(counter) = self.args.get(&at) {
                args.remove(*counter);
            }
            args.iter_mut().for_each(|arg| *arg = name(*arg));
        }
    }
}

/// The register that is in the place of another at last.
fn follow(renamed: &BTreeMap<Reg, Reg>, mut reg: Reg) -> Reg {
    while let Some(other) = renamed.get(&reg) {
        reg = *other;
    }
    reg
}

/// Removes numbers that nothing reads any more, of words first the high halves.
fn remove_unread(function: &mut Function) {
    for _ in 0..2 {
        let values = Values::of(function);
        let is_read = |reg: &Reg| values.n_uses(*reg) > 0;
        for block in &mut function.blocks {
            block.groups.retain(|group| !values.is_number(group) || group.operands().1.iter().any(is_read));
        }
    }
}

/// Removes the words of the table that nothing loads any more.
fn compact_table(function: &mut Function) {
    let values = Values::of(function);
    let Some(table) = values.table.filter(|_| function.parameters.len() <= MOST_PARAMETERS) else { return };
    let mut kept = 0;
    let mut places = Vec::new();
    for slot in 0..function.parameters.len() {
        places.push(kept);
        kept += usize::from(values.is_loaded(slot));
    }
    for group in function.blocks.iter_mut().flat_map(|block| &mut block.groups) {
        if let Some(slot) = values.slot(group) {
            let to = group.operands().1[0];
            let (load, touched) = load_parameter(to, table, places[slot]);
            *group = Group { touched: Some(touched.into()), ..Group::one(load, group.stmt) };
        }
    }
    let mut slots = (0..).map(|slot| values.is_loaded(slot));
    function.parameters.retain(|_| slots.next() == Some(true));
}
