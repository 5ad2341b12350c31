//! The default schedule: of the drafts that the rules have for each layer, the smallest of those with about the fewest
//! predicted cycles, as far as there is room in flash. Layers of one form share their code where that pays.
//!
//! Without a budget of the user's there is room for somewhat more than weights and biases, and for code, unless
//! that makes the whole clearly slower. An algorithm that computes with other weights than the model has, of which there are more, is free of
//! that: it is chosen where it is fastest.

mod choose;
mod formats;
mod price;
mod share;

use std::collections::{BTreeMap, BTreeSet};

use ir::diag::Diagnostic;
use ir::loops::{BufferId, Init, Layer, Program, Role};
use isel_thumb2::cores::Core;
use isel_thumb2::isa::Extension;
use isel_thumb2::layer;
use passes::defaults::{Draft, Format, Traits};
use passes::schedule::Schedule;

use self::choose::{Chosen, Form, Limit, Price, Wish, choose};
use self::formats::Formatted;
use self::price::Pricer;
use self::share::{Groups, Sharing};
use crate::flash::weights;
use crate::pipeline::Budget;
use crate::ram;

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
/// How often layers are chosen again for less room, as the last choice takes more than it was thought to.
const MOST_ATTEMPTS: usize = 3;
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
    let (fast, pricer) = (FAST.on(options.core), Pricer::new(options));
    let most = budget.ram.map(|bytes| bytes.saturating_sub(STACK_BYTES) as u64);
    let mut network = Formatted::new(program, &fast, most);
    let mut drafts = pricer.drafts(&network.program.layers, &fast);
    let known = ram::Known::default();
    loop {
        let candidates: Vec<Vec<ram::Candidate>> = drafts.iter().map(|drafts| candidates(drafts)).collect();
        let peak = ram::peak(&network.program, &candidates, most, &known);
        let Some(changed) = (peak.bytes > network.most).then(|| network.relieve(peak.layer)).flatten() else {
            break;
        };
        for number in changed {
            let layer = std::slice::from_ref(&network.program.layers[number]);
            drafts[number] = pricer.drafts(layer, &fast).remove(0);
        }
    }
    let formats: String = network.formats.iter().map(Format::text).collect();
    let layers = layers(&network.program, &pricer, drafts, budget, most, &known);
    Schedule::parse(&format!("schedule 1\n{formats}{layers}"))
}

/// The scopes of the layers, and of those that share their code, in an arena of at most `most` bytes.
fn layers(
    program: &Program,
    pricer: &Pricer,
    drafts: Vec<Vec<(Price, Draft)>>,
    budget: Budget,
    most: Option<u64>,
    known: &ram::Known,
) -> String {
    let in_full = budget.flash.is_some();
    let flash = budget.flash.map_or_else(|| Limit::Soft(wishes(program)), Limit::Hard);
    let (mut arena, mut has_small) = (most, false);
    let (mut room, mut attempts) = (flash, 0);
    let mut drafts = within(program, drafts, arena, known);
    let shared = share::Known::default();
    let (chosen, groups) = loop {
        let charges = charges(&drafts, in_full);
        let chosen = choose(&charges, room);
        if chosen.is_short && !has_small {
            has_small = true;
            for repeats in [&MIDDLE, &SMALL] {
                let smaller = pricer.drafts(&program.layers, &repeats.on(pricer.core()));
                drafts.iter_mut().zip(smaller).for_each(|(drafts, smaller)| drafts.extend(smaller));
            }
            drafts = within(program, drafts, arena, known);
            continue;
        }
        // Each layer alone fits; together they may leave gaps.
        let nests = chosen.drafts.iter().zip(&drafts).map(|(at, drafts)| at.map(|at| &drafts[at].1.nest));
        let excess = most.and_then(|most| Some(ram::arena(program, nests)?.saturating_sub(most)));
        if let (Some(last), Some(excess)) = (arena, excess)
            && excess > 0
            && last > 0
        {
            arena = Some(last.saturating_sub(excess));
            drafts = within(program, drafts, arena, known);
            continue;
        }
        // Not all layers of one form pay in one code, so that all take more than was thought.
        let beside = beside_code(&charges, &chosen);
        let groups = groups(&drafts, &chosen, pricer, &shared, flash.least().saturating_sub(beside));
        let excess = flash.excess(chosen.flash, groups.bytes + beside);
        if excess == 0 || attempts == MOST_ATTEMPTS {
            break (chosen, groups);
        }
        attempts += 1;
        room = room.less(excess);
    };
    let mut text = String::new();
    for (number, layer) in program.layers.iter().enumerate() {
        let steps = chosen.drafts[number].map_or(String::new(), |chosen| drafts[number][chosen].1.text());
        text.push_str(&format!("layer {}:\n{steps}", layer.nest.name));
    }
    let name = |layer: &usize| program.layers[*layer].nest.name.as_str();
    for group in groups.layers.iter().filter(|group| group.len() > 1) {
        let names: Vec<&str> = group.iter().map(name).collect();
        text.push_str(&format!("group {}:\n  share\n", names.join(" ")));
    }
    text
}

