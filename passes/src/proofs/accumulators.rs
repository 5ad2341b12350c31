//! Bounds of the operands of an operation, from the types of what is loaded and the values of the constants.
//!
//! The nest is run on intervals. A loop whose variable chooses constants or registers runs through all its iterations, so
//! that each output channel is bounded by its own weights; so do the loops of a reduction. Any other variable is only known
//! to lie within its extent. What an element of a parameter is, is known by its declaration alone; an element of scratch is one of the values
//! that are stored there, whichever and whenever, since nothing reads scratch that was not written. A sum or product that may
//! leave its type wraps, and is then only known to be of that type. The bounds hold for every input; they are not the tightest,
//! since two mentions of a value count as two values.
//!
//! Words of several elements are bounded lane by lane where an operation here says how, and are unknown elsewhere. With the bounds
//! goes a number that divides the value, so that what a factor in weights and initial values leaves in a sum is known.

use std::collections::BTreeSet;
use std::sync::Arc;

use ir::diag::Diagnostic;
use ir::loops::interp::Constants;
use ir::loops::{Access, BufferId, Expr, Index, Loop, Nest, Prim, Role, Stmt, VarId};
use ir::ty::Ty;

use super::stored::writers;

/// Most assignments that are evaluated for a nest: seconds.
const MOST_WORK: u64 = 1 << 26;
/// Most passes over what is stored to scratch until its bounds stay; scratch that is summed up in place has none.
const MOST_ROUNDS: u32 = 6;

/// The least and the greatest value, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The least.
    pub low: i64,
    /// The greatest.
    pub high: i64,
}

/// Where an operation is looked at.
pub struct Place<'a> {
    /// Bounds of its operands.
    pub operands: &'a [Interval],
    /// Where its first operand is an operation: bounds of the operands of that.
    pub inner: &'a [Interval],
    /// What divides the first of these; 0 if it is 0.
    pub divisor: u64,
    vars: &'a [Interval],
}

/// What each operation of interest is told to.
type Visit<'v> = dyn FnMut(&Expr, &Place) + 'v;

/// Calls `visit` for every evaluation of an operation `of` in the body, with the bounds of its operands.
pub fn visit(nest: &Nest, of: Prim, visit: &mut Visit) -> Result<(), Diagnostic> {
    let unknown = Interval { low: 0, high: 0 };
    let mut bounds = Bounds {
        nest,
        of,
        visit,
        vars: vec![unknown; nest.vars.len()],
        locals: nest.locals.iter().map(|local| vec![Value::any(local.ty); len(&local.shape)]).collect(),
        constants: Constants::new(nest),
        data: vec![None; nest.buffers.len()],
        stored: vec![None; nest.buffers.len()],
        settled: false,
        chosen: chosen(nest),
        work: 0,
    };
    bounds.settle()?;
    bounds.block(&nest.body, false)
}

/// The least and greatest element of a constant of scalars, padding included.
pub fn values(nest: &Nest, constant: BufferId) -> Result<Interval, Diagnostic> {
    let data = Constants::new(nest).get(constant)?;
    let elem = nest.buffers[constant.idx()].elem;
    let elements = data.chunks_exact(elem.bytes()).map(|bytes| Interval::point(little_endian(elem, bytes)));
    Ok(elements.reduce(Interval::hull).unwrap_or(Interval::of_type(elem)))
}

impl Place<'_> {
    /// The bounds of an index.
    pub fn index(&self, index: &Index) -> Interval {
        index_bounds(index, self.vars)
    }

    /// The row-major position of an element, if every index is known and inside.
    pub fn position(&self, at: &[Index], shape: &[u32]) -> Option<usize> {
        flat(at.iter().map(|index| self.index(index).as_point()), shape)
    }
}

impl Interval {
    /// One value.
    pub fn point(value: i64) -> Self {
        Self { low: value, high: value }
    }

    /// The value, if there is only one.
    pub fn as_point(self) -> Option<i64> {
        (self.low == self.high).then_some(self.low)
    }

