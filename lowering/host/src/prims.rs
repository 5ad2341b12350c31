//! Every operation of the loops level in Cranelift's IR; what each means stands in its row in `ir::loops::prim`.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use cranelift_frontend::FunctionBuilder;
use ir::loops::Prim;
use ir::ty::Ty;

/// The result of `prim` for operands `a` and attributes `imm`; `ty` is the type of the first operand.
pub fn emit(builder: &mut FunctionBuilder<'_>, prim: Prim, ty: Ty, a: &[Value], imm: &[i32]) -> Value {
    let mut on = Ops { builder };
    match prim {
        Prim::Add => on.ins().iadd(a[0], a[1]),
        Prim::Sub => on.ins().isub(a[0], a[1]),
        Prim::Mul => on.ins().imul(a[0], a[1]),
        Prim::MulWide => on.product(a[0], a[1]),
        Prim::Div => on.div(a[0], a[1]),
        Prim::Min => on.ins().smin(a[0], a[1]),
        Prim::Max => on.ins().smax(a[0], a[1]),
        Prim::And => on.ins().band(a[0], a[1]),
        Prim::Or => on.ins().bor(a[0], a[1]),
        Prim::Xor => on.ins().bxor(a[0], a[1]),
        Prim::Shl => {
            let by = on.ins().band_imm_s(a[1], 31);
            on.ins().ishl(a[0], by)
        }
        Prim::Asr => {
            let by = on.ins().band_imm_s(a[1], 31);
            on.ins().sshr(a[0], by)
        }
        Prim::Lsr => on.ins().ushr(a[0], a[1]),
        Prim::Clz => on.ins().clz(a[0]),
        Prim::Lt => on.ins().icmp(IntCC::SignedLessThan, a[0], a[1]),
        Prim::Le => on.ins().icmp(IntCC::SignedLessThanOrEqual, a[0], a[1]),
        Prim::Eq => on.ins().icmp(IntCC::Equal, a[0], a[1]),
        Prim::Select => on.ins().select(a[0], a[1], a[2]),
        // A load has extended it already, and packed words are words.
        Prim::Sext | Prim::Zext | Prim::AsI32 | Prim::AsI8x4 | Prim::AsU8x4 | Prim::AsI16x2 => a[0],
        Prim::Widen => on.ins().sextend(types::I64, a[0]),
        Prim::Lo => on.ins().ireduce(types::I32, a[0]),
        Prim::Hi => on.high(a[0]),
        Prim::Join => on.join(a[0], a[1]),
        Prim::MulHigh => on.mul_high(a[0], a[1], 0),
        Prim::MulHighRound => on.mul_high(a[0], a[1], 1 << 31),
        Prim::MulHighAdd => {
            let high = on.mul_high(a[1], a[2], 0);
            on.ins().iadd(a[0], high)
        }
        Prim::MulHighAddRound => {
            let high = on.mul_high(a[1], a[2], 1 << 31);
            on.ins().iadd(a[0], high)
        }
        Prim::MulShift16 => on.mul_shift_16(a[0], a[1]),
        Prim::Ssat => on.saturate(a[0], imm[1], -(1 << (imm[0] - 1)), (1 << (imm[0] - 1)) - 1),
        Prim::Usat => on.saturate(a[0], imm[1], 0, (1 << imm[0]) - 1),
        Prim::Bot => on.bottom(a[0]),
        Prim::Top => on.top(a[0]),
        Prim::Dot2 => on.dot2(a, false),
        Prim::Dot2Cross => on.dot2(a, true),
        Prim::Add2 => on.halves(a[0], a[1], |on, x, y| on.ins().iadd(x, y)),
        Prim::Sub2 => on.halves(a[0], a[1], |on, x, y| on.ins().isub(x, y)),
        Prim::Sxtb16 => on.sxtb16(a[0], imm[0]),
        Prim::Uxtb16 => {
            let rotated = on.ins().rotr_imm_u(a[0], i64::from(imm[0]));
            on.mask(rotated, 0x00ff_00ff)
        }
        Prim::PackBotTop => {
            let top = on.ins().ishl_imm_u(a[1], i64::from(imm[0]));
            on.pack(a[0], top)
        }
        Prim::PackTopBot => {
            let bottom = on.ins().sshr_imm_u(a[1], i64::from(imm[0]));
            on.pack(bottom, a[0])
        }
        Prim::SelectGe4 => on.select_ge4(ty, a),
        Prim::Ubfx => {
            let shifted = on.ins().ushr_imm_u(a[0], i64::from(imm[0]));
            on.mask(shifted, low_bits(imm[1]))
        }
        Prim::Sbfx => on.sbfx(a[0], imm[0], imm[1]),
        Prim::Bfi => on.bfi(a[0], a[1], imm[0], imm[1]),
        Prim::Unscaled => {
            let by = on.word(imm[0]);
            let quotient = on.div(a[0], by);
            let raised = on.ins().smax(quotient, a[1]);
            on.ins().smin(raised, a[2])
        }
        Prim::Requantize => on.requantize(a, imm),
        Prim::DoublingHighMul => on.doubling_high_mul(a[0], a[1]),
        Prim::RoundShift => {
            let by = on.ins().band_imm_s(a[1], 31);
            on.round_shift(a[0], by)
        }
    }
}

