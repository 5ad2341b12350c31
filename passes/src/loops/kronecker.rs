//! `kronecker AXIS TAPS SIZE at OUTER`: a sliding sum by 64-bit products that hold four products each.
//!
//! ```text
//! for c in 0..8 { … for column in 0..12 { reduce a: i32 over ky in 0..5, kx in 0..5 {
//!   … update { a = add a, mul(sext(x[row + ky, column + kx, c]), sext(w[ky, kx, c])) } …
//! } } }
//! => kronecker column kx 6 at c
//! scratch x_lanes: i32[16, 9]                   // x[2j - 1] + 2^21 x[2j], filled for each c
//! const w_lanes: i32[8, 5, 3] = { … }           // w[2k + 1] + 2^21 w[2k]
//! reduce left: i32 over column.o in 0..2 { … update {
//!   reduce sums: i64[3] over ky in 0..5, kx.o in 0..3 { … update {
//!     for n in 0..3 unroll { sums[n] = add sums[n], mul_wide(x_lanes[row + ky, 3*column.o + n + kx.o + 1], w_lanes[c, ky, kx.o]) }
//!   } … }
//! } }
//! ```
//!
//! The product of two such words has three lanes: `x0 w1` belongs to the output before, `x0 w0 + x1 w1` to this one, `x1 w0` to the next. So one sum
//! gives one output and a part of each neighbour: the part for the next one is carried. `SIZE` outputs, half as many sums, are computed in one step.
//! Sums that steps leave stand in front of the loop. Of an even number of outputs the very first sum has nothing but a part of the
//! first one; an odd number wastes nothing.
//!
//! [`Lanes`] proves from the weights that no lane reaches the next one: each is kept from falling below zero by an offset in the first value of
//! the sum. The first value of the original sum stays out of the lanes and is added behind, less the offset.
//! Legal for one sum of products of bytes with a constant, along which data move by one with the axis and with the taps; `SIZE` is even.
//! What is read of the data is the same throughout the loop over `OUTER`, as for `stage`.

use ir::diag::Diagnostic;
use ir::loops::interp::Constants;
use ir::loops::{
    Access, Buffer, BufferId, Expr, Index, Init, Local, LocalId, Loop, Nest, Prim, Reduce, Role, Stmt, VarId,
};
use ir::ty::Ty;

use super::basis::{Basis, Lanes};
use super::edit::{
    Extents, extended, fresh_local, fresh_name, fresh_var, loops, rename_vars, renew_vars, rewrite_body,
    stores_to, substitute, visit_locals,
};
use super::footprint::{Footprint, Read, read, reads};
use super::phases::{assignments, factors};
use super::registers::{OPERANDS, REGISTERS};
use super::step::{Arg, StepDef};
use crate::proofs::accumulators::Interval;

/// Where the lanes of a product begin, in bits: sums of 64 products of bytes keep within 20 bits and a sign.
const SHIFTS: [u32; 3] = [0, 21, 42];
/// The bits of a sum.
const BITS: u32 = 64;
/// Most products whose weights are looked at one by one.
const MOST_POINTS: u64 = 1 << 20;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "kronecker",
    usage: "kronecker AXIS AXIS SIZE at AXIS",
    summary: "Compute a sliding sum by 64-bit products that hold four products each",
    run: |nest, args| {
        args.at_most(5)?;
        let (column, taps, size) = (args.axis(nest, 0)?, args.axis(nest, 1)?, args.int(2)?);
        if args.get(3) != Some(&Arg::Word("at".into())) {
            return Err(args.missing("two axes, a size, `at` and an axis"));
        }
        kronecker(nest, column, taps, size, args.axis(nest, 4)?)
    },
};

/// Computes `size` outputs of the loop over `column` at a time, the products of two `taps` in one; data are combined at `outer`.
pub fn kronecker(
    nest: &mut Nest,
    column: VarId,
    taps: VarId,
    size: u32,
    outer: VarId,
) -> Result<(), Diagnostic> {
    let name = nest.vars[column.idx()].clone();
    let extents: Extents = loops(nest).iter().map(|l| (l.var, l.extent)).collect();
    let mut borders = Vec::new();
    rewrite_body(nest, Some(outer), |nest, mut body| {
        let sum = Sliding::of(nest, &body, column, taps, size, extents)?;
        let offsets = sum.offsets(nest)?;
        let data = Data::of(nest, &mut body, &sum)?;
        let mut filled = data.rows(nest, &sum, Rows::Data);
        borders = data.rows(nest, &sum, Rows::Border);
        let weights = sum.weights(nest);
        let made = sum.outputs(nest, &data, weights, &offsets);
        replace(&mut body, column, &made);
        filled.append(&mut body);
        Ok(filled)
    })
    .map_err(|error| Diagnostic {
        message: format!("cannot lay `{name}` out in lanes: {}", error.message),
        ..error
    })?;
    nest.body.splice(0..0, borders);
    Ok(())
}

