//! `relu`: rescales and clamps; the clamp makes it RELU, RELU6 or any other.
//! `%y = relu %x {clamp = [-128, 127], single_ratio = false} : i8[1, 8, 8, 4] scale 0.02 zero -128`

use super::requant::{expect_clamp, expect_multipliers, requantize, scale_of, zero_of};
use super::{GraphOp, Tensor};
use crate::attributes;
use crate::fixed::{Multiplier, quantize_multiplier};
use crate::ty::{TensorType, Ty, TypeError};

/// `y = clamp(zero_y + m * (x - zero_x))`.
#[derive(Clone, Debug, PartialEq)]
pub struct Relu {
    /// Least and greatest integer of the result.
    pub clamp: [i32; 2],
    /// Whether scale over scale is rounded to single precision before it becomes the multiplier. The references
    /// disagree: LiteRT's RELU6 does so, tflite-micro's RELU does not.
    pub single_ratio: bool,
}

attributes!(Relu { clamp, single_ratio });

impl Relu {
    /// The factor from steps of the operand to steps of the result.
    ///
    /// Source: `CalculateReluOpData` of tflite-micro and `ReluPrepare` of LiteRT.
    pub fn requant(&self, x: &TensorType, out: &TensorType) -> Multiplier {
        let ratio = scale_of(x) / scale_of(out);
        // Both scales are single precision, so rounding the double quotient is the same as dividing them so.
        quantize_multiplier(if self.single_ratio { f64::from(ratio as f32) } else { ratio })
    }
}

impl GraphOp for Relu {
    const NAME: &'static str = "relu";
    const INPUTS: usize = 1;

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, TypeError> {
        inputs[0].expect_elem(Ty::I8, "the input")?;
        Ok(TensorType::new(Ty::I8, &inputs[0].shape))
    }

    fn check(&self, inputs: &[&TensorType], out: &TensorType) -> Result<(), TypeError> {
        inputs[0].expect_per_tensor("the input")?;
        out.expect_per_tensor("the result")?;
        expect_clamp(self.clamp, out)?;
        expect_multipliers(&[self.requant(inputs[0], out)])
    }

    fn eval(&self, inputs: &[&Tensor], out: &TensorType) -> Tensor {
        let x = inputs[0];
        let multiplier = self.requant(&x.ty, out);
        let (zero_x, zero_y) = (zero_of(&x.ty), zero_of(out));
        let element = |x: &i8| requantize(i32::from(*x) - zero_x, multiplier, zero_y, self.clamp) as i8;
        Tensor::from_i8s(out, &x.i8s().iter().map(element).collect::<Vec<_>>())
    }
}
