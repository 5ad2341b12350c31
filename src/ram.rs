//! Which drafts of the layers of a network keep to the memory that there is.
//!
//! What a layer needs is what is alive while it runs, its scratch included, each buffer on others as far as its accesses
//! allow it. The layer that needs the most decides how large the arena is; in all others there is room for scratch that
//! makes them faster.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Mutex;

use ir::loops::{Nest, Program};
use lowering::memory::{Needs, place};
use rayon::prelude::*;

/// What a layer may be slowed down by, at most, to make the arena smaller where nobody says how large it may be.
const SLOWER_BY_PERCENT: u64 = 10;
/// What the arena may be larger than the smallest one then: one part of so many.
const LARGER_BY_PART: u64 = 32;

/// A draft of a layer.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// Predicted cycles.
    pub cycles: u64,
    /// What the layer becomes.
    pub nest: &'a Nest,
    /// A digest of all of that but what its constants hold.
    pub body: &'a [u8; 32],
}

/// What layers have been found to need, by number and body.
#[derive(Debug, Default)]
pub struct Known(Mutex<BTreeMap<(usize, [u8; 32]), u64>>);

/// For each layer, whether each of its drafts keeps to an arena of `budget` bytes, or without one to about the smallest
/// arena that no layer has to be much slower for. Where none does, the one stays that needs the least.
pub fn fitting(
    program: &Program,
    layers: &[Vec<Candidate>],
    budget: Option<u64>,
    known: &Known,
) -> Vec<Vec<bool>> {
    let layers = Layers { program, needs: Needs::new(program), drafts: layers, known };
    let budget = budget.unwrap_or_else(|| {
        let least = layers.least(Those::Fast).bytes;
        least + least / LARGER_BY_PART
    });
    (0..program.layers.len()).into_par_iter().map(|number| layers.fitting(number, budget)).collect()
}

/// The layer that needs the most, with the drafts that need the least: of all, or without a budget of those that are about the
/// fastest.
pub fn peak(program: &Program, layers: &[Vec<Candidate>], budget: Option<u64>, known: &Known) -> Peak {
    let those = if budget.is_some() { Those::All } else { Those::Fast };
    Layers { program, needs: Needs::new(program), drafts: layers, known }.least(those)
}

/// Bytes of the arena where layers become these nests; `None` where one of them is not legal.
pub fn arena<'n>(program: &Program, nests: impl Iterator<Item = Option<&'n Nest>>) -> Option<u64> {
    let mut program = program.clone();
    for (layer, nest) in program.layers.iter_mut().zip(nests) {
        layer.nest = nest.unwrap_or(&layer.nest).clone();
        passes::loops::legalize(&mut layer.nest).ok()?;
    }
    Some(place(&program).ok()?.arena_bytes.into())
}

/// What decides how large the arena is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    /// Bytes.
    pub bytes: u64,
    /// The number of the layer that needs them.
    pub layer: usize,
}

/// Drafts that count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Those {
    /// All.
    All,
    /// Those that are about as fast as the fastest.
    Fast,
}

struct Layers<'a> {
    program: &'a Program,
    needs: Needs<'a>,
    drafts: &'a [Vec<Candidate<'a>>],
    known: &'a Known,
}