    /// What holds both.
    pub fn hull(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// All values of a type; those of a word of several elements as its bits.
    pub fn of_type(ty: Ty) -> Self {
        let (low, high) = ty.range().unwrap_or((i32::MIN.into(), i32::MAX.into()));
        Self { low, high }
    }

    /// Whether every value is one of the other's.
    pub fn is_within(self, other: Self) -> bool {
        other.low <= self.low && self.high <= other.high
    }

    /// The sums.
    pub fn plus(self, other: Self) -> Self {
        Self { low: self.low.saturating_add(other.low), high: self.high.saturating_add(other.high) }
    }

    /// The products.
    pub fn times(self, other: Self) -> Self {
        let product = |a: i64, b: i64| a.saturating_mul(b);
        let [a, b] = [product(self.low, other.low), product(self.low, other.high)];
        let [c, d] = [product(self.high, other.low), product(self.high, other.high)];
        Self { low: a.min(b).min(c.min(d)), high: a.max(b).max(c.max(d)) }
    }

    fn negated(self) -> Self {
        Self { low: self.high.saturating_neg(), high: self.low.saturating_neg() }
    }

    /// The same if it fits in the type, else all of the type: it may have wrapped.
    fn within(self, ty: Ty) -> Self {
        let all = Self::of_type(ty);
        // A double word that saturates here has wrapped.
        let inside = all.low <= self.low && self.high <= all.high;
        let at_end = ty == Ty::I64 && (self.low == i64::MIN || self.high == i64::MAX);
        if inside && !at_end { self } else { all }
    }
}

/// The bounds of a value, lane by lane.
#[derive(Clone, Copy, Debug)]
struct Value {
    lanes: [Interval; 4],
    /// For each lane a number that divides it; 0 where it is 0.
    divisors: [u64; 4],
}

impl Value {
    /// Of a lane that is known to be one value, that is its divisor.
    fn lanes(lanes: [Interval; 4]) -> Self {
        let divisor = |lane: Interval| lane.as_point().map_or(1, i64::unsigned_abs);
        Self { lanes, divisors: lanes.map(divisor) }
    }

    fn scalar(interval: Interval) -> Self {
        Self::lanes([interval; 4])
    }

    /// The interval, or all of the type if the value may wrap; then only powers of two go on dividing it.
    fn wrapping(interval: Interval, ty: Ty, divisor: u64) -> Self {
        let within = interval.within(ty);
        let divisor =
            if within == interval || divisor == 0 { divisor } else { 1 << divisor.trailing_zeros().min(31) };
        Self { lanes: [within; 4], divisors: [divisor; 4] }
    }

    fn any(ty: Ty) -> Self {
        Self::scalar(Interval::of_type(element(ty)))
    }

    fn hull(self, other: Self) -> Self {
        let lanes = std::array::from_fn(|lane| self.lanes[lane].hull(other.lanes[lane]));
        let divisors = std::array::from_fn(|lane| common_divisor(self.divisors[lane], other.divisors[lane]));
        Self { lanes, divisors }
    }

    /// The word, if every lane is known.
    fn as_word(self, ty: Ty) -> Option<i64> {
        let lanes = ty.lanes() as usize;
        let bits = if lanes == 1 { 64 } else { 32 / lanes };
        let mut word = 0;
        for (at, lane) in self.lanes.iter().take(lanes).enumerate() {
            let lane = lane.as_point()?;
            word |= if lanes == 1 { lane } else { (lane & ((1 << bits) - 1)) << (bits * at) };
        }
        Some(if lanes == 1 { word } else { i64::from(word as i32) })
    }

