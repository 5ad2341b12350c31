//! `short-add`: a function of one or two bytes that is a scaled sum becomes products, a sum and a saturation.
//!
//! ```text
//! a = requantize shl(sub(sext(x[i]), -3), 20), 1073741824, 0 {…}
//! b = requantize shl(sub(sext(z[i]), 7), 20), 1518500250, -1 {…}
//! y[i] = requantize add(a, b), 1717986918, -19 {zero = 5, min = -128, max = 127}
//! =>
//! y[i] = ssat add(add(C, mul(sext(x[i]), A)), mul(sext(z[i]), B)) {bits = 8, asr = 22}
//! ```
//!
//! `A` and `B` are the slopes of the function as whole numbers over `2^s`. Each pair of bytes then bounds `C` from both sides. A `C` within
//! all of these bounds is right for the whole domain, at most 65 536 pairs, which are all evaluated once more in the form as it is
//! emitted. Where no `C` is left, the two pairs that contradict each other say in which direction `A` and `B` have to move. Products
//! are whole, or the upper bits of one with a halfword; `upper` prefers these, which take bytes as words of four hold them
//! (`vectorize i.i bytes4`).
//!
//! The reference rounds three times, so there need not be such a sum. Then two tables take the place of the first two roundings:
//!
//! ```text
//! y[i] = requantize add(lookup(table, add(sext(x[i]), 128)), lookup(table_1, add(sext(z[i]), 128))), … {…}
//! ```
//!
//! and `short-requantize` shortens the third. Legal where one of the two is shorter than what stands there.

use ir::diag::Diagnostic;
use ir::loops::{Buffer, Expr, Init, Nest, Prim, Role};
use ir::ty::Ty;

use super::byte_function::{self, ByteFunction};
use super::edit::fresh_name;
use super::step::{Arg, StepDef};

/// How many shifts below the greatest are tried.
const LOWER_SHIFTS: usize = 3;
/// How often factors are moved.
const MOVES: usize = 80;
/// How far a move goes beyond what it has to.
const BEYOND: f64 = 1.2;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "short-add",
    usage: "short-add [upper]",
    summary: "Add scaled bytes with one rounding, proven on all of them",
    run: |nest, args| {
        args.at_most(1)?;
        let products = match args.get(0) {
            None => [Products::Whole, Products::Upper],
            Some(Arg::Word(word)) if word == "upper" => [Products::Upper, Products::Whole],
            Some(other) => return Err(args.misuse(format!("`{other}` there"))),
        };
        with_products(nest, products).map(|_| ())
    },
};

/// Shortens all such functions; gives their number.
pub fn short_add(nest: &mut Nest) -> Result<usize, Diagnostic> {
    with_products(nest, [Products::Whole, Products::Upper])
}

/// The same with products tried in this order.
fn with_products(nest: &mut Nest, products: [Products; 2]) -> Result<usize, Diagnostic> {
    let (found, replaced) = byte_function::replace(nest, 2, &mut |nest, function| {
        if function.operations() <= function.inputs.len() + 1 {
            return None; // It is that short already.
        }
        let form = Sampled::new(function).and_then(|sampled| sampled.solve(products));
        match form.filter(|form| form.operations() < function.operations()) {
            Some(form) => Some(form.expr(function)),
            None => tables(nest, function),
        }
    });
    match (found, replaced) {
        (0, _) => Err(Diagnostic::new("no stored byte is a function of one or two loaded bytes").help(
            "legal where each byte that is stored depends on two loads of bytes at most, and on constants",
        )),
        (_, 0) => Err(Diagnostic::new(
            "cannot shorten: no function of one or two bytes is a scaled sum, and longer than one",
        )
        .help("a function of one byte can be a `table`")),
        _ => Ok(replaced),
    }
}

/// A function on its whole domain.
struct Sampled {
    slopes: Vec<f64>,
    /// Inputs, the second one 0 where there is only one, with the result.
    points: Vec<([i64; 2], i64)>,
    /// The least and the greatest result.
    limits: (i64, i64),
    output: Ty,
}

/// `saturate((C + Σ factor x) >> shift)`, limited further where that is needed.
struct Sum {
    products: Products,
    factors: Vec<i64>,
    constant: i64,
    shift: i32,
    prim: Prim,
    min: Option<i64>,
    max: Option<i64>,
}

/// What a product is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Products {
    /// Of two words.
    Whole,
    /// Of a word and 256 times the byte, without its lowest 16 bits.
    Upper,
}

impl Products {
    fn of(self, factor: i64, x: i64) -> i64 {
        match self {
            Products::Whole => factor * x,
            Products::Upper => (factor * i64::from((x << 8) as i16)) >> 16, // What the halfword holds.
        }
    }

