//! Where the pointers of a loop end: there the loop can end without a counter, and what comes behind it can go on.
//!
//! ```text
//! c0 = #100                              e = p0 + #1600
//! loop (p = p0 | p1, c = c0 | c1)        loop (p = p0 | p1)
//!   … [p] …                                … [p] …
//!   p1 = p + #16                           p1 = p + #16
//!   c1 = c - #1, flags             =>      flags of p1 - e
//!   back while not equal                   back while not equal
//! q = p0 + #1600
//! … [q] …                                … [p1] …
//! ```
//!
//! A counter that finds no register is brought, stepped and put back in every iteration; an end is only brought, and leaves its register
//! to others at no cost. A pointer of an outer loop that steps over all that an inner one walks through needs no register meanwhile, and no
//! step. Where there are registers enough neither gains much, so the function with its instructions in order competes with this form of itself.
//!
//! A loop ends by a pointer where its counter does nothing else, how often it runs is a constant or a word of the table of parameters,
//! and the pointer moves by such a number other than 0 on every way through the loop: from what the loop carries to what it passes on there
//! are only additions. Then the pointer meets its end in the last iteration and in none before, as the way is shorter than 2^32 bytes.
//! What comes behind goes on where the loop leaves a pointer if nothing else behind the loop reads where that began. Code has no branches
//! but those at the ends of loops, so a block that comes later is entered through the end of the loop.

mod crowded;
mod edits;
mod values;

use std::cmp::Reverse;

use crate::isa::Reg;
use crate::isa::imm::Cond;
use crate::mir::{BlockId, End, Function, Group};
use crate::select::asm;
pub use crowded::crowded;
use edits::Edits;
use values::{Values, counted};

/// The function with such of its loops ended by pointers as can be, each named by its last block, and with all pointers that can going on
/// where others end; `None` where nothing changes.
pub fn ends(function: &Function, loops: &[BlockId]) -> Option<Function> {
    let values = Values::of(function);
    let mut edits = Edits::new(function, &values);
    for last in 0..function.blocks.len() as u32 {
        let Some(turn) = Turn::of(function, BlockId(last), &values) else { continue };
        let pointers = turn.pointers(function, &values);
        if loops.contains(&BlockId(last)) {
            // The later a pointer steps the surer it is in a register at the end of the block.
            let place = |reg| values.made_at(reg).filter(|(block, _)| *block == turn.last);
            let best = pointers.iter().min_by_key(|pointer| (pointer.price(), Reverse(place(pointer.next))));
            best.into_iter().for_each(|pointer| edits.end(&turn, pointer));
        }
        pointers.iter().for_each(|pointer| edits.go_on(&turn, pointer));
    }
    edits.made()
}

/// A counted loop.
struct Turn {
    /// The block that goes into the loop, its first and its last one, and the way back.
    entry: usize,
    first: usize,
    last: usize,
    back: usize,
    /// The position of the counter among the parameters of the first block.
    counter: usize,
    /// The group of the last block that steps it.
    step: usize,
}

/// A pointer that a loop moves.
struct Pointer {
    /// Where it begins, and where it is after an iteration.
    start: Reg,
    next: Reg,
    /// Bytes from where it begins to its end, by member.
    way: Vec<i64>,
}

impl Turn {
    /// The loop that ends at a block, if all it does with its counter is to count.
    fn of(function: &Function, last: BlockId, values: &Values) -> Option<Self> {
        let block = &function.blocks[last.idx()];
        let End::Branch(Cond::Ne, back, _) = block.end else { return None };
        let latch = &function.blocks[back.idx()];
        let End::Jump(first, args) = &latch.end else { return None };
        let sets_flags = |group: &Group| group.insts.iter().any(|inst| inst.effects().sets_flags);
        let step = block.groups.iter().rposition(sets_flags)?;
        let [inst] = &block.groups[step].insts[..] else { return None };
        let (next, counter) = counted(inst)?;
        let at = function.blocks[first.idx()].params.iter().position(|param| *param == counter)?;
        let only_counts = args[at] == next && values.n_uses(counter) == 1 && values.n_uses(next) == 1;
        let leads = |at: &usize| function.blocks[*at].end.successors().contains(first);
        let mut others = (0..function.blocks.len()).filter(|at| *at != back.idx()).filter(leads);
        let entry = others.next().filter(|_| others.next().is_none())?;
        let is_plain = latch.groups.is_empty() && matches!(function.blocks[entry].end, End::Jump(..));
        let (first, last, back) = (first.idx(), last.idx(), back.idx());
        (only_counts && is_plain).then_some(Turn { entry, first, last, back, counter: at, step })
    }

    /// What the loop begins with.
    fn passed_in<'f>(&self, function: &'f Function) -> &'f [Reg] {
        passed(function, self.entry)
    }

    /// Those that it carries and whose ends are known.
    fn pointers(&self, function: &Function, values: &Values) -> Vec<Pointer> {
        let Some(trips) = self.trips(function, values) else { return Vec::new() };
        let others = (0..self.passed_in(function).len()).filter(|at| *at != self.counter);
        others.filter_map(|at| self.pointer(function, values, &trips, at)).collect()
    }

    /// How often the loop runs, by member.
    fn trips(&self, function: &Function, values: &Values) -> Option<Vec<i64>> {
        let trips = values.number(function, self.passed_in(function)[self.counter])?;
        trips.iter().all(|trips| *trips > 0).then_some(trips)
    }

    /// What the loop carries at a position, if it is a pointer with a known end.
    fn pointer(&self, function: &Function, values: &Values, trips: &[i64], at: usize) -> Option<Pointer> {
        let (carried, next) = (function.blocks[self.first].params[at], passed(function, self.back)[at]);
        let step = values.distance(function, carried, next)?;
        let way: Vec<i64> = step.iter().zip(trips).map(|(step, trips)| step * trips).collect();
        let is_short = |way: &i64| *way != 0 && way.unsigned_abs() < 1 << 32;
        let start = self.passed_in(function)[at];
        way.iter().all(is_short).then_some(Pointer { start, next, way })
    }
}

impl Pointer {
    /// The way from its start to its end, where that is the same for all members.
    fn common(&self) -> Option<i64> {
        self.way.iter().all(|way| *way == self.way[0]).then_some(self.way[0])
    }

    /// How many instructions make its end.
    fn price(&self) -> u32 {
        let one = self.common().and_then(|way| asm::add_small(self.start, self.start, way as i32));
        if one.is_some() { 1 } else { 2 }
    }
}

/// What a block passes on at its end.
fn passed(function: &Function, block: usize) -> &[Reg] {
    match &function.blocks[block].end {
        End::Jump(_, args) => args,
        End::Branch(..) | End::Return => &[],
    }
}
