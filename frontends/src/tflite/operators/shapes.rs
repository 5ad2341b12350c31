//! Operators that move elements or remove dimensions; which ones stands in constant operands.

use ir::diag::Diagnostic;
use ir::graph::ops::{Mean, Pad, Reshape, Transpose};
use ir::ty::Ty;

use super::operator::{INPUT, Operator, Role, Translated};

pub(super) fn mean(op: &Operator<'_>) -> Result<Translated, Diagnostic> {
    let mut axes = axes(op)?;
    axes.sort_unstable();
    let keep_dims = op.raw.table.builtin_options_as_reducer_options().is_some_and(|o| o.keep_dims());
    Ok(Translated::unary(Mean { axes, keep_dims }))
}

/// New elements are the zero point with two operands, and the third operand with three.
pub(super) fn pad(op: &Operator<'_>) -> Result<Translated, Diagnostic> {
    let fill = Role(2, "the value");
    let margins = margins(op)?;
    let output = &op.output.ty;
    let (_, zero) = op.output_quant()?;
    let value = match op.optional(fill) {
        None => i8::try_from(zero).ok(),
        Some(constant) if constant.ty.elem == Ty::I8 && constant.ty.quant == output.quant => {
            op.constant(fill)?.first().map(|byte| *byte as i8)
        }
        Some(_) => None,
    };
    let value =
        value.ok_or_else(|| Diagnostic::new("the value is not an i8 with the scale of the result"))?;
    Ok(Translated::unary(Pad { margins, value }))
}

/// The asked shape may leave one extent open; the file has the result's shape anyway.
pub(super) fn reshape(op: &Operator<'_>) -> Result<Translated, Diagnostic> {
    let extents = Role(1, "the shape");
    let shape = &op.output.ty.shape;
    let from_options = op.raw.table.builtin_options_as_reshape_options().and_then(|o| o.new_shape());
    let asked: Option<Vec<i64>> = match op.optional(extents) {
        Some(_) => Some(op.integers(extents)?),
        None => from_options.map(|extents| extents.iter().map(i64::from).collect()),
    };
    if let Some(asked) = asked {
        let agrees = |(&asked, &extent): (&i64, &usize)| asked == -1 || usize::try_from(asked) == Ok(extent);
        if asked.len() != shape.len() || !asked.iter().zip(shape).all(agrees) {
            return Err(Diagnostic::new(format!(
                "the result has shape {shape:?}, but the model asks for {asked:?}"
            )));
        }
    }
    Ok(Translated::unary(Reshape { shape: shape.clone() }))
}

pub(super) fn transpose(op: &Operator<'_>) -> Result<Translated, Diagnostic> {
    Ok(Translated::unary(Transpose { perm: axes(op)? }))
}

/// Dimensions of the input from numbers that may count from the end; each at most once.
fn axes(op: &Operator<'_>) -> Result<Vec<usize>, Diagnostic> {
    let rank = op.input(INPUT).ty.shape.len();
    let numbers = op.integers(Role(1, "the list of axes"))?;
    let mut axes = Vec::new();
    for &number in &numbers {
        let axis = if number < 0 { number.checked_add(rank as i64) } else { Some(number) };
        match axis.and_then(|axis| usize::try_from(axis).ok()) {
            Some(axis) if axis < rank && !axes.contains(&axis) => axes.push(axis),
            Some(axis) if axis < rank => {
                return Err(Diagnostic::new(format!("axis {number} of {numbers:?} is named twice")));
            }
            _ => {
                return Err(Diagnostic::new(format!(
                    "axis {number} is none of the input's {rank} dimensions"
                )));
            }
        }
    }
    Ok(axes)
}

/// Elements before and after each dimension.
fn margins(op: &Operator<'_>) -> Result<Vec<[usize; 2]>, Diagnostic> {
    let (role, rank) = (Role(1, "the list of margins"), op.input(INPUT).ty.shape.len());
    let shape = &op.input(role).ty.shape;
    if *shape != [rank, 2] {
        return Err(Diagnostic::new(format!(
            "the list of margins has shape {shape:?}, expected [{rank}, 2]"
        )));
    }
    let margin = |pair: &[i64; 2]| match pair.map(usize::try_from) {
        [Ok(before), Ok(after)] => Ok([before, after]),
        _ => Err(Diagnostic::new(format!("margins are {pair:?}, expected numbers from 0"))),
    };
    op.integers(role)?.as_chunks().0.iter().map(margin).collect()
}