/// The loop and the sum inside.
struct Sliding {
    column: Loop,
    taps: Loop,
    /// Outputs of one step.
    size: u32,
    reduce: Reduce,
    first: Expr,
    /// The load of data, with its extension.
    data: Expr,
    weight: Access,
    /// All loops around and inside, by variable.
    extents: Extents,
}

/// The panel of words that hold two neighbours.
struct Data {
    panel: BufferId,
    footprint: Footprint,
    /// The dimension of the panel along which outputs slide.
    along: usize,
    /// Positions there that the footprint has.
    extent: u32,
    /// By dimension, the first position inside of the data and the first behind that.
    inside: Vec<(u32, u32)>,
    /// What is outside, if something is.
    border: Option<i64>,
    /// The position of the load in the footprint.
    position: Vec<Index>,
    elem: Ty,
    source: BufferId,
}

/// Which rows of the panel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// Those that have data.
    Data,
    /// Those that are all border.
    Border,
}

/// What is added to the lanes of a sum, and what that makes of an output.
struct Offsets {
    lanes: i64,
    output: i64,
}

impl Sliding {
    fn of(
        nest: &Nest,
        body: &[Stmt],
        column: VarId,
        taps: VarId,
        size: u32,
        extents: Extents,
    ) -> Result<Sliding, Diagnostic> {
        let Some((around, inner)) = find_loop(body, column) else {
            return Err(misplaced());
        };
        let [Stmt::Reduce(reduce)] = inner else { return Err(no_sum()) };
        let ([sum], [Stmt::Set(_, at, first)], [Stmt::Set(_, _, value)]) =
            (&reduce.carried[..], &reduce.init[..], &reduce.update[..])
        else {
            return Err(no_sum());
        };
        let itself = Expr::Local(*sum, Vec::new());
        let Some([a, b]) = factors(&itself, value) else { return Err(no_sum()) };
        if !at.is_empty() || nest.locals[sum.idx()].ty != Ty::I32 {
            return Err(no_sum());
        }
        let (Some(left), Some(right)) = (read(&a), read(&b)) else { return Err(no_sum()) };
        let (data, weight) = match [left, right].map(|access| nest.buffers[access.buffer.idx()].is_const()) {
            [false, true] => (a.clone(), right.clone()),
            [true, false] => (b.clone(), left.clone()),
            _ => return Err(no_sum()),
        };
        let Some(taps) = reduce.loops.iter().find(|l| l.var == taps).cloned() else {
            return Err(Diagnostic::new("the taps are no loop of its sum")
                .help("name a loop of the reduction inside"));
        };
        let sliding = Sliding {
            column: around.clone(),
            taps,
            size,
            reduce: reduce.clone(),
            first: first.clone(),
            data,
            weight,
            extents,
        };
        sliding.check(nest)?;
        Ok(sliding)
    }

