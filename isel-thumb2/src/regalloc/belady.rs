//! An allocator for kernels at full register pressure: whatever is needed furthest in the future leaves its register.
//!
//! Blocks are visited in order, each with the places of all values at its start. Within a block the choice is Belady's, so that
//! straight-line code reloads as little as can be. A loop starts with what it uses soonest, and ends by moving everything back to
//! where its start has it; what comes into a register is put where the loop wants it, or else where nothing will be wanted
//! meanwhile, so that there is little to move. A value that would be stored within a loop it does not belong to is stored
//! once, where it is defined: then the visit begins anew.

use std::collections::{BTreeMap, BTreeSet};

use regalloc2::{
    Allocation, Edit, Inst as RaInst, Operand, OperandConstraint, OperandKind, OperandPos, Output, PReg,
    ProgPoint, RegClass as RaClass, SpillSlot,
};

use super::moves::{Move, Place, sequence};
use super::next_use::{Ahead, FAR, NEVER, NextUse, Value};
use super::slots;
use super::view::View;
use super::{Allocator, Failure};

/// The registers, those that cost no save first.
const REGISTERS: [usize; 14] = [0, 1, 2, 3, 12, 4, 5, 6, 7, 8, 9, 10, 11, 14];
/// How often the visit may begin anew.
const MOST_VISITS: usize = 16;

/// The allocator.
pub struct Belady;

impl Allocator for Belady {
    fn allocate(&self, view: &View) -> Result<Output, Failure> {
        allocate(view, true)
    }

    fn allocate_plainly(&self, view: &View) -> Option<Result<Output, Failure>> {
        Some(allocate(view, false))
    }
}

/// Allocates; with `turns` the moves on the way back of a loop come before its branch where they can.
fn allocate(view: &View, turns: bool) -> Result<Output, Failure> {
    let next_use = NextUse::new(view);
    let mut store_at_home = BTreeSet::new();
    for _ in 0..MOST_VISITS {
        let known = store_at_home.len();
        let mut visit = Visit { turns, ..Visit::new(view, &next_use, &mut store_at_home) };
        (0..view.blocks.len()).try_for_each(|block| visit.block(block))?;
        let (edits, allocs, offsets) = (visit.edits, visit.allocs, visit.offsets);
        if store_at_home.len() == known {
            return Ok(slots::finish(view, &next_use, edits, allocs, offsets));
        }
    }
    Err(Failure("values go on to be stored in loops that they do not belong to".into()))
}

/// A move between places, before or after an instruction.
pub(super) type PlacedMove = (ProgPoint, Move);

/// Where every value is at one point.
#[derive(Clone, Default)]
struct State {
    /// What each register holds, by number.
    held: [Option<Value>; 16],
    /// The values that have been stored.
    stored: BTreeSet<Value>,
}

impl State {
    fn register(&self, value: Value) -> Option<usize> {
        REGISTERS.into_iter().find(|reg| self.held[*reg] == Some(value))
    }
}

struct Visit<'a> {
    view: &'a View,
    next_use: &'a NextUse,
    /// The uses behind the current instruction.
    ahead: Ahead<'a>,
    store_at_home: &'a mut BTreeSet<Value>,
    /// The places at the start of each block, once the first block before it has been visited.
    starts: Vec<Option<State>>,
    /// Whether the moves on the way back of a loop come before its branch where they can.
    turns: bool,
    /// Ways back of loops that have nothing left to move.
    arranged: BTreeSet<usize>,
    state: State,
    /// The registers that values should end up in.
    wanted: BTreeMap<Value, usize>,
    block: usize,
    /// Position in the block, and the instruction there.
    position: u32,
    inst: RaInst,
    /// Values that came into being for the time of one instruction or of a move.
    n_values: Value,
    edits: Vec<PlacedMove>,
    allocs: Vec<Allocation>,
    offsets: Vec<u32>,
}

