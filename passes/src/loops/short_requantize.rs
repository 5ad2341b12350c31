//! `short-requantize`: rescaling in two to five operations, proven equal for every accumulator that can occur.
//!
//! ```text
//! init { a = b[n] }
//! finish { y[p, n] = requantize a, m[n], s[n] {zero = -128, min = -128, max = 127} }
//! =>
//! init { a = b_offset[n] }                        // b[n] + d[n]
//! finish { y[p, n] = ssat mul_high_add(m_high[n], a, m_short[n]) {bits = 8, asr = 5} }
//! ```
//!
//! [`crate::proofs::accumulators`] bounds the accumulator of each channel from the weights, [`crate::proofs::short_forms`] finds the
//! numbers and proves them, all channels with one form, the cheapest. The offset `d` costs nothing where it can go into the initial
//! value of a sum: one that is only added to and has no other reader. There `m_high` takes over so much of that value that what is left, and
//! `m_high` itself, are halfwords or bytes where that is possible for all channels: `pack` then stores them as such. Where the form's
//! saturation is wider than the clamp, `min` or `max` follows if some accumulator needs it.
//!
//! Where the clamp cuts below the zero point, ties of the reference's second rounding show, and the form takes the sign: three
//! operations where the accumulator arrives doubled, else one more. A factor that is known to divide it is taken off by the
//! multiplier: of `asr(a, 1)` and `div(a, f[n])` nothing is left (`scale`).
//!
//! Legal where each channel has such a form and it takes no more than what [`super::expand_composites`] writes. `short-requantize any`
//! shortens what it can and refuses only if that is nothing.
//!
//! Without more the shift is a multiple of four, so that layers agree, where such a one is proven; else the greatest that all channels
//! have. A smaller multiplier lowers that of the others: six to eight bits are mostly exact. `short-requantize shift 7` asks for one; `common-shift` finds the one that several rescalings, or layers, have in common.

mod known;

use ir::diag::Diagnostic;
use ir::fixed::Multiplier;
use ir::loops::{Expr, Index, LocalId, Nest, Prim, Stmt};

use self::known::{Answer, Question, Shortened};
use super::edit::blocks_mut;
use super::short_form::{Channel, Channels, Peers, Tables};
use super::start::Start;
use super::step::StepDef;
use super::sum_offset::int;
use crate::proofs::accumulators::{self, Interval, Place};
use crate::proofs::multiples::{Difference, differences};
use crate::proofs::short_forms::{self, Cost, Query, Wanted};
use crate::proofs::thresholds::Rescale;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "short-requantize",
    usage: "short-requantize [any] [shift N]",
    summary: "Rescale with few operations that are proven equal for every accumulator",
    run: |nest, args| {
        let (mut any, mut shift, mut at) = (false, None, 0);
        while at < args.len() {
            match args.word(at)? {
                "any" if !any && shift.is_none() => any = true,
                "shift" if shift.is_none() => {
                    at += 1;
                    shift = Some(i32::try_from(args.int(at)?).unwrap_or(i32::MAX));
                }
                other => return Err(args.misuse(format!("`{other}` there"))),
            }
            at += 1;
        }
        with_shift(nest, any, shift).map(|_| ())
    },
};

/// What became of the rescalings of a nest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Channels by the operations that they take now, 2 to 5.
    pub short: [usize; 4],
    /// Channels that stay as they were.
    pub literal: usize,
}

/// Shortens every rescaling of the body; with `any` only those that have a short form.
pub fn short_requantize(nest: &mut Nest, any: bool) -> Result<Report, Diagnostic> {
    with_shift(nest, any, None)
}

/// The same, with this shift in every saturation if one is given.
pub fn with_shift(nest: &mut Nest, any: bool, shift: Option<i32>) -> Result<Report, Diagnostic> {
    let Shortened { nest: shortened, report, refusal, error } =
        known::NESTS.answer((nest.clone(), shift), || shortened(nest.clone(), shift));
    if !any && let Some(refusal) = refusal {
        return Err(refusal.help(ANY_HELP));
    }
    match (error, refusal) {
        (Some(error), _) => Err(error),
        (None, Some(refusal)) if report.short == [0; 4] => Err(refusal),
        (None, None) if report.short == [0; 4] => {
            let help = "legal once for each layer, where sums become bytes";
            Err(Diagnostic::new("nothing is rescaled by `requantize` here").help(help))
        }
        _ => {
            *nest = shortened;
            Ok(report)
        }
    }
}

