//! What loads and stores touch, and how much a function moves: the counters that memory is priced with.
//!
//! Wait states and caches are not known here; a count by region is what any such model starts from.

use std::ops::AddAssign;

use crate::cores::Address;
use crate::isa::row::Access;
use crate::isa::{Inst, Reg};

/// A piece of memory with its own price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Region {
    /// Constants beside the code.
    Flash,
    /// Tensors and scratch.
    Arena,
    /// Saved registers and spilled values.
    Stack,
}

/// What a load or store touches in all its executions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Whose memory it is.
    pub region: Region,
    /// Where it begins, as far as timing asks.
    pub address: Address,
    /// Where it begins, in bytes behind the start of the region.
    pub place: Place,
    /// The same access in the other members of a group that share the code.
    pub others: Vec<Touched>,
}

/// A place in memory: `start + Σ coefficient * atom`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// In bytes.
    pub start: i64,
    /// What it varies with, by ascending atom.
    pub terms: Vec<Part>,
}

/// A part of a place that varies between two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it varies with: the same number means the same value, in one run of a block.
    pub atom: u32,
    /// Bytes for each step of it.
    pub coefficient: i64,
    /// Its least value.
    pub least: i64,
    /// Its greatest value.
    pub most: i64,
}

/// A load or store with the bytes that it touches, as far as they are known.
#[derive(Clone, Copy, Debug)]
pub struct Transfer<'a> {
    stores: bool,
    touched: Option<&'a Touched>,
    bytes: i64,
}

/// Loads and stores of some code, by region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Of constants.
    pub flash: Traffic,
    /// Of tensors and scratch.
    pub arena: Traffic,
    /// Of the function's own frame.
    pub stack: Traffic,
}

/// How often memory is read and written; an instruction that moves several registers counts once for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Registers loaded.
    pub loads: u64,
    /// Bytes that they were loaded from.
    pub load_bytes: u64,
    /// Registers stored.
    pub stores: u64,
    /// Bytes that they were stored to.
    pub store_bytes: u64,
}

impl Touched {
    /// What code of its own touches.
    pub fn new(region: Region, address: Address, place: Place) -> Self {
        Self { region, address, place, others: Vec::new() }
    }

    /// What a member of a group touches, by number.
    pub fn of_member(&self, member: usize) -> Self {
        let this = if member == 0 { self } else { self.others.get(member - 1).unwrap_or(self) };
        Self::new(this.region, this.address.clone(), this.place.clone())
    }

    /// The same memory some bytes further on.
    pub fn plus(&self, bytes: i64) -> Self {
        let place = Place { start: self.place.start + bytes, ..self.place.clone() };
        let others = self.others.iter().map(|other| other.plus(bytes)).collect();
        Self { region: self.region, address: self.address.plus(bytes), place, others }
    }

    /// Whether this many bytes of each have none in common, in every run of a block and for every member of a group.
    pub fn apart(&self, bytes: i64, other: &Touched, other_bytes: i64) -> bool {
        let mut others = self.others.iter().zip(&other.others);
        self.are_apart(bytes, other, other_bytes) && others.all(|(a, b)| a.are_apart(bytes, b, other_bytes))
    }

    fn are_apart(&self, bytes: i64, other: &Touched, other_bytes: i64) -> bool {
        if self.region != other.region {
            return true;
        }
        let (least, most) = self.place.distances(&other.place);
        least >= bytes || most <= -other_bytes
    }
}

impl<'a> Transfer<'a> {
    /// The one among these instructions, of which at most one loads or stores; `None` where there is none.
    pub fn of(insts: &[Inst], touched: Option<&'a Touched>) -> Option<Self> {
        let is_one = |inst: &&Inst| inst.mem().is_some();
        debug_assert!(insts.iter().filter(is_one).count() <= 1, "one place is known, not two");
        insts.iter().find_map(|inst| {
            let mem = inst.mem()?;
            let bytes = i64::from(mem.bytes) * inst.transferred().count() as i64;
            Some(Self { stores: mem.access == Access::Store, touched, bytes })
        })
    }

    /// Whether the order of both matters: one stores, and they are not proven apart.
    pub fn may_meet(&self, other: &Transfer) -> bool {
        match (self.touched, other.touched) {
            _ if !self.stores && !other.stores => false,
            (Some(a), Some(b)) => !a.apart(self.bytes, b, other.bytes),
            _ => true,
        }
    }
}