impl<'a> Visit<'a> {
    fn new(view: &'a View, next_use: &'a NextUse, store_at_home: &'a mut BTreeSet<Value>) -> Self {
        let mut starts = vec![None; view.blocks.len()];
        starts[0] = Some(State::default());
        Self {
            view,
            next_use,
            ahead: Ahead::new(next_use),
            store_at_home,
            starts,
            turns: true,
            arranged: BTreeSet::new(),
            state: State::default(),
            wanted: BTreeMap::new(),
            block: 0,
            position: 0,
            inst: RaInst::new(0),
            n_values: view.n_regs,
            edits: Vec::new(),
            allocs: Vec::new(),
            offsets: Vec::new(),
        }
    }

    fn block(&mut self, block: usize) -> Result<(), Failure> {
        self.block = block;
        self.state = self.starts[block]
            .clone()
            .ok_or_else(|| Failure(format!("block {block} comes before its predecessors")))?;
        let live = self.next_use.live_in(block);
        self.wanted.retain(|value, _| self.next_use.home(*value) >= block || live.contains_key(value));
        self.ahead.enter(self.view, block);
        let data = &self.view.blocks[block];
        for (position, inst) in data.insts.iter().enumerate() {
            (self.position, self.inst) = (position as u32, inst);
            self.ahead.pass(self.view);
            if position == 0 {
                data.params
                    .iter()
                    .for_each(|param| self.store_at_definition(param.vreg(), ProgPoint::before(inst)));
            }
            self.instruction()?;
        }
        self.leave();
        Ok(())
    }

    /// The distance of the next use from behind the current instruction.
    fn distance(&self, value: Value) -> u32 {
        self.ahead.distance(value)
    }

    fn instruction(&mut self) -> Result<(), Failure> {
        let operands = &self.view.operands[self.inst.index()];
        if operands.is_empty() {
            self.offsets.push(self.allocs.len() as u32);
            return Ok(()); // The end of a block: what it passes on is needed until `leave`.
        }
        let of = |kind| operands.iter().filter(move |operand| operand.kind() == kind);
        let uses: Vec<Value> = of(OperandKind::Use).map(|operand| operand.vreg().vreg()).collect();
        self.clear_fixed(operands)?;
        let mut taken: Vec<usize> = fixed(operands).collect();
        for operand in of(OperandKind::Use) {
            let reg = self.bring(operand, &uses, &taken)?;
            taken.push(reg);
        }
        let mut allocs: Vec<usize> =
            uses.iter().map(|value| self.state.register(*value).expect("it was brought")).collect();
        let late: Vec<usize> = of(OperandKind::Use)
            .zip(&allocs)
            .filter(|(operand, _)| operand.pos() == OperandPos::Late)
            .map(|(_, reg)| *reg)
            .collect();

        let mut defined: Vec<(Value, usize)> = Vec::new();
        for operand in of(OperandKind::Def) {
            if let OperandConstraint::Reuse(at) = operand.constraint() {
                let result = operand.vreg().vreg();
                allocs[at] = self.writable((uses[at], result), allocs[at], &taken, &defined)?;
                taken.push(allocs[at]);
                defined.push((result, allocs[at]));
            }
        }
        for value in &uses {
            let reg = self.state.register(*value);
            if self.distance(*value) == NEVER
                && let Some(reg) = reg.filter(|reg| !late.contains(reg))
            {
                self.state.held[reg] = None;
            }
        }
        let dying: Vec<usize> = allocs.iter().rev().copied().filter(|reg| !late.contains(reg)).collect();
        for operand in of(OperandKind::Def) {
            let value = operand.vreg().vreg();
            let reg = match operand.constraint() {
                OperandConstraint::Reuse(at) => allocs[at],
                OperandConstraint::FixedReg(reg) => reg.hw_enc(),
                _ => self.result_register(value, &dying, &late, &defined)?,
            };
            if !defined.iter().any(|(have, _)| *have == value) {
                defined.push((value, reg));
            }
            self.state.held[reg] = Some(value);
            allocs.push(reg);
        }
        self.offsets.push(self.allocs.len() as u32);
        self.allocs.extend(allocs.iter().map(|reg| Allocation::reg(PReg::new(*reg, RaClass::Int))));
        for (value, _) in defined {
            self.store_at_definition(value, ProgPoint::after(self.inst));
        }
        for reg in REGISTERS {
            if self.state.held[reg].is_some_and(|value| self.distance(value) == NEVER) {
                self.state.held[reg] = None;
            }
        }
        Ok(())
    }

