//! Everything that is no product: rescaling, averages and additions in few operations, functions of a byte as tables, and
//! four bytes at a time, in sums too.

use super::Traits;
use super::draft::{Draft, Stuck};
use super::shape::{SumOfElements, SumOfProducts, product};

/// Bytes of a word.
const BYTES: u32 = 4;
/// Most bytes whose sum surely fits in a halfword.
const TERMS_OF_HALFWORD: u32 = 255;

/// The drafts for a nest of any kind.
pub fn drafts(begin: &Draft, traits: &Traits) -> Vec<Draft> {
    let short = ["short-add", "table", "short-divide", "short-requantize", "short-requantize any"];
    let is_product = SumOfProducts::of(&begin.nest).is_some();
    let mut drafts = Vec::new();
    let mut single = begin.clone();
    // Sums are no smaller in code that is to be small: nothing is repeated.
    if !(is_product && traits.overlapping) && single.first_of(&short) {
        drafts.push(single);
    }
    if traits.dual_mac && !is_product {
        drafts.extend(words(begin, traits));
        drafts.extend(SumOfElements::of(&begin.nest).and_then(|sum| sums(begin, &sum, traits).ok()));
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
    draft.repeat_short(&format!("{axis}.o"), traits.unrolled_copies / 2);
    let inner = draft.loop_names();
    inner.iter().rev().take(1).for_each(|sum| draft.repeat(sum, traits.unrolled_copies));
    Some(draft)
}

/// Four sums at a time. Where words do not divide a row, they divide several together, each of which is summed by itself first; long sums
/// are several short ones.
fn sums(begin: &Draft, sum: &SumOfElements, traits: &Traits) -> Result<Draft, Stuck> {
    let mut draft = begin.clone();
    draft.attempt("short-divide");
    let names: Vec<&str> = sum.summed.iter().map(|axis| axis.name.as_str()).collect();
    let channel = sum.around.last().ok_or(Stuck)?;
    let (mut terms, mut axis) = (names.join("_"), channel.name.clone());
    if names.len() > 1 {
        draft.step(format!("collapse {}", names.join(" ")))?;
    }
    let parts = (1..=BYTES).find(|parts| (parts * channel.extent).is_multiple_of(BYTES)).unwrap_or(BYTES);
    if parts > 1 {
        draft.step(format!("partial-sums {terms} {parts} at {axis}; collapse {terms}.i {axis}.i"))?;
        draft.repeat(&format!("{terms}.part"), traits.unrolled_copies);
        draft.repeat(&format!("{terms}.rest"), traits.unrolled_copies);
        (terms, axis) = (format!("{terms}.o"), format!("{terms}.i_{axis}.i"));
    }
    let pieces = (product(&sum.summed) / parts).div_ceil(TERMS_OF_HALFWORD);
    let mut pieces_of_sum = vec![terms.clone()];
    if pieces > 1 {
        draft.step(format!("split-reduction {terms} {pieces}"))?;
        pieces_of_sum = (0..pieces).map(|piece| format!("{terms}.{piece}")).collect();
    }
    draft.step(format!("tile {axis} {BYTES}; vectorize {axis}.i bytes4"))?;
    for piece in &pieces_of_sum {
        draft.repeat_short(piece, traits.unrolled_copies);
    }
    Ok(draft)
}
