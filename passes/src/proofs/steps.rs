//! A block of a nest with everything looked up that does not change while its loops run: types, shapes, the bytes of constants.
//!
//! Bounds are evaluated for every weight of a layer, and again for every draft of its schedule, so an evaluation allocates nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use ir::diag::Diagnostic;
use ir::loops::interp::Constants;
use ir::loops::{Access, Atom, BufferId, Expr, Index, LocalId, Loop, Nest, Prim, Role, Stmt, VarId};
use ir::ty::Ty;

use super::bounded::{self, Value};
use super::interval::Interval;
use super::uniform::Uniform;

/// A statement.
pub enum Step<'n> {
    /// Repeats a body.
    For(Range, Vec<Step<'n>>),
    /// `init`, `update` for every iteration of the loops, `finish`.
    Reduce {
        /// Before the loops.
        init: Vec<Step<'n>>,
        /// Outermost first.
        loops: Vec<Range>,
        /// Within them.
        update: Vec<Step<'n>>,
        /// Behind them.
        finish: Vec<Step<'n>>,
    },
    /// Defines a local, by number.
    Let(usize, Node<'n>),
    /// Gives a register of a local, by number, its next value.
    Set(usize, Element, Node<'n>),
    /// Writes memory: the buffer where it is scratch, and how many lanes the value has.
    Store(Option<BufferId>, usize, Node<'n>),
}

/// A loop.
#[derive(Clone, Copy)]
pub struct Range {
    /// Its variable, by number.
    pub var: usize,
    /// Its iterations.
    pub extent: i64,
}

/// An expression.
pub enum Node<'n> {
    /// Of bounds that no loop changes.
    Known(Value),
    /// The value of an index.
    Index(At),
    /// A register of a local, by number.
    Register(usize, Element),
    /// A word of a constant.
    Constant(Constant),
    /// A word of scratch, or one that may lie beyond what is known.
    Data(Data),
    /// An element at a position that data decides: of these bounds.
    Lookup(Value, Box<Node<'n>>),
    /// An operation.
    Op(Box<Op<'n>>),
}

/// A load of a constant.
pub struct Constant {
    /// All of it.
    data: Arc<[u8]>,
    /// The element.
    at: Element,
    /// The type of an element.
    elem: Ty,
    /// The type of the word.
    pub ty: Ty,
}

/// A load whose bounds depend on where it is or on what was stored.
pub struct Data {
    /// Scratch that it reads.
    pub scratch: Option<BufferId>,
    /// Bounds of the elements, where they are declared.
    pub declared: Option<Value>,
    /// The type of the word.
    pub ty: Ty,
    /// Whether all lanes are elements wherever it is.
    pub is_inside: bool,
    /// Else the dimensions that its lanes may follow each other along: where the last lane is, and the extent.
    pub along: Vec<(At, i64)>,
    /// What is loaded outside.
    pub border: Option<Value>,
}

/// An operation.
pub struct Op<'n> {
    /// As the nest has it.
    pub expr: &'n Expr,
    /// Which one.
    pub prim: Prim,
    /// Attributes.
    pub imm: &'n [i32],
    /// Operands.
    pub args: Vec<Node<'n>>,
    /// Their types.
    pub types: Vec<Ty>,
    /// The type of the result.
    pub result: Ty,
}

/// An index.
pub enum At {
    /// A constant, and coefficients with the numbers of variables.
    Affine(i64, Vec<(i64, usize)>),
    /// With quotients and remainders.
    Other(Index),
}

/// One element of several.
pub struct Element {
    /// Which one, in the order of the memory.
    position: At,
    /// The indices that may be outside, with their extents.
    unproven: Vec<(At, i64)>,
}

/// Looks everything up for a block of a nest.
pub struct Compiler<'n> {
    nest: &'n Nest,
    uniform: &'n Uniform,
    /// The operations that are evaluated for who wants to see their operands.
    of: Prim,
    constants: Constants<'n>,
    /// What is known of constants that were read.
    contents: BTreeMap<BufferId, (Arc<[u8]>, Interval)>,
    extents: BTreeMap<VarId, i64>,
}

impl At {
    fn new(index: &Index) -> Self {
        let term = |(coefficient, atom): &(i64, Atom)| match atom {
            Atom::Var(var) => Some((*coefficient, var.idx())),
            Atom::Div(..) | Atom::Mod(..) => None,
        };
        match index.terms.iter().map(term).collect() {
            Some(terms) => At::Affine(index.constant, terms),
            None => At::Other(index.clone()),
        }
    }

    /// The bounds, for variables within these.
    pub fn range(&self, vars: &[Interval]) -> Interval {
        match self {
            At::Affine(constant, terms) => {
                let (mut low, mut high) = (*constant, *constant);
                for (coefficient, var) in terms {
                    let (a, b) = (coefficient * vars[*var].low, coefficient * vars[*var].high);
                    (low, high) = (low + a.min(b), high + a.max(b));
                }
                Interval { low, high }
            }
            At::Other(index) => index_bounds(index, vars),
        }
    }

    /// The value, if all variables that it depends on are known.
    fn point(&self, vars: &[Interval]) -> Option<i64> {
        let At::Affine(constant, terms) = self else { return self.range(vars).as_point() };
        terms
            .iter()
            .try_fold(*constant, |sum, (coefficient, var)| Some(sum + coefficient * vars[*var].as_point()?))
    }
}

impl Element {
    fn new(position: &Index, at: &[Index], shape: &[u32], of: &dyn Fn(VarId) -> (i64, i64)) -> Self {
        let outside = |(index, extent): &(&Index, &u32)| {
            let (low, high) = index.range(of);
            low < 0 || high >= i64::from(**extent)
        };
        let unproven = at.iter().zip(shape).filter(outside);
        let unproven = unproven.map(|(index, extent)| (At::new(index), i64::from(*extent))).collect();
        Self { position: At::new(position), unproven }
    }

    /// Its position, if that is known and inside.
    pub fn position(&self, vars: &[Interval]) -> Option<usize> {
        for (at, extent) in &self.unproven {
            at.range(vars).as_point().filter(|at| (0..*extent).contains(at))?;
        }
        self.position.point(vars).and_then(|at| usize::try_from(at).ok())
    }
}

impl<'n> Compiler<'n> {
    /// For blocks of this nest, in which one register stands for all along uniform dimensions.
    pub fn new(nest: &'n Nest, uniform: &'n Uniform, of: Prim) -> Self {
        let mut extents = BTreeMap::new();
        let mut add = |l: &Loop| {
            let extent = extents.entry(l.var).or_insert(0);
            *extent = i64::from(l.extent).max(*extent);
        };
        nest.walk(&mut |_, stmt| match stmt {
            Stmt::For(l, _) => add(l),
            Stmt::Reduce(reduce) => reduce.loops.iter().for_each(&mut add),
            Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => {}
        });
        Self { nest, uniform, of, constants: Constants::new(nest), contents: BTreeMap::new(), extents }
    }

    /// A block of the nest, or a copy of parts of it, with those statements that `keep` accepts.
    pub fn block<'b>(
        &mut self,
        block: &'b [Stmt],
        keep: &dyn Fn(&Stmt) -> bool,
    ) -> Result<Vec<Step<'b>>, Diagnostic> {
        block.iter().filter(|stmt| keep(stmt)).map(|stmt| self.stmt(stmt, keep)).collect()
    }

    fn stmt<'b>(&mut self, stmt: &'b Stmt, keep: &dyn Fn(&Stmt) -> bool) -> Result<Step<'b>, Diagnostic> {
        let range = |l: &Loop| Range { var: l.var.idx(), extent: l.extent.into() };
        Ok(match stmt {
            Stmt::For(l, body) => Step::For(range(l), self.block(body, keep)?),
            Stmt::Reduce(reduce) => Step::Reduce {
                init: self.block(&reduce.init, keep)?,
                loops: reduce.loops.iter().map(range).collect(),
                update: self.block(&reduce.update, keep)?,
                finish: self.block(&reduce.finish, keep)?,
            },
            Stmt::Let(local, value) => Step::Let(local.idx(), self.expr(value)?),
            Stmt::Set(local, at, value) => {
                Step::Set(local.idx(), self.register(*local, at), self.expr(value)?)
            }
            Stmt::Store(access, value) => {
                let is_scratch = self.nest.buffers[access.buffer.idx()].role == Role::Scratch;
                let lanes = access.ty.lanes() as usize;
                Step::Store(is_scratch.then_some(access.buffer), lanes, self.expr(value)?)
            }
        })
    }

    fn expr<'b>(&mut self, expr: &'b Expr) -> Result<Node<'b>, Diagnostic> {
        Ok(match expr {
            Expr::Int(value, _) => Node::Known(Value::scalar(Interval::point(*value))),
            Expr::Index(index) => Node::Index(At::new(index)),
            Expr::Local(local, at) => Node::Register(local.idx(), self.register(*local, at)),
            Expr::Load(access) if self.nest.buffers[access.buffer.idx()].is_const() => {
                let buffer = &self.nest.buffers[access.buffer.idx()];
                let position = buffer.map.position(&access.index);
                let at = Element::new(&position, &access.index, &buffer.shape, &self.within());
                let (data, _) = self.contents(access.buffer)?;
                Node::Constant(Constant { data, at, elem: buffer.elem, ty: access.ty })
            }
            Expr::Load(access) => self.load(access),
            Expr::Lookup(buffer, at) => {
                let at = self.expr(at)?;
                let data = &self.nest.buffers[buffer.idx()];
                let all =
                    if data.is_const() { self.contents(*buffer)?.1 } else { Interval::of_type(data.elem) };
                Node::Lookup(Value::scalar(all), Box::new(at))
            }
            Expr::Op { prim, args, imm } => {
                let op = Op {
                    expr,
                    prim: *prim,
                    imm,
                    args: args.iter().map(|arg| self.expr(arg)).collect::<Result<_, _>>()?,
                    types: args.iter().map(|arg| self.nest.ty(arg)).collect(),
                    result: self.nest.ty(expr),
                };
                self.evaluated(&op).map_or_else(|| Node::Op(Box::new(op)), Node::Known)
            }
        })
    }

    /// What an operation gives that no loop changes, such as data made wider.
    fn evaluated(&self, op: &Op) -> Option<Value> {
        let known = |arg: &Node| if let Node::Known(value) = arg { Some(*value) } else { None };
        let values: Vec<Value> = op.args.iter().map(known).collect::<Option<_>>()?;
        let matters = op.prim == self.of || bounded::is_arithmetic(op.prim);
        (!matters).then(|| bounded::result(op.prim, &op.types, op.result, &values, op.imm))
    }

    fn register(&self, local: LocalId, at: &[Index]) -> Element {
        let dims = at.iter().zip(&self.nest.locals[local.idx()].shape).enumerate();
        let dims = dims.filter(|(dim, _)| !self.uniform.has_dim(local, *dim)).map(|(_, along)| along);
        let (at, shape): (Vec<Index>, Vec<u32>) =
            dims.map(|(index, extent)| (index.clone(), *extent)).unzip();
        let inner =
            |position: Index, (index, extent): (&Index, &u32)| position.scale(i64::from(*extent)).add(index);
        let position = at.iter().zip(&shape).fold(Index::constant(0), inner);
        Element::new(&position, &at, &shape, &self.within())
    }

    /// A load of something that is no constant; a word may reach beyond the shape.
    fn load<'b>(&self, access: &Access) -> Node<'b> {
        let buffer = &self.nest.buffers[access.buffer.idx()];
        let declared = |[low, high]: [i32; 2]| Interval { low: low.into(), high: high.into() };
        let declared = buffer.values.map(declared).map(Value::scalar);
        let lanes = i64::from(access.ty.lanes());
        let first = buffer.map.position(&access.index);
        let is_along = |(dim, _): &(usize, &u32)| {
            let mut next = access.index.clone();
            next[*dim] = next[*dim].offset(1);
            buffer.map.position(&next).add(&first.scale(-1)).as_constant() == Some(1)
        };
        let mut along = Vec::new();
        let mut inside = lanes == 1;
        for (dim, extent) in buffer.shape.iter().enumerate().filter(|_| lanes > 1).filter(is_along) {
            let last = access.index[dim].offset(lanes - 1);
            inside |= last.range(&self.within()).1 < i64::from(*extent);
            along.push((At::new(&last), i64::from(*extent)));
        }
        let border = access.border.map(|border| Value::scalar(Interval::point(border)));
        let scratch = (buffer.role == Role::Scratch).then_some(access.buffer);
        let data = Data { scratch, declared, ty: access.ty, is_inside: inside, along, border };
        if scratch.is_none() && (inside || declared.is_none()) {
            return Node::Known(data.value(&[], &[]));
        }
        Node::Data(data)
    }

    /// The bytes of a constant, with the least and greatest element of scalars.
    fn contents(&mut self, id: BufferId) -> Result<(Arc<[u8]>, Interval), Diagnostic> {
        if let Some(known) = self.contents.get(&id) {
            return Ok(known.clone());
        }
        let data = self.constants.get(id)?;
        let elem = self.nest.buffers[id.idx()].elem;
        let elements = data.chunks_exact(elem.bytes()).map(|bytes| little_endian(elem, bytes));
        let hull = elements.map(Interval::point).reduce(Interval::hull);
        let hull = if elem.lanes() == 1 { hull } else { None };
        let known = (data, hull.unwrap_or(Interval::of_type(elem)));
        self.contents.insert(id, known.clone());
        Ok(known)
    }

    /// The bounds of each variable in all iterations.
    fn within(&self) -> impl Fn(VarId) -> (i64, i64) + '_ {
        |var| (0, self.extents.get(&var).map_or(0, |extent| extent - 1))
    }
}

