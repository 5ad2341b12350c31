//! The loops level: loop nests over buffers with quasi-affine indices; what a layer computes and in which order.
//!
//! ```text
//! loops @conv_7(x: i8[144, 64], y: i8[144, 64]) {
//!   const w: i8[64, 64] = hex"…"
//!   const b: i32[64] = hex"…"
//!   for p in 0..144 {
//!     for n in 0..64 {
//!       reduce a: i32 over k in 0..64 {
//!         init { a = b[n] }
//!         update { a = add a, mul(sext(x[p, k]), sext(w[n, k])) }
//!         finish { y[p, n] = requantize a, m[n], s[n] {zero = -128, min = -128, max = 127} }
//!       }
//!     }
//!   }
//! }
//! ```
//!
//! - A `reduce` is a unit: start, sum and end move together. Values that a reduction carries are its locals; a local
//!   with a shape is a block of registers. A local that is `parked` is not needed often and leaves the core registers to others.
//! - A constant is data, or a nest of its own that is evaluated at compile time, so that rewrites reach it.
//! - A buffer has a logical shape and a storage map; indices are logical, and nothing but the map says where an element lies.
//! - Arithmetic on `i32` and `i64` wraps, so the order of a sum is free.
//! - Control flow depends on nothing but loop variables, and trip counts are constants.

pub mod alike;
pub mod form;
pub mod index;
pub mod interp;
pub mod prim;
pub mod text;
pub mod verify;
pub mod walk;

use std::sync::Arc;

use crate::entity;
use crate::ty::Ty;

pub use index::{Atom, Index};
pub use prim::Prim;
pub use walk::StmtNo;

entity! {
    /// A loop variable of a nest.
    VarId, "v"
}
entity! {
    /// A buffer of a nest: parameter, scratch or constant.
    BufferId, "b"
}
entity! {
    /// A value with a name: defined once by `let`, or carried by a reduction.
    LocalId, "l"
}

/// Most iterations of one loop; with it, no product of an index overflows.
pub const MOST_ITERATIONS: u32 = 1 << 24;

/// One layer: buffers, and statements that read and write them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Nest {
    /// Name, a C identifier; the symbol of the emitted function ends with it.
    pub name: String,
    /// All buffers; parameters come first, in order.
    pub buffers: Vec<Buffer>,
    /// Names of the loop variables.
    pub vars: Vec<String>,
    /// The named values.
    pub locals: Vec<Local>,
    /// What happens, in order.
    pub body: Vec<Stmt>,
}

/// A piece of memory with a logical shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Buffer {
    /// Name, unique in the nest.
    pub name: String,
    /// Element type; may be packed.
    pub elem: Ty,
    /// Logical extents, outermost first.
    pub shape: Vec<u32>,
    /// Where each element lies.
    pub map: StorageMap,
    /// The least and greatest element, where that is less than the type: whoever writes the buffer keeps to it.
    pub values: Option<[i32; 2]>,
    /// Whose memory it is.
    pub role: Role,
}

/// Whose memory a buffer is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Given by the caller: a tensor of the network.
    Param,
    /// Alive within one run of the nest; holds junk at its start.
    Scratch,
    /// Read only, known at compile time.
    Const(Init),
}

/// The contents of a constant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Init {
    /// Little-endian elements in the order of the storage map.
    Data(Arc<[u8]>),
    /// Statements that write every element of the constant; they read other constants only.
    Nest(Vec<Stmt>),
}

/// From logical indices to the position in memory, counted in elements.
///
/// The position is the row-major one of the storage dimensions. Dimension order, tiles, permutations within a tile,
/// padded extents, borders (`d1 + 1` in a larger extent) and rings (`d0 mod 3`) are all such maps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StorageMap {
    /// Storage dimensions, outermost first: an index over the logical dimensions (as variables), and its extent.
    pub dims: Vec<(Index, u32)>,
    /// The base address is a multiple of this many bytes.
    pub align: u32,
    /// Bytes behind the last element that may be read and hold junk.
    pub slack: u32,
}

/// An element of a buffer, or as many in a row as `ty` holds, from the first on.
///
/// The elements of a word follow each other in storage along one logical dimension. A load's may leave the shape, and
/// hold junk there, as long as they stay within the buffer and its slack; a store's may not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// The buffer.
    pub buffer: BufferId,
    /// A logical index for each dimension.
    pub index: Vec<Index>,
    /// The buffer's element type, or a word of several elements.
    pub ty: Ty,
    /// What a load gives outside of the logical shape; without it every index is inside.
    pub border: Option<i64>,
}

