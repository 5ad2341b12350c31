//! What drafts cost: cycles and bytes of the code that is made of them.
//!
//! All drafts are estimated, and those that could be the fastest are priced. Code of nests that are alike but for what their constants
//! hold is made once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use ir::loops::{BufferId, Init, Layer, Nest, Role};
use isel_thumb2::cores::Core;
use isel_thumb2::emit::{Emitted, Names};
use isel_thumb2::{layer, program};
use passes::defaults::{Draft, Traits, drafts};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::choose::{Body, Price};

/// How much slower than the fastest a draft may be estimated, at most, that is fast after all. Measured on the networks of MLPerf
/// Tiny: what the estimate is off by, and what smaller code may cost, come to 9.8 together on M4 and M7.
const ESTIMATE_IS_OFF_BY_PERCENT: u64 = 12;
/// What buffers are aligned to where their places are not known yet.
const ALIGN: u32 = 8;

/// Prices drafts for one core; code that is known is not made again.
pub struct Pricer {
    estimates: Codes,
    prices: Codes,
}

impl Pricer {
    /// For code with these options.
    pub fn new(options: layer::Options) -> Self {
        Self { estimates: Codes::new(options.for_estimate()), prices: Codes::new(options.for_price()) }
    }

    /// The core that the code is for.
    pub fn core(&self) -> &'static dyn Core {
        self.prices.options.core
    }

    /// The drafts for each layer that code can be made of, with the price of each; of those that are clearly slower an estimate.
    pub fn drafts(&self, layers: &[Layer], traits: &Traits) -> Vec<Vec<(Price, Draft)>> {
        let estimated = |draft: Draft| Some((price(&draft, &self.estimates)?, draft));
        let of_layer = |layer: &Layer| -> Vec<(Price, Draft)> {
            drafts(&layer.nest, traits).into_par_iter().filter_map(estimated).collect()
        };
        let estimates: Vec<Vec<(Price, Draft)>> = layers.par_iter().map(of_layer).collect();
        estimates.into_par_iter().map(|drafts| self.exact(drafts)).collect()
    }

    fn exact(&self, drafts: Vec<(Price, Draft)>) -> Vec<(Price, Draft)> {
        let fastest = drafts.iter().map(|(estimate, _)| estimate.cycles).min().unwrap_or(0);
        let limit = fastest * (100 + ESTIMATE_IS_OFF_BY_PERCENT) / 100;
        let exact = |(estimate, draft): (Price, Draft)| {
            let exact = if estimate.cycles <= limit { price(&draft, &self.prices) } else { None };
            (exact.unwrap_or(estimate), draft)
        };
        drafts.into_par_iter().map(exact).collect()
    }
}

/// What a draft costs; `None` where no code can be made of it.
fn price(draft: &Draft, codes: &Codes) -> Option<Price> {
    let mut nest = draft.nest.clone();
    passes::loops::legalize(&mut nest).ok()?;
    let body = body(&nest);
    let emitted = codes.of(&nest, body)?;
    let constants = program::constants(&nest, &emitted, &|_| String::new()).ok()?;
    Some(Price {
        cycles: emitted.cycles(codes.options.core),
        code: emitted.code.bytes.len(),
        constants: program::bytes_once(&constants),
        body,
    })
}

/// The code of nests: those that differ in their constants only have the same.
struct Codes {
    options: layer::Options,
    known: Mutex<BTreeMap<Body, Code>>,
}

/// Code that is there once someone has made it.
type Code = Arc<OnceLock<Option<Emitted>>>;

impl Codes {
    fn new(options: layer::Options) -> Self {
        Self { options, known: Mutex::default() }
    }

    /// The code of a nest, without names; `None` where none can be made.
    fn of(&self, nest: &Nest, body: Body) -> Option<Emitted> {
        let code = self.known.lock().expect("nobody panics here").entry(body).or_default().clone();
        let names = Names { symbol: String::new(), constant: &|_| String::new(), line: &|_| 0 };
        let compiled = || layer::compile(nest, &apart(nest), &names, self.options).ok();
        code.get_or_init(compiled).clone()
    }
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
fn apart(nest: &Nest) -> BTreeMap<BufferId, u32> {
    let mut end = 0;
    let mut offset = |buffer: BufferId| {
        let at = end;
        end += (nest.buffers[buffer.idx()].bytes() as u32).next_multiple_of(ALIGN);
        (buffer, at)
    };
    nest.buffers_where(|buffer| !buffer.is_const()).map(&mut offset).collect()
}
