//! `softmax`: exponentials along the last dimension, scaled to the sum 1.
//! `%y = softmax %x {beta = 1.0} : i8[1, 12] scale 0.00390625 zero -128`

use super::requant::scale_of;
use super::{GraphOp, Tensor};
use crate::attributes;
use crate::fixed::{
    Multiplier, exp_on_negative_values, quantize_multiplier, reciprocal, rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
};
use crate::ty::{TensorType, Ty, TypeError};

/// `y = exp(beta * x) / sum(exp(beta * x))`.
#[derive(Clone, Debug, PartialEq)]
pub struct Softmax {
    /// Factor of the exponents.
    pub beta: f32,
}

attributes!(Softmax { beta });

/// Integer bits of the scaled differences, Q5.26.
const DIFF_INTEGER_BITS: i32 = 5;
/// Integer bits of the sum of exponentials, Q12.19.
const SUM_INTEGER_BITS: i32 = 12;

/// The integers that [`Softmax`] computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftmaxParams {
    /// From steps of the operand to exponents as Q5.26; shifts left.
    pub multiplier: Multiplier,
    /// Least difference to the row's greatest element that counts; below it the result is the least.
    pub diff_min: i32,
}

impl Softmax {
    /// The integers for operand `x`.
    ///
    /// Source: `PreprocessSoftmaxScaling` and `CalculateInputRadius`.
    pub fn params(&self, x: &TensorType) -> SoftmaxParams {
        let factor = f64::from(self.beta) * scale_of(x) * f64::from(1 << (31 - DIFF_INTEGER_BITS));
        let multiplier = quantize_multiplier(factor.min(f64::from(i32::MAX)));
        let greatest = f64::from((1 << DIFF_INTEGER_BITS) - 1) * f64::from(1 << (31 - DIFF_INTEGER_BITS));
        let radius = (greatest / (1i64 << multiplier.shift.max(0)) as f64).floor();
        SoftmaxParams { multiplier, diff_min: -radius as i32 }
    }
}

impl SoftmaxParams {
    /// The exponential of a difference to the greatest element, Q0.31; `None` where it does not count.
    pub fn exp(&self, diff: i32) -> Option<i32> {
        (diff >= self.diff_min).then(|| exp_on_negative_values(self.multiplier.apply(diff)))
    }

    /// What the exponential `exp` adds to the sum of a row, Q12.19.
    pub fn summand(exp: i32) -> i32 {
        rounding_divide_by_pot(exp, SUM_INTEGER_BITS)
    }

    /// The factor of a row by the sum of its exponentials, Q0.31, and the right shift of the product with it.
    pub fn scale(sum: i32) -> (i32, i32) {
        let (scale, bits_over_unit) = reciprocal(sum, SUM_INTEGER_BITS);
        (scale, bits_over_unit + 31 - 8)
    }

    /// The result for an exponential and the row's [`SoftmaxParams::scale`].
    ///
    /// Sums from 512 up shift by more than a word has bits. The reference leaves that undefined; the rounded quotient is 0.
    pub fn quotient(exp: i32, (scale, shift): (i32, i32)) -> i8 {
        let product = saturating_rounding_doubling_high_mul(scale, exp);
        let steps = if shift > 31 { 0 } else { rounding_divide_by_pot(product, shift) };
        (steps - 128).clamp(i8::MIN.into(), i8::MAX.into()) as i8
    }

    /// The results for the elements of one row.
    ///
    /// Source: `Softmax` in `reference/softmax.h`.
    pub fn row(&self, x: &[i8]) -> Vec<i8> {
        let greatest = x.iter().copied().max().map_or(0, i32::from);
        let exps: Vec<Option<i32>> = x.iter().map(|x| self.exp(i32::from(*x) - greatest)).collect();
        let sum = exps.iter().flatten().fold(0i32, |sum, exp| sum.wrapping_add(Self::summand(*exp)));
        let scale = Self::scale(sum);
        exps.iter().map(|exp| exp.map_or(i8::MIN, |exp| Self::quotient(exp, scale))).collect()
    }
}

impl GraphOp for Softmax {
    const NAME: &'static str = "softmax";
    const INPUTS: usize = 1;

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, TypeError> {
        let x = inputs[0];
        x.expect_elem(Ty::I8, "the input")?;
        match x.shape.last() {
            Some(1..=4095) => Ok(TensorType::new(Ty::I8, &x.shape)), // More could overflow the sum.
            _ => {
                Err(TypeError::new(format!("the input has shape {:?}, expected rows of 1 to 4095", x.shape)))
            }
        }
    }

    fn check(&self, inputs: &[&TensorType], out: &TensorType) -> Result<(), TypeError> {
        inputs[0].expect_per_tensor("the input")?;
        let quant = out.expect_per_tensor("the result")?;
        if quant != (1.0 / 256.0, -128) {
            return Err(TypeError::new(format!(
                "the result has scale {} and zero point {}, expected 0.00390625 and -128",
                quant.0, quant.1
            )));
        }
        match self.params(inputs[0]).multiplier.shift {
            1..=31 if self.beta > 0.0 => Ok(()),
            _ => Err(TypeError::new("`beta` times the input's scale is not between 2^-26 and 2^5")),
        }
    }

    fn eval(&self, inputs: &[&Tensor], out: &TensorType) -> Tensor {
        let params = self.params(&inputs[0].ty);
        let row_len = out.shape.last().copied().unwrap_or(1);
        let x = inputs[0].i8s();
        let y: Vec<i8> = x.chunks(row_len).flat_map(|row| params.row(row)).collect();
        Tensor::from_i8s(out, &y)
    }
}
