//! `conv2d`: convolution over rows and columns, with groups where the weights have fewer channels than the input.
//! `%y = conv2d %x, %w, %b {stride = [1, 1], dilation = [1, 1], pad = [[1, 1], [1, 1]], clamp = [-128, 127]} : i8[1, 8, 8, 4]`
//!
//! `x` is `i8[n, h, w, c]`, `w` is `i8[o, kh, kw, c / groups]` with one scale or one for each `o`, `b` is `i32[o]`.
//! Padding reads the zero point of `x`.

use super::requant::{channel_multipliers, expect_clamp, expect_multipliers, requantize, zero_of};
use super::window::Window;
use super::{GraphOp, Tensor};
use crate::attributes;
use crate::fixed::Multiplier;
use crate::ty::{TensorType, Ty, TypeError};

/// `y[o] = clamp(zero_y + m[o] * (b[o] + sum(w[o, …] * (x[…] - zero_x))))`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2d {
    /// Input elements between neighbouring outputs: rows, columns.
    pub stride: [usize; 2],
    /// Input elements between neighbouring taps: rows, columns.
    pub dilation: [usize; 2],
    /// Elements added: top and bottom, left and right.
    pub pad: [[usize; 2]; 2],
    /// Least and greatest integer of the result.
    pub clamp: [i32; 2],
}

attributes!(Conv2d { stride, dilation, pad, clamp });

impl Conv2d {
    /// The window for weights of type `w`.
    pub fn window(&self, w: &TensorType) -> Window {
        let size = [w.shape[1], w.shape[2]];
        Window { size, stride: self.stride, dilation: self.dilation, pad: self.pad }
    }

    /// The multiplier of each output channel.
    pub fn requant(x: &TensorType, w: &TensorType, out: &TensorType) -> Vec<Multiplier> {
        let scales = w.expect_weight_scales(0, w.shape[0]).expect("the verifier checked the weights");
        channel_multipliers(x, &scales, w.shape[0], out)
    }

    /// Number of groups: each reads its own part of the input channels.
    pub fn groups(x: &TensorType, w: &TensorType) -> usize {
        x.shape[3] / w.shape[3]
    }
}

impl GraphOp for Conv2d {
    const NAME: &'static str = "conv2d";
    const INPUTS: usize = 3;

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, TypeError> {
        let [x, w, b] = inputs[..] else { unreachable!("`Op::infer` counts the operands") };
        x.expect_elem(Ty::I8, "the input")?;
        x.expect_rank(4, "the input")?;
        w.expect_elem(Ty::I8, "the weights")?;
        w.expect_rank(4, "the weights")?;
        b.expect_elem(Ty::I32, "the bias")?;
        b.expect_shape(&w.shape[..1], "the bias")?;
        let (channels, own, outputs) = (x.shape[3], w.shape[3], w.shape[0]);
        if channels % own != 0 || outputs % (channels / own) != 0 {
            return Err(TypeError::new(format!(
                "{channels} input and {outputs} output channels do not divide into groups that read {own}"
            )));
        }
        let [rows, columns] = self.window(w).positions([x.shape[1], x.shape[2]])?;
        Ok(TensorType::new(Ty::I8, &[x.shape[0], rows, columns, outputs]))
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
        (out.len() * inputs[1].shape[1..].iter().product::<usize>()) as u64
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
        let (own, per_group) = (w_ty.shape[3], w_ty.shape[0] / Self::groups(x_ty, w_ty));
        let mut y = Vec::with_capacity(out.len());
        for (n, row, column) in positions(out) {
            let rows = window.taps(0, row, height);
            let columns = window.taps(1, column, width);
            for (o, requant) in requant.iter().enumerate() {
                let first = (o / per_group) * own;
                let mut acc = b[o];
                for (ky, iy) in rows.clone() {
                    for (kx, ix) in columns.clone() {
                        let x_at = ((n * height + iy) * width + ix) * channels + first;
                        let w_at = ((o * window.size[0] + ky) * window.size[1] + kx) * own;
                        acc = acc.wrapping_add(dot(&x[x_at..x_at + own], &w[w_at..w_at + own]));
                    }
                }
                y.push(requantize(acc, *requant, zero_y, self.clamp) as i8);
            }
        }
        Tensor::from_i8s(out, &y)
    }
}

/// Batch, row and column of each pixel of a `[n, h, w, c]` tensor.
pub(super) fn positions(ty: &TensorType) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
    let (batches, rows, columns) = (ty.shape[0], ty.shape[1], ty.shape[2]);
    (0..batches * rows * columns).map(move |i| (i / columns / rows, i / columns % rows, i % columns))
}

/// The scalar product of zero-based activations and weights; sums wrap.
pub(super) fn dot(x: &[i32], w: &[i8]) -> i32 {
    x.iter().zip(w).fold(0, |acc: i32, (x, w)| acc.wrapping_add(x.wrapping_mul((*w).into())))
}
