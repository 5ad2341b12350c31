//! `pack BUFFER pairs AXIS scale 256`: the sums of two neighbouring iterations of a loop share their weights' words.
//!
//! ```text
//! for n.o in 0..16 { reduce a: i32[4] over k in 0..64 {
//!   init   { for n.i in 0..4 unroll { a[n.i] = b[4*n.o + n.i] } }
//!   update { for n.i in 0..4 unroll { a[n.i] = add a[n.i], mul(sext(x[k]), sext(w[4*n.o + n.i, k])) } }
//!   finish { for n.i in 0..4 unroll { y[4*n.o + n.i] = requantize a[n.i], … } }
//! } }
//! => pack w pairs n.i scale 256
//! const w_pairs: i16[16, 2, 64] = … 256*w[4*n.o + 2*n.q, k] + w[4*n.o + 2*n.q + 1, k]
//! const b_pairs: i32[16, 2, 2] = … 256*b[4*n.o + 2*n.q] + b[4*n.o + 2*n.q + 1], and b[4*n.o + 2*n.q + 1]
//! for n.o in 0..16 { reduce a_both: i32[2], a_low: i32[2] over k in 0..64 {
//!   init   { for n.q in 0..2 unroll { a_both[n.q] = b_pairs[n.o, n.q, 0]  a_low[n.q] = b_pairs[n.o, n.q, 1] } }
//!   update { for n.q in 0..2 unroll {
//!     a_both[n.q] = add a_both[n.q], mul(sext(x[k]), sext(w_pairs[n.o, n.q, k]))
//!     a_low[n.q] = add a_low[n.q], mul(sext(x[k]), sbfx(sext(w_pairs[n.o, n.q, k])) {lsb = 0, width = 8})
//!   } }
//!   finish { for n.q in 0..2 unroll {
//!     y[4*n.o + 2*n.q] = requantize asr(sub(a_both[n.q], a_low[n.q]), 8), …
//!     y[4*n.o + 2*n.q + 1] = requantize a_low[n.q], …
//!   } }
//! } }
//! ```
//!
//! A change of basis: (A, B) becomes (256 A + B, B), and back. One word of two halfwords then feeds four products, with one operation
//! that takes the low bytes out. The factor of A is of use for rescaling.
//!
//! The axis is a loop of a block of registers, or one directly around a reduction, which `unroll-and-jam` makes one first. Legal for sums of products with
//! constant bytes where 256 A + B fits in a halfword for all weights, and 256 times the sum A in a word, by the proven bounds of the sum.

use ir::diag::Diagnostic;
use ir::known::Known;
use ir::loops::{Access, BufferId, Expr, Index, LocalId, Loop, Nest, Prim, Reduce, Stmt, VarId};
use ir::ty::Ty;

use super::basis::{Basis, Combined};
use super::edit::{
    blocks_mut, fresh_name, loops, rename_locals, renew_vars, substitute, visit_indices_of, visit_local_uses,
};
use super::tile::tile;
use super::unroll_and_jam::unroll_and_jam;
use crate::proofs::accumulators::{self, Interval, values};

/// What A is multiplied by, as a shift: the low byte is what one operation extends.
const SHIFT: u32 = 8;
/// The same as a factor.
pub const SCALE: u32 = 1 << SHIFT;

/// Whether a nest's sums along the loop of this name leave room for the factor: of all drafts of a large network.
static FITTING: Known<(Nest, BufferId, String), Result<(), Diagnostic>> = Known::new(2048);

/// Gives the sums of neighbouring iterations of the loop called `name` common words of `weights`.
pub fn pack_pairs(nest: &mut Nest, weights: BufferId, name: &str) -> Result<(), Diagnostic> {
    let buffer = &nest.buffers[weights.idx()];
    let of = buffer.name.clone();
    if buffer.elem != Ty::I8 {
        return Err(Diagnostic::new(format!(
            "cannot pack pairs of `{of}`: its elements are `{}`, not `i8`",
            buffer.elem
        ))
        .help("apply it to the weights as they are, before any other `pack`"));
    }
    let name = in_block(nest, name)?;
    let (reduce, carried, dim, extent) = block_of(nest, &name)?;
    if !extent.is_multiple_of(2) {
        return Err(Diagnostic::new(format!("cannot pack pairs along `{name}`: its extent is {extent}"))
            .help("legal for an even extent: `tile` by one first"));
    }
    let pairs = fresh_name(nest, &format!("{}.q", name.strip_suffix(".i").unwrap_or(&name)));
    let split = Split { name, pairs, of, weights, carried, dim, extent };
    let fits = || split.check_sums(nest, &reduce);
    FITTING.answer((nest.clone(), weights, split.name.clone()), fits)?; // It looks at every weight.
    let paired = split.paired(nest, &reduce).map_err(|error| split.named(error))?;
    put(&mut nest.body, split.carried, paired);
    Ok(())
}

