//! `mean`: mean over whole dimensions.
//! `%y = mean %x {axes = [1, 2], keep_dims = false} : i8[1, 8]`

use super::requant::{expect_multipliers, requantize, scale_of, zero_of};
use super::strided::{dense_strides, offsets};
use super::{GraphOp, Tensor};
use crate::attributes;
use crate::fixed::{Multiplier, quantize_multiplier};
use crate::ty::{TensorType, Ty, TypeError};

/// The mean of the elements that differ only in their indices along `axes`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mean {
    /// The dimensions, increasing.
    pub axes: Vec<usize>,
    /// Whether the dimensions stay, with extent 1.
    pub keep_dims: bool,
}

attributes!(Mean { axes, keep_dims });

/// The integers that [`Mean`] computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeanParams {
    /// Added to a sum of integers: minus the operand's zero point times the count.
    pub offset: i32,
    /// Scale of the operand over scale of the result over count.
    pub multiplier: Multiplier,
    /// Zero point of the result.
    pub zero_out: i32,
}

impl MeanParams {
    /// The result for a sum of integers.
    pub fn apply(&self, sum: i32) -> i8 {
        requantize(sum.wrapping_add(self.offset), self.multiplier, self.zero_out, [-128, 127]) as i8
    }
}

impl Mean {
    /// How many elements each mean counts.
    pub fn count(&self, x: &TensorType) -> usize {
        self.axes.iter().map(|axis| x.shape[*axis]).product()
    }

    /// The integers for operand `x` and result `out`.
    ///
    /// Source: `QuantizedMeanOrSum` in `reference/reduce.h`, which the reference takes for every mean, equal scales
    /// and kept dimensions included.
    pub fn params(&self, x: &TensorType, out: &TensorType) -> MeanParams {
        let count = self.count(x) as i64;
        let whole = quantize_multiplier(scale_of(x) / scale_of(out));
        // The quotient by the count is taken with as many bits more as the count has and as right shifts remain.
        let bits = (count.ilog2() as i32).min(32).min(31 + whole.shift);
        let value = ((i64::from(whole.value) << bits) / count) as i32;
        MeanParams {
            offset: (-i64::from(zero_of(x)) * count) as i32,
            multiplier: Multiplier { value, shift: whole.shift - bits },
            zero_out: zero_of(out),
        }
    }
}

impl GraphOp for Mean {
    const NAME: &'static str = "mean";
    const INPUTS: usize = 1;

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, TypeError> {
        let x = inputs[0];
        x.expect_elem(Ty::I8, "the input")?;
        let increasing = self.axes.windows(2).all(|pair| pair[0] < pair[1]);
        if !increasing || self.axes.last().is_some_and(|last| *last >= x.shape.len()) {
            return Err(TypeError::new(format!(
                "`axes` is {:?}, expected increasing numbers below {}",
                self.axes,
                x.shape.len()
            )));
        }
        let kept = x.shape.iter().enumerate().filter_map(|(dim, extent)| match self.axes.contains(&dim) {
            true => self.keep_dims.then_some(1),
            false => Some(*extent),
        });
        Ok(TensorType::new(Ty::I8, &kept.collect::<Vec<_>>()))
    }

    fn check(&self, inputs: &[&TensorType], out: &TensorType) -> Result<(), TypeError> {
        inputs[0].expect_per_tensor("the input")?;
        out.expect_per_tensor("the result")?;
        expect_multipliers(&[quantize_multiplier(scale_of(inputs[0]) / scale_of(out))])
    }

    fn eval(&self, inputs: &[&Tensor], out: &TensorType) -> Tensor {
        let x = inputs[0];
        let params = self.params(&x.ty, out);
        let summed = |dim: usize| self.axes.contains(&dim);
        let one_if_summed = |(dim, extent): (usize, &usize)| if summed(dim) { 1 } else { *extent };
        let kept = dense_strides(&x.ty.shape.iter().enumerate().map(one_if_summed).collect::<Vec<_>>());
        let zero_if_summed = |(dim, stride): (usize, &usize)| if summed(dim) { 0 } else { *stride };
        let strides: Vec<_> = kept.iter().enumerate().map(zero_if_summed).collect();
        let mut sums = vec![0i32; out.len()];
        for (x, at) in x.i8s().iter().zip(offsets(&x.ty.shape, &strides)) {
            sums[at] = sums[at].wrapping_add((*x).into());
        }
        Tensor::from_i8s(out, &sums.iter().map(|sum| params.apply(*sum)).collect::<Vec<_>>())
    }
}
