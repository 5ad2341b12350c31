//! Constants that lie together: those that loops walk through in the same steps share a pointer.
//!
//! ```text
//! a = b[4*n.o + 1]  …  c[4*n.o + 1]  …  m[4*n.o + 1]
//! =>                                              One pointer that moves by 16 bytes, and offsets for b, c and m.
//! ```
//!
//! Left alone: tables that are looked into, constants that a loop reads once in an iteration, whose pointer steps by itself,
//! and what together is longer than the offset of an access.

use std::collections::{BTreeMap, BTreeSet};

use ir::loops::{Atom, BufferId, Nest};

use super::Offsets;
use super::address::{Body, REACH, Stream, Vars, survey};
use super::members::{Member, Members, Num};

/// Constants begin at multiples of this many bytes, where they lie together too.
pub const CONSTANT_ALIGN: u32 = 8;

/// Which constants of a nest lie behind which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Together {
    /// The first of its group, and the distance from there in bytes.
    places: BTreeMap<BufferId, (BufferId, u32)>,
}

/// The sums of loop variables that the addresses of a constant are made of.
type Walks = BTreeSet<Vec<(Num, Atom)>>;

/// What is known of the accesses of a constant.
#[derive(Default)]
struct Walked {
    terms: Walks,
    /// The fewest accesses that one of them has.
    fewest: u32,
}

impl Together {
    /// Groups the constants of a nest.
    pub fn new(nest: &Nest) -> Self {
        let alone = Together::default();
        let offsets = Offsets::new(); // Of no use for constants.
        let members = Members::new(&[Member { nest, offsets: &offsets }]).expect("a nest is like itself");
        let found = survey(&members, Body { loops: &[], stmts: &nest.body }, &Vars::new(), &alone);
        let mut walked: BTreeMap<BufferId, Walked> = BTreeMap::new();
        for (Stream { buffer, terms, .. }, uses) in &found.streams {
            if nest.buffers[buffer.idx()].is_const() && !found.lookups.contains_key(buffer) {
                let entry = walked.entry(*buffer).or_default();
                let accesses = uses.direct + uses.inner;
                entry.fewest = if entry.terms.is_empty() { accesses } else { entry.fewest.min(accesses) };
                entry.terms.insert(terms.clone());
            }
        }
        walked.retain(|_, walked| walked.fewest > 1);
        let mut groups: BTreeMap<&Walks, Vec<BufferId>> = BTreeMap::new();
        for (buffer, walked) in &walked {
            groups.entry(&walked.terms).or_default().push(*buffer);
        }
        let mut together = Together::default();
        groups.into_values().for_each(|group| together.add(nest, &group));
        together
    }

    /// The same under other names; what has none is left out.
    pub(super) fn renamed(&self, name: &dyn Fn(BufferId) -> Option<BufferId>) -> Self {
        let places = self.places.iter();
        let renamed = places.filter_map(|(id, (first, at))| Some((name(*id)?, (name(*first)?, *at))));
        Together { places: renamed.collect() }
    }

    /// Puts a group in a row, as far as it is in reach.
    fn add(&mut self, nest: &Nest, group: &[BufferId]) {
        let mut at = 0;
        for buffer in group {
            let data = &nest.buffers[buffer.idx()];
            let start = u32::next_multiple_of(at, data.map.align.max(CONSTANT_ALIGN));
            let end = start + data.bytes() as u32;
            if i64::from(end) <= REACH {
                self.places.insert(*buffer, (group[0], start));
                at = end;
            }
        }
    }

    /// The constant whose address leads to `buffer`, and the distance from there in bytes.
    pub(super) fn place(&self, buffer: BufferId) -> (BufferId, i64) {
        let (first, distance) = self.places.get(&buffer).copied().unwrap_or((buffer, 0));
        (first, distance.into())
    }

    /// The constants that lie behind `first`, itself among them, with the distance of each in bytes.
    pub fn members(&self, first: BufferId) -> Vec<(BufferId, u32)> {
        let of_group = self.places.iter().filter(|(_, (leader, _))| *leader == first);
        let members: Vec<(BufferId, u32)> = of_group.map(|(id, (_, distance))| (*id, *distance)).collect();
        if members.is_empty() { vec![(first, 0)] } else { members }
    }
}