    fn check(&self, nest: &Nest) -> Result<(), Diagnostic> {
        let access = read(&self.data).expect("the data are a load");
        let (data, weight) = (&nest.buffers[access.buffer.idx()], &nest.buffers[self.weight.buffer.idx()]);
        if !matches!(access.ty, Ty::I8 | Ty::U8) || !matches!(self.weight.ty, Ty::I8 | Ty::U8) {
            let (found, name) = if matches!(access.ty, Ty::I8 | Ty::U8) {
                (self.weight.ty, &weight.name)
            } else {
                (access.ty, &data.name)
            };
            return Err(Diagnostic::new(format!("`{name}` is read as `{found}`, not as bytes"))
                .help("before data are widened and weights are packed"));
        }
        let most = (2 * ((REGISTERS - OPERANDS - 1) / 2)).min(2 * self.sums());
        if self.size < 2 || !self.size.is_multiple_of(2) || self.size > most {
            let legal = (2..=most).filter(|n| n.is_multiple_of(2));
            let legal: Vec<String> = legal.map(|n| n.to_string()).collect();
            let extent = self.column.extent;
            return Err(Diagnostic::new(format!("{} outputs at a time of {extent}", self.size))
                .help(format!("legal: {}", legal.join(" "))));
        }
        let varies = |index: &Index, var: VarId| {
            let mut used = Vec::new();
            index.vars(&mut used);
            used.contains(&var)
        };
        if self.weight.index.iter().any(|index| varies(index, self.column.var)) {
            return Err(Diagnostic::new("the weights vary with it").help("legal where one window slides"));
        }
        let slides = |index: &Index| {
            let still = index.substitute(&|var| match var == self.column.var || var == self.taps.var {
                true => Index::constant(0),
                false => Index::var(var),
            });
            let moving = index.add(&still.scale(-1));
            moving == Index::var(self.column.var).add(&Index::var(self.taps.var))
        };
        let moving: Vec<&Index> = access
            .index
            .iter()
            .filter(|index| varies(index, self.column.var) || varies(index, self.taps.var))
            .collect();
        match moving[..] {
            [index] if slides(index) => Ok(()),
            _ => Err(Diagnostic::new("data do not move by one with it and with the taps")
                .help("legal for windows of stride 1 that are not dilated")),
        }
    }

    /// Words of two taps.
    fn words(&self) -> u32 {
        self.taps.extent.div_ceil(2)
    }

    /// Proves that the lanes hold their values, from the weights of every channel.
    fn offsets(&self, nest: &Nest) -> Result<Offsets, Diagnostic> {
        let lanes = Lanes::new(&SHIFTS, BITS)?;
        let offsets = lanes.offsets(&self.ranges(nest)?)?;
        // The part from the sum before and that of this one make one output; with the same offset as the whole one they share a constant.
        let output = offsets[1].max(offsets[0] + offsets[2]);
        let offsets = [offsets[0], output, output - offsets[0]];
        let all: i64 = offsets.iter().zip(SHIFTS).map(|(offset, shift)| offset << shift).sum();
        Ok(Offsets { lanes: all, output })
    }

    /// The bounds of each lane over all channels; room is left for the offset of the middle one.
    fn ranges(&self, nest: &Nest) -> Result<Vec<Interval>, Diagnostic> {
        let data = Interval::of_type(read(&self.data).expect("the data are a load").ty);
        let buffer = &nest.buffers[self.weight.buffer.idx()];
        let bytes = Constants::new(nest).get(self.weight.buffer)?;
        let outer: Vec<Loop> = self
            .varies_with(&self.weight.index)
            .into_iter()
            .filter(|l| !self.reduce.loops.iter().any(|other| other.var == l.var))
            .collect();
        let points = |loops: &[Loop]| loops.iter().fold(1u64, |n, l| n.saturating_mul(l.extent.into()));
        if points(&outer).saturating_mul(points(&self.reduce.loops)) > MOST_POINTS {
            return Err(Diagnostic::new("it has too many weights to bound its lanes by")
                .help(format!("legal up to {MOST_POINTS} products")));
        }
        let inner = assignments(&self.reduce.loops);
        let zero = Interval::point(0);
        let mut all: Option<[Interval; 3]> = None;
        for around in assignments(&outer) {
            let mut lanes = [zero; 3];
            for inside in &inner {
                let of =
                    |var: VarId| around.iter().chain(inside).find(|(v, _)| *v == var).map_or(0, |(_, n)| *n);
                let element: Vec<i64> = self.weight.index.iter().map(|index| index.eval(&of)).collect();
                let byte = bytes[buffer.map.position_of(&element) as usize];
                let weight = if self.weight.ty == Ty::U8 { i64::from(byte) } else { i64::from(byte as i8) };
                let product = data.times(Interval::point(weight));
                let odd = of(self.taps.var) % 2 == 1;
                for lane in [1, if odd { 0 } else { 2 }] {
                    lanes[lane] = lanes[lane].plus(product);
                }
            }
            let joined = |have: [Interval; 3]| std::array::from_fn(|lane| have[lane].hull(lanes[lane]));
            all = Some(all.map_or(lanes, joined));
        }
        let mut lanes = all.unwrap_or([zero; 3]);
        lanes[1].low = lanes[1].low.min(lanes[0].low + lanes[2].low);
        lanes[2].low = lanes[2].low.min(lanes[1].low - lanes[0].low);
        Ok(lanes.to_vec())
    }

