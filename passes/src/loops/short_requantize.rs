//! `short-requantize`: rescaling in two operations, proven equal for every accumulator that can occur.
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
//! numbers and proves them, all channels with one shift. The offset `d` costs nothing where it can go into the initial value of a
//! sum: one that is only added to and has no other reader. Where the form's saturation is wider than the clamp, `min` or `max` follows
//! if some accumulator needs it.
//!
//! Legal where each channel has such a form that takes fewer operations than [`super::expand_composites`] writes; where the clamp cuts
//! below the zero point, that takes an accumulator with a factor of at least 2 (`asr(shl(a, 1), 1)`). `short-requantize any` shortens what it can
//! and refuses only if that is nothing.

use std::collections::{BTreeMap, BTreeSet};

use ir::diag::Diagnostic;
use ir::fixed::Multiplier;
use ir::loops::{
    Access, Atom, Buffer, BufferId, Expr, Index, Init, LocalId, Loop, Nest, Prim, Reduce, Role, Stmt, VarId,
};
use ir::ty::Ty;

use super::edit::{blocks_mut, fresh_local, fresh_name, fresh_var, visit_local_uses, visit_local_uses_of};
use super::step::{Arg, StepDef};
use crate::proofs::accumulators::{self, Interval};
use crate::proofs::short_forms::{self, Form, Found, Wanted};
use crate::proofs::thresholds::Rescale;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "short-requantize",
    usage: "short-requantize [any]",
    summary: "Rescale with two operations that are proven equal for every accumulator",
    run: |nest, args| {
        args.at_most(1)?;
        let any = match args.get(0) {
            None => false,
            Some(Arg::Word(word)) if word == "any" => true,
            Some(other) => return Err(args.misuse(format!("`{other}` there"))),
        };
        short_requantize(nest, any).map(|_| ())
    },
};

/// What became of the rescalings of a nest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Channels by the operations that they take now: 2, 3 and 4.
    pub short: [usize; 3],
    /// Channels that stay as they were.
    pub literal: usize,
}

/// Shortens every rescaling of the body; with `any` only those that have a short form.
pub fn short_requantize(nest: &mut Nest, any: bool) -> Result<Report, Diagnostic> {
    let mut report = Report::default();
    let (mut at, mut first_refusal) = (0, None);
    while let Some(site) = sites(&nest.body).get(at).copied() {
        let site = Site::of(site);
        let channels = channels(nest, at, &site)?;
        let n_channels = channels.of.iter().flatten().count();
        match site.shortened(nest, at, &channels) {
            Ok((shortened, operations)) => {
                report.short[operations as usize - 2] += n_channels;
                *nest = shortened;
            }
            Err(failures) if any => {
                report.literal += n_channels;
                first_refusal.get_or_insert_with(|| site.refusal(failures, n_channels));
                at += 1;
            }
            Err(failures) => return Err(site.refusal(failures, n_channels).help(ANY_HELP)),
        }
    }
    match first_refusal {
        Some(refusal) if report.short == [0; 3] => Err(refusal),
        None if report.short == [0; 3] => Err(Diagnostic::new("nothing is rescaled by `requantize` here")),
        _ => Ok(report),
    }
}

const ANY_HELP: &str = "`short-requantize any` leaves what has no short form";

/// A `requantize` of the body.
struct Site {
    /// What is rescaled, as it arrives.
    operand: Expr,
    /// What the accumulator is multiplied by already, a power of two.
    factor: i32,
    multiplier: Expr,
    shift: Expr,
    zero: i32,
    min: i32,
    max: i32,
}

/// The rescalings that a site stands for.
struct Channels {
    /// Shape and index of the tables that give a number for each channel; `None` where all are the same.
    table: Option<(Vec<u32>, Vec<Index>, String)>,
    /// For each element of the tables, the range of the accumulators and the factor; `None` if nothing uses it.
    of: Vec<Option<(Interval, Multiplier)>>,
}

/// A saturation.
struct Saturation {
    prim: Prim,
    bits: i32,
    limits: (i32, i32),
}

