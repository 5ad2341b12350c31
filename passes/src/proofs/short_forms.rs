//! Short forms: two to five operations that stand for a rescaling of more, with constants found and proven here.
//!
//! ```text
//! x = (y << left) + D
//! h = base + ((x m) >> 32) - [x < 0] S        // base is nothing, C, C + S/2, or x
//! saturate(h >> s)
//! ```
//!
//! `y = f a` is the accumulator as it arrives: `f` is a factor that the arithmetic before left in it. Where nothing is shifted
//! left, `D` goes into its initial value. The rescaling and the form never fall, so they are equal over a range iff they pass every
//! value at the same accumulator ([`super::thresholds`]). For a given `m` and `s` each threshold bounds the whole offset
//! `K = D m + 2^32 C` from both sides; the constants are a point of that interval, not a sample. `S` is a unit of the reference's first
//! rounding: it rounds ties away from zero, so below zero a tie goes down. Above the zero point that has no effect. Half a unit is what
//! the first rounding adds, so with `C + S/2` all channels have one `C`. With `x` as base the multiplier counts 2^32 more: one more bit of it fits.
//!
//! [`find`] gives only what [`Form::is_proven`] accepts, and that evaluates the operations as they are emitted, without the algebra
//! of the search. One shift serves all channels where that can be: a larger one is lowered by a smaller `m`. Else each has its own.
//! Of forms that cost the same that one is taken whose tables are narrowest: the interval mostly has a point with which both `C` and what
//! the sum starts with are halfwords.

mod offsets;

use ir::ty::Ty;

use self::offsets::{Missed, Split, Ways};
use super::thresholds::{Steps, agrees};

/// How many of the nearest multipliers are tried.
const NEAREST: [i128; 7] = [0, 1, -1, 2, -2, 3, -3];
/// How far multipliers are off, by powers of two, where ties are at the same place of every step: a slope that is too steep parts them.
const TILTS: [u32; 5] = [4, 8, 12, 16, 20];
/// Multipliers that are tried where the result is the same for every accumulator.
const ANY_MULTIPLIER: [i128; 5] = [0, 1 << 30, 1 << 24, 1 << 16, 1 << 31];
/// How many shifts below the greatest are tried.
const LOWER_SHIFTS: i32 = 4;
/// Shifts that are a multiple of this are preferred, so that layers agree on one and can share their code.
const ROUND_SHIFT: i32 = 4;
/// How many constants that all channels have in common are tried.
const COMMON_TRIED: usize = 4;
/// The longest shift to the left of a raw accumulator that is tried.
const MOST_LEFT: u32 = 8;
/// The longest form.
pub const LONGEST: u32 = 5;
/// How far multipliers are off, to both sides, that are tried where none of the nearest leaves room for an offset: from 4 on, four for each
/// doubling. A multiplier of 31 bits may be off by as much as the accumulators are shorter, and each leaves room elsewhere.
const DOUBLINGS: u32 = 16;
/// For how many shapes the channels without solution are counted; behind them the first one decides.
const COUNTED_SHAPES: usize = 2;
/// How many factors are tried for a channel, from the greatest on.
const MOST_FACTORS: usize = 64;
/// Types of what a sum starts with and of `C` that are tried, those with the fewest bytes in all first.
const WIDTHS: [(Ty, Ty); 5] =
    [(Ty::I16, Ty::I16), (Ty::U16, Ty::I16), (Ty::I32, Ty::I8), (Ty::I32, Ty::I16), (Ty::I16, Ty::I32)];
const WORD: i128 = 1 << 32;
const WORD_BYTES: u32 = 4;

/// A step function to be put in a short form.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its steps, of the accumulator without factor.
    pub steps: Steps,
    /// The number that it multiplies by: a numerator over a power of two.
    pub slope: (i64, u32),
    /// What the accumulator is multiplied by already.
    pub factor: i32,
    /// The bits that its second rounding drops, where ties go away from zero.
    pub dropped: Option<u32>,
    /// Whether all steps have the same length, and ties go away from zero: as of a division by a whole number.
    pub is_even: bool,
    /// What the sum starts with, if that is a constant which the offset goes into.
    pub start: Option<i32>,
}

