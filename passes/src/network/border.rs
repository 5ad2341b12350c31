//! `border`: puts what layers read beyond a tensor's edges around it, so that no layer makes a copy that has it.
//!
//! ```text
//! tensor t: i8[1, 25, 5, 64]
//! loops @a(…, y: i8[1, 25, 5, 64]) { … y[0, row, column, n] = … }
//! loops @b(x: i8[1, 25, 5, 64], …) { … x[0, row + ky - 1, column + kx - 1, c] else -128 … }
//! =>
//! tensor t: i8[1, 25, 5, 64] map (d0: 1, d1 + 1: 27, d2 + 1: 7, d3: 64)
//! loops @a(…, y: i8[1, 27, 7, 64]) {
//!   for … { y[0, 0, …] = -128 } …                     // The first and the last row, then the columns.
//!   … y[0, row + 1, column + 1, n] = …
//! }
//! loops @b(x: i8[1, 27, 7, 64], …) { … x[0, row + ky, column + kx, c] … }
//! ```
//!
//! The border is as wide as the widest reader needs, and written once in an inference by the layer that writes the tensor. A layer that
//! sees pixels where the tensor has rows and columns gets indices with `div` and `mod`; `tile` by the length of a row makes rows of them.
//! Legal for a tensor between layers that one layer writes, where all that read beyond its edges agree on what is there.

use std::ops::Range;

use ir::diag::Diagnostic;
use ir::loops::Program;

use super::view::{Frame, inner_frame, reframe, users};
use super::{ProgramStep, Run};
use crate::loops::edit::{Extents, visit_loads};

/// The step.
pub const STEP: ProgramStep = ProgramStep {
    name: "border",
    usage: "border",
    summary: "Put what is read beyond a tensor's edges around it",
    run: Run::Tensor(|program, tensor, args| {
        args.at_most(0)?;
        border(program, tensor)
    }),
};

/// Gives the tensor a border.
pub fn border(program: &mut Program, tensor: usize) -> Result<(), Diagnostic> {
    let old = inner_frame(program, tensor)?;
    let cannot = |reason: String| Diagnostic::new(format!("cannot give it a border: {reason}"));
    // By dimension, elements in front of the tensor, and the end of what is behind it.
    let mut before = old.before.clone();
    let mut ends = old.extents.clone();
    let mut value = None;
    for user in users(program, tensor) {
        let nest = &program.layers[user.layer].nest;
        let mut error = None;
        visit_loads(&mut nest.body.clone(), &mut Extents::new(), &mut |access, around| {
            let (true, Some(border)) = (access.buffer == user.param, access.border) else { return };
            if nest.buffers[user.param.idx()].shape != old.extents {
                let error_of = cannot(format!("`{}` reads it with another shape", nest.name));
                error = Some(
                    error_of.help(format!("let that layer copy what it reads: `border` for `{}`", nest.name)),
                );
                return;
            }
            if let Some(value) = value.filter(|value| *value != border) {
                let error_of = cannot(format!("layers disagree on its value: {value} and {border}"));
                error = Some(error_of.help("let one of them copy what it reads: `border` for its layer"));
            }
            value = Some(border);
            for (dim, index) in access.index.iter().enumerate() {
                let (low, high) = index.range(&|var| (0, i64::from(around[&var]) - 1));
                before[dim] = before[dim].max((-low).max(0) as u32);
                ends[dim] = ends[dim].max((high + 1).max(0) as u32);
            }
        });
        error.map_or(Ok(()), Err)?;
    }
    let Some(value) = value else {
        return Err(
            cannot("no layer reads beyond its edges".into()).help("legal where a load says `… else VALUE`")
        );
    };
    let extents = before.iter().zip(&ends).map(|(before, end)| before + end).collect();
    reframe(program, tensor, &Frame { before, extents, ..old }, value as i32)
}

/// Whether one of these layers reads beyond the edges of the tensor.
pub fn is_read_beyond(program: &Program, tensor: usize, layers: &Range<usize>) -> bool {
    let mut found = false;
    for user in users(program, tensor).into_iter().filter(|user| layers.contains(&user.layer)) {
        let mut body = program.layers[user.layer].nest.body.clone();
        visit_loads(&mut body, &mut Extents::new(), &mut |access, _| {
            found |= access.buffer == user.param && access.border.is_some();
        });
    }
    found
}
