//! `scale BUFFER by N|auto`: weights, and what their sums begin with, times a factor that rescaling takes off again.
//!
//! ```text
//! init { a = b[n] }
//! update { a = add a, mul(sext(x[p, k]), sext(w[n, k])) }
//! finish { y[p, n] = requantize a, m[n], s[n] {…} }
//! => scale w by auto
//! init { a = b_scaled[n] }                                               // f[n] b[n]
//! update { a = add a, mul(sext(x[p, k]), sext(w_scaled[n, k])) }         // f[n] w[n, k]
//! finish { y[p, n] = requantize div(a, w_factor[n]), m[n], s[n] {…} }
//! ```
//!
//! The quotient is exact, and `short-requantize` after it leaves nothing of it: the multiplier takes the factor off. What that gains is
//! room for the constants of the rescaling. `auto` looks for factors, one for each channel, with which a product and a saturation are
//! proven for all and the multiplier is the only constant to load; where the sign shows below the zero point, for one
//! factor for all with three operations. A number is the factor of all channels.
//!
//! Where several reductions read the constant, each gets factors of its own.
//!
//! Legal where every step of the sums, those in reductions inside included, is a product with an element of the constant, and where `f w` fits in its type and the sum
//! times `f` in a word, by the proven bounds.

use ir::diag::Diagnostic;
use ir::loops::interp::Constants;
use ir::loops::{Access, Buffer, BufferId, Expr, Index, Init, LocalId, Nest, Prim, Reduce, Role, Stmt};
use ir::ty::Ty;

use super::edit::{blocks_mut, fresh_name, visit_local_uses};
use super::pack::constant;
use super::short_requantize::{Rescaled, rescaled};
use super::step::{Arg, StepDef};
use super::sum_offset::{
    Made, Numbers, combined, constant_of, in_reduce_of, int, loops_in, moved, op, over_dims, shift_init, word,
};
use crate::proofs::accumulators::{self, Interval};
use crate::proofs::short_forms::{Cost, Query, Wanted, find, find_factors};

/// The greatest factor that `auto` tries.
const MOST_FACTOR: i64 = 1 << 10;
/// The greatest power of two that `auto` tries for all channels.
const MOST_POWER: u32 = 8;
/// Room for the offset of a rescaling in the word of a sum, as a part of it.
const ROOM: i64 = 2;
/// Why a factor of a channel cannot be given for the constant.
const ELSEWHERE: &str = "its channels are not those of its dimensions: `pack` first";
/// Why a reader of the constant does not suit.
const NO_PRODUCT: &str = "it is read by what is no product in a sum";

/// The step.
pub const STEP: StepDef = StepDef {
    name: "scale",
    usage: "scale BUFFER by N|auto",
    summary: "Multiply weights by factors that make rescaling short",
    run: |nest, args| {
        args.at_most(3)?;
        let weights = constant(nest, args.word(0)?)?;
        match (args.word(1)?, args.get(2)) {
            ("by", Some(Arg::Int(factor))) => scale(nest, weights, By::Number(*factor)),
            ("by", Some(Arg::Word(word))) if word == "auto" => scale(nest, weights, By::Auto),
            (other, _) => Err(args.misuse(format!("`{other}` there"))),
        }
    },
};

/// What to multiply by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// This number.
    Number(u32),
    /// What makes rescaling short.
    Auto,
}

/// Multiplies a constant and what its sums begin with, and divides the sums at their end. Each reduction that reads it gets factors and a
/// constant of its own; those with the same contents are one in the object file.
pub fn scale(nest: &mut Nest, weights: BufferId, by: By) -> Result<(), Diagnostic> {
    let name = nest.buffers[weights.idx()].name.clone();
    let mut scaled = nest.clone();
    let mut next = Some(sum_of(&scaled, weights).and_then(|sum| sum.ok_or("no reduction reads it".into())));
    while let Some(sum) = next {
        let only = "legal for a constant whose products make up sums, `a = add a, mul(sext(…), sext(…))`";
        let sum = sum.map_err(|why| Diagnostic::new(format!("cannot scale `{name}`: {why}")).help(only))?;
        scale_sum(&mut scaled, weights, &sum, by)?;
        next = sum_of(&scaled, weights).transpose();
    }
    *nest = scaled;
    Ok(())
}

