//! A schedule that grows with the nest that it makes.

use std::collections::{BTreeMap, BTreeSet};

use ir::diag::Diagnostic;
use ir::loops::walk::blocks;
use ir::loops::{BufferId, Loop, Nest, Stmt, VarId};
use ir::ty::Ty;

use crate::loops::edit::{axes_within, loops, visit_loads};
use crate::loops::footprint::reads;
use crate::loops::{interleave, narrow, winograd};
use crate::proofs::accumulators::{Interval, values};
use crate::schedule::Schedule;

/// Types that are narrower than those of tables, the narrowest first.
const NARROW: &[Ty] = &[Ty::I8, Ty::U8, Ty::I16, Ty::U16];
/// Bytes that a narrower type has to save: layers whose tables have other types do not share their code.
const WORTH_A_TYPE: usize = 96;

/// Steps, and the nest that they lead to.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The nest after all steps.
    pub nest: Nest,
    /// The lines of the schedule, each with one step or several.
    pub lines: Vec<String>,
}

/// Stores of a copy that is repeated in full, for each step that a copy is repeated for.
const MANY_STORES: u32 = 8;

/// That a step of a draft is not legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck;

impl Draft {
    /// No steps yet.
    pub fn new(nest: &Nest) -> Self {
        Self { nest: nest.clone(), lines: Vec::new() }
    }

    /// Appends steps that the draft cannot do without.
    pub fn step(&mut self, steps: impl Into<String>) -> Result<(), Stuck> {
        if self.attempt(steps) { Ok(()) } else { Err(Stuck) }
    }

    /// Appends steps where all of them are legal; tells whether they are.
    pub fn attempt(&mut self, steps: impl Into<String>) -> bool {
        let steps = steps.into();
        match self.applied(&steps) {
            Ok(nest) => {
                self.nest = nest;
                self.lines.push(steps);
                true
            }
            Err(_) => false,
        }
    }

    /// Appends the first of these that is legal; tells whether one is.
    pub fn first_of(&mut self, alternatives: &[&str]) -> bool {
        alternatives.iter().any(|steps| self.attempt(*steps))
    }

    /// The loop of this name, if there is exactly one.
    pub fn axis(&self, name: &str) -> Option<Loop> {
        let named = |l: &Loop| self.nest.vars[l.var.idx()] == name;
        let mut found = loops(&self.nest).into_iter().filter(named);
        let only = found.next()?;
        found.next().is_none().then_some(only)
    }

    /// The extent of the loop of this name; 0 where there is no such loop.
    pub fn extent(&self, name: &str) -> u32 {
        self.axis(name).map_or(0, |l| l.extent)
    }

    /// The names of all loops, in the order of the text.
    pub fn loop_names(&self) -> Vec<String> {
        loops(&self.nest).into_iter().map(|l| self.nest.vars[l.var.idx()].clone()).collect()
    }

    /// The constants that the body reads whose names begin with that of one they are made from.
    pub fn constants_read(&self, from: &str) -> Vec<String> {
        let mut body = self.nest.body.clone();
        let named =
            |name: &str| name == from || name.strip_prefix(from).is_some_and(|rest| rest.starts_with('_'));
        let found = self.nest.buffers_where(|buffer| buffer.is_const() && named(&buffer.name));
        let read: Vec<BufferId> = found.filter(|buffer| !reads(&mut body, *buffer).is_empty()).collect();
        read.into_iter().map(|buffer| self.nest.buffers[buffer.idx()].name.clone()).collect()
    }

    /// Repeats the body of a loop in the code: all of it up to `most` iterations, else the greatest part of
    /// them that divides the extent, and that only where it is more than one.
    pub fn repeat(&mut self, axis: &str, most: u32) {
        let extent = self.extent(axis);
        let divides = |count: &u32| extent.is_multiple_of(*count);
        match (2..=most.min(extent)).rev().find(divides) {
            Some(count) if count == extent => drop(self.attempt(format!("unroll {axis}"))),
            Some(count) => drop(self.attempt(format!("unroll {axis} {count}"))),
            None => {}
        }
    }

