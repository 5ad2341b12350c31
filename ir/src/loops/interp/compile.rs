//! Turns statements into steps.
//!
//! An affine address is a register that loops keep up to date: its part that varies is a sum of loop variables, one
//! register for each distinct sum, and each loop adds its coefficient at the end of an iteration. What interval analysis
//! proves to be inside is not checked again.

use std::collections::{BTreeMap, BTreeSet};

use super::super::walk::{StmtNo, walk};
use super::super::{Access, Atom, BufferId, Expr, Index, LocalId, Loop, Nest, Prim, Reduce, Stmt, VarId};
use super::code::{
    BoundInfo, Call, Code, Dot, General, GeneralAtom, LoopInfo, Op, Reg, Region, Stream, Width,
};
use crate::diag::Diagnostic;
use crate::ty::Ty;

/// Bytes at which each buffer begins a new line, so that no alignment is missed.
const REGION_ALIGN: usize = 64;

/// The steps of `block`; with `checked` each byte is read and written by a step of its own.
pub(super) fn compile(nest: &Nest, block: &[Stmt], checked: bool) -> Result<Code, Diagnostic> {
    let mut code = Code { regions: vec![Region::default(); nest.buffers.len()], ..Code::default() };
    place(nest, block, &mut code)?;
    let mut compiler = Compiler {
        nest,
        checked,
        code,
        extents: vec![1; nest.vars.len()],
        locals: Vec::new(),
        forms: BTreeMap::new(),
        constants: BTreeMap::new(),
        temps: Vec::new(),
        temps_used: 0,
    };
    for local in &nest.locals {
        let first = compiler.code.regs.len() as Reg;
        let count = local.shape.iter().product::<u32>().max(1);
        compiler.code.regs.resize((first + count) as usize, 0);
        compiler.locals.push(first);
    }
    compiler.block(block);
    compiler.code.ops.push(Op::Halt);
    Ok(compiler.code)
}

/// Gives each buffer that the block touches its region.
fn place(nest: &Nest, block: &[Stmt], code: &mut Code) -> Result<(), Diagnostic> {
    for buffer in touched(block) {
        let bytes = nest.buffers[buffer.idx()].bytes();
        code.regions[buffer.idx()] = Region { base: code.bytes, bytes };
        code.bytes = (code.bytes + bytes).next_multiple_of(REGION_ALIGN);
    }
    if code.bytes > i32::MAX as usize / 2 {
        let message = format!("the buffers of `@{}` have {} bytes, too many to run", nest.name, code.bytes);
        return Err(Diagnostic::new(message));
    }
    Ok(())
}

/// Every buffer that statements read or write.
pub(super) fn touched(block: &[Stmt]) -> BTreeSet<BufferId> {
    let mut found = all_reads(block);
    walk(block, StmtNo(0), &mut |_, stmt| {
        if let Stmt::Store(access, _) = stmt {
            found.insert(access.buffer);
        }
    });
    found
}

/// Every buffer that statements read.
pub(super) fn all_reads(block: &[Stmt]) -> BTreeSet<BufferId> {
    let mut found = BTreeSet::new();
    walk(block, StmtNo(0), &mut |_, stmt| match stmt {
        Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) => reads(value, &mut found),
        Stmt::For(..) | Stmt::Reduce(_) => {}
    });
    found
}

fn reads(expr: &Expr, found: &mut BTreeSet<BufferId>) {
    match expr {
        Expr::Load(access) => _ = found.insert(access.buffer),
        Expr::Lookup(table, at) => {
            found.insert(*table);
            reads(at, found);
        }
        Expr::Op { args, .. } => args.iter().for_each(|arg| reads(arg, found)),
        Expr::Int(..) | Expr::Index(_) | Expr::Local(..) => {}
    }
}

/// The part of an affine index that varies: coefficients by variable.
type Form = Vec<(VarId, i64)>;

struct Compiler<'n> {
    nest: &'n Nest,
    checked: bool,
    code: Code,
    /// By loop variable.
    extents: Vec<u32>,
    /// The first register of each local.
    locals: Vec<Reg>,
    forms: BTreeMap<Form, Reg>,
    constants: BTreeMap<i64, Reg>,
    /// Registers for the inside of expressions.
    temps: Vec<Reg>,
    /// How many of them the current statement uses.
    temps_used: usize,
}

