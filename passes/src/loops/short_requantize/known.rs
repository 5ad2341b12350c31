//! Forms that have been found, for who asks again: most drafts of a layer rescale the same sums by the same numbers.
//!
//! What is found depends on the question alone, so it makes no difference who asks first.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::proofs::short_forms::{Cost, Found};

/// All that decides which form is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// So many answers are kept: those for all layers of a large network.
const MOST: usize = 1024;

static KNOWN: Mutex<BTreeMap<Question, Answer>> = Mutex::new(BTreeMap::new());

/// The answer to a question: the one that is known, else what `find` gives.
pub fn answer(question: Question, find: impl FnOnce() -> Answer) -> Answer {
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(answer) = known().get(&question) {
        return answer.clone();
    }
    let answer = find(); // Others may look for forms meanwhile.
    let mut known = known();
    if known.len() == MOST {
        known.clear();
    }
    known.insert(question, answer.clone());
    answer
}