/// Bytes that layers take beside their code.
fn beside_code(charges: &[Vec<Price>], chosen: &Chosen) -> usize {
    let prices = charges.iter().zip(&chosen.drafts).filter_map(|(prices, at)| Some(&prices[(*at)?]));
    prices.map(|price| price.flash() - price.code).sum()
}

/// The drafts that keep to an arena of so many bytes; where nobody says how many, to about the smallest.
fn within(
    program: &Program,
    drafts: Vec<Vec<(Price, Draft)>>,
    arena: Option<u64>,
    known: &ram::Known,
) -> Vec<Vec<(Price, Draft)>> {
    let candidates: Vec<Vec<ram::Candidate>> = drafts.iter().map(|drafts| candidates(drafts)).collect();
    let fitting = ram::fitting(program, &candidates, arena, known);
    let kept = |(drafts, fits): (Vec<(Price, Draft)>, Vec<bool>)| {
        drafts.into_iter().zip(fits).filter_map(|(draft, fits)| fits.then_some(draft)).collect()
    };
    drafts.into_iter().zip(fitting).map(kept).collect()
}

fn candidates(drafts: &[(Price, Draft)]) -> Vec<ram::Candidate<'_>> {
    let of = |draft| {
        let (Price { cycles, body, .. }, Draft { nest, .. }): &(Price, Draft) = draft;
        ram::Candidate { cycles: *cycles, nest, body }
    };
    drafts.iter().map(of).collect()
}

/// What the budget is charged for each draft: where it is not the user's, weights that an algorithm transforms
/// count as those of the smallest draft that takes them as they are.
fn charges(layers: &[Vec<(Price, Draft)>], in_full: bool) -> Vec<Vec<Price>> {
    let of_layer = |drafts: &Vec<(Price, Draft)>| -> Vec<Price> {
        let direct = drafts.iter().filter(|(_, draft)| !in_full && !draft.transforms_weights());
        let direct = direct.min_by_key(|(price, _)| price.flash()).map(|(price, _)| *price);
        let charge = |(price, draft): &(Price, Draft)| match direct {
            Some(Price { code, constants, .. }) if draft.transforms_weights() => {
                Price { code, constants, ..*price }
            }
            _ => *price,
        };
        drafts.iter().map(charge).collect()
    };
    layers.iter().map(of_layer).collect()
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

/// Which layers of one form share their code, as that pays; so many bytes of code are enough.
fn groups(
    drafts: &[Vec<(Price, Draft)>],
    chosen: &Chosen,
    pricer: &Pricer,
    known: &share::Known,
    enough: usize,
) -> Groups {
    let (mut alike, mut nests) = (BTreeMap::<Form, Vec<usize>>::new(), BTreeMap::new());
    for (layer, chosen) in chosen.drafts.iter().enumerate() {
        if let Some(chosen) = chosen {
            let (price, draft) = &drafts[layer][*chosen];
            nests.insert(layer, (price.body, &draft.nest));
            alike.entry(price.form).or_default().push(layer);
        }
    }
    let code = |layer: usize| chosen.drafts[layer].map_or(0, |at| drafts[layer][at].0.code);
    let (kinds, single): (Vec<Vec<usize>>, Vec<Vec<usize>>) =
        alike.into_values().partition(|layers| layers.len() > 1);
    let in_single = single.iter().flatten().map(|layer| code(*layer)).sum();
    let enough = enough.saturating_sub(in_single);
    let Chosen { rate, spare, .. } = *chosen;
    let mut groups = Sharing { nests: &nests, rate, enough, spare, pricer, known }.groups(kinds);
    groups.bytes += in_single;
    groups.layers.extend(single);
    groups.layers.sort(); // As they run.
    groups
}
