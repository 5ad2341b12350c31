//! Products: plain, of halves, dual, high words; and what accumulates them.

use ir::diag::Diagnostic;
use ir::loops::{Expr, Prim};

use super::{Selector, asm};
use crate::isa::{Reg, ops};
use crate::mir::Group;

/// Which half of a register a multiplication reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Bot,
    Top,
}

/// The pair and the half of it that an expression is.
pub(super) fn half_of(expr: &Expr) -> Option<(&Expr, Half)> {
    match expr {
        Expr::Op { prim: Prim::Bot, args, .. } => Some((&args[0], Half::Bot)),
        Expr::Op { prim: Prim::Top, args, .. } => Some((&args[0], Half::Top)),
        _ => None,
    }
}

fn op_of(expr: &Expr, wanted: Prim) -> Option<&[Expr]> {
    match expr {
        Expr::Op { prim, args, .. } if *prim == wanted => Some(args),
        _ => None,
    }
}

impl Selector<'_> {
    /// `sum + product` as one instruction, where `product` is a product.
    pub(super) fn multiply_accumulate(
        &mut self,
        sum: &Expr,
        product: &Expr,
    ) -> Result<Option<Reg>, Diagnostic> {
        if let Some([a, b]) = op_of(product, Prim::Mul) {
            let sum = self.word(sum)?;
            if let Some([(n, n_half), (m, m_half)]) = self.halves_of(a, b) {
                let (n, m, d) = (self.word(n)?, self.word(m)?, self.reg());
                let inst = match (n_half, m_half) {
                    (Half::Bot, Half::Bot) => ops::smlabb(d, n, m, sum),
                    (Half::Bot, Half::Top) => ops::smlabt(d, n, m, sum),
                    (Half::Top, Half::Bot) => ops::smlatb(d, n, m, sum),
                    (Half::Top, Half::Top) => ops::smlatt(d, n, m, sum),
                };
                return Ok(Some(self.push_def(inst)));
            }
            let (n, m) = (self.word(a)?, self.word(b)?);
            let mla = ops::mla(self.reg(), n, m, sum);
            return Ok(Some(self.push_def(mla)));
        }
        if let Some([a, b]) = op_of(product, Prim::MulShift16).filter(|_| self.has_dsp()) {
            let sum = self.word(sum)?;
            let (n, (m, half)) = (self.word(a)?, self.half(b)?);
            let inst = match half {
                Half::Bot => ops::smlawb(self.reg(), n, m, sum),
                Half::Top => ops::smlawt(self.reg(), n, m, sum),
            };
            return Ok(Some(self.push_def(inst)));
        }
        Ok(None)
    }

    /// `from - product` as one instruction, where `product` is a product.
    pub(super) fn multiply_subtract(
        &mut self,
        from: &Expr,
        product: &Expr,
    ) -> Result<Option<Reg>, Diagnostic> {
        let Some([a, b]) = op_of(product, Prim::Mul) else { return Ok(None) };
        let from = self.word(from)?;
        let (n, m) = (self.word(a)?, self.word(b)?);
        let mls = ops::mls(self.reg(), n, m, from);
        Ok(Some(self.push_def(mls)))
    }

    /// The low word of a product.
    pub(super) fn select_mul(&mut self, a: &Expr, b: &Expr) -> Result<Reg, Diagnostic> {
        if let Some([(n, n_half), (m, m_half)]) = self.halves_of(a, b) {
            let (n, m, d) = (self.word(n)?, self.word(m)?, self.reg());
            return Ok(self.push_def(match (n_half, m_half) {
                (Half::Bot, Half::Bot) => ops::smulbb(d, n, m),
                (Half::Bot, Half::Top) => ops::smulbt(d, n, m),
                (Half::Top, Half::Bot) => ops::smultb(d, n, m),
                (Half::Top, Half::Top) => ops::smultt(d, n, m),
            }));
        }
        let (n, m) = (self.word(a)?, self.word(b)?);
        let mul = ops::mul(self.reg(), n, m);
        Ok(self.push_def(mul))
    }

    /// `a b / 2^16` where `b` is a halfword value.
    pub(super) fn select_mul_shift16(&mut self, args: &[Expr]) -> Result<Reg, Diagnostic> {
        let n = self.word(&args[0])?;
        let (m, half) = self.half(&args[1])?;
        let inst = match half {
            Half::Bot => ops::smulwb(self.reg(), n, m),
            Half::Top => ops::smulwt(self.reg(), n, m),
        };
        Ok(self.push_def(inst))
    }

    /// Both factors of a product, if they are halves and the core multiplies such.
    fn halves_of<'e>(&self, a: &'e Expr, b: &'e Expr) -> Option<[(&'e Expr, Half); 2]> {
        self.has_dsp().then_some([half_of(a)?, half_of(b)?])
    }

    /// A register and the half of it that holds the value; any word holds its own low half.
    fn half(&mut self, expr: &Expr) -> Result<(Reg, Half), Diagnostic> {
        match half_of(expr) {
            Some((pair, half)) => Ok((self.word(pair)?, half)),
            None => Ok((self.word(expr)?, Half::Bot)),
        }
    }

    /// The sums of halves; with an extension on one side, one extend-and-add.
    pub(super) fn select_add2(&mut self, a: &Expr, b: &Expr) -> Result<Reg, Diagnostic> {
        for (sum, extended) in [(a, b), (b, a)] {
            if let Expr::Op { prim: prim @ (Prim::Sxtb16 | Prim::Uxtb16), args, imm } = extended {
                let (n, m) = (self.word(sum)?, self.word(&args[0])?);
                let (d, rotation) = (self.reg(), asm::rotation(imm[0]));
                return Ok(self.push_def(match prim {
                    Prim::Sxtb16 => ops::sxtab16(d, n, m, rotation),
                    _ => ops::uxtab16(d, n, m, rotation),
                }));
            }
        }
        let (n, m) = (self.word(a)?, self.word(b)?);
        let sum = ops::sadd16(self.reg(), n, m);
        Ok(self.push_def(sum))
    }

    /// Byte by byte the third operand or the fourth: a subtraction that sets the flags, and the choice behind it.
    pub(super) fn select_ge4(&mut self, args: &[Expr]) -> Result<Reg, Diagnostic> {
        let unsigned = self.nest.ty(&args[0]) == ir::ty::Ty::U8x4;
        let words = args.iter().map(|arg| self.word(arg)).collect::<Result<Vec<_>, _>>()?;
        let (difference, chosen) = (self.reg(), self.reg());
        let compare = if unsigned { ops::usub8 } else { ops::ssub8 };
        let insts = vec![compare(difference, words[0], words[1]), ops::sel(chosen, words[2], words[3])];
        self.push_group(Group { insts, ..Group::default() });
        Ok(chosen)
    }

    /// The first word with some of its bits replaced by the lowest of the second.
    pub(super) fn select_bfi(&mut self, args: &[Expr], imm: &[i32]) -> Result<Reg, Diagnostic> {
        let (base, bits) = (self.word(&args[0])?, self.word(&args[1])?);
        let Some(field) = asm::insert(imm[0], imm[1]) else {
            return Err(past_the_end("bfi", imm));
        };
        let bfi = ops::bfi(self.reg(), base, bits, field);
        Ok(self.push_def(bfi))
    }

    /// Operations that are one instruction whatever their operands are.
    pub(super) fn direct(&mut self, prim: Prim, args: &[Expr], imm: &[i32]) -> Result<Reg, Diagnostic> {
        let r = args.iter().map(|arg| self.word(arg)).collect::<Result<Vec<_>, _>>()?;
        let d = self.reg();
        let inst = match prim {
            Prim::Div => ops::sdiv(d, r[0], r[1]),
            Prim::Clz => ops::clz(d, r[0]),
            Prim::Sub2 => ops::ssub16(d, r[0], r[1]),
            Prim::MulHigh => ops::smmul(d, r[0], r[1]),
            Prim::MulHighRound => ops::smmulr(d, r[0], r[1]),
            Prim::MulHighAdd => ops::smmla(d, r[1], r[2], r[0]),
            Prim::MulHighAddRound => ops::smmlar(d, r[1], r[2], r[0]),
            Prim::Dot2 => ops::smlad(d, r[1], r[2], r[0]),
            Prim::Dot2Cross => ops::smladx(d, r[1], r[2], r[0]),
            Prim::Bot => ops::sxth(d, r[0], asm::rotation(0)),
            Prim::Top => asm::shift_imm(d, r[0], crate::isa::imm::ShiftKind::Asr, 16),
            Prim::Sxtb16 => ops::sxtb16(d, r[0], asm::rotation(imm[0])),
            Prim::Uxtb16 => ops::uxtb16(d, r[0], asm::rotation(imm[0])),
            Prim::Ssat => asm::ssat(d, imm[0], r[0], imm[1]),
            Prim::Usat => asm::usat(d, imm[0], r[0], imm[1]),
            Prim::PackBotTop => asm::pkhbt(d, r[0], r[1], imm[0]),
            Prim::PackTopBot if imm[0] == 0 => asm::pkhbt(d, r[1], r[0], 0),
            Prim::PackTopBot => asm::pkhtb(d, r[0], r[1], imm[0]),
            Prim::Ubfx | Prim::Sbfx => {
                let Some(field) = asm::extract(imm[0], imm[1]) else {
                    return Err(past_the_end(prim.row().name, imm));
                };
                if prim == Prim::Ubfx { ops::ubfx(d, r[0], field) } else { ops::sbfx(d, r[0], field) }
            }
            _ => unreachable!("the caller passes these operations only"),
        };
        Ok(self.push_def(inst))
    }
}

fn past_the_end(name: &str, imm: &[i32]) -> Diagnostic {
    let (lsb, width) = (imm[0], imm[1]);
    Diagnostic::new(format!("`{name}` of {width} bits from bit {lsb} on: a word has 32"))
        .help(format!("a width of at most {}", 32 - lsb))
}
