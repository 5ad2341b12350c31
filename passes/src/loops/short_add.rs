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
//! all of these bounds is right for the whole domain, at most 65 536 pairs, which are all evaluated once more in the form as it is emitted. Legal
//! where there is one; the reference rounds three times, so there need not be.

use ir::diag::Diagnostic;
use ir::loops::{Expr, Nest, Prim};
use ir::ty::Ty;

use super::byte_function::{self, ByteFunction};
use super::step::StepDef;

/// How many shifts below the greatest are tried.
const LOWER_SHIFTS: usize = 3;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "short-add",
    usage: "short-add",
    summary: "Add scaled bytes with one rounding, proven on all of them",
    run: |nest, args| {
        args.at_most(0)?;
        short_add(nest).map(|_| ())
    },
};

/// Shortens all such functions; gives their number.
pub fn short_add(nest: &mut Nest) -> Result<usize, Diagnostic> {
    let (found, replaced) = byte_function::replace(nest, 2, &mut |_, function| {
        if function.operations() <= function.inputs.len() + 1 {
            return None; // It is that short already.
        }
        let form = Sampled::new(function)?.solve()?;
        (form.operations() < function.operations()).then(|| form.expr(function))
    });
    match (found, replaced) {
        (0, _) => Err(Diagnostic::new("no stored byte is a function of one or two loaded bytes")),
        (_, 0) => Err(Diagnostic::new(
            "cannot shorten: no function of one or two bytes is a scaled sum with one rounding, and longer than that",
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
    factors: Vec<i64>,
    constant: i64,
    shift: i32,
    prim: Prim,
    min: Option<i64>,
    max: Option<i64>,
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
    fn solve(&self) -> Option<Sum> {
        let reach = self.slopes.iter().map(|slope| slope.abs() * 256.0).sum::<f64>() + 512.0;
        let greatest = (0..=31).rev().find(|shift| reach * f64::from(*shift).exp2() < 31f64.exp2())?;
        (0..=greatest).rev().take(LOWER_SHIFTS + 1).find_map(|shift| {
            let near = |slope: &f64| {
                let exact = slope * f64::from(shift).exp2();
                [exact.floor() as i64, exact.ceil() as i64]
            };
            let choices: Vec<[i64; 2]> = self.slopes.iter().map(near).collect();
            (0..1 << choices.len()).find_map(|choice: usize| {
                let factor = |(input, near): (usize, &[i64; 2])| near[choice >> input & 1];
                self.sum(choices.iter().enumerate().map(factor).collect(), shift)
            })
        })
    }

    /// A constant for these factors, from the interval that is left.
    fn sum(&self, factors: Vec<i64>, shift: i32) -> Option<Sum> {
        let (least, greatest) = self.output.range()?;
        let (mut low, mut high) = (i64::from(i32::MIN), i64::from(i32::MAX));
        let product = |x: &[i64; 2]| factors.iter().zip(x).map(|(factor, x)| factor * x).sum::<i64>();
        for (x, y) in &self.points {
            if *y > self.limits.0 {
                low = low.max((y << shift) - product(x));
            }
            if *y < self.limits.1 {
                high = high.min(((y + 1) << shift) - 1 - product(x));
            }
        }
        if low > high {
            return None;
        }
        let prim = if self.output == Ty::I8 { Prim::Ssat } else { Prim::Usat };
        // Of the bounds only those count where the form goes further than the function.
        let mut sum = Sum { factors, constant: low.midpoint(high), shift, prim, min: None, max: None };
        let values = || self.points.iter().map(|(x, _)| sum.eval(x));
        if values().any(|value| value.is_none()) {
            return None;
        }
        let below = values().flatten().any(|value| value < self.limits.0);
        let above = values().flatten().any(|value| value > self.limits.1);
        sum.min = (below && self.limits.0 > least).then_some(self.limits.0);
        sum.max = (above && self.limits.1 < greatest).then_some(self.limits.1);
        self.points.iter().all(|(x, y)| sum.eval(x) == Some(*y)).then_some(sum)
    }
}

impl Sum {
    /// The value as the core computes it; `None` where the sum wraps.
    fn eval(&self, x: &[i64; 2]) -> Option<i64> {
        let sum = self.constant + self.factors.iter().zip(x).map(|(factor, x)| factor * x).sum::<i64>();
        let sum = i64::from(i32::try_from(sum).ok()?);
        let value = (self.prim.row().eval)(Ty::I32, &[sum], &[8, self.shift]);
        let value = self.min.map_or(value, |min| value.max(min));
        Some(self.max.map_or(value, |max| value.min(max)))
    }

    fn operations(&self) -> usize {
        let limits = usize::from(self.min.is_some()) + usize::from(self.max.is_some());
        self.factors.len() + 1 + limits
    }

    fn expr(&self, function: &ByteFunction) -> Expr {
        let int = |value: i64| Expr::Int(value, Ty::I32);
        let op = |prim, args| Expr::Op { prim, args, imm: Vec::new() };
        let sum = self.factors.iter().enumerate().fold(int(self.constant), |sum, (input, factor)| {
            op(Prim::Add, vec![sum, op(Prim::Mul, vec![function.word(input), int(*factor)])])
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