/// What the high word of the product is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Zero,
    /// A constant of the channel.
    Constant,
    /// A constant of all channels, and half of what the sign takes off.
    HalfSign,
    /// The number that is multiplied.
    Itself,
}

/// What is taken off where `x` is negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// 2 to this power.
    Power(u32),
    /// A constant of the channel.
    Constant,
}

/// What all channels have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How far the accumulator is shifted left first.
    pub left: u32,
    /// What the high word is added to.
    pub base: Base,
    /// Whether 2^31 is added to the product.
    pub rounds: bool,
    /// What is taken off, if that depends on the sign.
    pub sign: Option<Sign>,
    /// The shift of the saturation; `None` where each channel has its own.
    pub shift: Option<i32>,
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
    /// `S`.
    pub sign: i32,
    /// `s`.
    pub shift: i32,
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

/// What a form takes, the most important first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost {
    /// Operations for each output.
    pub operations: u32,
    /// Constants that differ from channel to channel.
    pub loads: u32,
    /// Other constants.
    pub registers: u32,
    /// Bytes of the constants of a channel that differ, what the sum starts with among them.
    pub bytes: u32,
}

impl Cost {
    /// What both take.
    pub fn and(self, other: Cost) -> Cost {
        Cost {
            operations: self.operations + other.operations,
            loads: self.loads + other.loads,
            registers: self.registers + other.registers,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl Shape {
    /// The operations that it takes for an output, if the offset takes none.
    pub fn operations(self) -> u32 {
        let sign = match self.sign {
            None => 0,
            Some(Sign::Power(0)) => 1, // The addition shifts its operand.
            Some(_) => 2,
        };
        2 + u32::from(self.left > 0) + u32::from(self.shift.is_none()) + sign
    }
}

impl Found {
    /// What it takes; an offset that is not free is an operation by itself, or one with the shift to the left.
    pub fn cost(&self, wanted: &[Option<Wanted>], offset_is_free: bool) -> Cost {
        let Shape { left, base, sign, shift, .. } = self.shape;
        let mut cost = Cost { operations: self.shape.operations(), ..Cost::default() };
        let used = || self.constants.iter().zip(wanted).filter_map(|(c, wanted)| Some((c, wanted.as_ref()?)));
        let mut constant = |of: &dyn Fn(&Constants) -> i32| {
            let mut values = used().map(|(c, _)| of(c));
            let first = values.next().unwrap_or(0);
            match values.all(|value| value == first) {
                true => cost.registers += u32::from(first != 0),
                false => {
                    cost.loads += 1;
                    cost.bytes += width(used().map(|(c, _)| of(c).into()));
                }
            }
        };
        constant(&|constants| constants.multiplier);
        if matches!(base, Base::Constant | Base::HalfSign) {
            constant(&|constants| constants.high);
        }
        if sign == Some(Sign::Constant) {
            constant(&|constants| constants.sign);
        }
        if shift.is_none() {
            constant(&|constants| constants.shift);
        }
        if left > 0 || !offset_is_free {
            constant(&|constants| constants.offset);
        }
        let starts: Option<Vec<i64>> = used().map(|(c, wanted)| wanted.starts_with(c.offset)).collect();
        cost.bytes += starts.map_or(WORD_BYTES, |starts| width(starts.into_iter()));
        let has_offset = self.constants.iter().any(|constants| constants.offset != 0);
        cost.operations += u32::from(left == 0 && !offset_is_free && has_offset);
        cost
    }
}

/// Bytes of the narrowest integer that each of these is.
fn width(numbers: impl Iterator<Item = i64> + Clone) -> u32 {
    let (least, greatest) = (numbers.clone().min().unwrap_or(0), numbers.max().unwrap_or(0));
    let fits = |bytes: &u32| {
        let values = 1i64 << (8 * bytes);
        (least >= 0 && greatest < values) || (least >= -values / 2 && greatest < values / 2)
    };
    [1, 2].into_iter().find(fits).unwrap_or(WORD_BYTES)
}

impl Form {
    /// The value for an accumulator, computed as the core does; `None` where something wraps.
    pub fn apply(&self, a: i32) -> Option<i32> {
        let Shape { left, base, rounds, sign, shift, limits } = self.shape;
        let Constants { multiplier, high, offset, .. } = self.constants;
        let y = i64::from(a) * i64::from(self.factor);
        let x = i64::from(i32::try_from((y << left) + i64::from(offset)).ok()?);
        let base = match base {
            Base::Zero => 0,
            Base::Constant => i64::from(high),
            Base::HalfSign => i64::from(high) + i64::from(self.constants.sign >> 1),
            Base::Itself => x,
        };
        let sign = match sign {
            None => 0,
            Some(Sign::Power(power)) => 1 << power,
            Some(Sign::Constant) => i64::from(self.constants.sign),
        };
        let round = if rounds { 1 << 31 } else { 0 };
        let product = (x * i64::from(multiplier) + round) >> 32;
        let h = i32::try_from(base + (x >> 31) * sign + product).ok()?;
        let shifted = h >> u32::try_from(shift.unwrap_or(self.constants.shift)).ok().filter(|by| *by < 32)?;
        Some(shifted.clamp(limits.0, limits.1))
    }

    /// Whether it is the step function for every accumulator of the range, clamped to `clamp` behind it.
    pub fn is_proven(&self, steps: &Steps, (min, max): (i32, i32)) -> bool {
        let by_itself = i64::from(self.shape.base == Base::Itself) << 32;
        let slope = i64::from(self.constants.multiplier) + by_itself;
        let off = match self.shape.sign {
            Some(Sign::Constant) => self.constants.sign,
            _ => 0,
        };
        let rises = slope >= 0 && self.factor > 0 && off >= 0 && self.shape.left < 31;
        rises && agrees(steps, |a| self.apply(a).map(|value| value.clamp(min, max)))
    }
}

/// What [`find`] is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Query<'w> {
    /// A step function for each channel, `None` for those that nothing uses.
    pub wanted: &'w [Option<Wanted>],
    /// What the saturation leaves.
    pub limits: (i32, i32),
    /// What may follow the form.
    pub clamp: (i32, i32),
    /// Whether an offset can be part of an initial value.
    pub offset_is_free: bool,
    /// What it may take.
    pub most: Cost,
    /// The shift of the saturation, where it is given.
    pub shift: Option<i32>,
}

/// The form of the least cost for all channels, of those with the fewest operations; else the least number of channels that were
/// seen without one.
pub fn find(query: &Query) -> Result<Found, usize> {
    let mut least_failures = query.wanted.iter().flatten().count();
    let mut best: Option<(Cost, Found)> = None;
    for (number, shape) in query.shapes().into_iter().enumerate() {
        if let Some((cost, found)) = &best {
            let is_longer = shape.operations() > cost.operations;
            let is_alike =
                Shape { shift: found.shape.shift, ..shape } == found.shape && shape.shift.is_some();
            if is_longer || is_alike || shape.left > found.shape.left {
                continue; // Another shift costs the same.
            }
        }
        let most_failures = if number < COUNTED_SHAPES { least_failures } else { 1 };
        for &split in query.splits(shape) {
            match query.solve(shape, split, most_failures) {
                Ok(found) => {
                    let cost = found.cost(query.wanted, query.offset_is_free);
                    if cost <= query.most && best.as_ref().is_none_or(|(best, _)| cost < *best) {
                        best = Some((cost, found));
                    }
                    break;
                }
                Err(failures) => least_failures = least_failures.min(failures),
            }
        }
    }
    best.map(|(cost, found)| query.narrowed(cost, found)).ok_or(least_failures)
}

/// A factor for each channel, at most `most`, with which a product and a saturation with one shift are proven for all.
pub fn find_factors(query: &Query, most: &[i32]) -> Option<Vec<i32>> {
    let used = || query.wanted.iter().zip(most).filter_map(|(wanted, most)| Some((wanted.as_ref()?, *most)));
    let rising = used().filter(|(wanted, _)| wanted.slope.0 != 0);
    let greatest = rising.map(|(wanted, most)| wanted.with_factor(most).greatest_shift(0, Base::Zero));
    let greatest = greatest.min().unwrap_or(Some(0))?;
    let shifts = ((greatest - LOWER_SHIFTS).max(0)..=greatest).rev();
    shifts.flat_map(|shift| [(shift, false), (shift, true)]).find_map(|(shift, rounds)| {
        let shape =
            Shape { left: 0, base: Base::Zero, rounds, sign: None, shift: Some(shift), limits: query.limits };
        let factor = |(wanted, most): (&Option<Wanted>, &i32)| {
            let Some(wanted) = wanted else { return Some(1) };
            let tried = (1..=*most).rev().take(MOST_FACTORS);
            tried
                .into_iter()
                .find(|factor| wanted.with_factor(*factor).solve(shape, query.clamp, Split::Any).is_some())
        };
        query.wanted.iter().zip(most).map(factor).collect()
    })
}

impl Query<'_> {
    /// The shapes to try, the shortest first.
    fn shapes(&self) -> Vec<Shape> {
        let mut shapes = Vec::new();
        for left in 0..=MOST_LEFT {
            for base in [Base::Zero, Base::Constant, Base::HalfSign, Base::Itself] {
                for shift in self.shifts(left, base) {
                    let sign = self.sign(left, base, shift);
                    for sign in [None].into_iter().chain(sign.map(Some)) {
                        if base == Base::HalfSign && sign != Some(Sign::Constant) {
                            continue; // A common sign has a common base anyway.
                        }
                        for rounds in [false, true] {
                            shapes.push(Shape { left, base, rounds, sign, shift, limits: self.limits });
                        }
                    }
                }
            }
        }
        shapes.retain(|shape| shape.operations() <= self.most.operations.min(LONGEST));
        let by_cost =
            |shape: &Shape| (shape.operations(), matches!(shape.base, Base::Constant | Base::HalfSign));
        shapes.sort_by_key(by_cost); // Stable.
        shapes
    }

    /// How the offset may be split, the best way first.
    fn splits(&self, shape: Shape) -> &'static [Split] {
        match shape.base {
            Base::Constant if shape.left == 0 && self.offset_is_free => &[Split::Common, Split::Any],
            Base::HalfSign => &[Split::Common],
            _ => &[Split::Any],
        }
    }

