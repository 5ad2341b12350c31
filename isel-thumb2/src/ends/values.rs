//! What is known of the registers of a function: numbers, and distances between pointers.

use crate::isa::imm::Shift;
use crate::isa::row::{Addressing, Form};
use crate::isa::{Inst, Reg};
use crate::mir::{End, Function, Group, Word};
use crate::select::parameter_slot;

/// Where registers are made and how often they are read.
pub(super) struct Values {
    /// Block and position of the group that makes a register; none for parameters of blocks.
    made_at: Vec<Option<(usize, usize)>>,
    n_uses: Vec<u32>,
    /// Holds the address of the table of parameters.
    pub(super) table: Option<Reg>,
    /// Members of the group that shares the function.
    members: usize,
    /// Whether each parameter is loaded.
    loaded: Vec<bool>,
}

impl Values {
    pub(super) fn of(function: &Function) -> Self {
        let n = function.n_regs as usize;
        let entry = function.blocks[0].groups.first();
        let given = |at: &&(Reg, Reg)| at.1 == Reg::core(1);
        let table = entry.filter(|group| group.insts.is_empty());
        let table = table.and_then(|group| group.fixed.iter().find(given)).map(|(reg, _)| *reg);
        let members = function.parameters.first().map_or(1, Vec::len);
        let loaded = vec![false; function.parameters.len()];
        let mut values = Values { made_at: vec![None; n], n_uses: vec![0; n], table, members, loaded };
        for (at, block) in function.blocks.iter().enumerate() {
            for (place, group) in block.groups.iter().enumerate() {
                reads(group).for_each(|reg| values.n_uses[reg.number() as usize] += 1);
                let given = if group.insts.is_empty() { &group.fixed[..] } else { &[] };
                let defs = group.insts.iter().flat_map(Inst::defs).chain(given.iter().map(|(reg, _)| *reg));
                defs.filter(|reg| reg.is_virtual())
                    .for_each(|reg| values.made_at[reg.number() as usize] = Some((at, place)));
                if let Some(slot) = values.slot(group) {
                    values.loaded[slot] = true;
                }
            }
            if let End::Jump(_, args) = &block.end {
                args.iter().for_each(|reg| values.n_uses[reg.number() as usize] += 1);
            }
        }
        values
    }

    /// Where a register is made, unless it is a parameter of a block.
    pub(super) fn made_at(&self, reg: Reg) -> Option<(usize, usize)> {
        self.made_at[reg.number() as usize]
    }

    /// How many instructions and ends of blocks read a register.
    pub(super) fn n_uses(&self, reg: Reg) -> u32 {
        self.n_uses[reg.number() as usize]
    }

    /// Whether a parameter is loaded anywhere.
    pub(super) fn is_loaded(&self, slot: usize) -> bool {
        self.loaded[slot]
    }

    /// The number in a register, by member.
    pub(super) fn number(&self, function: &Function, reg: Reg) -> Option<Vec<i64>> {
        let group = self.maker(function, reg)?;
        if let Some(slot) = self.slot(group) {
            let number = |word: &Word| match word {
                Word::Number(number) => Some(*number),
                Word::Constant(..) => None,
            };
            return function.parameters[slot].iter().map(number).collect();
        }
        let [inst] = &group.insts[..] else { return None };
        let same = |value: i32| Some(vec![value.into(); self.members]);
        match inst.form() {
            _ if group.reloc.is_some() => None,
            Form::MovImm | Form::Movw => same(inst.imm(b'i')?),
            Form::MvnImm => same(!inst.imm(b'i')?),
            Form::Movt => {
                let low = self.number(function, inst.uses().next()?)?;
                same(inst.imm(b'i')? << 16 | *low.first()? as i32)
            }
            _ => None,
        }
    }

    /// How many bytes a pointer is behind another, by member, where it comes from it by additions.
    pub(super) fn distance(&self, function: &Function, from: Reg, to: Reg) -> Option<Vec<i64>> {
        let (mut at, mut distance) = (to, vec![0; self.members]);
        while at != from {
            let [inst] = &self.maker(function, at)?.insts[..] else { return None };
            let (before, by) = self.step(function, inst, at)?;
            distance.iter_mut().zip(by).for_each(|(distance, by)| *distance += by);
            at = before;
        }
        Some(distance)
    }

    /// The register that an instruction makes another one of by an addition, and what is added.
    fn step(&self, function: &Function, inst: &Inst, to: Reg) -> Option<(Reg, Vec<i64>)> {
        let same = |by: i64| vec![by; self.members];
        let by = || inst.imm(b'i').map(i64::from);
        match inst.form() {
            _ if inst.mem().is_some_and(|mem| mem.addressing == Addressing::Post) => {
                (inst.reg(b'n') == Some(to)).then_some((inst.reg(b'b')?, same(by()?)))
            }
            Form::AddImm | Form::Addw => Some((inst.reg(b'n')?, same(by()?))),
            Form::SubImm | Form::Subw => Some((inst.reg(b'n')?, same(-by()?))),
            Form::Add if inst.imm(b's') == Some(Shift::NONE.raw()) => {
                let (n, m) = (inst.reg(b'n')?, inst.reg(b'm')?);
                let right = self.number(function, m).map(|by| (n, by));
                right.or_else(|| Some((m, self.number(function, n)?)))
            }
            _ => None,
        }
    }

    fn maker<'f>(&self, function: &'f Function, reg: Reg) -> Option<&'f Group> {
        let (block, place) = self.made_at(reg)?;
        Some(&function.blocks[block].groups[place])
    }

    /// Whether all that a group does is to put a number into a register.
    pub(super) fn is_number(&self, group: &Group) -> bool {
        let [inst] = &group.insts[..] else { return false };
        let makes = matches!(inst.form(), Form::MovImm | Form::MvnImm | Form::Movw | Form::Movt);
        makes && group.fixed.is_empty() || self.slot(group).is_some()
    }

    /// The parameter that a group loads.
    pub(super) fn slot(&self, group: &Group) -> Option<usize> {
        let [inst] = &group.insts[..] else { return None };
        parameter_slot(inst, self.table?).filter(|slot| *slot < self.loaded.len())
    }
}

/// The registers that the instructions of a group read, some of them twice.
pub(super) fn reads(group: &Group) -> impl Iterator<Item = Reg> + '_ {
    let ties = group.ties.iter().map(|(_, old)| *old);
    group.insts.iter().flat_map(Inst::uses).filter(|reg| reg.is_virtual()).chain(ties)
}

/// The registers behind and before an instruction that counts one down.
pub(super) fn counted(inst: &Inst) -> Option<(Reg, Reg)> {
    let counts = inst.form() == Form::SubsImm && inst.imm(b'i') == Some(1);
    counts.then_some((inst.reg(b'd')?, inst.reg(b'n')?))
}