impl Place {
    /// The least and the greatest number of bytes from here to another place.
    fn distances(&self, to: &Place) -> (i64, i64) {
        let (mut least, mut most) = (to.start - self.start, to.start - self.start);
        let mut add = |part: &Part, coefficient: i64| {
            let ends = [part.least * coefficient, part.most * coefficient];
            least += ends[0].min(ends[1]);
            most += ends[0].max(ends[1]);
        };
        let of = |parts: &[Part], atom: u32| {
            parts.iter().find(|part| part.atom == atom).map_or(0, |part| part.coefficient)
        };
        self.terms.iter().for_each(|part| add(part, of(&to.terms, part.atom) - part.coefficient));
        let only_there = to.terms.iter().filter(|part| self.terms.iter().all(|have| have.atom != part.atom));
        only_there.for_each(|part| add(part, part.coefficient));
        (least, most)
    }
}

impl Counters {
    /// Adds `times` executions of an instruction. What touches neither constants nor the arena goes through SP.
    pub fn add(&mut self, inst: &Inst, touched: Option<&Touched>, times: u64) {
        let Some(mem) = inst.mem() else { return };
        debug_assert!(
            touched.is_some() || inst.address().any(|reg| reg == Reg::SP),
            "`{inst}` touches nothing that is known"
        );
        let traffic = match touched.map_or(Region::Stack, |touched| touched.region) {
            Region::Flash => &mut self.flash,
            Region::Arena => &mut self.arena,
            Region::Stack => &mut self.stack,
        };
        let registers = times * inst.transferred().count() as u64;
        let bytes = registers * u64::from(mem.bytes);
        match mem.access {
            Access::Load => {
                traffic.loads += registers;
                traffic.load_bytes += bytes;
            }
            Access::Store => {
                traffic.stores += registers;
                traffic.store_bytes += bytes;
            }
        }
    }

    /// Arena and stack together: both are RAM.
    pub fn ram(&self) -> Traffic {
        let mut sum = self.arena;
        sum += self.stack;
        sum
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Traffic) {
        self.loads += other.loads;
        self.load_bytes += other.load_bytes;
        self.stores += other.stores;
        self.store_bytes += other.store_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(start: i64, terms: &[(u32, i64, i64)]) -> Touched {
        let part = |(atom, coefficient, most): &(u32, i64, i64)| Part {
            atom: *atom,
            coefficient: *coefficient,
            least: 0,
            most: *most,
        };
        let place = Place { start, terms: terms.iter().map(part).collect() };
        Touched::new(Region::Arena, Address::default(), place)
    }

    #[test]
    fn the_same_terms_leave_the_distance() {
        let (a, b) = (place(0, &[(0, 4, 99), (1, 1, 3)]), place(4, &[(0, 4, 99), (1, 1, 3)]));
        assert!(a.apart(4, &b, 4) && b.apart(4, &a, 4));
        assert!(!a.apart(5, &b, 4) && !b.apart(4, &a, 5));
    }

    #[test]
    fn different_terms_meet_where_their_ranges_do() {
        let row = place(0, &[(0, 1, 63)]); // 0 to 63
        assert!(row.apart(1, &place(64, &[(1, 8, 9)]), 8));
        assert!(!row.apart(2, &place(64, &[(1, 8, 9)]), 8));
        assert!(place(64, &[(1, 8, 9)]).apart(8, &row, 1));
        assert!(!row.apart(1, &place(128, &[(1, -8, 9)]), 1)); // 56 to 128
        assert!(row.apart(1, &place(128, &[(1, -8, 8)]), 1)); // 64 to 128
        assert!(!place(8, &[(0, 1, 63)]).apart(1, &place(0, &[(0, 2, 63)]), 1));
        assert!(place(0, &[(0, 1, 63)]).apart(1, &place(1, &[(0, 2, 63)]), 1));
    }

    #[test]
    fn regions_are_apart() {
        let flash = Touched { region: Region::Flash, ..place(0, &[]) };
        assert!(flash.apart(4, &place(0, &[]), 4));
        assert!(!place(0, &[]).apart(4, &place(0, &[]), 4));
    }
}
