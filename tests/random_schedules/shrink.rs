//! Makes a failing case smaller: fewer steps, then smaller numbers, which are extents, sizes and choices. `proptest` does the search.

use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use crate::case::Recipe;

/// How many smaller cases are tried, and for how long in milliseconds.
const MOST_TRIES: u32 = 4000;
const MOST_TIME: u32 = 60_000;

/// The smallest case that still fails, as far as the search finds it, and its failure.
pub fn smallest(recipe: &Recipe, failure: impl Fn(&Recipe) -> Option<String>) -> (Recipe, String) {
    let config = Config {
        failure_persistence: None, // `kept` does that.
        max_shrink_iters: MOST_TRIES,
        max_shrink_time: MOST_TIME,
        ..Config::default()
    };
    let found = TestRunner::new(config).run_one(Shrinking::new(recipe), |recipe| match failure(&recipe) {
        Some(failure) => Err(TestCaseError::fail(failure)),
        None => Ok(()),
    });
    match found {
        Err(TestError::Fail(failure, recipe)) => (recipe, failure.message().into()),
        Err(TestError::Abort(reason)) => (recipe.clone(), reason.message().into()),
        Ok(_) => (recipe.clone(), "it fails no more when it runs again".into()),
    }
}

/// A case that fails, with a smaller one that is being tried.
struct Shrinking {
    fails: Recipe,
    tried: Recipe,
    /// The next change in a round of changes.
    at: usize,
    /// Whether the round has made the case smaller.
    smaller: bool,
}

impl Shrinking {
    fn new(recipe: &Recipe) -> Self {
        Self { fails: recipe.clone(), tried: recipe.clone(), at: 0, smaller: false }
    }

    /// A smaller case: without its last steps or one of them; with a number that is zero, half of what it was, or one less; with
    /// a number less. `None` behind the last.
    fn change(&self, at: usize) -> Option<Recipe> {
        let Recipe { numbers, steps } = &self.fails;
        let mut recipe = self.fails.clone();
        if at == 0 {
            recipe.steps.truncate(steps.len() / 2);
            return Some(recipe);
        }
        let at = at - 1;
        if at < steps.len() {
            recipe.steps.remove(steps.len() - 1 - at);
            return Some(recipe);
        }
        let at = at - steps.len();
        let number = numbers.get(at / 4)?;
        match at % 4 {
            0 => recipe.numbers[at / 4] = 0,
            1 => recipe.numbers[at / 4] = number / 2,
            2 => recipe.numbers[at / 4] = number.saturating_sub(1),
            _ => drop(recipe.numbers.remove(at / 4)),
        }
        Some(recipe)
    }

    /// Goes on to the next change that changes anything; the rounds end with one in which no change was of use.
    fn next(&mut self) -> bool {
        loop {
            match self.change(self.at) {
                Some(recipe) if recipe != self.fails => {
                    self.tried = recipe;
                    return true;
                }
                Some(_) => self.at += 1,
                None if self.smaller => (self.at, self.smaller) = (0, false),
                None => {
                    self.tried = self.fails.clone();
                    return false;
                }
            }
        }
    }
}

impl ValueTree for Shrinking {
    type Value = Recipe;

    fn current(&self) -> Recipe {
        self.tried.clone()
    }

    /// What was tried fails; `at` stays, for what stands there now.
    fn simplify(&mut self) -> bool {
        self.smaller |= self.tried != self.fails;
        self.fails = self.tried.clone();
        self.next()
    }

    /// What was tried is right.
    fn complicate(&mut self) -> bool {
        self.at += 1;
        self.next()
    }
}
