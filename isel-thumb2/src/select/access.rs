//! Loads and stores: a pointer and an immediate offset, a pointer that steps by itself, several words at once.

use ir::diag::Diagnostic;
use ir::loops::{Access, BufferId, Expr, Stmt};
use ir::ty::Ty;

use super::address::Stream;
use super::{Selector, Val, asm};
use crate::isa::imm::ShiftKind;
use crate::isa::{Inst, Reg, ops};
use crate::memory::Touched;
use crate::mir::Group;

/// The most words that one instruction moves; its registers are fixed, so more would crowd out the rest.
const MOST_WORDS: usize = 4;
/// The fewest words for which one instruction pays.
const FEWEST_WORDS: usize = 3;
/// The registers of a multiple load or store, in order.
const LIST: [u32; MOST_WORDS] = [4, 5, 6, 7];

/// A run of statements that move words side by side.
struct Run {
    stream: Stream,
    offset: i64,
    words: usize,
}

impl Selector<'_> {
    /// Reads memory; narrow elements arrive extended.
    pub(super) fn load(&mut self, access: &Access) -> Result<Val, Diagnostic> {
        if access.border.is_some() {
            let name = &self.nest.buffers[access.buffer.idx()].name;
            let message = format!("`{name}` is read with a border: the code generator tests no bounds");
            return Err(Diagnostic::new(message).help(format!("materialise it first: `border {name}`")));
        }
        let (stream, offset) = Stream::of(&self.members, access, &self.vars, &self.together);
        let touched = self.touched(&stream, offset);
        if access.ty == Ty::I64 {
            let base = self.pointer(&stream);
            let low = asm::load(Ty::I32, self.reg(), base, offset);
            let high = asm::load(Ty::I32, self.reg(), base, offset + 4);
            return Ok(self.push_two_loads(low, high, access.buffer, &touched));
        }
        if let Some((base, next, step)) = self.step(&stream, offset) {
            let to = self.reg();
            self.push_touching(asm::load_and_step(access.ty, to, next, base, step), touched);
            return Ok(Val::Word(to));
        }
        let base = self.pointer(&stream);
        let load = asm::load(access.ty, self.reg(), base, offset);
        Ok(Val::Word(self.push_load(load, access.buffer, touched)))
    }

    /// Writes memory; a narrow buffer keeps the low bits.
    pub(super) fn store(&mut self, access: &Access, value: &Expr) -> Result<(), Diagnostic> {
        let value = self.value(value)?;
        let (stream, offset) = Stream::of(&self.members, access, &self.vars, &self.together);
        self.reuse.written(access.buffer);
        let touched = self.touched(&stream, offset);
        match value {
            Val::Double(low, high) => {
                let base = self.pointer(&stream);
                let high_word = touched.plus(4);
                self.push_touching(asm::store(Ty::I32, low, base, offset), touched);
                self.push_touching(asm::store(Ty::I32, high, base, offset + 4), high_word);
            }
            Val::Word(word) => match self.step(&stream, offset) {
                Some((base, next, step)) => {
                    self.push_touching(asm::store_and_step(access.ty, word, next, base, step), touched);
                }
                None => {
                    let base = self.pointer(&stream);
                    self.push_touching(asm::store(access.ty, word, base, offset), touched);
                }
            },
        }
        Ok(())
    }

    /// Reads a table at a computed position.
    pub(super) fn lookup(&mut self, buffer: BufferId, at: &Expr) -> Result<Val, Diagnostic> {
        let elem = self.nest.buffers[buffer.idx()].elem;
        let at = self.word(at)?;
        let base = self.pointer(&Stream::start(buffer));
        let scale = elem.bytes().trailing_zeros();
        let touched = self.touched_anywhere(buffer);
        if elem == Ty::I64 {
            let offset = self.shift_constant(at, ShiftKind::Lsl, scale);
            let address = self.add(base, offset);
            let low = asm::load(Ty::I32, self.reg(), address, 0);
            let high = asm::load(Ty::I32, self.reg(), address, 4);
            return Ok(self.push_two_loads(low, high, buffer, &touched));
        }
        let load = asm::load_at(elem, self.reg(), base, at, scale);
        Ok(Val::Word(self.push_load(load, buffer, touched)))
    }

    /// The loads of the words of a double word, from its address on.
    fn push_two_loads(&mut self, low: Inst, high: Inst, buffer: BufferId, touched: &Touched) -> Val {
        let low = self.push_load(low, buffer, touched.clone());
        Val::Double(low, self.push_load(high, buffer, touched.plus(4)))
    }

    /// For the only access of a carried pointer: its registers before and after, and the step.
    fn step(&mut self, stream: &Stream, offset: i64) -> Option<(Reg, Reg, i64)> {
        if offset != 0 {
            return None;
        }
        let step = self.stepping.remove(stream)?;
        let next = self.reg();
        let base = self.pointers.insert(stream.clone(), next).expect("a stepping pointer is carried");
        Some((base, next, step))
    }

    /// Emits the words that the first statements move side by side; gives how many statements that were.
    pub(super) fn multiple(&mut self, stmts: &[Stmt]) -> Result<usize, Diagnostic> {
        if let Some(run) = self.run_of(stmts, &|stmt| self.loaded_word(stmt)) {
            self.load_multiple(&run, &stmts[..run.words]);
            return Ok(run.words);
        }
        let Some(run) = self.run_of(stmts, &|stmt| self.stored_word(stmt)) else { return Ok(0) };
        let words = run.words;
        self.store_multiple(&run, &stmts[..words])?;
        Ok(words)
    }

    fn run_of(&self, stmts: &[Stmt], word: &dyn Fn(&Stmt) -> Option<(Stream, i64)>) -> Option<Run> {
        let (stream, offset) = word(stmts.first()?)?;
        let follows = |(n, stmt): (usize, &Stmt)| word(stmt) == Some((stream.clone(), offset + 4 * n as i64));
        let words = stmts.iter().take(MOST_WORDS).enumerate().take_while(|at| follows(*at)).count();
        (words >= FEWEST_WORDS && !self.stepping.contains_key(&stream)).then_some(Run {
            stream,
            offset,
            words,
        })
    }

    /// The place that a statement `a = x[…]` loads a whole, aligned word from.
    fn loaded_word(&self, stmt: &Stmt) -> Option<(Stream, i64)> {
        let Stmt::Let(_, Expr::Load(access)) = stmt else { return None };
        if access.border.is_some() { None } else { self.aligned_word(access) }
    }

    /// The place that a statement `y[…] = a` stores a whole, aligned word to.
    fn stored_word(&self, stmt: &Stmt) -> Option<(Stream, i64)> {
        let Stmt::Store(access, Expr::Local(..)) = stmt else { return None };
        self.aligned_word(access)
    }

    fn aligned_word(&self, access: &Access) -> Option<(Stream, i64)> {
        let (stream, offset) = Stream::of(&self.members, access, &self.vars, &self.together);
        let whole = |bytes: i64| bytes % 4 == 0;
        let aligned = self.members.buffers(access.buffer).all(|buffer| buffer.map.align.is_multiple_of(4))
            && whole(offset)
            && stream.window.all(whole)
            && stream.terms.iter().all(|(step, _)| step.all(whole));
        (access.ty.bytes() == 4 && aligned).then_some((stream, offset))
    }

    fn load_multiple(&mut self, run: &Run, stmts: &[Stmt]) {
        let base = self.address_of(run);
        let regs: Vec<Reg> = stmts.iter().map(|_| self.reg()).collect();
        self.number();
        self.push_listed(ops::ldm(&regs, base), &regs, run);
        for (stmt, reg) in stmts.iter().zip(regs) {
            let Stmt::Let(local, _) = stmt else { unreachable!("a run of loads") };
            self.locals[local.idx()] = Some(vec![Val::Word(reg)]);
        }
        self.next_stmt += stmts.len() as u32 - 1;
    }

    fn store_multiple(&mut self, run: &Run, stmts: &[Stmt]) -> Result<(), Diagnostic> {
        let base = self.address_of(run);
        self.number();
        let mut regs = Vec::new();
        for stmt in stmts {
            let Stmt::Store(_, value) = stmt else { unreachable!("a run of stores") };
            let value = self.word(value)?;
            // One value may stand twice in the run, but not twice in the list.
            let copy = self.reg();
            self.push(ops::mov(copy, value));
            regs.push(copy);
        }
        self.reuse.written(run.stream.buffer);
        self.push_listed(ops::stm(base, &regs), &regs, run);
        self.next_stmt += stmts.len() as u32 - 1;
        Ok(())
    }

    fn address_of(&mut self, run: &Run) -> Reg {
        let base = self.pointer(&run.stream);
        self.add_constant(base, run.offset)
    }

    fn push_listed(&mut self, inst: Inst, regs: &[Reg], run: &Run) {
        let touched = Some(self.touched(&run.stream, run.offset).into());
        let fixed = regs.iter().zip(LIST).map(|(reg, n)| (*reg, Reg::core(n))).collect();
        self.push_group(Group { fixed, touched, ..Group::one(inst, 0) });
    }
}