/// The name of the loop of a block that stands for pairs: a loop around a reduction is made one.
fn in_block(nest: &mut Nest, name: &str) -> Result<String, Diagnostic> {
    let named: Vec<Loop> = loops(nest).into_iter().filter(|l| nest.vars[l.var.idx()] == name).collect();
    match &named[..] {
        [] => {
            let mut names: Vec<String> = loops(nest).iter().map(|l| nest.vars[l.var.idx()].clone()).collect();
            names.dedup();
            Err(Diagnostic::new(format!("no loop is called `{name}`"))
                .help(format!("the loops are {}", names.join(", "))))
        }
        [one] => {
            if !one.extent.is_multiple_of(2) {
                return Err(Diagnostic::new(format!(
                    "cannot pack pairs along `{name}`: its extent is {}",
                    one.extent
                ))
                .help(format!("take an iteration off first: `peel {name} 1`")));
            }
            let axis = if one.extent > 2 { tile(nest, one.var, 2)?.1 } else { one.var };
            let name = nest.vars[axis.idx()].clone();
            unroll_and_jam(nest, &[axis])?;
            Ok(name)
        }
        _ => Ok(name.to_string()),
    }
}

/// The reduction that carries a block with this loop, the block, the dimension that the loop runs along, and its extent.
fn block_of(nest: &Nest, name: &str) -> Result<(Reduce, LocalId, usize, u32), Diagnostic> {
    let mut found = Vec::new();
    nest.walk(&mut |_, stmt| {
        let Stmt::Reduce(reduce) = stmt else { return };
        let mut update = reduce.update.clone();
        let mut vars = Vec::new();
        named_loops(nest, &update, name, &mut vars);
        if vars.is_empty() {
            return;
        }
        let [carried] = reduce.carried[..] else { return };
        let mut dim = None;
        visit_local_uses(&mut update, &mut |local, at| {
            if local == carried {
                dim = dim.or(at.iter().position(|index| vars.iter().any(|var| *index == Index::var(*var))));
            }
        });
        found.extend(dim.map(|dim| (reduce.clone(), carried, dim, nest.locals[carried.idx()].shape[dim])));
    });
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Diagnostic::new(format!(
            "cannot pack pairs along `{name}`: no reduction carries one value for each of its iterations"
        ))
        .help("legal for a loop of a block of registers: `unroll-and-jam`")),
        n => Err(Diagnostic::new(format!("cannot pack pairs along `{name}`: {n} blocks have such a loop"))),
    }
}

fn named_loops(nest: &Nest, block: &[Stmt], name: &str, out: &mut Vec<VarId>) {
    ir::loops::walk::walk(block, ir::loops::StmtNo(0), &mut |_, stmt| {
        if let Stmt::For(l, _) = stmt
            && nest.vars[l.var.idx()] == name
        {
            out.push(l.var);
        }
    });
}

/// Puts a reduction in the place of that which carries `local`.
fn put(block: &mut [Stmt], local: LocalId, reduce: Reduce) {
    for stmt in block {
        if let Stmt::Reduce(old) = stmt
            && old.carried.contains(&local)
        {
            *old = reduce;
            return;
        }
        blocks_mut(stmt).into_iter().for_each(|inner| put(inner, local, reduce.clone()));
    }
}

/// What becomes two sums.
struct Split {
    /// The loop of the block, by name.
    name: String,
    /// The name of the loop over pairs.
    pairs: String,
    /// The weights, by name.
    of: String,
    weights: BufferId,
    carried: LocalId,
    /// The dimension of the block that the loop runs along.
    dim: usize,
    extent: u32,
}