    /// Repeats the body of a loop of short steps, the last ones by themselves where hardly any number divides the extent.
    pub fn repeat_short(&mut self, axis: &str, most: u32) {
        let extent = self.extent(axis);
        let divisor = (1..=most.min(extent)).rev().find(|count| extent.is_multiple_of(*count)).unwrap_or(1);
        if 2 * divisor < most.min(extent) {
            let before = self.loop_names();
            self.attempt(format!("peel {axis} {}", extent % most));
            let rest: Vec<String> =
                self.loop_names().into_iter().filter(|name| !before.contains(name)).collect();
            rest.iter().for_each(|rest| self.repeat(rest, most));
        }
        self.repeat(axis, most);
    }

    /// Appends a step that fills a panel, and repeats the innermost of the loops that fill it.
    pub fn fill(&mut self, steps: impl Into<String>, most: u32) -> Result<(), Stuck> {
        let before = self.loop_names();
        self.step(steps)?;
        let made: Vec<String> = self.loop_names().into_iter().filter(|name| !before.contains(name)).collect();
        let inner: Vec<&String> = made.iter().filter(|name| self.is_innermost(name)).collect();
        inner.into_iter().for_each(|name| self.repeat_short(name, most));
        Ok(())
    }

    /// The same, where the innermost loops are repeated the first of these numbers of times that divides their extents.
    pub fn fill_alike(&mut self, steps: impl Into<String>, counts: &[u32]) -> Result<(), Stuck> {
        let before = self.loop_names();
        self.step(steps)?;
        let made: Vec<String> = self.loop_names().into_iter().filter(|name| !before.contains(name)).collect();
        for name in made.iter().filter(|name| self.is_innermost(name)).cloned().collect::<Vec<_>>() {
            let extent = self.extent(&name);
            if let Some(count) = counts.iter().find(|count| extent.is_multiple_of(**count)) {
                self.attempt(format!("unroll {name} {count}"));
            }
        }
        Ok(())
    }

    /// The same, and repeats loops around in full as long as that makes few stores in all.
    pub fn fill_in_full(&mut self, steps: impl Into<String>, most: u32) -> Result<(), Stuck> {
        let before = self.loop_names();
        self.fill(steps, most)?;
        let made: Vec<String> = self.loop_names().into_iter().filter(|name| !before.contains(name)).collect();
        for name in made.iter().rev().filter(|name| !self.is_innermost(name)).cloned().collect::<Vec<_>>() {
            let stores = self.axis(&name).map_or(0, |l| stores_of(&self.nest.body, l.var));
            if stores <= MANY_STORES * most {
                self.attempt(format!("unroll {name}"));
            }
        }
        Ok(())
    }

    /// Keeps of the tables only what is read, and in as few bytes as its values need.
    pub fn shrink_tables(&mut self) {
        if self.lines.iter().any(|line| line.starts_with(interleave::STEP.name)) {
            return; // Only what is read is in a stream.
        }
        for table in tables(&self.nest) {
            let name = self.nest.buffers[table.idx()].name.clone();
            let whole = format!("pack {name}");
            let narrow = narrowest(&self.nest, table).map(|ty| format!("{whole} {ty}"));
            let before = constant_bytes(&self.nest);
            let tried = [narrow.map(|steps| (steps, WORTH_A_TYPE)), Some((whole, 1))];
            for (steps, worth) in tried.into_iter().flatten() {
                let Ok(nest) = self.applied(&steps) else { continue };
                let (steps, nest, worth) = self.narrowed_parts(table, &steps, nest, worth);
                if constant_bytes(&nest) + worth <= before {
                    self.nest = nest;
                    self.lines.push(steps);
                    break;
                }
            }
        }
    }

    /// The steps that took a table apart, its nest, and what that has to save; with narrower types for parts whose values need less than those of the whole.
    fn narrowed_parts(
        &self,
        table: BufferId,
        steps: &str,
        nest: Nest,
        worth: usize,
    ) -> (String, Nest, usize) {
        let (mut steps, mut nest, mut worth) = (steps.to_string(), nest, worth);
        let parts: Vec<BufferId> =
            tables(&nest).into_iter().filter(|part| part.idx() >= self.nest.buffers.len()).collect();
        if narrowest(&self.nest, table).is_some() {
            return (steps, nest, worth);
        }
        for part in parts {
            let Some(ty) = narrowest(&nest, part) else { continue };
            let narrow = format!("pack {} {ty}", nest.buffers[part.idx()].name);
            let before = constant_bytes(&nest);
            let Ok(narrower) = applied(&nest, &narrow) else { continue };
            if constant_bytes(&narrower) + WORTH_A_TYPE <= before {
                (steps, nest, worth) = (format!("{steps}; {narrow}"), narrower, WORTH_A_TYPE);
            }
        }
        (steps, nest, worth)
    }