    /// Moves what lives on out of the registers that this instruction names.
    fn clear_fixed(&mut self, operands: &[Operand]) -> Result<(), Failure> {
        let named: Vec<usize> = fixed(operands).collect();
        for operand in operands {
            let OperandConstraint::FixedReg(reg) = operand.constraint() else { continue };
            let reg = reg.hw_enc();
            let Some(value) = self.state.held[reg].filter(|value| *value != operand.vreg().vreg()) else {
                continue;
            };
            let read_here =
                operands.iter().any(|other| other.kind() == OperandKind::Use && other.vreg().vreg() == value);
            if self.distance(value) == NEVER && !read_here {
                self.state.held[reg] = None;
                continue;
            }
            let to = self.free(value, &[], &named).map_or_else(|| self.evict(&named, operands), Ok)?;
            self.emit(Place::Register(reg), Place::Register(to));
            self.state.held[reg] = None;
            self.state.held[to] = Some(value);
        }
        Ok(())
    }

    /// Brings an operand into a register.
    fn bring(&mut self, operand: &Operand, uses: &[Value], taken: &[usize]) -> Result<usize, Failure> {
        let value = operand.vreg().vreg();
        let have = self.state.register(value);
        if let OperandConstraint::FixedReg(wanted) = operand.constraint() {
            let wanted = wanted.hw_enc();
            if have != Some(wanted) {
                let from = have.map_or(Place::Slot(value), Place::Register);
                self.emit(from, Place::Register(wanted));
                if let Some(have) = have {
                    self.state.held[have] = None;
                }
                self.state.held[wanted] = Some(value);
            }
            return Ok(wanted);
        }
        if let Some(have) = have {
            return Ok(have);
        }
        let keep: Vec<usize> = uses
            .iter()
            .filter_map(|value| self.state.register(*value))
            .chain(taken.iter().copied())
            .collect();
        let to = self.free(value, &[], &keep).map_or_else(|| self.evict(&keep, &[]), Ok)?;
        self.emit(Place::Slot(value), Place::Register(to));
        self.state.held[to] = Some(value);
        Ok(to)
    }

    /// The register of an operand that will be written over: its own, or that of a copy where it lives on.
    fn writable(
        &mut self,
        (value, result): (Value, Value),
        reg: usize,
        taken: &[usize],
        defined: &[(Value, usize)],
    ) -> Result<usize, Failure> {
        if self.distance(value) == NEVER {
            self.state.held[reg] = None;
            return Ok(reg);
        }
        let keep: Vec<usize> = taken.iter().copied().chain(defined.iter().map(|(_, reg)| *reg)).collect();
        let copy = self.free(result, &[], &keep).map_or_else(|| self.evict(&keep, &[]), Ok)?;
        self.emit(Place::Register(reg), Place::Register(copy));
        Ok(copy)
    }

    /// A register for a result: where it is wanted, where an operand ends, any other, or that of the value needed last.
    fn result_register(
        &mut self,
        value: Value,
        dying: &[usize],
        late: &[usize],
        defined: &[(Value, usize)],
    ) -> Result<usize, Failure> {
        let keep: Vec<usize> = late.iter().copied().chain(defined.iter().map(|(_, reg)| *reg)).collect();
        self.free(value, dying, &keep).map_or_else(|| self.evict(&keep, &[]), Ok)
    }

    /// A register that holds nothing, for a value: where it should end up, then one that no other value will be waiting for meanwhile; of
    /// both kinds those in `first` come first.
    fn free(&self, value: Value, first: &[usize], keep: &[usize]) -> Option<usize> {
        let free = |reg: &usize| self.state.held[*reg].is_none() && !keep.contains(reg);
        if let Some(reg) = self.wanted.get(&value).filter(|reg| free(reg)) {
            return Some(*reg);
        }
        let order = || first.iter().copied().chain(REGISTERS).filter(free);
        order().next()?; // Most often, where registers are short.
        let waited_for = self.waited_for(value);
        order().find(|reg| !waited_for.contains(reg)).or_else(|| order().next())
    }