fn scale_sum(nest: &mut Nest, weights: BufferId, sum: &Sum, by: By) -> Result<(), Diagnostic> {
    let name = nest.buffers[weights.idx()].name.clone();
    let refused = |why: String| Diagnostic::new(format!("cannot scale `{name}`: {why}"));
    let (factors, register) = match by {
        By::Number(factor) => (
            fixed(factor)
                .ok_or_else(|| refused(format!("the factor is {factor}")).help("legal: 2 and more"))?,
            Vec::new(),
        ),
        By::Auto => {
            let rescaled = rescaled(nest, sum.local)
                .map_err(|error| refused(error.message).help("a number can be given: `scale … by 2`"))?;
            let factors = found(nest, weights, sum, &rescaled).ok_or_else(|| {
                refused("no factors were found with which rescaling is shorter".into())
                    .help("wider elements leave room for factors: `pack … i16` first")
            })?;
            (factors, rescaled.register)
        }
    };
    divide_sum(nest, sum, &factors, &register).map_err(|why| refused(why.into()))?;
    check_sum(nest, sum, &name)?;
    let made = multiply(nest, weights, sum, &factors, &register).map_err(|why| refused(why.into()))?;
    check_elements(nest, made, &name)
}

/// A sum of products with the constant.
struct Sum {
    local: LocalId,
    /// How each step reads the constant: the register that it adds to, and the element.
    steps: Vec<(Vec<Index>, Access)>,
    /// The loops of the steps have variables of their own.
    reduce: Reduce,
}

fn fixed(factor: u32) -> Option<Numbers> {
    i32::try_from(factor).ok().filter(|factor| *factor > 1).map(Numbers::Same)
}

/// The first sum of products with the constant, if there is one; an error where something else is added to it, or it is used before its
/// end. Its steps may stand in reductions inside of the one that carries it.
fn sum_of(nest: &Nest, weights: BufferId) -> Result<Option<Sum>, String> {
    let Some(first) = first_step(&nest.body, weights, false) else { return Ok(None) };
    let Stmt::Set(local, ..) = first else { return Err(NO_PRODUCT.into()) };
    let mut body = nest.body.clone();
    let reduce = in_reduce_of(&mut body, *local, &mut |reduce| reduce.clone());
    let mut reduce = reduce.ok_or("no reduction carries its sum")?;
    let mut steps = Vec::new();
    collect(&reduce.update, weights, &mut steps)?;
    if steps.iter().any(|(to, ..)| to != local) {
        return Err("its products are added to several sums".into());
    }
    let mut n_uses = 0;
    visit_local_uses(&mut reduce.update, &mut |used, _| n_uses += usize::from(used == *local));
    // Each step names the sum twice.
    if steps.is_empty() || n_uses != 2 * steps.len() {
        return Err("its sum has other terms too".into());
    }
    let steps = steps.into_iter().map(|(_, at, access)| (at, access)).collect();
    Ok(Some(Sum { local: *local, steps, reduce }))
}

/// The first statement in the steps of a reduction that reads the buffer.
fn first_step(block: &[Stmt], buffer: BufferId, in_steps: bool) -> Option<&Stmt> {
    block.iter().find_map(|stmt| match stmt {
        Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) => {
            (in_steps && reads(value, buffer)).then_some(stmt)
        }
        Stmt::For(_, body) => first_step(body, buffer, in_steps),
        Stmt::Reduce(reduce) => first_step(&reduce.init, buffer, in_steps)
            .or_else(|| first_step(&reduce.update, buffer, true))
            .or_else(|| first_step(&reduce.finish, buffer, in_steps)),
    })
}

fn reads(expr: &Expr, buffer: BufferId) -> bool {
    match expr {
        Expr::Load(access) => access.buffer == buffer,
        Expr::Lookup(of, at) => *of == buffer || reads(at, buffer),
        Expr::Op { args, .. } => args.iter().any(|arg| reads(arg, buffer)),
        Expr::Int(..) | Expr::Index(_) | Expr::Local(..) => false,
    }
}

/// Every product with the constant, with the sum that it is added to.
fn collect(
    block: &[Stmt],
    weights: BufferId,
    out: &mut Vec<(LocalId, Vec<Index>, Access)>,
) -> Result<(), String> {
    for stmt in block {
        match stmt {
            Stmt::Set(local, at, value) if reads(value, weights) => {
                let itself = Expr::Local(*local, at.clone());
                let access = product(value, &itself, weights).ok_or(NO_PRODUCT)?;
                out.push((*local, at.clone(), access.clone()));
            }
            Stmt::Let(_, value) | Stmt::Store(_, value) if reads(value, weights) => {
                return Err(NO_PRODUCT.into());
            }
            _ => ir::loops::walk::blocks(stmt)
                .into_iter()
                .try_for_each(|inner| collect(inner, weights, out))?,
        }
    }
    Ok(())
}