    /// A word as memory has it.
    fn of_word(ty: Ty, word: i64) -> Self {
        let lane = |lane: usize| match ty {
            Ty::I8x4 => i64::from((word >> (8 * lane)) as i8),
            Ty::U8x4 => i64::from((word >> (8 * lane)) as u8),
            Ty::I16x2 => i64::from((word >> (16 * (lane % 2))) as i16),
            _ => word,
        };
        Self::lanes(std::array::from_fn(|at| Interval::point(lane(at))))
    }
}

/// What divides a product of multiples of both.
fn product(a: u64, b: u64) -> u64 {
    a.checked_mul(b).unwrap_or(1)
}

/// The greatest number that divides both; everything divides 0.
fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The type of a lane.
fn element(ty: Ty) -> Ty {
    match ty {
        Ty::I8x4 => Ty::I8,
        Ty::U8x4 => Ty::U8,
        Ty::I16x2 => Ty::I16,
        other => other,
    }
}

struct Bounds<'n, 'v> {
    nest: &'n Nest,
    of: Prim,
    visit: &'v mut Visit<'v>,
    vars: Vec<Interval>,
    locals: Vec<Vec<Value>>,
    constants: Constants<'n>,
    /// Constants that were read, with the least and the greatest element.
    data: Vec<Option<(Arc<[u8]>, Interval)>>,
    /// What is stored to scratch, by buffer.
    stored: Vec<Option<Interval>>,
    /// Whether that is known.
    settled: bool,
    /// Variables that run through their iterations.
    chosen: BTreeSet<VarId>,
    work: u64,
}

impl Bounds<'_, '_> {
    /// Finds out what scratch holds: what is stored may itself come from scratch.
    fn settle(&mut self) -> Result<(), Diagnostic> {
        let writers = writers(self.nest);
        for _ in 0..MOST_ROUNDS {
            let before = self.stored.clone();
            self.block(&writers, false)?;
            self.settled = self.stored == before;
            if self.settled {
                return Ok(());
            }
        }
        self.stored.iter_mut().for_each(|stored| *stored = None);
        self.settled = true;
        Ok(())
    }

    /// A value that is stored to scratch.
    fn store(&mut self, access: &Access, value: Value) {
        let buffer = &self.nest.buffers[access.buffer.idx()];
        if self.settled || buffer.role != Role::Scratch {
            return;
        }
        let lanes = value.lanes.iter().take(access.ty.lanes() as usize).copied();
        let lanes = lanes.reduce(Interval::hull).expect("a word has a lane").within(buffer.elem);
        let stored = &mut self.stored[access.buffer.idx()];
        *stored = Some(stored.map_or(lanes, |stored| stored.hull(lanes)));
    }

    /// What a load of something that is no constant gives; a word may reach beyond the shape.
    fn loaded(&self, access: &Access) -> Value {
        let buffer = &self.nest.buffers[access.buffer.idx()];
        let any = Value::any(access.ty);
        let declared = |[low, high]: [i32; 2]| Interval { low: low.into(), high: high.into() };
        let Some(stored) = buffer.values.map(declared).or(self.stored[access.buffer.idx()]) else {
            return any;
        };
        let lanes = i64::from(access.ty.lanes());
        let first = buffer.map.position(&access.index);
        let inside = |(dim, extent): (usize, &u32)| {
            let mut next = access.index.clone();
            next[dim] = next[dim].offset(1);
            let moved = buffer.map.position(&next).add(&first.scale(-1));
            moved.as_constant() == Some(1)
                && index_bounds(&access.index[dim], &self.vars).high + lanes <= i64::from(*extent)
        };
        let inside = lanes == 1 || buffer.shape.iter().enumerate().any(inside);
        if inside { Value::scalar(stored) } else { any }
    }

    /// `all` says that every loop runs through its iterations: what is carried changes.
    fn block(&mut self, block: &[Stmt], all: bool) -> Result<(), Diagnostic> {
        block.iter().try_for_each(|stmt| self.stmt(stmt, all))
    }

    fn stmt(&mut self, stmt: &Stmt, all: bool) -> Result<(), Diagnostic> {
        match stmt {
            Stmt::For(l, body) => {
                self.each(std::slice::from_ref(l), all, &mut |bounds| bounds.block(body, all))
            }
            Stmt::Reduce(reduce) => {
                self.block(&reduce.init, true)?;
                self.each(&reduce.loops, true, &mut |bounds| bounds.block(&reduce.update, true))?;
                self.block(&reduce.finish, all)
            }
            Stmt::Let(local, value) => {
                self.locals[local.idx()] = vec![self.expr(value)?];
                Ok(())
            }
            Stmt::Set(local, at, value) => {
                self.spend()?;
                let value = self.expr(value)?;
                match self.register(*local, at) {
                    Some(register) => self.locals[local.idx()][register] = value,
                    None => self.locals[local.idx()].iter_mut().for_each(|old| *old = old.hull(value)),
                }
                Ok(())
            }
            Stmt::Store(access, value) => {
                self.spend()?;
                let value = self.expr(value)?;
                self.store(access, value);
                Ok(())
            }
        }
    }

