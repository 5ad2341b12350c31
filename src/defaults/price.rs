//! What drafts cost: cycles and bytes of the code that is made of them.
//!
//! All drafts are estimated. Those that could be the fastest are estimated better, and those of them that still could be are priced.
//! Code of nests that are alike but for what their constants hold is made once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use ir::loops::form::form;
use ir::loops::{BufferId, Init, Layer, Nest, Role};
use isel_thumb2::cores::Core;
use isel_thumb2::layer::Cost;
use isel_thumb2::{layer, program};
use passes::defaults::{Draft, Traits, drafts};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::choose::{Body, Price};

/// How much slower than the fastest a draft may be in each stage, at most, that the next looks at. Measured on networks of
/// MLPerf Tiny on M4 and M7: what the stage is off by, and what smaller code may cost, come to 9.8 together and to 4.
const CLOSE_BY_PERCENT: [u64; STAGES - 1] = [12, 4];
/// Of a layer that takes less than one in so many of the cycles, estimates are enough.
const LEAST_PART: u64 = 300;
/// An estimate, a better one, and the price.
const STAGES: usize = 3;
/// What buffers are aligned to where their places are not known yet.
pub const ALIGN: u32 = 8;

/// Prices drafts for one core; what is known is not found out again.
pub struct Pricer {
    stages: [layer::Options; STAGES],
    /// Nests that differ in their constants only have the same code.
    codes: Mutex<BTreeMap<Body, Arc<Code>>>,
}

/// What code costs in each stage, once someone has found out; `None` where none can be made.
type Code = [OnceLock<Option<Cost>>; STAGES];

impl Pricer {
    /// For code with these options.
    pub fn new(options: layer::Options) -> Self {
        let stages = [options.for_estimate(), options.for_better_estimate(), options.for_price()];
        Self { stages, codes: Mutex::default() }
    }

    /// What drafts are priced with.
    pub fn options(&self) -> layer::Options {
        self.stages[STAGES - 1]
    }

