//! The default schedule: of the drafts that the rules have for each layer, the smallest of those with about the fewest
//! predicted cycles.
//!
//! Layers that are alike but for their constants are decided alone all the same: what is proven about constants differs.

use std::collections::BTreeMap;

use ir::diag::Diagnostic;
use ir::loops::{BufferId, Nest, Program};
use isel_thumb2::emit::Names;
use isel_thumb2::isa::Extension;
use isel_thumb2::{layer, program};
use passes::defaults::{Draft, Traits, drafts};
use passes::schedule::Schedule;
use rayon::prelude::*;

/// Most steps of a sum that are repeated: with eight or so products each, a kilobyte of code.
const UNROLLED_STEPS: u32 = 16;
/// Most steps that blocks of channels are repeated for: two kilobytes or so.
const UNROLLED_BLOCKS: u32 = 64;
/// Most steps of a copy that are repeated: enough to hide what its loop costs.
const UNROLLED_COPIES: u32 = 8;
/// Bytes that a layer takes beside its code and constants, at most: its call, and gaps before what is aligned.
const GLUE_BYTES: usize = 32;
/// What smaller code may cost at most.
const SLOWER_BY_PERCENT: u64 = 3;
/// What buffers are aligned to where their places are not known yet.
const ALIGN: u32 = 8;

/// The schedule for a lowered program, whose layers take at most `flash` bytes if that can be.
pub fn schedule(
    program: &Program,
    options: layer::Options,
    flash: Option<usize>,
) -> Result<Schedule, Diagnostic> {
    let traits = Traits {
        dual_mac: options.core.has(Extension::Dsp),
        unrolled_steps: UNROLLED_STEPS,
        unrolled_blocks: UNROLLED_BLOCKS,
        unrolled_copies: UNROLLED_COPIES,
    };
    let priced = |layer: &ir::loops::Layer| -> Vec<(Price, Draft)> {
        let drafts = drafts(&layer.nest, &traits).into_iter();
        drafts.filter_map(|draft| Some((price(&draft, options)?, draft))).collect()
    };
    let drafts: Vec<Vec<(Price, Draft)>> = program.layers.par_iter().map(priced).collect();
    let prices: Vec<Vec<Price>> =
        drafts.iter().map(|drafts| drafts.iter().map(|(price, _)| *price).collect()).collect();
    let chosen = choose(&prices, flash);
    let mut text = String::from("schedule 1\n");
    for (number, layer) in program.layers.iter().enumerate() {
        let steps = chosen[number].map_or(String::new(), |chosen| drafts[number][chosen].1.text());
        text.push_str(&format!("layer {}:\n{steps}", layer.nest.name));
    }
    Schedule::parse(&text)
}

/// A draft for each layer that has any: about the fastest, then smaller ones until all fit.
///
/// Each time the draft that costs the fewest cycles for each byte that it saves takes the place of its layer's.
fn choose(layers: &[Vec<Price>], flash: Option<usize>) -> Vec<Option<usize>> {
    let mut chosen: Vec<Option<usize>> = layers.iter().map(|prices| best(prices)).collect();
    let Some(budget) = flash else { return chosen };
    loop {
        let price = |(layer, chosen): (usize, &Option<usize>)| chosen.map(|chosen| layers[layer][chosen]);
        let now: Vec<Option<Price>> = chosen.iter().enumerate().map(price).collect();
        if now.iter().flatten().map(|price| price.flash).sum::<usize>() <= budget {
            return chosen;
        }
        let smaller = now.iter().enumerate().filter_map(|(layer, now)| Some((layer, (*now)?)));
        let smaller = smaller.flat_map(|(layer, now)| {
            let saving = layers[layer].iter().enumerate().filter(move |(_, price)| price.flash < now.flash);
            saving.map(move |(draft, price)| (price.cycles_for_each_byte(&now), layer, draft))
        });
        match smaller.min_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((_, layer, draft)) => chosen[layer] = Some(draft),
            None => return chosen,
        }
    }
}

/// The smallest of the drafts that are about as fast as the fastest.
fn best(prices: &[Price]) -> Option<usize> {
    let fastest = prices.iter().map(|price| price.cycles).min()?;
    let about = |price: &Price| price.cycles * 100 <= fastest * (100 + SLOWER_BY_PERCENT);
    let fast = prices.iter().enumerate().filter(|(_, price)| about(price));
    fast.min_by_key(|(_, price)| (price.flash, price.cycles)).map(|(draft, _)| draft)
}

/// What a draft costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Price {
    /// Predicted cycles.
    cycles: u64,
    /// Bytes of code and constants.
    flash: usize,
}

impl Price {
    /// What is paid for each byte that this draft saves against a larger one.
    fn cycles_for_each_byte(&self, larger: &Price) -> f64 {
        (self.cycles as f64 - larger.cycles as f64) / (larger.flash - self.flash) as f64
    }
}

/// What a draft costs; `None` where no code can be made of it.
fn price(draft: &Draft, options: layer::Options) -> Option<Price> {
    let mut nest = draft.nest.clone();
    passes::loops::legalize(&mut nest).ok()?;
    let names = Names { symbol: nest.name.clone(), constant: &|_| String::new(), line: &|_| 0 };
    let emitted = layer::compile(&nest, &apart(&nest), &names, options).ok()?;
    let constants = program::constants(&nest, &emitted, &|_| String::new()).ok()?;
    Some(Price {
        cycles: emitted.cycles(options.core),
        flash: emitted.code.bytes.len() + program::bytes_once(&constants) + GLUE_BYTES,
    })
}

/// Parameters and scratch one after the other.
fn apart(nest: &Nest) -> BTreeMap<BufferId, u32> {
    let mut end = 0;
    let mut offset = |buffer: BufferId| {
        let at = end;
        end += (nest.buffers[buffer.idx()].bytes() as u32).next_multiple_of(ALIGN);
        (buffer, at)
    };
    nest.buffers_where(|buffer| !buffer.is_const()).map(&mut offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn price(cycles: u64, flash: usize) -> Price {
        Price { cycles, flash }
    }

    /// Two layers: the first has a small draft that is much slower, the second one that is a little slower.
    const LAYERS: [&[Price]; 2] =
        [&[price(100, 90), price(300, 30)], &[price(200, 80), price(240, 40), price(203, 79)]];

    fn chosen(flash: Option<usize>) -> Vec<Option<usize>> {
        choose(&LAYERS.map(<[Price]>::to_vec), flash)
    }

    #[test]
    fn about_the_fastest_is_chosen_where_everything_fits() {
        assert_eq!(chosen(None), [Some(0), Some(2)]);
        assert_eq!(chosen(Some(169)), [Some(0), Some(2)]);
    }

    #[test]
    fn a_budget_takes_the_cheapest_cycles_first() {
        assert_eq!(chosen(Some(168)), [Some(0), Some(1)]);
        assert_eq!(chosen(Some(129)), [Some(1), Some(1)]);
    }

    #[test]
    fn a_budget_that_cannot_be_met_gives_the_smallest() {
        assert_eq!(chosen(Some(1)), [Some(1), Some(1)]);
        assert_eq!(choose(&[Vec::new()], Some(1)), [None]);
    }
}
