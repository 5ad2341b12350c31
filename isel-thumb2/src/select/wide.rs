//! Double words: two registers each, the low one first.

use ir::diag::Diagnostic;
use ir::loops::{Expr, Prim};

use super::shift::literal;
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
        let Some(by) = literal(&args[1]) else {
            let message = format!("`{}` of a double word by an amount that varies", prim.row().name);
            return Err(Diagnostic::new(message).help("shift by a constant, or join the shifted halves"));
        };
        let (low, high) = self.double(&args[0])?;
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

    fn or_shifted(&mut self, a: Reg, b: Reg, kind: ShiftKind, by: u32) -> Reg {
        let or = asm::shifted(ops::orr, self.reg(), a, b, kind, by);
        self.push_def(or)
    }
}
