//! Double words: two registers each, the low one first.

use ir::diag::Diagnostic;
use ir::loops::{Expr, Prim};

use super::{Selector, Val, asm};
use crate::isa::imm::{Shift, ShiftKind};
use crate::isa::{Reg, ops};
use crate::mir::Group;

impl Selector<'_> {
    /// Operations whose operands are double words.
    pub(super) fn wide_op(&mut self, prim: Prim, args: &[Expr]) -> Result<Val, Diagnostic> {
        match prim {
            Prim::Lo => Ok(Val::Word(self.double(&args[0])?.0)),
            Prim::Hi => Ok(Val::Word(self.double(&args[0])?.1)),
            Prim::Add => self.add_wide(&args[0], &args[1]),
            Prim::Sub => self.sub_wide(&args[0], &args[1]),
            Prim::Shl | Prim::Asr => self.shift_wide(prim, args),
            _ => unreachable!("the table has no other operation on double words"),
        }
    }

    /// Operations on words that give double words.
    pub(super) fn widening(&mut self, prim: Prim, args: &[Expr]) -> Result<Val, Diagnostic> {
        match prim {
            Prim::MulWide => {
                let (a, b) = (self.word(&args[0])?, self.word(&args[1])?);
                let (low, high) = (self.reg(), self.reg());
                self.push(ops::smull(low, high, a, b));
                Ok(Val::Double(low, high))
            }
            Prim::Widen => {
                let low = self.word(&args[0])?;
                Ok(Val::Double(low, self.shift_constant(low, ShiftKind::Asr, 31)))
            }
            Prim::Join => Ok(Val::Double(self.word(&args[0])?, self.word(&args[1])?)),
            _ => unreachable!("the caller passes widening operations only"),
        }
    }

    /// A sum; with a product on one side, one multiply-accumulate.
    fn add_wide(&mut self, a: &Expr, b: &Expr) -> Result<Val, Diagnostic> {
        for (sum, product) in [(a, b), (b, a)] {
            if let Expr::Op { prim: Prim::MulWide, args, .. } = product {
                let (low, high) = self.double(sum)?;
                // Each word is written over; one register cannot be both.
                let high = if high == low { self.copy(high) } else { high };
                let (n, m) = (self.word(&args[0])?, self.word(&args[1])?);
                let (new_low, new_high) = (self.reg(), self.reg());
                self.push(ops::smlal(new_low, new_high, low, high, n, m));
                return Ok(Val::Double(new_low, new_high));
            }
        }
        let ((a_low, a_high), (b_low, b_high)) = (self.double(a)?, self.double(b)?);
        let (low, high) = (self.reg(), self.reg());
        self.push_group(Group {
            insts: vec![
                ops::adds(low, a_low, b_low, Shift::NONE),
                ops::adc(high, a_high, b_high, Shift::NONE),
            ],
            ..Group::default()
        });
        Ok(Val::Double(low, high))
    }

    fn sub_wide(&mut self, a: &Expr, b: &Expr) -> Result<Val, Diagnostic> {
        let ((a_low, a_high), (b_low, b_high)) = (self.double(a)?, self.double(b)?);
        let (low, high) = (self.reg(), self.reg());
        self.push_group(Group {
            insts: vec![
                ops::subs(low, a_low, b_low, Shift::NONE),
                ops::sbc(high, a_high, b_high, Shift::NONE),
            ],
            ..Group::default()
        });
        Ok(Val::Double(low, high))
    }

    fn shift_wide(&mut self, prim: Prim, args: &[Expr]) -> Result<Val, Diagnostic> {
        let (low, high) = self.double(&args[0])?;
        let Some(by) = self.literal(&args[1]) else {
            return self.shift_wide_by(prim, low, high, &args[1]);
        };
        let by = by as u32 & 31;
        if by == 0 {
            return Ok(Val::Double(low, high));
        }
        Ok(match prim {
            Prim::Asr => {
                let part = self.shift_constant(low, ShiftKind::Lsr, by);
                let new_low = self.or_shifted(part, high, ShiftKind::Lsl, 32 - by);
                Val::Double(new_low, self.shift_constant(high, ShiftKind::Asr, by))
            }
            _ => {
                let part = self.shift_constant(high, ShiftKind::Lsl, by);
                let new_high = self.or_shifted(part, low, ShiftKind::Lsr, 32 - by);
                Val::Double(self.shift_constant(low, ShiftKind::Lsl, by), new_high)
            }
        })
    }

    /// A shift by an amount that varies. What crosses between the words is shifted the other way by the rest of 32;
    /// where that is all 32, the core gives 0.
    fn shift_wide_by(&mut self, prim: Prim, low: Reg, high: Reg, by: &Expr) -> Result<Val, Diagnostic> {
        let by = self.word(by)?;
        let by = self.shift_amount(by);
        let rest = ops::rsb_imm(self.reg(), by, asm::small(32));
        let rest = self.push_def(rest);
        let mut shifted = |value: Reg, kind: ShiftKind, by: Reg| {
            let inst = asm::shift_by(self.reg(), value, kind, by);
            self.push_def(inst)
        };
        let (whole, part, crossing) = match prim {
            Prim::Asr => (
                shifted(high, ShiftKind::Asr, by),
                shifted(low, ShiftKind::Lsr, by),
                shifted(high, ShiftKind::Lsl, rest),
            ),
            _ => (
                shifted(low, ShiftKind::Lsl, by),
                shifted(high, ShiftKind::Lsl, by),
                shifted(low, ShiftKind::Lsr, rest),
            ),
        };
        let joined = ops::orr(self.reg(), part, crossing, Shift::NONE);
        let joined = self.push_def(joined);
        Ok(if prim == Prim::Asr { Val::Double(joined, whole) } else { Val::Double(whole, joined) })
    }

    fn copy(&mut self, value: Reg) -> Reg {
        let copy = ops::mov(self.reg(), value);
        self.push_def(copy)
    }

    fn or_shifted(&mut self, a: Reg, b: Reg, kind: ShiftKind, by: u32) -> Reg {
        let or = asm::shifted(ops::orr, self.reg(), a, b, kind, by);
        self.push_def(or)
    }
}
