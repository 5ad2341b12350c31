//! Forms that have been found: most drafts of a layer rescale the same sums by the same numbers.

use ir::diag::Diagnostic;
use ir::known::Known;
use ir::loops::Nest;

use super::Report;
use crate::proofs::short_forms::{Cost, Found};

/// All that decides which form is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// What is asked for each channel; `None` for those that nothing uses.
    pub channels: Vec<Option<Numbers>>,
    /// What is added, the least and the greatest result.
    pub clamp: (i32, i32, i32),
    /// Whether an offset can be part of an initial value.
    pub offset_is_free: bool,
    /// What the form may take.
    pub most: Cost,
    /// The shift that is asked for.
    pub shift: Option<i32>,
}

/// The least and the greatest accumulator of a channel, what it arrives multiplied by, what the sum starts with if that is known, and its
/// multiplier and shift.
pub type Numbers = (i64, i64, i32, Option<i32>, (i32, i32));

/// A form for all channels and what it takes, or how many channels have none.
pub type Answer = Result<(Found, Cost), usize>;

/// What becomes of a nest where all is shortened that can be.
#[derive(Clone, Debug)]
pub struct Shortened {
    /// The nest.
    pub nest: Nest,
    /// How many channels are short.
    pub report: Report,
    /// Why the first one is not that is not.
    pub refusal: Option<Diagnostic>,
    /// What ended it early.
    pub error: Option<Diagnostic>,
}

/// Those for all layers of a large network.
pub static FORMS: Known<Question, Answer> = Known::new(2048);
/// By the nest and the shift that is asked for: those of all drafts of a large network.
pub static NESTS: Known<(Nest, Option<i32>), Shortened> = Known::new(2048);