/// Shortens what can be.
fn shortened(nest: Nest, shift: Option<i32>) -> Shortened {
    let mut found = Shortened { nest, report: Report::default(), refusal: None, error: None };
    let (mut at, mut tables) = (0, Tables::default());
    while let Some(site) = sites(&found.nest.body).get(at).copied() {
        let site = Site::of(site);
        let all = match rescalings(&found.nest, at, &site) {
            Ok(all) => all,
            Err(error) => return Shortened { error: Some(error), ..found },
        };
        let number = all.channels.number();
        match site.shortened(&found.nest, at, &all, &tables, shift) {
            Ok((shortened, with_these, cost)) => {
                tables = with_these;
                found.report.short[cost.operations as usize - 2] += number;
                found.nest = shortened;
            }
            Err(failures) => {
                found.report.literal += number;
                found.refusal.get_or_insert_with(|| site.refusal(failures, &all));
                at += 1;
            }
        }
    }
    found
}

const ANY_HELP: &str = "`short-requantize any` leaves what has no short form";

/// A sum that is rescaled, for who looks for factors.
pub struct Rescaled {
    /// Which register of the sum.
    pub register: Vec<Index>,
    /// Shape and index of the tables that give a number for each channel; `None` where all are the same.
    pub table: Option<(Vec<u32>, Vec<Index>)>,
    /// For each channel the function of the sum; `None` if nothing uses it.
    pub wanted: Vec<Option<Wanted>>,
    /// What the saturation leaves.
    pub limits: (i32, i32),
    /// The clamp behind it.
    pub clamp: (i32, i32),
}

/// The only place where `sum` is rescaled, if there is one and its constants are known.
pub fn rescaled(nest: &Nest, sum: LocalId) -> Result<Rescaled, Diagnostic> {
    let is_of_sum = |expr: &&&Expr| matches!(expr, Expr::Op { args, .. } if matches!(&args[0], Expr::Local(local, _) if *local == sum));
    let all = sites(&nest.body);
    let name = &nest.locals[sum.idx()].name;
    let (Some(expr), 1) = (all.iter().find(is_of_sum), all.iter().filter(is_of_sum).count()) else {
        return Err(Diagnostic::new(format!("`{name}` is not rescaled by one `requantize`")));
    };
    let at = all.iter().position(|found| std::ptr::eq(*found, *expr)).expect("it is one of them");
    let site = Site::of(expr);
    let all = rescalings(nest, at, &site)?;
    let Expr::Local(_, register) = &site.operand else { unreachable!("it was found by that") };
    let (Some(wanted), Some(saturation)) = (site.wanted(&all), all.channels.saturation()) else {
        return Err(Diagnostic::new(format!("the function of `{name}` is no step function of bytes")));
    };
    Ok(Rescaled {
        register: register.clone(),
        table: all.channels.table.map(|(shape, index, _)| (shape, index)),
        wanted,
        limits: saturation.limits,
        clamp: (site.min, site.max),
    })
}

/// A `requantize` of the body.
pub(super) struct Site {
    /// What is rescaled.
    operand: Expr,
    /// Where that is a quotient: the dividend, and the divisor or the power of two.
    quotient: Option<(Expr, Expr)>,
    multiplier: Expr,
    shift: Expr,
    zero: i32,
    pub(super) min: i32,
    pub(super) max: i32,
}

/// The rescalings that a site stands for.
pub(super) struct Rescalings {
    pub(super) channels: Channels,
    /// For each channel; that of channels that nothing uses is 0.
    multipliers: Vec<Multiplier>,
}

impl Site {
    pub(super) fn of(expr: &Expr) -> Self {
        let Expr::Op { args, imm, .. } = expr else { unreachable!("a site is an operation") };
        let quotient = match &args[0] {
            Expr::Op { prim: Prim::Asr | Prim::Div, args, .. } => Some((args[0].clone(), args[1].clone())),
            Expr::Op { prim: Prim::Unscaled, args, imm } => Some((args[0].clone(), int(imm[0]))),
            _ => None,
        };
        let [operand, multiplier, shift] = [0, 1, 2].map(|at| args[at].clone());
        Site { operand, quotient, multiplier, shift, zero: imm[0], min: imm[1], max: imm[2] }
    }

