//! From loop nests to machine code on virtual registers.
//!
//! The walk follows the statements in order; [`address`] turns indices into pointers and offsets, [`expr`] and its
//! neighbours choose instructions for values. Nothing here knows an operator of the graph.

mod access;
mod address;
pub(crate) mod asm;
mod constants;
mod expr;
mod index;
mod mac;
mod members;
mod reuse;
mod rows;
mod shared;
mod shift;
mod touched;
mod wide;
mod without_dsp;

use std::collections::BTreeMap;

use ir::diag::Diagnostic;
use ir::loops::{Atom, BufferId, Local, LocalId, Loop, Nest, Reduce, Role, Stmt, VarId};
use ir::ty::Ty;

use crate::cores::Core;
use crate::isa::imm::{Cond, Shift};
use crate::isa::{Inst, Reg, ops};
use crate::memory::Touched;
use crate::mir::{BlockId, End, Function, Group, Reloc};
use address::{Body, Stream, Survey, Uses, Var, Vars, survey};
pub use constants::{CONSTANT_ALIGN, Together};
pub use members::{Member, together};
use members::{Members, Num};
use reuse::Reuse;
pub(crate) use shared::{MOST_PARAMETERS, load_parameter, parameter_slot};
use touched::Atoms;

/// Where the buffers of a nest are: bytes from the start of the arena, none for constants.
pub type Offsets = BTreeMap<BufferId, u32>;

/// Selects instructions of a core for a nest that the verifier accepted.
///
/// Refuses what a pass must remove first: loads with a border, and composite operations.
pub fn select(nest: &Nest, offsets: &Offsets, core: &dyn Core) -> Result<Function, Diagnostic> {
    select_shared(&[Member { nest, offsets }], core)
}

/// Selects instructions that serve several nests; what differs between them is in tables.
///
/// Refuses nests that differ in more than numbers, and what [`select`] refuses.
pub fn select_shared(members: &[Member], core: &dyn Core) -> Result<Function, Diagnostic> {
    let mut selector = Selector::new(Members::new(members)?, core);
    selector.stmts(&members[0].nest.body)?;
    let mut function = selector.function;
    if members.len() > 1 {
        function.counts = selector.counts;
    }
    Ok(function)
}

/// The registers of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Val {
    /// 32 bits.
    Word(Reg),
    /// The low and the high word of 64 bits.
    Double(Reg, Reg),
}

struct Selector<'a> {
    /// The nest that the code is made from.
    nest: &'a Nest,
    /// All nests that it serves.
    members: Members<'a>,
    together: Together,
    core: &'a dyn Core,
    function: Function,
    /// The block that code is added to.
    block: BlockId,
    /// How often each block runs, by member.
    counts: Vec<Vec<u64>>,
    /// Holds the address of the arena.
    arena: Reg,
    /// Holds the address of the table of parameters, in code that serves several nests.
    table: Option<Reg>,
    vars: Vars,
    /// Registers with the values of entered loops' variables, where they are needed.
    counters: BTreeMap<VarId, Reg>,
    depth: usize,
    locals: Vec<Option<Vec<Val>>>,
    pointers: BTreeMap<Stream, Reg>,
    /// Carried pointers with a single access, which may step by itself: the step in bytes.
    stepping: BTreeMap<Stream, i64>,
    atoms: Atoms,
    /// What the block has computed so far.
    reuse: Reuse,
    /// Pre-order number of the statement in work, and of the one that comes next.
    stmt: u32,
    next_stmt: u32,
}

/// A pointer that a loop moves.
struct Carried {
    stream: Stream,
    step: Step,
    param: Reg,
}

/// By how much a pointer moves.
enum Step {
    /// By so many bytes.
    Constant(i64),
    /// By what a register holds since before the loop.
    Held(Reg),
    /// By a parameter, which is loaded where it is added.
    Parameter(Num),
}

impl<'a> Selector<'a> {
    fn new(members: Members<'a>, core: &'a dyn Core) -> Self {
        let mut function = Function::default();
        let counts = vec![vec![1; members.len()]];
        let block = function.new_block(members.len() as u64);
        let arena = function.new_reg();
        let mut entry = Group::given(arena, Reg::core(0));
        let table = (members.len() > 1).then(|| function.new_reg());
        entry.fixed.extend(table.map(|table| (table, Reg::core(1))));
        entry.stmt = 0;
        function.blocks[0].groups.push(entry);
        let nest = members.nest();
        Self {
            nest,
            together: members.together().1,
            members,
            core,
            function,
            block,
            counts,
            arena,
            table,
            vars: Vars::new(),
            counters: BTreeMap::new(),
            depth: 0,
            locals: vec![None; nest.locals.len()],
            pointers: BTreeMap::new(),
            stepping: BTreeMap::new(),
            atoms: Atoms::default(),
            reuse: Reuse::default(),
            stmt: 0,
            next_stmt: 0,
        }
    }

