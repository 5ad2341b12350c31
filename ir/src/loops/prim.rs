//! The operations of the loops level: one row each, with its types, attributes and meaning.
//!
//! Beside plain arithmetic stands what a core with the DSP extension does in one instruction. A value is kept in an
//! `i64`: `i32` and packed words sign-extended from 32 bits.

use crate::fixed;
use crate::ty::Ty;

/// The types that an operand may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// `i1`.
    Bool,
    /// `i32`.
    I32,
    /// `i64`.
    I64,
    /// `i32` or `i64`; all operands marked so have one type.
    Int,
    /// A narrow signed integer: `i8` or `i16`.
    Signed,
    /// A narrow unsigned integer: `u8` or `u16`.
    Unsigned,
    /// `i16x2`.
    Pair,
    /// `i8x4` or `u8x4`; all operands marked so have one type.
    Bytes,
    /// Any 32-bit word: `i32`, `i8x4`, `u8x4`, `i16x2`.
    Word,
}

/// The type of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Always this one.
    Is(Ty),
    /// That of the operand at this position.
    As(usize),
}

/// All that is true of an operation.
#[derive(Debug)]
pub struct Row {
    /// Name in text.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Types of the operands.
    pub operands: &'static [Operand],
    /// Type of the result.
    pub output: Output,
    /// Names of the attributes, all integers, with the values that they may have.
    pub attributes: &'static [(&'static str, Range)],
    /// The result for operands and attributes; `ty` is the type of the first operand.
    pub eval: fn(Ty, &[i64], &[i32]) -> i64,
}

/// The values that an attribute may have: from, to (included), in steps of.
pub type Range = (i32, i32, i32);

impl Operand {
    /// Whether an operand may have this type.
    pub fn accepts(self, ty: Ty) -> bool {
        match self {
            Operand::Bool => ty == Ty::I1,
            Operand::I32 => ty == Ty::I32,
            Operand::I64 => ty == Ty::I64,
            Operand::Int => matches!(ty, Ty::I32 | Ty::I64),
            Operand::Signed => matches!(ty, Ty::I8 | Ty::I16),
            Operand::Unsigned => matches!(ty, Ty::U8 | Ty::U16),
            Operand::Pair => ty == Ty::I16x2,
            Operand::Bytes => matches!(ty, Ty::I8x4 | Ty::U8x4),
            Operand::Word => matches!(ty, Ty::I32 | Ty::I8x4 | Ty::U8x4 | Ty::I16x2),
        }
    }

    /// Whether all operands marked so must agree.
    pub fn must_agree(self) -> bool {
        matches!(self, Operand::Int | Operand::Bytes)
    }
}

macro_rules! prims {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal ($($operand:ident),*) -> $output:expr,
       {$($attribute:ident in $range:expr),*} $eval:expr;)*) => {
        /// An operation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Prim { $($(#[doc = $doc])+ $variant),* }

        impl Prim {
            /// Every operation, in the order of the table.
            pub const ALL: &'static [Prim] = &[$(Prim::$variant),*];

            /// Its row.
            pub fn row(self) -> &'static Row {
                &ROWS[self as usize]
            }
        }

        static ROWS: &[Row] = &[$(Row {
            name: $name,
            summary: concat!($($doc),+),
            operands: &[$(Operand::$operand),*],
            output: $output,
            attributes: &[$((stringify!($attribute), $range)),*],
            eval: $eval,
        }),*];
    };
}

use Output::{As, Is};

const SHIFT: Range = (-31, 31, 1);
const ROTATION: Range = (0, 24, 8);
const ANY: Range = (i32::MIN, i32::MAX, 1);

