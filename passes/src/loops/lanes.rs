//! `lanes AXIS`: combines bytes two to a word, where combinations are sums, and what reads them is a sum of products.
//!
//! ```text
//! for k in 0..8 { v[0, k] = sub sext(x[0, k]), sext(x[2, k])  … }
//! reduce a over j in 0..8 { init { a = 0 } update { a = add a, mul(sext(v[p, j]), sext(w[p, j])) } … }
//! =>
//! for k.o in 0..2 {
//!   v[0, 4*k.o]     as i16x2 = add sub(uxtb16(bytes x[0, 4*k.o] {ror = 0}), uxtb16(bytes x[2, 4*k.o] {ror = 0})), 256 …
//!   v[0, 4*k.o + 2] as i16x2 = add sub(uxtb16(bytes x[0, 4*k.o] {ror = 8}), uxtb16(bytes x[2, 4*k.o] {ror = 8})), 256 …
//! }
//! reduce a over j in 0..8 { init { a = a_unbiased[p] } update { a = add a, mul(sext(v[p, j]), sext(w[p, j'])) } … }
//! ```
//!
//! A word is the low value plus 2^16 times the high one, so that additions, subtractions and products with literals act on both. The low
//! values must not fall below zero, since they would borrow from the high ones: bytes count from 0, so `i8` with 128 added, and an
//! offset goes onto the low sums. The sums of products start with less by what that adds; it is known at compile time. Values 0, 2, 1, 3 of each
//! four follow each other, as the extending instructions yield them, and the weights come in that order.
//!
//! Legal for a loop whose iterations are a multiple of four, that stores nothing but sums of bytes that follow each other to a scratch of
//! halfwords, a position of its own for each store, where all sums and the offset fit in halfwords. What reads the scratch are sums of products with
//! constants along the loop, before they are jammed or vectorized.

mod readers;

use std::collections::BTreeMap;

use ir::diag::Diagnostic;
use ir::loops::{Access, BufferId, Expr, Index, LocalId, Loop, Nest, Prim, Role, Stmt, VarId};
use ir::ty::Ty;

use super::basis::{Basis, Lanes};
use super::edit::{Site, body_of, fresh_local, loop_of, with_loop};
use super::fill::BIAS;
use super::footprint::read;
use super::step::StepDef;
use crate::proofs::accumulators::Interval;

/// Bytes of a word.
const BYTES: u32 = 4;
/// Where the high value of a word begins.
const HIGH: u32 = 16;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "lanes",
    usage: "lanes AXIS",
    summary: "Combine bytes two to a word, for sums of products that take offsets off again",
    run: |nest, args| {
        args.at_most(1)?;
        let axis = args.axis(nest, 0)?;
        lanes(nest, axis)
    },
};

/// Makes four iterations of the loop over `axis` one, two to a word.
pub fn lanes(nest: &mut Nest, axis: VarId) -> Result<(), Diagnostic> {
    let name = nest.vars[axis.idx()].clone();
    let named = |error: Diagnostic| Diagnostic {
        message: format!("cannot combine `{name}` in lanes: {}", error.message),
        ..error
    };
    let extent = loop_of(nest, axis).extent;
    if !extent.is_multiple_of(BYTES) {
        let message = format!("its extent {extent} is not a multiple of {BYTES}");
        return Err(named(
            Diagnostic::new(message).help(format!("make it one before it is made: `pad … {BYTES}`")),
        ));
    }
    let producer = Producer::of(nest, axis, extent).map_err(named)?;
    readers::rewrite(nest, &producer).map_err(named)?;
    let outer = Loop { var: nest.add_var(format!("{name}.o")), extent: extent / BYTES, unroll: false };
    let body = (0..2).flat_map(|half| producer.half(nest, outer.var, half)).collect();
    let map = &mut nest.buffers[producer.to.idx()].map;
    map.align = map.align.max(BYTES);
    let mut made = vec![Stmt::For(outer, body)];
    with_loop(&mut nest.body, axis, &mut |site| match site {
        Site::For(block, at) => drop(block.splice(at..=at, made.drain(..))),
        Site::Reduction(..) => unreachable!("it was found to be a loop"),
    });
    Ok(())
}