    /// What the factor is multiplied by in the sum.
    fn unit(self) -> f64 {
        if self == Products::Whole { 1.0 } else { 1.0 / 256.0 }
    }
}

impl Sampled {
    fn new(function: &ByteFunction) -> Option<Self> {
        let slopes =
            (0..function.inputs.len()).map(|input| function.slope(input)).collect::<Option<Vec<f64>>>()?;
        if slopes.iter().any(|slope| !slope.is_finite()) {
            return None;
        }
        let (low, high) = function.range(0);
        let (low_1, high_1) = if slopes.len() == 2 { function.range(1) } else { (0, 0) };
        let mut points = Vec::with_capacity(1 << (8 * slopes.len()));
        for x in low..=high {
            for z in low_1..=high_1 {
                points.push(([x, z], function.eval(&[x, z])?));
            }
        }
        let results = || points.iter().map(|(_, y)| *y);
        let limits = (results().min()?, results().max()?);
        Some(Self { slopes, points, limits, output: function.output })
    }

    /// Factors and a constant that are right everywhere.
    fn solve(&self, products: [Products; 2]) -> Option<Sum> {
        let reach = self.slopes.iter().map(|slope| slope.abs() * 256.0).sum::<f64>() + 512.0;
        let greatest = (0..=31).rev().find(|shift| reach * f64::from(*shift).exp2() < 31f64.exp2())?;
        let shifts = || (0..=greatest).rev().take(LOWER_SHIFTS + 1);
        products.into_iter().find_map(|products| shifts().find_map(|shift| self.solve_with(products, shift)))
    }

    /// The same for one shift: the factors are moved as long as two points contradict each other.
    fn solve_with(&self, products: Products, shift: i32) -> Option<Sum> {
        let scale = f64::from(shift).exp2() / products.unit();
        let mut exact: Vec<f64> = self.slopes.iter().map(|slope| slope * scale).collect();
        for _ in 0..MOVES {
            let factors: Vec<i64> = exact.iter().map(|factor| factor.round() as i64).collect();
            if factors.iter().any(|factor| i32::try_from(*factor).is_err()) {
                return None;
            }
            let (low, high) = match self.interval(products, &factors, shift) {
                Ok(interval) => return self.sum(products, factors, interval, shift),
                Err(contradiction) => contradiction,
            };
            // Less of the sum at the upper point than at the lower one, by as much as is missing.
            let (more, less) = (self.points[high.1].0, self.points[low.1].0);
            let direction = [0, 1].map(|at| (more[at] - less[at]) as f64);
            let length = direction.iter().map(|by| by * by).sum::<f64>();
            if length == 0.0 {
                return None;
            }
            let missing = (low.0 - high.0 + 1) as f64 / products.unit();
            let step = BEYOND * missing / length;
            exact.iter_mut().zip(direction).for_each(|(factor, by)| *factor -= step * by);
        }
        None
    }

    /// The constants that are right for these factors, or the points of the greatest lower and the least upper bound, with these.
    #[allow(clippy::type_complexity)] // It is written once.
    fn interval(
        &self,
        products: Products,
        factors: &[i64],
        shift: i32,
    ) -> Result<(i64, i64), ((i64, usize), (i64, usize))> {
        let (mut low, mut high) = ((i64::from(i32::MIN), 0), (i64::from(i32::MAX), 0));
        for (at, (x, y)) in self.points.iter().enumerate() {
            let sum = sum_of(products, factors, x);
            let (least, greatest) = ((y << shift) - sum, ((y + 1) << shift) - 1 - sum);
            if *y > self.limits.0 && least > low.0 {
                low = (least, at);
            }
            if *y < self.limits.1 && greatest < high.0 {
                high = (greatest, at);
            }
        }
        if low.0 <= high.0 { Ok((low.0, high.0)) } else { Err((low, high)) }
    }

    /// A constant for these factors, from the interval that is left, if all points are right.
    fn sum(&self, products: Products, factors: Vec<i64>, (low, high): (i64, i64), shift: i32) -> Option<Sum> {
        let (least, greatest) = self.output.range()?;
        let prim = if self.output == Ty::I8 { Prim::Ssat } else { Prim::Usat };
        // Of the bounds only those count where the form goes further than the function.
        let constant = low.midpoint(high);
        let mut sum = Sum { products, factors, constant, shift, prim, min: None, max: None };
        let values = || self.points.iter().map(|(x, _)| sum.eval(x));
        if values().any(|value| value.is_none()) {
            return None;
        }
        let below = values().flatten().any(|value| value < self.limits.0);
        let above = values().flatten().any(|value| value > self.limits.1);
        sum.min = (below && self.limits.0 > least).then_some(self.limits.0);
        sum.max = (above && self.limits.1 < greatest).then_some(self.limits.1);
        self.is_proven(&sum).then_some(sum)
    }

