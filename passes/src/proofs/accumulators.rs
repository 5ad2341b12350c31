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

use ir::diag::Diagnostic;
use ir::loops::interp::Constants;
use ir::loops::{BufferId, Expr, Index, Nest, Prim, Stmt, VarId};

use super::bounded::{self, Lane, MOST_OPERANDS, Value};
pub use super::interval::Interval;
use super::steps::{Compiler, Element, Node, Op, Range, Step, index_bounds, little_endian};
use super::stored::{matters, writers};
use super::uniform::Uniform;

/// Most assignments that are evaluated for a nest: seconds.
const MOST_WORK: u64 = 1 << 26;
/// Most passes over what is stored to scratch until its bounds stay; scratch that is summed up in place has none.
const MOST_ROUNDS: u32 = 6;

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

/// Calls `visit` for every evaluation of an operation `of` in the body, with the bounds of its operands. Where iterations differ in
/// nothing but data, one stands for all.
pub fn visit(nest: &Nest, of: Prim, visit: &mut Visit) -> Result<(), Diagnostic> {
    visit_some(nest, of, &|_| true, visit)
}

/// The same where only operations matter that `is_wanted` accepts; of the others some are left out.
pub fn visit_some(
    nest: &Nest,
    of: Prim,
    is_wanted: &dyn Fn(&Expr) -> bool,
    visit: &mut Visit,
) -> Result<(), Diagnostic> {
    let unknown = Interval { low: 0, high: 0 };
    let (uniform, chosen) = (Uniform::of(nest), chosen(nest));
    let once = |var: usize| uniform.has_loop(VarId::new(var));
    let mut bounds = Bounds {
        nest,
        of,
        visit,
        vars: vec![unknown; nest.vars.len()],
        locals: nest.locals.iter().map(|local| vec![Value::any(local.ty); len(&local.shape)]).collect(),
        stored: vec![None; nest.buffers.len()],
        settled: false,
        chosen: (0..nest.vars.len()).map(|var| chosen.contains(&VarId::new(var))).collect(),
        once: (0..nest.vars.len()).map(once).collect(),
        work: 0,
    };
    let mut compiler = Compiler::new(nest, &uniform, of);
    bounds.settle(&compiler.block(&writers(nest), &|_| true)?)?;
    let is_wanted = |expr: &Expr| matches!(expr, Expr::Op { prim, .. } if *prim == of) && is_wanted(expr);
    bounds.block(&compiler.block(&nest.body, &|stmt| matters(stmt, &is_wanted))?, false)
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

struct Bounds<'n, 'v> {
    nest: &'n Nest,
    of: Prim,
    visit: &'v mut Visit<'v>,
    vars: Vec<Interval>,
    locals: Vec<Vec<Value>>,
    /// What is stored to scratch, by buffer.
    stored: Vec<Option<Interval>>,
    /// Whether that is known.
    settled: bool,
    /// Whether each variable runs through its iterations.
    chosen: Vec<bool>,
    /// Whether one iteration of each variable stands for all.
    once: Vec<bool>,
    work: u64,
}

impl Bounds<'_, '_> {
    /// Finds out what scratch holds: what is stored may itself come from scratch.
    fn settle(&mut self, writers: &[Step]) -> Result<(), Diagnostic> {
        for _ in 0..MOST_ROUNDS {
            let before = self.stored.clone();
            self.block(writers, false)?;
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
    fn store(&mut self, buffer: BufferId, lanes: usize, value: Value) {
        let lanes = value.lanes.iter().take(lanes).copied();
        let elem = self.nest.buffers[buffer.idx()].elem;
        let lanes = lanes.reduce(Interval::hull).expect("a word has a lane").within(elem);
        let stored = &mut self.stored[buffer.idx()];
        *stored = Some(stored.map_or(lanes, |stored| stored.hull(lanes)));
    }

    /// `all` says that every loop runs through its iterations: what is carried changes.
    fn block(&mut self, block: &[Step], all: bool) -> Result<(), Diagnostic> {
        block.iter().try_for_each(|step| self.step(step, all))
    }

    fn step(&mut self, step: &Step, all: bool) -> Result<(), Diagnostic> {
        match step {
            Step::For(range, body) => self.each(&[*range], body, all),
            Step::Reduce { init, loops, update, finish } => {
                self.block(init, true)?;
                self.each(loops, update, true)?;
                self.block(finish, all)
            }
            Step::Let(local, value) => {
                self.locals[*local] = vec![self.value(value)];
                Ok(())
            }
            Step::Set(local, at, value) => {
                self.spend()?;
                let value = self.value(value);
                match self.register(*local, at) {
                    Some(register) => self.locals[*local][register] = value,
                    None => self.locals[*local].iter_mut().for_each(|old| *old = old.hull(value)),
                }
                Ok(())
            }
            Step::Store(scratch, lanes, value) => {
                self.spend()?;
                let value = self.value(value);
                match scratch {
                    Some(buffer) if !self.settled => self.store(*buffer, *lanes, value),
                    _ => {}
                }
                Ok(())
            }
        }
    }

    fn each(&mut self, loops: &[Range], body: &[Step], all: bool) -> Result<(), Diagnostic> {
        let [Range { var, extent }, inner @ ..] = loops else { return self.block(body, all) };
        if self.once[*var] || !all && !self.chosen[*var] {
            self.vars[*var] = Interval { low: 0, high: extent - 1 };
            return self.each(inner, body, all);
        }
        for iteration in 0..*extent {
            self.vars[*var] = Interval::point(iteration);
            self.each(inner, body, all)?;
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
    fn register(&self, local: usize, at: &Element) -> Option<usize> {
        at.position(&self.vars).filter(|register| *register < self.locals[local].len())
    }

    fn value(&mut self, node: &Node) -> Value {
        match node {
            Node::Known(value) => *value,
            Node::Index(at) => Value::scalar(at.range(&self.vars)),
            Node::Register(local, at) => match self.register(*local, at) {
                Some(register) => self.locals[*local][register],
                None => {
                    let registers = self.locals[*local].iter().copied();
                    registers.reduce(Value::hull).expect("a value has a register")
                }
            },
            Node::Constant(constant) => match constant.word(&self.vars) {
                Some(word) => Value::of_word(constant.ty, word),
                None => Value::any(constant.ty), // It is one of several, or slack.
            },
            Node::Data(data) => data.value(&self.stored, &self.vars),
            Node::Lookup(value, at) => {
                self.value(at); // It may hold what is looked for.
                *value
            }
            Node::Op(op) => match self.arithmetic(op) {
                Some(lane) => lane.into(),
                None => self.operation(op),
            },
        }
    }

    /// The same for a scalar: most of what is evaluated, once for each weight.
    fn scalar(&mut self, node: &Node) -> Lane {
        match node {
            Node::Op(op) => match self.arithmetic(op) {
                Some(lane) => lane,
                None => self.operation(op).first::<1>()[0],
            },
            _ => self.first::<1>(node)[0],
        }
    }

    /// The first lanes of a value.
    fn first<const N: usize>(&mut self, node: &Node) -> [Lane; N] {
        match node {
            Node::Known(value) => value.first(),
            Node::Register(local, at) if let Some(register) = self.register(*local, at) => {
                self.locals[*local][register].first()
            }
            Node::Constant(constant) if let Some(word) = constant.word(&self.vars) => {
                Lane::of_word(constant.ty, word)
            }
            _ => self.value(node).first(),
        }
    }

    /// Sums and products of scalars, and of pairs of halfwords; `None` for other operations.
    fn arithmetic(&mut self, op: &Op) -> Option<Lane> {
        if op.prim == self.of {
            return None;
        }
        let known = |lanes: &[Lane]| lanes.iter().all(|lane| lane.interval.as_point().is_some());
        match op.prim {
            Prim::Add | Prim::Sub | Prim::Mul | Prim::MulWide => {
                let (a, b) = (self.scalar(&op.args[0]), self.scalar(&op.args[1]));
                if known(&[a, b]) {
                    return Some(self.exact(op, &[a.into(), b.into()]));
                }
                bounded::arithmetic(op.prim, a, b, op.result)
            }
            Prim::Dot2 | Prim::Dot2Cross => {
                let a = self.scalar(&op.args[0]);
                let (x, w) = (self.first::<2>(&op.args[1]), self.first::<2>(&op.args[2]));
                if known(&[a]) && known(&x) && known(&w) {
                    return Some(self.exact(op, &[a.into(), Value::pair(x), Value::pair(w)]));
                }
                Some(bounded::dot(a, x, w, op.prim == Prim::Dot2Cross, op.result))
            }
            _ => None,
        }
    }

    /// A scalar result where all operands are known.
    fn exact(&self, op: &Op, values: &[Value]) -> Lane {
        bounded::result(op.prim, &op.types, op.result, values, op.imm).first::<1>()[0]
    }

    fn operation(&mut self, op: &Op) -> Value {
        let mut values = [Value::scalar(Interval::point(0)); MOST_OPERANDS];
        for (value, arg) in values.iter_mut().zip(&op.args) {
            *value = self.value(arg);
        }
        let values = &values[..op.args.len()];
        if op.prim == self.of && self.settled {
            let operands: Vec<Interval> = values.iter().map(|value| value.lanes[0]).collect();
            let inner: Vec<Value> = match &op.args[0] {
                Node::Op(inner) => inner.args.iter().map(|arg| self.value(arg)).collect(),
                _ => Vec::new(),
            };
            let divisor = inner.first().map_or(1, |value| value.divisors[0]);
            let inner: Vec<Interval> = inner.iter().map(|value| value.lanes[0]).collect();
            let place = Place { operands: &operands, inner: &inner, divisor, vars: &self.vars };
            (self.visit)(op.expr, &place);
        }
        bounded::result(op.prim, &op.types, op.result, values, op.imm)
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
