//! Change of basis: several values become whole-number combinations of them, and back.
//!
//! ```text
//! rows (256, 1), (0, 1)        (A, B) -> (256 A + B, B)           two channels in one multiplication
//! inverse (1, -1), (0, 1)      gives 256 A and B: the scales are 256 and 1
//! rows (1, 0, -1, 0), …        a window of four values -> its transform; the Kronecker product with itself is that in two dimensions
//! ```
//!
//! What is linear, a sum of products with constants, can be done on the combinations as well as on the values: constants are
//! combined at compile time ([`Basis::constant`]), values in the nest ([`Basis::exprs`], and [`Basis::lets`] with what rows have in
//! common computed once), and the inverse takes the results back, each times a scale that rescaling takes off. All of it wraps, so only
//! what is read at the end must fit in its word.
//!
//! [`Lanes`] are the one row of powers of two: several values in one word, which additions change all at once. They can be told apart again
//! where each keeps within its bits; [`Lanes::offsets`] proves that from ranges, or refuses.

use std::collections::BTreeMap;

use ir::diag::Diagnostic;
use ir::loops::{Access, Buffer, BufferId, Expr, Index, Init, Loop, Nest, Prim, Role, Stmt};
use ir::ty::Ty;

use super::edit::{fresh_local, fresh_name, renew_vars};
use crate::proofs::accumulators::{Interval, values};

/// A matrix of whole numbers: row by row, what is combined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    rows: Vec<Vec<i64>>,
}

/// What takes combinations back, each row as far as whole numbers go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inverse {
    /// Row `i` gives value `i` times `scales[i]`.
    pub basis: Basis,
    /// The least positive numbers for which that is so.
    pub scales: Vec<i64>,
}

/// Several values in one word: the sum of `v[i] 2^shifts[i]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lanes {
    shifts: Vec<u32>,
    bits: u32,
}

/// Greatest absolute value of an entry: products with bytes and halfwords stay far from the ends of an `i64`.
const GREATEST_ENTRY: i64 = 1 << 40;

impl Basis {
    /// A basis with these rows, which are of one length; at least one entry, none beyond 2^40.
    pub fn new(rows: Vec<Vec<i64>>) -> Result<Self, Diagnostic> {
        let width = rows.first().map_or(0, Vec::len);
        if width == 0 || rows.iter().any(|row| row.len() != width) {
            return Err(Diagnostic::new("a basis takes rows of one length, at least one entry each"));
        }
        if rows.iter().flatten().any(|entry| entry.abs() > GREATEST_ENTRY) {
            return Err(Diagnostic::new(format!("the entries of a basis lie within {GREATEST_ENTRY}")));
        }
        Ok(Self { rows })
    }

    /// The same for rows that are written in the source.
    pub fn of<const N: usize>(rows: &[[i64; N]]) -> Self {
        Self::new(rows.iter().map(|row| row.to_vec()).collect()).expect("it is written so that it is legal")
    }

    /// The entries, row by row.
    pub fn rows(&self) -> &[Vec<i64>] {
        &self.rows
    }

    /// The number of values that are combined.
    pub fn width(&self) -> usize {
        self.rows[0].len()
    }

    /// In two dimensions: combines along one with `self` and along the other with `other`; values and results are row-major.
    pub fn kronecker(&self, other: &Basis) -> Result<Basis, Diagnostic> {
        let row = |a: &Vec<i64>, b: &Vec<i64>| {
            a.iter().flat_map(|a| b.iter().map(move |b| a.saturating_mul(*b))).collect()
        };
        Self::new(self.rows.iter().flat_map(|a| other.rows.iter().map(move |b| row(a, b))).collect())
    }

    /// The rows times a number each.
    pub fn scaled(&self, by: &[i64]) -> Result<Basis, Diagnostic> {
        let row = |(row, by): (&Vec<i64>, &i64)| row.iter().map(|entry| entry.saturating_mul(*by)).collect();
        Self::new(self.rows.iter().zip(by).map(row).collect())
    }

    /// The combinations of numbers.
    pub fn apply(&self, numbers: &[i64]) -> Vec<i64> {
        let sum = |row: &Vec<i64>| {
            let products = row.iter().zip(numbers).map(|(c, v)| c.wrapping_mul(*v));
            products.fold(0, i64::wrapping_add)
        };
        self.rows.iter().map(sum).collect()
    }

    /// The bounds of the combinations of values with these bounds; the tightest where each value takes its bounds.
    pub fn ranges(&self, of: &[Interval]) -> Vec<Interval> {
        let sum = |row: &Vec<i64>| {
            let terms = row.iter().zip(of).map(|(c, v)| v.times(Interval::point(*c)));
            terms.fold(Interval::point(0), Interval::plus)
        };
        self.rows.iter().map(sum).collect()
    }

