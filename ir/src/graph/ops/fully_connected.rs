//! `fully_connected`: matrix times vector, for each row of a batch.
//! `%y = fully_connected %x, %w, %b {clamp = [-128, 127]} : i8[1, 10]`
//!
//! `w` is `i8[o, k]` with one scale or one for each `o`, `b` is `i32[o]`; `x` is `i8` of any shape and is read as
//! rows of `k` elements.

use super::conv2d::dot;
use super::requant::{channel_multipliers, expect_clamp, expect_multipliers, requantize, scale_of, zero_of};
use super::{GraphOp, Tensor};
use crate::attributes;
use crate::fixed::{Multiplier, quantize_multiplier};
use crate::ty::{TensorType, Ty, TypeError};

/// `y[n, o] = clamp(zero_y + m[o] * (b[o] + sum(w[o, k] * (x[n, k] - zero_x))))`.
#[derive(Clone, Debug, PartialEq)]
pub struct FullyConnected {
    /// Least and greatest integer of the result.
    pub clamp: [i32; 2],
}

attributes!(FullyConnected { clamp });

impl FullyConnected {
    /// The multiplier of each output channel.
    ///
    /// With one scale for all weights, the two scales are multiplied in single precision and divided in double.
    /// Source: `CalculateOpDataFullyConnected` and `GetQuantizedConvolutionMultipler` of tflite-micro.
    pub fn requant(x: &TensorType, w: &TensorType, out: &TensorType) -> Vec<Multiplier> {
        let n_channels = w.shape[0];
        let scales = w.expect_weight_scales(0, n_channels).expect("the verifier checked the weights");
        let [scale_w] = scales[..] else { return channel_multipliers(x, &scales, n_channels, out) };
        let scale_x = scale_of(x) as f32;
        vec![quantize_multiplier(f64::from(scale_x * scale_w) / scale_of(out)); n_channels]
    }
}

impl GraphOp for FullyConnected {
    const NAME: &'static str = "fully_connected";
    const INPUTS: usize = 3;

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, TypeError> {
        let [x, w, b] = inputs[..] else { unreachable!("`Op::infer` counts the operands") };
        x.expect_elem(Ty::I8, "the input")?;
        w.expect_elem(Ty::I8, "the weights")?;
        w.expect_rank(2, "the weights")?;
        b.expect_elem(Ty::I32, "the bias")?;
        b.expect_shape(&w.shape[..1], "the bias")?;
        let (n_channels, depth) = (w.shape[0], w.shape[1]);
        if x.len() % depth != 0 {
            return Err(TypeError::new(format!(
                "the input has {} elements, expected a multiple of the weights' {depth}",
                x.len()
            )));
        }
        Ok(TensorType::new(Ty::I8, &[x.len() / depth, n_channels]))
    }

    fn check(&self, inputs: &[&TensorType], out: &TensorType) -> Result<(), TypeError> {
        let (x, w) = (inputs[0], inputs[1]);
        x.expect_per_tensor("the input")?;
        w.expect_weight_scales(0, w.shape[0])?;
        out.expect_per_tensor("the result")?;
        expect_clamp(self.clamp, out)?;
        expect_multipliers(&Self::requant(x, w, out))
    }

    fn macs(&self, inputs: &[&TensorType], out: &TensorType) -> u64 {
        (out.len() * inputs[1].shape[1]) as u64
    }

    fn eval(&self, inputs: &[&Tensor], out: &TensorType) -> Tensor {
        let (x_ty, w_ty) = (&inputs[0].ty, &inputs[1].ty);
        let requant = Self::requant(x_ty, w_ty, out);
        let (zero_x, zero_y) = (zero_of(x_ty), zero_of(out));
        let x: Vec<i32> = inputs[0].i8s().iter().map(|v| i32::from(*v) - zero_x).collect();
        let (w, b) = (inputs[1].i8s(), inputs[2].i32s());
        let depth = w_ty.shape[1];
        let mut y = Vec::with_capacity(out.len());
        for row in x.chunks_exact(depth) {
            for ((w, b), m) in w.chunks_exact(depth).zip(&b).zip(&requant) {
                y.push(requantize(b.wrapping_add(dot(row, w)), *m, zero_y, self.clamp) as i8);
            }
        }
        Tensor::from_i8s(out, &y)
    }
}