    /// The nest with a form for all channels, the tables written by then and what the form takes, or how many channels have none.
    fn shortened(
        &self,
        nest: &Nest,
        at: usize,
        all: &Rescalings,
        tables: &Tables,
        shift: Option<i32>,
    ) -> Result<(Nest, Tables, Cost), usize> {
        let (found, cost) = self.form(nest, all, shift)?;
        let (mut shortened, mut tables) = (nest.clone(), tables.clone());
        let written = all.channels.written(&mut shortened, &mut tables, &found, &Peers::default());
        write(&mut shortened, at, written);
        Ok((shortened, tables, cost))
    }

    /// A form for all channels and what it takes, or how many channels have none.
    fn form(&self, nest: &Nest, all: &Rescalings, shift: Option<i32>) -> Answer {
        let offset_is_free = all.channels.offset_is_free(nest);
        let channel = |(channel, multiplier): (&Option<Channel>, &Multiplier)| {
            let Channel { accumulator: Interval { low, high }, factor, start } = (*channel)?;
            Some((low, high, factor, start, (multiplier.value, multiplier.shift)))
        };
        let question = Question {
            channels: all.channels.of.iter().zip(&all.multipliers).map(channel).collect(),
            clamp: (self.zero, self.min, self.max),
            offset_is_free,
            most: self.literal(all),
            shift,
        };
        known::FORMS.answer(question, || self.find(all, offset_is_free, shift))
    }

    fn find(&self, all: &Rescalings, offset_is_free: bool, shift: Option<i32>) -> Answer {
        let channels = &all.channels;
        let (Some(wanted), Some(saturation)) = (self.wanted(all), channels.saturation()) else {
            return Err(channels.number());
        };
        let query = Query {
            wanted: &wanted,
            limits: saturation.limits,
            clamp: (self.min, self.max),
            offset_is_free,
            most: self.literal(all),
            shift,
        };
        let found = short_forms::find(&query)?;
        let cost = found.cost(&wanted, offset_is_free);
        Ok((found, cost))
    }

    pub(super) fn wanted(&self, all: &Rescalings) -> Option<Vec<Option<Wanted>>> {
        let wanted = |(channel, multiplier): (&Option<Channel>, &Multiplier)| match channel {
            Some(channel) => self.wanted_of(*channel, *multiplier).map(Some),
            None => Some(None),
        };
        all.channels.of.iter().zip(&all.multipliers).map(wanted).collect()
    }

    fn wanted_of(&self, channel: Channel, multiplier: Multiplier) -> Option<Wanted> {
        let Interval { low, high } = channel.accumulator;
        let rescale = Rescale { multiplier, zero: self.zero, min: self.min, max: self.max };
        let steps = rescale.steps((low.try_into().ok()?, high.try_into().ok()?))?;
        let Multiplier { value, shift } = multiplier;
        let shift = shift.clamp(-31, 31);
        let slope = (i64::from(value) << shift.max(0), (31 - shift.min(0)) as u32);
        let dropped = (shift < 0).then_some(-shift as u32);
        let start = channel.start;
        Some(Wanted { steps, slope, factor: channel.factor, dropped, is_even: false, start })
    }

    /// What [`super::expand_composites`] makes of it: a product, perhaps the sign, the second rounding and the saturation.
    pub(super) fn literal(&self, all: &Rescalings) -> Cost {
        let used = || all.channels.of.iter().zip(&all.multipliers).filter(|(channel, _)| channel.is_some());
        let rounds_far = used().all(|(_, multiplier)| (-31..=-2).contains(&multiplier.shift));
        let goes_left = used().any(|(_, multiplier)| multiplier.shift > 0);
        let hides_sign = self.min >= self.zero;
        let rounding = if rounds_far { 1 + u32::from(!hides_sign) } else { ROUNDING };
        let factor = match &self.operand {
            Expr::Op { prim: Prim::Div | Prim::Unscaled, .. } => DIVISION,
            Expr::Op { prim: Prim::Asr, .. } => 1,
            _ => 0,
        };
        let loads = if all.channels.table.is_some() { 2 } else { 0 };
        let registers = 2 - loads + u32::from(self.zero != 0);
        let bytes = u32::MAX; // Nothing is kept for its tables alone.
        Cost { operations: 2 + rounding + u32::from(goes_left) + factor, loads, registers, bytes }
    }