/// The sums of a pair: `256 A + B` and `B`.
#[derive(Clone, Copy)]
struct Sums {
    both: LocalId,
    low: LocalId,
}

/// Which of a pair.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    A,
    B,
}

/// A part of a reduction.
type Rewrite<'r> = dyn FnMut(&mut Nest, &[Stmt], VarId, &Pair) -> Result<Vec<Stmt>, Diagnostic> + 'r;

/// A pair: one of a loop over pairs, or the only one.
struct Pair {
    number: Index,
    over: Option<Loop>,
}

impl Pair {
    fn of(&self, half: Half) -> Index {
        self.number.scale(2).offset(i64::from(half == Half::B))
    }
}

impl Split {
    /// Refuses where 256 times a sum may leave its word.
    fn check_sums(&self, nest: &Nest, reduce: &Reduce) -> Result<(), Diagnostic> {
        let mut marked = nest.clone();
        let mut reduce = reduce.clone();
        let scaled =
            |sum: Expr| op(Prim::Asr, vec![op(Prim::Shl, vec![sum, int(SHIFT.into())]), int(SHIFT.into())]);
        reduce.finish = self.halves(&mut marked, &reduce.finish, &mut |nest, body, var, pair| {
            let copy = |nest: &mut Nest, half| {
                let mut copy = self.copy(nest, body, var, &pair.of(half));
                replace_locals(&mut copy, self.carried, &|at| {
                    let sum = Expr::Local(self.carried, at.to_vec());
                    if half == Half::A { scaled(sum) } else { sum }
                });
                copy
            };
            Ok([copy(nest, Half::A), copy(nest, Half::B)].concat())
        })?;
        put(&mut marked.body, self.carried, reduce);
        let mut wide = None;
        let is_marked = |expr: &Expr| {
            matches!(expr, Expr::Op { args, .. }
                if matches!(&args[0], Expr::Op { prim: Prim::Shl, args, .. } if matches!(args[0], Expr::Local(local, _) if local == self.carried)))
        };
        accumulators::visit_some(&marked, Prim::Asr, &is_marked, &mut |expr, place| {
            if is_marked(expr) && place.operands[0] == Interval::of_type(Ty::I32) {
                wide = Some(());
            }
        })?;
        if wide.is_some() {
            let message =
                format!("cannot pack pairs along `{}`: {SCALE} times a sum may leave `i32`", self.name);
            return Err(
                Diagnostic::new(message).help(format!("pack halfwords instead: `pack {} i16`", self.of))
            );
        }
        Ok(())
    }

    fn paired(&self, nest: &mut Nest, reduce: &Reduce) -> Result<Reduce, Diagnostic> {
        let mut shape = nest.locals[self.carried.idx()].shape.clone();
        if self.extent > 2 {
            shape[self.dim] /= 2
        } else {
            let _ = shape.remove(self.dim);
        }
        let name = nest.locals[self.carried.idx()].name.clone();
        let mut sum = |suffix: &str| {
            let name = fresh_name(nest, &format!("{name}_{suffix}"));
            nest.add_local(name, Ty::I32, &shape)
        };
        let sums = Sums { both: sum("both"), low: sum("low") };
        let mut made = Vec::new();
        let init = self.halves(nest, &reduce.init, &mut |nest, body, var, pair| {
            self.sets(nest, body, &mut |nest, at, value| {
                self.start(nest, &sums, at, value, var, pair, &mut made)
            })
        })?;
        let mut made = Vec::new();
        let update = self.halves(nest, &reduce.update, &mut |nest, body, var, pair| {
            self.sets(nest, body, &mut |nest, at, value| {
                self.step(nest, reduce, &sums, at, value, var, pair, &mut made)
            })
        })?;
        let finish = self.halves(nest, &reduce.finish, &mut |nest, body, var, pair| {
            let mut copy = |half| {
                let mut copy = self.copy(nest, body, var, &pair.of(half));
                replace_locals(&mut copy, self.carried, &|at| {
                    let at = self.place(at, pair);
                    let low = Expr::Local(sums.low, at.clone());
                    let both = Expr::Local(sums.both, at);
                    match half {
                        Half::A => op(Prim::Asr, vec![op(Prim::Sub, vec![both, low]), int(SHIFT.into())]),
                        Half::B => low,
                    }
                });
                copy
            };
            Ok([copy(Half::A), copy(Half::B)].concat())
        })?;
        Ok(Reduce { carried: vec![sums.both, sums.low], init, update, finish, ..reduce.clone() })
    }

