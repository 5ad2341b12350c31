//! What accesses touch: the region, and the address as a sum over loop variables.

use std::collections::BTreeMap;

use ir::loops::{Atom, BufferId, Role, VarId};

use super::Selector;
use super::address::Stream;
use crate::cores::{Address, Term};
use crate::memory::{Region, Touched};

/// Numbers for everything that addresses vary with.
#[derive(Default)]
pub(super) struct Atoms {
    /// The atom of each number; none for a position that data decides.
    numbers: Vec<Option<Atom>>,
    /// Iterations of the loops entered so far.
    extents: BTreeMap<VarId, u32>,
}

impl Atoms {
    /// Tells how many values a variable has.
    pub(super) fn enter(&mut self, var: VarId, extent: u32) {
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

    /// The number of values of an atom. A quotient or remainder is taken to have all residues equally often.
    fn extent(&self, atom: &Atom) -> u32 {
        match atom {
            Atom::Var(var) => self.extents[var],
            Atom::Div(..) | Atom::Mod(..) => 8,
        }
    }
}

impl Selector<'_> {
    /// What an access at an offset of a stream touches.
    pub(super) fn touched(&mut self, stream: &Stream, offset: i64) -> Touched {
        let mut terms = Vec::new();
        for (coefficient, atom) in &stream.terms {
            let extent = self.atoms.extent(atom);
            terms.push(Term { atom: self.atoms.number(atom), coefficient: *coefficient, extent });
        }
        let (region, base) = self.base_of(stream.buffer);
        Touched { region, address: Address::new(base + stream.window + offset, terms) }
    }

    /// What a lookup touches: data decides which element.
    pub(super) fn touched_anywhere(&mut self, buffer: BufferId) -> Touched {
        let elem = self.nest.buffers[buffer.idx()].elem;
        let (region, base) = self.base_of(buffer);
        let number = self.atoms.add(None);
        Touched { region, address: Address::any_multiple(elem.bytes() as u32, number).plus(base) }
    }

    /// Where a buffer begins, in bytes behind an address that is a multiple of 8.
    fn base_of(&self, buffer: BufferId) -> (Region, i64) {
        match self.nest.buffers[buffer.idx()].role {
            Role::Const(_) => (Region::Flash, 0),
            Role::Param | Role::Scratch => (Region::Arena, self.offsets[&buffer].into()),
        }
    }
}

impl Touched {
    /// The same memory some bytes further on.
    pub(super) fn plus(&self, bytes: i64) -> Self {
        Self { region: self.region, address: self.address.plus(bytes) }
    }
}
