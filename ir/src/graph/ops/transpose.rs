//! `transpose`: reorders dimensions.
//! `%y = transpose %x {perm = [0, 2, 1]} : i8[1, 4, 8]`

use super::strided::{dense_strides, offsets};
use super::{GraphOp, Tensor, expect_same_quant};
use crate::attributes;
use crate::ty::{Quant, TensorType, TypeError};

/// Dimension `d` of the result is dimension `perm[d]` of the operand.
#[derive(Clone, Debug, PartialEq)]
pub struct Transpose {
    /// Each dimension once.
    pub perm: Vec<usize>,
}

attributes!(Transpose { perm });

impl GraphOp for Transpose {
    const NAME: &'static str = "transpose";
    const INPUTS: usize = 1;

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, TypeError> {
        let x = inputs[0];
        let mut sorted = self.perm.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..x.shape.len()) {
            return Err(TypeError::new(format!(
                "`perm` is {:?}, expected each number below {} once",
                self.perm,
                x.shape.len()
            )));
        }
        Ok(x.with_shape(self.perm.iter().map(|dim| x.shape[*dim]).collect()))
    }

    fn check(&self, inputs: &[&TensorType], out: &TensorType) -> Result<(), TypeError> {
        if matches!(inputs[0].quant, Quant::PerChannel { .. }) {
            return Err(TypeError::new("the operand has a scale for each channel, expected one"));
        }
        expect_same_quant(inputs[0], out)
    }

    fn eval(&self, inputs: &[&Tensor], out: &TensorType) -> Tensor {
        let (x, size) = (inputs[0], out.elem.bytes());
        let strides = dense_strides(&x.ty.shape);
        let permuted: Vec<_> = self.perm.iter().map(|dim| strides[*dim]).collect();
        let element = |at: usize| &x.data[at * size..][..size];
        let data: Vec<u8> = offsets(&out.shape, &permuted).into_iter().flat_map(element).copied().collect();
        Tensor { ty: out.clone(), data: data.into() }
    }
}