/// A sum of loads times literals.
type Sum = BTreeMap<usize, i64>;

/// A loop that stores sums of bytes.
struct Producer {
    axis: VarId,
    extent: u32,
    body: Vec<Stmt>,
    /// The scratch that is stored to.
    to: BufferId,
    /// The dimension in which each store has a number of its own, and how many there are.
    position: usize,
    /// What the bytes have more than the values.
    bias: i64,
    /// By position, the sum of the factors of bytes.
    factors: Vec<i64>,
    /// What the low values have more than the sums.
    offset: i64,
}

impl Producer {
    fn of(nest: &mut Nest, axis: VarId, extent: u32) -> Result<Self, Diagnostic> {
        let Some(body) = body_of(nest, axis, |_, _| None) else {
            return Err(Diagnostic::new("it is a loop of a reduction")
                .help("legal for the loop that fills what the reduction reads"));
        };
        let mut sums = Sums { nest, axis, loads: Vec::new(), locals: BTreeMap::new() };
        let mut stores: Vec<(&Access, Sum)> = Vec::new();
        for stmt in &body {
            match stmt {
                Stmt::Let(local, value) => {
                    let sum = sums.of(value)?;
                    sums.locals.insert(*local, sum);
                }
                Stmt::Store(access, value) => stores.push((access, sums.of(value)?)),
                _ => return Err(Diagnostic::new("it does more than store sums")),
            }
        }
        let bias = sums.bias()?;
        let (to, position) = places(nest, axis, extent, &stores)?;
        let byte = Interval { low: 0, high: 255 };
        let range = |sum: &Sum| {
            let row = Basis::new(vec![sum.values().copied().chain([0]).collect()])?;
            Ok(row.ranges(&vec![byte; sum.len() + 1])[0])
        };
        let ranges = stores.iter().map(|(_, sum)| range(sum)).collect::<Result<Vec<_>, Diagnostic>>()?;
        let offset = offset(&ranges)?;
        let mut factors = vec![0; stores.len()];
        for (access, sum) in &stores {
            let at = access.index[position].as_constant().expect("it was found to be constant");
            factors[at as usize] = sum.values().sum();
        }
        Ok(Self { axis, extent, body, to, position, bias, factors, offset })
    }

    /// By position, what the low and the high values have more than the sums that they stand for.
    fn biases(&self) -> Vec<[i64; 2]> {
        self.factors.iter().map(|factors| [factors * self.bias + self.offset, factors * self.bias]).collect()
    }

    /// The statements for bytes 0 and 2 of each four, or for 1 and 3.
    fn half(&self, nest: &mut Nest, outer: VarId, half: i64) -> Vec<Stmt> {
        let covered = self.covered();
        let mut renamed: BTreeMap<LocalId, LocalId> = BTreeMap::new();
        let mut out = Vec::new();
        for stmt in &self.body {
            match stmt {
                Stmt::Let(local, value) => {
                    let mut value = self.packed(value, outer, half, &renamed);
                    if covered.locals.contains(local) {
                        value = plus(value, self.offset);
                    }
                    let name = nest.locals[local.idx()].name.clone();
                    let made = fresh_local(nest, &name, Ty::I32);
                    renamed.insert(*local, made);
                    out.push(Stmt::Let(made, value));
                }
                Stmt::Store(access, value) => {
                    let mut packed = self.packed(value, outer, half, &renamed);
                    if !covered.stores.contains(access) {
                        packed = plus(packed, self.offset);
                    }
                    let mut to = access.clone();
                    to.ty = Ty::I16x2;
                    for index in &mut to.index {
                        *index = index.substitute(&|var| self.placed(var, outer, 2 * half));
                    }
                    out.push(Stmt::Store(to, op(Prim::AsI16x2, vec![packed], Vec::new())));
                }
                _ => unreachable!("only these were found"),
            }
        }
        out
    }