impl Site {
    fn of(expr: &Expr) -> Self {
        let Expr::Op { args, imm, .. } = expr else { unreachable!("a site is an operation") };
        let (operand, factor) = without_factor(&args[0]);
        let (multiplier, shift) = (args[1].clone(), args[2].clone());
        Site { operand, factor, multiplier, shift, zero: imm[0], min: imm[1], max: imm[2] }
    }

    /// The nest with a form for all channels and the operations of that, or how many channels have none.
    fn shortened(&self, nest: &Nest, at: usize, channels: &Channels) -> Result<(Nest, u32), usize> {
        let found = self.shorten(channels)?;
        let mut shortened = nest.clone();
        let operations = found.shape.operations() + replace(&mut shortened, at, self, channels, &found);
        let is_shorter = operations <= self.longest();
        is_shorter.then_some((shortened, operations)).ok_or(channels.of.iter().flatten().count())
    }

    /// A form for all channels, or how many have none.
    fn shorten(&self, channels: &Channels) -> Result<Found, usize> {
        let n_channels = channels.of.iter().flatten().count();
        let wanted: Option<Vec<Option<Wanted>>> = channels
            .of
            .iter()
            .map(|channel| channel.map(|channel| self.wanted(channel)).map_or(Some(None), |w| w.map(Some)))
            .collect();
        let (Some(wanted), Some(saturation)) = (wanted, self.saturation()) else { return Err(n_channels) };
        short_forms::find(&wanted, self.factor, saturation.limits, (self.min, self.max), self.longest())
    }

    /// One operation less than without the step.
    fn longest(&self) -> u32 {
        let hides_sign = self.min >= self.zero;
        if hides_sign && self.factor == 1 { 2 } else { 3 + u32::from(self.factor > 1) }
    }

    fn wanted(&self, (range, multiplier): (Interval, Multiplier)) -> Option<Wanted> {
        let rescale = Rescale { multiplier, zero: self.zero, min: self.min, max: self.max };
        let steps = rescale.steps((range.low.try_into().ok()?, range.high.try_into().ok()?))?;
        let Multiplier { value, shift } = multiplier;
        let shift = shift.clamp(-31, 31);
        Some(Wanted { steps, slope: (i64::from(value) << shift.max(0), (31 - shift.min(0)) as u32) })
    }

    /// The narrowest one that holds every result.
    fn saturation(&self) -> Option<Saturation> {
        let (min, max) = (self.min, self.max);
        if min == 0 && max < 1 << 16 && (max + 1).count_ones() == 1 {
            let bits = (max + 1).trailing_zeros() as i32;
            return Some(Saturation { prim: Prim::Usat, bits, limits: (min, max) });
        }
        let holds = |bits: &i32| min >= -(1 << (bits - 1)) && max < 1 << (bits - 1);
        let bits = (1..=16).find(holds)?;
        Some(Saturation { prim: Prim::Ssat, bits, limits: (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) })
    }

    fn refusal(&self, failures: usize, n_channels: usize) -> Diagnostic {
        let most = self.longest();
        let message = format!(
            "cannot shorten `requantize`: {failures} of {n_channels} channels have no proven form of at most {most} operations with a common shift"
        );
        let refusal = Diagnostic::new(message);
        if self.min < self.zero && self.factor == 1 {
            return refusal.help(
                "below the zero point rounding needs an accumulator that arrives with a factor of at least 2",
            );
        }
        refusal
    }
}

/// The operand of what takes off a known factor, and that factor; else the whole and 1.
fn without_factor(expr: &Expr) -> (Expr, i32) {
    if let Expr::Op { prim: Prim::Unscaled, args, imm } = expr {
        return (args[0].clone(), imm[0]);
    }
    if let Expr::Op { prim: Prim::Asr, args, .. } = expr
        && let [inner, Expr::Int(by @ 1..=16, _)] = &args[..]
        && is_multiple(inner, *by)
    {
        return (inner.clone(), 1 << by);
    }
    (expr.clone(), 1)
}

