//! Sums, differences, bitwise operations and shifts, with immediates and shifted operands where the core takes them.

use ir::diag::Diagnostic;
use ir::loops::{Expr, Prim};

use super::expr::Combine;
use super::{Selector, asm};
use crate::isa::imm::{ModImm, Shift, ShiftKind};
use crate::isa::{Reg, ops};

/// A second operand as data processing takes it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand2 {
    Imm(ModImm),
    Reg(Reg),
    Shifted(Reg, ShiftKind, u32),
}

impl Selector<'_> {
    /// The literal value of an expression, where it is the same in all nests that the code serves.
    pub(super) fn literal(&self, expr: &Expr) -> Option<i32> {
        let value = match expr {
            Expr::Int(value, _) if self.members.literals(expr).is_none() => Some(*value),
            Expr::Index(index) if index.terms.is_empty() => {
                let (terms, constant) = self.members.index(expr, &self.vars);
                constant.common().filter(|_| terms.is_empty())
            }
            _ => None,
        };
        value.map(|value| value as i32)
    }

    /// `a + b`: a multiply-accumulate, an immediate, a shifted operand, or a plain sum.
    pub(super) fn select_add(&mut self, a: &Expr, b: &Expr) -> Result<Reg, Diagnostic> {
        if let Some(sum) = self.multiply_accumulate(a, b)? {
            return Ok(sum);
        }
        if let Some(sum) = self.multiply_accumulate(b, a)? {
            return Ok(sum);
        }
        for (base, other) in [(a, b), (b, a)] {
            if let Some(value) = self.literal(other) {
                let base = self.word(base)?;
                return Ok(self.add_constant(base, value.into()));
            }
        }
        let (a, b) = if self.shift_of(a).is_some() { (b, a) } else { (a, b) };
        let base = self.word(a)?;
        let sum = match self.operand2(b)? {
            Operand2::Shifted(reg, kind, by) => asm::shifted(ops::add, self.reg(), base, reg, kind, by),
            Operand2::Reg(reg) => ops::add(self.reg(), base, reg, Shift::NONE),
            Operand2::Imm(imm) => ops::add_imm(self.reg(), base, imm),
        };
        Ok(self.push_def(sum))
    }

    /// `a - b`.
    pub(super) fn select_sub(&mut self, a: &Expr, b: &Expr) -> Result<Reg, Diagnostic> {
        if let Some(difference) = self.multiply_subtract(a, b)? {
            return Ok(difference);
        }
        if let Some(value) = self.literal(b) {
            let a = self.word(a)?;
            return Ok(self.add_constant(a, -i64::from(value)));
        }
        let from = self.literal(a).and_then(|value| ModImm::new(value.into()));
        if let Some(imm) = from {
            let b = self.word(b)?;
            let difference = ops::rsb_imm(self.reg(), b, imm);
            return Ok(self.push_def(difference));
        }
        if self.shift_of(a).is_some() && self.shift_of(b).is_none() {
            let b = self.word(b)?;
            let Operand2::Shifted(reg, kind, by) = self.operand2(a)? else {
                unreachable!("`a` is a shift by a constant")
            };
            let difference = asm::shifted(ops::rsb, self.reg(), b, reg, kind, by);
            return Ok(self.push_def(difference));
        }
        let a = self.word(a)?;
        let difference = match self.operand2(b)? {
            Operand2::Shifted(reg, kind, by) => asm::shifted(ops::sub, self.reg(), a, reg, kind, by),
            Operand2::Reg(reg) => ops::sub(self.reg(), a, reg, Shift::NONE),
            Operand2::Imm(imm) => ops::sub_imm(self.reg(), a, imm),
        };
        Ok(self.push_def(difference))
    }

    /// A bitwise operation.
    pub(super) fn combine(&mut self, how: Combine, a: &Expr, b: &Expr) -> Result<Reg, Diagnostic> {
        let (a, b) = if self.shift_of(a).is_some() || self.literal(a).is_some() { (b, a) } else { (a, b) };
        let a = self.word(a)?;
        let operand = self.operand2(b)?;
        let d = self.reg();
        let make: asm::Data = match how {
            Combine::And => ops::and,
            Combine::Or => ops::orr,
            Combine::Xor => ops::eor,
        };
        let result = match (how, operand) {
            (Combine::And, Operand2::Imm(imm)) => ops::and_imm(d, a, imm),
            (Combine::Or, Operand2::Imm(imm)) => ops::orr_imm(d, a, imm),
            (Combine::Xor, Operand2::Imm(imm)) => ops::eor_imm(d, a, imm),
            (_, Operand2::Reg(b)) => make(d, a, b, Shift::NONE),
            (_, Operand2::Shifted(b, kind, by)) => asm::shifted(make, d, a, b, kind, by),
        };
        Ok(self.push_def(result))
    }

    /// A shift of a word.
    pub(super) fn select_shift(&mut self, prim: Prim, value: &Expr, by: &Expr) -> Result<Reg, Diagnostic> {
        let kind = kind_of(prim).expect("the caller passes shifts only");
        let value = self.word(value)?;
        if let Some(by) = self.literal(by) {
            return Ok(self.shift_constant(value, kind, by as u32 & 31));
        }
        let by = self.word(by)?;
        let low = self.shift_amount(by);
        let shifted = asm::shift_by(self.reg(), value, kind, low);
        Ok(self.push_def(shifted))
    }

    /// The five lowest bits of an amount: operations look at these, the core at the lowest byte.
    pub(super) fn shift_amount(&mut self, by: Reg) -> Reg {
        let low = ops::and_imm(self.reg(), by, asm::small(31));
        self.push_def(low)
    }

    /// A shift of a word by a constant from 0 to 31.
    pub(super) fn shift_constant(&mut self, value: Reg, kind: ShiftKind, by: u32) -> Reg {
        if by == 0 {
            return value;
        }
        let shifted = asm::shift_imm(self.reg(), value, kind, by);
        self.push_def(shifted)
    }

    /// The operand, kind and amount of a shift by a constant from 1 to 31.
    fn shift_of<'e>(&self, expr: &'e Expr) -> Option<(&'e Expr, ShiftKind, u32)> {
        let Expr::Op { prim, args, .. } = expr else { return None };
        let kind = kind_of(*prim)?;
        let by = self.literal(&args[1])? as u32 & 31;
        (by > 0).then_some((&args[0], kind, by))
    }

    fn operand2(&mut self, expr: &Expr) -> Result<Operand2, Diagnostic> {
        if let Some(imm) = self.literal(expr).and_then(|value| ModImm::new(value.into())) {
            return Ok(Operand2::Imm(imm));
        }
        if let Some((value, kind, by)) = self.shift_of(expr) {
            return Ok(Operand2::Shifted(self.word(value)?, kind, by));
        }
        Ok(Operand2::Reg(self.word(expr)?))
    }

    /// A register with a constant.
    pub(super) fn constant(&mut self, value: i32) -> Reg {
        let bits = value as u32;
        if let Some(imm) = ModImm::new(bits.into()) {
            let mov = ops::mov_imm(self.reg(), imm);
            return self.push_def(mov);
        }
        if let Some(imm) = ModImm::new((!bits).into()) {
            let mvn = ops::mvn_imm(self.reg(), imm);
            return self.push_def(mvn);
        }
        let low = ops::movw(self.reg(), asm::half(bits & 0xffff));
        let low = self.push_def(low);
        if bits >> 16 == 0 {
            return low;
        }
        let whole = ops::movt(self.reg(), low, asm::half(bits >> 16));
        self.push_def(whole)
    }

    /// `a + b` of registers.
    pub(super) fn add(&mut self, a: Reg, b: Reg) -> Reg {
        let sum = ops::add(self.reg(), a, b, Shift::NONE);
        self.push_def(sum)
    }

    /// `a + value`, modulo 2^32.
    pub(super) fn add_constant(&mut self, a: Reg, value: i64) -> Reg {
        let value = value as i32;
        if value == 0 {
            return a;
        }
        if let Some(sum) = asm::add_small(self.reg(), a, value) {
            return self.push_def(sum);
        }
        let b = self.constant(value);
        self.add(a, b)
    }

    /// Sets the flags of `a - value`.
    pub(super) fn compare_constant(&mut self, a: Reg, value: i32) {
        match ModImm::new(value.into()) {
            Some(imm) => self.push(ops::cmp_imm(a, imm)),
            None => {
                let b = self.constant(value);
                self.push(ops::cmp(a, b, Shift::NONE));
            }
        }
    }
}

fn kind_of(prim: Prim) -> Option<ShiftKind> {
    match prim {
        Prim::Shl => Some(ShiftKind::Lsl),
        Prim::Lsr => Some(ShiftKind::Lsr),
        Prim::Asr => Some(ShiftKind::Asr),
        _ => None,
    }
}
