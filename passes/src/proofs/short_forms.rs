//! Short forms: two to four operations that stand for a rescaling of some twenty, with constants found and proven here.
//!
//! ```text
//! ssat(C + ((x m) >> 32) + sign, bits) with a shift right by s before it saturates
//! ```
//!
//! `x = f a + D` is the accumulator as it arrives: `f` is a factor that the arithmetic before left in it, `D` goes into its
//! initial value. The rescaling and the form never fall, so they are equal over a range iff they pass every value at the
//! same accumulator ([`super::thresholds`]). For a given `m` and `s` each threshold bounds the whole offset
//! `K = D m + 2^32 C` from both sides; the constants are a point of that interval, not a sample. `sign` takes a power of two
//! off where `x` is negative, as the reference rounds ties there away from zero; above the zero point that has no effect.
//!
//! [`find`] gives only what [`Form::is_proven`] accepts, and that evaluates the operations as they are emitted, without the algebra
//! of the search. One shift serves all channels: a larger one is lowered by a smaller `m`.

use super::thresholds::{Steps, agrees};

/// How many of the nearest multipliers are tried.
const NEAREST: [i128; 7] = [0, 1, -1, 2, -2, 3, -3];

/// How many shifts below the greatest are tried.
const LOWER_SHIFTS: i32 = 4;

/// A step function to be put in a short form.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its steps, of the accumulator without factor.
    pub steps: Steps,
    /// The number that it multiplies by: a numerator over a power of two.
    pub slope: (i64, u32),
}

/// What all channels have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Whether a constant is added to the product's high word.
    pub adds: bool,
    /// Whether 2^31 is added to the product.
    pub rounds: bool,
    /// What is taken off the high word where `x` is negative: 2 to this power.
    pub sign: Option<u32>,
    /// The shift of the saturation.
    pub shift: i32,
    /// What the saturation leaves: the least and the greatest value.
    pub limits: (i32, i32),
}

/// The constants of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Constants {
    /// `m`.
    pub multiplier: i32,
    /// `C`.
    pub high: i32,
    /// `D`.
    pub offset: i32,
}

/// A short form of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// What it is made of.
    pub shape: Shape,
    /// Its numbers.
    pub constants: Constants,
    /// `f`.
    pub factor: i32,
}

/// A form for all channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is made of.
    pub shape: Shape,
    /// The numbers of each channel; those of channels that nothing uses are 0.
    pub constants: Vec<Constants>,
}

impl Shape {
    /// The operations that it takes for an output.
    pub fn operations(self) -> u32 {
        2 + match self.sign {
            None => 0,
            Some(0) => 1, // The addition shifts its operand.
            Some(_) => 2,
        }
    }
}

impl Form {
    /// The value for an accumulator, computed as the core does; `None` where something wraps.
    pub fn apply(&self, a: i32) -> Option<i32> {
        let Constants { multiplier, high, offset } = self.constants;
        let x = i64::from(a) * i64::from(self.factor) + i64::from(offset);
        let x = i64::from(i32::try_from(x).ok()?);
        let round = if self.shape.rounds { 1 << 31 } else { 0 };
        let sign = self.shape.sign.map_or(0, |power| (x >> 31) << power);
        let sum = i64::from(high) + sign + ((x * i64::from(multiplier) + round) >> 32);
        let (least, greatest) = self.shape.limits;
        let shifted = i64::from(i32::try_from(sum).ok()?) >> self.shape.shift;
        Some(shifted.clamp(least.into(), greatest.into()) as i32)
    }

    /// Whether it is the step function for every accumulator of the range, clamped to `clamp` behind it.
    pub fn is_proven(&self, steps: &Steps, (min, max): (i32, i32)) -> bool {
        let positive = self.constants.multiplier > 0 && self.factor > 0; // Else it falls.
        positive && agrees(steps, |a| self.apply(a).map(|value| value.clamp(min, max)))
    }
}

/// The form with the fewest operations, at most `most`, for all channels; else the least number of channels without one.
///
/// `wanted` has a step function for each channel, `None` for those that nothing uses; `clamp` is what may follow the form.
pub fn find(
    wanted: &[Option<Wanted>],
    factor: i32,
    limits: (i32, i32),
    clamp: (i32, i32),
    most: u32,
) -> Result<Found, usize> {
    let greatest = wanted.iter().flatten().filter_map(|wanted| wanted.greatest_shift(factor)).min();
    let mut least_failures = wanted.iter().flatten().count();
    let Some(greatest) = greatest else { return Err(least_failures) };
    for shape in shapes(factor, limits).into_iter().filter(|shape| shape.operations() <= most) {
        for shift in (0..=greatest).rev().take(LOWER_SHIFTS as usize + 1) {
            let shape = Shape { shift, ..shape };
            let mut failures = 0;
            let mut constants = Vec::with_capacity(wanted.len());
            for wanted in wanted {
                let found = match wanted {
                    Some(wanted) => wanted.solve(shape, factor, clamp),
                    None => Some(Constants::default()),
                };
                failures += usize::from(found.is_none());
                constants.push(found.unwrap_or_default());
                if failures >= least_failures {
                    break; // No better than what is known.
                }
            }
            if failures == 0 {
                return Ok(Found { shape, constants });
            }
            least_failures = least_failures.min(failures);
        }
    }
    Err(least_failures)
}