    fn refusal(&self, failures: usize, all: &Rescalings) -> Diagnostic {
        let channels = &all.channels;
        let (n_channels, most) = (channels.number(), self.literal(all).operations.min(short_forms::LONGEST));
        let message = format!(
            "cannot shorten `requantize`: {failures} of {n_channels} channels have no proven form of at most {most} operations with a common shift"
        );
        let refusal = Diagnostic::new(message);
        if self.min < self.zero && channels.of.iter().flatten().any(|channel| channel.factor == 1) {
            return refusal.help("below the zero point rounding takes less where the accumulator arrives with a factor: `scale`");
        }
        refusal
    }
}

/// Puts a value in the place of the `requantize` number `at`, and statements in front of it.
pub(super) fn write(nest: &mut Nest, at: usize, (before, value): (Vec<Stmt>, Expr)) {
    let replaced = edit_site(&mut nest.body, &mut { at }, &mut |expr| {
        *expr = value.clone();
        before.clone()
    });
    assert!(replaced, "the site was found by its number");
}

/// Operations of a second rounding whose shift may be short: a guess for what [`super::expand_composites`] writes.
const ROUNDING: u32 = 5;
/// Operations that a division stands for.
const DIVISION: u32 = 4;

/// Every `requantize` in a block, in the order of the text.
pub(super) fn sites(block: &[Stmt]) -> Vec<&Expr> {
    fn of_expr<'e>(expr: &'e Expr, out: &mut Vec<&'e Expr>) {
        match expr {
            Expr::Op { prim, args, .. } => {
                if *prim == Prim::Requantize {
                    out.push(expr);
                }
                args.iter().for_each(|arg| of_expr(arg, out));
            }
            Expr::Lookup(_, at) => of_expr(at, out),
            _ => {}
        }
    }
    let mut out = Vec::new();
    for stmt in block {
        if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = stmt {
            of_expr(value, &mut out);
        }
        ir::loops::walk::blocks(stmt).into_iter().for_each(|inner| out.extend(sites(inner)));
    }
    out
}

/// Calls `edit` on the `requantize` number `nth`, and puts the statements that it gives in front of the one around it.
fn edit_site(block: &mut Vec<Stmt>, nth: &mut usize, edit: &mut dyn FnMut(&mut Expr) -> Vec<Stmt>) -> bool {
    fn in_expr(
        expr: &mut Expr,
        nth: &mut usize,
        edit: &mut dyn FnMut(&mut Expr) -> Vec<Stmt>,
    ) -> Option<Vec<Stmt>> {
        if matches!(expr, Expr::Op { prim: Prim::Requantize, .. }) {
            if *nth == 0 {
                return Some(edit(expr));
            }
            *nth -= 1;
        }
        match expr {
            Expr::Op { args, .. } => args.iter_mut().find_map(|arg| in_expr(arg, nth, edit)),
            Expr::Lookup(_, at) => in_expr(at, nth, edit),
            _ => None,
        }
    }
    for at in 0..block.len() {
        if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = &mut block[at]
            && let Some(before) = in_expr(value, nth, edit)
        {
            block.splice(at..at, before);
            return true;
        }
        if blocks_mut(&mut block[at]).into_iter().any(|inner| edit_site(inner, nth, edit)) {
            return true;
        }
    }
    false
}

