//! Requantisation: what operators with a multiplier for each scale share.

use crate::fixed::{Multiplier, quantize_multiplier};
use crate::ty::{TensorType, TypeError};

/// Greatest left shift of a multiplier; the references leave more undefined.
const MAX_SHIFT: i32 = 30;

/// `acc` in steps of the result, shifted by its zero point and clamped.
pub fn requantize(acc: i32, multiplier: Multiplier, zero: i32, clamp: [i32; 2]) -> i32 {
    multiplier.apply(acc).wrapping_add(zero).max(clamp[0]).min(clamp[1])
}

/// One multiplier for each output channel of a convolution: `scale_x * scale_w / scale_out` in double precision.
///
/// Source: `PopulateConvolutionQuantizationParams`.
pub fn channel_multipliers(
    x: &TensorType,
    scales: &[f32],
    n_channels: usize,
    out: &TensorType,
) -> Vec<Multiplier> {
    let of = |scale: &f32| quantize_multiplier(scale_of(x) * f64::from(*scale) / scale_of(out));
    match scales {
        [scale] => vec![of(scale); n_channels],
        scales => scales.iter().map(of).collect(),
    }
}

/// The scale of a type that has one.
pub fn scale_of(ty: &TensorType) -> f64 {
    scale_and_zero(ty).0.into()
}

/// The zero point of a type that has one.
pub fn zero_of(ty: &TensorType) -> i32 {
    scale_and_zero(ty).1
}

/// Refuses a clamp that is empty or leaves the element type of the result.
pub fn expect_clamp(clamp: [i32; 2], out: &TensorType) -> Result<(), TypeError> {
    let (min, max) = out.elem.range().unwrap_or((0, 0));
    let [low, high] = clamp.map(i64::from);
    if min <= low && low <= high && high <= max {
        return Ok(());
    }
    Err(TypeError::new(format!("`clamp` is {clamp:?}, expected two increasing numbers from {min} to {max}")))
}

/// Refuses scales so far apart that their quotient is no multiplier.
pub fn expect_multipliers(multipliers: &[Multiplier]) -> Result<(), TypeError> {
    if multipliers.iter().all(|m| m.shift <= MAX_SHIFT) {
        return Ok(());
    }
    Err(TypeError::new(format!("the result's scale is more than 2^{MAX_SHIFT} times too fine")))
}

fn scale_and_zero(ty: &TensorType) -> (f32, i32) {
    ty.per_tensor().expect("the verifier checked the quantisation")
}