impl Constant {
    /// The word, if it is known which one it is and that is not beyond the end.
    pub fn word(&self, vars: &[Interval]) -> Option<i64> {
        let at = self.at.position(vars)?;
        let bytes = self.data.get(at * self.elem.bytes()..)?.get(..self.ty.bytes())?;
        Some(little_endian(self.ty, bytes))
    }
}

impl Data {
    /// The bounds, with those of what is stored to scratch by buffer.
    pub fn value(&self, stored: &[Option<Interval>], vars: &[Interval]) -> Value {
        let known = || self.scratch.and_then(|buffer| stored[buffer.idx()]).map(Value::scalar);
        let ends_inside = |(last, extent): &(At, i64)| last.range(vars).high < *extent;
        let inside = |_: &Value| self.is_inside || self.along.iter().any(ends_inside);
        let value = self.declared.or_else(known).filter(inside).unwrap_or(Value::any(self.ty));
        self.border.map_or(value, |border| value.hull(border))
    }
}

/// The bounds of an index, for variables within these.
pub fn index_bounds(index: &Index, vars: &[Interval]) -> Interval {
    let (low, high) = index.range(&|var| (vars[var.idx()].low, vars[var.idx()].high));
    Interval { low, high }
}

/// An element as a number: bits of narrow and packed types with the sign that the type has.
pub fn little_endian(ty: Ty, bytes: &[u8]) -> i64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    let bits = i64::from_le_bytes(word);
    match (ty, bytes.len()) {
        (Ty::U8 | Ty::U16, _) | (_, 8) => bits,
        (_, len) => bits << (64 - 8 * len) >> (64 - 8 * len),
    }
}