    /// The loops that an index varies with.
    fn varies_with(&self, index: &[Index]) -> Vec<Loop> {
        let mut used = Vec::new();
        index.iter().for_each(|index| index.vars(&mut used));
        used.sort_unstable();
        used.dedup();
        used.iter().map(|var| Loop { var: *var, extent: self.extents[var], unroll: false }).collect()
    }

    /// The constant whose words hold two taps.
    fn weights(&self, nest: &mut Nest) -> (BufferId, Vec<Loop>) {
        let mut outer = self.varies_with(&self.weight.index);
        outer.retain(|l| l.var != self.taps.var);
        let made = BufferId::new(nest.buffers.len());
        let tap = |n: u32| {
            if n >= self.taps.extent {
                return Expr::Int(0, Ty::I32);
            }
            let fixed = |index: &Index| {
                index.substitute(&|var| match var == self.taps.var {
                    true => Index::constant(n.into()),
                    false => Index::var(var),
                })
            };
            let index = self.weight.index.iter().map(fixed).collect();
            extended(Expr::Load(Access { index, ..self.weight.clone() }), self.weight.ty)
        };
        let stores = (0..self.words()).map(|k| {
            let index = outer.iter().map(|l| Index::var(l.var)).chain([Index::constant(k.into())]).collect();
            let value = combined(&[tap(2 * k + 1), tap(2 * k)]);
            Stmt::Store(Access { buffer: made, index, ty: Ty::I32, border: None }, value)
        });
        let stores = stores.collect();
        let mut block = outer.iter().rev().fold(stores, |body, l| vec![Stmt::For(l.clone(), body)]);
        renew_vars(nest, &mut block);
        let name = fresh_name(nest, &format!("{}_lanes", nest.buffers[self.weight.buffer.idx()].name));
        let shape: Vec<u32> = outer.iter().map(|l| l.extent).chain([self.words()]).collect();
        nest.add_buffer(Buffer::new(name, Ty::I32, &shape, Role::Const(Init::Nest(block))));
        (made, outer)
    }

    /// All sums: the first ones in front, then the loop over steps.
    fn outputs(
        &self,
        nest: &mut Nest,
        data: &Data,
        (weights, outer): (BufferId, Vec<Loop>),
        offsets: &Offsets,
    ) -> Stmt {
        let names = [self.column.var, self.taps.var].map(|var| format!("{}.o", nest.vars[var.idx()]));
        let [group, word] = names.map(|name| nest.add_var(name));
        let left = fresh_local(nest, "left", Ty::I32);
        let start = Expr::Int(offsets.lanes, Ty::I64);
        let first = self.first_value(nest, offsets.output);
        let sums = Sums { sliding: self, data, weights, outer, word, left, start, first };
        let init = sums.first(nest);
        let steps = Loop { var: group, extent: self.steps(), unroll: self.column.unroll };
        let (loops, update) = match steps.extent {
            0 => (Vec::new(), Vec::new()),
            _ => (vec![steps], vec![sums.step(nest, group)]),
        };
        Stmt::Reduce(Reduce { carried: vec![left], loops, init, update, finish: Vec::new() })
    }

    /// Whether the first sum has the first output alone; else it has only a part of it.
    fn is_odd(&self) -> bool {
        !self.column.extent.is_multiple_of(2)
    }

    /// How many sums there are.
    fn sums(&self) -> u32 {
        self.column.extent / 2 + 1
    }

    /// How many sums stand in front of the loop: so many that steps take what is left.
    fn n_first(&self) -> u32 {
        (self.sums() - 1) % (self.size / 2) + 1
    }

    /// Iterations of the loop.
    fn steps(&self) -> u32 {
        (self.sums() - self.n_first()) / (self.size / 2)
    }

