//! Everything that is no product: rescaling, averages and additions in few operations, functions of a byte as tables, and
//! four bytes at a time.

use super::Traits;
use super::draft::Draft;
use super::shape::SumOfProducts;

/// Bytes of a word.
const BYTES: u32 = 4;

/// The drafts for a nest of any kind.
pub fn drafts(begin: &Draft, traits: &Traits) -> Vec<Draft> {
    let short = ["short-add", "table", "short-divide", "short-requantize", "short-requantize any"];
    let mut single = begin.clone();
    let is_short = single.first_of(&short);
    let mut drafts: Vec<Draft> = is_short.then_some(single).into_iter().collect();
    if traits.dual_mac && SumOfProducts::of(&begin.nest).is_none() {
        drafts.extend(words(begin, traits));
    }
    drafts
}

/// Four bytes at a time, along the innermost loop where that is legal.
fn words(begin: &Draft, traits: &Traits) -> Option<Draft> {
    let mut draft = begin.clone();
    draft.first_of(&["short-add upper", "short-add", "short-divide"]);
    let axes = draft.loop_names();
    let axis = axes.iter().rev().find(|axis| {
        let left = draft.extent(axis) % BYTES;
        let peeled = if left > 0 { format!("peel {axis} {left}; ") } else { String::new() };
        draft.attempt(format!("{peeled}tile {axis} {BYTES}; vectorize {axis}.i bytes4"))
    })?;
    draft.repeat(&format!("{axis}.o"), traits.unrolled_copies / 2);
    let inner = draft.loop_names();
    inner.iter().rev().take(1).for_each(|sum| draft.repeat(sum, traits.unrolled_copies));
    Some(draft)
}