/// A named value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Local {
    /// Name, unique among those in scope.
    pub name: String,
    /// Type of each element.
    pub ty: Ty,
    /// Empty for one value, else the extents of a block of registers.
    pub shape: Vec<u32>,
    /// Whether it waits outside of the core registers between its uses, where the core has other ones. No value depends on it.
    pub parked: bool,
}

/// A loop from 0 to its extent by 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Loop {
    /// Counts the iterations.
    pub var: VarId,
    /// Number of iterations, at least 1.
    pub extent: u32,
    /// Whether the emitted code repeats the body instead of branching.
    pub unroll: bool,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stmt {
    /// Repeats a body.
    For(Loop, Vec<Stmt>),
    /// Sums up, or combines in another way.
    Reduce(Reduce),
    /// Defines a value.
    Let(LocalId, Expr),
    /// Gives a carried value, or one register of a block, its next value.
    Set(LocalId, Vec<Index>, Expr),
    /// Writes memory; a narrow buffer keeps the low bits.
    Store(Access, Expr),
}

/// `init`, then `update` for every iteration of `loops`, then `finish`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduce {
    /// The carried values.
    pub carried: Vec<LocalId>,
    /// The loops of `update`, outermost first.
    pub loops: Vec<Loop>,
    /// Gives every carried value its first value.
    pub init: Vec<Stmt>,
    /// One step.
    pub update: Vec<Stmt>,
    /// Uses the result; the carried values end here.
    pub finish: Vec<Stmt>,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    /// A literal of type `i32` or `i64`.
    Int(i64, Ty),
    /// The value of a quasi-affine index, as `i32`.
    Index(Index),
    /// A named value; with indices for a block of registers.
    Local(LocalId, Vec<Index>),
    /// Reads memory.
    Load(Access),
    /// Reads a one-dimensional buffer at a position that depends on data; it must be inside.
    Lookup(BufferId, Box<Expr>),
    /// An operation; `imm` holds the attributes of its row.
    Op {
        /// Which one.
        prim: Prim,
        /// Operands.
        args: Vec<Expr>,
        /// Attributes, in the order of the row.
        imm: Vec<i32>,
    },
}

impl StorageMap {
    /// Row-major and dense, aligned to the element.
    pub fn row_major(elem: Ty, shape: &[u32]) -> Self {
        let dim = |(d, &extent): (usize, &u32)| (Index::var(VarId::new(d)), extent);
        Self { dims: shape.iter().enumerate().map(dim).collect(), align: elem.bytes() as u32, slack: 0 }
    }

    /// Whether it is what [`Self::row_major`] gives, whatever the alignment.
    pub fn is_row_major(&self, shape: &[u32]) -> bool {
        self.slack == 0 && self.dims == Self::row_major(Ty::I8, shape).dims
    }

    /// Number of elements in memory, padding and border included, slack not.
    pub fn len(&self) -> usize {
        self.dims.iter().map(|(_, extent)| *extent as usize).product()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Position in memory, in elements, of a logical index.
    pub fn position(&self, index: &[Index]) -> Index {
        let mut position = Index::constant(0);
        for (dim, extent) in &self.dims {
            let at = dim.substitute(&|logical| index[logical.idx()].clone());
            position = position.scale(i64::from(*extent)).add(&at);
        }
        position
    }

    /// Position in memory, in elements, of one element.
    pub fn position_of(&self, element: &[i64]) -> i64 {
        let at = |dim: &Index| dim.eval(&|logical| element[logical.idx()]);
        self.dims.iter().fold(0, |position, (dim, extent)| position * i64::from(*extent) + at(dim))
    }
}

impl Buffer {
    /// A row-major buffer.
    pub fn new(name: impl Into<String>, elem: Ty, shape: &[u32], role: Role) -> Self {
        let map = StorageMap::row_major(elem, shape);
        Self { name: name.into(), elem, shape: shape.to_vec(), map, values: None, role }
    }

    /// The least and greatest element, for scalar integer types.
    pub fn range(&self) -> Option<(i64, i64)> {
        self.values.map(|[low, high]| (low.into(), high.into())).or(self.elem.range())
    }

