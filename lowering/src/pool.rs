//! `avg_pool2d` and `max_pool2d`: what a window gives for each channel.

use ir::diag::Diagnostic;
use ir::graph::ops::window::Window;
use ir::graph::ops::{AvgPool2d, MaxPool2d};
use ir::loops::{Nest, Prim};

use crate::builder::{Buf, Builder, Ex, Ix, Loc, binary, clamp, op, select};
use crate::conv::dims;
use crate::site::Site;

/// `y = clamp((Σ x ± n / 2) / n)`, with the sign of the sum; `n` counts the elements inside, those outside are 0.
pub fn avg_pool2d(site: &Site, op: &AvgPool2d) -> Result<Nest, Diagnostic> {
    let counts = op.window_counts(site.ty(0), site.out());
    let same = counts.iter().all(|n| *n == counts[0]);
    let mut b = site.builder();
    let pool = Pool::new(&mut b, site, op.geometry(), 0);
    let [rows, columns] = dims(&site.out().shape[1..3]);
    let table = (!same).then(|| {
        let bytes: Vec<u8> = counts.iter().flat_map(|n| n.to_le_bytes()).collect();
        b.data("count", ir::ty::Ty::I32, &[rows, columns], bytes.into())
    });
    let finish = |b: &mut Builder, sum: Loc, row: Ix, column: Ix| match table {
        None => mean(sum, counts[0], counts[0] / 2, -(counts[0] / 2)),
        Some(table) => {
            let n = b.bind("n", table.at([row, column]));
            let half = b.bind("half", binary(Prim::Asr, n, 1));
            mean(sum, n, half, Ex::from(0) - half)
        }
    };
    let finish = |b: &mut Builder, sum, row, column| limited(finish(b, sum, row, column), op.clamp);
    pool.nest(&mut b, 0, |sum, x| sum + x, finish);
    Ok(b.finish())
}

/// `y = clamp(max x)`; outside of the tensor everything is the least element.
pub fn max_pool2d(site: &Site, op: &MaxPool2d) -> Result<Nest, Diagnostic> {
    let least = i8::MIN.into();
    let mut b = site.builder();
    let pool = Pool::new(&mut b, site, op.geometry(), least);
    let max = |greatest: Loc, x: Ex| binary(Prim::Max, greatest, x);
    pool.nest(&mut b, least, max, |_, greatest, _, _| limited(greatest.into(), op.clamp));
    Ok(b.finish())
}

/// The sum over the number, rounded to nearest, ties away from zero.
fn mean(sum: Loc, n: impl Into<Ex>, half: impl Into<Ex>, minus_half: impl Into<Ex>) -> Ex {
    let is_positive = op(Prim::Lt, [0.into(), sum.into()]);
    binary(Prim::Div, sum + select(is_positive, half, minus_half), n)
}

/// A value between the least and the greatest element, clamped where that may change it.
fn limited(value: Ex, limits: [i32; 2]) -> Ex {
    if limits == [-128, 127] { value } else { clamp(value, limits) }
}

/// A window over the rows and columns of a tensor.
struct Pool {
    window: Window,
    /// What lies outside of the tensor.
    border: Option<i32>,
    x: Buf,
    y: Buf,
    shape: [usize; 4],
}

impl Pool {
    fn new(b: &mut Builder, site: &Site, window: Window, border: i32) -> Self {
        let ([x], y) = site.buffers(b, [("x", &site.ty(0).shape)], ("y", &site.out().shape));
        let border = (window.pad != [[0, 0], [0, 0]]).then_some(border);
        Self { window, border, x, y, shape: dims(&site.out().shape) }
    }

    fn nest(
        &self,
        b: &mut Builder,
        init: i32,
        update: impl Fn(Loc, Ex) -> Ex,
        finish: impl FnOnce(&mut Builder, Loc, Ix, Ix) -> Ex,
    ) {
        let Self { window, border, x, y, shape: [images, rows, columns, channels] } = *self;
        let loops = [("image", images), ("row", rows), ("column", columns), ("c", channels)];
        b.each(loops, |b, [image, row, column, c]| {
            let taps = [("ky", window.size[0]), ("kx", window.size[1])];
            let along = |dim: usize, at: Ix, tap: Ix| at * window.stride[dim] + tap - window.pad[dim][0];
            let step = |a: Loc, [ky, kx]: [Ix; 2]| {
                update(a, x.at_or([image, along(0, row, ky), along(1, column, kx), c], border))
            };
            b.reduce("a", init, taps, step, |b, a| {
                let value = finish(b, a, row, column);
                b.store(y, [image, row, column, c], value);
            });
        });
    }
}