/// The element in `itself + … element`.
fn product<'e>(value: &'e Expr, itself: &Expr, weights: BufferId) -> Option<&'e Access> {
    let Expr::Op { prim, args, .. } = value else { return None };
    let factors = match prim {
        Prim::Dot2 | Prim::Dot2Cross if args[0] == *itself => [&args[1], &args[2]],
        Prim::Add => {
            let other = usize::from(args[0] == *itself);
            match (&args[1 - other] == itself, &args[other]) {
                (true, Expr::Op { prim: Prim::Mul, args, .. }) => [&args[0], &args[1]],
                _ => return None,
            }
        }
        _ => return None,
    };
    let [a, b] = factors.map(|factor| reads(factor, weights));
    let factor = if a { factors[0] } else { factors[1] };
    let load = match factor {
        Expr::Op { prim: Prim::Sext, args, .. } => &args[0],
        plain => plain,
    };
    match load {
        Expr::Load(access) if a != b && access.buffer == weights && access.border.is_none() => Some(access),
        _ => None,
    }
}

/// Factors with which rescaling is shorter.
fn found(nest: &mut Nest, weights: BufferId, sum: &Sum, rescaled: &Rescaled) -> Option<Numbers> {
    let channel_of = rescaled
        .table
        .as_ref()
        .map(|(shape, index)| Some((shape.clone(), of_element(sum, &rescaled.register, index)?)));
    let channel_of = match channel_of {
        Some(None) => return None,
        Some(known) => known,
        None => None,
    };
    let greatest = greatest_weights(nest, weights, channel_of.as_ref(), rescaled.wanted.len())?;
    let elem = Interval::of_type(nest.buffers[weights.idx()].elem);
    let most: Vec<i32> = greatest
        .iter()
        .zip(&rescaled.wanted)
        .map(|(weight, wanted)| {
            let range = wanted.as_ref().map_or((0, 0), |wanted| wanted.steps.range);
            let reach = i64::from(range.0).abs().max(i64::from(range.1).abs()).max(1);
            let most =
                (elem.high / (*weight).max(1)).min(i64::from(i32::MAX) / ROOM / reach).min(MOST_FACTOR);
            most.max(1) as i32
        })
        .collect();
    if let Some(factors) = find_factors(&query(rescaled, &rescaled.wanted), &most) {
        return Some(numbers(nest, weights, rescaled, &factors));
    }
    let least = *most.iter().min()?;
    let is_enough = |factor: &i32| {
        let with_factor = |wanted: &Option<Wanted>| Some(wanted.as_ref()?.with_factor(*factor));
        let wanted: Vec<Option<Wanted>> = rescaled.wanted.iter().map(with_factor).collect();
        find(&query(rescaled, &wanted)).is_ok()
    };
    let mut powers = (1..=MOST_POWER).map(|power| 1 << power).filter(|factor| *factor <= least);
    powers.find(is_enough).map(Numbers::Same)
}

/// Three operations at most, of whose constants one differs from channel to channel.
fn query<'w>(rescaled: &Rescaled, wanted: &'w [Option<Wanted>]) -> Query<'w> {
    Query {
        wanted,
        limits: rescaled.limits,
        clamp: rescaled.clamp,
        offset_is_free: true,
        most: Cost { operations: 3, loads: 1, registers: 2, bytes: u32::MAX },
        shift: None,
    }
}

/// The channel of an element of the constant, by its dimensions; the same in all steps.
fn of_element(sum: &Sum, at: &[Index], index: &[Index]) -> Option<Vec<Index>> {
    let inside = loops_in(&sum.reduce.finish);
    let table = Numbers::Table(BufferId::new(0), index.to_vec());
    let mut channel: Option<Vec<Index>> = None;
    for (register, access) in &sum.steps {
        let Expr::Load(moved) = moved(&table, at, register, &inside)? else { return None };
        let by_dims = over_dims(&access.index, &moved.index)?;
        if channel.as_ref().is_some_and(|known| *known != by_dims) {
            return None;
        }
        channel = Some(by_dims);
    }
    channel
}

