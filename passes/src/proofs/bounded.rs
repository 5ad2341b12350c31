//! Bounds of a value, lane by lane, and what operations make of them.

use ir::loops::Prim;
use ir::ty::Ty;

use super::interval::Interval;

/// Most operands of an operation.
pub const MOST_OPERANDS: usize = 4;

/// The bounds of a value, lane by lane.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    /// Of each lane; a scalar has the same in all.
    pub lanes: [Interval; 4],
    /// For each lane a number that divides it; 0 where it is 0.
    pub divisors: [u64; 4],
}

/// Bounds of one lane, and a number that divides it; 0 where it is 0.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    /// The bounds.
    pub interval: Interval,
    /// The number.
    pub divisor: u64,
}

/// Whether an operation is a sum or a product: those have bounds of their own, by [`arithmetic`] or [`dot`].
pub fn is_arithmetic(prim: Prim) -> bool {
    matches!(prim, Prim::Add | Prim::Sub | Prim::Mul | Prim::MulWide | Prim::Dot2 | Prim::Dot2Cross)
}

impl Lane {
    /// The first lanes of a word as memory has it.
    pub fn of_word<const N: usize>(ty: Ty, word: i64) -> [Lane; N] {
        std::array::from_fn(|at| Lane::point(element_of(ty, word, at)))
    }

    fn point(value: i64) -> Self {
        Self { interval: Interval::point(value), divisor: value.unsigned_abs() }
    }

    /// The interval, or all of the type if the value may wrap; then only powers of two go on dividing it.
    fn wrapping(interval: Interval, ty: Ty, divisor: u64) -> Self {
        let within = interval.within(ty);
        let divisor =
            if within == interval || divisor == 0 { divisor } else { 1 << divisor.trailing_zeros().min(31) };
        Self { interval: within, divisor }
    }
}

impl From<Lane> for Value {
    fn from(lane: Lane) -> Self {
        Self { lanes: [lane.interval; 4], divisors: [lane.divisor; 4] }
    }
}

impl Value {
    /// The first lanes.
    pub fn first<const N: usize>(&self) -> [Lane; N] {
        std::array::from_fn(|at| Lane { interval: self.lanes[at], divisor: self.divisors[at] })
    }

    /// A pair of halfwords.
    pub fn pair(pair: [Lane; 2]) -> Self {
        let lanes = std::array::from_fn(|at| pair[at % 2].interval);
        Self { lanes, divisors: std::array::from_fn(|at| pair[at % 2].divisor) }
    }

    /// Of a lane that is known to be one value, that is its divisor.
    pub fn lanes(lanes: [Interval; 4]) -> Self {
        let divisor = |lane: Interval| lane.as_point().map_or(1, i64::unsigned_abs);
        Self { lanes, divisors: lanes.map(divisor) }
    }

    /// A value of one lane.
    pub fn scalar(interval: Interval) -> Self {
        Self::lanes([interval; 4])
    }

    /// Whatever the type holds.
    pub fn any(ty: Ty) -> Self {
        Self::scalar(Interval::of_type(element(ty)))
    }

    /// What holds both.
    pub fn hull(self, other: Self) -> Self {
        let lanes = std::array::from_fn(|lane| self.lanes[lane].hull(other.lanes[lane]));
        let divisors = std::array::from_fn(|lane| common_divisor(self.divisors[lane], other.divisors[lane]));
        Self { lanes, divisors }
    }

    /// The word, if every lane is known.
    pub fn as_word(self, ty: Ty) -> Option<i64> {
        let lanes = ty.lanes() as usize;
        let bits = if lanes == 1 { 64 } else { 32 / lanes };
        let mut word = 0;
        for (at, lane) in self.lanes.iter().take(lanes).enumerate() {
            let lane = lane.as_point()?;
            word |= if lanes == 1 { lane } else { (lane & ((1 << bits) - 1)) << (bits * at) };
        }
        Some(if lanes == 1 { word } else { i64::from(word as i32) })
    }

    /// A word as memory has it.
    pub fn of_word(ty: Ty, word: i64) -> Self {
        Self::lanes(std::array::from_fn(|at| Interval::point(element_of(ty, word, at))))
    }
}

/// The element in a lane of a word; a scalar is in all.
fn element_of(ty: Ty, word: i64, lane: usize) -> i64 {
    match ty {
        Ty::I8x4 => i64::from((word >> (8 * lane)) as i8),
        Ty::U8x4 => i64::from((word >> (8 * lane)) as u8),
        Ty::I16x2 => i64::from((word >> (16 * (lane % 2))) as i16),
        _ => word,
    }
}

/// What divides a product of multiples of both.
fn product(a: u64, b: u64) -> u64 {
    a.checked_mul(b).unwrap_or(1)
}

/// The greatest number that divides both; everything divides 0.
fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 1 && a != 1 {
        (a, b) = (b, a % b);
    }
    if b == 1 { 1 } else { a }
}

/// The type of a lane.
fn element(ty: Ty) -> Ty {
    match ty {
        Ty::I8x4 => Ty::I8,
        Ty::U8x4 => Ty::U8,
        Ty::I16x2 => Ty::I16,
        other => other,
    }
}

/// What an operation makes of bounds.
pub fn result(prim: Prim, types: &[Ty], result: Ty, values: &[Value], imm: &[i32]) -> Value {
    let mut words = [0; MOST_OPERANDS];
    for ((word, value), ty) in words.iter_mut().zip(values).zip(types) {
        match value.as_word(*ty) {
            Some(known) => *word = known,
            None => return operation(prim, types, result, values, imm),
        }
    }
    Value::of_word(result, (prim.row().eval)(types[0], &words[..values.len()], imm))
}

