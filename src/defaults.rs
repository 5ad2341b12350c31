//! The default schedule: of the drafts that the rules have for each layer, the smallest of those with about the fewest
//! predicted cycles.
//!
//! Layers that are alike but for their constants are decided alone all the same: what is proven about constants differs. Code of
//! nests that are alike has one price. All drafts are estimated, and those that could be the fastest are priced.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use ir::diag::Diagnostic;
use ir::loops::{BufferId, Init, Nest, Program, Role};
use isel_thumb2::emit::{Emitted, Names};
use isel_thumb2::isa::Extension;
use isel_thumb2::{layer, program};
use passes::defaults::{Draft, Traits, drafts};
use passes::schedule::Schedule;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// Most steps of a sum that are repeated: with eight or so products each, a kilobyte of code.
const UNROLLED_STEPS: u32 = 16;
/// Most steps that blocks of channels are repeated for: two kilobytes or so.
const UNROLLED_BLOCKS: u32 = 64;
/// Most steps of a copy that are repeated: enough to hide what its loop costs.
const UNROLLED_COPIES: u32 = 8;
/// Bytes that a layer takes beside its code and constants, at most: its call, and gaps before what is aligned.
const GLUE_BYTES: usize = 32;
/// How much slower than the fastest a draft that is may be estimated, at most.
const ESTIMATE_IS_OFF_BY_PERCENT: u64 = 15;
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
    let drafts: Vec<Vec<Draft>> =
        program.layers.par_iter().map(|layer| drafts(&layer.nest, &traits)).collect();
    let (drafts, prices) = priced(drafts, options);
    let chosen = choose(&prices, flash);
    let mut text = String::from("schedule 1\n");
    for (number, layer) in program.layers.iter().enumerate() {
        let steps = chosen[number].map_or(String::new(), |chosen| drafts[number][chosen].text());
        text.push_str(&format!("layer {}:\n{steps}", layer.nest.name));
    }
    Schedule::parse(&text)
}

/// The drafts of each layer that code can be made of, with the price of each; of those that are clearly slower an estimate.
fn priced(drafts: Vec<Vec<Draft>>, options: layer::Options) -> (Vec<Vec<Draft>>, Vec<Vec<Price>>) {
    let (estimates, prices) = (Codes::new(options.for_estimate()), Codes::new(options.for_price()));
    let estimated = |draft: Draft| Some((price(&draft, &estimates)?, draft));
    let estimated = |drafts: Vec<Draft>| drafts.into_par_iter().filter_map(estimated).collect();
    let drafts: Vec<Vec<(Price, Draft)>> = drafts.into_par_iter().map(estimated).collect();
    let priced = |drafts: Vec<(Price, Draft)>| -> (Vec<Draft>, Vec<Price>) {
        let fastest = drafts.iter().map(|(estimate, _)| estimate.cycles).min().unwrap_or(0);
        let limit = fastest * (100 + ESTIMATE_IS_OFF_BY_PERCENT) / 100;
        let exact = |(estimate, draft): (Price, Draft)| {
            let exact = if estimate.cycles <= limit { price(&draft, &prices) } else { None };
            (draft, exact.unwrap_or(estimate))
        };
        drafts.into_par_iter().map(exact).unzip()
    };
    drafts.into_par_iter().map(priced).unzip()
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
fn price(draft: &Draft, codes: &Codes) -> Option<Price> {
    let mut nest = draft.nest.clone();
    passes::loops::legalize(&mut nest).ok()?;
    let emitted = codes.of(&nest)?;
    let constants = program::constants(&nest, &emitted, &|_| String::new()).ok()?;
    Some(Price {
        cycles: emitted.cycles(codes.options.core),
        flash: emitted.code.bytes.len() + program::bytes_once(&constants) + GLUE_BYTES,
    })
}

/// The code of nests: those that differ in their constants only have the same.
struct Codes {
    options: layer::Options,
    /// By what decides the code.
    known: Mutex<BTreeMap<[u8; 32], Code>>,
}

/// Code that is there once someone has made it.
type Code = Arc<OnceLock<Option<Emitted>>>;

impl Codes {
    fn new(options: layer::Options) -> Self {
        Self { options, known: Mutex::default() }
    }

    /// The code of a nest, without names; `None` where none can be made.
    fn of(&self, nest: &Nest) -> Option<Emitted> {
        let code = self.known.lock().expect("nobody panics here").entry(shape(nest)).or_default().clone();
        let names = Names { symbol: String::new(), constant: &|_| String::new(), line: &|_| 0 };
        let compiled = || layer::compile(nest, &apart(nest), &names, self.options).ok();
        code.get_or_init(compiled).clone()
    }
}

/// What decides the code of a nest: all but its name and what its constants hold.
fn shape(nest: &Nest) -> [u8; 32] {
    let mut shape = Nest { name: String::new(), ..nest.clone() };
    for buffer in shape.buffers.iter_mut().filter(|buffer| buffer.is_const()) {
        buffer.role = Role::Const(Init::Data(Arc::new([])));
    }
    Sha256::digest(format!("{shape:?}")).into()
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