impl Compiler<'_> {
    fn block(&mut self, block: &[Stmt]) {
        for stmt in block {
            self.temps_used = 0;
            match stmt {
                Stmt::For(head, body) => {
                    let end = self.begin_loop(head);
                    self.block(body);
                    self.end_loop(head, end);
                }
                Stmt::Reduce(reduce) => self.reduce(reduce),
                Stmt::Let(local, value) => self.write_to(value, self.locals[local.idx()]),
                Stmt::Set(local, at, value) => self.set(*local, at, value),
                Stmt::Store(access, value) => {
                    let src = self.value(value);
                    let Stream { at, plus } = self.address(access);
                    self.code.ops.push(Op::Store { width: Width::of(access.ty), src, at, plus });
                }
            }
        }
    }

    fn reduce(&mut self, reduce: &Reduce) {
        self.block(&reduce.init);
        let ends: Vec<_> = reduce.loops.iter().map(|head| self.begin_loop(head)).collect();
        self.block(&reduce.update);
        for (head, end) in reduce.loops.iter().zip(ends).rev() {
            self.end_loop(head, end);
        }
        self.block(&reduce.finish);
    }

    /// Gives the first step of the body.
    fn begin_loop(&mut self, head: &Loop) -> u32 {
        self.extents[head.var.idx()] = head.extent;
        self.code.ops.len() as u32
    }

    fn end_loop(&mut self, head: &Loop, top: u32) {
        let coefficient = |form: &Form| form.iter().find(|(var, _)| *var == head.var).map(|(_, c)| *c);
        let steps: Vec<_> =
            self.forms.iter().filter_map(|(form, reg)| Some((*reg, coefficient(form)?))).collect();
        let step_of = |at: Reg| steps.iter().find(|(reg, _)| *reg == at).map_or(0, |(_, step)| *step);
        if let [Op::MacBytes { acc, x, w }] = self.code.ops[top as usize..] {
            let (x_step, w_step) = (step_of(x.at), step_of(w.at));
            self.code.ops.truncate(top as usize);
            self.code.ops.push(Op::DotBytes { dot: self.code.dots.len() as u32 });
            self.code.dots.push(Dot { acc, x, x_step, w, w_step, extent: head.extent });
            return;
        }
        let counter = self.register(0);
        self.code.ops.push(Op::LoopEnd { of: self.code.loops.len() as u32 });
        self.code.loops.push(LoopInfo { counter, extent: head.extent, top, steps });
    }

    fn set(&mut self, local: LocalId, at: &[Index], value: &Expr) {
        match self.block_position(local, at) {
            (None, plus) => {
                let dst = self.locals[local.idx()] + plus as Reg;
                if !self.mac_bytes(dst, value) {
                    self.write_to(value, dst);
                }
            }
            (Some(at), plus) => {
                let src = self.value(value);
                self.code.ops.push(Op::SetAt { src, base: self.locals[local.idx()], at, plus: plus as i32 });
            }
        }
    }

    /// The fused form of `dst = add dst, mul(sext(x[…]), sext(w[…]))` on bytes that are surely inside.
    fn mac_bytes(&mut self, dst: Reg, value: &Expr) -> bool {
        let Expr::Op { prim: Prim::Add, args, .. } = value else { return false };
        let [Expr::Local(local, at), Expr::Op { prim: Prim::Mul, args: factors, .. }] = &args[..] else {
            return false;
        };
        let same = self.nest.locals[local.idx()].ty == Ty::I32
            && matches!(self.block_position(*local, at), (None, plus) if self.locals[local.idx()] + plus as Reg == dst);
        let (Some(x), Some(w)) = (signed_byte(&factors[0]), signed_byte(&factors[1])) else { return false };
        if self.checked || !same || !self.is_simple(x) || !self.is_simple(w) {
            return false;
        }
        let (x, w) = (self.address(x), self.address(w));
        self.code.ops.push(Op::MacBytes { acc: dst, x, w });
        true
    }

    /// Whether an access is affine and surely inside.
    fn is_simple(&self, access: &Access) -> bool {
        let position = self.nest.buffers[access.buffer.idx()].map.position(&access.index);
        access.border.is_none() && position.is_affine() && self.surely_inside(access, &position)
    }

    /// The value in any register.
    fn value(&mut self, expr: &Expr) -> Reg {
        match expr {
            Expr::Int(value, _) => self.constant(*value),
            Expr::Index(index) if index.is_affine() && index.constant == 0 => self.form(index, 1),
            Expr::Local(local, at) => match self.block_position(*local, at) {
                (None, plus) => self.locals[local.idx()] + plus as Reg,
                (Some(_), _) => self.in_temp(expr),
            },
            Expr::Op { prim, args, .. } if keeps_value(*prim) => self.value(&args[0]),
            Expr::Index(_) | Expr::Load(_) | Expr::Lookup(..) | Expr::Op { .. } => self.in_temp(expr),
        }
    }

    fn in_temp(&mut self, expr: &Expr) -> Reg {
        let temp = self.temp();
        self.write_to(expr, temp);
        temp
    }

    /// The value in the register `dst`.
    fn write_to(&mut self, expr: &Expr, dst: Reg) {
        match expr {
            Expr::Index(index) => {
                let (at, plus) = self.varying(index, 1);
                let b = self.constant(plus);
                self.code.ops.push(Op::Add { dst, a: at, b });
            }
            Expr::Local(local, at) => match self.block_position(*local, at) {
                (None, plus) => {
                    self.code.ops.push(Op::Copy { dst, src: self.locals[local.idx()] + plus as Reg });
                }
                (Some(at), plus) => {
                    self.code.ops.push(Op::GetAt {
                        dst,
                        base: self.locals[local.idx()],
                        at,
                        plus: plus as i32,
                    });
                }
            },
            Expr::Load(access) => self.load(access, dst),
            Expr::Lookup(table, at) => self.lookup(*table, at, dst),
            Expr::Op { prim, args, imm } if !keeps_value(*prim) => self.operation(*prim, args, imm, dst),
            Expr::Int(..) | Expr::Op { .. } => {
                let src = self.value(expr);
                self.code.ops.push(Op::Copy { dst, src });
            }
        }
    }

    fn operation(&mut self, prim: Prim, args: &[Expr], imm: &[i32], dst: Reg) {
        let is_word = self.nest.ty(&args[0]) != Ty::I64;
        if let (Prim::Add, [a, Expr::Op { prim: Prim::Mul, args: factors, .. }]) = (prim, args) {
            let (a, b, c) = (self.value(a), self.value(&factors[0]), self.value(&factors[1]));
            return self.code.ops.push(Op::Mac { dst, a, b, c });
        }
        let regs: Vec<Reg> = args.iter().map(|arg| self.value(arg)).collect();
        let op = match (prim, &regs[..]) {
            (Prim::Add, &[a, b]) if is_word => Op::Add { dst, a, b },
            (Prim::Sub, &[a, b]) if is_word => Op::Sub { dst, a, b },
            (Prim::Mul, &[a, b]) => Op::Mul { dst, a, b },
            _ => {
                let mut slots = [0; 4];
                slots[..regs.len()].copy_from_slice(&regs);
                let (ty, eval, count) = (self.nest.ty(&args[0]), prim.row().eval, regs.len());
                self.code.calls.push(Call { eval, ty, dst, args: slots, count, imm: imm.to_vec() });
                Op::Prim { call: self.code.calls.len() as u32 - 1 }
            }
        };
        self.code.ops.push(op);
    }

    fn load(&mut self, access: &Access, dst: Reg) {
        let width = Width::of(access.ty);
        let mut jumps = Vec::new();
        if let Some(border) = access.border {
            let border = self.constant(border);
            let shape = self.nest.buffers[access.buffer.idx()].shape.clone();
            for (index, extent) in access.index.iter().zip(shape) {
                let (low, high) = self.range(index);
                if low < 0 || high >= i64::from(extent) {
                    let (at, plus) = self.varying(index, 1);
                    jumps.push(self.code.ops.len());
                    let plus = plus as i32;
                    self.code.ops.push(Op::Outside { at, plus, extent, dst, border, to: 0 });
                }
            }
        }
        let Stream { at, plus } = self.address(access);
        self.code.ops.push(Op::Load { width, dst, at, plus });
        let end = self.code.ops.len() as u32;
        for jump in jumps {
            if let Op::Outside { to, .. } = &mut self.code.ops[jump] {
                *to = end;
            }
        }
    }

    fn lookup(&mut self, table: BufferId, at: &Expr, dst: Reg) {
        let at = self.value(at);
        let buffer = &self.nest.buffers[table.idx()];
        let what = format!("the position of a lookup in `{}`", buffer.name);
        self.bound(BoundInfo { at, plus: 0, low: 0, high: i64::from(buffer.shape[0]), what });
        let address = self.temp();
        self.code.ops.push(Op::Scale { dst: address, a: at, by: buffer.elem.bytes() as i32 });
        let plus = self.code.regions[table.idx()].base as i32;
        self.code.ops.push(Op::Load { width: Width::of(buffer.elem), dst, at: address, plus });
    }

    /// The byte address of an access in memory; it is checked unless it is surely inside.
    fn address(&mut self, access: &Access) -> Stream {
        let buffer = &self.nest.buffers[access.buffer.idx()];
        let Region { base, bytes } = self.code.regions[access.buffer.idx()];
        let position = buffer.map.position(&access.index);
        let inside = self.surely_inside(access, &position);
        let (at, plus) = self.varying(&position, buffer.elem.bytes() as i64);
        if !inside && (access.border.is_none() || self.checked) {
            let high = (bytes + 1 - access.ty.bytes().min(bytes)) as i64;
            let what = format!("the byte offset of an access to `{}`", buffer.name);
            self.bound(BoundInfo { at, plus, low: 0, high, what });
        }
        Stream { at, plus: (plus + base as i64) as i32 }
    }

    fn surely_inside(&self, access: &Access, position: &Index) -> bool {
        let buffer = &self.nest.buffers[access.buffer.idx()];
        let size = buffer.elem.bytes() as i64;
        let (low, high) = self.range(position);
        low >= 0 && high * size + access.ty.bytes() as i64 <= buffer.bytes() as i64
    }

    /// A register with `by` times the part of an index that varies, and `by` times the rest.
    fn varying(&mut self, index: &Index, by: i64) -> (Reg, i64) {
        if index.is_affine() {
            return (self.form(index, by), index.constant * by);
        }
        let general = self.general(&index.scale(by));
        self.code.generals.push(general);
        let dst = self.temp();
        self.code.ops.push(Op::General { dst, index: self.code.generals.len() as u32 - 1 });
        (dst, 0)
    }

    /// The register with `by` times the part of an affine index that varies.
    fn form(&mut self, index: &Index, by: i64) -> Reg {
        let term = |(coefficient, atom): &(i64, Atom)| match atom {
            Atom::Var(var) if self.extents[var.idx()] > 1 => Some((*var, coefficient * by)),
            _ => None, // A variable that is always 0.
        };
        let form: Form = index.terms.iter().filter_map(term).collect();
        if form.is_empty() {
            return self.constant(0);
        }
        let next = self.code.regs.len() as Reg;
        let reg = *self.forms.entry(form).or_insert(next);
        if reg == next {
            self.code.regs.push(0);
        }
        reg
    }

    fn general(&mut self, index: &Index) -> General {
        let mut terms = Vec::new();
        for (coefficient, atom) in &index.terms {
            let atom = match atom {
                Atom::Var(var) => GeneralAtom::Reg(self.form(&Index::var(*var), 1)),
                Atom::Div(inner, n) => GeneralAtom::Div(Box::new(self.general(inner)), i64::from(*n)),
                Atom::Mod(inner, n) => GeneralAtom::Mod(Box::new(self.general(inner)), i64::from(*n)),
            };
            terms.push((*coefficient, atom));
        }
        General { constant: index.constant, terms }
    }

    /// Where a register of a block lies behind its first: a register that varies, if it does, and a constant.
    fn block_position(&mut self, local: LocalId, at: &[Index]) -> (Option<Reg>, i64) {
        let shape = &self.nest.locals[local.idx()].shape;
        let flat = at
            .iter()
            .zip(shape)
            .fold(Index::constant(0), |flat, (index, extent)| flat.scale(i64::from(*extent)).add(index));
        match flat.as_constant() {
            Some(plus) => (None, plus),
            None => {
                let (at, plus) = self.varying(&flat, 1);
                (Some(at), plus)
            }
        }
    }

    fn bound(&mut self, bound: BoundInfo) {
        self.code.ops.push(Op::Bound { bound: self.code.bounds.len() as u32 });
        self.code.bounds.push(bound);
    }

    fn range(&self, index: &Index) -> (i64, i64) {
        index.range(&|var| (0, i64::from(self.extents[var.idx()]) - 1))
    }

    fn constant(&mut self, value: i64) -> Reg {
        let next = self.code.regs.len() as Reg;
        let reg = *self.constants.entry(value).or_insert(next);
        if reg == next {
            self.code.regs.push(value);
        }
        reg
    }

    fn temp(&mut self) -> Reg {
        if self.temps_used == self.temps.len() {
            let reg = self.register(0);
            self.temps.push(reg);
        }
        self.temps_used += 1;
        self.temps[self.temps_used - 1]
    }

    fn register(&mut self, value: i64) -> Reg {
        self.code.regs.push(value);
        self.code.regs.len() as Reg - 1
    }
}

/// Whether an operation leaves the number in its register as it is: narrow values are kept extended.
fn keeps_value(prim: Prim) -> bool {
    use Prim::*;
    matches!(prim, Sext | Zext | Widen | AsI32 | AsI8x4 | AsU8x4 | AsI16x2)
}

/// The access of `sext(x[…])` on an `i8`.
fn signed_byte(expr: &Expr) -> Option<&Access> {
    match expr {
        Expr::Op { prim: Prim::Sext, args, .. } => match &args[0] {
            Expr::Load(access) if access.ty == Ty::I8 => Some(access),
            _ => None,
        },
        _ => None,
    }
}
