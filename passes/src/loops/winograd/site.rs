//! Finds a convolution in a nest: by how its indices move, whatever its loops and buffers are called.

use ir::diag::Diagnostic;
use ir::loops::walk::{StmtNo, walk};
use ir::loops::{Access, Atom, BufferId, Expr, Index, LocalId, Loop, Nest, Prim, Reduce, Stmt, VarId};
use ir::ty::Ty;

use super::super::edit::{independent, stores_to};
use super::super::footprint::read;
use super::algorithm::TAPS;
use super::only_loop;
use crate::proofs::accumulators::{self, Interval};

/// A sum over a window and channels, and the three loops around it.
#[derive(Clone, Debug)]
pub struct Convolution {
    /// The loops around: outermost first, as they stand.
    pub loops: [Loop; 3],
    /// Which of them count rows, columns and output channels.
    roles: [usize; 3],
    /// The loops of the window: along rows and along columns.
    pub taps: [VarId; 2],
    /// The loop over input channels.
    pub k: Loop,
    /// What is multiplied: an element of the input, extended to a word,
    pub input: Expr,
    /// that is, this one,
    pub x: Access,
    /// and a weight, as a word.
    pub w: Expr,
    /// The sum.
    pub sum: LocalId,
    /// Its initial value, known at compile time.
    pub init: Expr,
    /// What is done with it.
    pub finish: Vec<Stmt>,
}

/// The first convolution in the body, or why the first sum is none.
pub fn find(nest: &Nest) -> Result<Convolution, Diagnostic> {
    let mut found: Option<Result<Convolution, Diagnostic>> = None;
    walk(&nest.body, StmtNo(0), &mut |_, stmt| {
        if !matches!(found, Some(Ok(_)))
            && let Some((loops, reduce)) = nested(stmt)
        {
            let this = Convolution::of(nest, stmt, loops, reduce);
            if found.is_none() || this.is_ok() {
                found = Some(this);
            }
        }
    });
    found.unwrap_or_else(|| {
        Err(Diagnostic::new("no sum stands directly within three loops")
            .help("legal: loops over rows, columns and channels with nothing but a sum inside"))
    })
}

/// Three loops directly within each other, and the only thing inside of them.
fn nested(stmt: &Stmt) -> Option<([Loop; 3], &Reduce)> {
    let (first, body) = only_loop(std::slice::from_ref(stmt))?;
    let (second, body) = only_loop(body)?;
    let (third, body) = only_loop(body)?;
    match body {
        [Stmt::Reduce(reduce)] => Some(([first.clone(), second.clone(), third.clone()], reduce)),
        _ => None,
    }
}

impl Convolution {
    fn of(nest: &Nest, stmt: &Stmt, loops: [Loop; 3], reduce: &Reduce) -> Result<Self, Diagnostic> {
        let (sum, input, w) = product(nest, reduce)?;
        let x = read(&input).expect("a product has an input").clone();
        let (pairs, k) = windows(nest, &loops, &reduce.loops, &x)?;
        let [(row, ky), (column, kx)] = pairs;
        let channel = 3 - row - column;
        let n = loops[channel].var;
        if index_uses(&x.index, n) {
            let (name, n) = (&nest.buffers[x.buffer.idx()].name, &nest.vars[n.idx()]);
            return Err(Diagnostic::new(format!("`{name}` is read at another place for each `{n}`"))
                .help("legal where all channels read the same inputs"));
        }
        let init = match &reduce.init[..] {
            [Stmt::Set(_, _, value)] => value.clone(),
            _ => return Err(Diagnostic::new("its sum starts with more than one value")),
        };
        if read(&w).is_none() || !is_constant(nest, &w, &[n, ky, kx, k.var]) {
            return Err(Diagnostic::new("its weights are no constants, the same at all rows and columns")
                .help("legal before weights are packed or hoisted"));
        }
        if !is_constant(nest, &init, &[n]) {
            return Err(Diagnostic::new(
                "its sums start with no constants, the same at all rows and columns",
            )
            .help("legal: `init { a = b[…] }`, which only the channel moves"));
        }
        if !independent(stmt) || stores_to(std::slice::from_ref(stmt), x.buffer) {
            return Err(Diagnostic::new("its iterations read what others write"));
        }
        let (roles, finish) = ([row, column, channel], reduce.finish.clone());
        Ok(Self { loops, roles, taps: [ky, kx], k, input, x, w, sum, init, finish })
    }