    /// The registers that other values are to be put into before the last use of a value.
    fn waited_for(&self, value: Value) -> Vec<usize> {
        let end = self.ahead.last(value);
        let comes_too_soon =
            |other: &Value| *other != value && self.comes_at(*other).is_some_and(|at| at < end);
        self.wanted.iter().filter(|(other, _)| comes_too_soon(other)).map(|(_, reg)| *reg).collect()
    }

    /// The position in the block where a value will be put into a register, behind the current one; the end of the block for a later one.
    fn comes_at(&self, value: Value) -> Option<u32> {
        let home = self.next_use.home(value);
        if home > self.block {
            return Some(NEVER);
        }
        if home == self.block
            && let Some(at) = self.next_use.defined_at(value)
            && at > self.position
        {
            return Some(at);
        }
        let distance = self.distance(value);
        (distance != NEVER && self.state.register(value).is_none())
            .then(|| self.position.saturating_add(1 + distance))
    }

    /// Empties the register whose value is needed last; one that this instruction reads stays where it is.
    fn evict(&mut self, keep: &[usize], operands: &[Operand]) -> Result<usize, Failure> {
        let read = |value: Value| {
            operands
                .iter()
                .any(|operand| operand.kind() == OperandKind::Use && operand.vreg().vreg() == value)
        };
        let candidates = REGISTERS
            .into_iter()
            .filter(|reg| !keep.contains(reg) && !self.state.held[*reg].is_some_and(read));
        let last =
            candidates.max_by_key(|reg| self.state.held[*reg].map_or(NEVER, |value| self.distance(value)));
        let reg = last.ok_or_else(|| Failure("an instruction needs more registers than there are".into()))?;
        if let Some(value) = self.state.held[reg].take() {
            self.store(value, reg);
        }
        Ok(reg)
    }

    /// Stores a value before the current instruction, unless it is stored already.
    fn store(&mut self, value: Value, reg: usize) {
        if self.state.stored.insert(value) {
            if self.next_use.depth(self.block) > self.next_use.depth_of(value) {
                self.store_at_home.insert(value);
            }
            self.emit(Place::Register(reg), Place::Slot(value));
        }
    }

    fn store_at_definition(&mut self, value: Value, at: ProgPoint) {
        if self.store_at_home.contains(&value)
            && let Some(reg) = self.state.register(value)
            && self.state.stored.insert(value)
        {
            self.edits.push((at, Move { from: Place::Register(reg), to: Place::Slot(value) }));
        }
    }

    fn emit(&mut self, from: Place, to: Place) {
        self.edits.push((ProgPoint::before(self.inst), Move { from, to }));
    }

    /// Hands the state at the end of the block to its successors.
    fn leave(&mut self) {
        let data = &self.view.blocks[self.block];
        if self.arranged.contains(&self.block) {
            return;
        }
        if let Some((latch, header, exit)) = self.turns.then(|| self.turn()).flatten() {
            self.arrange(latch, header);
            self.starts[latch] = Some(self.inherited(latch));
            self.starts[exit] = Some(self.inherited(exit));
            self.arranged.insert(latch);
            return;
        }
        for successor in &data.successors {
            let next = successor.index();
            let params: Vec<Value> = self.view.blocks[next].params.iter().map(|param| param.vreg()).collect();
            if self.starts[next].is_none() {
                let start = if data.successors.len() == 1 {
                    self.start_of(next, &params)
                } else {
                    self.inherited(next)
                };
                if let Some(last) = self.next_use.loop_end(next) {
                    self.want(last, &params, &start);
                }
                self.starts[next] = Some(start);
            }
            if data.successors.len() == 1 {
                let args: Vec<Value> = data.args.iter().map(|arg| arg.vreg()).collect();
                self.reach(next, &params, &args);
            }
        }
    }

    /// The way back of a loop that ends here, its first block, and the way out: where nothing but the end of this block
    /// needs code on the way back.
    fn turn(&self) -> Option<(usize, usize, usize)> {
        let [taken, other] = self.view.blocks[self.block].successors[..] else { return None };
        let (latch, exit) = (taken.index(), other.index());
        let data = &self.view.blocks[latch];
        let [header] = data.successors[..] else { return None };
        let header = header.index();
        let params = &self.view.blocks[header].params;
        let apart = params.iter().all(|param| !self.next_use.live_in(exit).contains_key(&param.vreg()));
        let plain = data.insts.len() == 1 && data.params.is_empty() && data.predecessors.len() == 1;
        let new = self.starts[latch].is_none() && self.starts[exit].is_none();
        (plain && apart && new && header <= self.block && self.starts[header].is_some())
            .then_some((latch, header, exit))
    }

