//! `short-divide`: a sum that is divided by a constant and stored as a byte becomes a product and a saturation.
//!
//! ```text
//! finish { y[c] = div add(a, select(lt(0, a), 18, -18)), 36 }
//! =>
//! finish { y[c] = ssat mul_high_round(a, 119304648) {bits = 8, asr = 0} }
//! ```
//!
//! An average with rounding is a step function of its sum, as a rescaling is, and has the same proof ([`crate::proofs::short_forms`]):
//! the function is evaluated for every sum that the bounds allow, which shows that it never falls, and then the form at each step.
//! Ties go away from zero at both ends; a slope that is a little too steep parts them.
//!
//! Legal where the stored value depends on nothing but literals and one sum, of not too many values, and has such a form.

use ir::diag::Diagnostic;
use ir::loops::{Expr, Nest, Prim, Stmt};

use super::edit::blocks_mut;
use super::short_form::{Channel, Channels, Peers, Tables};
use super::step::StepDef;
use crate::proofs::accumulators::{self, Interval};
use crate::proofs::short_forms::{self, Cost, LONGEST, Query, Wanted};
use crate::proofs::thresholds::Steps;

/// Most sums that are evaluated.
const MOST_SUMS: i64 = 1 << 22;
/// Bits behind the point of a slope.
const SLOPE_BITS: u32 = 50;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "short-divide",
    usage: "short-divide",
    summary: "Divide sums by a constant with a product, proven equal for every sum",
    run: |nest, args| {
        args.at_most(0)?;
        short_divide(nest).map(|_| ())
    },
};

/// Shortens all such divisions; gives their number.
pub fn short_divide(nest: &mut Nest) -> Result<usize, Diagnostic> {
    let mut done = 0;
    let all = quotients(&nest.body);
    if all.iter().all(Option::is_none) {
        return Err(Diagnostic::new("no stored value is a quotient of one sum and a literal")
            .help("legal for averages: `y[…] = … div(…, N) …` of one sum"));
    }
    let mut refused = None;
    for (at, quotient) in all.iter().enumerate() {
        let Some(quotient) = quotient else { continue };
        match quotient.shortened(nest, at) {
            Ok(shortened) => {
                *nest = shortened;
                done += 1;
            }
            Err(why) => refused = Some(why),
        }
    }
    match (done, refused) {
        (0, Some(why)) => Err(Diagnostic::new(format!("cannot shorten the division: {why}"))
            .help("legal where the sum is bounded, and what is stored never falls while it grows")),
        _ => Ok(done),
    }
}

/// A stored value that divides a sum.
struct Quotient {
    /// The sum as it is read.
    x: Expr,
    value: Expr,
    divisor: i64,
}

/// For every store, in the order of the text, the quotient that it writes.
fn quotients(block: &[Stmt]) -> Vec<Option<Quotient>> {
    let mut out = Vec::new();
    for stmt in block {
        if let Stmt::Store(_, value) = stmt {
            out.push(Quotient::of(value));
        }
        ir::loops::walk::blocks(stmt).into_iter().for_each(|inner| out.extend(quotients(inner)));
    }
    out
}

impl Quotient {
    fn of(value: &Expr) -> Option<Self> {
        let mut quotient = None;
        let x = leaf(value, &mut None)?;
        divisor(value, &mut quotient);
        Some(Self { x, value: value.clone(), divisor: quotient? })
    }

    /// The nest with a form in the place of the store number `at`.
    fn shortened(&self, nest: &Nest, at: usize) -> Result<Nest, String> {
        let Interval { low, high } = self.range(nest).ok_or("the bounds of the sum are not known")?;
        if high - low >= MOST_SUMS {
            return Err(format!("its sum runs from {low} to {high}"));
        }
        let values: Vec<i64> = (low..=high).map(|sum| self.eval(&self.value, sum)).collect();
        if values.is_sorted() && values[0] >= -(1 << 15) && values[values.len() - 1] < 1 << 15 {
            let value = |sum: i32| values[(i64::from(sum) - low) as usize] as i32;
            let steps = Steps::of((low as i32, high as i32), value).ok_or("it has too many values")?;
            let (min, max) = (steps.first, steps.last());
            let slope = ((1i64 << SLOPE_BITS) / self.divisor, SLOPE_BITS);
            let wanted =
                [Some(Wanted { steps, slope, factor: 1, dropped: None, is_even: true, start: None })];
            return self.with_form(nest, at, &wanted, (min, max));
        }
        Err("it falls somewhere, or is no byte".into())
    }

