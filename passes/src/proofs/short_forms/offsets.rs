//! Offsets of a short form: those with which it passes every value at the right place, and ways to write one as `D m + 2^32 C`.

use ir::ty::Ty;

use super::{Base, Constants, Shape, WORD};
use crate::proofs::corners::Point;
use crate::proofs::interval::Interval;

/// More than any offset.
const ANYTHING: i128 = 1 << 80;

/// How an offset is split into `D` and `C`.
#[derive(Clone, Copy)]
pub enum Split {
    /// With a small `D`.
    Any,
    /// The same, and the others take its `C`.
    Common,
    /// With this `C`.
    High(i32),
    /// So that what the sum starts with and `C` are of these types.
    Within { start: Ty, high: Ty },
}

/// What is settled of a channel's constants before its offset.
pub struct Ways {
    /// What all channels have in common.
    pub shape: Shape,
    /// The shift of the saturation.
    pub shift: i32,
    /// What is taken off below zero.
    pub sign: i32,
    /// The multiplier, counted with the base.
    pub m: i128,
}

/// Why a multiplier leaves no offset.
pub enum Missed {
    /// This multiplier less so much may do, none between.
    TooSteepBy(i128),
    /// This multiplier and so much may do, none between.
    TooFlatBy(i128),
}

impl Missed {
    /// What is above another number by `excess`, and rises by `slope` against it with each multiplier.
    fn of(excess: i128, slope: i128) -> Self {
        match slope {
            0 => Missed::TooSteepBy(WORD), // No multiplier helps.
            1.. => Missed::TooSteepBy(ceil(excess, slope)),
            _ => Missed::TooFlatBy(ceil(excess, -slope)),
        }
    }
}

impl Ways {
    /// The least and the greatest whole offset for an accumulator with a factor, the shift to the left included: with which the form is
    /// at least each of the values `reached` at its accumulator, and less than each `stayed_below`.
    pub fn offsets(
        &self,
        factor: i128,
        reached: impl Iterator<Item = Point>,
        stayed_below: impl Iterator<Item = Point>,
    ) -> Result<(i128, i128), Missed> {
        let unit = 32 + self.shift;
        let (slope, sign) = (factor * self.m, i128::from(self.sign) * WORD);
        let round = i128::from(self.shape.rounds) << 31;
        let reaching = |(v, a): Point| {
            let a = i128::from(a);
            let sign = if a < 0 { sign } else { 0 };
            ((i128::from(v) << unit) - (slope * a - sign + round), a)
        };
        let (low, low_at) = reached.map(reaching).max().unwrap_or((-ANYTHING, 0));
        let (above, above_at) = stayed_below.map(reaching).min().unwrap_or((ANYTHING, 0));
        if low < above {
            Ok((low, above - 1))
        } else {
            Err(Missed::of(low - (above - 1), factor * (above_at - low_at)))
        }
    }

    /// The ways to write a whole offset of the interval as `D m + 2^32 C`, the best first.
    pub fn split(&self, (low, high): (i128, i128), split: Split, start: Option<i32>) -> Vec<Constants> {
        let half = if self.shape.base == Base::HalfSign { i128::from(self.sign >> 1) * WORD } else { 0 };
        let interval = (low - half, high - half);
        let pairs = match (self.shape.base, split) {
            (Base::Constant | Base::HalfSign, Split::Any | Split::Common) => self.with_small_offset(interval),
            (Base::Constant | Base::HalfSign, Split::High(high)) => self.with_high(interval, high.into()),
            (Base::Constant | Base::HalfSign, Split::Within { start: ty, high }) => {
                let start = if ty == Ty::I32 { start.or(Some(0)) } else { start };
                let within = start.and_then(|start| self.within(interval, start.into(), (ty, high)));
                within.into_iter().collect()
            }
            (Base::Zero | Base::Itself, _) => self.with_high(interval, 0),
        };
        let multiplier = if self.shape.base == Base::Itself { self.m - WORD } else { self.m };
        let (sign, shift) = (self.sign, self.shift);
        let constants = |(d, c): (i128, i128)| {
            let (multiplier, high, offset) =
                (multiplier.try_into().ok()?, c.try_into().ok()?, d.try_into().ok()?);
            Some(Constants { multiplier, high, offset, sign, shift })
        };
        pairs.into_iter().filter_map(constants).collect()
    }

