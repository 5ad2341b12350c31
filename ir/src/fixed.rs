//! Fixed-point arithmetic of the reference kernels, exact to the last bit.
//!
//! Source: gemmlowp's `fixedpoint.h` and TensorFlow Lite's `common.h`, built with double rounding (the default).

/// `a b / 2^31`, rounded to nearest with ties away from zero for positive results, saturated where both are the least `i32`.
pub fn saturating_rounding_doubling_high_mul(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    let product = i64::from(a) * i64::from(b);
    let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    ((product + nudge) / (1 << 31)) as i32
}

/// `x / 2^exponent`, rounded to nearest, ties away from zero; `exponent` is 0 to 31.
pub fn rounding_divide_by_pot(x: i32, exponent: i32) -> i32 {
    let mask = ((1i64 << exponent) - 1) as i32;
    let remainder = x & mask;
    let threshold = (mask >> 1) + i32::from(x < 0);
    (x >> exponent) + i32::from(remainder > threshold)
}

/// `x * multiplier * 2^shift / 2^31`: the accumulator is shifted left first where `shift` is positive, rounded twice otherwise.
pub fn multiply_by_quantized_multiplier(x: i32, multiplier: i32, shift: i32) -> i32 {
    let (left, right) = (shift.max(0), (-shift).max(0));
    let shifted = x.wrapping_shl(left as u32);
    rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shifted, multiplier), right)
}