    /// Rewrites each loop of the block in a part of the reduction; nothing else may use the sums.
    fn halves(
        &self,
        nest: &mut Nest,
        block: &[Stmt],
        rewrite: &mut Rewrite,
    ) -> Result<Vec<Stmt>, Diagnostic> {
        let mut out = Vec::with_capacity(block.len());
        for stmt in block {
            match stmt {
                Stmt::For(l, body) if nest.vars[l.var.idx()] == self.name && l.extent == self.extent => {
                    if self.extent == 2 {
                        out.extend(rewrite(
                            nest,
                            body,
                            l.var,
                            &Pair { number: Index::constant(0), over: None },
                        )?);
                        continue;
                    }
                    let var = nest.add_var(self.pairs.clone());
                    let over = Loop { var, extent: l.extent / 2, unroll: l.unroll };
                    let pair = Pair { number: Index::var(var), over: Some(over.clone()) };
                    out.push(Stmt::For(over, rewrite(nest, body, l.var, &pair)?));
                }
                Stmt::For(l, body) => out.push(Stmt::For(l.clone(), self.halves(nest, body, rewrite)?)),
                other => {
                    let mut uses = false;
                    visit_local_uses(std::slice::from_mut(&mut other.clone()), &mut |local, _| {
                        uses |= local == self.carried
                    });
                    if uses {
                        return Err(self.misplaced());
                    }
                    out.push(other.clone());
                }
            }
        }
        Ok(out)
    }

    /// The body in the iteration `at` of the loop over `var`, for use beside the original.
    fn copy(&self, nest: &mut Nest, body: &[Stmt], var: VarId, at: &Index) -> Vec<Stmt> {
        let mut copy = body.to_vec();
        substitute(&mut copy, var, at);
        renew_vars(nest, &mut copy);
        rename_locals(nest, &mut copy);
        copy
    }

    /// The register of a pair; `at` is that of one of its sums.
    fn place(&self, at: &[Index], pair: &Pair) -> Vec<Index> {
        let mut at = at.to_vec();
        if self.extent > 2 {
            at[self.dim] = pair.number.clone()
        } else {
            drop(at.remove(self.dim))
        }
        at
    }

    /// Puts what `new` gives in the place of each statement that sets a sum.
    #[allow(clippy::type_complexity)] // It is written once.
    fn sets(
        &self,
        nest: &mut Nest,
        block: &[Stmt],
        new: &mut dyn FnMut(&mut Nest, &[Index], &Expr) -> Result<Vec<Stmt>, Diagnostic>,
    ) -> Result<Vec<Stmt>, Diagnostic> {
        let mut out = Vec::new();
        for stmt in block {
            match stmt {
                Stmt::For(l, body) => out.push(Stmt::For(l.clone(), self.sets(nest, body, new)?)),
                Stmt::Set(local, at, value) if *local == self.carried => out.extend(new(nest, at, value)?),
                _ => return Err(self.misplaced()),
            }
        }
        Ok(out)
    }

