//! Where accesses go, as far as timing asks: addresses modulo the distance at which memory banks repeat.
//!
//! An address is a constant and a sum of loop variables times coefficients, so what its lowest bits are in how many of
//! all executions is a matter of counting.

use std::sync::Arc;

/// Bytes after which everything repeats: two banks of a word each.
const PERIOD: usize = 8;

/// The address of an access in all its executions: `constant + Σ coefficient * atom`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    constant: usize,
    /// By atom; none whose steps are multiples of the period.
    terms: Arc<[Term]>,
}

/// Something that takes each value from 0 to an end equally often, whatever the other atoms are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Which: the same number means the same value, within a function.
    pub atom: u32,
    /// Bytes for each step of it.
    pub coefficient: i64,
    /// Number of its values.
    pub extent: u32,
}

impl Address {
    /// An address; its base is a multiple of 8.
    pub fn new(constant: i64, terms: impl IntoIterator<Item = Term>) -> Self {
        let residue = |bytes: i64| bytes.rem_euclid(PERIOD as i64);
        let reduced = |term: Term| Term { coefficient: residue(term.coefficient), ..term };
        let mut terms: Vec<Term> =
            terms.into_iter().map(reduced).filter(|term| term.coefficient != 0).collect();
        terms.sort_by_key(|term| term.atom);
        Self { constant: residue(constant) as usize, terms: terms.into() }
    }

    /// An address that is any multiple of `bytes`, equally often.
    pub fn any_multiple(bytes: u32, atom: u32) -> Self {
        Self::new(0, [Term { atom, coefficient: bytes.into(), extent: PERIOD as u32 }])
    }

    /// The address this many bytes further on.
    pub fn plus(&self, bytes: i64) -> Self {
        let constant = (self.constant as i64 + bytes).rem_euclid(PERIOD as i64);
        Self { constant: constant as usize, terms: self.terms.clone() }
    }

    /// The part of the executions in which the address is `rest` modulo `by`, a divisor of 8.
    pub fn share_with_rest(&self, rest: usize, by: usize) -> f64 {
        let all = self.shares();
        (0..PERIOD).filter(|at| at % by == rest).map(|at| all[at]).sum()
    }

    /// Whether it is a multiple of `by`, a divisor of 8, in every execution.
    pub fn is_multiple(&self, by: usize) -> bool {
        self.constant.is_multiple_of(by) && self.terms.iter().all(|term| term.coefficient % by as i64 == 0)
    }

    /// The part of the executions with each residue.
    fn shares(&self) -> [f64; PERIOD] {
        let mut now = [0.0; PERIOD];
        now[self.constant] = 1.0;
        for term in self.terms.iter() {
            let mut after = [0.0; PERIOD];
            for (value, share) in values(term.extent as usize) {
                for (at, part) in now.iter().enumerate() {
                    after[(at + term.coefficient as usize * value) % PERIOD] += share * part;
                }
            }
            now = after;
        }
        now
    }

    /// The part of the executions in which both lie in the same of two banks: words alternate between them.
    pub fn share_in_one_bank(&self, other: &Address) -> f64 {
        if self.terms.is_empty() && other.terms.is_empty() {
            return if (self.constant ^ other.constant) & 4 == 0 { 1.0 } else { 0.0 };
        }
        let all = joint(self, other);
        let pairs = (0..PERIOD).flat_map(|a| (0..PERIOD).map(move |b| (a, b)));
        pairs.filter(|(a, b)| (a ^ b) & 4 == 0).map(|(a, b)| all[a][b]).sum()
    }
}

/// The part of the executions with each pair of residues.
fn joint(a: &Address, b: &Address) -> [[f64; PERIOD]; PERIOD] {
    let mut now = [[0.0; PERIOD]; PERIOD];
    now[a.constant][b.constant] = 1.0;
    let mut atoms: Vec<(u32, u32)> =
        a.terms.iter().chain(b.terms.iter()).map(|t| (t.atom, t.extent)).collect();
    atoms.sort_unstable();
    atoms.dedup_by_key(|(atom, _)| *atom);
    for (atom, extent) in atoms {
        let step = |address: &Address| {
            address.terms.iter().find(|term| term.atom == atom).map_or(0, |term| term.coefficient as usize)
        };
        now = moved(&now, [step(a), step(b)], extent as usize);
    }
    now
}

/// Shares after a term of both addresses is added, with a step for each and this many values.
fn moved(before: &[[f64; PERIOD]; PERIOD], steps: [usize; 2], extent: usize) -> [[f64; PERIOD]; PERIOD] {
    let mut after = [[0.0; PERIOD]; PERIOD];
    for (value, share) in values(extent) {
        for (a, row) in before.iter().enumerate() {
            for (b, part) in row.iter().enumerate() {
                after[(a + steps[0] * value) % PERIOD][(b + steps[1] * value) % PERIOD] += share * part;
            }
        }
    }
    after
}

/// The values of a term with an extent, modulo the period, and the part of the executions with each.
fn values(extent: usize) -> impl Iterator<Item = (usize, f64)> {
    (0..extent.min(PERIOD))
        .map(move |value| (value, (extent - value).div_ceil(PERIOD) as f64 / extent as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(constant: i64, atom: u32, coefficient: i64, extent: u32) -> Address {
        Address::new(constant, [Term { atom, coefficient, extent }])
    }

    #[test]
    fn two_walks_side_by_side_keep_their_distance() {
        let bytes = walk(16, 0, 1, 64);
        assert_eq!(bytes.share_in_one_bank(&walk(8, 0, 1, 64)), 1.0);
        assert_eq!(bytes.share_in_one_bank(&walk(4, 0, 1, 64)), 0.0);
        assert_eq!(bytes.share_in_one_bank(&walk(1, 0, 1, 64)), 0.75);
    }

    #[test]
    fn walks_of_different_loops_meet_half_of_the_time() {
        assert_eq!(walk(0, 0, 1, 64).share_in_one_bank(&walk(0, 1, 1, 8)), 0.5);
    }

    #[test]
    fn shares_equal_a_count_over_all_iterations() {
        let term = |atom, coefficient, extent| Term { atom, coefficient, extent };
        let a = Address::new(3, [term(0, 5, 7), term(1, -2, 11)]);
        let b = Address::new(-1, [term(1, 1, 11), term(2, 12, 3)]);
        let mut together = 0;
        for (i, j, k) in (0..7).flat_map(|i| (0..11).flat_map(move |j| (0..3).map(move |k| (i, j, k)))) {
            let (a, b): (i64, i64) = (3 + 5 * i - 2 * j, -1 + j + 12 * k);
            together += i64::from((a ^ b) & 4 == 0);
        }
        assert!((a.share_in_one_bank(&b) - together as f64 / (7 * 11 * 3) as f64).abs() < 1e-12);
    }

    #[test]
    fn rests_are_counted() {
        let halves = walk(2, 0, 2, 3); // 2, 4, 6
        assert!((halves.share_with_rest(2, 4) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(halves.share_with_rest(1, 2), 0.0);
        assert_eq!(Address::any_multiple(2, 0).share_with_rest(2, 4), 0.5);
        assert_eq!(halves.plus(2).share_with_rest(0, 8), 1.0 / 3.0);
    }
}