    fn placed(&self, var: VarId, outer: VarId, offset: i64) -> Index {
        if var == self.axis { Index::var(outer).scale(BYTES.into()).offset(offset) } else { Index::var(var) }
    }

    /// An expression on words.
    fn packed(&self, expr: &Expr, outer: VarId, half: i64, renamed: &BTreeMap<LocalId, LocalId>) -> Expr {
        if let Some((access, _)) = byte(expr) {
            let mut access = access.clone();
            let signed = access.ty == Ty::I8;
            access.ty = if signed { Ty::I8x4 } else { Ty::U8x4 };
            for index in &mut access.index {
                *index = index.substitute(&|var| self.placed(var, outer, 0));
            }
            let mut bytes = Expr::Load(access);
            if signed {
                bytes = op(
                    Prim::Xor,
                    vec![bytes, Expr::Int(i64::from(0x8080_8080_u32 as i32), Ty::I32)],
                    Vec::new(),
                );
            }
            let halves = op(Prim::Uxtb16, vec![bytes], vec![8 * half as i32]);
            return op(Prim::AsI32, vec![halves], Vec::new());
        }
        match expr {
            Expr::Local(local, at) => Expr::Local(renamed[local], at.clone()),
            Expr::Op { prim, args, imm } => {
                let args = args.iter().map(|arg| self.packed(arg, outer, half, renamed)).collect();
                Expr::Op { prim: *prim, args, imm: imm.clone() }
            }
            other => other.clone(),
        }
    }

    /// Where the offset is added: to values that several stores add and nothing else uses, so that it is added less often.
    fn covered(&self) -> Covered {
        let mut mentions: BTreeMap<LocalId, usize> = BTreeMap::new();
        let mut added: BTreeMap<LocalId, Vec<&Access>> = BTreeMap::new();
        for stmt in &self.body {
            let (Stmt::Let(_, value) | Stmt::Store(_, value)) = stmt else { continue };
            super::edit::visit_locals_of(&mut value.clone(), &mut |local| {
                *mentions.entry(*local).or_default() += 1
            });
            if let Stmt::Store(access, value) = stmt {
                added_once(value, &mut |local| added.entry(local).or_default().push(access));
            }
        }
        let mut shared: Vec<(LocalId, Vec<&Access>)> = added
            .into_iter()
            .filter(|(local, stores)| stores.len() > 1 && stores.len() == mentions[local])
            .collect();
        shared.sort_by_key(|(local, stores)| (std::cmp::Reverse(stores.len()), *local));
        let mut covered = Covered::default();
        for (local, stores) in shared {
            if !stores.iter().any(|store| covered.stores.contains(store)) {
                covered.locals.push(local);
                covered.stores.extend(stores.into_iter().cloned());
            }
        }
        covered
    }
}

/// The values that get the offset, and the stores that have it from them.
#[derive(Default)]
struct Covered {
    locals: Vec<LocalId>,
    stores: Vec<Access>,
}

/// Calls `visit` for every value that an expression adds as it is.
fn added_once(expr: &Expr, visit: &mut dyn FnMut(LocalId)) {
    match expr {
        Expr::Local(local, _) => visit(*local),
        Expr::Op { prim: Prim::Add, args, .. } => args.iter().for_each(|arg| added_once(arg, visit)),
        Expr::Op { prim: Prim::Sub, args, .. } => added_once(&args[0], visit),
        _ => {}
    }
}

/// Sums that values are.
struct Sums<'n> {
    nest: &'n Nest,
    axis: VarId,
    /// What is read, and what that has more than its value.
    loads: Vec<(Access, i64)>,
    locals: BTreeMap<LocalId, Sum>,
}

