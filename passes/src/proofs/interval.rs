//! Intervals of whole numbers.

use ir::ty::Ty;

/// The least and the greatest value, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The least.
    pub low: i64,
    /// The greatest.
    pub high: i64,
}

impl Interval {
    /// One value.
    pub fn point(value: i64) -> Self {
        Self { low: value, high: value }
    }

    /// The value, if there is only one.
    pub fn as_point(self) -> Option<i64> {
        (self.low == self.high).then_some(self.low)
    }

    /// What holds both.
    pub fn hull(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// All values of a type; those of a word of several elements as its bits.
    pub fn of_type(ty: Ty) -> Self {
        let (low, high) = ty.range().unwrap_or((i32::MIN.into(), i32::MAX.into()));
        Self { low, high }
    }

    /// Whether every value is one of the other's.
    pub fn is_within(self, other: Self) -> bool {
        other.low <= self.low && self.high <= other.high
    }

    /// The sums.
    pub fn plus(self, other: Self) -> Self {
        Self { low: self.low.saturating_add(other.low), high: self.high.saturating_add(other.high) }
    }

    /// The products.
    pub fn times(self, other: Self) -> Self {
        let product = |a: i64, b: i64| a.saturating_mul(b);
        let [a, b] = [product(self.low, other.low), product(self.low, other.high)];
        let [c, d] = [product(self.high, other.low), product(self.high, other.high)];
        Self { low: a.min(b).min(c.min(d)), high: a.max(b).max(c.max(d)) }
    }

    /// The numbers with the other sign.
    pub fn negated(self) -> Self {
        Self { low: self.high.saturating_neg(), high: self.low.saturating_neg() }
    }

    /// The same if it fits in the type, else all of the type: it may have wrapped.
    pub fn within(self, ty: Ty) -> Self {
        let all = Self::of_type(ty);
        // A double word that saturates here has wrapped.
        let inside = all.low <= self.low && self.high <= all.high;
        let at_end = ty == Ty::I64 && (self.low == i64::MIN || self.high == i64::MAX);
        if inside && !at_end { self } else { all }
    }
}