    /// What the sum began with, less the offset of an output: as a constant, where it is one.
    fn first_value(&self, nest: &mut Nest, offset: i64) -> Expr {
        let less = |value: Expr| op(Prim::Sub, vec![value, Expr::Int(offset, Ty::I32)]);
        match &self.first {
            Expr::Load(access) if nest.buffers[access.buffer.idx()].is_const() && access.ty == Ty::I32 => {
                let around = self.varies_with(&access.index);
                if around.iter().any(|l| l.var == self.column.var) {
                    return less(self.first.clone());
                }
                let index: Vec<Index> = around.iter().map(|l| Index::var(l.var)).collect();
                let shape: Vec<u32> = around.iter().map(|l| l.extent).collect();
                let made = BufferId::new(nest.buffers.len());
                let to = Access { buffer: made, index, ty: Ty::I32, border: None };
                let store = Stmt::Store(to.clone(), less(self.first.clone()));
                let mut block =
                    around.into_iter().rev().fold(vec![store], |body, l| vec![Stmt::For(l, body)]);
                renew_vars(nest, &mut block);
                let name = fresh_name(nest, &format!("{}_lanes", nest.buffers[access.buffer.idx()].name));
                nest.add_buffer(Buffer::new(name, Ty::I32, &shape, Role::Const(Init::Nest(block))));
                Expr::Load(to)
            }
            first => less(first.clone()),
        }
    }

    /// What happens with the sum, for another output and with `value` in the place of the sum.
    fn finish(&self, nest: &mut Nest, column: &Index, value: Expr) -> Vec<Stmt> {
        let mut block = self.reduce.finish.clone();
        renew_vars(nest, &mut block);
        let sum = self.reduce.carried[0];
        let mut defined = vec![sum];
        ir::loops::walk::walk(&block, ir::loops::walk::StmtNo(0), &mut |_, stmt| match stmt {
            Stmt::Let(local, _) => defined.push(*local),
            Stmt::Reduce(reduce) => defined.extend(&reduce.carried),
            Stmt::For(..) | Stmt::Set(..) | Stmt::Store(..) => {}
        });
        block.insert(0, Stmt::Let(sum, value));
        substitute(&mut block, self.column.var, column);
        for old in defined {
            let new = LocalId::new(nest.locals.len());
            let copy = nest.locals[old.idx()].clone();
            nest.locals.push(Local { name: fresh_name(nest, &copy.name), ..copy });
            replace_local(&mut block, old, new);
        }
        block
    }
}

/// What all sums have in common.
struct Sums<'a> {
    sliding: &'a Sliding,
    data: &'a Data,
    weights: BufferId,
    /// The loops that weights vary with.
    outer: Vec<Loop>,
    /// The loop over words of two taps.
    word: VarId,
    /// The part of the next output.
    left: LocalId,
    /// What lanes begin with.
    start: Expr,
    /// What outputs begin with.
    first: Expr,
}

