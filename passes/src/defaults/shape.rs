//! What the rules see of a nest: the loops around its sum, and which operand each of them moves.

use ir::loops::{Access, Expr, Loop, Nest, Prim, Reduce, Stmt, VarId};

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
    /// Whether data is read beyond its edges.
    pub border: bool,
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
        let sum = Self {
            data: only(true, false),
            weights: only(false, true),
            shared: only(true, true),
            summed: reduce.loops.iter().map(named).collect(),
            x: nest.buffers[x.buffer.idx()].name.clone(),
            w: nest.buffers[w.buffer.idx()].name.clone(),
            border: x.border.is_some(),
        };
        only(false, false).is_empty().then_some(sum)
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
