//! `quantize` between integers, and `relu`: an element at a time, `y = requantize(x - zero_x)`.

use ir::diag::Diagnostic;
use ir::fixed::Multiplier;
use ir::graph::ops::{Quantize, Relu};
use ir::loops::Nest;
use ir::ty::Ty;

use crate::builder::{ZERO, less};
use crate::site::Site;

pub fn quantize(site: &Site) -> Result<Nest, Diagnostic> {
    if site.ty(0).elem == Ty::F32 {
        return Err(site.refuse("takes floats, which are only supported as inputs of the model"));
    }
    Ok(rescale(site, Quantize::requant(site.ty(0), site.out()), [-128, 127]))
}

pub fn relu(site: &Site, op: &Relu) -> Result<Nest, Diagnostic> {
    Ok(rescale(site, op.requant(site.ty(0), site.out()), op.clamp))
}

fn rescale(site: &Site, multiplier: Multiplier, clamp: [i32; 2]) -> Nest {
    let len = site.out().len();
    let mut b = site.builder();
    let ([x], y) = site.buffers(&mut b, [("x", &[len])], ("y", &[len]));
    let requant = site.requant(&mut b, &[multiplier], clamp);
    b.each([("i", len)], |b, [i]| {
        b.store(y, [i], requant.apply(less(x.at([i]), site.zero(0)), ZERO));
    });
    b.finish()
}