impl Sums<'_> {
    /// The sums in front of the loop: one after the other, as of the first one not all lanes count.
    fn first(&self, nest: &mut Nest) -> Vec<Stmt> {
        let count = self.sliding.n_first();
        let name = self.name(nest);
        let sums = match count {
            1 => fresh_local(nest, &name, Ty::I64),
            _ => {
                let name = fresh_name(nest, &format!("{name}_first"));
                nest.add_local(name, Ty::I64, &[count])
            }
        };
        let at = |n: u32| if count > 1 { vec![Index::constant(n.into())] } else { Vec::new() };
        let value = |n: u32| Expr::Local(sums, at(n));
        let next = |n: u32| op(Prim::Add, vec![value(n), self.product(&Index::constant(n.into()))]);
        let mut finish = Vec::new();
        for n in 0..count {
            let number = Index::constant(n.into());
            if n > 0 {
                finish.extend(self.between(nest, &number, &value(n)));
            }
            if n > 0 || self.sliding.is_odd() {
                finish.extend(self.middle(nest, &number, &value(n)));
            }
            finish.push(self.leave(&value(n)));
        }
        let mut made = vec![Stmt::Reduce(Reduce {
            carried: vec![sums],
            loops: self.loops(),
            init: (0..count).map(|n| Stmt::Set(sums, at(n), self.start.clone())).collect(),
            update: (0..count).map(|n| Stmt::Set(sums, at(n), next(n))).collect(),
            finish,
        })];
        rename_vars(nest, &mut made, ".first");
        made
    }

    /// One iteration of the loop over `group`.
    fn step(&self, nest: &mut Nest, group: VarId) -> Stmt {
        let count = self.sliding.size / 2;
        let name = self.name(nest);
        let name = fresh_name(nest, &format!("{name}_lanes"));
        let sums = nest.add_local(name, Ty::I64, &[count]);
        let n = fresh_var(nest, "n");
        let each = |body: Vec<Stmt>| Stmt::For(Loop { var: n, extent: count, unroll: true }, body);
        let at = vec![Index::var(n)];
        let value = Expr::Local(sums, at.clone());
        let number =
            Index::var(group).scale(count.into()).add(&Index::var(n)).offset(self.sliding.n_first().into());
        let next = op(Prim::Add, vec![value.clone(), self.product(&number)]);
        let mut finish = self.between(nest, &number, &value);
        finish.extend(self.middle(nest, &number, &value));
        finish.push(self.leave(&value));
        let mut blocks =
            [vec![each(vec![Stmt::Set(sums, at.clone(), self.start.clone())])], vec![each(finish)]];
        blocks.iter_mut().for_each(|block| renew_vars(nest, block));
        let [init, finish] = blocks;
        let update = vec![each(vec![Stmt::Set(sums, at, next)])];
        Stmt::Reduce(Reduce { carried: vec![sums], loops: self.loops(), init, update, finish })
    }

    fn name(&self, nest: &Nest) -> String {
        nest.locals[self.sliding.reduce.carried[0].idx()].name.clone()
    }

    /// The loops of the original sum, that over taps with words of them.
    fn loops(&self) -> Vec<Loop> {
        let new = |l: &Loop| match l.var == self.sliding.taps.var {
            true => Loop { var: self.word, extent: self.sliding.words(), unroll: l.unroll },
            false => l.clone(),
        };
        self.sliding.reduce.loops.iter().map(new).collect()
    }

    /// What a word of taps adds to a sum.
    fn product(&self, number: &Index) -> Expr {
        let word = Index::var(self.word);
        let mut at = self.data.position.clone();
        at[self.data.along] = number.add(&word);
        let x = Access { buffer: self.data.panel, index: at, ty: Ty::I32, border: None };
        let index = self.outer.iter().map(|l| Index::var(l.var)).chain([word]).collect();
        let w = Access { buffer: self.weights, index, ty: Ty::I32, border: None };
        op(Prim::MulWide, vec![Expr::Load(x), Expr::Load(w)])
    }

    /// The output that a sum shares with the one before it.
    fn between(&self, nest: &mut Nest, number: &Index, value: &Expr) -> Vec<Stmt> {
        let parts = op(Prim::Add, vec![lane(0, value), Expr::Local(self.left, Vec::new())]);
        let output = number.scale(2).offset(i64::from(self.sliding.is_odd()) - 2);
        self.sliding.finish(nest, &output, op(Prim::Add, vec![parts, self.first.clone()]))
    }

    /// The output that a sum has alone.
    fn middle(&self, nest: &mut Nest, number: &Index, value: &Expr) -> Vec<Stmt> {
        let output = number.scale(2).offset(i64::from(self.sliding.is_odd()) - 1);
        self.sliding.finish(nest, &output, op(Prim::Add, vec![lane(1, value), self.first.clone()]))
    }

    /// Keeps what a sum has of the next output.
    fn leave(&self, value: &Expr) -> Stmt {
        Stmt::Set(self.left, Vec::new(), lane(2, value))
    }
}

impl Data {
    fn of(nest: &mut Nest, body: &mut [Stmt], sum: &Sliding) -> Result<Data, Diagnostic> {
        let access = read(&sum.data).expect("the data are a load").clone();
        let source = access.buffer;
        let slides = |read: &Read| read.inside.iter().any(|l| l.var == sum.column.var);
        let reads: Vec<Read> = reads(body, source).into_iter().filter(slides).collect();
        let buffer = &nest.buffers[source.idx()];
        if reads.len() != 1 || stores_to(body, source) {
            return Err(Diagnostic::new(format!("`{}` is read twice, or written", buffer.name))
                .help("legal where one load of the sum reads its data"));
        }
        let mut footprints = Footprint::of(&reads)?;
        let footprint = footprints.remove(0);
        let position = footprint.position(&reads[0]);
        let uses = |index: &Index| {
            let mut used = Vec::new();
            index.vars(&mut used);
            used.contains(&sum.column.var)
        };
        let slides = Index::var(sum.column.var).add(&Index::var(sum.taps.var));
        let along = position.iter().position(uses).filter(|dim| position[*dim] == slides);
        let Some(along) = along else {
            return Err(Diagnostic::new("data do not move with it alone")
                .help("legal for windows that slide along one dimension"));
        };
        let inside = match access.border {
            None => footprint.shape.iter().map(|extent| (0, *extent)).collect(),
            Some(_) => footprint
                .inside(&buffer.shape, &|var| (0, i64::from(sum.extents[&var]) - 1))
                .map_err(|dim| {
                    Diagnostic::new(format!(
                        "what of the data lies outside in dimension {dim} varies with the loops around"
                    ))
                    .help(format!("legal further out; or copy them first: `border {}`", buffer.name))
                })?,
        };
        let extent = footprint.shape[along];
        let mut shape = footprint.shape.clone();
        shape[along] = sum.column.extent / 2 + sum.words();
        let name = fresh_name(nest, &format!("{}_lanes", nest.buffers[source.idx()].name));
        let panel = nest.add_buffer(Buffer::new(name, Ty::I32, &shape, Role::Scratch));
        let elem = access.ty;
        Ok(Data { panel, footprint, along, extent, inside, border: access.border, position, elem, source })
    }

