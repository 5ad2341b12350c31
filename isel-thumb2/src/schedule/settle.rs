//! The order of instructions once registers are assigned: the moves that allocation added find their places.
//!
//! A move to an S register in the middle of loads costs the core the overlap of those loads. Here instructions change
//! places with close neighbors wherever registers, flags and memory allow it and the core is done sooner.

use std::collections::BTreeMap;
use std::slice;

use crate::cores::{Core, Machine};
use crate::isa::row::Access;
use crate::isa::{Class, Inst, Reg};
use crate::memory::Transfer;
use crate::regalloc::{Assigned, AssignedBlock, Coded};

/// How many instructions ahead one is looked for that could come next.
const AHEAD: usize = 12;
/// What stands for the flags, and for the GE flags, among registers.
const FLAGS: usize = 48;
const GE: usize = 49;
const N_PLACES: usize = 50;

/// The same function with the instructions of each block in a better order; `None` where the order stays.
pub fn settle(assigned: &Assigned, core: &dyn Core) -> Option<Assigned> {
    let orders: Vec<Option<Vec<Coded>>> =
        assigned.blocks.iter().map(|block| settled(&block.code, core)).collect();
    if orders.iter().all(Option::is_none) {
        return None;
    }
    let block = |(block, code): (&AssignedBlock, Option<Vec<Coded>>)| match code {
        Some(code) => AssignedBlock { code, end: block.end, count: block.count },
        None => block.clone(),
    };
    let blocks = assigned.blocks.iter().zip(orders).map(block).collect();
    Some(Assigned { blocks, slots: assigned.slots, parameters: assigned.parameters.clone() })
}

/// Instructions that stay together: one, or a conditional one with its head.
struct Unit<'a> {
    code: &'a [Coded],
    /// Units that must come before.
    before: Vec<usize>,
    loads: bool,
}

/// Instructions in a better order; `None` where it stays.
fn settled(code: &[Coded], core: &dyn Core) -> Option<Vec<Coded>> {
    let mut units = units(code);
    order_registers(&mut units);
    order_memory(&mut units);
    let mut machine = core.machine();
    let mut done = vec![false; units.len()];
    let (mut first, mut after_load, mut changes) = (0, false, false);
    let mut out = Vec::with_capacity(code.len());
    while first < units.len() {
        let ready = |at: &usize| !done[*at] && units[*at].before.iter().all(|before| done[*before]);
        let mut candidates = (first + 1..units.len().min(first + AHEAD)).filter(ready).peekable();
        let price = |at: &usize| (ticks(&*machine, &units[*at]), !(after_load && units[*at].loads), *at);
        // The first that is left waits for nothing. Where all others wait there is nothing to compare.
        let next = match candidates.peek() {
            Some(_) => std::iter::once(first).chain(candidates).min_by_key(price).unwrap_or(first),
            None => first,
        };
        changes |= next != first;
        issue(&mut *machine, &units[next]);
        (done[next], after_load) = (true, units[next].loads);
        out.extend(units[next].code.iter().cloned());
        while done.get(first).is_some_and(|done| *done) {
            first += 1;
        }
    }
    changes.then_some(out)
}

fn units(code: &[Coded]) -> Vec<Unit<'_>> {
    let mut units = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.first() {
        let n = if first.inst.class() == Class::It { 2 } else { 1 };
        let (unit, behind) = rest.split_at(n.min(rest.len()));
        let loads = unit.iter().any(|coded| coded.inst.mem().is_some_and(|mem| mem.access == Access::Load));
        units.push(Unit { code: unit, before: Vec::new(), loads });
        rest = behind;
    }
    units
}

/// What an instruction reads and writes, flags included.
fn places(inst: &Inst) -> (Vec<usize>, Vec<usize>) {
    let effects = inst.effects();
    let mut reads: Vec<usize> = inst.uses().map(Reg::index).collect();
    let mut writes: Vec<usize> = inst.defs().map(Reg::index).collect();
    if effects.reads_flags {
        reads.push(FLAGS);
        reads.extend(writes.clone()); // Where the condition fails, a register keeps what it held.
    }
    reads.extend(effects.reads_ge.then_some(GE));
    writes.extend(effects.sets_flags.then_some(FLAGS));
    writes.extend(effects.writes_ge.then_some(GE));
    (reads, writes)
}

fn order_registers(units: &mut [Unit]) {
    let mut written: [Option<usize>; N_PLACES] = [None; N_PLACES];
    let mut read: Vec<Vec<usize>> = vec![Vec::new(); N_PLACES];
    for (at, unit) in units.iter_mut().enumerate() {
        let mut before = Vec::new();
        for (reads, writes) in unit.code.iter().map(|coded| places(&coded.inst)) {
            before.extend(reads.iter().filter_map(|place| written[*place]));
            reads.iter().for_each(|place| read[*place].push(at));
            for place in writes {
                before.extend(written[place].replace(at));
                before.append(&mut read[place]);
            }
        }
        before.retain(|before| *before != at);
        before.sort_unstable();
        before.dedup();
        unit.before = before;
    }
}

