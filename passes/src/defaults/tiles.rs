//! Convolutions with a window of 3 by 3: tiles of outputs by Winograd's algorithm, whose matrix products are blocked like any other.

use super::Traits;
use super::draft::{Draft, Stuck};
use super::shape::SumOfProducts;

/// Outputs of a tile along each side.
const SIDES: &[u32] = &[4, 2];
/// Tiles and channels of a block: as many sums as registers hold beside their operands.
const BLOCK: (u32, u32) = (2, 4);
/// The window.
const TAPS: u32 = 3;

/// The drafts for a convolution.
pub fn drafts(begin: &Draft, traits: &Traits) -> Vec<Draft> {
    let Some(sum) = SumOfProducts::of(&begin.nest) else { return Vec::new() };
    let [ky, kx, _] = &sum.summed[..] else { return Vec::new() };
    if !traits.dual_mac || !sum.shared.is_empty() || ky.extent != TAPS || kx.extent != TAPS {
        return Vec::new();
    }
    SIDES.iter().filter_map(|side| tiled(begin, &sum, *side, traits).ok()).collect()
}

fn tiled(begin: &Draft, sum: &SumOfProducts, side: u32, traits: &Traits) -> Result<Draft, Stuck> {
    let mut draft = begin.clone();
    let (tiles, channels) = BLOCK;
    let k = &sum.summed[2].name;
    let n = sum.weights.last().ok_or(Stuck)?;
    if sum.border {
        draft.fill(format!("border {}", sum.x), traits.unrolled_copies)?;
    }
    let in_blocks = n.extent > channels && n.extent.is_multiple_of(channels);
    if in_blocks {
        draft.step(format!("winograd {side} at {tiles} by {channels}"))?;
        draft.step(format!("unroll-and-jam tile {}.i", n.name))?;
    } else {
        draft.step(format!("winograd {side} at {tiles}"))?;
        draft.step("unroll-and-jam tile")?;
    }
    draft.step(format!("tile {k} 2; pack {}_winograd; vectorize {k}.i dual16", sum.w))?;
    draft.repeat(&format!("{k}.o"), 2 * traits.unrolled_steps);
    let _ = draft.attempt("short-requantize") || draft.attempt("short-requantize any");
    Ok(draft)
}