    /// Fills rows of one kind.
    fn rows(&self, nest: &mut Nest, sum: &Sliding, rows: Rows) -> Vec<Stmt> {
        self.dims(nest, sum, vec![Index::constant(0); self.footprint.shape.len()], 0, (rows, false))
    }

    /// Statements for the dimensions from `dim` on; some dimension before is outside if `outside`.
    fn dims(
        &self,
        nest: &mut Nest,
        sum: &Sliding,
        at: Vec<Index>,
        dim: usize,
        (rows, outside): (Rows, bool),
    ) -> Vec<Stmt> {
        if dim == self.footprint.shape.len() {
            let wanted = outside == (rows == Rows::Border);
            return if wanted { self.row(nest, sum, &at, outside) } else { Vec::new() };
        }
        if dim == self.along {
            return self.dims(nest, sum, at, dim + 1, (rows, outside));
        }
        let (first, end) = self.inside[dim];
        let mut stmts = Vec::new();
        for (from, to, beyond) in
            [(0, first, true), (first, end, false), (end, self.footprint.shape[dim], true)]
        {
            stmts.extend(self.over(nest, dim, from, to, |nest, n| {
                let mut at = at.clone();
                at[dim] = n;
                self.dims(nest, sum, at, dim + 1, (rows, outside || beyond))
            }));
        }
        stmts
    }

    /// Words of two neighbours: at both ends one of them is border or nothing.
    fn row(&self, nest: &mut Nest, sum: &Sliding, at: &[Index], outside: bool) -> Vec<Stmt> {
        let words = sum.column.extent / 2 + sum.words();
        let (first, end) = if outside { (0, self.extent) } else { self.inside[self.along] };
        // Word n has the elements 2n - 1 and 2n, or those behind.
        let behind = u32::from(sum.is_odd());
        let from = (first + 1 - behind).div_ceil(2).min(words);
        let to = end.saturating_sub(behind).div_ceil(2).clamp(from, words);
        let word = |n: Index, what: &dyn Fn(i64) -> Expr| {
            let mut to = at.to_vec();
            to[self.along] = n;
            let to = Access { buffer: self.panel, index: to, ty: Ty::I32, border: None };
            Stmt::Store(to, combined(&[what(-1), what(0)]))
        };
        let inside = |_: &mut Nest, n: Index| {
            vec![word(n.clone(), &|by| self.element(at, n.scale(2).offset(by + i64::from(behind)), outside))]
        };
        let single = |n: u32| {
            word(Index::constant(n.into()), &|by| self.any(at, i64::from(2 * n + behind) + by, outside))
        };
        let mut stmts: Vec<Stmt> = (0..from).map(single).collect();
        stmts.extend(self.over(nest, self.along, from, to, inside));
        stmts.extend((to..words).map(single));
        stmts
    }

    /// The element at any position: data, border, or zero where no sum that counts reads it.
    fn any(&self, at: &[Index], position: i64, outside: bool) -> Expr {
        let (first, end) = self.inside[self.along];
        match u32::try_from(position) {
            Ok(n) if n < self.extent && (outside || n < first || n >= end) => {
                Expr::Int(self.border.unwrap_or(0), Ty::I32)
            }
            Ok(n) if n < self.extent => self.element(at, Index::constant(position), false),
            _ => Expr::Int(0, Ty::I32),
        }
    }

