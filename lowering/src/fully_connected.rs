//! `fully_connected`: `y[p, n] = requantize(b'[n] + Σ x[p, k] w[n, k])`.

use ir::diag::Diagnostic;
use ir::graph::ops::FullyConnected;
use ir::loops::Nest;

use crate::conv::{Dense, dims};
use crate::site::Site;

pub fn fully_connected(site: &Site, op: &FullyConnected) -> Result<Nest, Diagnostic> {
    let (x_ty, w_ty, y_ty) = (site.ty(0), site.ty(1), site.out());
    let [n_outputs, depth] = dims(&w_ty.shape);
    let n_pixels = x_ty.len() / depth;
    let mut b = site.builder();
    let ([x], y) = site.buffers(&mut b, [("x", &[n_pixels, depth])], ("y", &[n_pixels, n_outputs]));
    let requant = FullyConnected::requant(x_ty, w_ty, y_ty);
    let dense = Dense { n_pixels, n_outputs, depth };
    dense.nest(&mut b, site, (x, y), |b| site.requant(b, &requant, op.clamp))?;
    Ok(b.finish())
}
