//! What accesses touch: the region, and the address as a sum over loop variables.

use std::collections::BTreeMap;

use ir::loops::{Atom, BufferId, Index, Role, VarId};

use super::Selector;
use super::address::Stream;
use super::members::Num;
use crate::cores::{Address, Term};
use crate::memory::{Part, Place, Region, Touched};

/// Numbers for everything that addresses vary with.
#[derive(Default)]
pub(super) struct Atoms {
    /// The atom of each number; none for a position that data decides.
    numbers: Vec<Option<Atom>>,
    /// Iterations of the loops entered so far.
    extents: BTreeMap<VarId, Num>,
}

impl Atoms {
    /// Tells how many values a variable has.
    pub(super) fn enter(&mut self, var: VarId, extent: Num) {
        self.extents.insert(var, extent);
    }

    fn number(&mut self, atom: &Atom) -> u32 {
        let have = self.numbers.iter().position(|have| have.as_ref() == Some(atom));
        have.map_or_else(|| self.add(Some(atom.clone())), |at| at as u32)
    }

    fn add(&mut self, atom: Option<Atom>) -> u32 {
        self.numbers.push(atom);
        self.numbers.len() as u32 - 1
    }

    /// The least and the greatest value of an atom.
    fn range_of(&self, atom: &Atom, member: usize) -> (i64, i64) {
        match atom {
            Atom::Var(var) => (0, self.extents[var].of(member) - 1),
            Atom::Div(inner, by) => {
                let (least, most) = self.range(inner, member);
                (least.div_euclid((*by).into()), most.div_euclid((*by).into()))
            }
            Atom::Mod(inner, by) => match self.range(inner, member) {
                (least, most) if least >= 0 && most < i64::from(*by) => (least, most),
                _ => (0, i64::from(*by) - 1),
            },
        }
    }

    fn range(&self, index: &Index, member: usize) -> (i64, i64) {
        let (mut least, mut most) = (index.constant, index.constant);
        for (coefficient, atom) in &index.terms {
            let (from, to) = self.range_of(atom, member);
            least += (coefficient * from).min(coefficient * to);
            most += (coefficient * from).max(coefficient * to);
        }
        (least, most)
    }

    /// The number of values of an atom. A quotient or remainder is taken to have all residues equally often.
    fn extent(&self, atom: &Atom, member: usize) -> u32 {
        match atom {
            Atom::Var(var) => self.extents[var].of(member) as u32,
            Atom::Div(..) | Atom::Mod(..) => 8,
        }
    }
}

impl Selector<'_> {
    /// What an access at an offset of a stream touches.
    pub(super) fn touched(&mut self, stream: &Stream, offset: i64) -> Touched {
        let numbers: Vec<u32> = stream.terms.iter().map(|(_, atom)| self.atoms.number(atom)).collect();
        self.by_member(&|selector, member| {
            let (mut terms, mut parts) = (Vec::new(), Vec::new());
            for ((coefficient, atom), number) in stream.terms.iter().zip(&numbers) {
                let (coefficient, extent) = (coefficient.of(member), selector.atoms.extent(atom, member));
                terms.push(Term { atom: *number, coefficient, extent });
                let (least, most) = selector.atoms.range_of(atom, member);
                parts.push(Part { atom: *number, coefficient, least, most });
            }
            parts.sort_by_key(|part| part.atom);
            let (region, base) = selector.base_of(stream.buffer, member);
            let start = base + stream.window.of(member) + offset;
            Touched::new(region, Address::new(start, terms), Place { start, terms: parts })
        })
    }

    /// What a lookup touches: data decides which element.
    pub(super) fn touched_anywhere(&mut self, buffer: BufferId) -> Touched {
        let atom = self.atoms.add(None);
        self.by_member(&|selector, member| {
            let id = selector.members.buffer(member, buffer);
            let data = &selector.members.all[member].nest.buffers[id.idx()];
            let (bytes, all) = (data.elem.bytes() as i64, data.bytes() as i64);
            let (region, base) = selector.base_of(buffer, member);
            let part = Part { atom, coefficient: bytes, least: 0, most: (all / bytes - 1).max(0) };
            let address = Address::any_multiple(bytes as u32, atom).plus(base);
            Touched::new(region, address, Place { start: base, terms: vec![part] })
        })
    }

    /// The same access of each member.
    fn by_member(&self, of: &dyn Fn(&Self, usize) -> Touched) -> Touched {
        let others = (1..self.members.len()).map(|member| of(self, member)).collect();
        Touched { others, ..of(self, 0) }
    }

    /// Where a buffer of the first member begins in another, in bytes behind an address that is a multiple of 8.
    fn base_of(&self, buffer: BufferId, member: usize) -> (Region, i64) {
        match self.nest.buffers[buffer.idx()].role {
            Role::Const(_) => (Region::Flash, 0),
            Role::Param | Role::Scratch => (Region::Arena, self.offset(buffer, member)),
        }
    }
}