    /// The combinations as expressions of words, by wrapping additions of shifted operands and multiplications.
    ///
    /// Operands occur once for each entry; give names to what is not cheap.
    pub fn exprs(&self, operands: &[Expr]) -> Vec<Expr> {
        self.rows.iter().map(|row| Sum::of(row).expr(&|value| operands[value].clone())).collect()
    }

    /// The same with sums that several rows contain computed once, by the statements that come first.
    pub fn lets(&self, nest: &mut Nest, name: &str, operands: &[Expr]) -> (Vec<Stmt>, Vec<Expr>) {
        let mut sums: Vec<Sum> = self.rows.iter().map(|row| Sum::of(row)).collect();
        let mut operands = operands.to_vec();
        let mut stmts = Vec::new();
        while let Some(common) = most_common(&sums) {
            let shared = take_out(&mut sums, common, operands.len());
            let value = shared.expr(&|value| operands[value].clone());
            let local = fresh_local(nest, name, Ty::I32);
            stmts.push(Stmt::Let(local, value));
            operands.push(Expr::Local(local, Vec::new()));
        }
        (stmts, sums.iter().map(|sum| sum.expr(&|value| operands[value].clone())).collect())
    }

    /// What takes the combinations back; `None` where they do not tell all values.
    pub fn inverse(&self) -> Option<Inverse> {
        let width = self.width();
        if self.rows.len() != width {
            return None;
        }
        // Fractions are kept over one denominator: Bareiss' elimination on the matrix with the identity beside it.
        let unit = |at: usize| (0..width).map(move |n| i128::from(n == at));
        let mut rows: Vec<Vec<i128>> = self
            .rows
            .iter()
            .enumerate()
            .map(|(at, row)| row.iter().map(|c| i128::from(*c)).chain(unit(at)).collect())
            .collect();
        let mut before = 1;
        for column in 0..width {
            let pivot = (column..width).find(|row| rows[*row][column] != 0)?;
            rows.swap(column, pivot);
            let head = rows[column].clone();
            for (_, row) in rows.iter_mut().enumerate().filter(|(at, _)| *at != column) {
                let factor = row[column];
                for (entry, of_head) in row.iter_mut().zip(&head) {
                    let left = entry.checked_mul(head[column])?;
                    *entry = left.checked_sub(factor.checked_mul(*of_head)?)? / before;
                }
            }
            before = head[column];
        }
        let determinant = before;
        let mut inverse = Inverse { basis: self.clone(), scales: Vec::new() };
        for (to, row) in inverse.basis.rows.iter_mut().zip(&rows) {
            let divisor = row[width..].iter().fold(determinant, |divisor, entry| gcd(divisor, *entry));
            let divisor = if determinant < 0 { -divisor } else { divisor };
            let entries = row[width..].iter().map(|entry| i64::try_from(entry / divisor).ok());
            *to = entries.collect::<Option<Vec<i64>>>()?;
            inverse.scales.push(i64::try_from(determinant / divisor).ok()?);
        }
        Some(inverse)
    }

    /// Adds a constant with the combinations of what `operands`, words, are in the iterations of `loops`: the dimensions are
    /// those of the loops, and the number of the row as dimension `row_dim` if there are several. It stays an expression until it is emitted.
    ///
    /// Refused where an element does not fit in `elem`. `bounds` are those of the operands: what wraps would fit by accident.
    pub fn constant(&self, nest: &mut Nest, of: Combined) -> Result<BufferId, Diagnostic> {
        let Combined { name, elem, loops, operands, bounds, row_dim } = of;
        let name = fresh_name(nest, name);
        let word = Interval::of_type(Ty::I32);
        if let Some(wide) = self.ranges(bounds).iter().find(|range| !range.is_within(word)) {
            return Err(Diagnostic::new(format!(
                "`{name}` would have values of up to {} to {}, beyond `i32`",
                wide.low, wide.high
            )));
        }
        let made = BufferId::new(nest.buffers.len());
        let mut shape: Vec<u32> = loops.iter().map(|l| l.extent).collect();
        let several = self.rows.len() > 1;
        if several {
            shape.insert(row_dim, self.rows.len() as u32);
        }
        let store = |(row, value): (usize, Expr)| {
            let mut index: Vec<Index> = loops.iter().map(|l| Index::var(l.var)).collect();
            if several {
                index.insert(row_dim, Index::constant(row as i64));
            }
            Stmt::Store(Access { buffer: made, index, ty: elem, border: None }, value)
        };
        let stores = self.exprs(operands).into_iter().enumerate().map(store).collect();
        let mut block = loops
            .iter()
            .rev()
            .fold(stores, |body, l| vec![Stmt::For(Loop { unroll: false, ..l.clone() }, body)]);
        renew_vars(nest, &mut block);
        nest.add_buffer(Buffer::new(name.clone(), Ty::I32, &shape, Role::Const(Init::Nest(block))));
        retype(nest, made, Ty::I32);
        let found = values(nest, made)?;
        if !found.is_within(Interval::of_type(elem)) {
            return Err(Diagnostic::new(format!(
                "values of `{name}` run from {} to {}, which is no `{elem}`",
                found.low, found.high
            )));
        }
        retype(nest, made, elem);
        Ok(made)
    }
}