    /// The first values of a pair.
    #[allow(clippy::too_many_arguments)] // All that is known of a place.
    fn start(
        &self,
        nest: &mut Nest,
        sums: &Sums,
        at: &[Index],
        value: &Expr,
        var: VarId,
        pair: &Pair,
        made: &mut Vec<([Expr; 2], BufferId)>,
    ) -> Result<Vec<Stmt>, Diagnostic> {
        let operands = [Half::A, Half::B].map(|half| moved(value, var, &pair.of(half)));
        let basis = Basis::of(&[[i64::from(SCALE), 1], [0, 1]]);
        let [both, low] = if let [Expr::Int(a, _), Expr::Int(b, _)] = operands {
            [int(i64::from((a as i32).wrapping_mul(SCALE as i32).wrapping_add(b as i32))), int(b)]
        } else {
            let Some(bounds) = constant_bounds(nest, value) else {
                return Err(Diagnostic::new(format!(
                    "cannot pack pairs along `{}`: a sum begins with what is not known at compile time",
                    self.name
                )));
            };
            let dims = dimensions(nest, &operands, (var, pair), None);
            let known = made.iter().find(|(have, _)| *have == operands).map(|(_, constant)| *constant);
            let constant = match known {
                Some(constant) => constant,
                None => basis.constant(
                    nest,
                    Combined {
                        name: &pairs_of(nest, value),
                        elem: Ty::I32,
                        loops: &dims,
                        operands: &operands,
                        bounds: &[bounds, bounds],
                        row_dim: dims.len(),
                    },
                )?,
            };
            made.push((operands, constant));
            [0, 1].map(|row| {
                let index = dims.iter().map(|l| Index::var(l.var)).chain([Index::constant(row)]).collect();
                Expr::Load(Access { buffer: constant, index, ty: Ty::I32, border: None })
            })
        };
        let at = self.place(at, pair);
        Ok(vec![Stmt::Set(sums.both, at.clone(), both), Stmt::Set(sums.low, at, low)])
    }

    /// A step of the sums of a pair.
    #[allow(clippy::too_many_arguments)] // All that is known of a place.
    fn step(
        &self,
        nest: &mut Nest,
        reduce: &Reduce,
        sums: &Sums,
        at: &[Index],
        value: &Expr,
        var: VarId,
        pair: &Pair,
        made: &mut Vec<([Expr; 2], BufferId)>,
    ) -> Result<Vec<Stmt>, Diagnostic> {
        let (mut x, weight) = self.product(at, value)?;
        let mut used = Vec::new();
        visit_indices_of(&mut x, &mut |index| index.vars(&mut used));
        if used.contains(&var) {
            return Err(self.no_sum());
        }
        let operands = [Half::A, Half::B].map(|half| moved(&weight, var, &pair.of(half)));
        let dims = dimensions(nest, &operands, (var, pair), reduce.loops.last());
        let known = made.iter().find(|(have, _)| *have == operands).map(|(_, constant)| *constant);
        let constant = match known {
            Some(constant) => constant,
            None => {
                let bounds = values(nest, self.weights)?;
                let name = format!("{}_pairs", self.of);
                Basis::of(&[[i64::from(SCALE), 1]]).constant(
                    nest,
                    Combined {
                        name: &name,
                        elem: Ty::I16,
                        loops: &dims,
                        operands: &operands,
                        bounds: &[bounds, bounds],
                        row_dim: 0,
                    },
                )?
            }
        };
        made.push((operands, constant));
        let index = dims.iter().map(|l| Index::var(l.var)).collect();
        let word = Expr::Load(Access { buffer: constant, index, ty: Ty::I16, border: None });
        let both = op(Prim::Sext, vec![word]);
        let low = Expr::Op { prim: Prim::Sbfx, args: vec![both.clone()], imm: vec![0, SHIFT as i32] };
        let at = self.place(at, pair);
        let add = |sum: LocalId, weight: Expr| {
            let product = op(Prim::Mul, vec![x.clone(), weight]);
            Stmt::Set(sum, at.clone(), op(Prim::Add, vec![Expr::Local(sum, at.clone()), product]))
        };
        Ok(vec![add(sums.both, both), add(sums.low, low)])
    }

    /// The factors of what a step adds: the other one, and the weight.
    fn product(&self, at: &[Index], value: &Expr) -> Result<(Expr, Expr), Diagnostic> {
        let itself = Expr::Local(self.carried, at.to_vec());
        let Expr::Op { prim: Prim::Add, args, .. } = value else { return Err(self.no_sum()) };
        let product = match &args[..] {
            [sum, product] | [product, sum] if *sum == itself => product,
            _ => return Err(self.no_sum()),
        };
        let Expr::Op { prim: Prim::Mul, args, .. } = product else { return Err(self.no_sum()) };
        let is_weight = |factor: &Expr| {
            matches!(factor, Expr::Op { prim: Prim::Sext, args, .. }
                if matches!(&args[0], Expr::Load(access) if access.buffer == self.weights && access.ty == Ty::I8 && access.border.is_none()))
        };
        match (is_weight(&args[0]), is_weight(&args[1])) {
            (false, true) => Ok((args[0].clone(), args[1].clone())),
            (true, false) => Ok((args[1].clone(), args[0].clone())),
            _ => Err(self.no_sum()),
        }
    }

