//! Answers that have been found, for who asks again: drafts of a layer's schedule have the same proofs to make and the same constants to
//! lay out, and so has the one that is chosen in the end.
//!
//! An answer depends on its question alone, so it makes no difference who asks first, and forgetting answers costs time only.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Nobody asks for the order of what it holds.
type Map<Q, A> = HashMap<Q, A, BuildHasherDefault<DefaultHasher>>;

/// Answers by question, for all threads.
pub struct Known<Q, A> {
    answers: Mutex<Map<Q, A>>,
    most: usize,
}

impl<Q: Eq + Hash, A: Clone> Known<Q, A> {
    /// Keeps so many answers, at most.
    pub const fn new(most: usize) -> Self {
        Self { answers: Mutex::new(HashMap::with_hasher(BuildHasherDefault::new())), most }
    }

    /// The answer to a question: the one that is known, else what `find` gives.
    pub fn answer(&self, question: Q, find: impl FnOnce() -> A) -> A {
        if let Some(answer) = self.known().get(&question) {
            return answer.clone();
        }
        let answer = find(); // Others may look for theirs meanwhile.
        let mut known = self.known();
        if known.len() >= self.most {
            known.clear();
        }
        known.entry(question).or_insert(answer).clone() // The first one's, where several have found it.
    }

    fn known(&self) -> MutexGuard<'_, Map<Q, A>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_not_looked_for() {
        let (known, mut looked) = (Known::new(2), Vec::new());
        for question in [1, 1, 2, 1, 3, 3, 1] {
            let find = || {
                looked.push(question);
                10 * question
            };
            assert_eq!(known.answer(question, find), 10 * question);
        }
        assert_eq!(looked, [1, 2, 3, 1]); // The third answer took the place of the others.
    }
}
