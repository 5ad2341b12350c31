//! The default schedule: of the drafts that the rules have for each layer, the smallest of those with about the fewest
//! predicted cycles.
//!
//! Layers that are alike but for their constants are decided alone all the same: what is proven about constants differs.

use std::collections::BTreeMap;

use ir::diag::Diagnostic;
use ir::loops::{BufferId, Nest, Program};
use isel_thumb2::emit::Names;
use isel_thumb2::layer;
use passes::defaults::{Draft, Traits, drafts};
use passes::schedule::Schedule;
use rayon::prelude::*;

/// Most steps of a sum that are repeated: with eight or so products each, a kilobyte of code.
const UNROLLED_STEPS: u32 = 16;
/// Most steps of a copy that are repeated: enough to hide what its loop costs.
const UNROLLED_COPIES: u32 = 8;
/// What smaller code may cost at most.
const SLOWER_BY_PERCENT: u64 = 3;
/// What buffers are aligned to where their places are not known yet.
const ALIGN: u32 = 8;

/// The schedule for a lowered program.
pub fn schedule(program: &Program, options: layer::Options) -> Result<Schedule, Diagnostic> {
    let traits = Traits { dual_mac: true, unrolled_steps: UNROLLED_STEPS, unrolled_copies: UNROLLED_COPIES };
    let text = |layer: &ir::loops::Layer| {
        let nest = &layer.nest;
        let priced =
            drafts(nest, &traits).into_iter().filter_map(|draft| Some((price(&draft, options)?, draft)));
        let steps = best(priced.collect()).map_or(String::new(), |draft| draft.text());
        format!("layer {}:\n{steps}", nest.name)
    };
    let layers: Vec<String> = program.layers.par_iter().map(text).collect();
    Schedule::parse(&format!("schedule 1\n{}", layers.concat()))
}

/// What a draft costs.
struct Price {
    /// Predicted cycles.
    cycles: u64,
    /// Bytes of code and constants.
    flash: usize,
}

/// The smallest of the drafts that are about as fast as the fastest.
fn best(priced: Vec<(Price, Draft)>) -> Option<Draft> {
    let fastest = priced.iter().map(|(price, _)| price.cycles).min()?;
    let about = |price: &Price| price.cycles * 100 <= fastest * (100 + SLOWER_BY_PERCENT);
    let fast = priced.into_iter().filter(|(price, _)| about(price));
    fast.min_by_key(|(price, _)| (price.flash, price.cycles)).map(|(_, draft)| draft)
}

/// What a draft costs; `None` where no code can be made of it.
fn price(draft: &Draft, options: layer::Options) -> Option<Price> {
    let mut nest = draft.nest.clone();
    passes::loops::legalize(&mut nest).ok()?;
    let names = Names { symbol: nest.name.clone(), constant: &|_| String::new(), line: &|_| 0 };
    let emitted = layer::compile(&nest, &apart(&nest), &names, options).ok()?;
    let constants: usize = emitted.constants.iter().map(|buffer| nest.buffers[buffer.idx()].bytes()).sum();
    Some(Price { cycles: emitted.cycles(options.core), flash: emitted.code.bytes.len() + constants })
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