/// Whether a value is a multiple of `2^power` whatever it is made of.
fn is_multiple(expr: &Expr, power: i64) -> bool {
    match expr {
        Expr::Int(value, _) => value % (1 << power) == 0,
        Expr::Op { prim: Prim::Shl, args, .. } => {
            matches!(args[1], Expr::Int(by, _) if (power..=31).contains(&by))
        }
        Expr::Op { prim: Prim::Add | Prim::Sub, args, .. } => args.iter().all(|arg| is_multiple(arg, power)),
        _ => false,
    }
}

/// Every `requantize` in a block, in the order of the text.
fn sites(block: &[Stmt]) -> Vec<&Expr> {
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
fn channels(nest: &Nest, at: usize, site: &Site) -> Result<Channels, Diagnostic> {
    let table = tables(nest, site)?;
    let len = table.as_ref().map_or(1, |(shape, ..)| shape.iter().map(|extent| *extent as usize).product());
    let mut of: Vec<Option<(Interval, Multiplier)>> = vec![None; len];
    let expr = sites(&nest.body)[at];
    let mut unknown = false;
    accumulators::visit(nest, Prim::Requantize, &mut |found, place| {
        if !std::ptr::eq(found, expr) {
            return;
        }
        let position = table.as_ref().map_or(Some(0), |(shape, at, _)| place.position(at, shape));
        let number = |operand: usize| place.operands[operand].as_point().and_then(|n| i32::try_from(n).ok());
        let (Some(position), Some(value), Some(shift)) = (position, number(1), number(2)) else {
            unknown = true;
            return;
        };
        let range = place.operands[0];
        let known = &mut of[position];
        *known = Some((known.map_or(range, |(other, _)| other.hull(range)), Multiplier { value, shift }));
    })?;
    if unknown {
        return Err(Diagnostic::new(
            "cannot shorten `requantize`: its multipliers and shifts are not constant",
        ));
    }
    Ok(Channels { table, of })
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
    match (table(&site.multiplier), table(&site.shift)) {
        (Some(m), Some(s)) if (&m.0, &m.1) != (&s.0, &s.1) => Err(Diagnostic::new(format!(
            "cannot shorten `requantize`: `{}` and `{}` are read at different places",
            m.2, s.2
        ))),
        (Some(m), _) => Ok(Some(m)),
        (None, s) => Ok(s),
    }
}

/// A number for each channel, as an operand.
enum Numbers {
    Same(i32),
    Table(BufferId, Vec<Index>),
}

impl Numbers {
    fn expr(&self) -> Expr {
        match self {
            Numbers::Same(value) => int(*value),
            Numbers::Table(buffer, at) => word(*buffer, at.clone()),
        }
    }
}

/// Puts the form in the place of the site, and its offset into the initial value of the sum; gives the number of operations
/// that the offset takes.
fn replace(nest: &mut Nest, at: usize, site: &Site, channels: &Channels, found: &Found) -> u32 {
    let saturation = site.saturation().expect("the form was found for it");
    let shape = found.shape;
    let mut numbers = |suffix: &str, of: &dyn Fn(usize) -> i32| numbers(nest, channels, suffix, of);
    let multiplier = numbers("short", &|channel| found.constants[channel].multiplier);
    let high = numbers("high", &|channel| found.constants[channel].high);
    let has_offset = found.constants.iter().any(|constants| constants.offset != 0);
    let offset = has_offset.then(|| numbers("offset", &|channel| found.constants[channel].offset));

    let mut x = site.operand.clone();
    let mut operations = 0;
    if let Some(offset) = offset {
        x = try_offset(nest, &x, &offset).unwrap_or_else(|| {
            operations = 1;
            op(Prim::Add, vec![x, offset.expr()])
        });
    }
    let mut before = Vec::new();
    if shape.sign.is_some() && !matches!(x, Expr::Local(..)) {
        let local = fresh_local(nest, "t", Ty::I32);
        before.push(Stmt::Let(local, x));
        x = Expr::Local(local, Vec::new());
    }
    let high = shape.sign.map_or(high.expr(), |power| {
        let sign = op(Prim::Asr, vec![x.clone(), int(31)]);
        let sign = if power == 0 { sign } else { op(Prim::Shl, vec![sign, int(power as i32)]) };
        op(Prim::Add, vec![high.expr(), sign])
    });
    let m = multiplier.expr();
    let product = match (shape.adds, shape.rounds) {
        (false, false) => op(Prim::MulHigh, vec![x, m]),
        (false, true) => op(Prim::MulHighRound, vec![x, m]),
        (true, false) => op(Prim::MulHighAdd, vec![high, x, m]),
        (true, true) => op(Prim::MulHighAddRound, vec![high, x, m]),
    };
    let mut value =
        Expr::Op { prim: saturation.prim, args: vec![product], imm: vec![saturation.bits, shape.shift] };
    let (below, above) = leaves(site, channels, found);
    if below {
        value = op(Prim::Max, vec![value, int(site.min)]);
    }
    if above {
        value = op(Prim::Min, vec![value, int(site.max)]);
    }
    let replaced = edit_site(&mut nest.body, &mut { at }, &mut |expr| {
        *expr = value.clone();
        before.clone()
    });
    assert!(replaced, "the site was found by its number");
    operations
}

/// Whether some accumulator gives less than `min`, and more than `max`, if nothing clamps behind the saturation.
fn leaves(site: &Site, channels: &Channels, found: &Found) -> (bool, bool) {
    let (mut below, mut above) = (false, false);
    for (channel, constants) in channels.of.iter().zip(&found.constants) {
        let Some((range, _)) = channel else { continue };
        let form = Form { shape: found.shape, constants: *constants, factor: site.factor };
        let value = |a: i64| i32::try_from(a).ok().and_then(|a| form.apply(a)).expect("the range is proven");
        below |= value(range.low) < site.min;
        above |= value(range.high) > site.max;
    }
    (below, above)
}

/// A literal where all channels agree, else a table.
fn numbers(nest: &mut Nest, channels: &Channels, suffix: &str, of: &dyn Fn(usize) -> i32) -> Numbers {
    let mut used = (0..channels.of.len()).filter(|channel| channels.of[*channel].is_some()).map(of);
    let first = used.next().unwrap_or(0);
    match &channels.table {
        Some((shape, at, name)) if !used.all(|number| number == first) => {
            let bytes: Vec<u8> =
                (0..channels.of.len()).flat_map(|channel| of(channel).to_le_bytes()).collect();
            let name = fresh_name(nest, &format!("{name}_{suffix}"));
            let role = Role::Const(Init::Data(bytes.into()));
            Numbers::Table(nest.add_buffer(Buffer::new(name, Ty::I32, shape, role)), at.clone())
        }
        _ => Numbers::Same(first),
    }
}

/// `x` with the offset in it at no cost: in the initial value of a sum, or in a literal.
fn try_offset(nest: &mut Nest, x: &Expr, offset: &Numbers) -> Option<Expr> {
    match x {
        Expr::Local(local, at) => {
            let mut body = std::mem::take(&mut nest.body);
            let done =
                in_reduce_of(&mut body, *local, &mut |reduce| shift_sum(nest, reduce, *local, at, offset));
            nest.body = body;
            done.flatten().map(|()| x.clone())
        }
        Expr::Int(value, Ty::I32) => match offset {
            Numbers::Same(by) => Some(int((*value as i32).wrapping_add(*by))),
            Numbers::Table(..) => None,
        },
        Expr::Op { prim: prim @ (Prim::Add | Prim::Sub), args, imm } => {
            let of_sum = |nest: &mut Nest, at: usize| {
                let mut args = args.clone();
                args[at] = try_offset(nest, &args[at], offset)?;
                Some(Expr::Op { prim: *prim, args, imm: imm.clone() })
            };
            if let (Prim::Sub, Expr::Int(value, Ty::I32), Numbers::Same(by)) = (prim, &args[1], offset) {
                let less = int((*value as i32).wrapping_sub(*by));
                return Some(op(Prim::Sub, vec![args[0].clone(), less]));
            }
            let of_second = |nest: &mut Nest| (*prim == Prim::Add).then(|| of_sum(nest, 1)).flatten();
            of_second(nest).or_else(|| of_sum(nest, 0))
        }
        _ => None,
    }
}

/// Calls `f` with the reduction that carries `local`.
fn in_reduce_of<R>(block: &mut [Stmt], local: LocalId, f: &mut dyn FnMut(&mut Reduce) -> R) -> Option<R> {
    for stmt in block {
        if let Stmt::Reduce(reduce) = stmt
            && reduce.carried.contains(&local)
        {
            return Some(f(reduce));
        }
        for inner in blocks_mut(stmt) {
            if let Some(result) = in_reduce_of(inner, local, f) {
                return Some(result);
            }
        }
    }
    None
}

/// Adds the offset to every initial value of a sum whose only reader uses it as `local[at]`; `None` where that is not so.
fn shift_sum(
    nest: &mut Nest,
    reduce: &mut Reduce,
    local: LocalId,
    at: &[Index],
    offset: &Numbers,
) -> Option<()> {
    let mut readers = 0;
    visit_local_uses(&mut reduce.finish, &mut |found, _| readers += usize::from(found == local));
    if readers != 1 || !reduce.update.iter_mut().all(|stmt| only_adds(stmt, local)) {
        return None;
    }
    let inside = loops_in(&reduce.finish);
    let mut init = reduce.init.clone();
    let mut made = BTreeMap::new();
    shift_init(nest, &mut init, local, &mut |nest, to, value| {
        let offset = moved(offset, at, to, &inside)?;
        Some(sum(nest, value, offset, &mut made))
    })?;
    reduce.init = init;
    Some(())
}

/// Whether a step of a reduction does nothing with `local` but add to it.
fn only_adds(stmt: &mut Stmt, local: LocalId) -> bool {
    let uses = |expr: &mut Expr| {
        let mut uses = 0;
        visit_local_uses_of(expr, &mut |found, _| uses += usize::from(found == local));
        uses
    };
    match stmt {
        Stmt::Set(to, at, value) if *to == local => {
            let at = at.clone();
            let count = uses(value);
            let Expr::Op { prim, args, .. } = value else { return false };
            let itself = |arg: &Expr| *arg == Expr::Local(local, at.clone());
            let place = args.iter().position(itself);
            let adds = match prim {
                Prim::Add => place.is_some(),
                Prim::Sub | Prim::Dot2 | Prim::Dot2Cross => place == Some(0),
                _ => false,
            };
            count == 1 && adds
        }
        Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) => uses(value) == 0,
        Stmt::For(..) | Stmt::Reduce(_) => {
            blocks_mut(stmt).into_iter().all(|inner| inner.iter_mut().all(|stmt| only_adds(stmt, local)))
        }
    }
}