/// What is rescaled at a site: bounds and factors of each channel.
pub(super) fn rescalings(nest: &Nest, at: usize, site: &Site) -> Result<Rescalings, Diagnostic> {
    let table = tables(nest, site)?;
    let len = table.as_ref().map_or(1, |(shape, ..)| shape.iter().map(|extent| *extent as usize).product());
    let mut of: Vec<Option<Channel>> = vec![None; len];
    let mut multipliers = vec![Multiplier { value: 0, shift: 0 }; len];
    let expr = sites(&nest.body)[at];
    let power = power_of_difference(nest, site);
    let start = Start::of(nest, &site.operand);
    let start_at = |place: &Place| start.as_ref()?.at(place);
    let (mut unknown, mut differs, mut divides) = (false, false, site.quotient.is_some());
    let is_site = |found: &Expr| std::ptr::eq(found, expr);
    accumulators::visit_some(nest, Prim::Requantize, &is_site, &mut |found, place| {
        if !is_site(found) {
            return;
        }
        let position = table.as_ref().map_or(Some(0), |(shape, at, _)| place.position(at, shape));
        let number = |operand: usize| place.operands[operand].as_point().and_then(|n| i32::try_from(n).ok());
        let (Some(position), Some(value), Some(shift)) = (position, number(1), number(2)) else {
            unknown = true;
            return;
        };
        let multiplier = Multiplier { value, shift };
        differs |= of[position].is_some() && multipliers[position] != multiplier;
        let factor = if divides { factor_at(site, place, power) } else { None };
        let accumulator = of[position]
            .map_or(place.operands[0], |known: Channel| known.accumulator.hull(place.operands[0]));
        divides &= factor.is_some() && of[position].is_none_or(|known| Some(known.factor) == factor);
        of[position] = Some(Channel { accumulator, factor: factor.unwrap_or(1), start: start_at(place) });
        multipliers[position] = multiplier;
    })?;
    if unknown {
        return Err(Diagnostic::new(
            "cannot shorten `requantize`: its multipliers and shifts are not constant",
        )
        .help("legal for literals and for elements of constants"));
    }
    if differs {
        return Err(Diagnostic::new("cannot shorten `requantize`: its multipliers are no table here")
            .help("apply the step before `hoist`"));
    }
    if !divides {
        of.iter_mut().flatten().for_each(|channel| channel.factor = 1);
    }
    let dividend = site.quotient.as_ref().filter(|_| divides).map(|(dividend, _)| dividend);
    let x = dividend.unwrap_or(&site.operand).clone();
    Ok(Rescalings { channels: Channels { table, x, of, min: site.min, max: site.max }, multipliers })
}

/// What the quotient of a site takes off, if that divides the dividend, a multiple of `2^power` at least.
fn factor_at(site: &Site, place: &Place, power: u32) -> Option<i32> {
    if let Expr::Op { prim: Prim::Unscaled, imm, .. } = &site.operand {
        return Some(imm[0]); // That it divides is what the operation says.
    }
    let by = place.inner.get(1)?.as_point()?;
    let factor = match &site.operand {
        Expr::Op { prim: Prim::Asr, .. } => 1i64.checked_shl(by.try_into().ok()?)?,
        _ => by,
    };
    let divides = |number: u64| factor > 0 && number.is_multiple_of(factor as u64);
    (divides(place.divisor) || divides(1 << power)).then_some(factor)?.try_into().ok()
}

/// The power of two that divides the dividend of a site where it is a difference of two sums with common weights, else 0.
fn power_of_difference(nest: &Nest, site: &Site) -> u32 {
    let Some((Expr::Op { prim: Prim::Sub, args, .. }, _)) = &site.quotient else { return 0 };
    let [Expr::Local(of, at), Expr::Local(less, other_at)] = &args[..] else { return 0 };
    if at != other_at {
        return 0;
    }
    let same = |difference: &Difference| difference.of == *of && difference.less == *less;
    differences(nest).into_iter().find(same).map_or(0, |difference| difference.power)
}

/// Shape, index and name of the tables of a site.
#[allow(clippy::type_complexity)] // A field's type.
fn tables(nest: &Nest, site: &Site) -> Result<Option<(Vec<u32>, Vec<Index>, String)>, Diagnostic> {
    let table = |expr: &Expr| match expr {
        Expr::Load(access) => {
            let buffer = &nest.buffers[access.buffer.idx()];
            Some((buffer.shape.clone(), access.index.clone(), buffer.name.clone()))
        }
        _ => None,
    };
    let divisor = site.quotient.as_ref().and_then(|(_, divisor)| table(divisor));
    let all: Vec<_> = [table(&site.multiplier), table(&site.shift), divisor].into_iter().flatten().collect();
    let Some((first, others)) = all.split_first() else { return Ok(None) };
    match others.iter().find(|other| (&other.0, &other.1) != (&first.0, &first.1)) {
        Some(other) => Err(Diagnostic::new(format!(
            "cannot shorten `requantize`: `{}` and `{}` are read at different places",
            first.2, other.2
        ))),
        None => Ok(Some(first.clone())),
    }
}