    /// An error with what cannot be done in front.
    fn named(&self, error: Diagnostic) -> Diagnostic {
        if error.message.starts_with("cannot") {
            return error;
        }
        let message = format!("cannot pack pairs along `{}`: {}", self.name, error.message);
        Diagnostic { message, ..error }.help(format!("pack halfwords instead: `pack {} i16`", self.of))
    }

    fn no_sum(&self) -> Diagnostic {
        Diagnostic::new(format!(
            "cannot pack pairs along `{}`: a step does not add a product with `{}` that alone varies with it",
            self.name, self.of
        ))
        .help("inside stands `a = add a, mul(sext(…), sext(…))`; pack pairs before steps are joined")
    }

    fn misplaced(&self) -> Diagnostic {
        Diagnostic::new(format!("cannot pack pairs along `{}`: other statements use its sums", self.name))
            .help("legal for a block of registers as `unroll-and-jam` leaves it")
    }
}

/// The name of the constant for an initial value.
fn pairs_of(nest: &Nest, value: &Expr) -> String {
    match value {
        Expr::Load(access) => format!("{}_pairs", nest.buffers[access.buffer.idx()].name),
        _ => "start_pairs".into(),
    }
}

/// The bounds of a word that is known at compile time.
fn constant_bounds(nest: &Nest, value: &Expr) -> Option<Interval> {
    match value {
        Expr::Int(value, _) => Some(Interval::point(*value)),
        Expr::Load(access)
            if nest.buffers[access.buffer.idx()].is_const()
                && access.ty == Ty::I32
                && access.border.is_none() =>
        {
            values(nest, access.buffer).ok()
        }
        _ => None,
    }
}

/// The loops that expressions vary with, outermost first: pairs stand in the place of what they are made of, `last` goes to the end.
fn dimensions(nest: &Nest, exprs: &[Expr], pairs: (VarId, &Pair), last: Option<&Loop>) -> Vec<Loop> {
    let mut used = Vec::new();
    for expr in exprs {
        visit_indices_of(&mut expr.clone(), &mut |index| index.vars(&mut used));
    }
    let (old, pair) = pairs;
    let pair = |l: Loop| if l.var == old { pair.over.clone() } else { Some(l) };
    let mut dims: Vec<Loop> = loops(nest).into_iter().filter_map(pair).collect();
    dims.retain(|l| used.contains(&l.var));
    dims.sort_by_key(|l| last.is_some_and(|last| last.var == l.var));
    dims
}

/// An expression in the iteration `at` of a loop.
fn moved(expr: &Expr, var: VarId, at: &Index) -> Expr {
    let mut moved = expr.clone();
    visit_indices_of(&mut moved, &mut |index| {
        *index = index.substitute(&|found| if found == var { at.clone() } else { Index::var(found) });
    });
    moved
}

/// Puts what `new` gives in the place of each use of a value.
fn replace_locals(block: &mut [Stmt], local: LocalId, new: &dyn Fn(&[Index]) -> Expr) {
    for stmt in block {
        if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = stmt {
            replace_locals_of(value, local, new);
        }
        blocks_mut(stmt).into_iter().for_each(|inner| replace_locals(inner, local, new));
    }
}

fn replace_locals_of(expr: &mut Expr, local: LocalId, new: &dyn Fn(&[Index]) -> Expr) {
    match expr {
        Expr::Local(found, at) if *found == local => *expr = new(at),
        Expr::Lookup(_, at) => replace_locals_of(at, local, new),
        Expr::Op { args, .. } => args.iter_mut().for_each(|arg| replace_locals_of(arg, local, new)),
        Expr::Int(..) | Expr::Index(_) | Expr::Local(..) | Expr::Load(_) => {}
    }
}

fn int(value: i64) -> Expr {
    Expr::Int(value, Ty::I32)
}

fn op(prim: Prim, args: Vec<Expr>) -> Expr {
    Expr::Op { prim, args, imm: Vec::new() }
}
