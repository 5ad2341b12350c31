//! Fixed-point arithmetic of the reference kernels, exact to the last bit.
//!
//! "QN.M" below is a signed word with N integer and M fraction bits. Sources of the arithmetic: gemmlowp
//! (`fixedpoint/fixedpoint.h`) for words in fixed point, and tflite-micro (`kernels/internal/common.h`,
//! `quantization_util.cc`) for multipliers, in its default build, which rounds twice.
//! Evaluation, constants of the lowering and proofs about ranges all call these functions.

/// A positive real number as `value * 2^(shift - 31)`, with `value` in 2^30 .. 2^31, or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Multiplier {
    /// The fraction, Q0.31.
    pub value: i32,
    /// The power of two: positive shifts left before the multiplication, negative right after it.
    pub shift: i32,
}

impl Multiplier {
    /// `x` times the number, rounded twice: [`multiply_by_quantized_multiplier`].
    pub fn apply(self, x: i32) -> i32 {
        multiply_by_quantized_multiplier(x, self.value, self.shift)
    }
}

/// The multiplier nearest to `real`, which is finite and not negative; below 2^-32 it is 0.
///
/// Source: `QuantizeMultiplier`.
pub fn quantize_multiplier(real: f64) -> Multiplier {
    let (fraction, mut shift) = frexp(real);
    let mut value = (fraction * (1i64 << 31) as f64).round() as i64;
    if value == 1 << 31 {
        value /= 2;
        shift += 1;
    }
    if value == 0 || shift < -31 {
        return Multiplier { value: 0, shift: 0 };
    }
    Multiplier { value: value as i32, shift }
}

/// `x * multiplier * 2^(shift - 31)`: a left shift comes first and wraps, then a rounded product, then a rounded right shift.
///
/// Source: `MultiplyByQuantizedMultiplier` without `TFLITE_SINGLE_ROUNDING`.
pub fn multiply_by_quantized_multiplier(x: i32, multiplier: i32, shift: i32) -> i32 {
    let (left, right) = (shift.max(0), (-shift).max(0));
    let shifted = x.wrapping_shl(left as u32);
    rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shifted, multiplier), right)
}

/// `a * b / 2^31`, rounded to nearest, ties upwards; saturates where both are the least `i32`.
///
/// Source: `SaturatingRoundingDoublingHighMul`.
pub fn saturating_rounding_doubling_high_mul(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    let product = i64::from(a) * i64::from(b);
    let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    ((product + nudge) / (1 << 31)) as i32
}

/// `x / 2^exponent`, rounded to nearest, ties away from zero; `exponent` is 0 to 31.
///
/// Source: `RoundingDivideByPOT`.
pub fn rounding_divide_by_pot(x: i32, exponent: i32) -> i32 {
    let mask = ((1i64 << exponent) - 1) as i32;
    let threshold = (mask >> 1) + i32::from(x < 0);
    (x >> exponent) + i32::from((x & mask) > threshold)
}