    /// The shifts to try, round ones first, then the greatest; `None` stands for one of each channel's own.
    fn shifts(&self, left: u32, base: Base) -> Vec<Option<i32>> {
        let rising = self.wanted.iter().flatten().filter(|wanted| wanted.slope.0 != 0);
        let all: Option<Vec<i32>> = rising.map(|wanted| wanted.greatest_shift(left, base)).collect();
        let Some(all) = all else { return Vec::new() };
        let least = all.iter().copied().min().unwrap_or(0);
        let is_same = all.iter().all(|shift| *shift == least);
        let mut shifts: Vec<Option<i32>> = match base {
            Base::Itself if is_same => vec![Some(least)],
            Base::Itself => Vec::new(),
            Base::Zero | Base::Constant | Base::HalfSign => {
                ((least - LOWER_SHIFTS).max(0)..=least).rev().map(Some).collect()
            }
        };
        shifts.sort_by_key(|shift| shift.is_none_or(|shift| shift % ROUND_SHIFT != 0)); // Stable.
        if !is_same {
            shifts.push(None);
        }
        match self.shift {
            None => shifts,
            // However far a lower one is: the proof tells whether the multipliers have bits enough.
            Some(given) if base != Base::Itself && (0..=least).contains(&given) => vec![Some(given)],
            Some(given) => shifts.into_iter().filter(|shift| *shift == Some(given)).collect(),
        }
    }

