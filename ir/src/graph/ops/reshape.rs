//! `reshape`: the same elements in the same order, in another shape.
//! `%y = reshape %x {shape = [1, 64]} : i8[1, 64]`

use super::{GraphOp, Tensor, expect_same_quant};
use crate::attributes;
use crate::ty::{Quant, TensorType, TypeError};

/// Reads the elements in C order as a tensor of shape `shape`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reshape {
    /// The new extents.
    pub shape: Vec<usize>,
}

attributes!(Reshape { shape });

impl GraphOp for Reshape {
    const NAME: &'static str = "reshape";
    const INPUTS: usize = 1;

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, TypeError> {
        let x = inputs[0];
        let len = self.shape.iter().try_fold(1usize, |len, extent| len.checked_mul(*extent));
        if len != Some(x.len()) {
            let (wanted, found) = (&self.shape, x.len());
            return Err(TypeError::new(format!(
                "`shape` is {wanted:?}, but the operand has {found} elements"
            )));
        }
        Ok(x.with_shape(self.shape.clone()))
    }

    fn check(&self, inputs: &[&TensorType], out: &TensorType) -> Result<(), TypeError> {
        if matches!(inputs[0].quant, Quant::PerChannel { .. }) {
            return Err(TypeError::new("the operand has a scale for each channel, expected one"));
        }
        expect_same_quant(inputs[0], out)
    }

    fn eval(&self, inputs: &[&Tensor], out: &TensorType) -> Tensor {
        Tensor { ty: out.clone(), data: inputs[0].data.clone() }
    }
}
