//! `mean`: sums along some dimensions, rescaled by a factor that includes their number.
//!
//! `y = requantize(Σ x - n zero_x)`

use ir::diag::Diagnostic;
use ir::fixed::Multiplier;
use ir::graph::ops::Mean;
use ir::graph::ops::mean::MeanParams;
use ir::loops::Nest;

use crate::builder::{Axis, Ex, Ix, Loc, axis_names, requantize};
use crate::site::Site;

pub fn mean(site: &Site, op: &Mean) -> Result<Nest, Diagnostic> {
    let x_ty = site.ty(0);
    let params = op.params(x_ty, site.out());
    let is_summed = |dim: usize| op.axes.contains(&dim);
    let names = axis_names(x_ty.shape.len());
    let axes = |summed: bool| {
        let kept = |dim: &usize| is_summed(*dim) == summed;
        let axis = |dim: usize| (names[dim].as_str(), x_ty.shape[dim]);
        (0..x_ty.shape.len()).filter(kept).map(axis).collect::<Vec<Axis>>()
    };
    let (kept, summed) = (axes(false), axes(true));
    let y_shape: Vec<usize> = kept.iter().map(|axis| axis.1).collect();

    let mut b = site.builder();
    let ([x], y) = site.buffers(&mut b, [("x", &x_ty.shape)], ("y", &y_shape));
    b.each_of(&kept, |b, to| {
        let from = |taps: &[Ix]| {
            let (mut to, mut taps) = (to.iter(), taps.iter());
            let index = |dim| if is_summed(dim) { taps.next() } else { to.next() };
            (0..x_ty.shape.len()).filter_map(index).copied().collect::<Vec<Ix>>()
        };
        let sum = |a: Loc, taps: &[Ix]| a + x.at(from(taps));
        if summed.is_empty() {
            return b.store(y, to, result(&params, x.at(from(&[]))));
        }
        b.reduce_of("a", 0, &summed, sum, |b, a| b.store(y, to, result(&params, a)));
    });
    Ok(b.finish())
}

/// The element for a sum.
fn result(params: &MeanParams, sum: impl Into<Ex>) -> Ex {
    let Multiplier { value, shift } = params.multiplier;
    let sum = if params.offset == 0 { sum.into() } else { sum.into() + params.offset };
    requantize(sum, value, shift, params.zero_out, [-128, 127])
}