#[rustfmt::skip] // One operation per line.
prims! {
    /// The sum, wrapping.
    Add "add" (Int, Int) -> As(0), {} |ty, a, _| wrap(ty, a[0].wrapping_add(a[1]));
    /// The difference, wrapping.
    Sub "sub" (Int, Int) -> As(0), {} |ty, a, _| wrap(ty, a[0].wrapping_sub(a[1]));
    /// The low 32 bits of the product.
    Mul "mul" (I32, I32) -> Is(Ty::I32), {} |_, a, _| word(a[0].wrapping_mul(a[1]));
    /// The 64-bit product of two words.
    MulWide "mul_wide" (I32, I32) -> Is(Ty::I64), {} |_, a, _| a[0] * a[1];
    /// The quotient, rounded towards zero; 0 where the divisor is 0.
    Div "div" (I32, I32) -> Is(Ty::I32), {} |_, a, _| if a[1] == 0 { 0 } else { word(a[0] / a[1]) };
    /// The smaller one.
    Min "min" (I32, I32) -> Is(Ty::I32), {} |_, a, _| a[0].min(a[1]);
    /// The larger one.
    Max "max" (I32, I32) -> Is(Ty::I32), {} |_, a, _| a[0].max(a[1]);
    /// Bitwise and.
    And "and" (Word, I32) -> As(0), {} |_, a, _| word(a[0] & a[1]);
    /// Bitwise or.
    Or "or" (Word, I32) -> As(0), {} |_, a, _| word(a[0] | a[1]);
    /// Bitwise exclusive or.
    Xor "xor" (Word, I32) -> As(0), {} |_, a, _| word(a[0] ^ a[1]);
    /// Shifted left by 0 to 31.
    Shl "shl" (Int, I32) -> As(0), {} |ty, a, _| wrap(ty, a[0] << (a[1] & 31));
    /// Shifted right by 0 to 31, copying the sign.
    Asr "asr" (Int, I32) -> As(0), {} |_, a, _| a[0] >> (a[1] & 31);
    /// Shifted right by 0 to 31, zeros from the left.
    Lsr "lsr" (I32, I32) -> Is(Ty::I32), {} |_, a, _| word(i64::from(a[0] as u32 >> (a[1] & 31)));
    /// The number of leading zeros.
    Clz "clz" (I32) -> Is(Ty::I32), {} |_, a, _| i64::from((a[0] as u32).leading_zeros());
    /// Whether `a < b`.
    Lt "lt" (I32, I32) -> Is(Ty::I1), {} |_, a, _| i64::from(a[0] < a[1]);
    /// Whether `a <= b`.
    Le "le" (I32, I32) -> Is(Ty::I1), {} |_, a, _| i64::from(a[0] <= a[1]);
    /// Whether `a = b`.
    Eq "eq" (I32, I32) -> Is(Ty::I1), {} |_, a, _| i64::from(a[0] == a[1]);
    /// The second operand where the first holds, else the third.
    Select "select" (Bool, I32, I32) -> Is(Ty::I32), {} |_, a, _| if a[0] != 0 { a[1] } else { a[2] };
    /// A narrow signed integer as a word.
    Sext "sext" (Signed) -> Is(Ty::I32), {} |_, a, _| a[0];
    /// A narrow unsigned integer as a word.
    Zext "zext" (Unsigned) -> Is(Ty::I32), {} |_, a, _| a[0];
    /// A word as a double word, sign-extended.
    Widen "widen" (I32) -> Is(Ty::I64), {} |_, a, _| a[0];
    /// The low word of a double word.
    Lo "lo" (I64) -> Is(Ty::I32), {} |_, a, _| word(a[0]);
    /// The high word of a double word.
    Hi "hi" (I64) -> Is(Ty::I32), {} |_, a, _| a[0] >> 32;
    /// A double word from its low and its high word.
    Join "join" (I32, I32) -> Is(Ty::I64), {} |_, a, _| a[1] << 32 | i64::from(a[0] as u32);
    /// The high word of the 64-bit product.
    MulHigh "mul_high" (I32, I32) -> Is(Ty::I32), {} |_, a, _| (a[0] * a[1]) >> 32;
    /// The high word of the 64-bit product plus 2^31.
    MulHighRound "mul_high_round" (I32, I32) -> Is(Ty::I32), {} |_, a, _| word((a[0] * a[1] + (1 << 31)) >> 32);
    /// The high word of `2^32 a + b c`, wrapping.
    MulHighAdd "mul_high_add" (I32, I32, I32) -> Is(Ty::I32), {} |_, a, _| word(a[0] + ((a[1] * a[2]) >> 32));
    /// The high word of `2^32 a + b c + 2^31`, wrapping.
    MulHighAddRound "mul_high_add_round" (I32, I32, I32) -> Is(Ty::I32), {} |_, a, _| word(a[0] + ((a[1] * a[2] + (1 << 31)) >> 32));
    /// Bits 16 to 47 of the product of a word and a halfword value.
    MulShift16 "mul_shift16" (I32, I32) -> Is(Ty::I32), {} |_, a, _| word((a[0] * half(a[1])) >> 16);
    /// Shifted right by `asr` (left where it is negative), then saturated to `bits` signed bits.
    Ssat "ssat" (I32) -> Is(Ty::I32), {bits in (1, 32, 1), asr in SHIFT} |_, a, i| shifted(a[0], i[1]).clamp(-(1 << (i[0] - 1)), (1 << (i[0] - 1)) - 1);
    /// Shifted right by `asr` (left where it is negative), then saturated to `bits` unsigned bits.
    Usat "usat" (I32) -> Is(Ty::I32), {bits in (0, 31, 1), asr in SHIFT} |_, a, i| shifted(a[0], i[1]).clamp(0, (1 << i[0]) - 1);
    /// The low half of a pair, sign-extended.
    Bot "bot" (Pair) -> Is(Ty::I32), {} |_, a, _| half(a[0]);
    /// The high half of a pair, sign-extended.
    Top "top" (Pair) -> Is(Ty::I32), {} |_, a, _| half(a[0] >> 16);
    /// `a + b.lo c.lo + b.hi c.hi`, wrapping.
    Dot2 "dot2" (I32, Pair, Pair) -> Is(Ty::I32), {} |_, a, _| word(a[0] + half(a[1]) * half(a[2]) + half(a[1] >> 16) * half(a[2] >> 16));
    /// `a + b.lo c.hi + b.hi c.lo`, wrapping.
    Dot2Cross "dot2_cross" (I32, Pair, Pair) -> Is(Ty::I32), {} |_, a, _| word(a[0] + half(a[1]) * half(a[2] >> 16) + half(a[1] >> 16) * half(a[2]));
    /// The sums of the halves, each wrapping.
    Add2 "add2" (Pair, Pair) -> Is(Ty::I16x2), {} |_, a, _| pair(half(a[0]) + half(a[1]), (a[0] >> 16) + (a[1] >> 16));
    /// The differences of the halves, each wrapping.
    Sub2 "sub2" (Pair, Pair) -> Is(Ty::I16x2), {} |_, a, _| pair(half(a[0]) - half(a[1]), (a[0] >> 16) - (a[1] >> 16));
    /// Bytes 0 and 2 after a rotation right by `ror`, sign-extended into halves.
    Sxtb16 "sxtb16" (Word) -> Is(Ty::I16x2), {ror in ROTATION} |_, a, i| { let w = (a[0] as u32).rotate_right(i[0] as u32); pair(i64::from(w as i8), i64::from((w >> 16) as i8)) };
    /// Bytes 0 and 2 after a rotation right by `ror`, zero-extended into halves.
    Uxtb16 "uxtb16" (Word) -> Is(Ty::I16x2), {ror in ROTATION} |_, a, i| { let w = (a[0] as u32).rotate_right(i[0] as u32); pair(i64::from(w as u8), i64::from((w >> 16) as u8)) };
    /// The low half of the first word, and the high half of the second after a shift left.
    PackBotTop "pack_bt" (Word, Word) -> Is(Ty::I16x2), {lsl in (0, 31, 1)} |_, a, i| pair(a[0], i64::from((a[1] as i32) << i[0]) >> 16);
    /// The high half of the first word, and below it the low half of the second after a shift right.
    PackTopBot "pack_tb" (Word, Word) -> Is(Ty::I16x2), {asr in (0, 31, 1)} |_, a, i| pair(a[1] >> i[0], a[0] >> 16);
    /// Byte by byte, the third operand where the first is at least the second, else the fourth.
    SelectGe4 "select_ge4" (Bytes, Bytes, Word, Word) -> As(2), {} |ty, a, _| select_ge4(ty, a);
    /// `width` bits from bit `lsb` on, zero-extended.
    Ubfx "ubfx" (Word) -> Is(Ty::I32), {lsb in (0, 31, 1), width in (1, 32, 1)} |_, a, i| word(i64::from(a[0] as u32 >> i[0]) & mask(i[1]));
    /// `width` bits from bit `lsb` on, sign-extended.
    Sbfx "sbfx" (Word) -> Is(Ty::I32), {lsb in (0, 31, 1), width in (1, 32, 1)} |_, a, i| ((a[0] >> i[0]) << (64 - i[1])) >> (64 - i[1]);
    /// The first word with its `width` bits from bit `lsb` on replaced by the lowest of the second.
    Bfi "bfi" (Word, Word) -> As(0), {lsb in (0, 31, 1), width in (1, 32, 1)} |_, a, i| { let m = mask(i[1]) << i[0]; word((a[0] & !m) | ((a[1] << i[0]) & m)) };
    /// The same bits as an `i32`.
    AsI32 "as_i32" (Word) -> Is(Ty::I32), {} |_, a, _| a[0];
    /// The same bits as an `i8x4`.
    AsI8x4 "as_i8x4" (Word) -> Is(Ty::I8x4), {} |_, a, _| a[0];
    /// The same bits as a `u8x4`.
    AsU8x4 "as_u8x4" (Word) -> Is(Ty::U8x4), {} |_, a, _| a[0];
    /// The same bits as an `i16x2`.
    AsI16x2 "as_i16x2" (Word) -> Is(Ty::I16x2), {} |_, a, _| a[0];
    /// `clamp(scaled(a, multiplier, shift) + zero, min, max)`, rounded twice as the reference kernels do; `shift` counts as in -31 to 31.
    Requantize "requantize" (I32, I32, I32) -> Is(Ty::I32), {zero in ANY, min in ANY, max in ANY} |_, a, i| {
        let scaled = fixed::multiply_by_quantized_multiplier(a[0] as i32, a[1] as i32, a[2].clamp(-31, 31) as i32);
        i64::from(scaled.wrapping_add(i[0]).max(i[1]).min(i[2]))
    };
    /// `a / by`, where it is known that `by` divides `a` and that the quotient lies from `b` to `c`; clamped to that.
    Unscaled "unscaled" (I32, I32, I32) -> Is(Ty::I32), {by in (1, i32::MAX, 1)} |_, a, i| (a[0] / i64::from(i[0])).max(a[1]).min(a[2]);
    /// `a b / 2^31`, rounded to nearest, saturated: gemmlowp's doubling high multiply.
    DoublingHighMul "doubling_high_mul" (I32, I32) -> Is(Ty::I32), {} |_, a, _| i64::from(fixed::saturating_rounding_doubling_high_mul(a[0] as i32, a[1] as i32));
    /// `a / 2^b` for `b` in 0 to 31, rounded to nearest, ties away from zero.
    RoundShift "round_shift" (I32, I32) -> Is(Ty::I32), {} |_, a, _| i64::from(fixed::rounding_divide_by_pot(a[0] as i32, a[1] as i32 & 31));
}

