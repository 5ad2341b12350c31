//! `avg_pool2d`: mean over a moving window, of the elements inside the input.
//! `%y = avg_pool2d %x {window = [2, 2], stride = [2, 2], pad = [[0, 0], [0, 0]], clamp = [-128, 127]} : i8[1, 4, 4, 8]`

use super::conv2d::positions;
use super::requant::expect_clamp;
use super::window::Window;
use super::{GraphOp, Tensor, expect_same_quant};
use crate::attributes;
use crate::ty::{TensorType, Ty, TypeError};

/// The sum of the integers over their number, rounded to nearest, ties away from zero.
#[derive(Clone, Debug, PartialEq)]
pub struct AvgPool2d {
    /// Rows and columns of the window.
    pub window: [usize; 2],
    /// Input elements between neighbouring outputs: rows, columns.
    pub stride: [usize; 2],
    /// Elements added, which no mean counts: top and bottom, left and right.
    pub pad: [[usize; 2]; 2],
    /// Least and greatest integer of the result.
    pub clamp: [i32; 2],
}

attributes!(AvgPool2d { window, stride, pad, clamp });

impl AvgPool2d {
    /// The window with its steps.
    pub fn geometry(&self) -> Window {
        Window { size: self.window, stride: self.stride, dilation: [1, 1], pad: self.pad }
    }

    /// How many elements the mean at each output row and column counts, in C order.
    pub fn window_counts(&self, x: &TensorType, out: &TensorType) -> Vec<i32> {
        let window = self.geometry();
        let counts = |dim| {
            let taps = move |at| window.taps(dim, at, x.shape[1 + dim]).count() as i32;
            (0..out.shape[1 + dim]).map(taps).collect::<Vec<_>>()
        };
        let (rows, columns) = (counts(0), counts(1));
        rows.iter().flat_map(|r| columns.iter().map(move |c| r * c)).collect()
    }

    /// `sum / count`, rounded to nearest, ties away from zero.
    ///
    /// Source: `AveragePool` in `reference/integer_ops/pooling.h`.
    pub fn mean(sum: i32, count: i32) -> i32 {
        let half = count / 2;
        (if sum > 0 { sum + half } else { sum - half }) / count
    }
}

impl GraphOp for AvgPool2d {
    const NAME: &'static str = "avg_pool2d";
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
        let counts = self.window_counts(&inputs[0].ty, out);
        let mut y = Vec::with_capacity(out.len());
        each_window(&self.geometry(), inputs[0], out, |row, column, pixels| {
            let count = counts[row * out.shape[2] + column];
            let sum = |channel: usize| pixels.iter().map(|pixel| i32::from(pixel[channel])).sum();
            let mean = |channel| Self::mean(sum(channel), count).max(self.clamp[0]).min(self.clamp[1]);
            y.extend((0..out.shape[3]).map(|channel| mean(channel) as i8));
        });
        Tensor::from_i8s(out, &y)
    }
}

/// The type of a pool's result: the operand's but for rows and columns.
pub(super) fn infer_pool(window: &Window, x: &TensorType) -> Result<TensorType, TypeError> {
    x.expect_elem(Ty::I8, "the input")?;
    x.expect_rank(4, "the input")?;
    for (dim, [before, after]) in window.pad.iter().enumerate() {
        if *before >= window.size[dim] || *after >= window.size[dim] {
            return Err(TypeError::new(format!(
                "`pad` is {:?}: expected less than the window, {:?}",
                window.pad, window.size
            )));
        }
    }
    let [rows, columns] = window.positions([x.shape[1], x.shape[2]])?;
    Ok(x.with_shape(vec![x.shape[0], rows, columns, x.shape[3]]))
}

/// Calls `visit` for each output row and column with the pixels under the window, all channels of each.
pub(super) fn each_window(
    window: &Window,
    x: &Tensor,
    out: &TensorType,
    mut visit: impl FnMut(usize, usize, &[&[i8]]),
) {
    let [height, width, channels] = x.ty.shape[1..] else { unreachable!("the verifier checked the rank") };
    let x = x.i8s();
    let pixel = |n, iy, ix| {
        let at = ((n * height + iy) * width + ix) * channels;
        &x[at..at + channels]
    };
    for (n, row, column) in positions(out) {
        let rows = window.taps(0, row, height);
        let columns = window.taps(1, column, width);
        let pixels = rows.flat_map(|(_, iy)| columns.clone().map(move |(_, ix)| pixel(n, iy, ix)));
        visit(row, column, &pixels.collect::<Vec<_>>());
    }
}