/// What a constant is made of, see [`Basis::constant`].
pub struct Combined<'a> {
    /// What it is called, if that is free.
    pub name: &'a str,
    /// Its elements.
    pub elem: Ty,
    /// Outermost first.
    pub loops: &'a [Loop],
    /// One for each column: words that are known at compile time.
    pub operands: &'a [Expr],
    /// The bounds of each.
    pub bounds: &'a [Interval],
    /// Where the number of the row stands among the dimensions.
    pub row_dim: usize,
}

/// Gives a constant that is a nest elements of another type.
fn retype(nest: &mut Nest, constant: BufferId, elem: Ty) {
    fn stores(block: &mut [Stmt], elem: Ty) {
        for stmt in block {
            if let Stmt::Store(access, _) = stmt {
                access.ty = elem;
            }
            super::edit::blocks_mut(stmt).into_iter().for_each(|inner| stores(inner, elem));
        }
    }
    let buffer = &mut nest.buffers[constant.idx()];
    if let Role::Const(Init::Nest(block)) = &mut buffer.role {
        stores(block, elem);
    }
    *buffer = Buffer::new(buffer.name.clone(), elem, &buffer.shape.clone(), buffer.role.clone());
}

impl Lanes {
    /// Lanes that begin at these bits, the lowest first and at 0, in a word of 32 or 64 bits.
    pub fn new(shifts: &[u32], bits: u32) -> Result<Self, Diagnostic> {
        let rising = shifts.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = shifts.last().is_some_and(|last| *last < bits);
        if shifts.first() != Some(&0) || !rising || !inside || !matches!(bits, 32 | 64) {
            return Err(Diagnostic::new("lanes begin at 0, rise, and lie within a word of 32 or 64 bits"));
        }
        Ok(Self { shifts: shifts.to_vec(), bits })
    }

    /// The word of several values, as a row of powers of two; refused where those leave [`Basis`].
    pub fn basis(&self) -> Result<Basis, Diagnostic> {
        Basis::new(vec![
            self.shifts.iter().map(|shift| 1i64.checked_shl(*shift).unwrap_or(i64::MAX)).collect(),
        ])
    }

    /// The number of bits of a lane.
    pub fn width(&self, lane: usize) -> u32 {
        self.shifts.get(lane + 1).unwrap_or(&self.bits) - self.shifts[lane]
    }

    /// What is added to each lane so that it never falls below zero nor reaches the next one: with that the bits of a lane
    /// are its value, whatever is in the others.
    pub fn offsets(&self, ranges: &[Interval]) -> Result<Vec<i64>, Diagnostic> {
        let offset = |(lane, range): (usize, &Interval)| {
            let width = self.width(lane);
            let span = i128::from(range.high) - i128::from(range.low);
            if span >= 1i128 << width {
                let message = format!(
                    "values from {} to {} do not fit in the {width} bits of lane {lane}",
                    range.low, range.high
                );
                return Err(Diagnostic::new(message).help("legal where each lane keeps within its bits"));
            }
            Ok(-range.low)
        };
        ranges.iter().enumerate().map(offset).collect()
    }

    /// Whether the lanes can be read as signed fields without an offset: the lowest as they are, each other one after what the lower
    /// ones borrow is given back.
    pub fn hold_signed(&self, ranges: &[Interval]) -> bool {
        let fits = |(lane, range): (usize, &Interval)| {
            let half = 1i64 << (self.width(lane) - 1);
            range.is_within(Interval { low: -half, high: half - 1 })
        };
        ranges.iter().enumerate().all(fits)
    }
}

/// A value with a sign, shifted left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    value: usize,
    negative: bool,
    shift: u32,
}

/// A sum of terms.
#[derive(Clone, Debug, Default)]
struct Sum {
    terms: Vec<Term>,
}

/// Two terms up to sign and shift: the second is negative or not as against the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pattern {
    first: (usize, u32),
    second: (usize, u32),
    differ: bool,
}

impl Sum {
    /// Each number as powers of two, as few as there can be.
    fn of(row: &[i64]) -> Sum {
        let mut terms = Vec::new();
        for (value, &number) in row.iter().enumerate() {
            let (mut rest, mut shift) = (number, 0);
            while rest != 0 {
                if rest % 2 != 0 {
                    let digit = 2 - rest.rem_euclid(4); // 1 or -1, so that the next digit is 0.
                    terms.push(Term { value, negative: digit < 0, shift });
                    rest -= digit;
                }
                rest /= 2;
                shift += 1;
            }
        }
        Sum { terms }
    }

