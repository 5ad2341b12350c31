//! Operators that move elements and compute nothing: `pad`, `transpose`, `reshape` where it cannot be an alias, copies.

use ir::diag::Diagnostic;
use ir::graph::ops::{Pad, Transpose};
use ir::graph::{Def, Graph, Value};
use ir::loops::Nest;

use crate::builder::{Axis, Buf, Builder, Ix, axis_names};
use crate::site::Site;
use crate::slots::Slots;

/// The margins are filled, the inside is copied: no test of bounds, and no element is written twice.
pub fn pad(site: &Site, op: &Pad) -> Result<Nest, Diagnostic> {
    let (x_ty, y_ty) = (site.ty(0), site.out());
    let mut b = site.builder();
    let ([x], y) = site.buffers(&mut b, [("x", &x_ty.shape)], ("y", &y_ty.shape));
    let padding = Padding { x, y, op, inside: &x_ty.shape, whole: &y_ty.shape };
    padding.dimension(&mut b, Vec::new(), Vec::new());
    Ok(b.finish())
}

/// `y[i, j] = x[j, i]`, for any order of the dimensions.
pub fn transpose(site: &Site, op: &Transpose) -> Result<Nest, Diagnostic> {
    let (x_ty, y_ty) = (site.ty(0), site.out());
    let mut b = site.builder();
    let ([x], y) = site.buffers(&mut b, [("x", &x_ty.shape)], ("y", &y_ty.shape));
    let names = axis_names(y_ty.shape.len());
    let axes: Vec<Axis> = names.iter().map(String::as_str).zip(y_ty.shape.iter().copied()).collect();
    b.each_of(&axes, |b, to| {
        let mut from = to.to_vec();
        op.perm.iter().zip(to).for_each(|(dim, at)| from[*dim] = *at);
        b.store(y, to, x.at(from));
    });
    Ok(b.finish())
}

/// A copy: the result has to lie elsewhere than the operand.
pub fn reshape(site: &Site) -> Result<Nest, Diagnostic> {
    let len = site.out().len();
    let mut b = site.builder();
    let ([x], y) = site.buffers(&mut b, [("x", &[len])], ("y", &[len]));
    copy(&mut b, x, y, len);
    Ok(b.finish())
}

/// A nest that copies `value` to the tensor `slot`, with its arguments.
pub fn copy_of(graph: &Graph, slots: &Slots, name: String, value: Value, slot: usize) -> (Nest, Vec<usize>) {
    let ty = &graph.values[value.idx()].ty;
    let mut b = Builder::new(name);
    let root = slots.root(value);
    let (x, y, args) = match &graph.values[root.idx()].def {
        Def::Const(data) => {
            let y = b.param("y", ty.elem, &[ty.len()]);
            (b.data("x", ty.elem, &[ty.len()], data.clone()), y, vec![slot])
        }
        Def::Input(_) | Def::Op(_) => {
            let x = b.param("x", ty.elem, &[ty.len()]);
            (x, b.param("y", ty.elem, &[ty.len()]), vec![slots.slot(value), slot])
        }
    };
    copy(&mut b, x, y, ty.len());
    (b.finish(), args)
}

fn copy(b: &mut Builder, x: Buf, y: Buf, len: usize) {
    b.each([("i", len)], |b, [i]| b.store(y, [i], x.at([i])));
}

/// A `pad` that is being written.
struct Padding<'a> {
    x: Buf,
    y: Buf,
    op: &'a Pad,
    inside: &'a [usize],
    whole: &'a [usize],
}

impl Padding<'_> {
    /// Writes all dimensions from `to.len()` on; `to` and `from` are the indices along those before.
    fn dimension(&self, b: &mut Builder, to: Vec<Ix>, from: Vec<Ix>) {
        let dim = to.len();
        let Some(&[before, after]) = self.op.margins.get(dim) else {
            return b.store(self.y, to, self.x.at(from));
        };
        let extent = self.inside[dim];
        self.fill(b, &to, (0, before));
        b.each_of(&[(&format!("i{dim}"), extent)], |b, at| {
            self.dimension(b, with(&to, at[0] + before), with(&from, at[0]));
        });
        self.fill(b, &to, (before + extent, after));
    }

    /// Fills `n` indices of the next dimension, from `first` on, and all of the dimensions behind it.
    fn fill(&self, b: &mut Builder, to: &[Ix], (first, n): (usize, usize)) {
        if n == 0 {
            return;
        }
        let rest = &self.whole[to.len() + 1..];
        let names: Vec<String> = (0..=rest.len()).map(|dim| format!("m{}", to.len() + dim)).collect();
        let extents = std::iter::once(n).chain(rest.iter().copied());
        let axes: Vec<Axis> = names.iter().map(String::as_str).zip(extents).collect();
        b.each_of(&axes, |b, at| {
            let margin = [&[at[0] + first], &at[1..]].concat();
            b.store(self.y, [to, &margin].concat(), i32::from(self.op.value));
        });
    }
}

fn with(indices: &[Ix], index: Ix) -> Vec<Ix> {
    [indices, &[index]].concat()
}
