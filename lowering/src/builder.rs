//! Writes nests so that a lowering reads like the formula that it implements.
//!
//! ```
//! # use tinyc_lowering::builder::*;
//! # use ir::ty::Ty;
//! let mut b = Builder::new("fully_connected_0");
//! let x = b.param("x", Ty::I8, &[1, 64]);
//! let y = b.param("y", Ty::I8, &[1, 10]);
//! let w = b.data("w", Ty::I8, &[10, 64], vec![1; 640].into());
//! b.each([("p", 1), ("n", 10)], |b, [p, n]| {
//!     let products = |a: Loc, [k]: [Ix; 1]| a + x.at([p, k]) * w.at([n, k]);
//!     b.reduce("a", 0, [("k", 64)], products, |b, a| b.store(y, [p, n], ssat8(a)));
//! });
//! assert_eq!(b.finish().params().count(), 2);
//! ```
//!
//! A loop of one iteration is not written: its variable is the index 0.

use std::ops::{Add, Mul, Sub};
use std::sync::Arc;

use ir::loops::{
    Access, Buffer, BufferId, Expr, Index, Init, LocalId, Loop, Nest, Prim, Reduce, Role, Stmt, VarId,
};
use ir::ty::Ty;

/// A nest that is being written: a stack of open blocks.
pub struct Builder {
    nest: Nest,
    blocks: Vec<Vec<Stmt>>,
    /// Stands before the names of variables and values while a constant is written.
    prefix: String,
}

/// A buffer, with what an access needs to know of it.
#[derive(Clone, Copy, Debug)]
pub struct Buf {
    id: BufferId,
    elem: Ty,
}

/// A named value.
#[derive(Clone, Copy, Debug)]
pub struct Loc(LocalId);

/// An affine index over at most four loop variables, which is enough for every lowering.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ix {
    constant: i64,
    /// Coefficients with their variables; a coefficient of 0 marks a free place.
    terms: [(i64, u32); 4],
}

/// A value; operators build larger ones.
#[derive(Clone, Debug)]
pub struct Ex(pub Expr);

/// Name and extent of a loop.
pub type Axis<'a> = (&'a str, usize);

/// The index 0.
pub const ZERO: Ix = Ix { constant: 0, terms: [(0, 0); 4] };

impl Builder {
    /// An empty nest.
    pub fn new(name: impl Into<String>) -> Self {
        Self { nest: Nest::new(name), blocks: vec![Vec::new()], prefix: String::new() }
    }

    /// The nest; every block that was opened is closed by then.
    pub fn finish(mut self) -> Nest {
        self.nest.body = self.blocks.pop().expect("the outermost block is never closed");
        self.nest
    }

    /// A tensor of the network; parameters come before all other buffers.
    pub fn param(&mut self, name: &str, elem: Ty, shape: &[usize]) -> Buf {
        self.buffer(name, elem, shape, Role::Param)
    }

    /// Memory for this nest alone.
    pub fn scratch(&mut self, name: &str, elem: Ty, shape: &[usize]) -> Buf {
        self.buffer(name, elem, shape, Role::Scratch)
    }

    /// A constant with known bytes, shared and not copied.
    pub fn data(&mut self, name: &str, elem: Ty, shape: &[usize], data: Arc<[u8]>) -> Buf {
        self.buffer(name, elem, shape, Role::Const(Init::Data(data)))
    }

    /// A constant row of words.
    pub fn words(&mut self, name: &str, values: &[i32]) -> Buf {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.data(name, Ty::I32, &[values.len()], bytes.into())
    }

    /// A constant that `body` writes at compile time, from other constants.
    pub fn computed(
        &mut self,
        name: &str,
        elem: Ty,
        shape: &[usize],
        body: impl FnOnce(&mut Self, Buf),
    ) -> Buf {
        let buf = self.buffer(name, elem, shape, Role::Const(Init::Nest(Vec::new())));
        let outer = std::mem::replace(&mut self.prefix, format!("{name}_"));
        let init = self.block(|b| body(b, buf));
        self.prefix = outer;
        self.nest.buffers[buf.id.idx()].role = Role::Const(Init::Nest(init));
        buf
    }

    /// Loops, the first one outermost.
    pub fn each<const N: usize>(&mut self, axes: [Axis; N], body: impl FnOnce(&mut Self, [Ix; N])) {
        self.each_of(&axes, |b, at| body(b, fixed(at)));
    }

    /// As [`Self::each`], for any number of loops.
    pub fn each_of(&mut self, axes: &[Axis], body: impl FnOnce(&mut Self, &[Ix])) {
        let (loops, at) = self.loops(axes);
        let body = self.block(|b| body(b, &at));
        let nested = loops.into_iter().rev().fold(body, |body, l| vec![Stmt::For(l, body)]);
        self.open().extend(nested);
    }

    /// A reduction of one value of type `i32`: `init`, then `update` for each iteration, then `finish`.
    pub fn reduce<const N: usize>(
        &mut self,
        name: &str,
        init: impl Into<Ex>,
        axes: [Axis; N],
        update: impl FnOnce(Loc, [Ix; N]) -> Ex,
        finish: impl FnOnce(&mut Self, Loc),
    ) {
        self.reduce_of(name, init, &axes, |a, at| update(a, fixed(at)), finish);
    }