    /// The sum: what is added several times with different shifts is multiplied instead, if there is more.
    fn expr(&self, operand: &dyn Fn(usize) -> Expr) -> Expr {
        let (mut shifted, mut products): (Vec<Term>, Vec<(usize, i64)>) = (Vec::new(), Vec::new());
        for term in &self.terms {
            let alike = self.terms.iter().filter(|other| other.value == term.value).count();
            if alike == 1 || (alike == 2 && self.terms.len() == 2) {
                shifted.push(*term);
            } else {
                let by = if term.negative { -(1 << term.shift) } else { 1 << term.shift };
                match products.iter_mut().find(|(value, _)| *value == term.value) {
                    Some((_, factor)) => *factor += by,
                    None => products.push((term.value, by)),
                }
            }
        }
        // A sum starts with what needs neither sign nor shift.
        shifted.sort_by_key(|term| (term.negative, term.shift));
        let mut sum = None;
        for term in shifted {
            let moved = left(operand(term.value), term.shift);
            sum = Some(match (sum, term.negative) {
                (None, false) => moved,
                (None, true) => op(Prim::Sub, vec![int(0), moved]),
                (Some(sum), false) => op(Prim::Add, vec![sum, moved]),
                (Some(sum), true) => op(Prim::Sub, vec![sum, moved]),
            });
        }
        for (value, factor) in products {
            let product = op(Prim::Mul, vec![operand(value), int(i64::from(factor as i32))]);
            sum = Some(sum.map_or(product.clone(), |sum| op(Prim::Add, vec![sum, product])));
        }
        sum.unwrap_or(int(0))
    }
}

impl Pattern {
    /// Two terms of a sum, without what they have in common: a sign and a shift.
    fn of(a: Term, b: Term) -> (Pattern, Term) {
        let (a, b) = if (a.value, a.shift) <= (b.value, b.shift) { (a, b) } else { (b, a) };
        let shift = a.shift.min(b.shift);
        let pattern = Pattern {
            first: (a.value, a.shift - shift),
            second: (b.value, b.shift - shift),
            differ: a.negative != b.negative,
        };
        (pattern, Term { value: 0, negative: a.negative, shift })
    }
}

/// The two terms that the most sums share, the first of several; `None` where no two do.
fn most_common(sums: &[Sum]) -> Option<Pattern> {
    let mut counts: BTreeMap<Pattern, usize> = BTreeMap::new();
    for sum in sums {
        let mut here: Vec<Pattern> = Vec::new();
        for (at, a) in sum.terms.iter().enumerate() {
            here.extend(sum.terms[at + 1..].iter().map(|b| Pattern::of(*a, *b).0));
        }
        here.sort_unstable();
        here.dedup();
        here.into_iter().for_each(|pattern| *counts.entry(pattern).or_default() += 1);
    }
    let most = counts.values().copied().max().filter(|most| *most > 1)?;
    counts.into_iter().find(|(_, count)| *count == most).map(|(pattern, _)| pattern)
}

/// Puts the value number `made` in the place of two terms, once in each sum that has them, and gives what it is.
fn take_out(sums: &mut [Sum], pattern: Pattern, made: usize) -> Sum {
    let mut places = Vec::new();
    for (number, sum) in sums.iter().enumerate() {
        let pairs = (0..sum.terms.len()).flat_map(|a| (a + 1..sum.terms.len()).map(move |b| (a, b)));
        let place = pairs.map(|(a, b)| (a, b, Pattern::of(sum.terms[a], sum.terms[b])));
        places.extend(
            place
                .into_iter()
                .find(|(.., (found, _))| *found == pattern)
                .map(|(a, b, (_, t))| (number, a, b, t)),
        );
    }
    // The sign with which most sums use it, so that few are left with nothing positive.
    let negative = 2 * places.iter().filter(|(.., term)| term.negative).count() > places.len();
    for (number, a, b, term) in places {
        let terms = &mut sums[number].terms;
        terms.remove(b);
        terms[a] = Term { value: made, negative: term.negative != negative, shift: term.shift };
    }
    let term = |(value, shift), negative| Term { value, negative, shift };
    Sum { terms: vec![term(pattern.first, negative), term(pattern.second, pattern.differ != negative)] }
}

fn left(value: Expr, by: u32) -> Expr {
    if by == 0 { value } else { op(Prim::Shl, vec![value, int(by.into())]) }
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

fn int(value: i64) -> Expr {
    Expr::Int(value, Ty::I32)
}

fn op(prim: Prim, args: Vec<Expr>) -> Expr {
    Expr::Op { prim, args, imm: Vec::new() }
}

#[cfg(test)]
mod tests;