    /// Bytes in memory, slack included.
    pub fn bytes(&self) -> usize {
        self.map.len() * self.elem.bytes() + self.map.slack as usize
    }

    /// The position in memory, in elements, of each element in row-major order of the logical shape.
    pub fn positions(&self) -> Vec<usize> {
        let len = self.shape.iter().map(|extent| *extent as usize).product();
        let mut element = vec![0; self.shape.len()];
        let mut positions = Vec::with_capacity(len);
        for _ in 0..len {
            positions.push(self.map.position_of(&element) as usize);
            for (at, extent) in element.iter_mut().zip(&self.shape).rev() {
                *at += 1;
                if *at < i64::from(*extent) {
                    break;
                }
                *at = 0;
            }
        }
        positions
    }

    /// Whether it is a constant.
    pub fn is_const(&self) -> bool {
        matches!(self.role, Role::Const(_))
    }
}

impl Nest {
    /// An empty nest.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds a buffer; parameters before all others.
    pub fn add_buffer(&mut self, buffer: Buffer) -> BufferId {
        self.buffers.push(buffer);
        BufferId::new(self.buffers.len() - 1)
    }

    /// Adds a loop variable.
    pub fn add_var(&mut self, name: impl Into<String>) -> VarId {
        self.vars.push(name.into());
        VarId::new(self.vars.len() - 1)
    }

    /// Adds a named value.
    pub fn add_local(&mut self, name: impl Into<String>, ty: Ty, shape: &[u32]) -> LocalId {
        self.locals.push(Local { name: name.into(), ty, shape: shape.to_vec(), parked: false });
        LocalId::new(self.locals.len() - 1)
    }

    /// The parameters, in order.
    pub fn params(&self) -> impl Iterator<Item = BufferId> + '_ {
        self.buffers_where(|buffer| buffer.role == Role::Param)
    }

    /// The buffers that `keep` accepts, in order.
    pub fn buffers_where<'a>(
        &'a self,
        keep: impl Fn(&Buffer) -> bool + 'a,
    ) -> impl Iterator<Item = BufferId> + 'a {
        self.buffers.iter().enumerate().filter(move |(_, b)| keep(b)).map(|(idx, _)| BufferId::new(idx))
    }

    /// The type of an expression; its operands have the types that the verifier demands.
    pub fn ty(&self, expr: &Expr) -> Ty {
        match expr {
            Expr::Int(_, ty) => *ty,
            Expr::Index(_) => Ty::I32,
            Expr::Local(local, _) => self.locals[local.idx()].ty,
            Expr::Load(access) => access.ty,
            Expr::Lookup(buffer, _) => self.buffers[buffer.idx()].elem,
            Expr::Op { prim, args, .. } => prim.result(|idx| self.ty(&args[idx])),
        }
    }
}

/// A whole network: tensors in one arena, and the layers that run one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Name, a C identifier.
    pub name: String,
    /// The tensors that layers pass to each other.
    pub tensors: Vec<TensorSlot>,
    /// What runs, in order.
    pub layers: Vec<Layer>,
}

/// A tensor in the arena.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSlot {
    /// Name, unique in the program.
    pub name: String,
    /// Element type, shape and quantisation, as the user sees them.
    pub ty: crate::ty::TensorType,
    /// Where each element lies.
    pub map: StorageMap,
    /// How long it lives.
    pub lifetime: Lifetime,
}

/// How long a tensor of the arena lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Written by the caller before a run: the input of this position.
    Input(u32),
    /// Read by the caller after a run: the output of this position.
    Output(u32),
    /// From its first writer to its last reader.
    Temporary,
    /// Kept from run to run: the state of a model.
    Persistent,
}

/// One function of the program: a nest with the tensors that it is called with.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// What it does.
    pub nest: Nest,
    /// A tensor for each parameter, as indices into the program's tensors.
    pub args: Vec<usize>,
    /// Operator of the graph, for the report.
    pub op: String,
    /// Multiply-accumulates that its result needs, dead channels not counted.
    pub macs: u64,
    /// Indices of the operators in the model file that it stems from.
    pub sources: Vec<u32>,
    /// The earlier layer whose code it runs with numbers of its own, by name; it computes the same without.
    pub shares: Option<String>,
}