impl Layers<'_> {
    /// What the smallest arena with such drafts needs.
    fn least(&self, those: Those) -> Peak {
        let apart = |number: usize| {
            let drafts = self.those(number, those).into_iter();
            drafts.map(|draft| self.needs.apart(number, self.drafts[number][draft].nest)).min().unwrap_or(0)
        };
        // Those that need the most come first: most of the others need not be looked at.
        let mut order: Vec<(u64, usize)> = (0..self.drafts.len()).map(|at| (apart(at), at)).collect();
        order.sort_unstable_by_key(|(bytes, number)| (Reverse(*bytes), *number));
        let mut least = Peak::default();
        for (apart, layer) in order {
            if apart > least.bytes {
                let drafts = self.those(layer, those).into_par_iter();
                let bytes = drafts.map(|draft| self.together(layer, draft)).min().unwrap_or(0);
                if bytes > least.bytes {
                    least = Peak { bytes, layer };
                }
            }
        }
        least
    }

    fn fitting(&self, number: usize, budget: u64) -> Vec<bool> {
        let drafts = &self.drafts[number];
        let needs = |draft: usize| match self.needs.apart(number, drafts[draft].nest) {
            bytes if bytes <= budget => bytes,
            _ => self.together(number, draft),
        };
        let needs: Vec<u64> = (0..drafts.len()).into_par_iter().map(needs).collect();
        let most = needs.iter().copied().min().unwrap_or(0).max(budget);
        needs.into_iter().map(|bytes| bytes <= most).collect()
    }

    fn those(&self, number: usize, those: Those) -> Vec<usize> {
        let drafts = &self.drafts[number];
        let fastest = drafts.iter().map(|draft| draft.cycles).min().unwrap_or(0);
        let is_fast = |at: &usize| drafts[*at].cycles * 100 <= fastest * (100 + SLOWER_BY_PERCENT);
        (0..drafts.len()).filter(|at| those == Those::All || is_fast(at)).collect()
    }

    fn together(&self, number: usize, draft: usize) -> u64 {
        let known = || self.known.0.lock().expect("nobody panics here");
        let key = (number, *self.drafts[number][draft].body);
        if let Some(bytes) = known().get(&key) {
            return *bytes;
        }
        let bytes = self.found_together(number, draft);
        known().insert(key, bytes);
        bytes
    }

    fn found_together(&self, number: usize, draft: usize) -> u64 {
        let mut nest = self.drafts[number][draft].nest.clone();
        match passes::loops::legalize(&mut nest) {
            Ok(()) => self.needs.together(number, &nest),
            Err(_) => self.needs.apart(number, &self.program.layers[number].nest),
        }
    }
}

#[cfg(test)]
mod tests {
    use ir::loops::text::{parse_nest, parse_program};

    use super::*;

    /// Two layers of which the second reads its operand twice.
    const PROGRAM: &str = "program @two {
      tensor x: i8[64] input 0
      tensor t: i8[64] temporary
      tensor y: i8[64] output 0
      layer @first(x, t) op \"copy\" macs 0 sources []
      layer @second(t, y) op \"copy\" macs 0 sources []
    }
    loops @first(x: i8[64], y: i8[64]) { for i in 0..64 { y[i] = x[i] } }
    loops @second(x: i8[64], y: i8[64]) {
      for again in 0..2 { for i in 0..64 { y[i] = x[i] } }
    }";
    /// The second layer with all of its operand in scratch, as halfwords.
    const STAGED: &str = "loops @second(x: i8[64], y: i8[64]) {
      scratch s: i16[64]
      for i in 0..64 { s[i] = sext x[i] }
      for again in 0..2 { for i in 0..64 { y[i] = s[i] } }
    }";

    fn fitting(cycles: [u64; 2], budget: Option<u64>) -> Vec<Vec<bool>> {
        let program = parse_program(PROGRAM).expect("a program");
        let staged = parse_nest(STAGED).expect("a nest");
        let [first, second] = [0, 1].map(|number| &program.layers[number].nest);
        let drafts = [
            vec![Candidate { cycles: 100, nest: first, body: &[0; 32] }],
            vec![
                Candidate { cycles: cycles[0], nest: second, body: &[1; 32] },
                Candidate { cycles: cycles[1], nest: &staged, body: &[2; 32] },
            ],
        ];
        super::fitting(&program, &drafts, budget, &Known::default())
    }

    #[test]
    fn a_budget_leaves_out_what_needs_more() {
        // In place the first layer needs 64 bytes, the second 128: its halfwords leave room for nothing beside them.
        assert_eq!(fitting([100, 50], Some(256)), [vec![true], vec![true, true]]);
        assert_eq!(fitting([100, 50], Some(128)), [vec![true], vec![true, false]]);
        // What needs the least stays, whatever the budget.
        assert_eq!(fitting([100, 50], Some(1)), [vec![true], vec![true, false]]);
    }

    #[test]
    fn without_a_budget_speed_decides_how_large_the_arena_is() {
        assert_eq!(fitting([100, 50], None)[1], [true, true]);
        assert_eq!(fitting([100, 99], None)[1], [true, false]);
    }
}