/// Accesses of which one stores keep their order, unless they are proven apart.
fn order_memory(units: &mut [Unit]) {
    let mut earlier: Vec<(usize, Transfer)> = Vec::new();
    // Of words of the frame, by offset, the last that was stored.
    let mut frame: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for (at, unit) in units.iter_mut().enumerate() {
        let Some(coded) = unit.code.iter().find(|coded| coded.inst.mem().is_some()) else { continue };
        if coded.touched.is_none() {
            let offset = coded.inst.imm(b'i').unwrap_or(0);
            let others = frame.entry(offset).or_default();
            unit.before.extend(others.iter().copied());
            others.push(at);
            continue;
        }
        let Some(now) = Transfer::of(slice::from_ref(&coded.inst), coded.touched.as_deref()) else {
            continue;
        };
        unit.before.extend(earlier.iter().filter(|(_, other)| other.may_meet(&now)).map(|(at, _)| *at));
        earlier.push((at, now));
    }
}

fn ticks(machine: &dyn Machine, unit: &Unit) -> u64 {
    let mut machine = machine.fork();
    issue(&mut *machine, unit);
    machine.ticks()
}

fn issue(machine: &mut dyn Machine, unit: &Unit) {
    for coded in unit.code {
        machine.issue(&coded.inst, coded.touched.as_ref().map(|touched| &touched.address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cores::{m4::CortexM4, straight_line_cycles};
    use crate::isa::imm::{Cond, Imm12, Shift};
    use crate::isa::ops;
    use crate::memory::{Place, Region, Touched};
    use crate::select::asm;

    fn r(n: u32) -> Reg {
        Reg::core(n)
    }

    fn plain(inst: Inst) -> Coded {
        Coded { inst, reloc: None, touched: None, stmt: 0 }
    }

    /// An access through r0 at an offset, which is also its place in the arena.
    fn access(make: fn(Reg, Reg, Imm12) -> Inst, t: u32, offset: i64) -> Coded {
        let place = Place { start: offset, terms: Vec::new() };
        let touched = Some(Touched::new(Region::Arena, Default::default(), place).into());
        Coded { touched, ..plain(make(r(t), r(0), Imm12::new(offset).expect("12 bits"))) }
    }

    fn after(code: &[Coded]) -> Vec<Inst> {
        settled(code, &CortexM4).as_deref().unwrap_or(code).iter().map(|coded| coded.inst).collect()
    }

    #[test]
    fn a_move_leaves_the_group_of_loads_that_it_stands_in() {
        let code = [
            access(ops::ldr, 1, 0),
            plain(ops::vmov_to_s(Reg::s(0), r(4))),
            access(ops::ldr, 4, 4),
            plain(ops::add(r(5), r(1), r(4), Shift::NONE)),
        ];
        let insts = after(&code);
        assert_eq!(insts[..3], [code[1].inst, code[0].inst, code[2].inst]);
        assert_eq!(straight_line_cycles(&CortexM4, &insts), 5);
    }

    #[test]
    fn registers_that_are_written_over_keep_their_order() {
        let code = [
            plain(ops::add(r(1), r(2), r(3), Shift::NONE)),
            access(ops::ldr, 2, 0),
            plain(ops::add(r(4), r(1), r(2), Shift::NONE)),
            access(ops::ldr, 1, 4),
            plain(ops::add(r(5), r(1), r(4), Shift::NONE)),
        ];
        assert_eq!(after(&code), code.each_ref().map(|coded| coded.inst));
    }

    #[test]
    fn a_load_passes_a_store_only_where_they_are_apart() {
        let code = |offset| [access(ops::ldr, 2, 8), access(ops::str, 2, 4), access(ops::ldr, 3, offset)];
        let position = |offset| {
            let load = code(offset)[2].inst;
            after(&code(offset)).iter().position(|inst| *inst == load)
        };
        assert_eq!(position(0), Some(1));
        assert_eq!(position(4), Some(2));
    }

    #[test]
    fn what_is_conditional_stays_with_its_head_and_its_comparison() {
        let code = [
            plain(ops::cmp(r(1), r(2), Shift::NONE)),
            plain(asm::it(Cond::Lt)),
            plain(asm::mov_if(Cond::Lt, r(3), r(1))),
            plain(ops::subs_imm(r(4), r(4), asm::small(1))),
            access(ops::ldr, 5, 0),
        ];
        let insts = after(&code);
        let at = |inst: &Inst| insts.iter().position(|have| have == inst).expect("it is still there");
        assert_eq!(at(&code[2].inst), at(&code[1].inst) + 1);
        assert!(at(&code[0].inst) < at(&code[1].inst) && at(&code[2].inst) < at(&code[3].inst));
    }
}
