//! Writes a proven short form out: its constants as literals or tables, its operations, and the offset in what a sum starts with.

use ir::loops::{Buffer, BufferId, Expr, Index, Init, Nest, Prim, Role, Stmt};
use ir::ty::Ty;

use super::edit::{fresh_local, fresh_name};
use super::sum_offset::{Numbers, int, op, try_offset};
use crate::proofs::accumulators::Interval;
use crate::proofs::short_forms::{Base, Constants, Form, Found, Sign};

/// What is rescaled, channel by channel.
pub struct Channels {
    /// Shape, index and name of the tables that give a number for each channel; `None` where all are the same.
    pub table: Option<(Vec<u32>, Vec<Index>, String)>,
    /// The value that arrives: the accumulator times the factor.
    pub x: Expr,
    /// For each element of the tables what is known of it; `None` if nothing uses it.
    pub of: Vec<Option<Channel>>,
    /// The least result.
    pub min: i32,
    /// The greatest result.
    pub max: i32,
}

/// The accumulator of a channel.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    /// Without the factor.
    pub accumulator: Interval,
    /// What it arrives multiplied by.
    pub factor: i32,
    /// What the sum starts with, if that is known.
    pub start: Option<i32>,
}

/// Forms of other rescalings that must look the same, their numbers apart.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    /// The constants of all channels that are used, these ones among them.
    pub constants: Vec<Constants>,
    /// Whether some result is less than the clamp, and more.
    pub leaves: (bool, bool),
}

/// The tables that a step has written so far. Where the elements that one place uses say nothing of those that another uses,
/// both have one table.
#[derive(Clone, Debug, Default)]
pub struct Tables(Vec<Table>);

/// A table: what it gives, and for each element its number if anything uses it.
#[derive(Clone, Debug)]
struct Table {
    /// What its name begins with.
    name: String,
    buffer: BufferId,
    numbers: Vec<Option<i32>>,
}

impl Tables {
    /// The table of such numbers, if there is one whose used elements agree, with these added to it.
    fn merge(
        &mut self,
        nest: &mut Nest,
        name: &str,
        shape: &[u32],
        numbers: &[Option<i32>],
    ) -> Option<BufferId> {
        let agrees = |table: &&mut Table| {
            let both = || table.numbers.iter().zip(numbers);
            table.name == name
                && nest.buffers[table.buffer.idx()].shape == shape
                && both().all(|(a, b)| a.is_none() || b.is_none() || a == b)
        };
        let table = self.0.iter_mut().find(agrees)?;
        table.numbers.iter_mut().zip(numbers).for_each(|(all, new)| *all = all.or(*new));
        nest.buffers[table.buffer.idx()].role = data(&table.numbers);
        Some(table.buffer)
    }
}

/// A constant of these numbers, 0 where nothing uses it.
fn data(numbers: &[Option<i32>]) -> Role {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.unwrap_or(0).to_le_bytes()).collect();
    Role::Const(Init::Data(bytes.into()))
}

/// A saturation.
pub struct Saturation {
    /// Signed or unsigned.
    pub prim: Prim,
    /// Its width.
    pub bits: i32,
    /// The least and the greatest value that it leaves.
    pub limits: (i32, i32),
}

impl Channels {
    /// How many are used.
    pub fn number(&self) -> usize {
        self.of.iter().flatten().count()
    }

    /// Whether each is used.
    pub fn used(&self) -> Vec<bool> {
        self.of.iter().map(Option::is_some).collect()
    }

    /// The narrowest saturation that holds every result.
    pub fn saturation(&self) -> Option<Saturation> {
        let (min, max) = (self.min, self.max);
        if min == 0 && max < 1 << 16 && (max + 1).count_ones() == 1 {
            let bits = (max + 1).trailing_zeros() as i32;
            return Some(Saturation { prim: Prim::Usat, bits, limits: (min, max) });
        }
        let holds = |bits: &i32| min >= -(1 << (bits - 1)) && max < 1 << (bits - 1);
        let bits = (1..=16).find(holds)?;
        Some(Saturation { prim: Prim::Ssat, bits, limits: (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) })
    }

    /// Whether an offset of each channel can be part of what a sum starts with.
    pub fn offset_is_free(&self, nest: &Nest) -> bool {
        let mut trial = nest.clone();
        let two = |channel: usize| if channel == 0 { 1 } else { 2 };
        let offset = self.numbers(&mut trial, &mut Tables::default(), "offset", false, &two);
        try_offset(&mut trial, &self.x, &offset).is_some()
    }

