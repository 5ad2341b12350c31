//! `add`: both operands in one fine scale, then their sum in that of the result.
//!
//! `y = requantize(scaled((a - zero_a) << 20) + scaled((b - zero_b) << 20))`, each rounded as the reference kernels do.

use ir::diag::Diagnostic;
use ir::fixed::Multiplier;
use ir::graph::ops::Add;
use ir::loops::{Nest, Prim};

use crate::builder::{Axis, Ex, Ix, ZERO, axis_names, binary, less, requantize};
use crate::site::Site;

/// A clamp that changes nothing.
const NO_CLAMP: [i32; 2] = [i32::MIN, i32::MAX];

pub fn add(site: &Site, op: &Add) -> Result<Nest, Diagnostic> {
    let (a_ty, b_ty, y_ty) = (site.ty(0), site.ty(1), site.out());
    let params = Add::params(a_ty, b_ty, y_ty);
    let flat = [y_ty.len()];
    let is_flat = a_ty.shape == y_ty.shape && b_ty.shape == y_ty.shape;
    let shape_of = |shape| if is_flat { &flat[..] } else { shape };
    let (a_shape, b_shape, y_shape) = (shape_of(&a_ty.shape), shape_of(&b_ty.shape), shape_of(&y_ty.shape));

    let mut b = site.builder();
    let ([x0, x1], y) = site.buffers(&mut b, [("a", a_shape), ("b", b_shape)], ("y", y_shape));
    let names = axis_names(y_shape.len());
    let axes: Vec<Axis> = names.iter().map(String::as_str).zip(y_shape.iter().copied()).collect();
    let scaled = |x: Ex, zero: i32, Multiplier { value, shift }: Multiplier| {
        let fine = binary(Prim::Shl, less(x, zero), params.left_shift as i32);
        requantize(fine, value, shift, 0, NO_CLAMP)
    };
    b.each_of(&axes, |b, at| {
        let from_a = scaled(x0.at(repeated(at, a_shape)), params.zeros[0], params.multipliers[0]);
        let from_a = b.bind("from_a", from_a);
        let from_b = scaled(x1.at(repeated(at, b_shape)), params.zeros[1], params.multipliers[1]);
        let from_b = b.bind("from_b", from_b);
        let Multiplier { value, shift } = params.out;
        b.store(y, at, requantize(from_a + from_b, value, shift, params.zero_out, op.clamp));
    });
    Ok(b.finish())
}

/// Where an operand of `shape` is read for the index `at` of the result: extents of 1 repeat.
fn repeated(at: &[Ix], shape: &[usize]) -> Vec<Ix> {
    let own = &at[at.len() - shape.len()..];
    own.iter().zip(shape).map(|(at, extent)| if *extent == 1 { ZERO } else { *at }).collect()
}
