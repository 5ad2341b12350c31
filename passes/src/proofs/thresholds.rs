//! Thresholds: what a step function of an accumulator is, in at most 255 numbers.
//!
//! A rescaling to a byte never falls as the accumulator grows, so over a range it is given by its first value and, for each
//! value `v` above that, the least accumulator `a` that reaches `v`. [`Steps::of`] finds them by bisection on the function
//! itself, the exact one of [`ir::fixed`]; no formula for them has to be trusted.
//!
//! [`agrees`] proves that another function, which never falls either, is the same for *every* accumulator of the range:
//!
//! - it is at least `v` at each `a`, and below `v` at `a - 1`, so that it passes each value at the same place;
//! - it has the same values at both ends, so that it passes no other value within.
//!
//! What is proven holds within the range only; [`super::accumulators`] proves ranges from the weights. Where a rescaling is
//! no step function, because its left shift wraps or its multiplier is negative, there are no thresholds and no proof.

use ir::fixed::{Multiplier, multiply_by_quantized_multiplier};

use super::corners::{Point, Side, corners};

/// Most values that a function may pass on its way.
pub const MOST_STEPS: usize = 255;

/// The least and the greatest accumulator, both included.
pub type Range = (i32, i32);

/// From an accumulator to an element, as the operation `requantize` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rescale {
    /// The factor.
    pub multiplier: Multiplier,
    /// What is added behind it.
    pub zero: i32,
    /// The least result.
    pub min: i32,
    /// The greatest result.
    pub max: i32,
}

/// A function that never falls, over a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Where it is known.
    pub range: Range,
    /// Its value at the least accumulator.
    pub first: i32,
    /// Each value above the first that it reaches, ascending, with the least accumulator that reaches it.
    pub thresholds: Vec<(i32, i32)>,
    /// Of the thresholds those that limit lines which are to reach each value there.
    pub(super) reaching: Vec<Point>,
    /// Values and the accumulators before they are reached, where they limit lines which are to stay below them.
    pub(super) staying: Vec<Point>,
}

impl Rescale {
    /// The element for an accumulator.
    pub fn apply(self, a: i32) -> i32 {
        let Multiplier { value, shift } = self.multiplier;
        let scaled = multiply_by_quantized_multiplier(a, value, shift.clamp(-31, 31));
        scaled.wrapping_add(self.zero).max(self.min).min(self.max)
    }

    /// The thresholds over a range; `None` where the rescaling wraps within, falls, or passes more than [`MOST_STEPS`] values.
    pub fn steps(self, range: Range) -> Option<Steps> {
        self.never_falls(range).then(|| Steps::of(range, |a| self.apply(a)))?
    }

    /// Every part of it never falls: a left shift that does not wrap, a product rounded to nearest, a rounding shift, and a
    /// sum that does not wrap.
    fn never_falls(self, (low, high): Range) -> bool {
        let Multiplier { value, shift } = self.multiplier;
        let fits = |a: i32| {
            let shifted = i64::from(a) << shift.clamp(0, 31);
            let scaled = multiply_by_quantized_multiplier(a, value, shift.clamp(-31, 31));
            i32::try_from(shifted).is_ok() && scaled.checked_add(self.zero).is_some()
        };
        value >= 0 && self.min <= self.max && low <= high && fits(low) && fits(high)
    }
}

impl Steps {
    /// The thresholds of `f`, which never falls within the range; `None` if it passes more than [`MOST_STEPS`] values.
    pub fn of(range: Range, f: impl Fn(i32) -> i32) -> Option<Steps> {
        let (first, last) = (f(range.0), f(range.1));
        if i64::from(last) - i64::from(first) > MOST_STEPS as i64 {
            return None;
        }
        let mut below = i64::from(range.0); // The value before `v` is reached here, `v` is not.
        let mut length = i64::from(range.1) - below; // Of the step before.
        let mut thresholds = Vec::new();
        for v in i64::from(first) + 1..=i64::from(last) {
            let v = v as i32;
            // It may rise by several values at once.
            let reached = if f(below as i32) < v {
                first_reaching(&f, v, (below, range.1.into()), below + length)
            } else {
                below
            };
            thresholds.push((v, reached as i32));
            length = reached - below;
            below = reached;
        }
        let reaching = corners(thresholds.iter().copied(), Side::Below);
        let staying = corners(thresholds.iter().map(|(v, a)| (*v, a - 1)), Side::Above);
        Some(Steps { range, first, thresholds, reaching, staying })
    }

    /// The value at the greatest accumulator.
    pub fn last(&self) -> i32 {
        self.thresholds.last().map_or(self.first, |(v, _)| *v)
    }
}

/// The least accumulator that reaches `v`: more than `below`, at most `reached`, and perhaps close to `about`.
fn first_reaching(f: &impl Fn(i32) -> i32, v: i32, (mut below, mut reached): (i64, i64), about: i64) -> i64 {
    let mut near = [about + 1, about - 2].into_iter(); // Steps of a rescaling have about the same length.
    while reached - below > 1 {
        let middle = (below + reached).div_euclid(2);
        let at = near.next().filter(|near| below < *near && *near < reached).unwrap_or(middle);
        if f(at as i32) >= v { reached = at } else { below = at }
    }
    reached
}

/// Whether `f`, which never falls within the range, has these steps; where `f` gives `None` it has not.
pub fn agrees(steps: &Steps, f: impl Fn(i32) -> Option<i32>) -> bool {
    let passes = |(v, a): &(i32, i32)| {
        f(*a).is_some_and(|value| value >= *v)
            && a.checked_sub(1).and_then(&f).is_some_and(|value| value < *v)
    };
    f(steps.range.0) == Some(steps.first)
        && f(steps.range.1) == Some(steps.last())
        && steps.thresholds.iter().all(passes)
}