    /// Whether the form gives the function's value for all inputs.
    fn is_proven(&self, sum: &Sum) -> bool {
        self.points.iter().all(|(x, y)| sum.eval(x) == Some(*y))
    }
}

impl Sum {
    /// The value as the core computes it; `None` where the sum wraps.
    fn eval(&self, x: &[i64; 2]) -> Option<i64> {
        let sum = self.constant + sum_of(self.products, &self.factors, x);
        let sum = i64::from(i32::try_from(sum).ok()?);
        let value = (self.prim.row().eval)(Ty::I32, &[sum], &[8, self.shift]);
        let value = self.min.map_or(value, |min| value.max(min));
        Some(self.max.map_or(value, |max| value.min(max)))
    }

    fn operations(&self) -> usize {
        let limits = usize::from(self.min.is_some()) + usize::from(self.max.is_some());
        let shifts = if self.products == Products::Upper { self.factors.len() } else { 0 };
        self.factors.len() + shifts + 1 + limits
    }

    fn expr(&self, function: &ByteFunction) -> Expr {
        let int = |value: i64| Expr::Int(value, Ty::I32);
        let op = |prim, args| Expr::Op { prim, args, imm: Vec::new() };
        let sum = self.factors.iter().enumerate().fold(int(self.constant), |sum, (input, factor)| {
            let word = function.word(input);
            let product = match self.products {
                Products::Whole => op(Prim::Mul, vec![word, int(*factor)]),
                Products::Upper => {
                    op(Prim::MulShift16, vec![int(*factor), op(Prim::Shl, vec![word, int(8)])])
                }
            };
            op(Prim::Add, vec![sum, product])
        });
        let mut value = Expr::Op { prim: self.prim, args: vec![sum], imm: vec![8, self.shift] };
        if let Some(min) = self.min {
            value = op(Prim::Max, vec![value, int(min)]);
        }
        if let Some(max) = self.max {
            value = op(Prim::Min, vec![value, int(max)]);
        }
        value
    }
}

fn sum_of(products: Products, factors: &[i64], x: &[i64]) -> i64 {
    factors.iter().zip(x).map(|(factor, x)| products.of(*factor, *x)).sum()
}

/// The function with its two summands looked up; `None` where it is no function of a sum, or that is no shorter.
fn tables(nest: &mut Nest, function: &ByteFunction) -> Option<Expr> {
    let summands = function.summands()?;
    let lookups = summands.values.iter().enumerate().map(|(input, values)| {
        let name = fresh_name(nest, "table");
        let bytes: Vec<u8> = values.iter().flat_map(|value| (*value as i32).to_le_bytes()).collect();
        let buffer = Buffer::new(name, Ty::I32, &[256], Role::Const(Init::Data(bytes.into())));
        Expr::Lookup(nest.add_buffer(buffer), Box::new(function.position(input)))
    });
    let sum = Expr::Op { prim: Prim::Add, args: lookups.collect(), imm: Vec::new() };
    Some(function.with_sum(&summands, sum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::loops::text::parse_nest;

    #[test]
    fn a_perturbed_constant_is_rejected() {
        let mut nest = parse_nest(
            "loops @add(a: i8[6], b: i8[6], y: i8[6]) {
               for i in 0..6 { y[i] = ssat add(add(8263204, mul(sext(a[i]), 1677721)), mul(sext(b[i]), 1186328)) {bits = 8, asr = 21} }
             }",
        )
        .expect("it is a nest");
        let mut seen = 0;
        byte_function::replace(&mut nest, 2, &mut |_, function| {
            let sampled = Sampled::new(function).expect("it has a slope");
            for products in [Products::Whole, Products::Upper] {
                let sum = sampled.solve_with(products, 20).expect("a bit less does");
                assert!(sampled.is_proven(&sum));
                for by in [-1, 1] {
                    let mut wrong = Vec::new();
                    let mut with = |change: &dyn Fn(&mut Sum)| {
                        let mut other = Sum { factors: sum.factors.clone(), ..sum };
                        change(&mut other);
                        wrong.push(other);
                    };
                    with(&|sum| sum.constant += by << 16);
                    with(&|sum| sum.factors[0] += by << 18);
                    with(&|sum| sum.factors[1] += by << 18);
                    with(&|sum| sum.shift += by as i32);
                    with(&|sum| sum.constant = by << 31);
                    assert!(wrong.iter().all(|sum| !sampled.is_proven(sum)), "{products:?} {by}");
                    seen += wrong.len();
                }
            }
            None
        });
        assert_eq!(seen, 20);
    }
}