    /// As [`Self::reduce`], for any number of loops.
    pub fn reduce_of(
        &mut self,
        name: &str,
        init: impl Into<Ex>,
        axes: &[Axis],
        update: impl FnOnce(Loc, &[Ix]) -> Ex,
        finish: impl FnOnce(&mut Self, Loc),
    ) {
        let carried = self.local(name, Ty::I32);
        let init = vec![Stmt::Set(carried.0, Vec::new(), init.into().0)];
        let (loops, at) = self.reduction_loops(axes);
        let update = self.block(|b| {
            let next = update(carried, &at);
            b.open().push(Stmt::Set(carried.0, Vec::new(), next.0));
        });
        let finish = self.block(|b| finish(b, carried));
        self.open().push(Stmt::Reduce(Reduce { carried: vec![carried.0], loops, init, update, finish }));
    }

    /// Names a value, so that it is computed once.
    pub fn bind(&mut self, name: &str, value: impl Into<Ex>) -> Loc {
        let value = value.into().0;
        let ty = self.nest.ty(&value);
        let local = self.local(name, ty);
        self.open().push(Stmt::Let(local.0, value));
        local
    }

    /// Writes an element; a narrow buffer keeps the low bits.
    pub fn store(&mut self, to: Buf, at: impl AsRef<[Ix]>, value: impl Into<Ex>) {
        let access = to.access(at.as_ref(), None);
        self.open().push(Stmt::Store(access, value.into().0));
    }

    fn buffer(&mut self, name: &str, elem: Ty, shape: &[usize], role: Role) -> Buf {
        let shape: Vec<u32> = shape.iter().map(|extent| *extent as u32).collect();
        let id = self.nest.add_buffer(Buffer::new(name, elem, &shape, role));
        Buf { id, elem }
    }

    /// A value whose name is unique in the nest.
    fn local(&mut self, name: &str, ty: Ty) -> Loc {
        let name = format!("{}{name}", self.prefix);
        debug_assert!(self.nest.locals.iter().all(|l| l.name != name), "two values named `{name}`");
        Loc(self.nest.add_local(name, ty, &[]))
    }

    fn loops(&mut self, axes: &[Axis]) -> (Vec<Loop>, Vec<Ix>) {
        let mut loops = Vec::new();
        let index = |axis: &Axis| if axis.1 == 1 { Ix::default() } else { self.axis(*axis, &mut loops) };
        let at = axes.iter().map(index).collect();
        (loops, at)
    }

    /// As `loops`, but a reduction keeps at least its innermost loop.
    fn reduction_loops(&mut self, axes: &[Axis]) -> (Vec<Loop>, Vec<Ix>) {
        let (mut loops, mut at) = self.loops(axes);
        if let (true, Some(innermost), Some(at)) = (loops.is_empty(), axes.last(), at.last_mut()) {
            *at = self.axis(*innermost, &mut loops);
        }
        (loops, at)
    }

    fn axis(&mut self, (name, extent): Axis, loops: &mut Vec<Loop>) -> Ix {
        let var = self.nest.add_var(format!("{}{name}", self.prefix));
        loops.push(Loop { var, extent: extent as u32, unroll: false });
        Ix::var(var)
    }

    fn block(&mut self, body: impl FnOnce(&mut Self)) -> Vec<Stmt> {
        self.blocks.push(Vec::new());
        body(self);
        self.blocks.pop().expect("it was pushed above")
    }

    fn open(&mut self) -> &mut Vec<Stmt> {
        self.blocks.last_mut().expect("the outermost block is never closed")
    }
}

impl Buf {
    /// The element at `at` as a word, sign- or zero-extended.
    pub fn at(self, at: impl AsRef<[Ix]>) -> Ex {
        self.load(self.access(at.as_ref(), None))
    }

    /// As [`Self::at`], and `border` outside of the shape.
    pub fn at_or(self, at: impl AsRef<[Ix]>, border: Option<i32>) -> Ex {
        self.load(self.access(at.as_ref(), border.map(i64::from)))
    }

    /// The word at a position that depends on data.
    pub fn lookup(self, position: impl Into<Ex>) -> Ex {
        self.extended(Expr::Lookup(self.id, Box::new(position.into().0)))
    }

    fn access(self, at: &[Ix], border: Option<i64>) -> Access {
        let index = at.iter().map(|index| Index::from(*index)).collect();
        Access { buffer: self.id, index, ty: self.elem, border }
    }

    fn load(self, access: Access) -> Ex {
        self.extended(Expr::Load(access))
    }

    fn extended(self, narrow: Expr) -> Ex {
        match self.elem {
            Ty::I8 | Ty::I16 => op(Prim::Sext, [Ex(narrow)]),
            Ty::U8 | Ty::U16 => op(Prim::Zext, [Ex(narrow)]),
            _ => Ex(narrow),
        }
    }
}

