//! `max_pool2d`: greatest element in a moving window, of those inside the input.
//! `%y = max_pool2d %x {window = [2, 2], stride = [2, 2], pad = [[0, 0], [0, 0]], clamp = [-128, 127]} : i8[1, 4, 4, 8]`

use super::avg_pool2d::{each_window, infer_pool};
use super::requant::expect_clamp;
use super::window::Window;
use super::{GraphOp, Tensor, expect_same_quant};
use crate::attributes;
use crate::ty::{TensorType, TypeError};

/// The greatest integer under the window, clamped.
#[derive(Clone, Debug, PartialEq)]
pub struct MaxPool2d {
    /// Rows and columns of the window.
    pub window: [usize; 2],
    /// Input elements between neighbouring outputs: rows, columns.
    pub stride: [usize; 2],
    /// Elements added, which are never the greatest: top and bottom, left and right.
    pub pad: [[usize; 2]; 2],
    /// Least and greatest integer of the result.
    pub clamp: [i32; 2],
}

attributes!(MaxPool2d { window, stride, pad, clamp });

impl MaxPool2d {
    /// The window with its steps.
    pub fn geometry(&self) -> Window {
        Window { size: self.window, stride: self.stride, dilation: [1, 1], pad: self.pad }
    }
}

impl GraphOp for MaxPool2d {
    const NAME: &'static str = "max_pool2d";
    const INPUTS: usize = 1;

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, TypeError> {
        infer_pool(&self.geometry(), inputs[0])
    }

    fn check(&self, inputs: &[&TensorType], out: &TensorType) -> Result<(), TypeError> {
        expect_same_quant(inputs[0], out)?;
        out.expect_per_tensor("the result")?;
        expect_clamp(self.clamp, out)
    }

    fn eval(&self, inputs: &[&Tensor], out: &TensorType) -> Tensor {
        let mut y = Vec::with_capacity(out.len());
        each_window(&self.geometry(), inputs[0], out, |_, _, pixels| {
            let greatest = |channel: usize| pixels.iter().map(|pixel| pixel[channel]).fold(i8::MIN, i8::max);
            let clamped = |channel| i32::from(greatest(channel)).max(self.clamp[0]).min(self.clamp[1]);
            y.extend((0..out.shape[3]).map(|channel| clamped(channel) as i8));
        });
        Tensor::from_i8s(out, &y)
    }
}
