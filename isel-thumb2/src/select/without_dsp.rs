//! What the DSP extension does in one instruction, for cores that lack it: the same values by instructions of the base.
//!
//! Products of halves are products of words with the halves taken out first; high words come from 64-bit products; pairs
//! and bytes are put together by bit-field insertion. All of it is longer, so a schedule for such a core avoids pairs.

use ir::diag::Diagnostic;
use ir::loops::{Expr, Prim};
use ir::ty::Ty;

use super::mac::half_of;
use super::{Selector, asm};
use crate::isa::imm::{ModImm, RotateBy, Shift, ShiftKind};
use crate::isa::{Extension, Reg, ops};

/// The highest bit of each byte.
const TOPS: i64 = 0x8080_8080;
/// The lower byte of each half.
const BYTES_0_AND_2: i64 = 0x00ff_00ff;
/// Bits of a half.
const HALF: u32 = 16;

impl Selector<'_> {
    /// Whether the core has the DSP extension.
    pub(super) fn has_dsp(&self) -> bool {
        self.core.has(Extension::Dsp)
    }

    /// The value of an operation that takes the DSP extension, where the core lacks that; `None` for all others.
    pub(super) fn without_dsp(
        &mut self,
        prim: Prim,
        args: &[Expr],
        imm: &[i32],
    ) -> Result<Option<Reg>, Diagnostic> {
        if self.has_dsp() || !takes_dsp(prim) {
            return Ok(None);
        }
        let r = args.iter().map(|arg| self.word(arg)).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(match prim {
            Prim::MulHigh => self.long_product(r[0], r[1]).1,
            Prim::MulHighRound => self.rounded_high(r[0], r[1]),
            Prim::MulHighAdd => {
                let (_, high) = self.long_product(r[1], r[2]);
                self.add(r[0], high)
            }
            Prim::MulHighAddRound => {
                let high = self.rounded_high(r[1], r[2]);
                self.add(r[0], high)
            }
            Prim::MulShift16 => {
                let m = if half_of(&args[1]).is_some() { r[1] } else { self.low_half(r[1]) };
                let (low, high) = self.long_product(r[0], m);
                let low = self.shift_constant(low, ShiftKind::Lsr, HALF);
                self.data(ops::orr, low, high, ShiftKind::Lsl, HALF)
            }
            Prim::Dot2 => self.two_products(r[0], r[1], r[2], false),
            Prim::Dot2Cross => self.two_products(r[0], r[1], r[2], true),
            Prim::Add2 => self.by_halves(ops::add, r[0], r[1]),
            Prim::Sub2 => self.by_halves(ops::sub, r[0], r[1]),
            Prim::Sxtb16 => self.signed_bytes(r[0], imm[0]),
            Prim::Uxtb16 => self.unsigned_bytes(r[0], imm[0]),
            Prim::PackBotTop => {
                let high = match imm[0] as u32 {
                    by @ 0..HALF => self.shift_constant(r[1], ShiftKind::Lsr, HALF - by),
                    by => self.shift_constant(r[1], ShiftKind::Lsl, by - HALF),
                };
                self.with_half(r[0], high, HALF)
            }
            Prim::PackTopBot => {
                let low = self.shift_constant(r[1], ShiftKind::Asr, imm[0] as u32);
                self.with_half(r[0], low, 0)
            }
            Prim::SelectGe4 => self.bytes_if_at_least(&r, self.nest.ty(&args[0]) == Ty::U8x4),
            _ => unreachable!("the base has all other operations"),
        }))
    }

    /// Both words of a product.
    fn long_product(&mut self, a: Reg, b: Reg) -> (Reg, Reg) {
        let (low, high) = (self.reg(), self.reg());
        self.push(ops::smull(low, high, a, b));
        (low, high)
    }

    /// The high word of a product plus 2^31: the highest bit of the low word is what that carries.
    fn rounded_high(&mut self, a: Reg, b: Reg) -> Reg {
        let (low, high) = self.long_product(a, b);
        self.data(ops::add, high, low, ShiftKind::Lsr, 31)
    }

    /// `a` plus the product of the low halves and that of the high halves, or crosswise.
    fn two_products(&mut self, a: Reg, b: Reg, c: Reg, cross: bool) -> Reg {
        let (b_low, b_high) = (self.low_half(b), self.high_half(b));
        let (c_low, c_high) = (self.low_half(c), self.high_half(c));
        let (first, second) = if cross { (c_high, c_low) } else { (c_low, c_high) };
        let sum = ops::mla(self.reg(), b_low, first, a);
        let sum = self.push_def(sum);
        let sum = ops::mla(self.reg(), b_high, second, sum);
        self.push_def(sum)
    }

    fn low_half(&mut self, pair: Reg) -> Reg {
        let half = ops::sxth(self.reg(), pair, asm::rotation(0));
        self.push_def(half)
    }

    fn high_half(&mut self, pair: Reg) -> Reg {
        self.shift_constant(pair, ShiftKind::Asr, HALF)
    }

    /// A sum or difference of each half. With zeros in the low half of `b` nothing is carried into the high half.
    fn by_halves(&mut self, make: asm::Data, a: Reg, b: Reg) -> Reg {
        let b_high = self.shift_constant(b, ShiftKind::Lsr, HALF);
        let high = self.data(make, a, b_high, ShiftKind::Lsl, HALF);
        let low = make(self.reg(), a, b, Shift::NONE);
        let low = self.push_def(low);
        self.with_half(high, low, 0)
    }

    /// Bytes 0 and 2 of a rotated word as signed halves.
    fn signed_bytes(&mut self, word: Reg, ror: i32) -> Reg {
        let mut byte = |ror: i32| {
            let byte = ops::sxtb(self.reg(), word, asm::rotation(ror));
            self.push_def(byte)
        };
        let (low, high) = (byte(ror), byte((ror + HALF as i32) % 32));
        self.with_half(low, high, HALF)
    }

    /// Bytes 0 and 2 of a rotated word as unsigned halves.
    fn unsigned_bytes(&mut self, word: Reg, ror: i32) -> Reg {
        let rotated = match RotateBy::new(ror.into()) {
            Some(by) => {
                let ror = ops::ror_imm(self.reg(), word, by);
                self.push_def(ror)
            }
            None => word,
        };
        let bytes = ops::and_imm(self.reg(), rotated, pattern(BYTES_0_AND_2));
        self.push_def(bytes)
    }

    /// `word` with the half from bit `at` on replaced by the low half of `half`.
    fn with_half(&mut self, word: Reg, half: Reg, at: u32) -> Reg {
        let field = asm::insert(at as i32, HALF as i32).expect("a half is inside of a word");
        let bfi = ops::bfi(self.reg(), word, half, field);
        self.push_def(bfi)
    }

    /// Byte by byte the third word where the first is at least the second, else the fourth.
    ///
    /// The lower seven bits of all bytes are subtracted at once, each below a bit that takes the borrow. Where the
    /// highest bits of two bytes differ they decide, otherwise that bit does.
    fn bytes_if_at_least(&mut self, r: &[Reg], unsigned: bool) -> Reg {
        let (a, b) = (r[0], r[1]);
        let with_tops = ops::orr_imm(self.reg(), a, pattern(TOPS));
        let with_tops = self.push_def(with_tops);
        let without = ops::bic_imm(self.reg(), b, pattern(TOPS));
        let without = self.push_def(without);
        let borrowed = self.plain(ops::sub, with_tops, without);
        let differ = self.plain(ops::eor, a, b);
        // Of two bytes with different highest bits, the one with the bit is greater if unsigned and less if signed.
        let decides = self.plain(ops::eor, if unsigned { a } else { b }, borrowed);
        let decides = self.plain(ops::and, decides, differ);
        let at_least = self.plain(ops::eor, decides, borrowed);
        let at_least = ops::and_imm(self.reg(), at_least, pattern(TOPS));
        let at_least = self.push_def(at_least);
        // From the highest bit of each byte to all of its bits: 2^8 less 1, at the place of the byte.
        let ones = self.shift_constant(at_least, ShiftKind::Lsr, 7);
        let above = self.shift_constant(at_least, ShiftKind::Lsl, 1);
        let mask = self.plain(ops::sub, above, ones);
        let change = self.plain(ops::eor, r[2], r[3]);
        let change = self.plain(ops::and, change, mask);
        self.plain(ops::eor, change, r[3])
    }

    fn plain(&mut self, make: asm::Data, a: Reg, b: Reg) -> Reg {
        let result = make(self.reg(), a, b, Shift::NONE);
        self.push_def(result)
    }

    fn data(&mut self, make: asm::Data, a: Reg, b: Reg, kind: ShiftKind, by: u32) -> Reg {
        let result = asm::shifted(make, self.reg(), a, b, kind, by);
        self.push_def(result)
    }
}

fn takes_dsp(prim: Prim) -> bool {
    matches!(
        prim,
        Prim::MulHigh
            | Prim::MulHighRound
            | Prim::MulHighAdd
            | Prim::MulHighAddRound
            | Prim::MulShift16
            | Prim::Dot2
            | Prim::Dot2Cross
            | Prim::Add2
            | Prim::Sub2
            | Prim::Sxtb16
            | Prim::Uxtb16
            | Prim::PackBotTop
            | Prim::PackTopBot
            | Prim::SelectGe4
    )
}

/// A byte, or one of the patterns of bytes that an instruction can hold.
fn pattern(bits: i64) -> ModImm {
    ModImm::new(bits).expect("the pattern repeats a byte")
}
