//! Quasi-affine indices: sums of loop variables times constants, with `div` and `mod` by constants.
//!
//! An index is kept in one canonical form, so two equal indices compare equal where no `div` or `mod` hides it. A quotient and
//! the remainder that belongs to it become one: `12*(p div 4) + 3*(p mod 4)` is `3*p`.

use super::VarId;

/// `constant + Σ coefficient * atom`; terms are sorted by atom, no coefficient is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index {
    /// Coefficients with their atoms.
    pub terms: Vec<(i64, Atom)>,
    /// The part that does not vary.
    pub constant: i64,
}

/// What a coefficient stands before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Atom {
    /// A loop variable; in a storage map the variable `n` stands for logical dimension `n`.
    Var(VarId),
    /// The quotient, rounded towards minus infinity.
    Div(Box<Index>, u32),
    /// The remainder, in `0..n`.
    Mod(Box<Index>, u32),
}

impl Index {
    /// A constant.
    pub fn constant(constant: i64) -> Self {
        Self { terms: Vec::new(), constant }
    }

    /// A loop variable.
    pub fn var(var: VarId) -> Self {
        Self { terms: vec![(1, Atom::Var(var))], constant: 0 }
    }

    /// The value, if it does not vary.
    pub fn as_constant(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.constant)
    }

    /// The sum.
    pub fn add(&self, other: &Index) -> Index {
        let mut sum = self.clone();
        sum.add_scaled(other, 1);
        sum
    }

    /// The sum with a constant.
    pub fn offset(&self, by: i64) -> Index {
        Index { terms: self.terms.clone(), constant: self.constant + by }
    }

    /// The product with a constant.
    pub fn scale(&self, by: i64) -> Index {
        if by == 0 {
            return Index::constant(0);
        }
        let terms = self.terms.iter().map(|(c, atom)| (c * by, atom.clone())).collect();
        Index { terms, constant: self.constant * by }
    }

    /// The quotient by `n`, rounded down: terms that `n` divides leave the `div`.
    pub fn div(&self, n: u32) -> Index {
        let (whole, rest) = self.split(n);
        if rest.terms.is_empty() {
            return whole;
        }
        whole.add(&Index { terms: vec![(1, Atom::Div(Box::new(rest), n))], constant: 0 })
    }

    /// The remainder by `n`: terms that `n` divides vanish.
    pub fn modulo(&self, n: u32) -> Index {
        let (_, rest) = self.split(n);
        if rest.terms.is_empty() {
            return Index::constant(rest.constant);
        }
        Index { terms: vec![(1, Atom::Mod(Box::new(rest), n))], constant: 0 }
    }

    /// `(q, r)` with `self = n*q + r`, `r.constant` in `0..n`, and no coefficient in `r` that `n` divides.
    fn split(&self, n: u32) -> (Index, Index) {
        let n = i64::from(n);
        let mut whole = Index::constant(self.constant.div_euclid(n));
        let mut rest = Index::constant(self.constant.rem_euclid(n));
        for (coefficient, atom) in &self.terms {
            if coefficient % n == 0 {
                whole.terms.push((coefficient / n, atom.clone()));
            } else {
                rest.terms.push((*coefficient, atom.clone()));
            }
        }
        (whole, rest)
    }

    /// Replaces every variable by the index that `of` gives for it.
    pub fn substitute(&self, of: &dyn Fn(VarId) -> Index) -> Index {
        let mut sum = Index::constant(self.constant);
        for (coefficient, atom) in &self.terms {
            let value = match atom {
                Atom::Var(var) => of(*var),
                Atom::Div(inner, n) => inner.substitute(of).div(*n),
                Atom::Mod(inner, n) => inner.substitute(of).modulo(*n),
            };
            sum.add_scaled(&value, *coefficient);
        }
        sum
    }

    /// The same value, for variables within the ranges that `of` gives: no `div` or `mod` that cannot be seen there.
    ///
    /// ```text
    /// (4*o + i) div 4             o                       for i in 0..4
    /// (2*o + i) mod 8             2*(o mod 4) + i         for i in 0..2
    /// ```
    pub fn within(&self, of: &dyn Fn(VarId) -> (i64, i64)) -> Index {
        let mut sum = Index::constant(self.constant);
        for (coefficient, atom) in &self.terms {
            let value = match atom {
                Atom::Var(var) => Index::var(*var),
                Atom::Div(inner, n) => inner.within(of).digits(*n, of).0,
                Atom::Mod(inner, n) => inner.within(of).digits(*n, of).1,
            };
            sum = sum.add(&value.scale(*coefficient));
        }
        sum
    }

    /// Quotient and remainder by `n`, for variables within the ranges that `of` gives.
    fn digits(&self, n: u32, of: &dyn Fn(VarId) -> (i64, i64)) -> (Index, Index) {
        let (whole, rest) = self.split(n);
        let (low, high) = rest.range(of);
        let quotient = low.div_euclid(n.into());
        if quotient == high.div_euclid(n.into()) {
            return (whole.offset(quotient), rest.offset(-quotient * i64::from(n)));
        }
        // Where the rest is `g*a + b` with `b` below `g`, a divisor of `n`, no carry leaves `b`.
        let mut divisors: Vec<u32> = rest.terms.iter().map(|(c, _)| gcd(*c, n)).filter(|g| *g > 1).collect();
        divisors.sort_unstable_by(|a, b| b.cmp(a));
        for g in divisors {
            let (a, b) = rest.split(g);
            let (low, high) = b.range(of);
            if low >= 0 && high < g.into() {
                let (quotient, remainder) = (a.div(n / g), a.modulo(n / g));
                return (whole.add(&quotient), remainder.scale(g.into()).add(&b));
            }
        }
        (self.div(n), self.modulo(n))
    }

    /// The value under an assignment of the variables.
    pub fn eval(&self, of: &dyn Fn(VarId) -> i64) -> i64 {
        let value = |atom: &Atom| match atom {
            Atom::Var(var) => of(*var),
            Atom::Div(inner, n) => inner.eval(of).div_euclid(i64::from(*n)),
            Atom::Mod(inner, n) => inner.eval(of).rem_euclid(i64::from(*n)),
        };
        self.constant + self.terms.iter().map(|(c, atom)| c * value(atom)).sum::<i64>()
    }

    /// The least and greatest value for variables within the ranges that `of` gives, both ends included.
    ///
    /// Exact for affine indices; for `div` and `mod` a superset.
    pub fn range(&self, of: &dyn Fn(VarId) -> (i64, i64)) -> (i64, i64) {
        let (mut low, mut high) = (self.constant, self.constant);
        for (coefficient, atom) in &self.terms {
            let (a, b) = atom.range(of);
            low += (coefficient * a).min(coefficient * b);
            high += (coefficient * a).max(coefficient * b);
        }
        (low, high)
    }

    /// Whether no `div` and no `mod` occurs.
    pub fn is_affine(&self) -> bool {
        self.terms.iter().all(|(_, atom)| matches!(atom, Atom::Var(_)))
    }

    /// Every variable that occurs, with repetitions.
    pub fn vars(&self, out: &mut Vec<VarId>) {
        for (_, atom) in &self.terms {
            match atom {
                Atom::Var(var) => out.push(*var),
                Atom::Div(inner, _) | Atom::Mod(inner, _) => inner.vars(out),
            }
        }
    }

    /// Adds a product with a constant that is not 0.
    fn add_scaled(&mut self, other: &Index, by: i64) {
        self.constant += other.constant * by;
        for (coefficient, atom) in &other.terms {
            self.add_term(coefficient * by, atom.clone());
        }
        if self.terms.iter().any(|(_, atom)| matches!(atom, Atom::Mod(..))) {
            *self = std::mem::take(self).joined();
        }
    }

    /// With `c*e` for each `n*c*(e div n) + c*(e mod n)`.
    fn joined(mut self) -> Index {
        let pair = self.terms.iter().enumerate().find_map(|(at, (c, atom))| {
            let Atom::Mod(inner, n) = atom else { return None };
            let quotient = Atom::Div(inner.clone(), *n);
            let other = self.terms.binary_search_by(|(_, have)| have.cmp(&quotient)).ok()?;
            (self.terms[other].0 == c * i64::from(*n)).then(|| (at, other, inner.scale(*c)))
        });
        let Some((remainder, quotient, value)) = pair else { return self };
        self.terms.remove(remainder.max(quotient));
        self.terms.remove(remainder.min(quotient));
        self.add(&value)
    }

    fn add_term(&mut self, coefficient: i64, atom: Atom) {
        match self.terms.binary_search_by(|(_, have)| have.cmp(&atom)) {
            Ok(at) => {
                self.terms[at].0 += coefficient;
                if self.terms[at].0 == 0 {
                    self.terms.remove(at);
                }
            }
            Err(at) if coefficient != 0 => self.terms.insert(at, (coefficient, atom)),
            Err(_) => {}
        }
    }
}