    /// Moves everything to where the loop starts with it, before the branch that decides whether it starts again. Then the way
    /// back is the branch alone. What only the way out needs goes where that leaves it.
    fn arrange(&mut self, latch: usize, header: usize) {
        let start = self.starts[header].clone().expect("the loop was entered");
        let params: Vec<Value> = self.view.blocks[header].params.iter().map(|param| param.vreg()).collect();
        let args: Vec<Value> = self.view.blocks[latch].args.iter().map(|arg| arg.vreg()).collect();
        let source =
            |value: Value| params.iter().position(|param| *param == value).map_or(value, |at| args[at]);
        let mut moves = self.moves_to(header, &params, &args);
        let mut after =
            State { held: start.held.map(|held| held.map(source)), stored: self.state.stored.clone() };
        let unmoved = |value: &Value| source(*value) == *value;
        after.stored.extend(start.stored.iter().copied().filter(unmoved));

        let exits = self.view.blocks[self.block].successors.iter().map(|to| to.index());
        let needed: BTreeSet<Value> =
            exits.flat_map(|to| self.next_use.live_in(to).keys().copied()).collect();
        for reg in REGISTERS {
            let Some(value) = self.state.held[reg].filter(|value| needed.contains(value)) else { continue };
            if after.register(value).is_some() || after.stored.contains(&value) {
                continue;
            }
            let free = |to: &usize| {
                after.held[*to].is_none()
                    && self.state.held[*to].is_none_or(|have| have == value || !needed.contains(&have))
            };
            let to = Some(reg).filter(free).or_else(|| REGISTERS.into_iter().find(free));
            if let Some(to) = to {
                moves.push(Move { from: Place::Register(reg), to: Place::Register(to) });
                after.held[to] = Some(value);
            } else {
                moves.push(Move { from: Place::Register(reg), to: Place::Slot(value) });
                after.stored.insert(value);
                if self.next_use.depth(self.block) > self.next_use.depth_of(value) {
                    self.store_at_home.insert(value);
                }
            }
        }
        self.sequence(moves, &after);
        self.state = after;
    }

    /// What a block that is only entered from here begins with.
    fn inherited(&self, next: usize) -> State {
        let mut start = self.state.clone();
        let lives = |value: &Value| self.next_use.live_in(next).contains_key(value);
        start.held.iter_mut().for_each(|held| *held = held.filter(lives));
        start.stored.retain(lives);
        start
    }

    /// What a block begins with that several blocks lead to: what it uses soonest is in registers.
    fn start_of(&self, next: usize, params: &[Value]) -> State {
        let live = self.next_use.live_in(next);
        let mut near: Vec<(u32, Value)> = live.iter().map(|(value, distance)| (*distance, *value)).collect();
        near.sort_unstable();
        let pressure =
            self.next_use.loop_end(next).map_or(0, |last| self.next_use.pressure(self.view, next, last));
        let used = near.iter().filter(|(distance, _)| *distance < FAR).count();
        let room = REGISTERS.len().saturating_sub(pressure.max(used));
        let chosen = near.iter().take((used + room).min(REGISTERS.len())).map(|(_, value)| *value);

        let mut start = State {
            held: [None; 16],
            stored: self.state.stored.iter().copied().filter(|value| live.contains_key(value)).collect(),
        };
        let chosen: Vec<Value> = chosen.collect();
        let (new, old): (Vec<Value>, Vec<Value>) = chosen.iter().partition(|value| params.contains(value));
        for value in &old {
            if let Some(reg) = self.state.register(*value) {
                start.held[reg] = Some(*value);
            }
        }
        // A parameter stays where its argument is, if that ends here; what is left takes registers that nothing is in.
        let args: Vec<Value> = self.view.blocks[self.block].args.iter().map(|arg| arg.vreg()).collect();
        for value in &new {
            let arg = params.iter().position(|param| param == value).map(|at| args[at]);
            if let Some(reg) =
                arg.and_then(|arg| self.state.register(arg)).filter(|reg| start.held[*reg].is_none())
            {
                start.held[reg] = Some(*value);
            }
        }
        for value in old.iter().chain(&new) {
            if start.register(*value).is_none() {
                let free = |reg: &usize| start.held[*reg].is_none();
                let untouched = |reg: &usize| self.state.held[*reg].is_none();
                let reg = REGISTERS
                    .into_iter()
                    .filter(free)
                    .find(untouched)
                    .or_else(|| REGISTERS.into_iter().find(free));
                start.held[reg.expect("no more values are chosen than there are registers")] = Some(*value);
            }
        }
        let outside: Vec<Value> =
            live.keys().copied().filter(|value| start.register(*value).is_none()).collect();
        start.stored.extend(outside);
        start
    }

