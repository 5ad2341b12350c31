//! `depthwise_conv2d`: `y[q, c, o] = requantize(b'[o] + Σ x[s q + d ky - top, s c + d kx - left, i] w[ky, kx, o])`
//! with `o = multiplier i + j`.

use ir::diag::Diagnostic;
use ir::graph::ops::DepthwiseConv2d;
use ir::loops::Nest;
use ir::ty::Ty;

use crate::builder::{Ix, Loc, ZERO};
use crate::conv::{bias_without_zero, dims};
use crate::site::Site;

pub fn depthwise_conv2d(site: &Site, op: &DepthwiseConv2d) -> Result<Nest, Diagnostic> {
    let (x_ty, w_ty, y_ty) = (site.ty(0), site.ty(1), site.out());
    let window = op.window(w_ty);
    let mut b = site.builder();
    let ([x], y) = site.buffers(&mut b, [("x", &x_ty.shape)], ("y", &y_ty.shape));
    let [_, kernel_rows, kernel_columns, n_outputs] = dims(&w_ty.shape);
    let w = b.data("w", Ty::I8, &w_ty.shape, site.constant(1, "weights")?);
    let axes = [("ky", kernel_rows), ("kx", kernel_columns)];
    let bias = bias_without_zero(&mut b, site, n_outputs, axes, |o, [ky, kx]| [ZERO, ky, kx, o], w)?;
    let requant = site.requant(&mut b, &DepthwiseConv2d::requant(x_ty, w_ty, y_ty), op.clamp);
    let border = (window.pad != [[0, 0], [0, 0]]).then_some(site.zero(0));

    let [images, rows, columns, _] = dims(&y_ty.shape);
    let channels = n_outputs / op.multiplier;
    let loops =
        [("image", images), ("row", rows), ("column", columns), ("c", channels), ("j", op.multiplier)];
    b.each(loops, |b, [image, row, column, c, j]| {
        let o = c * op.multiplier + j;
        let along = |dim: usize, at: Ix, tap: Ix| {
            at * window.stride[dim] + tap * window.dilation[dim] - window.pad[dim][0]
        };
        let product = |a: Loc, [ky, kx]: [Ix; 2]| {
            let at = [image, along(0, row, ky), along(1, column, kx), c];
            a + x.at_or(at, border) * w.at([ZERO, ky, kx, o])
        };
        b.reduce("a", bias.at([o]), axes, product, |b, a| {
            b.store(y, [image, row, column, o], requant.apply(a, o));
        });
    });
    Ok(b.finish())
}