    fn element(&self, at: &[Index], position: Index, outside: bool) -> Expr {
        if outside {
            return Expr::Int(self.border.unwrap_or(0), Ty::I32);
        }
        let mut at = at.to_vec();
        at[self.along] = position;
        let index = self.footprint.source(&at);
        extended(Expr::Load(Access { buffer: self.source, index, ty: self.elem, border: None }), self.elem)
    }

    /// A loop over `from..to`: none for nothing, and the body alone for one iteration.
    fn over(
        &self,
        nest: &mut Nest,
        dim: usize,
        from: u32,
        to: u32,
        body: impl FnOnce(&mut Nest, Index) -> Vec<Stmt>,
    ) -> Vec<Stmt> {
        match to.saturating_sub(from) {
            0 => Vec::new(),
            1 => body(nest, Index::constant(from.into())),
            extent => {
                let name = format!("{}_{dim}", nest.buffers[self.panel.idx()].name);
                let var = fresh_var(nest, &name);
                let body = body(nest, Index::var(var).offset(from.into()));
                let nothing = body.is_empty();
                if nothing { body } else { vec![Stmt::For(Loop { var, extent, unroll: false }, body)] }
            }
        }
    }
}

/// A word of two values: the second one a lane further up.
fn combined(values: &[Expr; 2]) -> Expr {
    if let [Expr::Int(low, _), Expr::Int(high, _)] = values {
        return Expr::Int(low + (high << SHIFTS[1]), Ty::I32);
    }
    match values {
        [Expr::Int(0, _), high] => op(Prim::Shl, vec![high.clone(), Expr::Int(SHIFTS[1].into(), Ty::I32)]),
        [low, Expr::Int(0, _)] => low.clone(),
        values => Basis::of(&[[1, 1 << SHIFTS[1]]]).exprs(values).swap_remove(0),
    }
}

/// A lane of a double word whose lanes are not negative.
fn lane(lane: usize, value: &Expr) -> Expr {
    let word = |prim| op(prim, vec![value.clone()]);
    let right = |value: Expr, by: u32| op(Prim::Lsr, vec![value, Expr::Int(by.into(), Ty::I32)]);
    let width = SHIFTS[1] as i32;
    match lane {
        0 => Expr::Op { prim: Prim::Ubfx, args: vec![word(Prim::Lo)], imm: vec![0, width] },
        1 => {
            let low = 32 - width;
            let args = vec![right(word(Prim::Lo), SHIFTS[1]), word(Prim::Hi)];
            Expr::Op { prim: Prim::Bfi, args, imm: vec![low, width - low] }
        }
        _ => right(word(Prim::Hi), SHIFTS[2] - 32),
    }
}

/// The loop over `var` in a block, with what it repeats; not a loop of a reduction.
fn find_loop(block: &[Stmt], var: VarId) -> Option<(&Loop, &[Stmt])> {
    block.iter().find_map(|stmt| match stmt {
        Stmt::For(l, body) if l.var == var => Some((l, &body[..])),
        other => ir::loops::walk::blocks(other).into_iter().find_map(|inner| find_loop(inner, var)),
    })
}

/// Puts a statement in the place of the loop over `var`.
fn replace(block: &mut [Stmt], var: VarId, made: &Stmt) {
    for stmt in block {
        match stmt {
            Stmt::For(l, _) if l.var == var => *stmt = made.clone(),
            other => super::edit::blocks_mut(other).into_iter().for_each(|inner| replace(inner, var, made)),
        }
    }
}

fn replace_local(block: &mut [Stmt], old: LocalId, new: LocalId) {
    visit_locals(block, &mut |local| {
        if *local == old {
            *local = new;
        }
    });
}

fn misplaced() -> Diagnostic {
    Diagnostic::new("it is no loop inside of the one at which data are combined")
        .help("legal at a loop around the one along which the window slides")
}

fn no_sum() -> Diagnostic {
    Diagnostic::new("inside of it is no single sum of products of data and a constant")
        .help("inside stands a reduction with `a = add a, mul(sext(…), sext(…))`, before it is jammed")
}

fn op(prim: Prim, args: Vec<Expr>) -> Expr {
    Expr::Op { prim, args, imm: Vec::new() }
}