impl Sums<'_> {
    fn of(&mut self, expr: &Expr) -> Result<Sum, Diagnostic> {
        if let Some((access, bias)) = byte(expr) {
            self.check(access)?;
            let known = self.loads.iter().position(|(load, _)| load == access);
            let at = known.unwrap_or(self.loads.len());
            if known.is_none() || self.loads[at].1 != bias {
                self.loads.push((access.clone(), bias));
            }
            return Ok([(at, 1)].into());
        }
        let literal = |expr: &Expr| match expr {
            Expr::Int(value, Ty::I32) => Some(*value),
            _ => None,
        };
        match expr {
            Expr::Local(local, _) if self.locals.contains_key(local) => Ok(self.locals[local].clone()),
            Expr::Op { prim: prim @ (Prim::Add | Prim::Sub), args, .. } => {
                let (left, right) = (self.of(&args[0])?, self.of(&args[1])?);
                Ok(plus_times(left, &right, if *prim == Prim::Add { 1 } else { -1 }))
            }
            Expr::Op { prim: Prim::Shl, args, .. } if matches!(literal(&args[1]), Some(0..=15)) => {
                let by = literal(&args[1]).expect("it was matched");
                Ok(plus_times(Sum::new(), &self.of(&args[0])?, 1 << by))
            }
            Expr::Op { prim: Prim::Mul, args, .. } => match (literal(&args[0]), literal(&args[1])) {
                (None, Some(by)) => Ok(plus_times(Sum::new(), &self.of(&args[0])?, by)),
                (Some(by), None) => Ok(plus_times(Sum::new(), &self.of(&args[1])?, by)),
                _ => Err(no_sum()),
            },
            _ => Err(no_sum()),
        }
    }

    /// Refuses loads whose bytes do not follow each other along the loop.
    fn check(&self, access: &Access) -> Result<(), Diagnostic> {
        let buffer = &self.nest.buffers[access.buffer.idx()];
        let name = &buffer.name;
        if access.border.is_some() {
            return Err(Diagnostic::new(format!("a load may leave `{name}`"))
                .help(format!("copy it with its padding around it first: `stage {name} {}`", buffer.elem)));
        }
        if !matches!(access.ty, Ty::I8 | Ty::U8) || buffer.elem != access.ty {
            return Err(Diagnostic::new(format!("`{name}` is read as `{}`, not as single bytes", access.ty)));
        }
        let at = |by: i64| -> Vec<Index> {
            let moved =
                |var: VarId| if var == self.axis { Index::var(var).offset(by) } else { Index::var(var) };
            access.index.iter().map(|index| index.substitute(&moved)).collect()
        };
        let (first, second) = (at(0), at(1));
        let apart = buffer.map.position(&second).add(&buffer.map.position(&first).scale(-1));
        let moving = first.iter().zip(&second).filter(|(first, second)| first != second).count();
        if apart.as_constant() == Some(1) && moving == 1 {
            Ok(())
        } else {
            Err(Diagnostic::new(format!("the bytes of `{name}` do not follow each other along it"))
                .help("legal along the innermost dimension; `stage … dims (…)` puts another one there"))
        }
    }

    /// What all bytes have more than their values.
    fn bias(&self) -> Result<i64, Diagnostic> {
        let (_, first) = self.loads.first().ok_or_else(no_sum)?;
        match self.loads.iter().all(|(_, bias)| bias == first) {
            true => Ok(*first),
            false => Err(Diagnostic::new("some of the bytes count from another value than others")),
        }
    }
}

/// The byte that an expression is, perhaps with something taken off, and what the byte as an unsigned one has more than the value.
fn byte(expr: &Expr) -> Option<(&Access, i64)> {
    match expr {
        Expr::Op { prim: Prim::Sub, args, .. } => match (read(&args[0]), &args[1]) {
            (Some(access), Expr::Int(bias, Ty::I32)) if access.ty == Ty::U8 => Some((access, *bias)),
            _ => None,
        },
        _ => read(expr).map(|access| (access, if access.ty == Ty::I8 { BIAS } else { 0 })),
    }
}