    /// The statements in front of the form, and its value; its offset goes into the initial value of the sum where that can be.
    ///
    /// A number is a literal where it is the same for all channels, and for those of the peers.
    pub fn written(
        &self,
        nest: &mut Nest,
        tables: &mut Tables,
        found: &Found,
        peers: &Peers,
    ) -> (Vec<Stmt>, Expr) {
        let saturation = self.saturation().expect("the form was found for it");
        let shape = found.shape;
        let mut number = |suffix: &str, of: &dyn Fn(&Constants) -> i32| {
            let same = peers.constants.windows(2).all(|pair| of(&pair[0]) == of(&pair[1]));
            self.numbers(nest, tables, suffix, !same, &|channel| of(&found.constants[channel]))
        };
        let multiplier = number("short", &|constants| constants.multiplier).expr();
        let high = match shape.base {
            Base::Constant | Base::HalfSign => number("high", &|constants| constants.high).expr(),
            Base::Zero | Base::Itself => int(0),
        };
        let sign = match shape.sign {
            Some(Sign::Constant) => number("sign", &|constants| constants.sign).expr(),
            _ => int(0),
        };
        let shift = match shape.shift {
            Some(shift) => int(shift),
            None => number("shift", &|constants| constants.shift).expr(),
        };
        let mut all = found.constants.iter().chain(&peers.constants);
        let has_offset = all.any(|constants| constants.offset != 0);
        let offset = has_offset.then(|| number("offset", &|constants| constants.offset));

        let mut x = arriving(nest, &self.x, shape.left, offset);
        let mut before = Vec::new();
        let is_read_twice = shape.sign.is_some() || shape.base == Base::Itself;
        if is_read_twice && !matches!(x, Expr::Local(..)) {
            let local = fresh_local(nest, "t", Ty::I32);
            before.push(Stmt::Let(local, x));
            x = Expr::Local(local, Vec::new());
        }
        let base = match shape.base {
            Base::Zero | Base::Constant => high,
            Base::HalfSign => op(Prim::Add, vec![high, op(Prim::Asr, vec![sign.clone(), int(1)])]),
            Base::Itself => x.clone(),
        };
        let base = with_sign(base, &x, shape.sign, sign);
        let product = match (base == int(0), shape.rounds) {
            (true, false) => op(Prim::MulHigh, vec![x, multiplier]),
            (true, true) => op(Prim::MulHighRound, vec![x, multiplier]),
            (false, false) => op(Prim::MulHighAdd, vec![base, x, multiplier]),
            (false, true) => op(Prim::MulHighAddRound, vec![base, x, multiplier]),
        };
        let (product, asr) = match shape.shift {
            Some(shift) => (product, shift),
            None => (op(Prim::Asr, vec![product, shift]), 0),
        };
        let mut value =
            Expr::Op { prim: saturation.prim, args: vec![product], imm: vec![saturation.bits, asr] };
        let (below, above) = self.leaves(found);
        if below || peers.leaves.0 {
            value = op(Prim::Max, vec![value, int(self.min)]);
        }
        if above || peers.leaves.1 {
            value = op(Prim::Min, vec![value, int(self.max)]);
        }
        (before, value)
    }

    /// Whether some accumulator gives less than `min`, and more than `max`, if nothing clamps behind the saturation.
    pub fn leaves(&self, found: &Found) -> (bool, bool) {
        let (mut below, mut above) = (false, false);
        for (channel, constants) in self.of.iter().zip(&found.constants) {
            let Some(channel) = channel else { continue };
            let form = Form { shape: found.shape, constants: *constants, factor: channel.factor };
            let value =
                |a: i64| i32::try_from(a).ok().and_then(|a| form.apply(a)).expect("the range is proven");
            below |= value(channel.accumulator.low) < self.min;
            above |= value(channel.accumulator.high) > self.max;
        }
        (below, above)
    }

    /// A literal where all channels agree and nothing else differs, else a table.
    fn numbers(
        &self,
        nest: &mut Nest,
        tables: &mut Tables,
        suffix: &str,
        differs: bool,
        of: &dyn Fn(usize) -> i32,
    ) -> Numbers {
        let number = |(channel, known): (usize, &Option<Channel>)| known.map(|_| of(channel));
        let numbers: Vec<Option<i32>> = self.of.iter().enumerate().map(number).collect();
        let mut used = numbers.iter().flatten();
        let first = used.next().copied().unwrap_or(0);
        let Some((shape, at, name)) =
            self.table.as_ref().filter(|_| differs || used.any(|number| *number != first))
        else {
            return Numbers::Same(first);
        };
        let name = format!("{name}_{suffix}");
        let buffer = tables.merge(nest, &name, shape, &numbers).unwrap_or_else(|| {
            let buffer = Buffer::new(fresh_name(nest, &name), Ty::I32, shape, data(&numbers));
            let buffer = nest.add_buffer(buffer);
            tables.0.push(Table { name, buffer, numbers });
            buffer
        });
        Numbers::Table(buffer, at.clone())
    }
}

/// The accumulator, shifted to the left and with its offset.
fn arriving(nest: &mut Nest, x: &Expr, left: u32, offset: Option<Numbers>) -> Expr {
    let shifted = match left {
        0 => x.clone(),
        left => op(Prim::Shl, vec![x.clone(), int(left as i32)]),
    };
    let Some(offset) = offset else { return shifted };
    let free = if left == 0 { try_offset(nest, x, &offset) } else { None };
    free.unwrap_or_else(|| op(Prim::Add, vec![offset.expr(), shifted]))
}

/// The base less what the sign takes off.
fn with_sign(base: Expr, x: &Expr, sign: Option<Sign>, constant: Expr) -> Expr {
    let negative = op(Prim::Asr, vec![x.clone(), int(31)]);
    let taken = match sign {
        None => return base,
        Some(Sign::Power(0)) => negative,
        Some(Sign::Power(power)) => op(Prim::Shl, vec![negative, int(power as i32)]),
        Some(Sign::Constant) => op(Prim::Mul, vec![negative, constant]),
    };
    if base == int(0) { taken } else { op(Prim::Add, vec![base, taken]) }
}
