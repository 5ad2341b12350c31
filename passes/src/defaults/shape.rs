//! What the rules see of a nest: the loops around its sum, and which operand each of them moves.

use ir::loops::{Access, Atom, Expr, Index, Loop, Nest, Prim, Reduce, Stmt, VarId};
use ir::ty::Ty;

/// A loop by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Its name.
    pub name: String,
    /// Its iterations.
    pub extent: u32,
}

/// One sum of products of data and weights inside of nothing but loops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SumOfProducts {
    /// The loops that move the data alone, outermost first: pixels.
    pub data: Vec<Axis>,
    /// The loops that move the weights alone: output channels.
    pub weights: Vec<Axis>,
    /// The loops that move both: channels that do not mix.
    pub shared: Vec<Axis>,
    /// The loops of the sum.
    pub summed: Vec<Axis>,
    /// The buffer of the data.
    pub x: String,
    /// The buffer of the weights.
    pub w: String,
    /// Elements of a row of the data along the innermost loop of the sum, what lies behind those that it needs included.
    pub row: u32,
    /// Whether data is halfwords already.
    pub wide: bool,
    /// Of the loops over data, the one that goes from element to element in memory.
    pub walked: Option<usize>,
    /// Whether data is read beyond its edges.
    pub border: bool,
    /// The columns of a row, where results lie in rows of a frame and pixels are counted on from row to row.
    pub columns: Option<u32>,
    /// How many of the first and of the last iterations of the outermost loop over data read beyond its edges, where it
    /// moves them.
    pub edges: (u32, u32),
}

impl SumOfProducts {
    /// What a nest is, if it is one.
    pub fn of(nest: &Nest) -> Option<Self> {
        let mut loops = Vec::new();
        // In front of the sum may stand what writes the surroundings of a tensor.
        let reduce = innermost(&nest.body[nest.body.len().saturating_sub(1)..], &mut loops)?;
        let (x, w) = factors(nest, reduce)?;
        let named = |l: &Loop| Axis { name: nest.vars[l.var.idx()].clone(), extent: l.extent };
        let moves = |access: &Access, l: &Loop| uses(access, l.var);
        let only = |in_x: bool, in_w: bool| -> Vec<Axis> {
            loops.iter().filter(|l| moves(x, l) == in_x && moves(w, l) == in_w).map(named).collect()
        };
        let data = only(true, false);
        let sum = Self {
            row: row(nest, x, &reduce.loops),
            wide: nest.buffers[x.buffer.idx()].elem == Ty::I16,
            walked: walked(nest, x, &loops).and_then(|l| data.iter().position(|axis| axis.name == *l)),
            data,
            weights: only(false, true),
            shared: only(true, true),
            summed: reduce.loops.iter().map(named).collect(),
            x: nest.buffers[x.buffer.idx()].name.clone(),
            w: nest.buffers[w.buffer.idx()].name.clone(),
            border: x.border.is_some(),
            columns: columns(reduce),
            edges: edges(nest, x, &loops, &reduce.loops),
        };
        only(false, false).is_empty().then_some(sum)
    }
}

/// A sum of elements inside of nothing but loops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SumOfElements {
    /// The loops around it, outermost first.
    pub around: Vec<Axis>,
    /// The loops of the sum.
    pub summed: Vec<Axis>,
}

impl SumOfElements {
    /// What a nest is, if it is one.
    pub fn of(nest: &Nest) -> Option<Self> {
        let mut loops = Vec::new();
        let reduce = innermost(&nest.body, &mut loops)?;
        let [Stmt::Set(_, _, Expr::Op { prim: Prim::Add, args, .. })] = &reduce.update[..] else {
            return None;
        };
        extended(&args[1])?;
        let named = |l: &Loop| Axis { name: nest.vars[l.var.idx()].clone(), extent: l.extent };
        let [around, summed] = [&loops, &reduce.loops].map(|loops| loops.iter().map(named).collect());
        Some(Self { around, summed })
    }
}

/// The iterations of several loops.
pub fn product(axes: &[Axis]) -> u32 {
    axes.iter().map(|axis| axis.extent).product()
}