/// `x * 2^exponent`, saturating.
///
/// Source: `SaturatingRoundingMultiplyByPOT` for exponents that are not negative.
pub fn saturating_multiply_by_pot(x: i32, exponent: u32) -> i32 {
    (i64::from(x) << exponent).clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// `exp(a)` as Q0.31 for `a <= 0` as Q5.26.
///
/// Source: `exp_on_negative_values` with 5 integer bits.
pub fn exp_on_negative_values(a: i32) -> i32 {
    /// `exp(-2^(i - 2))` as Q0.31; bit `24 + i` of the remainder stands for that power.
    const FACTORS: [i32; 7] = [1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242];
    const QUARTER: i32 = 1 << 24;
    if a == 0 {
        return i32::MAX;
    }
    let a_mod_quarter = (a & (QUARTER - 1)) - QUARTER;
    let remainder = a_mod_quarter.wrapping_sub(a);
    let near_zero = exp_between_minus_quarter_and_0(saturating_multiply_by_pot(a_mod_quarter, 5));
    let set_bits = FACTORS.iter().enumerate().filter(|(i, _)| remainder & (QUARTER << i) != 0);
    set_bits.fold(near_zero, |result, (_, factor)| saturating_rounding_doubling_high_mul(result, *factor))
}

/// `1 / (1 + a)` as Q0.31 for `a` in 0 .. 1 as Q0.31.
///
/// Source: `one_over_one_plus_x_for_x_in_0_1`: three Newton steps in Q2.29.
pub fn one_over_one_plus_x_for_x_in_0_1(a: i32) -> i32 {
    const C48_OVER_17: i32 = 1515870810; // Q2.29
    const C_NEG_32_OVER_17: i32 = -1010580540; // Q2.29
    const ONE: i32 = 1 << 29; // Q2.29
    let mul = saturating_rounding_doubling_high_mul;
    let half_denominator = rounding_half_sum(a, i32::MAX);
    let mut x = C48_OVER_17.wrapping_add(mul(half_denominator, C_NEG_32_OVER_17));
    for _ in 0..3 {
        let error = ONE.wrapping_sub(mul(half_denominator, x));
        x = x.wrapping_add(saturating_multiply_by_pot(mul(x, error), 2));
    }
    saturating_multiply_by_pot(x, 1)
}

/// `1 / x` for `x > 0` with `integer_digits` integer bits: a fraction as Q0.31, and by how many bits the result is shifted right.
///
/// Source: `GetReciprocal`.
pub fn reciprocal(x: i32, integer_digits: i32) -> (i32, i32) {
    let headroom_plus_one = x.leading_zeros();
    let bits_over_unit = integer_digits - headroom_plus_one as i32;
    let fraction = ((x as u32) << headroom_plus_one).wrapping_sub(1 << 31) as i32;
    (one_over_one_plus_x_for_x_in_0_1(fraction), bits_over_unit)
}

/// `exp(a)` as Q0.31 for `a` in -1/4 .. 0 as Q0.31: a Taylor polynomial around -1/8.
///
/// Source: `exp_on_interval_between_negative_one_quarter_and_0_excl`.
fn exp_between_minus_quarter_and_0(a: i32) -> i32 {
    const EXP_MINUS_EIGHTH: i32 = 1895147668;
    const ONE_THIRD: i32 = 715827883;
    let mul = saturating_rounding_doubling_high_mul;
    let x = a.wrapping_add(1 << 28);
    let x2 = mul(x, x);
    let x3 = mul(x2, x);
    let x4_over_4 = rounding_divide_by_pot(mul(x2, x2), 2);
    let tail = rounding_divide_by_pot(mul(x4_over_4.wrapping_add(x3), ONE_THIRD).wrapping_add(x2), 1);
    EXP_MINUS_EIGHTH.wrapping_add(mul(EXP_MINUS_EIGHTH, x.wrapping_add(tail)))
}

/// `(a + b) / 2`, rounded to nearest, ties away from zero.
fn rounding_half_sum(a: i32, b: i32) -> i32 {
    let sum = i64::from(a) + i64::from(b);
    let sign = if sum >= 0 { 1 } else { -1 };
    ((sum + sign) / 2) as i32
}

/// `x` as a fraction in 1/2 .. 1 times a power of two; zero is `(0, 0)`.
fn frexp(x: f64) -> (f64, i32) {
    const EXPONENT: u64 = 0x7ff << 52;
    let biased = ((x.to_bits() & EXPONENT) >> 52) as i32;
    if x == 0.0 {
        return (0.0, 0);
    }
    if biased == 0 {
        let (fraction, shift) = frexp(x * (1u64 << 63) as f64); // A subnormal number.
        return (fraction, shift - 63);
    }
    (f64::from_bits(x.to_bits() & !EXPONENT | 1022 << 52), biased - 1022)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multipliers_are_normalised() {
        let of = |real| {
            let m = quantize_multiplier(real);
            (m.value, m.shift)
        };
        assert_eq!(of(0.0), (0, 0));
        assert_eq!(of(1.0), (1 << 30, 1));
        assert_eq!(of(0.5), (1 << 30, 0));
        assert_eq!(of(0.1), (1717986918, -3));
        assert_eq!(of(1.0 - f64::EPSILON / 2.0), (1 << 30, 1)); // Rounds up to the next power of two.
        assert_eq!(of(2f64.powi(-32)), (1 << 30, -31));
        assert_eq!(of(2f64.powi(-33)), (0, 0));
        assert_eq!(of(f64::from_bits(1)), (0, 0));
    }

    #[test]
    fn the_two_roundings_treat_negative_ties_differently() {
        assert_eq!(saturating_rounding_doubling_high_mul(1, 1 << 30), 1);
        assert_eq!(saturating_rounding_doubling_high_mul(-1, 1 << 30), 0);
        assert_eq!(saturating_rounding_doubling_high_mul(-3, 1 << 30), -1);
        assert_eq!(saturating_rounding_doubling_high_mul(i32::MIN, i32::MIN), i32::MAX);
        assert_eq!([5, 6, 7, -5, -6, -7].map(|x| rounding_divide_by_pot(x, 2)), [1, 2, 2, -1, -2, -2]);
        assert_eq!(rounding_divide_by_pot(i32::MIN, 31), -1);
        assert_eq!(rounding_divide_by_pot(-7, 0), -7);
    }

    #[test]
    fn rounding_twice_differs_from_rounding_once() {
        let m = Multiplier { value: 1 << 30, shift: -1 }; // One quarter.
        assert_eq!(m.apply(1), 1); // 0.25 becomes 0.5, then 1.
        assert_eq!(m.apply(-1), 0);
        assert_eq!(m.apply(-3), -1); // -0.75 becomes -1.5, then -1, then -0.5 away from zero.
        assert_eq!(m.apply(4), 1);
        assert_eq!(Multiplier { value: 1 << 30, shift: 3 }.apply(5), 20);
    }

    #[test]
    fn exponential_and_reciprocal_are_close_to_the_real_ones() {
        assert_eq!(exp_on_negative_values(0), i32::MAX);
        for i in 1..=320 {
            let real = -f64::from(i) / 10.0;
            let found = f64::from(exp_on_negative_values((real * (1 << 26) as f64) as i32)) / 2f64.powi(31);
            assert!((found - real.exp()).abs() < 4e-7, "exp({real}) is {found}");
        }
        for i in 0..100 {
            let real = f64::from(i) / 100.0;
            let found =
                f64::from(one_over_one_plus_x_for_x_in_0_1((real * 2f64.powi(31)) as i32)) / 2f64.powi(31);
            assert!((found - 1.0 / (1.0 + real)).abs() < 1e-7, "1 / (1 + {real}) is {found}");
        }
        let (fraction, right) = reciprocal(5 << 19, 12); // 5.0 as Q12.19.
        assert!((f64::from(fraction) / 2f64.powi(31 + right) - 0.2).abs() < 1e-8);
    }
}