/// The lowest `width` bits of a word; `width` is 1 to 32.
fn low_bits(width: i32) -> u32 {
    u32::MAX >> (32 - width)
}

struct Ops<'a, 'b> {
    builder: &'a mut FunctionBuilder<'b>,
}

impl<'b> Ops<'_, 'b> {
    fn ins(&mut self) -> cranelift_frontend::FuncInstBuilder<'_, 'b> {
        self.builder.ins()
    }

    fn word(&mut self, value: i32) -> Value {
        self.int(types::I32, i64::from(value as u32))
    }

    fn int(&mut self, ty: Type, value: i64) -> Value {
        self.ins().iconst(ty, value)
    }

    fn mask(&mut self, a: Value, mask: u32) -> Value {
        self.ins().band_imm_u(a, i64::from(mask))
    }

    /// The 64-bit product of two words.
    fn product(&mut self, a: Value, b: Value) -> Value {
        let a = self.ins().sextend(types::I64, a);
        let b = self.ins().sextend(types::I64, b);
        self.ins().imul(a, b)
    }

    /// The high word of a double word.
    fn high(&mut self, a: Value) -> Value {
        let high = self.ins().sshr_imm_u(a, 32);
        self.ins().ireduce(types::I32, high)
    }

    fn join(&mut self, low: Value, high: Value) -> Value {
        let low = self.ins().uextend(types::I64, low);
        let high = self.ins().uextend(types::I64, high);
        let high = self.ins().ishl_imm_u(high, 32);
        self.ins().bor(low, high)
    }

    /// In 64 bits, where no quotient overflows.
    fn div(&mut self, a: Value, b: Value) -> Value {
        let is_zero = self.ins().icmp_imm_s(IntCC::Equal, b, 0);
        let one = self.word(1);
        let divisor = self.ins().select(is_zero, one, b);
        let a = self.ins().sextend(types::I64, a);
        let divisor = self.ins().sextend(types::I64, divisor);
        let quotient = self.ins().sdiv(a, divisor);
        let quotient = self.ins().ireduce(types::I32, quotient);
        let zero = self.word(0);
        self.ins().select(is_zero, zero, quotient)
    }

    fn mul_high(&mut self, a: Value, b: Value, nudge: i64) -> Value {
        let product = self.product(a, b);
        let nudged = self.ins().iadd_imm_s(product, nudge);
        self.high(nudged)
    }

    fn mul_shift_16(&mut self, a: Value, b: Value) -> Value {
        let b = self.bottom(b);
        let product = self.product(a, b);
        let shifted = self.ins().sshr_imm_u(product, 16);
        self.ins().ireduce(types::I32, shifted)
    }

    fn saturate(&mut self, a: Value, asr: i32, low: i64, high: i64) -> Value {
        let shifted = match asr {
            0.. => self.ins().sshr_imm_u(a, i64::from(asr)),
            _ => self.ins().ishl_imm_u(a, -i64::from(asr)),
        };
        let (low, high) = (self.word(low as i32), self.word(high as i32));
        let raised = self.ins().smax(shifted, low);
        self.ins().smin(raised, high)
    }

    /// The low half of a pair, sign-extended.
    fn bottom(&mut self, a: Value) -> Value {
        let half = self.ins().ireduce(types::I16, a);
        self.ins().sextend(types::I32, half)
    }

    /// The high half of a pair, sign-extended.
    fn top(&mut self, a: Value) -> Value {
        self.ins().sshr_imm_u(a, 16)
    }

    /// The low half of one word and the high half of another.
    fn pack(&mut self, bottom: Value, top: Value) -> Value {
        let bottom = self.mask(bottom, 0x0000_ffff);
        let top = self.mask(top, 0xffff_0000);
        self.ins().bor(bottom, top)
    }

    fn dot2(&mut self, a: &[Value], cross: bool) -> Value {
        let (x, y) = (self.bottom(a[1]), self.top(a[1]));
        let (low, high) = (self.bottom(a[2]), self.top(a[2]));
        let (with_x, with_y) = if cross { (high, low) } else { (low, high) };
        let first = self.ins().imul(x, with_x);
        let second = self.ins().imul(y, with_y);
        let sum = self.ins().iadd(a[0], first);
        self.ins().iadd(sum, second)
    }

    /// Applies `op` to the low halves and to the high halves.
    fn halves(&mut self, a: Value, b: Value, op: fn(&mut Self, Value, Value) -> Value) -> Value {
        let bottom = op(self, a, b); // Carries leave the low half only upwards.
        let (a, b) = (self.top(a), self.top(b));
        let top = op(self, a, b);
        let top = self.ins().ishl_imm_u(top, 16);
        self.pack(bottom, top)
    }

    fn sxtb16(&mut self, a: Value, ror: i32) -> Value {
        let rotated = self.ins().rotr_imm_u(a, i64::from(ror));
        let low = self.ins().ireduce(types::I8, rotated);
        let low = self.ins().sextend(types::I32, low);
        // Byte 2 goes to the top and back, which leaves its sign in byte 3.
        let high = self.ins().ishl_imm_u(rotated, 8);
        let high = self.ins().sshr_imm_u(high, 8);
        self.pack(low, high)
    }

    fn select_ge4(&mut self, ty: Ty, a: &[Value]) -> Value {
        let condition =
            if ty == Ty::U8x4 { IntCC::UnsignedGreaterThanOrEqual } else { IntCC::SignedGreaterThanOrEqual };
        let mut chosen = self.word(0);
        for lane in 0..4 {
            // Bytes that stand highest compare as words do.
            let up = 24 - 8 * lane;
            let mut byte = |value| {
                let at_top = self.ins().ishl_imm_u(value, up);
                self.mask(at_top, 0xff00_0000)
            };
            let (x, y) = (byte(a[0]), byte(a[1]));
            let ge = self.ins().icmp(condition, x, y);
            let from = self.ins().select(ge, a[2], a[3]);
            let bits = self.mask(from, 0xff << (8 * lane));
            chosen = self.ins().bor(chosen, bits);
        }
        chosen
    }

    /// In 64 bits, since a field may reach above the word.
    fn sbfx(&mut self, a: Value, lsb: i32, width: i32) -> Value {
        let wide = self.ins().sextend(types::I64, a);
        let field = self.ins().sshr_imm_u(wide, i64::from(lsb));
        let up = self.ins().ishl_imm_u(field, i64::from(64 - width));
        let field = self.ins().sshr_imm_u(up, i64::from(64 - width));
        self.ins().ireduce(types::I32, field)
    }

    fn bfi(&mut self, a: Value, b: Value, lsb: i32, width: i32) -> Value {
        let mask = low_bits(width) << lsb;
        let kept = self.mask(a, !mask);
        let moved = self.ins().ishl_imm_u(b, i64::from(lsb));
        let inserted = self.mask(moved, mask);
        self.ins().bor(kept, inserted)
    }

    fn requantize(&mut self, a: &[Value], imm: &[i32]) -> Value {
        let [zero, least, most] = [0, -31, 31].map(|value| self.word(value));
        let shift = self.ins().smax(a[2], least);
        let shift = self.ins().smin(shift, most);
        let left = self.ins().smax(shift, zero);
        let right = self.ins().isub(left, shift); // The negative part of the shift.
        let shifted = self.ins().ishl(a[0], left);
        let high = self.doubling_high_mul(shifted, a[1]);
        let scaled = self.round_shift(high, right);
        let [zero_point, min, max] = [imm[0], imm[1], imm[2]].map(|value| self.word(value));
        let moved = self.ins().iadd(scaled, zero_point);
        let raised = self.ins().smax(moved, min);
        self.ins().smin(raised, max)
    }

    fn doubling_high_mul(&mut self, a: Value, b: Value) -> Value {
        let product = self.product(a, b);
        let sign = self.ins().sshr_imm_u(product, 63);
        // The nudge is 2^30, or 1 - 2^30 below zero.
        let negative = self.ins().band_imm_s(sign, 1 - (1 << 31));
        let nudged = self.ins().iadd_imm_s(product, 1 << 30);
        let nudged = self.ins().iadd(nudged, negative);
        // A shift rounds down, the division by 2^31 towards zero.
        let sign = self.ins().sshr_imm_u(nudged, 63);
        let correction = self.ins().band_imm_s(sign, (1 << 31) - 1);
        let corrected = self.ins().iadd(nudged, correction);
        let quotient = self.ins().sshr_imm_u(corrected, 31);
        // Only the square of the least word overflows.
        let most = self.int(types::I64, i64::from(i32::MAX));
        let saturated = self.ins().smin(quotient, most);
        self.ins().ireduce(types::I32, saturated)
    }

    /// `a / 2^by` for `by` in 0 to 31, rounded to nearest, ties away from zero.
    fn round_shift(&mut self, a: Value, by: Value) -> Value {
        let one = self.word(1);
        let power = self.ins().ishl(one, by);
        let mask = self.ins().iadd_imm_s(power, -1);
        let remainder = self.ins().band(a, mask);
        let half = self.ins().ushr_imm_u(mask, 1);
        let negative = self.ins().ushr_imm_u(a, 31);
        let threshold = self.ins().iadd(half, negative);
        let above = self.ins().icmp(IntCC::SignedGreaterThan, remainder, threshold);
        let above = self.ins().uextend(types::I32, above);
        let quotient = self.ins().sshr(a, by);
        self.ins().iadd(quotient, above)
    }
}