/// The reduction inside of loops that hold nothing else.
fn innermost<'n>(block: &'n [Stmt], loops: &mut Vec<Loop>) -> Option<&'n Reduce> {
    match block {
        [Stmt::For(l, body)] => {
            loops.push(l.clone());
            innermost(body, loops)
        }
        [Stmt::Reduce(reduce)] => Some(reduce),
        _ => None,
    }
}

/// The data and the weights of `a = add a, mul(sext(x), sext(w))`.
fn factors<'n>(nest: &'n Nest, reduce: &'n Reduce) -> Option<(&'n Access, &'n Access)> {
    let [Stmt::Set(_, _, Expr::Op { prim: Prim::Add, args, .. })] = &reduce.update[..] else { return None };
    let Expr::Op { prim: Prim::Mul, args, .. } = &args[1] else { return None };
    let (a, b) = (extended(&args[0])?, extended(&args[1])?);
    let is_const = |access: &Access| nest.buffers[access.buffer.idx()].is_const();
    match (is_const(a), is_const(b)) {
        (false, true) => Some((a, b)),
        (true, false) => Some((b, a)),
        _ => None,
    }
}

/// The name of the loop that goes from element to element in memory.
fn walked<'n>(nest: &'n Nest, x: &Access, around: &[Loop]) -> Option<&'n String> {
    let buffer = &nest.buffers[x.buffer.idx()];
    let (inner, _) = buffer.map.dims.last()?;
    let [(1, Atom::Var(dim))] = inner.terms[..] else { return None };
    let mut used = Vec::new();
    x.index.get(dim.idx())?.vars(&mut used);
    around.iter().find(|l| used.contains(&l.var)).map(|l| &nest.vars[l.var.idx()])
}

/// The elements of a row of the data, where the innermost loop of the sum goes along it.
fn row(nest: &Nest, x: &Access, summed: &[Loop]) -> u32 {
    let Some(innermost) = summed.last() else { return 0 };
    match (x.index.last(), nest.buffers[x.buffer.idx()].shape.last()) {
        (Some(index), Some(extent)) if *index == Index::var(innermost.var) => *extent,
        _ => innermost.extent,
    }
}

/// What the index of a result divides a loop by that counts pixels.
fn columns(reduce: &Reduce) -> Option<u32> {
    let of_store = |stmt: &Stmt| match stmt {
        Stmt::Store(to, _) => {
            to.index.iter().flat_map(|index| &index.terms).find_map(|(_, atom)| match atom {
                Atom::Mod(_, columns) => Some(*columns),
                Atom::Var(_) | Atom::Div(..) => None,
            })
        }
        _ => None,
    };
    reduce.finish.iter().find_map(of_store)
}

/// How many of the first and of the last iterations of the outermost loop read outside of the data in the dimension that it moves.
fn edges(nest: &Nest, x: &Access, around: &[Loop], summed: &[Loop]) -> (u32, u32) {
    let Some(row) = around.iter().find(|l| uses(x, l.var)) else { return (0, 0) };
    let shape = &nest.buffers[x.buffer.idx()].shape;
    let extent = |var: VarId| around.iter().chain(summed).find(|l| l.var == var).map_or(1, |l| l.extent);
    let outside = |at: &u32| {
        let range = |var: VarId| match var == row.var {
            true => (i64::from(*at), i64::from(*at)),
            false => (0, i64::from(extent(var)) - 1),
        };
        let moved = x.index.iter().zip(shape).filter(|(index, _)| {
            let mut used = Vec::new();
            index.vars(&mut used);
            used.contains(&row.var)
        });
        moved.into_iter().any(|(index, extent)| {
            let (low, high) = index.range(&range);
            low < 0 || high >= i64::from(*extent)
        })
    };
    let first = (0..row.extent).take_while(outside).count() as u32;
    let last = (0..row.extent).rev().take_while(outside).count() as u32;
    (first, last)
}

fn extended(expr: &Expr) -> Option<&Access> {
    match expr {
        Expr::Op { prim: Prim::Sext, args, .. } => match &args[0] {
            Expr::Load(access) => Some(access),
            _ => None,
        },
        _ => None,
    }
}

fn uses(access: &Access, var: VarId) -> bool {
    let mut used = Vec::new();
    access.index.iter().for_each(|index| index.vars(&mut used));
    used.contains(&var)
}