    fn each(
        &mut self,
        loops: &[Loop],
        all: bool,
        body: &mut dyn FnMut(&mut Self) -> Result<(), Diagnostic>,
    ) -> Result<(), Diagnostic> {
        let [l, inner @ ..] = loops else { return body(self) };
        if !all && !self.chosen.contains(&l.var) {
            self.vars[l.var.idx()] = Interval { low: 0, high: i64::from(l.extent) - 1 };
            return self.each(inner, all, body);
        }
        for iteration in 0..l.extent {
            self.vars[l.var.idx()] = Interval::point(iteration.into());
            self.each(inner, all, body)?;
        }
        Ok(())
    }

    fn spend(&mut self) -> Result<(), Diagnostic> {
        self.work += 1;
        if self.work > MOST_WORK {
            let name = &self.nest.name;
            return Err(Diagnostic::new(format!("`{name}` has too many different sums to bound them all")));
        }
        Ok(())
    }

    /// Which register of a block is meant, if that is known.
    fn register(&self, local: ir::loops::LocalId, at: &[Index]) -> Option<usize> {
        let shape = &self.nest.locals[local.idx()].shape;
        flat(at.iter().map(|index| index_bounds(index, &self.vars).as_point()), shape)
    }

    fn expr(&mut self, expr: &Expr) -> Result<Value, Diagnostic> {
        Ok(match expr {
            Expr::Int(value, _) => Value::scalar(Interval::point(*value)),
            Expr::Index(index) => Value::scalar(index_bounds(index, &self.vars)),
            Expr::Local(local, at) => match self.register(*local, at) {
                Some(register) => self.locals[local.idx()][register],
                None => {
                    let registers = self.locals[local.idx()].iter().copied();
                    registers.reduce(Value::hull).expect("a value has a register")
                }
            },
            Expr::Load(access) => self.load(access)?,
            Expr::Lookup(buffer, at) => {
                self.expr(at)?;
                let all = Interval::of_type(self.nest.buffers[buffer.idx()].elem);
                Value::scalar(if self.nest.buffers[buffer.idx()].is_const() {
                    self.contents(*buffer)?.1
                } else {
                    all
                })
            }
            Expr::Op { prim, args, imm } => {
                let mut values = [Value::scalar(Interval::point(0)); 4];
                for (value, arg) in values.iter_mut().zip(args) {
                    *value = self.expr(arg)?;
                }
                let values = &values[..args.len()];
                if *prim == self.of && self.settled {
                    let operands: Vec<Interval> = values.iter().map(|value| value.lanes[0]).collect();
                    let inner = match &args[0] {
                        Expr::Op { args, .. } => {
                            args.iter().map(|arg| self.expr(arg)).collect::<Result<_, _>>()?
                        }
                        _ => Vec::new(),
                    };
                    let divisor = inner.first().map_or(1, |value: &Value| value.divisors[0]);
                    let inner: Vec<Interval> = inner.iter().map(|value| value.lanes[0]).collect();
                    let place = Place { operands: &operands, inner: &inner, divisor, vars: &self.vars };
                    (self.visit)(expr, &place);
                }
                let types: Vec<Ty> = args.iter().map(|arg| self.nest.ty(arg)).collect();
                let result = self.nest.ty(expr);
                let known = evaluated(*prim, &types, result, values, imm);
                known.unwrap_or_else(|| operation(*prim, &types, result, values, imm))
            }
        })
    }

    fn load(&mut self, access: &Access) -> Result<Value, Diagnostic> {
        let nest = self.nest;
        let buffer = &nest.buffers[access.buffer.idx()];
        if !buffer.is_const() {
            let value = self.loaded(access);
            return Ok(access
                .border
                .map_or(value, |border| value.hull(Value::scalar(Interval::point(border)))));
        }
        let mut element = Vec::with_capacity(access.index.len());
        for index in &access.index {
            element.extend(index_bounds(index, &self.vars).as_point());
        }
        let inside =
            element.iter().zip(&buffer.shape).all(|(at, extent)| (0..i64::from(*extent)).contains(at));
        if element.len() == access.index.len() && inside {
            let position = buffer.map.position_of(&element) as usize * buffer.elem.bytes();
            let (data, _) = self.contents(access.buffer)?;
            return Ok(match data.get(position..position + access.ty.bytes()) {
                Some(bytes) => Value::of_word(access.ty, little_endian(access.ty, bytes)),
                None => Value::any(access.ty), // Slack.
            });
        }
        Ok(Value::any(access.ty))
    }