    /// Notes where the last block of a loop should have what the first one starts with.
    fn want(&mut self, last: usize, params: &[Value], start: &State) {
        for (reg, value) in start.held.iter().enumerate() {
            if let Some(value) = value.filter(|value| !params.contains(value)) {
                self.wanted.insert(value, reg);
            }
        }
        for (param, arg) in params.iter().zip(&self.view.blocks[last].args) {
            if let Some(reg) = start.register(*param) {
                self.wanted.insert(arg.vreg(), reg);
            }
        }
    }

    /// Moves everything to where the next block has it at its start.
    fn reach(&mut self, next: usize, params: &[Value], args: &[Value]) {
        let moves = self.moves_to(next, params, args);
        let start = self.starts[next].clone().expect("it has just been made");
        self.sequence(moves, &start);
    }

    /// The moves to where the next block has everything at its start.
    fn moves_to(&mut self, next: usize, params: &[Value], args: &[Value]) -> Vec<Move> {
        let start = self.starts[next].clone().expect("it has just been made");
        let here = |value: Value| self.state.register(value).map_or(Place::Slot(value), Place::Register);
        let mut moves = Vec::new();
        for value in self.next_use.live_in(next).keys() {
            let source = params.iter().position(|param| param == value).map_or(*value, |at| args[at]);
            if let Some(reg) = start.register(*value) {
                moves.push(Move { from: here(source), to: Place::Register(reg) });
            }
            let must_be_stored =
                start.stored.contains(value) && (source != *value || !self.state.stored.contains(value));
            if must_be_stored {
                moves.push(Move { from: here(source), to: Place::Slot(*value) });
                if source == *value && self.next_use.depth(self.block) > self.next_use.depth_of(*value) {
                    self.store_at_home.insert(*value);
                }
            }
        }
        moves
    }

    /// Emits moves that happen at one time, after which `after` is in registers.
    fn sequence(&mut self, moves: Vec<Move>, after: &State) {
        let spare =
            REGISTERS.into_iter().find(|reg| after.held[*reg].is_none() && self.state.held[*reg].is_none());
        let point = ProgPoint::before(self.inst);
        let sequence = sequence(moves, spare, &mut self.n_values);
        self.edits.extend(sequence.into_iter().map(|step| (point, step)));
    }
}

/// The registers that operands name.
fn fixed(operands: &[Operand]) -> impl Iterator<Item = usize> + '_ {
    operands.iter().filter_map(|operand| match operand.constraint() {
        OperandConstraint::FixedReg(reg) => Some(reg.hw_enc()),
        _ => None,
    })
}

/// The place of a value as regalloc2 writes it.
pub(super) fn allocation(place: Place, slot: impl Fn(Value) -> usize) -> Allocation {
    match place {
        Place::Register(reg) => Allocation::reg(PReg::new(reg, RaClass::Int)),
        Place::Slot(value) => Allocation::stack(SpillSlot::new(slot(value))),
    }
}

/// A move as regalloc2 writes it.
pub(super) fn edit(step: Move, slot: impl Fn(Value) -> usize) -> Edit {
    Edit::Move { from: allocation(step.from, &slot), to: allocation(step.to, &slot) }
}