/// The greatest absolute value of the elements of each channel.
fn greatest_weights(
    nest: &Nest,
    weights: BufferId,
    channel_of: Option<&(Vec<u32>, Vec<Index>)>,
    n_channels: usize,
) -> Option<Vec<i64>> {
    let buffer = &nest.buffers[weights.idx()];
    let data = Constants::new(nest).get(weights).ok()?;
    let mut greatest = vec![0; n_channels];
    let mut element = vec![0i64; buffer.shape.len()];
    for position in buffer.positions() {
        let bytes = data.get(position * buffer.elem.bytes()..)?.get(..buffer.elem.bytes())?;
        let channel = channel_of.map_or(Some(0), |(shape, index)| {
            let at = |index: &Index| index.eval(&|dim| element[dim.idx()]);
            index.iter().zip(shape).try_fold(0, |flat, (index, extent)| {
                let at = at(index);
                (0..i64::from(*extent)).contains(&at).then(|| flat * *extent as usize + at as usize)
            })
        })?;
        let known = greatest.get_mut(channel)?;
        *known = (*known).max(signed(buffer.elem, bytes)?.abs());
        for (at, extent) in element.iter_mut().zip(&buffer.shape).rev() {
            *at += 1;
            if *at < i64::from(*extent) {
                break;
            }
            *at = 0;
        }
    }
    Some(greatest)
}

fn signed(elem: Ty, bytes: &[u8]) -> Option<i64> {
    match (elem, bytes) {
        (Ty::I8, [byte]) => Some(i64::from(*byte as i8)),
        (Ty::I16, [a, b]) => Some(i64::from(i16::from_le_bytes([*a, *b]))),
        (Ty::I32, [a, b, c, d]) => Some(i64::from(i32::from_le_bytes([*a, *b, *c, *d]))),
        _ => None,
    }
}

/// The factors as an operand: a literal where all agree.
fn numbers(nest: &mut Nest, weights: BufferId, rescaled: &Rescaled, factors: &[i32]) -> Numbers {
    let mut used =
        factors.iter().zip(&rescaled.wanted).filter(|(_, wanted)| wanted.is_some()).map(|(f, _)| *f);
    let first = used.next().unwrap_or(1);
    match &rescaled.table {
        Some((shape, index)) if !used.all(|factor| factor == first) => {
            let name = fresh_name(nest, &format!("{}_factor", nest.buffers[weights.idx()].name));
            let bytes: Vec<u8> = factors.iter().flat_map(|factor| factor.to_le_bytes()).collect();
            let buffer = Buffer::new(name, Ty::I32, shape, Role::Const(Init::Data(bytes.into())));
            Numbers::Table(nest.add_buffer(buffer), index.clone())
        }
        _ => Numbers::Same(first),
    }
}

/// Divides the sum wherever its finish reads it. `register` is what the factors are given for.
fn divide_sum(nest: &mut Nest, sum: &Sum, factors: &Numbers, register: &[Index]) -> Result<(), &'static str> {
    let inside = loops_in(&sum.reduce.finish);
    let factor = |at: &[Index]| moved(factors, register, at, &inside);
    let divided = |reduce: &mut Reduce| divide(&mut reduce.finish, sum.local, &factor);
    in_reduce_of(&mut nest.body, sum.local, &mut { divided }).flatten().ok_or(ELSEWHERE)
}

/// Multiplies the constant in the steps of the sum, and what it begins with; gives the constant.
fn multiply(
    nest: &mut Nest,
    weights: BufferId,
    sum: &Sum,
    factors: &Numbers,
    register: &[Index],
) -> Result<BufferId, &'static str> {
    let by_dims = match factors {
        Numbers::Same(factor) => int(*factor),
        Numbers::Table(buffer, index) => word(*buffer, of_element(sum, register, index).ok_or(ELSEWHERE)?),
    };
    let made = constant_of(nest, Prim::Mul, weights, &by_dims);
    let inside = loops_in(&sum.reduce.finish);
    let mut body = std::mem::take(&mut nest.body);
    let done = in_reduce_of(&mut body, sum.local, &mut |reduce| {
        let mut constants = Made::default();
        shift_init(nest, &mut reduce.init, sum.local, &mut |nest, to, value| {
            let factor = moved(factors, register, to, &inside)?;
            Some(combined(nest, Prim::Mul, value, factor, &mut constants))
        })?;
        super::edit::visit_loads(&mut reduce.update, &mut Default::default(), &mut |access, _| {
            if access.buffer == weights {
                access.buffer = made;
            }
        });
        Some(made)
    });
    nest.body = body;
    done.flatten().ok_or(ELSEWHERE)
}

