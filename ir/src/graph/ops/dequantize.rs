//! `dequantize`: integers to the real numbers that they stand for.
//! `%y = dequantize %x : f32[1, 8]`

use super::requant::{scale_of, zero_of};
use super::{GraphOp, Tensor};
use crate::attributes;
use crate::ty::{Quant, TensorType, Ty, TypeError};

/// `scale * (x - zero)`, multiplied in double precision and rounded once.
#[derive(Clone, Debug, PartialEq)]
pub struct Dequantize {}

attributes!(Dequantize {});

impl Dequantize {
    /// The real number that the integer `x` stands for.
    ///
    /// Source: `Dequantize` in `reference/dequantize.h`.
    pub fn dequantize(x: i8, scale: f64, zero: i32) -> f32 {
        (scale * f64::from(i32::from(x) - zero)) as f32
    }
}

impl GraphOp for Dequantize {
    const NAME: &'static str = "dequantize";
    const INPUTS: usize = 1;

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, TypeError> {
        inputs[0].expect_elem(Ty::I8, "the input")?;
        Ok(TensorType::new(Ty::F32, &inputs[0].shape))
    }

    fn check(&self, inputs: &[&TensorType], out: &TensorType) -> Result<(), TypeError> {
        inputs[0].expect_per_tensor("the input")?;
        match out.quant {
            Quant::None => Ok(()),
            _ => Err(TypeError::new("the result has a scale, expected none")),
        }
    }

    fn eval(&self, inputs: &[&Tensor], out: &TensorType) -> Tensor {
        let (scale, zero) = (scale_of(&inputs[0].ty), zero_of(&inputs[0].ty));
        let y = inputs[0].i8s().iter().map(|x| Self::dequantize(*x, scale, zero)).collect::<Vec<_>>();
        Tensor::from_f32s(out, &y)
    }
}