impl Atom {
    fn range(&self, of: &dyn Fn(VarId) -> (i64, i64)) -> (i64, i64) {
        match self {
            Atom::Var(var) => of(*var),
            Atom::Div(inner, n) => {
                let (low, high) = inner.range(of);
                (low.div_euclid(i64::from(*n)), high.div_euclid(i64::from(*n)))
            }
            Atom::Mod(inner, n) => {
                let (low, high) = inner.range(of);
                let n = i64::from(*n);
                if low.div_euclid(n) == high.div_euclid(n) {
                    (low.rem_euclid(n), high.rem_euclid(n))
                } else {
                    (0, n - 1)
                }
            }
        }
    }
}

/// The greatest common divisor; `n` is not 0.
fn gcd(c: i64, n: u32) -> u32 {
    let (mut a, mut b) = (i64::from(n), c.rem_euclid(n.into()));
    while b != 0 {
        (a, b) = (b, a % b);
    }
    u32::try_from(a).expect("it divides `n`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(n: u32) -> Index {
        Index::var(VarId(n))
    }

    #[test]
    fn sums_are_canonical() {
        let a = v(1).scale(2).add(&v(0)).offset(3);
        let b = v(0).offset(1).add(&v(1)).add(&v(1)).offset(2);
        assert_eq!(a, b);
        assert_eq!(a.add(&a.scale(-1)), Index::constant(0));
    }

    #[test]
    fn div_and_mod_simplify_what_the_divisor_divides() {
        let tiled = v(0).scale(4).add(&v(1)); // 4*o + i
        assert_eq!(v(0).scale(4).offset(6).div(4), v(0).offset(1));
        assert_eq!(tiled.div(4), v(0).add(&v(1).div(4)));
        assert_eq!(tiled.modulo(4), v(1).modulo(4));
    }

    #[test]
    fn a_quotient_and_its_remainder_become_one() {
        let e = v(0).scale(3).add(&v(1)).offset(1);
        assert_eq!(e.div(4).scale(4).add(&e.modulo(4)), e);
        assert_eq!(e.modulo(4).scale(-5).add(&e.div(4).scale(-20)).add(&v(2)), e.scale(-5).add(&v(2)));
        // Three digits, the first and second of which only meet when the last two have met.
        let (row, column, channel) = (v(0).div(8).div(3), v(0).div(8).modulo(3), v(0).modulo(8));
        assert_eq!(row.scale(3).add(&column).scale(8).add(&channel), v(0));
        // The divisor takes part of the index out of both.
        let tiled = v(0).scale(4).add(&v(1));
        assert_eq!(tiled.div(4).scale(4).add(&tiled.modulo(4)), tiled);
    }

    #[test]
    fn a_quotient_stays_where_the_remainder_does_not_belong_to_it() {
        for other in [v(0).modulo(3), v(1).modulo(4), v(0).offset(1).modulo(4), v(0).modulo(4).scale(2)] {
            let sum = v(0).div(4).scale(4).add(&other);
            assert_eq!(sum.terms.len(), 2, "{sum:?}");
        }
    }

    #[test]
    fn ranges_take_div_and_mod_away() {
        let within =
            |index: Index, inner: i64| index.within(&|var| (0, if var.0 == 0 { 9 } else { inner - 1 }));
        let tiled = v(0).scale(4).add(&v(1));
        assert_eq!(within(tiled.div(4), 4), v(0));
        assert_eq!(within(tiled.modulo(4), 4), v(1));
        assert_eq!(within(tiled.div(4), 5), tiled.div(4));
        assert_eq!(within(tiled.modulo(8), 4), v(0).modulo(2).scale(4).add(&v(1)));
        assert_eq!(within(tiled.div(8), 4), v(0).div(2));
        assert_eq!(within(v(1).offset(-3).div(4), 3), Index::constant(-1));
        assert_eq!(within(v(1).offset(-3).modulo(4), 3), v(1).offset(1));
    }

    #[test]
    fn ranges_keep_values() {
        for (coefficient, offset, n, inner) in [
            (4, 0, 8, 4),
            (6, 1, 9, 3),
            (6, 2, 9, 3),
            (-4, 0, 8, 4),
            (3, -5, 12, 3),
            (10, 3, 4, 2),
            (2, 7, 8, 2),
        ] {
            let e = v(0).scale(coefficient).add(&v(1)).offset(offset);
            let index = e.div(n).scale(100).add(&e.modulo(n));
            let simple = index.within(&|var| (0, if var.0 == 0 { 9 } else { inner - 1 }));
            for (a, b) in (0..10).flat_map(|a| (0..inner).map(move |b| (a, b))) {
                let of = |var: VarId| if var.0 == 0 { a } else { b };
                assert_eq!(simple.eval(&of), index.eval(&of), "{e:?} by {n}");
            }
        }
    }

    #[test]
    fn evaluation_rounds_down() {
        let i = v(0).offset(-3).div(2);
        assert_eq!(i.eval(&|_| 0), -2);
        assert_eq!(v(0).offset(-3).modulo(2).eval(&|_| 0), 1);
    }

    #[test]
    fn substitution_keeps_values() {
        let i = v(0).div(3).scale(5).add(&v(0).modulo(3));
        let tiled = i.substitute(&|_| v(1).scale(3).add(&v(2)));
        for (o, k) in [(0, 0), (2, 1), (7, 2)] {
            let direct = i.eval(&|_| 3 * o + k);
            assert_eq!(tiled.eval(&|var| if var == VarId(1) { o } else { k }), direct);
        }
    }

    #[test]
    fn ranges_hold_every_value() {
        let i = v(0).scale(-2).add(&v(1).modulo(4)).offset(1);
        let (low, high) = i.range(&|_| (0, 9));
        for a in 0..10 {
            for b in 0..10 {
                let value = i.eval(&|var| if var == VarId(0) { a } else { b });
                assert!((low..=high).contains(&value));
            }
        }
    }
}
