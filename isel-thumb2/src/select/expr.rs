//! Values: one arm for each operation, each one call.

use ir::diag::Diagnostic;
use ir::loops::{Expr, Index, LocalId, Prim};
use ir::ty::Ty;

use super::address::element;
use super::members::Num;
use super::{Selector, Val, asm};
use crate::isa::imm::{Cond, Shift};
use crate::isa::{Inst, Reg, ops};
use crate::mir::Group;

impl Selector<'_> {
    /// Computes a value.
    pub(super) fn value(&mut self, expr: &Expr) -> Result<Val, Diagnostic> {
        match expr {
            Expr::Int(value, ty) => {
                let value = self.members.literals(expr).unwrap_or(Num::All(*value));
                let low = self.number_of(&value);
                Ok(match ty {
                    Ty::I64 => Val::Double(low, self.number_of(&value.map(|value| value >> 32))),
                    _ => Val::Word(low),
                })
            }
            Expr::Index(_) => {
                let (terms, constant) = self.members.index(expr, &self.vars);
                Ok(Val::Word(self.sum(&terms, &constant)))
            }
            Expr::Local(local, index) => {
                let at = self.element(*local, index)?;
                Ok(self.locals[local.idx()].as_ref().expect("the verifier checked the scope")[at])
            }
            Expr::Load(access) => self.load(access),
            Expr::Lookup(buffer, at) => self.lookup(*buffer, at),
            Expr::Op { prim, args, imm } => self.op(*prim, args, imm),
        }
    }

    /// Computes a 32-bit value.
    pub(super) fn word(&mut self, expr: &Expr) -> Result<Reg, Diagnostic> {
        match self.value(expr)? {
            Val::Word(reg) => Ok(reg),
            Val::Double(..) => unreachable!("the verifier checked that this operand is a word"),
        }
    }

    /// Computes a 64-bit value.
    pub(super) fn double(&mut self, expr: &Expr) -> Result<(Reg, Reg), Diagnostic> {
        match self.value(expr)? {
            Val::Double(low, high) => Ok((low, high)),
            Val::Word(_) => unreachable!("the verifier checked that this operand is a double word"),
        }
    }

    fn op(&mut self, prim: Prim, args: &[Expr], imm: &[i32]) -> Result<Val, Diagnostic> {
        if self.nest.ty(&args[0]) == ir::ty::Ty::I64 {
            return self.wide_op(prim, args);
        }
        if let Some(word) = self.without_dsp(prim, args, imm)? {
            return Ok(Val::Word(word));
        }
        let word = match prim {
            Prim::Add => self.select_add(&args[0], &args[1])?,
            Prim::Sub => self.select_sub(&args[0], &args[1])?,
            Prim::Mul => self.select_mul(&args[0], &args[1])?,
            Prim::And => self.combine(Combine::And, &args[0], &args[1])?,
            Prim::Or => self.combine(Combine::Or, &args[0], &args[1])?,
            Prim::Xor => self.combine(Combine::Xor, &args[0], &args[1])?,
            Prim::Shl | Prim::Asr | Prim::Lsr => self.select_shift(prim, &args[0], &args[1])?,
            Prim::Min => self.extreme(Cond::Lt, args)?,
            Prim::Max => self.extreme(Cond::Gt, args)?,
            Prim::Select => self.select_if(args)?,
            Prim::Lt | Prim::Le | Prim::Eq => self.truth(prim, args)?,
            Prim::MulWide | Prim::Widen | Prim::Join => return self.widening(prim, args),
            Prim::Sext | Prim::Zext => self.word(&args[0])?, // Loads extend.
            Prim::AsI32 | Prim::AsI8x4 | Prim::AsU8x4 | Prim::AsI16x2 => self.word(&args[0])?,
            Prim::MulShift16 => self.select_mul_shift16(args)?,
            Prim::Add2 => self.select_add2(&args[0], &args[1])?,
            Prim::SelectGe4 => self.select_ge4(args)?,
            Prim::Bfi => self.select_bfi(args, imm)?,
            Prim::Lo | Prim::Hi => unreachable!("their operand is a double word"),
            Prim::Requantize | Prim::DoublingHighMul | Prim::RoundShift | Prim::Unscaled => {
                return Err(composite(prim));
            }
            Prim::Div
            | Prim::Clz
            | Prim::Sub2
            | Prim::MulHigh
            | Prim::MulHighRound
            | Prim::MulHighAdd
            | Prim::MulHighAddRound
            | Prim::Dot2
            | Prim::Dot2Cross
            | Prim::Ssat
            | Prim::Usat
            | Prim::Bot
            | Prim::Top
            | Prim::Sxtb16
            | Prim::Uxtb16
            | Prim::PackBotTop
            | Prim::PackTopBot
            | Prim::Ubfx
            | Prim::Sbfx => self.direct(prim, args, imm)?,
        };
        Ok(Val::Word(word))
    }

    /// The register of a block that constant indices name.
    pub(super) fn element(&self, local: LocalId, index: &[Index]) -> Result<usize, Diagnostic> {
        let local = &self.nest.locals[local.idx()];
        element(local, index, &self.vars).ok_or_else(|| {
            let message = format!(
                "`{}` is a block of registers: its index varies in a loop that is not unrolled",
                local.name
            );
            Diagnostic::new(message).help("unroll the loops over the block")
        })
    }

    /// The smaller or larger of two words.
    fn extreme(&mut self, keep_first_if: Cond, args: &[Expr]) -> Result<Reg, Diagnostic> {
        let (a, b) = (self.word(&args[0])?, self.word(&args[1])?);
        Ok(self.choose(ops::cmp(a, b, Shift::NONE), keep_first_if, a, b))
    }

    fn select_if(&mut self, args: &[Expr]) -> Result<Reg, Diagnostic> {
        let (yes, no) = (self.word(&args[1])?, self.word(&args[2])?);
        let (compare, cond) = self.condition(&args[0])?;
        Ok(self.choose(compare, cond, yes, no))
    }

    fn truth(&mut self, prim: Prim, args: &[Expr]) -> Result<Reg, Diagnostic> {
        let (yes, no) = (self.constant(1), self.constant(0));
        let (compare, cond) = self.comparison(prim, args)?;
        Ok(self.choose(compare, cond, yes, no))
    }

    /// A comparison that decides a truth value, and the condition under which it is true.
    fn condition(&mut self, expr: &Expr) -> Result<(Inst, Cond), Diagnostic> {
        if let Expr::Op { prim: prim @ (Prim::Lt | Prim::Le | Prim::Eq), args, .. } = expr {
            return self.comparison(*prim, args);
        }
        let value = self.word(expr)?;
        Ok((asm::cmp_zero(value), Cond::Ne))
    }

    fn comparison(&mut self, prim: Prim, args: &[Expr]) -> Result<(Inst, Cond), Diagnostic> {
        let cond = match prim {
            Prim::Lt => Cond::Lt,
            Prim::Le => Cond::Le,
            _ => Cond::Eq,
        };
        let (a, b) = (self.word(&args[0])?, self.word(&args[1])?);
        Ok((ops::cmp(a, b, Shift::NONE), cond))
    }

    /// `yes` where the comparison fulfils the condition, else `no`.
    fn choose(&mut self, compare: Inst, cond: Cond, yes: Reg, no: Reg) -> Reg {
        let chosen = self.reg();
        let insts = vec![compare, asm::it(cond), asm::mov_if(cond, chosen, yes)];
        self.push_group(Group { insts, ties: vec![(chosen, no)], ..Group::default() });
        chosen
    }
}

/// The bitwise operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Combine {
    And,
    Or,
    Xor,
}

fn composite(prim: Prim) -> Diagnostic {
    Diagnostic::new(format!("`{}` is not an operation of the core", prim.row().name))
        .help("run the pass `expand-composites` first")
}
