//! Default schedules: rules that see the shape of a nest, what is proven about its constants, and what the core can do.
//!
//! A rule drafts a schedule step by step ([`draft`]); a step that is not legal for this nest is left out or ends the draft. Several
//! drafts of one nest are alternatives, of which whoever asks takes the one with the fewest predicted cycles. No rule knows an
//! operator, a model or a size: it sees which loops move the operands of a sum ([`shape`]).

mod draft;
mod elementwise;
mod epilogues;
mod formats;
mod product;
mod shape;
mod tiles;
mod window;

use ir::loops::{Expr, Nest, Stmt};

pub use draft::Draft;
pub use epilogues::{Epilogue, epilogues};
pub use formats::{Format, formats, goes_by_pixels};

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
    /// Whether blocks that do not divide a loop overlap, which takes no code for what is left.
    pub overlapping: bool,
}

/// Words of a constant that are stored without a branch: each is two bytes of code.
const WORDS: u32 = 8;

/// A rule: the drafts that it has for a nest, from the steps that all have in common; none where the nest is not of its kind.
type Rule = fn(&Draft, &Traits) -> Vec<Draft>;

/// All rules, in the order in which they are asked; every one may have drafts for a nest.
const RULES: &[Rule] = &[
    product::drafts,     // Every pixel with every channel: matrix products.
    tiles::drafts,       // Windows of 3 by 3, all channels with all: convolutions.
    window::drafts,      // Channel by channel: depthwise convolutions.
    elementwise::drafts, // No sum, or none of the above.
];

/// The drafts for a nest as lowering or the layout of its tensors leaves it; the first one has no steps.
pub fn drafts(nest: &Nest, traits: &Traits) -> Vec<Draft> {
    let plain = Draft::new(nest);
    let begin = surrounded(&plain, traits);
    let mut drafts: Vec<Draft> = RULES.iter().flat_map(|rule| rule(&begin, traits)).collect();
    drafts.iter_mut().for_each(Draft::shrink_tables);
    std::iter::once(plain).chain(drafts).collect()
}

/// Repeats in the code what writes the surroundings of a tensor, in front of everything else.
fn surrounded(plain: &Draft, traits: &Traits) -> Draft {
    let mut draft = plain.clone();
    let Some((_, surroundings)) = plain.nest.body.split_last() else { return draft };
    // Half as often in small code, so that the extents of maps matter less: layers of all maps may share it.
    let most = if traits.overlapping { traits.unrolled_copies / 2 } else { traits.unrolled_copies };
    for (name, in_words) in innermost(&plain.nest, surroundings) {
        draft.repeat(&name, if in_words { WORDS } else { most });
    }
    draft
}

/// The names of the loops that hold nothing but stores of constants, each of which they repeat once, and whether these are words.
fn innermost(nest: &Nest, block: &[Stmt]) -> Vec<(String, bool)> {
    fn is_store(stmt: &Stmt) -> bool {
        match stmt {
            Stmt::For(l, body) => l.extent == 1 && body.iter().all(is_store),
            other => matches!(other, Stmt::Store(_, Expr::Int(..))),
        }
    }
    let of_stmt = |stmt: &Stmt| match stmt {
        Stmt::For(l, body) => match &body[..] {
            [Stmt::Store(to, Expr::Op { args, .. })] if matches!(args[..], [Expr::Int(..)]) => {
                vec![(nest.vars[l.var.idx()].clone(), to.ty.lanes() > 1)]
            }
            _ if body.iter().all(is_store) => vec![(nest.vars[l.var.idx()].clone(), false)],
            _ => innermost(nest, body),
        },
        _ => Vec::new(),
    };
    block.iter().flat_map(of_stmt).collect()
}