/// The variables of the loops in a block.
fn loops_in(block: &[Stmt]) -> BTreeSet<VarId> {
    let mut vars = BTreeSet::new();
    ir::loops::walk::walk(block, ir::loops::StmtNo(0), &mut |_, stmt| match stmt {
        Stmt::For(l, _) => vars.extend([l.var]),
        Stmt::Reduce(reduce) => vars.extend(reduce.loops.iter().map(|l| l.var)),
        _ => {}
    });
    vars
}

/// Gives every `local[to] = value` of a block the value that `new` makes of it.
#[allow(clippy::type_complexity)] // It is written once.
fn shift_init(
    nest: &mut Nest,
    block: &mut [Stmt],
    local: LocalId,
    new: &mut dyn FnMut(&mut Nest, &[Index], &Expr) -> Option<Expr>,
) -> Option<()> {
    for stmt in block {
        match stmt {
            Stmt::Set(to, at, value) if *to == local => *value = new(nest, at, value)?,
            _ => {}
        }
        for inner in blocks_mut(stmt) {
            shift_init(nest, inner, local, new)?;
        }
    }
    Some(())
}

/// The offset for register `to`, given as the one for register `at`; loops `inside` the finish are unknown elsewhere.
fn moved(offset: &Numbers, at: &[Index], to: &[Index], inside: &BTreeSet<VarId>) -> Option<Expr> {
    let Numbers::Table(buffer, index) = offset else { return Some(offset.expr()) };
    let mut known: BTreeMap<VarId, Index> = BTreeMap::new();
    for (at, to) in at.iter().zip(to) {
        match (&at.terms[..], at.constant) {
            ([(1, Atom::Var(var))], 0) => {
                known.insert(*var, to.clone());
            }
            _ if at == to => {}
            _ => return None,
        }
    }
    let mut vars = Vec::new();
    index.iter().for_each(|index| index.vars(&mut vars));
    if vars.iter().any(|var| inside.contains(var) && !known.contains_key(var)) {
        return None;
    }
    let moved = |index: &Index| index.substitute(&|var| known.get(&var).cloned().unwrap_or(Index::var(var)));
    Some(word(*buffer, index.iter().map(moved).collect()))
}