impl Prim {
    /// The operation called `name`.
    pub fn parse(name: &str) -> Option<Prim> {
        Self::ALL.iter().copied().find(|prim| prim.row().name == name)
    }

    /// The result's type; `operand` gives the type of each operand.
    pub fn result(self, operand: impl Fn(usize) -> Ty) -> Ty {
        match self.row().output {
            Is(ty) => ty,
            As(idx) => operand(idx),
        }
    }
}

/// The low 32 bits, sign-extended.
fn word(value: i64) -> i64 {
    i64::from(value as i32)
}

/// The low 16 bits, sign-extended.
fn half(value: i64) -> i64 {
    i64::from(value as i16)
}

fn wrap(ty: Ty, value: i64) -> i64 {
    if ty == Ty::I64 { value } else { word(value) }
}

fn pair(low: i64, high: i64) -> i64 {
    word((high << 16) | (low & 0xffff))
}

fn mask(width: i32) -> i64 {
    (1 << width) - 1
}

/// Right by `by`, left where it is negative; bits shifted out on the left are lost, as in the core.
fn shifted(value: i64, by: i32) -> i64 {
    if by >= 0 { value >> by } else { word(value << -by) }
}

fn select_ge4(ty: Ty, a: &[i64]) -> i64 {
    let byte = |value: i64, lane: u32| value >> (8 * lane) & 0xff;
    let ge = |lane: u32| {
        let (x, y) = (byte(a[0], lane), byte(a[1], lane));
        if ty == Ty::U8x4 { x >= y } else { x as i8 >= y as i8 }
    };
    let lanes = (0..4).map(|lane| byte(if ge(lane) { a[2] } else { a[3] }, lane) << (8 * lane));
    word(lanes.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_parse() {
        for prim in Prim::ALL {
            assert_eq!(Prim::parse(prim.row().name), Some(*prim));
        }
    }

    /// Every operation is defined for all operands and attributes, and gives a value that its type holds.
    #[test]
    fn edges_give_values_of_the_result_type() {
        for prim in Prim::ALL {
            let row = prim.row();
            let attributes: Vec<Vec<i32>> =
                row.attributes.iter().map(|(_, (from, to, _))| vec![*from, *to]).collect();
            for imm in product(&attributes) {
                for ty in Ty::ALL.iter().map(|(ty, _)| *ty).filter(|ty| row.operands[0].accepts(*ty)) {
                    let tys: Vec<Ty> = row.operands.iter().map(|operand| operand_ty(*operand, ty)).collect();
                    let edges: Vec<Vec<i64>> = tys.iter().map(|ty| edges(*ty)).collect();
                    let (low, high) = bounds(prim.result(|idx| tys[idx]));
                    for args in product(&edges) {
                        let value = (row.eval)(ty, &args, &imm);
                        assert!((low..=high).contains(&value), "{} {args:?} {imm:?} = {value}", row.name);
                    }
                }
            }
        }
    }

    fn operand_ty(operand: Operand, first: Ty) -> Ty {
        let any = Ty::ALL.iter().map(|(ty, _)| *ty).find(|ty| operand.accepts(*ty));
        if operand.accepts(first) { first } else { any.expect("every kind of operand has a type") }
    }

    fn bounds(ty: Ty) -> (i64, i64) {
        ty.range().unwrap_or((i32::MIN.into(), i32::MAX.into()))
    }

    fn edges(ty: Ty) -> Vec<i64> {
        let (low, high) = bounds(ty);
        let mut edges = vec![low, -1, 0, 1, 31, 32, high];
        edges.retain(|edge| (low..=high).contains(edge));
        edges
    }

    fn product<T: Copy>(choices: &[Vec<T>]) -> Vec<Vec<T>> {
        choices.iter().fold(vec![vec![]], |lists, choice| {
            let longer =
                |list: &Vec<T>| choice.iter().map(|last| [&list[..], &[*last]].concat()).collect::<Vec<_>>();
            lists.iter().flat_map(longer).collect()
        })
    }
}
