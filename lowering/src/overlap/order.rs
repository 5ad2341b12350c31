//! The order of a nest's accesses: ticks, the bytes that are touched at each, and the loops around them.
//!
//! ```text
//! for p in 0..4 { for n in 0..2 { … y[p, n] = … x[p, k] … } }    // x: i8[4, 3], y: i8[4, 2]
//! => for p { for n { tick: loads 3*p.. of x, three bytes;  tick: stores 2*p + n of y } }
//! ```
//!
//! Nothing else of the nest is in it, and its variables and buffers are numbered: drafts of a layer whose nests differ in
//! arithmetic or names have the same order. [`super::accesses`] finds the ticks.

use std::collections::BTreeMap;

use ir::loops::{Atom, BufferId, Index, Nest, VarId};

use super::accesses;

/// All that decides when the bytes of a nest's parameters and scratch are touched: many drafts of a layer differ in other things.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// Loops are numbered as they occur, buffers among those that are no constants.
    nodes: Vec<Node<Sweep>>,
    /// Bytes of each of these buffers.
    bytes: Vec<usize>,
    n_vars: usize,
}

/// Accesses that are one tick, or a loop around several.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node<T> {
    /// A loop with its extent.
    For(VarId, u32, Vec<Node<T>>),
    /// A tick.
    Tick(Vec<T>),
}

/// A constant, and coefficients with the numbers of variables.
type Affine = (i64, Vec<(i64, usize)>);

/// Loads or stores of a tick that are moved alike by the loops around it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sweep {
    /// The buffer.
    pub buffer: BufferId,
    /// Whether they are stores.
    pub stores: bool,
    /// What the loops around the tick decide, in bytes.
    pub base: Index,
    /// The same where there is no `div` and no `mod`.
    pub affine: Option<Affine>,
    /// The bytes that are touched: first one, and one behind the last.
    pub runs: Vec<(i64, i64)>,
}

impl Order {
    /// That of a nest; `None` where it takes too long to find out.
    pub fn of(nest: &Nest) -> Option<Self> {
        let mut vars = BTreeMap::new();
        let mut numbered = |node: Node<Sweep>| node.numbered(nest, &mut vars);
        let nodes = accesses::ticks(nest)?.into_iter().map(&mut numbered).collect();
        let touched = nest.buffers.iter().filter(|buffer| !buffer.is_const());
        let bytes = touched.map(|buffer| buffer.map.len() * buffer.elem.bytes()).collect();
        Some(Self { nodes, bytes, n_vars: vars.len() })
    }

    /// Bytes of a buffer, by [`number`].
    pub fn bytes(&self, buffer: usize) -> u64 {
        self.bytes[buffer] as u64
    }

    /// How many loops it has.
    pub fn n_vars(&self) -> usize {
        self.n_vars
    }

    /// The same with places counted in grains of their buffers, and the bytes of each buffer's grain: so many of them as all its
    /// accesses begin and end at multiples of.
    pub fn in_grains(&self) -> (Vec<Node<Sweep>>, Vec<usize>) {
        let mut grains = self.bytes.clone();
        self.nodes.iter().for_each(|node| node.limit(&mut grains));
        (self.nodes.iter().map(|node| node.in_grains(&grains)).collect(), grains)
    }
}

/// The number of a buffer among those of the nest that are no constants.
pub fn number(nest: &Nest, buffer: BufferId) -> usize {
    nest.buffers[..buffer.idx()].iter().filter(|buffer| !buffer.is_const()).count()
}

impl Sweep {
    /// That of a buffer, with its `affine` found.
    pub fn new(buffer: BufferId, stores: bool, base: Index, runs: Vec<(i64, i64)>) -> Self {
        let term = |(by, atom): &(i64, Atom)| match atom {
            Atom::Var(var) => Some((*by, var.idx())),
            Atom::Div(..) | Atom::Mod(..) => None,
        };
        let affine = base.terms.iter().map(term).collect::<Option<_>>();
        let affine = affine.map(|terms| (base.constant, terms));
        Self { buffer, stores, base, affine, runs }
    }

    /// The same with places counted in grains that divide them.
    fn in_grains(&self, grain: usize) -> Self {
        let mut sweep = self.clone();
        let grain = grain.max(1) as i64;
        if let Some((constant, terms)) = &mut sweep.affine {
            *constant /= grain;
            terms.iter_mut().for_each(|(by, _)| *by /= grain);
        }
        sweep.runs.iter_mut().for_each(|(from, to)| (*from, *to) = (*from / grain, *to / grain));
        sweep
    }

    /// The greatest divisor of a grain at whose multiples all of it begins and ends.
    fn grain(&self, grain: usize) -> usize {
        let Some((constant, terms)) = &self.affine else { return 1 };
        let ends = self.runs.iter().flat_map(|(from, to)| [*from, *to]);
        let numbers = ends.chain([*constant]).chain(terms.iter().map(|(by, _)| *by));
        numbers.fold(grain, |grain, number| common_divisor(grain, number.unsigned_abs() as usize))
    }
}

impl Node<Sweep> {
    /// Makes the grains of the buffers so fine that all accesses begin and end at their multiples.
    fn limit(&self, grains: &mut [usize]) {
        match self {
            Node::For(_, _, body) => body.iter().for_each(|node| node.limit(grains)),
            Node::Tick(sweeps) => {
                for sweep in sweeps {
                    let grain = &mut grains[sweep.buffer.idx()];
                    *grain = sweep.grain(*grain);
                }
            }
        }
    }

    /// The same with places counted in grains.
    fn in_grains(&self, grains: &[usize]) -> Self {
        match self {
            Node::For(var, extent, body) => {
                Node::For(*var, *extent, body.iter().map(|node| node.in_grains(grains)).collect())
            }
            Node::Tick(sweeps) => {
                Node::Tick(sweeps.iter().map(|sweep| sweep.in_grains(grains[sweep.buffer.idx()])).collect())
            }
        }
    }

    /// The same with numbers that do not depend on what else the nest has.
    fn numbered(self, nest: &Nest, vars: &mut BTreeMap<VarId, VarId>) -> Self {
        match self {
            Node::For(var, extent, body) => {
                let next = VarId::new(vars.len());
                let var = *vars.entry(var).or_insert(next);
                Node::For(var, extent, body.into_iter().map(|node| node.numbered(nest, vars)).collect())
            }
            Node::Tick(sweeps) => {
                let numbered = |Sweep { buffer, stores, base, runs, .. }: Sweep| {
                    let base = base.substitute(&|var| Index::var(vars[&var]));
                    Sweep::new(BufferId::new(number(nest, buffer)), stores, base, runs)
                };
                let mut sweeps: Vec<Sweep> = sweeps.into_iter().map(numbered).collect();
                sweeps.sort(); // All at the same time.
                Node::Tick(sweeps)
            }
        }
    }
}

/// The greatest common divisor.
fn common_divisor(mut a: usize, mut b: usize) -> usize {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}
