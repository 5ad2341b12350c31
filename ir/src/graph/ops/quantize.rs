//! `quantize`: real numbers, or integers of another scale and zero point, to integers.
//! `%y = quantize %x : i8[1, 8] scale 0.5 zero -1`

use super::requant::{expect_multipliers, requantize, scale_of, zero_of};
use super::{GraphOp, Tensor};
use crate::attributes;
use crate::fixed::{Multiplier, quantize_multiplier};
use crate::ty::{TensorType, Ty, TypeError};

/// The nearest integer that stands for the same real number, saturating.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantize {}

attributes!(Quantize {});

impl Quantize {
    /// The integer for the real number `x`: the quotient is taken in single precision, ties go away from zero.
    ///
    /// Source: `AffineQuantize` in `reference/quantize.h`.
    pub fn quantize(x: f32, scale: f32, zero: i32) -> i8 {
        let steps = (x / scale).round() as i32; // Saturates; NaN is 0. The reference leaves both undefined.
        steps.saturating_add(zero).clamp(i8::MIN.into(), i8::MAX.into()) as i8
    }

    /// The factor from steps of the integers `x` to steps of `out`.
    ///
    /// Source: `PrepareQuantizeReference` of tflite-micro.
    pub fn requant(x: &TensorType, out: &TensorType) -> Multiplier {
        quantize_multiplier(scale_of(x) / scale_of(out))
    }
}

impl GraphOp for Quantize {
    const NAME: &'static str = "quantize";
    const INPUTS: usize = 1;

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, TypeError> {
        let x = inputs[0];
        if ![Ty::F32, Ty::I8].contains(&x.elem) {
            return Err(TypeError::new(format!("the input is {}, only f32 and i8 are supported", x.elem)));
        }
        Ok(TensorType::new(Ty::I8, &x.shape))
    }

    fn check(&self, inputs: &[&TensorType], out: &TensorType) -> Result<(), TypeError> {
        out.expect_per_tensor("the result")?;
        if inputs[0].elem == Ty::F32 {
            return Ok(());
        }
        inputs[0].expect_per_tensor("the input")?;
        expect_multipliers(&[Self::requant(inputs[0], out)])
    }

    fn eval(&self, inputs: &[&Tensor], out: &TensorType) -> Tensor {
        let x = inputs[0];
        let zero = zero_of(out);
        let y: Vec<i8> = if x.ty.elem == Ty::F32 {
            let scale = scale_of(out) as f32;
            x.f32s().iter().map(|x| Self::quantize(*x, scale, zero)).collect()
        } else {
            let (multiplier, zero_x) = (Self::requant(&x.ty, out), zero_of(&x.ty));
            let rescale = |x: &i8| requantize(i32::from(*x) - zero_x, multiplier, zero, [-128, 127]) as i8;
            x.i8s().iter().map(rescale).collect()
        };
        Tensor::from_i8s(out, &y)
    }
}
