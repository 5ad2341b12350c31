//! `pad`: surrounds a tensor with a constant.
//! `%y = pad %x {margins = [[0, 0], [1, 1], [1, 1], [0, 0]], value = -128} : i8[1, 10, 10, 8]`

use super::strided::{dense_strides, offsets};
use super::{GraphOp, Tensor, expect_same_quant};
use crate::attributes;
use crate::ty::{TensorType, Ty, TypeError};

/// Puts `margins[d]` elements before and after dimension `d`, all equal to `value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pad {
    /// Elements before and after, for each dimension.
    pub margins: Vec<[usize; 2]>,
    /// The integer to pad with: the zero point of the tensor, unless the model says otherwise.
    pub value: i8,
}

attributes!(Pad { margins, value });

impl GraphOp for Pad {
    const NAME: &'static str = "pad";
    const INPUTS: usize = 1;

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, TypeError> {
        let x = inputs[0];
        x.expect_elem(Ty::I8, "the input")?;
        x.expect_rank(self.margins.len(), "the input, by `margins`,")?;
        let padded = x
            .shape
            .iter()
            .zip(&self.margins)
            .map(|(n, [before, after])| n.checked_add(*before).and_then(|n| n.checked_add(*after)));
        let shape: Option<Vec<_>> = padded.collect();
        Ok(x.with_shape(shape.ok_or_else(|| TypeError::new("`margins` are too large"))?))
    }

    fn check(&self, inputs: &[&TensorType], out: &TensorType) -> Result<(), TypeError> {
        expect_same_quant(inputs[0], out)
    }

    fn eval(&self, inputs: &[&Tensor], out: &TensorType) -> Tensor {
        let strides = dense_strides(&out.shape);
        let first: usize =
            self.margins.iter().zip(&strides).map(|([before, _], stride)| before * stride).sum();
        let mut y = vec![self.value; out.len()];
        for (x, at) in inputs[0].i8s().iter().zip(offsets(&inputs[0].ty.shape, &strides)) {
            y[first + at] = *x;
        }
        Tensor::from_i8s(out, &y)
    }
}
