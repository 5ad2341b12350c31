//! `depthwise_conv2d`: each input channel has `multiplier` filters of its own.
//! `%y = depthwise_conv2d %x, %w, %b {stride = [1, 1], dilation = [1, 1], pad = [[1, 1], [1, 1]], multiplier = 1, clamp = [-128, 127]} : i8[1, 8, 8, 4]`
//!
//! `x` is `i8[n, h, w, c]`, `w` is `i8[1, kh, kw, c * multiplier]` with one scale or one for each output channel,
//! `b` is `i32[c * multiplier]`. Padding reads the zero point of `x`.

use super::conv2d::positions;
use super::requant::{channel_multipliers, expect_clamp, expect_multipliers, requantize, zero_of};
use super::window::Window;
use super::{GraphOp, Tensor};
use crate::attributes;
use crate::fixed::Multiplier;
use crate::ty::{TensorType, Ty, TypeError};

/// `y[o] = clamp(zero_y + m[o] * (b[o] + sum(w[…, o] * (x[…, o / multiplier] - zero_x))))`.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthwiseConv2d {
    /// Input elements between neighbouring outputs: rows, columns.
    pub stride: [usize; 2],
    /// Input elements between neighbouring taps: rows, columns.
    pub dilation: [usize; 2],
    /// Elements added: top and bottom, left and right.
    pub pad: [[usize; 2]; 2],
    /// Output channels for each input channel.
    pub multiplier: usize,
    /// Least and greatest integer of the result.
    pub clamp: [i32; 2],
}

attributes!(DepthwiseConv2d { stride, dilation, pad, multiplier, clamp });

impl DepthwiseConv2d {
    /// The window for weights of type `w`.
    pub fn window(&self, w: &TensorType) -> Window {
        let size = [w.shape[1], w.shape[2]];
        Window { size, stride: self.stride, dilation: self.dilation, pad: self.pad }
    }

    /// The multiplier of each output channel.
    pub fn requant(x: &TensorType, w: &TensorType, out: &TensorType) -> Vec<Multiplier> {
        let scales = w.expect_weight_scales(3, w.shape[3]).expect("the verifier checked the weights");
        channel_multipliers(x, &scales, w.shape[3], out)
    }
}

impl GraphOp for DepthwiseConv2d {
    const NAME: &'static str = "depthwise_conv2d";
    const INPUTS: usize = 3;

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, TypeError> {
        let [x, w, b] = inputs[..] else { unreachable!("`Op::infer` counts the operands") };
        x.expect_elem(Ty::I8, "the input")?;
        x.expect_rank(4, "the input")?;
        w.expect_elem(Ty::I8, "the weights")?;
        w.expect_rank(4, "the weights")?;
        if w.shape[0] != 1 || x.shape[3].checked_mul(self.multiplier) != Some(w.shape[3]) {
            return Err(TypeError::new(format!(
                "the weights have shape {:?}, expected [1, …, …, {} * {}]",
                w.shape, x.shape[3], self.multiplier
            )));
        }
        b.expect_elem(Ty::I32, "the bias")?;
        b.expect_shape(&w.shape[3..], "the bias")?;
        let [rows, columns] = self.window(w).positions([x.shape[1], x.shape[2]])?;
        Ok(TensorType::new(Ty::I8, &[x.shape[0], rows, columns, w.shape[3]]))
    }

    fn check(&self, inputs: &[&TensorType], out: &TensorType) -> Result<(), TypeError> {
        let (x, w) = (inputs[0], inputs[1]);
        x.expect_per_tensor("the input")?;
        w.expect_weight_scales(3, w.shape[3])?;
        out.expect_per_tensor("the result")?;
        expect_clamp(self.clamp, out)?;
        expect_multipliers(&Self::requant(x, w, out))
    }

    fn macs(&self, inputs: &[&TensorType], out: &TensorType) -> u64 {
        (out.len() * inputs[1].shape[1] * inputs[1].shape[2]) as u64
    }

    fn eval(&self, inputs: &[&Tensor], out: &TensorType) -> Tensor {
        let (x_ty, w_ty) = (&inputs[0].ty, &inputs[1].ty);
        let requant = Self::requant(x_ty, w_ty, out);
        let (zero_x, zero_y) = (zero_of(x_ty), zero_of(out));
        let x: Vec<i32> = inputs[0].i8s().iter().map(|v| i32::from(*v) - zero_x).collect();
        let (w, b) = (inputs[1].i8s(), inputs[2].i32s());
        let window = self.window(w_ty);
        let [height, width, channels] = x_ty.shape[1..] else {
            unreachable!("the verifier checked the rank")
        };
        let mut y = Vec::with_capacity(out.len());
        for (n, row, column) in positions(out) {
            let mut acc = b.clone();
            for (ky, iy) in window.taps(0, row, height) {
                for (kx, ix) in window.taps(1, column, width) {
                    let x_at = ((n * height + iy) * width + ix) * channels;
                    let w_at = (ky * window.size[1] + kx) * b.len();
                    let filters = acc.chunks_exact_mut(self.multiplier);
                    let weights = w[w_at..w_at + b.len()].chunks_exact(self.multiplier);
                    for ((acc, w), x) in filters.zip(weights).zip(&x[x_at..x_at + channels]) {
                        for (acc, w) in acc.iter_mut().zip(w) {
                            *acc = acc.wrapping_add(x.wrapping_mul((*w).into()));
                        }
                    }
                }
            }
            let pixel =
                acc.iter().zip(&requant).map(|(acc, m)| requantize(*acc, *m, zero_y, self.clamp) as i8);
            y.extend(pixel);
        }
        Tensor::from_i8s(out, &y)
    }
}
