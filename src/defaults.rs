//! The default schedule: of the drafts that the rules have for each layer, the one with the fewest predicted cycles.
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
/// What buffers are aligned to where their places are not known yet.
const ALIGN: u32 = 8;

/// The schedule for a lowered program.
pub fn schedule(program: &Program, options: layer::Options) -> Result<Schedule, Diagnostic> {
    let traits = Traits { dual_mac: true, unrolled_steps: UNROLLED_STEPS, unrolled_copies: UNROLLED_COPIES };
    let text = |layer: &ir::loops::Layer| {
        let nest = &layer.nest;
        let priced =
            drafts(nest, &traits).into_iter().filter_map(|draft| Some((cycles(&draft, options)?, draft)));
        let best = priced.min_by_key(|(cycles, _)| *cycles);
        let steps = best.map_or(String::new(), |(_, draft)| draft.text());
        format!("layer {}:\n{steps}", nest.name)
    };
    let layers: Vec<String> = program.layers.par_iter().map(text).collect();
    Schedule::parse(&format!("schedule 1\n{}", layers.concat()))
}

/// Predicted cycles of a draft; `None` where no code can be made of it.
fn cycles(draft: &Draft, options: layer::Options) -> Option<u64> {
    let mut nest = draft.nest.clone();
    passes::loops::legalize(&mut nest).ok()?;
    let names = Names { symbol: nest.name.clone(), constant: &|_| String::new(), line: &|_| 0 };
    let emitted = layer::compile(&nest, &apart(&nest), &names, options).ok()?;
    Some(emitted.cycles(options.core))
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