    fn with_form(
        &self,
        nest: &Nest,
        at: usize,
        wanted: &[Option<Wanted>],
        (min, max): (i32, i32),
    ) -> Result<Nest, String> {
        let accumulator = self.range(nest).ok_or("the bounds of the sum are not known")?;
        let of = vec![Some(Channel { accumulator, factor: 1, start: None })];
        let channels = Channels { table: None, x: self.x.clone(), of, min, max };
        let saturation = channels.saturation().ok_or("it is no byte")?;
        let query = Query {
            wanted,
            limits: saturation.limits,
            clamp: (min, max),
            offset_is_free: channels.offset_is_free(nest),
            most: Cost { operations: LONGEST, loads: 0, registers: u32::MAX, bytes: u32::MAX },
            shift: None,
        };
        let found = short_forms::find(&query).map_err(|_| "no form was found")?;
        let mut shortened = nest.clone();
        let (before, value) =
            channels.written(&mut shortened, &mut Tables::default(), &found, &Peers::default());
        replace(&mut shortened.body, &mut { at }, &before, &value);
        Ok(shortened)
    }

    /// The bounds of the sum, where the dividend adds something to it.
    fn range(&self, nest: &Nest) -> Option<Interval> {
        let mut range: Option<Interval> = None;
        let mut known = true;
        let visited = accumulators::visit(nest, Prim::Div, &mut |expr, place| {
            let Expr::Op { args, .. } = expr else { return };
            let operand = match &args[0] {
                Expr::Op { args, .. } if args[0] == self.x => place.inner[0],
                x if *x == self.x => place.operands[0],
                other => {
                    known &= leaf(other, &mut None).as_ref() != Some(&self.x);
                    return;
                }
            };
            range = Some(range.map_or(operand, |range| range.hull(operand)));
        });
        visited.ok().filter(|()| known)?;
        range
    }

    /// The value for a sum.
    fn eval(&self, expr: &Expr, sum: i64) -> i64 {
        match expr {
            expr if *expr == self.x => sum,
            Expr::Int(value, _) => *value,
            Expr::Op { prim, args, imm } => {
                let mut values = [0; 4];
                values.iter_mut().zip(args).for_each(|(value, arg)| *value = self.eval(arg, sum));
                (prim.row().eval)(ir::ty::Ty::I32, &values[..args.len()], imm)
            }
            _ => sum,
        }
    }
}

/// The only thing that an expression depends on.
fn leaf(expr: &Expr, found: &mut Option<Expr>) -> Option<Expr> {
    match expr {
        Expr::Int(..) => {}
        Expr::Op { prim, args, .. } if !matches!(prim, Prim::Bot | Prim::Top) => {
            for arg in args {
                if !matches!(arg, Expr::Int(..)) {
                    leaf(arg, found)?;
                }
            }
        }
        Expr::Local(..) | Expr::Op { .. } => {
            if found.as_ref().is_some_and(|known| known != expr) {
                return None;
            }
            *found = Some(expr.clone());
        }
        Expr::Index(_) | Expr::Load(_) | Expr::Lookup(..) => return None,
    }
    found.clone()
}

/// The literal by which an expression divides, once.
fn divisor(expr: &Expr, found: &mut Option<i64>) {
    let Expr::Op { prim, args, .. } = expr else { return };
    match (prim, args.get(1)) {
        (Prim::Div, Some(Expr::Int(by, _))) if *by > 0 && found.is_none() => *found = Some(*by),
        _ => args.iter().for_each(|arg| divisor(arg, found)),
    }
}

/// Puts a value in the place of the one of store number `nth`.
fn replace(block: &mut Vec<Stmt>, nth: &mut usize, before: &[Stmt], new: &Expr) -> bool {
    for at in 0..block.len() {
        if let Stmt::Store(_, value) = &mut block[at] {
            if *nth == 0 {
                *value = new.clone();
                block.splice(at..at, before.iter().cloned());
                return true;
            }
            *nth -= 1;
        }
        if blocks_mut(&mut block[at]).into_iter().any(|inner| replace(inner, nth, before, new)) {
            return true;
        }
    }
    false
}