    /// The two with the smallest `D` of either sign.
    fn with_small_offset(&self, (low, high): (i128, i128)) -> Vec<(i128, i128)> {
        let m = self.m;
        let offset = |sign: i128| Some(sign * least_offset(sign * m, (low, high))?);
        let pair = |d: i128| (d, ceil(low - d * m, WORD));
        let mut pairs: Vec<_> = [1, -1].into_iter().filter_map(offset).map(pair).collect();
        pairs.sort_by_key(|(d, _)| d.abs());
        pairs
    }

    /// The one with this `C`, if there is one.
    fn with_high(&self, (low, high): (i128, i128), c: i128) -> Vec<(i128, i128)> {
        let (low, high) = (low - c * WORD, high - c * WORD);
        let nearest = match self.m {
            0 => 0,
            m if low > 0 => ceil(low, m),
            m => high.min(0).div_euclid(m),
        };
        if (low..=high).contains(&(nearest * self.m)) { vec![(nearest, c)] } else { Vec::new() }
    }

    /// The one with the least `D` with which what the sum starts with, and `C`, are of these types.
    fn within(&self, (low, high): (i128, i128), start: i128, types: (Ty, Ty)) -> Option<(i128, i128)> {
        let m = self.m;
        let limits = |ty: Ty| {
            let Interval { low, high } = Interval::of_type(ty);
            (i128::from(low), i128::from(high))
        };
        let ((start_low, start_high), (c_low, c_high)) = (limits(types.0), limits(types.1));
        let (mut least, mut most) = (start_low - start, start_high - start);
        if m > 0 {
            least = least.max(ceil(low - c_high * WORD, m));
            most = most.min((high - c_low * WORD).div_euclid(m));
        }
        let d = least + least_offset(m, (low - least * m, high - least * m))?;
        let c = ceil(low - d * m, WORD);
        (d <= most && (c_low..=c_high).contains(&c)).then_some((d, c))
    }
}

/// A quotient, rounded up.
fn ceil(n: i128, d: i128) -> i128 {
    -(-n).div_euclid(d)
}

/// The least `d >= 0` for which `d m` lies in the interval, but for a multiple of 2^32.
fn least_offset(m: i128, (low, high): (i128, i128)) -> Option<i128> {
    let start = low.rem_euclid(WORD);
    let end = start + (high - low);
    if end >= WORD {
        return Some(0); // A multiple of 2^32 lies in it.
    }
    first_in_range(m.rem_euclid(WORD), WORD, start, end)
}

/// The least `x >= 0` with `m x mod n` in `low..=high`, for `0 <= m < n` and `0 <= low <= high < n`: Euclid's algorithm on the
/// number of times that `m x` passes `n`.
fn first_in_range(m: i128, n: i128, low: i128, high: i128) -> Option<i128> {
    if low == 0 {
        return Some(0);
    }
    if m == 0 {
        return None;
    }
    let x = (low + m - 1) / m;
    if x * m <= high {
        return Some(x);
    }
    // No multiple of `m` is between: so this interval does not wrap.
    let passes = first_in_range(n % m, m, (-high).rem_euclid(m), (-low).rem_euclid(m))?;
    Some((n * passes + low + m - 1) / m)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_multiple_in_a_range_is_the_first() {
        for n in 1..24 {
            for m in 0..n {
                for low in 0..n {
                    for high in low..n {
                        let first = (0..n).find(|x| (low..=high).contains(&(m * x % n)));
                        assert_eq!(first_in_range(m, n, low, high), first, "{m} mod {n} in {low}..={high}");
                    }
                }
            }
        }
    }
}