/// `value + offset`, as a literal or a constant where both are known at compile time; `made` has the constants so far.
fn sum(nest: &mut Nest, value: &Expr, offset: Expr, made: &mut BTreeMap<BufferId, BufferId>) -> Expr {
    match (value, &offset) {
        (Expr::Int(a, _), Expr::Int(b, _)) => int((*a as i32).wrapping_add(*b as i32)),
        (Expr::Int(0, _), _) => offset,
        (Expr::Load(access), _) if is_constant_word(nest, access) => {
            let same_place = match &offset {
                Expr::Load(of) => {
                    of.index == access.index
                        && nest.buffers[of.buffer.idx()].shape == nest.buffers[access.buffer.idx()].shape
                }
                _ => true,
            };
            if !same_place {
                return op(Prim::Add, vec![value.clone(), offset]);
            }
            let known = made.get(&access.buffer).copied();
            let buffer = known.unwrap_or_else(|| constant_sum(nest, access.buffer, &offset));
            made.insert(access.buffer, buffer);
            word(buffer, access.index.clone())
        }
        _ => op(Prim::Add, vec![value.clone(), offset]),
    }
}

fn is_constant_word(nest: &Nest, access: &Access) -> bool {
    nest.buffers[access.buffer.idx()].is_const() && access.ty == Ty::I32 && access.border.is_none()
}