    /// What is taken off below zero: a unit of the first rounding in each channel; `None` where it is a fraction or nothing.
    fn sign(&self, left: u32, base: Base, shift: Option<i32>) -> Option<Sign> {
        let units = self.wanted.iter().flatten().map(|wanted| wanted.unit(left, base, shift));
        let units: Vec<i32> = units.collect::<Option<_>>()?;
        let first = *units.first().filter(|unit| **unit >= 0)?;
        match units.iter().all(|unit| *unit == first) {
            true => (first > 0).then(|| Sign::Power(first.trailing_zeros())),
            false => Some(Sign::Constant),
        }
    }

    /// Constants of all channels, or how many have none, counted up to a number. Where they have to have a `C` in common, it is that of the
    /// first channel, or of one that does without that of another.
    fn solve(&self, shape: Shape, split: Split, most_failures: usize) -> Result<Found, usize> {
        let Split::Common = split else {
            return self.solve_split(shape, split, most_failures).map_err(|failed| failed.len());
        };
        let first = |wanted: &Wanted| wanted.solve(shape, self.clamp, Split::Common);
        let mut next = self.wanted.iter().flatten().next().map(first);
        let (mut tried, mut least_failures) = (Vec::new(), most_failures.max(1));
        while let Some(Some(Constants { high, .. })) = next
            && !tried.contains(&high)
            && tried.len() < COMMON_TRIED
        {
            match self.solve_split(shape, Split::High(high), most_failures) {
                Ok(found) => return Ok(found),
                Err(failed) => {
                    least_failures = least_failures.min(failed.len());
                    next = failed.first().map(|wanted| first(wanted));
                }
            }
            tried.push(high);
        }
        Err(least_failures)
    }