    /// The loop over rows.
    pub fn row(&self) -> &Loop {
        &self.loops[self.roles[0]]
    }

    /// The loop over columns.
    pub fn column(&self) -> &Loop {
        &self.loops[self.roles[1]]
    }

    /// The loop over output channels.
    pub fn channel(&self) -> &Loop {
        &self.loops[self.roles[2]]
    }

    /// The constant that the weights are elements of.
    pub fn weights(&self) -> BufferId {
        read(&self.w).expect("it was checked to be a load").buffer
    }

    /// The bounds of an input, by its type and its border.
    pub fn inputs(&self) -> Interval {
        let inside = Interval::of_type(self.x.ty);
        self.x.border.map_or(inside, |border| inside.hull(Interval::point(border)))
    }

    /// The bounds of the sum of each channel when it is finished, whatever the inputs.
    pub fn sums(&self, nest: &Nest) -> Result<Vec<Interval>, Diagnostic> {
        let channel = self.channel();
        let mut probe = nest.clone();
        let tmp = probe.add_local("probe", Ty::I32, &[]);
        probe.body = vec![Stmt::For(channel.clone(), vec![Stmt::Reduce(self.probe(tmp))])];
        let mut bounds: Vec<Option<Interval>> = vec![None; channel.extent as usize];
        accumulators::visit(&probe, Prim::DoublingHighMul, &mut |_, place| {
            let n = place.index(&Index::var(channel.var)).as_point();
            if let Some(known) = n.and_then(|n| bounds.get_mut(n as usize)) {
                let found = place.operands[0];
                *known = Some(known.map_or(found, |other| other.hull(found)));
            }
        })?;
        let bounds: Option<Vec<Interval>> = bounds.into_iter().collect();
        bounds.ok_or_else(|| Diagnostic::new("its channels have no weights of their own"))
    }

    /// The sum alone, which goes into an operation to be looked at.
    fn probe(&self, tmp: LocalId) -> Reduce {
        let sum = Expr::Local(self.sum, Vec::new());
        let tap = |var: &VarId| Loop { var: *var, extent: TAPS as u32, unroll: false };
        let product = op(Prim::Mul, vec![self.input.clone(), self.w.clone()]);
        let seen = op(Prim::DoublingHighMul, vec![sum.clone(), Expr::Int(0, Ty::I32)]);
        Reduce {
            carried: vec![self.sum],
            loops: self.taps.iter().map(tap).chain([self.k.clone()]).collect(),
            init: vec![Stmt::Set(self.sum, Vec::new(), self.init.clone())],
            update: vec![Stmt::Set(self.sum, Vec::new(), op(Prim::Add, vec![sum, product]))],
            finish: vec![Stmt::Let(tmp, seen)],
        }
    }
}

/// The sum, and the factors of what is added to it: an element of a buffer that is no constant, and what is left.
fn product(nest: &Nest, reduce: &Reduce) -> Result<(LocalId, Expr, Expr), Diagnostic> {
    let no_sum = || {
        Diagnostic::new("what happens inside is no sum of products of inputs and weights")
            .help("legal: `a = add a, mul(sext(x[…]), sext(w[…]))`, before values get names or are packed")
    };
    let ([sum], [Stmt::Set(set, at, Expr::Op { prim: Prim::Add, args, .. })]) =
        (&reduce.carried[..], &reduce.update[..])
    else {
        return Err(no_sum());
    };
    let itself = Expr::Local(*sum, Vec::new());
    let product = match &args[..] {
        [a, product] | [product, a] if *a == itself && set == sum && at.is_empty() => product,
        _ => return Err(no_sum()),
    };
    let Expr::Op { prim: Prim::Mul, args, .. } = product else { return Err(no_sum()) };
    let is_input = |factor: &Expr| {
        let narrow = |access: &Access| matches!(access.ty, Ty::I8 | Ty::U8 | Ty::I16 | Ty::U16);
        let input = |access: &Access| !nest.buffers[access.buffer.idx()].is_const() && narrow(access);
        read(factor).is_some_and(input)
    };
    match &args[..] {
        [x, w] | [w, x] if is_input(x) && !is_input(w) => Ok((*sum, x.clone(), w.clone())),
        _ => Err(no_sum()),
    }
}