impl Ix {
    fn var(var: VarId) -> Self {
        let mut index = Self::default();
        index.terms[0] = (1, var.0);
        index
    }

    fn add_term(&mut self, coefficient: i64, var: u32) {
        let same = |t: &&mut (i64, u32)| t.0 != 0 && t.1 == var;
        if let Some(term) = self.terms.iter_mut().find(same) {
            term.0 += coefficient;
        } else if coefficient != 0 {
            let free = self.terms.iter_mut().find(|t| t.0 == 0);
            *free.expect("an index of a lowering has at most four variables") = (coefficient, var);
        }
    }
}

impl From<Ix> for Index {
    fn from(index: Ix) -> Index {
        let term = |&(coefficient, var): &(i64, u32)| Index::var(VarId(var)).scale(coefficient);
        index.terms.iter().map(term).fold(Index::constant(index.constant), |sum, term| sum.add(&term))
    }
}

impl Add for Ix {
    type Output = Ix;
    fn add(mut self, other: Ix) -> Ix {
        self.constant += other.constant;
        other.terms.iter().for_each(|&(coefficient, var)| self.add_term(coefficient, var));
        self
    }
}

impl Add<usize> for Ix {
    type Output = Ix;
    fn add(mut self, by: usize) -> Ix {
        self.constant += by as i64;
        self
    }
}

impl Sub<usize> for Ix {
    type Output = Ix;
    fn sub(mut self, by: usize) -> Ix {
        self.constant -= by as i64;
        self
    }
}

impl Mul<usize> for Ix {
    type Output = Ix;
    fn mul(mut self, by: usize) -> Ix {
        self.constant *= by as i64;
        self.terms.iter_mut().for_each(|t| t.0 *= by as i64);
        self
    }
}

impl From<i32> for Ex {
    fn from(value: i32) -> Ex {
        Ex(Expr::Int(value.into(), Ty::I32))
    }
}

impl From<Loc> for Ex {
    fn from(local: Loc) -> Ex {
        Ex(Expr::Local(local.0, Vec::new()))
    }
}

macro_rules! arithmetic {
    ($($operator:ident $method:ident $prim:ident),*) => {$(
        impl<T: Into<Ex>> $operator<T> for Ex {
            type Output = Ex;
            fn $method(self, other: T) -> Ex {
                op(Prim::$prim, [self, other.into()])
            }
        }

        impl<T: Into<Ex>> $operator<T> for Loc {
            type Output = Ex;
            fn $method(self, other: T) -> Ex {
                op(Prim::$prim, [self.into(), other.into()])
            }
        }
    )*};
}

arithmetic!(Add add Add, Sub sub Sub, Mul mul Mul);

/// Loop variables as a closure takes them.
fn fixed<const N: usize>(at: &[Ix]) -> [Ix; N] {
    at.try_into().expect("there is one variable for each axis")
}

/// Names for the loops over `rank` dimensions that mean nothing in particular: `i`, or `i0`, `i1`, …
pub fn axis_names(rank: usize) -> Vec<String> {
    match rank {
        1 => vec!["i".into()],
        _ => (0..rank).map(|dim| format!("i{dim}")).collect(),
    }
}

/// The value less a zero point.
pub fn less(value: Ex, zero: i32) -> Ex {
    if zero == 0 { value } else { value - zero }
}

/// An operation without attributes.
pub fn op<const N: usize>(prim: Prim, args: [Ex; N]) -> Ex {
    op_with(prim, args, [])
}

/// An operation with the attributes `imm`.
pub fn op_with<const N: usize, const M: usize>(prim: Prim, args: [Ex; N], imm: [i32; M]) -> Ex {
    Ex(Expr::Op { prim, args: args.map(|arg| arg.0).to_vec(), imm: imm.to_vec() })
}

/// An operation on two words.
pub fn binary(prim: Prim, a: impl Into<Ex>, b: impl Into<Ex>) -> Ex {
    op(prim, [a.into(), b.into()])
}

/// The word limited to `[min, max]`.
pub fn clamp(value: impl Into<Ex>, [min, max]: [i32; 2]) -> Ex {
    binary(Prim::Min, binary(Prim::Max, value, min), max)
}

/// The word limited to what a signed byte can hold.
pub fn ssat8(value: impl Into<Ex>) -> Ex {
    op_with(Prim::Ssat, [value.into()], [8, 0])
}

/// `a` where `condition` holds, else `b`.
pub fn select(condition: Ex, a: impl Into<Ex>, b: impl Into<Ex>) -> Ex {
    op(Prim::Select, [condition, a.into(), b.into()])
}

/// A scaled accumulator, moved by `zero` and limited to `[min, max]`, as the reference kernels round it.
pub fn requantize(
    value: impl Into<Ex>,
    multiplier: impl Into<Ex>,
    shift: impl Into<Ex>,
    zero: i32,
    [min, max]: [i32; 2],
) -> Ex {
    op_with(Prim::Requantize, [value.into(), multiplier.into(), shift.into()], [zero, min, max])
}