    /// The same for a way to split offsets that does not depend on other channels; the error has the channels that have none.
    fn solve_split(&self, shape: Shape, split: Split, most_failures: usize) -> Result<Found, Vec<&Wanted>> {
        let mut constants = Vec::with_capacity(self.wanted.len());
        let mut failed = Vec::new();
        for wanted in self.wanted {
            let found = match wanted {
                Some(wanted) => wanted.solve(shape, self.clamp, split),
                None => Some(Constants::default()),
            };
            failed.extend(wanted.as_ref().filter(|_| found.is_none()));
            constants.push(found.unwrap_or_default());
            if failed.len() >= most_failures.max(1) {
                return Err(failed);
            }
        }
        if failed.is_empty() { Ok(Found { shape, constants }) } else { Err(failed) }
    }

    /// The form, or one that costs the same but has narrower tables: what the sum starts with is then as free as `C` is.
    fn narrowed(&self, cost: Cost, found: Found) -> Found {
        if found.shape.base != Base::Constant || found.shape.left > 0 || !self.offset_is_free {
            return found;
        }
        let alike = |shape: &Shape| {
            let Shape { shift, rounds, sign, .. } = *shape;
            Shape { shift, rounds, sign, ..found.shape } == *shape
                && (shift.is_some(), sign.is_some())
                    == (found.shape.shift.is_some(), found.shape.sign.is_some())
        };
        let shapes: Vec<Shape> = self.shapes().into_iter().filter(alike).collect();
        let narrower = |(start, high): &(Ty, Ty)| {
            let split = Split::Within { start: *start, high: *high };
            let forms = shapes.iter().filter_map(|shape| self.solve(*shape, split, 1).ok());
            forms.into_iter().find(|form| form.cost(self.wanted, self.offset_is_free) < cost)
        };
        WIDTHS.iter().find_map(narrower).unwrap_or(found)
    }
}

impl Wanted {
    /// The same function of an accumulator that arrives with another factor.
    pub fn with_factor(&self, factor: i32) -> Self {
        Self { factor, ..self.clone() }
    }

    /// What the sum starts with where the offset is in it.
    fn starts_with(&self, offset: i32) -> Option<i64> {
        Some(i64::from(self.start?) + i64::from(offset))
    }

    /// The factor of the number that is multiplied.
    fn factor(&self, left: u32) -> i128 {
        i128::from(self.factor) << left
    }

    /// The greatest shift for which the multiplier fits.
    fn greatest_shift(&self, left: u32, base: Base) -> Option<i32> {
        // The multiplier doubles with the shift.
        let fits = |shift: i32| self.multiplier(shift, left) < multipliers(base).end;
        let (mut least, mut end) = (0, 32); // The first that does not fit is one of these.
        while least < end {
            let middle = (least + end) / 2;
            if fits(middle) { least = middle + 1 } else { end = middle }
        }
        let greatest = least - 1;
        (greatest >= 0 && multipliers(base).contains(&self.multiplier(greatest, left))).then_some(greatest)
    }