/// The sum, difference or product of two scalars that are not both known; `None` for other operations.
pub fn arithmetic(prim: Prim, a: Lane, b: Lane, result: Ty) -> Option<Lane> {
    let wrapping = |interval: Interval, divisor: u64| Some(Lane::wrapping(interval, result, divisor));
    match prim {
        Prim::Add => wrapping(a.interval.plus(b.interval), common_divisor(a.divisor, b.divisor)),
        Prim::Sub => wrapping(a.interval.plus(b.interval.negated()), common_divisor(a.divisor, b.divisor)),
        Prim::Mul | Prim::MulWide => wrapping(a.interval.times(b.interval), product(a.divisor, b.divisor)),
        _ => None,
    }
}

/// `a` and two products of halfwords that are not all known, those of `cross` of different halves.
pub fn dot(a: Lane, x: [Lane; 2], w: [Lane; 2], cross: bool, result: Ty) -> Lane {
    let other = |half: usize| w[half ^ usize::from(cross)];
    let term = |half: usize| x[half].interval.times(other(half).interval);
    let divisor = |half: usize| product(x[half].divisor, other(half).divisor);
    let divisor = match a.divisor {
        1 => 1, // Nothing else to find out: the rule.
        of_a => common_divisor(of_a, common_divisor(divisor(0), divisor(1))),
    };
    Lane::wrapping(a.interval.plus(term(0)).plus(term(1)), result, divisor)
}

/// The bounds of a result.
fn operation(prim: Prim, types: &[Ty], result: Ty, values: &[Value], imm: &[i32]) -> Value {
    let a = values.first().map_or(Interval::point(0), |value| value.lanes[0]);
    let b = values.get(1).map_or(Interval::point(0), |value| value.lanes[0]);
    let divisor = |operand: usize| values.get(operand).map_or(0, |value| value.divisors[0]);
    let (of_a, of_b) = (divisor(0), divisor(1));
    let scalar = |interval: Interval| Value::scalar(interval.within(result));
    let wrapping = |interval: Interval, divisor: u64| Lane::wrapping(interval, result, divisor).into();
    let lane = |interval: Interval, divisor: u64| Lane { interval, divisor };
    if let Some(found) = arithmetic(prim, lane(a, of_a), lane(b, of_b), result) {
        return found.into();
    }
    let monotone = |f: &dyn Fn(i64) -> i64| scalar(Interval { low: f(a.low), high: f(a.high) });
    match (prim, b.as_point()) {
        (Prim::Sext | Prim::Zext | Prim::Widen, _) => wrapping(a, of_a),
        (Prim::Div, Some(by @ 1..)) => monotone(&|a| a / by),
        (Prim::Min, _) => scalar(Interval { low: a.low.min(b.low), high: a.high.min(b.high) }),
        (Prim::Max, _) => scalar(Interval { low: a.low.max(b.low), high: a.high.max(b.high) }),
        (Prim::Shl, Some(by @ 0..=31)) => wrapping(a.times(Interval::point(1 << by)), product(of_a, 1 << by)),
        (Prim::Asr, Some(by @ 0..=31)) => monotone(&|a| a >> by),
        (Prim::Unscaled, _) => scalar(Interval { low: b.low, high: values[2].lanes[0].high }),
        (Prim::Select, _) => values[1].hull(values[2]),
        (Prim::Ssat | Prim::Usat, _) if imm[1] >= 0 => monotone(&|a| (prim.row().eval)(Ty::I32, &[a], imm)),
        (Prim::Bot, _) => wrapping(values[0].lanes[0], values[0].divisors[0]),
        (Prim::Top, _) => wrapping(values[0].lanes[1], values[0].divisors[1]),
        (Prim::Sxtb16, _) if types[0] == Ty::I8x4 => {
            let lane = |half: usize| values[0].lanes[(imm[0] as usize / 8 + 2 * half) % 4];
            Value::lanes(std::array::from_fn(|at| lane(at % 2)))
        }
        (Prim::Sxtb16, _) if types[0] == Ty::I16x2 && imm[0] == 0 => {
            let lane = |half: usize| values[0].lanes[half].within(Ty::I8);
            Value::lanes(std::array::from_fn(|at| lane(at % 2)))
        }
        (Prim::Uxtb16, _) if types[0] == Ty::U8x4 => {
            let lane = |half: usize| values[0].lanes[(imm[0] as usize / 8 + 2 * half) % 4];
            Value::lanes(std::array::from_fn(|at| lane(at % 2)))
        }
        (Prim::PackBotTop | Prim::PackTopBot, _) if types == [Ty::I16x2; 2] => {
            let [a, b] = [values[0].lanes, values[1].lanes];
            let halves = match (prim, imm[0]) {
                (Prim::PackBotTop, 16) => [a[0], b[0]],
                (Prim::PackBotTop, 0) => [a[0], b[1]],
                (Prim::PackTopBot, 16) => [b[1], a[1]],
                (Prim::PackTopBot, 0) => [b[0], a[1]],
                _ => [Interval::of_type(Ty::I16); 2],
            };
            Value::lanes(std::array::from_fn(|at| halves[at % 2]))
        }
        (Prim::Add2, _) => {
            let lane = |at: usize| values[0].lanes[at % 2].plus(values[1].lanes[at % 2]).within(Ty::I16);
            Value::lanes(std::array::from_fn(lane))
        }
        (Prim::Dot2 | Prim::Dot2Cross, _) => {
            dot(lane(a, of_a), values[1].first(), values[2].first(), prim == Prim::Dot2Cross, result).into()
        }
        _ => Value::any(result),
    }
}