/// A loop around the sum, by its place, and the loop of the sum that moves with it.
type Pair = (usize, VarId);

/// Along rows and columns: the loop around and that of the window; and the loop over input channels.
fn windows(
    nest: &Nest,
    around: &[Loop; 3],
    summed: &[Loop],
    x: &Access,
) -> Result<([Pair; 2], Loop), Diagnostic> {
    let name = |var: VarId| &nest.vars[var.idx()];
    let mut pairs = Vec::new();
    for index in &x.index {
        let mut used = Vec::new();
        index.vars(&mut used);
        let outer = around.iter().position(|l| used.contains(&l.var));
        let inner = summed.iter().find(|l| used.contains(&l.var));
        let (Some(outer), Some(inner)) = (outer, inner) else { continue };
        let step = |var: VarId| {
            index.terms.iter().find(|(_, atom)| *atom == Atom::Var(var)).map_or(0, |(by, _)| *by)
        };
        let steps = (step(around[outer].var), step(inner.var));
        if steps != (1, 1) || used.len() != 2 {
            let (outer, inner) = (name(around[outer].var), name(inner.var));
            let message = if used.len() == 2 && index.is_affine() {
                format!(
                    "its windows move by {} with `{outer}`, its taps by {} with `{inner}`",
                    steps.0, steps.1
                )
            } else {
                format!("its windows do not move by `{outer} + {inner}`")
            };
            return Err(
                Diagnostic::new(message).help("legal: stride 1 without dilation, before loops are tiled")
            );
        }
        pairs.push((outer, inner.clone()));
    }
    let ([(row, ky), (column, kx)], [_, _, _]) = (&pairs[..], summed) else {
        return Err(Diagnostic::new("it is no sum over rows and columns of a window and over channels")
            .help("legal: three loops of a sum, of which two move along the input with loops around"));
    };
    let k = summed.iter().find(|l| l.var != ky.var && l.var != kx.var);
    let (Some(k), true) = (k, row != column && ky.var != kx.var) else {
        return Err(Diagnostic::new("its rows and columns are not apart"));
    };
    if [ky.extent, kx.extent] != [TAPS as u32; 2] {
        let message = format!("its window is {} by {}, not 3 by 3", ky.extent, kx.extent);
        return Err(Diagnostic::new(message).help("other windows: `im2col`, `implicit-gemm` or `kronecker`"));
    }
    Ok(([(*row, ky.var), (*column, kx.var)], k.clone()))
}

/// Whether a word is known at compile time for values of these variables.
fn is_constant(nest: &Nest, expr: &Expr, known: &[VarId]) -> bool {
    let inside = |index: &Index| {
        let mut used = Vec::new();
        index.vars(&mut used);
        used.iter().all(|var| known.contains(var))
    };
    match expr {
        Expr::Int(..) => true,
        Expr::Index(index) => inside(index),
        Expr::Load(access) => nest.buffers[access.buffer.idx()].is_const() && access.index.iter().all(inside),
        Expr::Op { args, .. } => args.iter().all(|arg| is_constant(nest, arg, known)),
        Expr::Local(..) | Expr::Lookup(..) => false,
    }
}

fn index_uses(index: &[Index], var: VarId) -> bool {
    let mut used = Vec::new();
    index.iter().for_each(|index| index.vars(&mut used));
    used.contains(&var)
}

fn op(prim: Prim, args: Vec<Expr>) -> Expr {
    Expr::Op { prim, args, imm: Vec::new() }
}