    /// The multiplier nearest to `slope 2^(32 + shift) / factor`, rounded down.
    fn multiplier(&self, shift: i32, left: u32) -> i128 {
        let (numerator, right) = self.slope;
        let numerator = i128::from(numerator) << (32 + shift);
        (numerator / self.factor(left)) >> right
    }

    /// A unit of the first rounding in the high word, 0 where it does not round twice; `None` if that is a fraction.
    fn unit(&self, left: u32, base: Base, shift: Option<i32>) -> Option<i32> {
        let Some(dropped) = self.dropped else { return Some(0) };
        let shift = shift.or_else(|| self.greatest_shift(left, base))?;
        let power = u32::try_from(shift).ok()?.checked_sub(dropped)?;
        1i32.checked_shl(power).filter(|unit| *unit > 0)
    }

    /// Constants for which the form is proven, with the offset split like that.
    fn solve(&self, shape: Shape, clamp: (i32, i32), split: Split) -> Option<Constants> {
        let Shape { left, base, .. } = shape;
        let own_shift = shape.shift.or_else(|| self.greatest_shift(left, base));
        let shift = if self.slope.0 == 0 { Some(own_shift.unwrap_or(0)) } else { own_shift }?;
        let sign = shape.sign.and_then(|_| self.unit(left, base, shape.shift)).unwrap_or(0);
        let middle = self.multiplier(shift, left);
        let near: Vec<i128> = match self.slope.0 {
            0 => ANY_MULTIPLIER.to_vec(),
            _ => {
                let tilts = TILTS.iter().filter(|_| self.is_even).map(|by| 1 << by);
                let nearest = NEAREST.iter().copied().chain(tilts);
                let farther = (0..DOUBLINGS).flat_map(|power| (4..8).map(move |by: i128| by << power));
                let farther = farther.flat_map(|by| [by, -by]);
                nearest.chain(farther).map(|by| middle + by).filter(|m| *m > 0).collect()
            }
        };
        let mut possible = multipliers(base);
        near.into_iter().find_map(|m| {
            if !possible.contains(&m) {
                return None;
            }
            let ways = Ways { shape, shift, sign, m };
            match self.offsets(&ways, clamp) {
                Ok(interval) => {
                    let is_proven = |constants: &Constants| {
                        Form { shape, constants: *constants, factor: self.factor }
                            .is_proven(&self.steps, clamp)
                    };
                    ways.split(interval, split, self.start).into_iter().find(is_proven)
                }
                Err(Missed::TooSteepBy(by)) => {
                    possible.end = m - by + 1;
                    None
                }
                Err(Missed::TooFlatBy(by)) => {
                    possible.start = m + by;
                    None
                }
            }
        })
    }

    /// The least and the greatest whole offset for which the form passes every value at the right place.
    ///
    /// The sign is taken where the accumulator is negative; `x` may turn negative elsewhere, which the proof then looks at.
    fn offsets(&self, ways: &Ways, (min, max): (i32, i32)) -> Result<(i128, i128), Missed> {
        let Steps { range: (from, to), first, reaching, staying, .. } = &self.steps;
        let (last, limits) = (self.steps.last(), ways.shape.limits);
        let begins = (*first > limits.0.max(min)).then_some((*first, *from));
        let ends = (last < limits.1.min(max)).then_some((last + 1, *to));
        let reached = reaching.iter().copied().chain(begins);
        let stayed_below = staying.iter().copied().chain(ends);
        ways.offsets(self.factor(ways.shape.left), reached, stayed_below)
    }
}

/// The multipliers that fit, counted with the base.
fn multipliers(base: Base) -> std::ops::Range<i128> {
    match base {
        Base::Zero | Base::Constant | Base::HalfSign => 0..1 << 31,
        Base::Itself => 1 << 31..1 << 32,
    }
}
