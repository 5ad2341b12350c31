//! Matrix products: every pixel meets every output channel. Blocks of both in registers, data widened once, two products at a time.

use ir::loops::Nest;

use super::Traits;
use super::draft::{Draft, Stuck};
use super::shape::{SumOfProducts, product};

/// Pixels and channels of a block, as far as registers reach: two operands and a pointer stay beside the sums.
const BLOCKS: &[(u32, u32)] = &[(2, 4), (4, 2), (3, 3), (5, 2), (1, 8), (2, 2), (1, 4)];
/// The sums that a step of the block reads pairs for: data in bytes widens to these.
const PAIR: u32 = 2;
/// Bytes that a word of data widens at once; the two pairs that come out hold elements 0, 2 and 1, 3.
const WIDENED: u32 = 4;

/// The drafts for a matrix product.
pub fn drafts(nest: &Nest, traits: &Traits) -> Vec<Draft> {
    let Some(sum) = SumOfProducts::of(nest) else { return Vec::new() };
    if !sum.shared.is_empty() || sum.summed.len() != 1 || sum.data.len() > 1 || sum.weights.len() != 1 {
        return Vec::new();
    }
    let (pixels, channels) = (product(&sum.data), product(&sum.weights));
    let suits = |(p, n): &&(u32, u32)| *p <= pixels && *n <= channels && (*p > 1 || pixels == 1);
    let block = |block: &(u32, u32)| blocked(nest, &sum, *block, traits).ok();
    BLOCKS.iter().filter(suits).filter_map(block).collect()
}

/// A block of pixels and channels, with what is left of both in blocks of its own.
fn blocked(nest: &Nest, sum: &SumOfProducts, (p, n): (u32, u32), traits: &Traits) -> Result<Draft, Stuck> {
    let mut draft = Draft::new(nest);
    let k = sum.summed[0].name.as_str();
    let mut sums = vec![k.to_string()];
    if !(draft.attempt("short-requantize") || draft.attempt("short-requantize any")) {
        // The literal sequence is exact as well.
    }
    let weights = &sum.weights[0];
    let channels_left = weights.extent % n;
    if channels_left > 0 {
        draft.step(format!("peel {} {channels_left}", weights.name))?;
        sums.push(format!("{k}.rest"));
    }
    let mut stages = Vec::new();
    match sum.data.first() {
        Some(data) => {
            let pixels_left = data.extent % p;
            if pixels_left > 0 {
                draft.step(format!("peel {} {pixels_left}", data.name))?;
                let ending = if channels_left > 0 { ".rest2" } else { ".rest" };
                let copies: Vec<String> = sums.iter().map(|sum| format!("{sum}{ending}")).collect();
                stages.push(jam(
                    &mut draft,
                    &format!("{}{ending}", data.name),
                    &weights.name,
                    ending,
                    (pixels_left, n),
                )?);
                sums.extend(copies);
            }
            stages.push(jam(&mut draft, &data.name, &weights.name, "", (p, n))?);
        }
        None => {
            draft.step(format!("tile {0} {n}; unroll-and-jam {0}.i", weights.name))?;
            if channels_left > 0 {
                draft.step(format!("unroll-and-jam {}.rest", weights.name))?;
            }
        }
    }
    let depth = sum.summed[0].extent;
    if traits.dual_mac && depth >= PAIR {
        paired(&mut draft, sum, &sums, &stages, traits)?;
    }
    for sum in &sums {
        repeat(&mut draft, sum, traits)?;
    }
    Ok(draft)
}

/// Makes blocks of one loop over pixels; gives the loop over blocks.
fn jam(
    draft: &mut Draft,
    pixels: &str,
    channels: &str,
    ending: &str,
    (p, n): (u32, u32),
) -> Result<String, Stuck> {
    let (outer, mut inner) = (format!("{pixels}.o"), format!("{pixels}.i"));
    draft.step(format!("tile {pixels} {p}"))?;
    let rest = format!("{channels}.rest{ending}");
    let is_peeled = draft.extent(&rest) > 0;
    if is_peeled {
        draft.step(format!("distribute {inner}"))?;
        draft.step(format!("unroll-and-jam {inner}.1 {rest}"))?;
        inner = format!("{inner}.0");
    }
    let channels = format!("{channels}{ending}");
    draft.step(format!("tile {channels} {n}; reorder {channels}.o {inner} {channels}.i"))?;
    draft.step(format!("unroll-and-jam {inner} {channels}.i"))?;
    Ok(outer)
}

/// Widens data once for each block of pixels, and makes one operation of two products.
fn paired(
    draft: &mut Draft,
    sum: &SumOfProducts,
    sums: &[String],
    stages: &[String],
    traits: &Traits,
) -> Result<(), Stuck> {
    let depth = sum.summed[0].extent;
    if depth.is_multiple_of(WIDENED) {
        for k in sums {
            draft.step(format!("permute {k} (0 2 1 3)"))?;
        }
    }
    let mut weights = vec![sum.w.clone()];
    if !depth.is_multiple_of(PAIR) {
        weights.clear();
        for (at, k) in sums.iter().enumerate() {
            draft.step(format!("pad {k} {PAIR}"))?;
            weights.push(format!(
                "{}_padded{}",
                sum.w,
                if at > 0 { format!("_{at}") } else { String::new() }
            ));
        }
    }
    let at = |stage: &String| format!(" at {stage}");
    let places: Vec<String> =
        if stages.is_empty() { vec![String::new()] } else { stages.iter().map(at).collect() };
    let mut x = sum.x.clone();
    if !draft.clone().attempt(format!("stage {x} i16{}", places[0])) {
        draft.step(format!("border {x}"))?;
        x.push_str("_border");
    }
    for at in places {
        draft.fill(format!("stage {x} i16{at}"), traits.unrolled_copies)?;
    }
    for w in weights {
        draft.step(format!("pack {w} i16"))?;
    }
    for k in sums {
        draft.step(format!("tile {k} 2; vectorize {k}.i dual16"))?;
    }
    Ok(())
}

/// Repeats the steps of a sum in the code, as many as the core's budget allows.
fn repeat(draft: &mut Draft, sum: &str, traits: &Traits) -> Result<(), Stuck> {
    let outer = format!("{sum}.o");
    let steps = if draft.extent(&outer) > 0 { outer } else { sum.to_string() };
    let extent = draft.extent(&steps);
    let most = traits.unrolled_steps;
    if extent <= most {
        return draft.step(format!("unroll {steps}"));
    }
    let divides = |count: &u32| extent.is_multiple_of(*count);
    let count = (most / 2 + 1..=most).rev().find(divides);
    match count {
        Some(count) => draft.step(format!("unroll {steps} {count}")),
        None => {
            let left = extent % most;
            draft.attempt(format!("peel {steps} {left}; unroll {steps} {most}; unroll {steps}.rest"));
            Ok(())
        }
    }
}