    /// The draft with pairs of weights stored as bytes, where it has any, in a way that the end of the step names.
    pub fn narrowed(&self, way: &str) -> Option<Draft> {
        let in_pairs = |buffer: &BufferId| narrow::holds_pairs(&self.nest.buffers[buffer.idx()]);
        let constants: Vec<BufferId> = read_constants(&self.nest).into_iter().filter(in_pairs).collect();
        let names: Vec<&str> =
            constants.iter().map(|buffer| self.nest.buffers[buffer.idx()].name.as_str()).collect();
        let mut narrowed = self.clone();
        (!names.is_empty() && narrowed.attempt(format!("narrow {}{way}", names.join(" "))))
            .then_some(narrowed)
    }

    fn is_innermost(&self, axis: &str) -> bool {
        self.axis(axis).is_some_and(|l| axes_within(&self.nest, l.var).len() == 1)
    }

    /// Whether it computes with other weights than the model has, of which there are more.
    pub fn transforms_weights(&self) -> bool {
        self.lines.iter().any(|line| line.starts_with(winograd::STEP.name))
    }

    /// The text of the schedule: its lines without scope.
    pub fn text(&self) -> String {
        self.lines.iter().map(|line| format!("  {line}\n")).collect()
    }

    fn applied(&self, steps: &str) -> Result<Nest, Diagnostic> {
        applied(&self.nest, steps)
    }
}

/// The stores that the code would have for a loop that is repeated in full.
fn stores_of(block: &[Stmt], var: VarId) -> u32 {
    let of_stmt = |stmt: &Stmt| match stmt {
        Stmt::For(l, body) if l.var == var => l.extent * stores(body),
        _ => blocks(stmt).into_iter().map(|block| stores_of(block, var)).sum(),
    };
    block.iter().map(of_stmt).sum()
}

/// The stores that the code has.
fn stores(block: &[Stmt]) -> u32 {
    let of_stmt = |stmt: &Stmt| match stmt {
        Stmt::For(l, body) => stores(body) * if l.unroll { l.extent } else { 1 },
        Stmt::Store(..) => 1,
        _ => 0,
    };
    block.iter().map(of_stmt).sum()
}

/// A nest after some steps.
fn applied(nest: &Nest, steps: &str) -> Result<Nest, Diagnostic> {
    Schedule::parse_steps(steps)?.applied_to(nest)
}

/// The constants of words that the body reads.
fn tables(nest: &Nest) -> Vec<BufferId> {
    let is_table = |buffer: &BufferId| nest.buffers[buffer.idx()].elem == Ty::I32;
    read_constants(nest).into_iter().filter(is_table).collect()
}

/// The constants that the body reads.
fn read_constants(nest: &Nest) -> BTreeSet<BufferId> {
    let mut found = BTreeSet::new();
    visit_loads(&mut nest.body.clone(), &mut BTreeMap::new(), &mut |access, _| {
        found.extend(nest.buffers[access.buffer.idx()].is_const().then_some(access.buffer));
    });
    found
}

/// The narrowest type that holds all elements of a table, if that is narrower than the table's.
fn narrowest(nest: &Nest, table: BufferId) -> Option<Ty> {
    let Interval { low, high } = values(nest, table).ok()?;
    let holds = |ty: &&Ty| {
        let of_type = Interval::of_type(**ty);
        of_type.low <= low && high <= of_type.high
    };
    NARROW.iter().find(holds).copied()
}

/// Bytes of the constants that the body reads.
fn constant_bytes(nest: &Nest) -> usize {
    read_constants(nest).into_iter().map(|buffer| nest.buffers[buffer.idx()].bytes()).sum()
}