    fn stmts(&mut self, stmts: &[Stmt]) -> Result<(), Diagnostic> {
        let mut rest = stmts;
        while let Some((stmt, behind)) = rest.split_first() {
            let together = self.multiple(rest)?;
            if together > 0 {
                rest = &rest[together..];
                continue;
            }
            self.stmt(stmt)?;
            rest = behind;
        }
        Ok(())
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<(), Diagnostic> {
        self.number();
        match stmt {
            Stmt::For(around, body) => self.run(Body { loops: std::slice::from_ref(around), stmts: body }),
            Stmt::Reduce(reduce) => self.reduce(reduce),
            Stmt::Let(local, value) => {
                let value = self.value(value)?;
                self.park(*local, value);
                self.locals[local.idx()] = Some(vec![value]);
                Ok(())
            }
            Stmt::Set(local, index, value) => {
                let value = self.value(value)?;
                self.park(*local, value);
                let at = self.element(*local, index)?;
                self.locals[local.idx()].as_mut().expect("a reduction declares what it carries")[at] = value;
                Ok(())
            }
            Stmt::Store(access, value) => self.store(access, value),
        }
    }

    /// Notes that the registers of a value wait elsewhere, where the nest says so.
    fn park(&mut self, local: LocalId, value: Val) {
        if self.nest.locals[local.idx()].parked {
            match value {
                Val::Word(reg) => self.function.parked.extend([reg]),
                Val::Double(low, high) => self.function.parked.extend([low, high]),
            }
        }
    }

    /// Takes the next pre-order number.
    fn number(&mut self) {
        self.stmt = self.next_stmt;
        self.next_stmt += 1;
    }

    fn reduce(&mut self, reduce: &Reduce) -> Result<(), Diagnostic> {
        for local in &reduce.carried {
            let Local { ty, shape, .. } = &self.nest.locals[local.idx()];
            let len = shape.iter().product::<u32>() as usize;
            // Some register: the verifier checked that `init` sets every element before one is read.
            let unset = match ty {
                Ty::I64 => Val::Double(self.arena, self.arena),
                _ => Val::Word(self.arena),
            };
            self.locals[local.idx()] = Some(vec![unset; len]);
        }
        self.stmts(&reduce.init)?;
        self.run(Body { loops: &reduce.loops, stmts: &reduce.update })?;
        self.stmts(&reduce.finish)?;
        reduce.carried.iter().for_each(|local| self.locals[local.idx()] = None);
        Ok(())
    }

    /// Emits loops around statements.
    fn run(&mut self, body: Body) -> Result<(), Diagnostic> {
        let Some((first, rest)) = body.loops.split_first() else { return self.stmts(body.stmts) };
        let inner = Body { loops: rest, stmts: body.stmts };
        if !self.members.is_repeated(first) {
            return self.looped(first, inner);
        }
        let number = self.next_stmt;
        for value in 0..first.extent {
            self.next_stmt = number;
            self.vars.insert(first.var, Var::Is(i64::from(value)));
            self.run(inner)?;
        }
        self.vars.remove(&first.var);
        Ok(())
    }

    /// A loop that counts down to zero, or up where its variable is needed as a number.
    fn looped(&mut self, around: &Loop, inner: Body) -> Result<(), Diagnostic> {
        let depth = self.depth;
        self.vars.insert(around.var, Var::Entered(depth));
        let extent = self.members.extent(around);
        self.atoms.enter(around.var, extent.clone());
        let found = survey(&self.members, inner, &self.vars, &self.together);
        self.hoist_bases(&found, depth);
        let saved = (self.pointers.clone(), std::mem::take(&mut self.stepping));
        let sets = self.carried_values(&found);

        let outside = self.counts[self.block.idx()].clone();
        let mut args = Vec::new();
        let body = self.new_block(&outside, &|count, member| count * extent.of(member) as u64);
        let pointers = self.carry_pointers(&found, depth, body, &mut args);
        self.carry_values(&sets, body, &mut args);
        let upward = found.indices.contains(&around.var);
        let start = if upward { Num::All(0) } else { extent.clone() };
        args.push(self.number_of(&start));
        // Where there are no loops within, a parameter is not loaded again in each iteration.
        let held = (upward && extent.common().is_none() && !found.has_loops).then(|| self.number_of(&extent));
        let counter = self.param(body);
        self.jump(body, args);

        self.enter(body);
        self.depth += 1;
        if upward {
            self.counters.insert(around.var, counter);
        }
        self.run(inner)?;
        self.depth -= 1;

        let mut args = self.step_pointers(&pointers);
        args.extend(sets.iter().flat_map(|at| self.words(*at)));
        args.push(self.count(counter, upward.then_some(&extent), held));
        let latch = self.new_block(&outside, &|count, member| count * (extent.of(member) as u64 - 1));
        let exit = self.new_block(&outside, &|count, _| count);
        self.function.blocks[self.block.idx()].end = End::Branch(Cond::Ne, latch, exit);
        self.function.blocks[latch.idx()].end = End::Jump(body, args);
        self.enter(exit);
        (self.pointers, self.stepping) = saved;
        self.counters.remove(&around.var);
        self.vars.remove(&around.var);
        Ok(())
    }

    /// Pointers that do not move in the loop but are used in its body are made before it.
    fn hoist_bases(&mut self, found: &Survey, depth: usize) {
        for (stream, uses) in &found.streams {
            let fixed = stream.is_decided(&self.vars) && stream.terms_at(depth, &self.vars).is_empty();
            if uses.direct > 0 && fixed {
                self.pointer(stream);
            }
        }
        for (buffer, uses) in &found.lookups {
            if uses.direct > 0 {
                self.pointer(&Stream::start(*buffer));
            }
        }
    }

    fn carry_pointers(
        &mut self,
        found: &Survey,
        depth: usize,
        body: BlockId,
        args: &mut Vec<Reg>,
    ) -> Vec<Carried> {
        let mut pointers = Vec::new();
        for (stream, uses) in projections(found, depth + 1, &self.vars) {
            let [(step, Atom::Var(_))] = &stream.terms_at(depth, &self.vars)[..] else { continue };
            let outer = stream.within(depth, &self.vars);
            args.push(self.pointer(&outer));
            let step = match step {
                Num::All(step) => Step::Constant(*step),
                Num::Each(_) if found.has_loops => Step::Parameter(step.clone()),
                Num::Each(_) => Step::Held(self.number_of(step)),
            };
            pointers.push((Carried { step, param: self.param(body), stream: stream.clone() }, uses));
        }
        for (carried, uses) in &pointers {
            self.pointers.insert(carried.stream.clone(), carried.param);
            if let Step::Constant(step) = carried.step
                && *uses == (Uses { direct: 1, inner: 0 })
                && step.abs() <= 255
            {
                self.stepping.insert(carried.stream.clone(), step);
            }
        }
        pointers.into_iter().map(|(carried, _)| carried).collect()
    }

    /// The next value of each carried pointer, where its only access did not step it.
    fn step_pointers(&mut self, pointers: &[Carried]) -> Vec<Reg> {
        let step = |carried: &Carried, selector: &mut Self| {
            let now = selector.pointers[&carried.stream];
            match &carried.step {
                Step::Constant(_) if now != carried.param => now,
                Step::Constant(step) => selector.add_constant(now, *step),
                Step::Held(step) => selector.add(now, *step),
                Step::Parameter(step) => {
                    let step = selector.number_of(step);
                    selector.add(now, step)
                }
            }
        };
        pointers.iter().map(|carried| step(carried, self)).collect()
    }

    /// What the body changes of locals from outside.
    fn carried_values(&self, found: &Survey) -> Vec<(LocalId, usize)> {
        found.sets.iter().copied().filter(|(local, _)| self.locals[local.idx()].is_some()).collect()
    }

    fn carry_values(&mut self, sets: &[(LocalId, usize)], body: BlockId, args: &mut Vec<Reg>) {
        for (local, at) in sets {
            let words = self.words((*local, *at));
            let value = match words[..] {
                [_] => Val::Word(self.param(body)),
                _ => Val::Double(self.param(body), self.param(body)),
            };
            args.extend(words);
            self.park(*local, value);
            self.locals[local.idx()].as_mut().expect("only live locals are carried")[*at] = value;
        }
    }

    fn words(&self, (local, at): (LocalId, usize)) -> Vec<Reg> {
        match self.locals[local.idx()].as_ref().expect("only live locals are carried")[at] {
            Val::Word(reg) => vec![reg],
            Val::Double(low, high) => vec![low, high],
        }
    }

    /// Steps a counter and sets the flags: not equal while the loop goes on.
    fn count(&mut self, counter: Reg, up_to: Option<&Num>, held: Option<Reg>) -> Reg {
        let Some(extent) = up_to else {
            let next = self.reg();
            self.push(ops::subs_imm(next, counter, asm::small(1)));
            return next;
        };
        let next = self.add_constant(counter, 1);
        match (extent.common(), held) {
            (Some(extent), _) => self.compare_constant(next, extent as i32),
            (None, held) => {
                let extent = held.unwrap_or_else(|| self.number_of(extent));
                self.push(ops::cmp(next, extent, Shift::NONE));
            }
        }
        next
    }

    /// Goes on in another block; what the last one computed is not reused there, to keep lives short.
    fn enter(&mut self, block: BlockId) {
        self.block = block;
        self.reuse = Reuse::default();
    }

    fn param(&mut self, block: BlockId) -> Reg {
        let reg = self.reg();
        self.function.blocks[block.idx()].params.push(reg);
        reg
    }

    fn jump(&mut self, to: BlockId, args: Vec<Reg>) {
        self.function.blocks[self.block.idx()].end = End::Jump(to, args);
    }

    fn reg(&mut self) -> Reg {
        self.function.new_reg()
    }

    fn push(&mut self, inst: Inst) {
        self.push_group(Group::one(inst, self.stmt));
    }

    fn push_touching(&mut self, inst: Inst, touched: Touched) {
        self.push_group(Group { touched: Some(touched.into()), ..Group::one(inst, self.stmt) });
    }

    fn push_group(&mut self, mut group: Group) {
        group.stmt = self.stmt;
        self.function.blocks[self.block.idx()].groups.push(group);
    }

    /// The register that points at the start of a stream's window.
    fn pointer(&mut self, stream: &Stream) -> Reg {
        if let Some(have) = self.pointers.get(stream) {
            return *have;
        }
        if let Some(pointer) = self.pointer_beside(stream) {
            self.pointers.insert(stream.clone(), pointer);
            return pointer;
        }
        let deepest = (0..self.depth + 1).rev().find(|depth| !stream.terms_at(*depth, &self.vars).is_empty());
        let pointer = match deepest {
            None => self.base(stream),
            Some(depth) => {
                let outer = self.pointer(&stream.within(depth, &self.vars));
                let offset = self.sum(&stream.terms_at(depth, &self.vars), &Num::All(0));
                self.add(outer, offset)
            }
        };
        self.pointers.insert(stream.clone(), pointer);
        pointer
    }

    /// The pointer of a stream from that of the nearest one beside it, where both differ by a parameter.
    fn pointer_beside(&mut self, stream: &Stream) -> Option<Reg> {
        let beside = self.pointers.iter().filter(|(have, _)| have.is_sibling(stream));
        let distance = |have: &Stream| stream.window.minus(&have.window);
        let members = self.members.len();
        let length = |have: &Stream| (0..members).map(|member| distance(have).of(member).abs()).sum::<i64>();
        let (have, pointer) = beside.min_by_key(|(have, _)| length(have))?;
        let (distance, pointer) = (distance(have), *pointer);
        Some(self.add_number(pointer, &distance))
    }

    fn base(&mut self, stream: &Stream) -> Reg {
        let buffer = &self.nest.buffers[stream.buffer.idx()];
        if !matches!(buffer.role, Role::Const(_)) {
            let place = |member| self.offset(stream.buffer, member) + stream.window.of(member);
            let place = Num::new((0..self.members.len()).map(place).collect());
            return self.add_number(self.arena, &place);
        }
        if self.table.is_some() {
            return self.address_of_constant(stream);
        }
        let window = stream.window.of(0);
        let near = i16::try_from(window).unwrap_or(0);
        let (low, whole) = (self.reg(), self.reg());
        let reloc = |high| Some(Reloc { buffer: stream.buffer, addend: near, high });
        self.push_group(Group { reloc: reloc(false), ..Group::one(ops::movw(low, asm::half(0)), 0) });
        self.push_group(Group { reloc: reloc(true), ..Group::one(ops::movt(whole, low, asm::half(0)), 0) });
        self.add_constant(whole, window - i64::from(near))
    }
}

/// The streams of a body as far as the loops up to `depth` decide them, with the uses of each.
fn projections(found: &Survey, depth: usize, vars: &Vars) -> BTreeMap<Stream, Uses> {
    let mut out: BTreeMap<Stream, Uses> = BTreeMap::new();
    for (stream, uses) in &found.streams {
        let near = stream.within(depth, vars);
        let whole = near == *stream;
        let entry = out.entry(near).or_default();
        entry.direct += if whole { uses.direct } else { 0 };
        entry.inner += uses.inner + if whole { 0 } else { uses.direct };
    }
    out
}