fn plus_times(mut left: Sum, right: &Sum, by: i64) -> Sum {
    for (load, factor) in right {
        let sum = left.entry(*load).or_default();
        *sum = sum.saturating_add(factor.saturating_mul(by));
    }
    left
}

fn no_sum() -> Diagnostic {
    Diagnostic::new("what it stores is no sum of bytes")
        .help("legal: additions, subtractions and shifts of `sext(x[…])`, and products with literals")
}

/// The buffer that the stores fill, and the dimension in which each has a number of its own.
fn places(
    nest: &Nest,
    axis: VarId,
    extent: u32,
    stores: &[(&Access, Sum)],
) -> Result<(BufferId, usize), Diagnostic> {
    let Some((first, _)) = stores.first() else { return Err(no_sum()) };
    let buffer = &nest.buffers[first.buffer.idx()];
    let name = &buffer.name;
    let halfwords = buffer.role == Role::Scratch && buffer.elem == Ty::I16;
    if !halfwords || !buffer.map.is_row_major(&buffer.shape) {
        return Err(Diagnostic::new(format!("`{name}` is no scratch of halfwords"))
            .help("legal for what a nest keeps for itself, in rows of `i16`"));
    }
    let last = buffer.shape.len() - 1;
    let along = |access: &Access| {
        let mut used = Vec::new();
        access.index[..last].iter().for_each(|index| index.vars(&mut used));
        access.index[last] == Index::var(axis) && !used.contains(&axis) && access.ty == Ty::I16
    };
    if buffer.shape[last] != extent
        || !stores.iter().all(|(access, _)| access.buffer == first.buffer && along(access))
    {
        return Err(Diagnostic::new(
            "its stores do not fill rows of one scratch, an element in each iteration",
        ));
    }
    let numbers = |dim: &usize| {
        let mut numbers: Vec<i64> =
            stores.iter().filter_map(|(access, _)| access.index[*dim].as_constant()).collect();
        numbers.sort_unstable();
        numbers.into_iter().eq(0..i64::from(buffer.shape[*dim]))
            && stores.len() == buffer.shape[*dim] as usize
    };
    let position = (0..last).find(numbers);
    position.map(|position| (first.buffer, position)).ok_or_else(|| {
        Diagnostic::new(format!("its stores do not write each a position of its own in `{name}`"))
            .help("legal where the stores have the numbers of one dimension between them, each once")
    })
}

/// What the low values get so that they never fall below zero, with few bits set; refused where a halfword does not hold all.
fn offset(ranges: &[Interval]) -> Result<i64, Diagnostic> {
    let low = ranges.iter().map(|range| range.low).min().unwrap_or(0).min(0);
    let coarse = (64 - low.unsigned_abs().leading_zeros()).saturating_sub(8);
    let offset = (-low + (1 << coarse) - 1) >> coarse << coarse;
    let halves = Lanes::new(&[0, HIGH], 2 * HIGH)?;
    for range in ranges {
        let raised =
            Interval { low: range.low.saturating_add(offset), high: range.high.saturating_add(offset) };
        if raised.low < 0 || !halves.hold_signed(&[raised, *range]) {
            let message =
                format!("sums from {} to {} with {offset} added are no halfwords", range.low, range.high);
            return Err(Diagnostic::new(message)
                .help("legal for sums of fewer bytes: `winograd 2`, or smaller factors"));
        }
    }
    Ok(offset)
}

fn plus(value: Expr, by: i64) -> Expr {
    if by == 0 { value } else { op(Prim::Add, vec![value, Expr::Int(by, Ty::I32)], Vec::new()) }
}

fn op(prim: Prim, args: Vec<Expr>, imm: Vec<i32>) -> Expr {
    Expr::Op { prim, args, imm }
}