/// The forms to try, the shortest first.
fn shapes(factor: i32, limits: (i32, i32)) -> Vec<Shape> {
    let plain = Shape { adds: false, rounds: false, sign: None, shift: 0, limits };
    let mut shapes = Vec::new();
    // A sign is half of what the factor makes of a rounded product's unit.
    let halves = (factor >= 2 && factor.count_ones() == 1).then(|| factor.trailing_zeros() - 1);
    for sign in [None, halves].into_iter().take(1 + usize::from(halves.is_some())) {
        let one = Shape { sign, ..plain };
        let adds = Shape { adds: true, rounds: factor == 2, ..one }; // The reference's own constant is half a unit then.
        if sign.is_none() {
            shapes.extend([one, Shape { rounds: true, ..one }]);
        }
        shapes.extend([adds, Shape { rounds: !adds.rounds, ..adds }]);
    }
    shapes
}

impl Wanted {
    /// The greatest shift for which the multiplier is a positive word.
    fn greatest_shift(&self, factor: i32) -> Option<i32> {
        (0..=31).rev().find(|shift| (1..1 << 31).contains(&self.multiplier(*shift, factor)))
    }

    /// The multiplier nearest to `slope 2^(32 + shift) / factor`, rounded down.
    fn multiplier(&self, shift: i32, factor: i32) -> i128 {
        let (numerator, right) = self.slope;
        let numerator = i128::from(numerator) << (32 + shift);
        (numerator / i128::from(factor)) >> right
    }

    /// Constants for which the form is proven.
    fn solve(&self, shape: Shape, factor: i32, clamp: (i32, i32)) -> Option<Constants> {
        let middle = self.multiplier(shape.shift, factor);
        let multipliers = NEAREST.iter().map(|by| middle + by).filter(|m| (1..1 << 31).contains(m));
        let mut solutions = multipliers.filter_map(|m| {
            let interval = self.offsets(shape, factor, m, clamp)?;
            let is_proven = |constants: &Constants| {
                Form { shape, constants: *constants, factor }.is_proven(&self.steps, clamp)
            };
            split(shape, m, interval).find(is_proven)
        });
        solutions.next()
    }

    /// The least and the greatest whole offset for which the form passes every value at the right place.
    ///
    /// The sign is taken where the accumulator is negative; `x` may turn negative elsewhere, which the proof then looks at.
    fn offsets(&self, shape: Shape, factor: i32, m: i128, (min, max): (i32, i32)) -> Option<(i128, i128)> {
        let unit = 32 + shape.shift;
        let product = |a: i32| {
            let sign = shape.sign.map_or(0, |power| i128::from(a < 0) << (32 + power));
            let round = i128::from(shape.rounds) << 31;
            i128::from(factor) * i128::from(a) * m - sign + round
        };
        let (mut low, mut high) = (-(1i128 << 80), 1i128 << 80);
        for (v, a) in &self.steps.thresholds {
            let v = i128::from(*v) << unit;
            low = low.max(v - product(*a));
            high = high.min(v - 1 - product(a - 1));
        }
        let least = shape.limits.0.max(min);
        let greatest = shape.limits.1.min(max);
        if self.steps.first > least {
            low = low.max((i128::from(self.steps.first) << unit) - product(self.steps.range.0));
        }
        if self.steps.last() < greatest {
            let above = i128::from(self.steps.last()) + 1;
            high = high.min((above << unit) - 1 - product(self.steps.range.1));
        }
        (low <= high).then_some((low, high))
    }
}

/// The ways to write a whole offset of the interval as `D m + 2^32 C`, small `D` first.
fn split(shape: Shape, m: i128, (low, high): (i128, i128)) -> impl Iterator<Item = Constants> {
    let ceil = |n: i128, d: i128| -(-n).div_euclid(d);
    let least = ceil(low, m);
    let only = (!shape.adds && least * m <= high).then_some((least, 0));
    let several =
        if shape.adds { [1, -1].map(|sign| least_offset(sign * m, (low, high))) } else { [None; 2] };
    let mut several: Vec<(i128, i128)> =
        several.into_iter().zip([1, -1]).filter_map(|(d, sign)| Some((sign * d?, 0))).collect();
    several.sort_by_key(|(d, _)| d.abs());
    several.iter_mut().for_each(|(d, c)| *c = ceil(low - *d * m, 1 << 32));
    only.into_iter().chain(several).filter_map(move |(d, c)| {
        let (multiplier, high, offset) = (m.try_into().ok()?, c.try_into().ok()?, d.try_into().ok()?);
        Some(Constants { multiplier, high, offset })
    })
}

/// The least `d >= 0` for which `d m` lies in the interval, but for a multiple of 2^32.
fn least_offset(m: i128, (low, high): (i128, i128)) -> Option<i128> {
    const WORD: i128 = 1 << 32;
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
