//! `add`: sum of two tensors; extents of 1 and missing outer dimensions repeat.
//! `%y = add %a, %b {clamp = [-128, 127]} : i8[1, 8, 8, 4]`

use super::requant::{expect_clamp, requantize, scale_of, zero_of};
use super::strided::{broadcast_shape, broadcast_strides, offsets};
use super::{GraphOp, Tensor};
use crate::attributes;
use crate::fixed::{Multiplier, quantize_multiplier};
use crate::ty::{TensorType, Ty, TypeError};

/// `y = clamp(zero_y + m_y * (m_a * ((a - zero_a) << 20) + m_b * ((b - zero_b) << 20)))`.
#[derive(Clone, Debug, PartialEq)]
pub struct Add {
    /// Least and greatest integer of the result.
    pub clamp: [i32; 2],
}

attributes!(Add { clamp });

/// The integers that [`Add`] computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddParams {
    /// Bits that both operands are shifted left by, once their zero points are off.
    pub left_shift: u32,
    /// Zero points of the operands.
    pub zeros: [i32; 2],
    /// Factors of the shifted operands, at most 1/2.
    pub multipliers: [Multiplier; 2],
    /// Factor of the sum, below 1.
    pub out: Multiplier,
    /// Zero point of the result.
    pub zero_out: i32,
}

impl Add {
    /// The integers for operands `a` and `b` and result `out`.
    ///
    /// Source: `CalculateOpDataAdd` of tflite-micro.
    pub fn params(a: &TensorType, b: &TensorType, out: &TensorType) -> AddParams {
        let left_shift = 20;
        let twice_max = 2.0 * scale_of(a).max(scale_of(b));
        AddParams {
            left_shift,
            zeros: [zero_of(a), zero_of(b)],
            multipliers: [a, b].map(|x| quantize_multiplier(scale_of(x) / twice_max)),
            out: quantize_multiplier(twice_max / (f64::from(1 << left_shift) * scale_of(out))),
            zero_out: zero_of(out),
        }
    }
}

impl AddParams {
    /// The element of the result for one element of each operand.
    pub fn apply(&self, a: i8, b: i8, clamp: [i32; 2]) -> i8 {
        let scaled =
            |i: usize, x: i8| self.multipliers[i].apply((i32::from(x) - self.zeros[i]) << self.left_shift);
        requantize(scaled(0, a) + scaled(1, b), self.out, self.zero_out, clamp) as i8
    }
}

impl GraphOp for Add {
    const NAME: &'static str = "add";
    const INPUTS: usize = 2;

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, TypeError> {
        let (a, b) = (inputs[0], inputs[1]);
        a.expect_elem(Ty::I8, "the first operand")?;
        b.expect_elem(Ty::I8, "the second operand")?;
        let shape = broadcast_shape(&a.shape, &b.shape).ok_or_else(|| {
            TypeError::new(format!("shapes {:?} and {:?} do not broadcast to each other", a.shape, b.shape))
        })?;
        Ok(TensorType::new(Ty::I8, &shape))
    }

    fn check(&self, inputs: &[&TensorType], out: &TensorType) -> Result<(), TypeError> {
        inputs[0].expect_per_tensor("the first operand")?;
        inputs[1].expect_per_tensor("the second operand")?;
        out.expect_per_tensor("the result")?;
        expect_clamp(self.clamp, out)?;
        let params = Self::params(inputs[0], inputs[1], out);
        if params.out.shift > 0 {
            let limit = 1u32 << (params.left_shift - 1);
            return Err(TypeError::new(format!("the result's scale is more than {limit} times too fine")));
        }
        Ok(())
    }

    fn eval(&self, inputs: &[&Tensor], out: &TensorType) -> Tensor {
        let params = Self::params(&inputs[0].ty, &inputs[1].ty, out);
        let (a, b) = (inputs[0].i8s(), inputs[1].i8s());
        let [a_at, b_at] = [0, 1].map(|i| {
            let ty: &TensorType = &inputs[i].ty;
            offsets(&out.shape, &broadcast_strides(&ty.shape, &out.shape))
        });
        let sum = a_at.iter().zip(&b_at).map(|(i, j)| params.apply(a[*i], b[*j], self.clamp));
        Tensor::from_i8s(out, &sum.collect::<Vec<_>>())
    }
}
