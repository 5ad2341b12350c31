//! The default schedule: of the drafts that the rules have for each layer, the smallest of those with about the fewest
//! predicted cycles, as far as there is room in flash. Layers of one form share their code where that pays ([`search`]); additions and the like
//! are part of the matrix products in front of them.
//!
//! Without a budget of the user's there is room for somewhat more than weights and biases, and for code, unless
//! that makes the whole clearly slower. An algorithm that computes with other weights than the model has, of which there are more, is free of
//! that: it is chosen where it is fastest.

mod choose;
mod formats;
mod network;
mod price;
mod search;
mod share;

use std::collections::BTreeSet;

use ir::diag::Diagnostic;
use ir::loops::{BufferId, Init, Layer, Program, Role};
use isel_thumb2::cores::Core;
use isel_thumb2::isa::Extension;
use isel_thumb2::layer;
use passes::defaults::Traits;
use passes::schedule::Schedule;

use self::choose::{Limit, Wish};
use self::network::{Goal, Network};
use self::price::Pricer;
use self::search::Search;
use crate::flash::weights;
use crate::pipeline::Budget;

/// Where there is flash enough: steps of a sum, with eight or so products each, for a kilobyte of code; blocks of channels for two
/// kilobytes or so; copies enough to hide what their loop costs.
const FAST: Repeats = Repeats { steps: 16, blocks: 16, copies: 8, overlapping: false };
/// Where flash is short: as much as suits most layers, which then share their code.
const SMALL: Repeats = Repeats { steps: 4, blocks: 0, copies: 2, overlapping: true };
/// Between both: sums in full, and one block.
const MIDDLE: Repeats = Repeats { steps: 16, blocks: 0, copies: 4, overlapping: true };
/// The numbers that a channel has in a nest: a bias, a multiplier and a shift.
const NUMBERS_OF_CHANNEL: usize = 3;
/// What a model may take where the user sets no budget. A small one gives a little speed for less code. A large one, of whose code most can
/// be shared, gives more of it for no more than its weights, two words for each channel, and as much code as an engine of
/// fixed kernels has, which needs some for each size of window.
const ALLOWANCES: [Allowance; 2] = [
    Allowance {
        weights: 125,
        biases: 125,
        code: 23 * 1024 + 512,
        windows: 0,
        least: 0,
        slower_by_permille: 30,
    },
    Allowance {
        weights: 100,
        biases: 200,
        code: 27 * 1024,
        windows: 4 * 1024 + 512,
        least: 128 * 1024,
        slower_by_permille: 250,
    },
];
/// What is left for the stack where arena and stack share a budget: more than layers have been seen to take.
const STACK_BYTES: usize = 320;

/// Flash that is enough where that costs little.
struct Allowance {
    /// Percent of the bytes of weights.
    weights: usize,
    /// Percent of the bytes of biases.
    biases: usize,
    /// Bytes beside them.
    code: usize,
    /// Bytes for each size of window but the first.
    windows: usize,
    /// Bytes that are always enough.
    least: usize,
    /// What it may cost.
    slower_by_permille: u64,
}

/// How much is repeated in the code.
struct Repeats {
    /// Steps of a sum.
    steps: u32,
    /// Steps of all the blocks of a matrix product.
    blocks: u32,
    /// Steps of a copy.
    copies: u32,
    /// Whether blocks overlap instead of leaving a rest.
    overlapping: bool,
}

impl Repeats {
    fn on(&self, core: &dyn Core) -> Traits {
        Traits {
            dual_mac: core.has(Extension::Dsp),
            unrolled_steps: self.steps,
            unrolled_blocks: self.blocks,
            unrolled_copies: self.copies,
            overlapping: self.overlapping,
        }
    }
}

/// The schedule for a lowered program, within a budget if that can be.
pub fn schedule(program: &Program, options: layer::Options, budget: Budget) -> Result<Schedule, Diagnostic> {
    let (traits, pricer) = (FAST.on(options.core), Pricer::new(options));
    let flash = budget.flash.map_or_else(|| Limit::Soft(wishes(program)), Limit::Hard);
    let ram = budget.ram.map(|bytes| bytes.saturating_sub(STACK_BYTES) as u64);
    let goal = Goal { pricer: &pricer, traits: &traits, ram };
    let network = Network::new(program, goal);
    let search = Search::new(&network, &pricer, flash, ram);
    // Where flash is short, code that all products share counts for more.
    let joined = if search.is_short() { None } else { network.with_epilogues(program, goal)? };
    let (formats, layers) = match &joined {
        Some(joined) => (&joined.text, Search::new(joined, &pricer, flash, ram).layers()),
        None => (&network.text, search.layers()),
    };
    Schedule::parse(&format!("schedule 1\n{formats}{layers}"))
}

/// Bytes of flash that are enough where the user sets no budget.
fn wishes(program: &Program) -> [Wish; 2] {
    let (mut in_weights, mut in_biases, mut sizes) = (0, 0, BTreeSet::new());
    for Layer { nest, .. } in &program.layers {
        let weights = weights(nest);
        for (at, buffer) in nest.buffers.iter().enumerate() {
            match &buffer.role {
                Role::Const(Init::Data(data)) if weights.contains(&BufferId::new(at)) => {
                    in_weights += data.len();
                    sizes.extend(window(&buffer.shape));
                }
                Role::Const(Init::Data(data)) => in_biases += data.len() / NUMBERS_OF_CHANNEL,
                _ => {}
            }
        }
    }
    let more_sizes = sizes.len().saturating_sub(1);
    let enough = |Allowance { weights, biases, code, windows, .. }: &Allowance| {
        (in_weights * weights + in_biases * biases) / 100 + code + windows * more_sizes
    };
    ALLOWANCES.map(|allowance| Wish {
        bytes: enough(&allowance).max(allowance.least),
        slower_by_permille: allowance.slower_by_permille,
    })
}

/// Rows and columns of the window that weights of this shape are for, if it is one.
fn window(shape: &[u32]) -> Option<(u32, u32)> {
    let [_, rows, columns, _] = *shape else { return None };
    Some((rows, columns))
}
