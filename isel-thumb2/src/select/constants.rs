//! Constants that lie together: those that loops walk through in the same steps share a pointer.
//!
//! ```text
//! a = b[4*n.o + 1]  …  c[4*n.o + 1]  …  m[4*n.o + 1]
//! =>                                              One pointer that moves by 16 bytes, and offsets for b, c and m.
//! ```
//!
//! Those of which each iteration of one loop reads a row lie row by row, whatever the lengths of their rows are:
//!
//! ```text
//! a = b[n.o, 1]  …  w[n.o, k, 1]  …  m[n.o, 3]
//! => b[0] m[0] w[0] b[1] m[1] w[1] …              One pointer that moves by the bytes of all three rows.
//! ```
//!
//! Left alone: tables that are looked into, constants that a loop reads once in an iteration, whose pointer steps by itself, if they do not lie
//! row by row, rows that are not whole words, and what together is longer than the offset of an access.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use ir::loops::{Atom, BufferId, Nest};

use super::Offsets;
use super::address::{Body, REACH, Stream, Vars, survey};
use super::members::{Member, Members, Num};
use super::rows;

/// Constants begin at multiples of this many bytes, where they lie together too.
pub const CONSTANT_ALIGN: u32 = 8;

/// How constants are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Row by row where that can be, else as in [`Way::Walks`].
    Rows,
    /// One behind the other, if loops walk through them in the same steps.
    Walks,
    /// Each by itself.
    Apart,
}

/// Which constants of a nest lie behind which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Together {
    /// The first of its group, and the distance from there in bytes.
    places: BTreeMap<BufferId, (BufferId, u32)>,
    /// Those that lie row by row.
    rows: BTreeMap<BufferId, Rows>,
    /// What other rows lie between those of a constant, in bytes, by member of a group that shares code.
    between: BTreeMap<BufferId, Vec<i64>>,
}

/// The rows of a constant among those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rows {
    /// How many.
    count: u32,
    /// Bytes of one.
    bytes: u32,
    /// Bytes from one to the next.
    pitch: u32,
}

/// Where a piece of a constant begins, and the bytes of the constant that it has.
pub type Piece = (usize, Range<usize>);

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
        Self::put(nest, Way::Rows)
    }

    /// Groups them in a way.
    pub(super) fn put(nest: &Nest, way: Way) -> Self {
        let mut together = Together::default();
        if way == Way::Apart {
            return together;
        }
        let mut walked = walked(nest);
        if way == Way::Rows {
            for group in rows::groups(nest, &|buffer| walked.get(&buffer).map(Walked::atoms)) {
                together.add_rows(nest, &group);
                walked.retain(|buffer, _| !group.contains(buffer));
            }
        }
        walked.retain(|_, walked| walked.fewest > 1);
        let mut groups: BTreeMap<&Walks, Vec<BufferId>> = BTreeMap::new();
        for (buffer, walked) in &walked {
            groups.entry(&walked.terms).or_default().push(*buffer);
        }
        groups.into_values().for_each(|group| together.add(nest, &group));
        together
    }

    /// The same under other names; what has none is left out.
    pub(super) fn renamed(&self, name: &dyn Fn(BufferId) -> Option<BufferId>) -> Self {
        let places = self.places.iter();
        let renamed = places.filter_map(|(id, (first, at))| Some((name(*id)?, (name(*first)?, *at))));
        let rows = self.rows.iter().filter_map(|(id, rows)| Some((name(*id)?, *rows)));
        Together { places: renamed.collect(), rows: rows.collect(), between: BTreeMap::new() }
    }

    /// This for code that serves several nests, the first of which it is of, if all have the same at the same distances.
    pub(super) fn for_all(mut self, others: &[Together]) -> Option<Self> {
        let kinds = |together: &Together| together.rows.keys().copied().collect::<Vec<_>>();
        let agrees = |other: &Together| other.places == self.places && kinds(other) == kinds(&self);
        if !others.iter().all(agrees) {
            return None;
        }
        for buffer in kinds(&self) {
            let all = std::iter::once(&self).chain(others).map(|one| one.rows[&buffer]);
            let between = all.map(|rows| i64::from(rows.pitch - rows.bytes)).collect();
            self.between.insert(buffer, between);
        }
        Some(self)
    }

    /// Puts the rows of a group side by side.
    fn add_rows(&mut self, nest: &Nest, group: &[BufferId]) {
        let row = |buffer: &BufferId| rows::of(nest, *buffer).expect("it has rows");
        let (mut end, mut align) = (0, rows::WORD);
        for buffer in group {
            let alignment = nest.buffers[buffer.idx()].map.align.max(rows::WORD);
            let at = u32::next_multiple_of(end, alignment);
            self.places.insert(*buffer, (group[0], at));
            end = at + row(buffer).1;
            align = align.max(alignment);
        }
        let pitch = end.next_multiple_of(align);
        for buffer in group {
            let (count, bytes) = row(buffer);
            self.rows.insert(*buffer, Rows { count, bytes, pitch });
            self.between.insert(*buffer, vec![i64::from(pitch - bytes)]);
        }
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

    /// The bytes between the rows of a constant in the nest of a member.
    pub(super) fn between(&self, buffer: BufferId, member: usize) -> i64 {
        self.between.get(&buffer).map_or(0, |by_member| by_member[member])
    }

    /// The constants that lie with `first`, itself among them, with the distance of each in bytes.
    pub fn members(&self, first: BufferId) -> Vec<(BufferId, u32)> {
        let of_group = self.places.iter().filter(|(_, (leader, _))| *leader == first);
        let members: Vec<(BufferId, u32)> = of_group.map(|(id, (_, distance))| (*id, *distance)).collect();
        if members.is_empty() { vec![(first, 0)] } else { members }
    }

    /// The constants that lie with `first`, itself among them, and pieces of each: where it begins, what it has there, in bytes.
    pub fn pieces(&self, first: BufferId, nest: &Nest) -> Vec<(BufferId, Vec<Piece>)> {
        let pieces = |(buffer, distance): (BufferId, u32)| {
            let all = nest.buffers[buffer.idx()].bytes();
            let rows = self.rows.get(&buffer);
            let Rows { count, bytes, pitch } =
                rows.copied().unwrap_or(Rows { count: 1, bytes: all as u32, pitch: 0 });
            let piece = |row: u32| {
                let from = (row * bytes) as usize;
                ((distance + row * pitch) as usize, from..from + bytes as usize)
            };
            (buffer, (0..count).map(piece).collect())
        };
        self.members(first).into_iter().map(pieces).collect()
    }
}

impl Walked {
    /// The most atoms in a sum.
    fn atoms(&self) -> usize {
        self.terms.iter().map(Vec::len).max().unwrap_or(0)
    }
}

/// The constants that loops walk through.
fn walked(nest: &Nest) -> BTreeMap<BufferId, Walked> {
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
    walked
}