/// Every use of `local` becomes its quotient.
fn divide(block: &mut [Stmt], local: LocalId, factor: &dyn Fn(&[Index]) -> Option<Expr>) -> Option<()> {
    fn in_expr(expr: &mut Expr, local: LocalId, factor: &dyn Fn(&[Index]) -> Option<Expr>) -> Option<()> {
        match expr {
            Expr::Local(found, at) if *found == local => {
                let by = factor(at)?;
                *expr = match by {
                    Expr::Int(by, _) if by.count_ones() == 1 => {
                        op(Prim::Asr, vec![expr.clone(), int(by.trailing_zeros() as i32)])
                    }
                    by => op(Prim::Div, vec![expr.clone(), by]),
                };
                Some(())
            }
            Expr::Lookup(_, at) => in_expr(at, local, factor),
            Expr::Op { args, .. } => args.iter_mut().try_for_each(|arg| in_expr(arg, local, factor)),
            Expr::Int(..) | Expr::Index(_) | Expr::Local(..) | Expr::Load(_) => Some(()),
        }
    }
    block.iter_mut().try_for_each(|stmt| {
        if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = stmt {
            in_expr(value, local, factor)?;
        }
        blocks_mut(stmt).into_iter().try_for_each(|inner| divide(inner, local, factor))
    })
}

/// Whether all elements of the constant that was made fit in their type.
fn check_elements(scaled: &Nest, made: BufferId, name: &str) -> Result<(), Diagnostic> {
    let refused = |why: String| Diagnostic::new(format!("cannot scale `{name}`: {why}"));
    let elem = scaled.buffers[made.idx()].elem;
    let wraps = products_wrap(scaled, made).ok_or_else(|| refused("its elements are not known".into()))?;
    if !wraps {
        return Ok(());
    }
    let Interval { low, high } = Interval::of_type(elem);
    Err(refused(format!("some product with the factor lies outside of `{elem}`, {low} to {high}"))
        .help("wider elements leave room for factors: `pack … i16` first"))
}

/// Whether the sums, which are divided but not multiplied yet, fit in a word times what divides them. Whatever they begin with and pass
/// through may then wrap: the word that they end as is the right one.
fn check_sum(divided: &Nest, sum: &Sum, name: &str) -> Result<(), Diagnostic> {
    let (mut fits, word) = (true, Interval::of_type(Ty::I32));
    let is_of_sum = |expr: &Expr| matches!(expr, Expr::Op { args, .. } if matches!(&args[0], Expr::Local(local, _) if *local == sum.local));
    for prim in [Prim::Asr, Prim::Div] {
        accumulators::visit_some(divided, prim, &is_of_sum, &mut |expr, place| {
            let (true, [sum, by]) = (is_of_sum(expr), place.operands) else { return };
            let most = if prim == Prim::Asr { 1 << by.high } else { by.high };
            fits &= word.low <= sum.low * most && sum.high * most <= word.high;
        })?;
    }
    let refused =
        || Diagnostic::new(format!("cannot scale `{name}`: its sums times the factor may leave a word"));
    let help = "a smaller factor, or `auto`, which finds those that fit";
    if fits { Ok(()) } else { Err(refused().help(help)) }
}

/// Whether an element of a constant, stored by one statement, is not what its expression gives.
fn products_wrap(nest: &Nest, made: BufferId) -> Option<bool> {
    let Role::Const(Init::Nest(block)) = &nest.buffers[made.idx()].role else { return None };
    let wide = Nest { body: block.clone(), ..nest.clone() };
    let (mut wraps, elem) = (false, Interval::of_type(nest.buffers[made.idx()].elem));
    let looked_at = accumulators::visit(&wide, Prim::Mul, &mut |_, place| {
        let [a, b] = place.operands else { return };
        let product = a.as_point().zip(b.as_point()).and_then(|(a, b)| a.checked_mul(b));
        wraps |= product.is_none_or(|product| !(elem.low..=elem.high).contains(&product));
    });
    looked_at.ok().map(|()| wraps)
}
