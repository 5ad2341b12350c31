//! Default schedules: rules that see the shape of a nest, what is proven about its constants, and what the core can do.
//!
//! A rule drafts a schedule step by step ([`draft`]); a step that is not legal for this nest is left out or ends the draft. Several
//! drafts of one nest are alternatives, of which whoever asks takes the one with the fewest predicted cycles. No rule knows an
//! operator, a model or a size: it sees which loops move the operands of a sum ([`shape`]).

mod draft;
mod elementwise;
mod product;
mod shape;
mod tiles;
mod window;

use ir::loops::Nest;

pub use draft::Draft;

/// What the rules know of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    /// Whether it has the dual 16-bit multiply-accumulates of the DSP extension.
    pub dual_mac: bool,
    /// Most steps of a sum that are repeated in the code: the more, the larger the code.
    pub unrolled_steps: u32,
    /// Most steps in all that blocks of a matrix product are repeated for.
    pub unrolled_blocks: u32,
    /// Most steps of a copy that are repeated in the code.
    pub unrolled_copies: u32,
}

/// A rule: the drafts that it has for a nest, none where the nest is not of its kind.
type Rule = fn(&Nest, &Traits) -> Vec<Draft>;

/// All rules, in the order in which they are asked; every one may have drafts for a nest.
const RULES: &[Rule] = &[
    product::drafts,     // Every pixel with every channel: matrix products.
    tiles::drafts,       // Windows of 3 by 3, all channels with all: convolutions.
    window::drafts,      // Channel by channel: depthwise convolutions.
    elementwise::drafts, // No sum, or none of the above.
];

/// The drafts for a nest as lowering leaves it; the first one has no steps.
pub fn drafts(nest: &Nest, traits: &Traits) -> Vec<Draft> {
    let plain = [Draft::new(nest)];
    plain.into_iter().chain(RULES.iter().flat_map(|rule| rule(nest, traits))).collect()
}