    /// The core that the code is for.
    pub fn core(&self) -> &'static dyn Core {
        self.stages[0].core
    }

    /// Cycles and bytes of a code that has been priced.
    pub fn known(&self, body: Body) -> Option<(u64, usize)> {
        let code = self.code(body);
        let cost = code[STAGES - 1].get()?.as_ref()?;
        Some((cost.cycles, cost.bytes))
    }

    /// The drafts for each layer that code can be made of, with the price of each; of those that are clearly slower an estimate.
    pub fn drafts(&self, layers: &[Layer], traits: &Traits) -> Vec<Vec<(Price, Draft)>> {
        let estimated = |draft: Draft| Some((self.estimate(&draft)?, draft));
        let of_layer = |layer: &Layer| -> Vec<(Price, Draft)> {
            drafts(&layer.nest, traits).into_par_iter().filter_map(estimated).collect()
        };
        let estimates: Vec<Vec<(Price, Draft)>> = layers.par_iter().map(of_layer).collect();
        let all: u64 = estimates.iter().map(|drafts| fastest(drafts)).sum();
        let refined = |drafts: Vec<(Price, Draft)>| match fastest(&drafts) * LEAST_PART > all {
            true => self.exact(drafts),
            false => drafts,
        };
        estimates.into_par_iter().map(refined).collect()
    }

    fn exact(&self, mut drafts: Vec<(Price, Draft)>) -> Vec<(Price, Draft)> {
        let estimates: Vec<u64> = drafts.iter().map(|(price, _)| price.cycles).collect();
        let mut is_estimate = vec![true; drafts.len()];
        for (before, percent) in CLOSE_BY_PERCENT.iter().enumerate() {
            let fastest = fastest(&drafts);
            let is_close = |price: &Price| price.cycles * 100 <= fastest * (100 + percent);
            let close = drafts.par_iter_mut().zip(&mut is_estimate).filter(|((price, _), _)| is_close(price));
            close.for_each(|((price, draft), is_estimate)| {
                *price = self.refined(*price, draft, before + 1);
                *is_estimate = false;
            });
        }
        // Estimates are too high; those that nothing better is known of are off by as much as that of the fastest, more or less.
        let fastest = drafts.iter().zip(&estimates).min_by_key(|((price, _), _)| price.cycles);
        let Some((exact, estimate)) = fastest.map(|((price, _), estimate)| (price.cycles, *estimate)) else {
            return drafts;
        };
        for (((price, _), before), is_estimate) in drafts.iter_mut().zip(&estimates).zip(is_estimate) {
            if is_estimate && *before > exact {
                price.cycles = exact.max(before * exact.min(estimate) / estimate.max(1));
            }
        }
        drafts
    }

    /// What a draft costs of which an estimate is known; where it takes little of all these cycles, the estimate.
    pub fn price(&self, estimate: Price, draft: &Draft, all: u64) -> Price {
        let stages = if estimate.cycles * LEAST_PART > all { 1..STAGES } else { 0..0 };
        stages.fold(estimate, |price, stage| self.refined(price, draft, stage))
    }

    /// What a draft is estimated to cost; `None` where no code can be made of it.
    fn estimate(&self, draft: &Draft) -> Option<Price> {
        let nest = legal(draft)?;
        let body = body(&nest);
        let code = self.code(body);
        let cost = code[0].get_or_init(|| self.cost(&nest, 0, None)).as_ref()?;
        let constants = program::constants(&nest, &cost.constants, &|_| String::new()).ok()?;
        let constants = program::bytes_once(&constants);
        Some(Price {
            cycles: cost.cycles,
            code: cost.bytes,
            constants,
            body,
            form: Sha256::digest(form(&nest)).into(),
        })
    }

    /// What a draft costs by a later stage.
    fn refined(&self, price: Price, draft: &Draft, stage: usize) -> Price {
        let code = self.code(price.body);
        let known = code[stage - 1].get().and_then(Option::as_ref);
        let cost = code[stage].get_or_init(|| self.cost(&legal(draft)?, stage, known));
        cost.as_ref().map_or(price, |cost| Price { cycles: cost.cycles, code: cost.bytes, ..price })
    }

    fn cost(&self, nest: &Nest, stage: usize, known: Option<&Cost>) -> Option<Cost> {
        layer::price(nest, &apart(nest), self.stages[stage], known).ok()
    }

    fn code(&self, body: Body) -> Arc<Code> {
        self.codes.lock().expect("nobody panics here").entry(body).or_default().clone()
    }
}

/// Cycles of the fastest.
fn fastest(drafts: &[(Price, Draft)]) -> u64 {
    drafts.iter().map(|(price, _)| price.cycles).min().unwrap_or(0)
}

/// The nest of a draft as the code generator takes it.
fn legal(draft: &Draft) -> Option<Nest> {
    let mut nest = draft.nest.clone();
    passes::loops::legalize(&mut nest).ok()?;
    Some(nest)
}

/// What decides the code of a nest: all but its name and what its constants hold.
fn body(nest: &Nest) -> Body {
    let mut shape = Nest { name: String::new(), ..nest.clone() };
    for buffer in shape.buffers.iter_mut().filter(|buffer| buffer.is_const()) {
        buffer.role = Role::Const(Init::Data(Arc::new([])));
    }
    Sha256::digest(format!("{shape:?}")).into()
}

/// Parameters and scratch one after the other.
pub fn apart(nest: &Nest) -> BTreeMap<BufferId, u32> {
    let mut end = 0;
    let mut offset = |buffer: BufferId| {
        let at = end;
        end += (nest.buffers[buffer.idx()].bytes() as u32).next_multiple_of(ALIGN);
        (buffer, at)
    };
    nest.buffers_where(|buffer| !buffer.is_const()).map(&mut offset).collect()
}
