//! `conv2d`: `y[q, c, n] = requantize(b'[n] + Σ x[s q + d ky - top, s c + d kx - left, k] w[n, ky, kx, k])`.
//!
//! The zero point of `x` is part of `b' = b - zero_x Σ w`, and what padding reads. A 1x1 kernel that moves by 1 sees
//! pixels, not rows and columns.

use ir::diag::Diagnostic;
use ir::graph::ops::Conv2d;
use ir::loops::Nest;
use ir::ty::Ty;

use crate::builder::{Buf, Builder, Ix, Loc};
use crate::site::Site;

pub fn conv2d(site: &Site, op: &Conv2d) -> Result<Nest, Diagnostic> {
    let (x_ty, w_ty, y_ty) = (site.ty(0), site.ty(1), site.out());
    let window = op.window(w_ty);
    let is_pointwise = window.size == [1, 1] && window.stride == [1, 1] && window.pad == [[0, 0], [0, 0]];
    if is_pointwise && Conv2d::groups(x_ty, w_ty) == 1 {
        return pointwise(site, op);
    }
    let mut b = site.builder();
    let ([x], y) = site.buffers(&mut b, [("x", &x_ty.shape)], ("y", &y_ty.shape));
    let [n_outputs, kernel_rows, kernel_columns, depth] = dims(&w_ty.shape);
    let w = b.data("w", Ty::I8, &w_ty.shape, site.constant(1, "weights")?);
    let axes = [("ky", kernel_rows), ("kx", kernel_columns), ("k", depth)];
    let bias = bias_without_zero(&mut b, site, n_outputs, axes, |n, [ky, kx, k]| [n, ky, kx, k], w)?;
    let requant = site.requant(&mut b, &Conv2d::requant(x_ty, w_ty, y_ty), op.clamp);
    let border = (window.pad != [[0, 0], [0, 0]]).then_some(site.zero(0));

    let [images, rows, columns, _] = dims(&y_ty.shape);
    let groups = Conv2d::groups(x_ty, w_ty);
    let outputs = n_outputs / groups;
    let loops = [("image", images), ("row", rows), ("column", columns), ("g", groups), ("n", outputs)];
    b.each(loops, |b, [image, row, column, g, n]| {
        let n = g * outputs + n;
        let along = |dim: usize, at: Ix, tap: Ix| {
            at * window.stride[dim] + tap * window.dilation[dim] - window.pad[dim][0]
        };
        let product = |a: Loc, [ky, kx, k]: [Ix; 3]| {
            let at = [image, along(0, row, ky), along(1, column, kx), g * depth + k];
            a + x.at_or(at, border) * w.at([n, ky, kx, k])
        };
        b.reduce("a", bias.at([n]), axes, product, |b, a| {
            b.store(y, [image, row, column, n], requant.apply(a, n));
        });
    });
    Ok(b.finish())
}

fn pointwise(site: &Site, op: &Conv2d) -> Result<Nest, Diagnostic> {
    let (x_ty, w_ty, y_ty) = (site.ty(0), site.ty(1), site.out());
    let [n_outputs, _, _, depth] = dims(&w_ty.shape);
    let n_pixels = x_ty.len() / depth;
    let mut b = site.builder();
    let ([x], y) = site.buffers(&mut b, [("x", &[n_pixels, depth])], ("y", &[n_pixels, n_outputs]));
    let requant = Conv2d::requant(x_ty, w_ty, y_ty);
    let dense = Dense { n_pixels, n_outputs, depth };
    dense.nest(&mut b, site, (x, y), |b| site.requant(b, &requant, op.clamp))?;
    Ok(b.finish())
}

/// A matrix of weights that each pixel is multiplied with.
pub struct Dense {
    pub n_pixels: usize,
    pub n_outputs: usize,
    /// Elements of a pixel.
    pub depth: usize,
}

impl Dense {
    /// `y[p, n] = requantize(b'[n] + Σ x[p, k] w[n, k])`.
    pub fn nest(
        &self,
        b: &mut Builder,
        site: &Site,
        (x, y): (Buf, Buf),
        requant: impl FnOnce(&mut Builder) -> crate::site::Requant,
    ) -> Result<(), Diagnostic> {
        let w = b.data("w", Ty::I8, &[self.n_outputs, self.depth], site.constant(1, "weights")?);
        let axes = [("k", self.depth)];
        let bias = bias_without_zero(b, site, self.n_outputs, axes, |n, [k]| [n, k], w)?;
        let requant = requant(b);
        b.each([("p", self.n_pixels), ("n", self.n_outputs)], |b, [p, n]| {
            let product = |a: Loc, [k]: [Ix; 1]| a + x.at([p, k]) * w.at([n, k]);
            b.reduce("a", bias.at([n]), axes, product, |b, a| b.store(y, [p, n], requant.apply(a, n)));
        });
        Ok(())
    }
}

/// The bias of each output channel less the zero point's part in the sum: `b[n] - zero_x Σ w[n, …]`.
///
/// `taps` are the loops over the weights of a channel, and `at` is where a tap of channel `n` lies.
pub fn bias_without_zero<const T: usize, const R: usize>(
    b: &mut Builder,
    site: &Site,
    n_outputs: usize,
    taps: [(&str, usize); T],
    at: impl Fn(Ix, [Ix; T]) -> [Ix; R],
    w: Buf,
) -> Result<Buf, Diagnostic> {
    let bias = site.constant(2, "biases")?;
    let zero = site.zero(0);
    if zero == 0 {
        return Ok(b.data("b", Ty::I32, &[n_outputs], bias));
    }
    let bias = b.data("bias", Ty::I32, &[n_outputs], bias);
    Ok(b.computed("b", Ty::I32, &[n_outputs], |b, folded| {
        b.each([("n", n_outputs)], |b, [n]| {
            let less = |s: Loc, tap: [Ix; T]| s - w.at(at(n, tap)) * zero;
            b.reduce("s", bias.at([n]), taps, less, |b, s| b.store(folded, [n], s));
        });
    }))
}

/// The extents of a tensor of known rank.
pub fn dims<const R: usize>(shape: &[usize]) -> [usize; R] {
    shape.try_into().expect("the verifier checked the rank")
}
