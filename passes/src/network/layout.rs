//! `layout ORDER [multiple N]`: puts the dimensions of a tensor into another order in memory.
//!
//! ```text
//! tensor t: i8[1, 25, 5, 64]                              // Pixel by pixel.
//! loops @a(…, y: i8[125, 64]) { … y[p, n] = … }
//! => layout planes
//! tensor t: i8[1, 25, 5, 64] map (d0: 1, d3: 64, d1: 25, d2: 5)
//! loops @a(…, y: i8[1, 25, 5, 64] map (d0: 1, d3: 64, d1: 25, d2: 5)) { … y[0, p div 5, p mod 5, n] = … }
//! ```
//!
//! The order is `hwc`, as tensors come; `planes`, the last dimension in front of all but the first: one channel after the other; or the
//! dimensions themselves, outermost first, as in `(0 3 1 2)`. With `multiple`, the innermost one is filled up to a multiple of N elements,
//! so that each row begins at the start of a word. A border stays. Indices change nowhere but where a layer sees the tensor with another
//! shape; the place of an element follows from the map.
//!
//! Legal for a tensor between layers that one layer writes, and that is read beyond its edges only within its border.

use ir::diag::Diagnostic;
use ir::loops::Program;
use ir::ty::Quant;

use super::view::{Frame, inner_frame, reframe};
use super::{ProgramStep, Run};
use crate::loops::step::{Arg, Args};

/// Rows are not filled up to a multiple of more elements than this.
const MOST_MULTIPLE: u32 = 64;

/// The step.
pub const STEP: ProgramStep = ProgramStep {
    name: "layout",
    usage: "layout hwc|planes|(ORDER) [multiple N]",
    summary: "Put the dimensions of a tensor into another order in memory",
    run: Run::Tensor(run),
};

fn run(program: &mut Program, tensor: usize, args: &Args) -> Result<(), Diagnostic> {
    let rank = program.tensors[tensor].ty.shape.len();
    let order = order(args, rank)?;
    let multiple = match args.get(1) {
        None => 1,
        Some(Arg::Word(word)) if word == "multiple" => args.int(2)?,
        Some(other) => return Err(args.misuse(format!("`{other}` there"))),
    };
    args.at_most(3)?;
    layout(program, tensor, order, multiple)
}

fn order(args: &Args, rank: usize) -> Result<Vec<usize>, Diagnostic> {
    let order: Vec<usize> = match args.get(0) {
        Some(Arg::Word(word)) if word == "hwc" => (0..rank).collect(),
        Some(Arg::Word(word)) if word == "planes" && rank >= 2 => {
            [0, rank - 1].into_iter().chain(1..rank - 1).collect()
        }
        Some(Arg::List(order)) => order.iter().map(|dim| *dim as usize).collect(),
        Some(other) => return Err(args.misuse(format!("`{other}` there"))),
        None => return Err(args.missing("an order")),
    };
    let mut once = order.clone();
    once.sort_unstable();
    if !once.into_iter().eq(0..rank) {
        let all: Vec<String> = (0..rank).map(|dim| dim.to_string()).collect();
        let message = format!("{order:?} is no order of {rank} dimensions");
        return Err(Diagnostic::new(message).help(format!("each of {} once", all.join(" "))));
    }
    Ok(order)
}

/// Lays the tensor out in this order of its dimensions, the innermost one filled up to a multiple of so many elements.
pub fn layout(
    program: &mut Program,
    tensor: usize,
    order: Vec<usize>,
    multiple: u32,
) -> Result<(), Diagnostic> {
    let old = inner_frame(program, tensor)?;
    if !(1..=MOST_MULTIPLE).contains(&multiple) {
        return Err(Diagnostic::new(format!("rows of a multiple of {multiple} elements")).help(format!(
            "legal: `multiple 1`, which leaves them as they are, to `multiple {MOST_MULTIPLE}`"
        )));
    }
    let mut extents = old.extents.clone();
    if let Some(inner) = order.last() {
        extents[*inner] = extents[*inner].next_multiple_of(multiple);
    }
    let zero = match program.tensors[tensor].ty.quant {
        Quant::PerTensor { zero, .. } => zero,
        Quant::None | Quant::PerChannel { .. } => 0,
    };
    let frame = Frame { extents, order, ..old.clone() };
    if frame == old {
        return Err(Diagnostic::new("it lies so already").help("legal: another order, or a larger multiple"));
    }
    reframe(program, tensor, &frame, zero)
}
