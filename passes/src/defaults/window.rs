//! Sums in which channels do not mix: depthwise convolutions. One channel after the other, its weights in registers.

use ir::loops::Nest;

use super::Traits;
use super::draft::{Draft, Stuck};
use super::shape::{Axis, SumOfProducts};

/// Outputs in a row that share what they read.
const OUTPUTS: &[u32] = &[4, 3, 2, 1];

/// The drafts for a window that moves over each channel.
pub fn drafts(nest: &Nest, _: &Traits) -> Vec<Draft> {
    let Some(sum) = SumOfProducts::of(nest) else { return Vec::new() };
    let is_window = !sum.shared.is_empty() && sum.weights.is_empty() && !sum.data.is_empty();
    if !is_window {
        return Vec::new();
    }
    OUTPUTS.iter().filter_map(|outputs| by_channel(nest, &sum, *outputs).ok()).collect()
}

fn by_channel(nest: &Nest, sum: &SumOfProducts, outputs: u32) -> Result<Draft, Stuck> {
    let mut draft = Draft::new(nest);
    let _ = draft.attempt("short-requantize") || draft.attempt("short-requantize any");
    if sum.border {
        draft.step(format!("border {}", sum.x))?;
    }
    let names = |axes: &[Axis]| axes.iter().map(|axis| axis.name.as_str()).collect::<Vec<_>>().join(" ");
    draft.step(format!("reorder {} {}", names(&sum.shared), names(&sum.data)))?;
    let column = sum.data.last().ok_or(Stuck)?;
    let left = column.extent % outputs;
    if left > 0 && column.extent > outputs {
        draft.step(format!("peel {} {left}", column.name))?;
        draft.step(format!("unroll-and-jam {}.rest", column.name))?;
    }
    draft.step(format!("tile {0} {outputs}; unroll-and-jam {0}.i", column.name))?;
    for tap in &sum.summed {
        draft.step(format!("unroll {}", tap.name))?;
        draft.attempt(format!("unroll {}.rest", tap.name));
    }
    let channel = sum.shared.last().ok_or(Stuck)?;
    draft.attempt(format!("hoist {} at {}", sum.w, channel.name));
    Ok(draft)
}