    /// The bytes of a constant, with the least and greatest element of scalars.
    fn contents(&mut self, id: BufferId) -> Result<(Arc<[u8]>, Interval), Diagnostic> {
        if let Some(known) = &self.data[id.idx()] {
            return Ok(known.clone());
        }
        let data = self.constants.get(id)?;
        let elem = self.nest.buffers[id.idx()].elem;
        let elements = data.chunks_exact(elem.bytes()).map(|bytes| little_endian(elem, bytes));
        let hull = elements.map(Interval::point).reduce(Interval::hull);
        let hull = if elem.lanes() == 1 { hull } else { None };
        let known = (data, hull.unwrap_or(Interval::of_type(elem)));
        self.data[id.idx()] = Some(known.clone());
        Ok(known)
    }
}

/// The result, if all operands are known.
fn evaluated(prim: Prim, types: &[Ty], result: Ty, values: &[Value], imm: &[i32]) -> Option<Value> {
    let words = values.iter().zip(types).map(|(value, ty)| value.as_word(*ty));
    let words: Vec<i64> = words.collect::<Option<_>>()?;
    Some(Value::of_word(result, (prim.row().eval)(types[0], &words, imm)))
}

/// The bounds of a result.
fn operation(prim: Prim, types: &[Ty], result: Ty, values: &[Value], imm: &[i32]) -> Value {
    let a = values.first().map_or(Interval::point(0), |value| value.lanes[0]);
    let b = values.get(1).map_or(Interval::point(0), |value| value.lanes[0]);
    let divisor = |operand: usize| values.get(operand).map_or(0, |value| value.divisors[0]);
    let (of_a, of_b) = (divisor(0), divisor(1));
    let of_both = common_divisor(of_a, of_b);
    let scalar = |interval: Interval| Value::scalar(interval.within(result));
    let wrapping = |interval: Interval, divisor: u64| Value::wrapping(interval, result, divisor);
    let monotone = |f: &dyn Fn(i64) -> i64| scalar(Interval { low: f(a.low), high: f(a.high) });
    match (prim, b.as_point()) {
        (Prim::Sext | Prim::Zext | Prim::Widen, _) => wrapping(a, of_a),
        (Prim::Add, _) => wrapping(a.plus(b), of_both),
        (Prim::Sub, _) => wrapping(a.plus(b.negated()), of_both),
        (Prim::Mul | Prim::MulWide, _) => wrapping(a.times(b), product(of_a, of_b)),
        (Prim::Div, Some(by @ 1..)) => monotone(&|a| a / by),
        (Prim::Min, _) => scalar(Interval { low: a.low.min(b.low), high: a.high.min(b.high) }),
        (Prim::Max, _) => scalar(Interval { low: a.low.max(b.low), high: a.high.max(b.high) }),
        (Prim::Shl, Some(by @ 0..=31)) => wrapping(a.times(Interval::point(1 << by)), product(of_a, 1 << by)),
        (Prim::Asr, Some(by @ 0..=31)) => monotone(&|a| a >> by),
        (Prim::Unscaled, _) => scalar(Interval { low: b.low, high: values[2].lanes[0].high }),
        (Prim::Select, _) => values[1].hull(values[2]),
        (Prim::Ssat | Prim::Usat, _) if imm[1] >= 0 => monotone(&|a| (prim.row().eval)(Ty::I32, &[a], imm)),
        (Prim::Bot, _) => wrapping(values[0].lanes[0], values[0].divisors[0]),
        (Prim::Top, _) => wrapping(values[0].lanes[1], values[0].divisors[1]),
        (Prim::Sxtb16, _) if types[0] == Ty::I8x4 => {
            let lane = |half: usize| values[0].lanes[(imm[0] as usize / 8 + 2 * half) % 4];
            Value::lanes(std::array::from_fn(|at| lane(at % 2)))
        }
        (Prim::Sxtb16, _) if types[0] == Ty::I16x2 && imm[0] == 0 => {
            let lane = |half: usize| values[0].lanes[half].within(Ty::I8);
            Value::lanes(std::array::from_fn(|at| lane(at % 2)))
        }
        (Prim::Uxtb16, _) if types[0] == Ty::U8x4 => {
            let lane = |half: usize| values[0].lanes[(imm[0] as usize / 8 + 2 * half) % 4];
            Value::lanes(std::array::from_fn(|at| lane(at % 2)))
        }
        (Prim::PackBotTop | Prim::PackTopBot, _) if types == [Ty::I16x2; 2] => {
            let [a, b] = [values[0].lanes, values[1].lanes];
            let halves = match (prim, imm[0]) {
                (Prim::PackBotTop, 16) => [a[0], b[0]],
                (Prim::PackBotTop, 0) => [a[0], b[1]],
                (Prim::PackTopBot, 16) => [b[1], a[1]],
                (Prim::PackTopBot, 0) => [b[0], a[1]],
                _ => [Interval::of_type(Ty::I16); 2],
            };
            Value::lanes(std::array::from_fn(|at| halves[at % 2]))
        }
        (Prim::Add2, _) => {
            let lane = |at: usize| values[0].lanes[at % 2].plus(values[1].lanes[at % 2]).within(Ty::I16);
            Value::lanes(std::array::from_fn(lane))
        }
        (Prim::Dot2 | Prim::Dot2Cross, _) => {
            let cross = usize::from(prim == Prim::Dot2Cross);
            let term = |half: usize| values[1].lanes[half].times(values[2].lanes[half ^ cross]);
            let divisor = |half: usize| product(values[1].divisors[half], values[2].divisors[half ^ cross]);
            let divisor = common_divisor(of_a, common_divisor(divisor(0), divisor(1)));
            wrapping(a.plus(term(0)).plus(term(1)), divisor)
        }
        _ => Value::any(result),
    }
}

/// Variables that choose an element of a constant or a register of a block.
fn chosen(nest: &Nest) -> BTreeSet<VarId> {
    let mut vars = Vec::new();
    ir::loops::walk::walk(&nest.body, ir::loops::StmtNo(0), &mut |_, stmt| match stmt {
        Stmt::Let(_, value) | Stmt::Store(_, value) => collect(nest, value, &mut vars),
        Stmt::Set(_, at, value) => {
            at.iter().for_each(|index| index.vars(&mut vars));
            collect(nest, value, &mut vars);
        }
        Stmt::For(..) | Stmt::Reduce(_) => {}
    });
    vars.into_iter().collect()
}

fn collect(nest: &Nest, expr: &Expr, vars: &mut Vec<VarId>) {
    match expr {
        Expr::Local(_, at) => at.iter().for_each(|index| index.vars(vars)),
        Expr::Load(access) if nest.buffers[access.buffer.idx()].is_const() => {
            access.index.iter().for_each(|index| index.vars(vars))
        }
        Expr::Lookup(_, at) => collect(nest, at, vars),
        Expr::Op { args, .. } => args.iter().for_each(|arg| collect(nest, arg, vars)),
        Expr::Int(..) | Expr::Index(_) | Expr::Load(_) => {}
    }
}

fn index_bounds(index: &Index, vars: &[Interval]) -> Interval {
    let (low, high) = index.range(&|var| (vars[var.idx()].low, vars[var.idx()].high));
    Interval { low, high }
}

/// The row-major position of an element whose index is known.
fn flat(at: impl Iterator<Item = Option<i64>>, shape: &[u32]) -> Option<usize> {
    let mut position = 0;
    for (at, extent) in at.zip(shape) {
        position =
            position * *extent as usize + usize::try_from(at?).ok().filter(|at| at < &(*extent as usize))?;
    }
    Some(position)
}

fn len(shape: &[u32]) -> usize {
    shape.iter().map(|extent| *extent as usize).product()
}

/// An element as a number: bits of narrow and packed types with the sign that the type has.
fn little_endian(ty: Ty, bytes: &[u8]) -> i64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    let bits = i64::from_le_bytes(word);
    match (ty, bytes.len()) {
        (Ty::U8 | Ty::U16, _) | (_, 8) => bits,
        (_, len) => bits << (64 - 8 * len) >> (64 - 8 * len),
    }
}