/// A constant whose elements are those of `source` with the offset added.
fn constant_sum(nest: &mut Nest, source: BufferId, offset: &Expr) -> BufferId {
    let Buffer { name, shape, .. } = nest.buffers[source.idx()].clone();
    let name = fresh_name(nest, &format!("{name}_offset"));
    let made = nest.add_buffer(Buffer::new(name.clone(), Ty::I32, &shape, Role::Scratch));
    let vars: Vec<VarId> = (0..shape.len()).map(|dim| fresh_var(nest, &format!("{name}_{dim}"))).collect();
    let at: Vec<Index> = vars.iter().map(|var| Index::var(*var)).collect();
    let offset = match offset {
        Expr::Load(access) => word(access.buffer, at.clone()),
        other => other.clone(),
    };
    let value = op(Prim::Add, vec![word(source, at.clone()), offset]);
    let store = Stmt::Store(Access { buffer: made, index: at, ty: Ty::I32, border: None }, value);
    let nested = vars.iter().zip(&shape).rev().fold(vec![store], |body, (var, extent)| {
        vec![Stmt::For(Loop { var: *var, extent: *extent, unroll: false }, body)]
    });
    nest.buffers[made.idx()].role = Role::Const(Init::Nest(nested));
    made
}

fn word(buffer: BufferId, index: Vec<Index>) -> Expr {
    Expr::Load(Access { buffer, index, ty: Ty::I32, border: None })
}

fn int(value: i32) -> Expr {
    Expr::Int(value.into(), Ty::I32)
}

fn op(prim: Prim, args: Vec<Expr>) -> Expr {
    Expr::Op { prim, args, imm: Vec::new() }
}
