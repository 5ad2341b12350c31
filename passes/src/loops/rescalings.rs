//! What the rescalings of a nest take: how many channels have a short form of how many operations, and how many the literal one.
//!
//! Read off the nest, before [`super::expand_composites`] writes the literal ones out: a saturation of a high product is a short form, a
//! `requantize` is none. The elements of the table of multipliers count, those that are read; a literal multiplier counts once.

use std::collections::{BTreeMap, BTreeSet};

use ir::loops::{BufferId, Expr, Index, LocalId, Nest, Prim, Stmt, VarId};

use super::edit::{Extents, loops};
use super::short_requantize::Report;

/// Counts the rescalings of the body.
pub fn rescalings(nest: &Nest) -> Report {
    let mut census = Census {
        nest,
        extents: loops(nest).iter().map(|l| (l.var, l.extent)).collect(),
        named: BTreeMap::new(),
        seen: BTreeSet::new(),
        report: Report::default(),
    };
    nest.walk(&mut |_, stmt| match stmt {
        Stmt::Let(local, value) => {
            census.expr(value);
            census.named.insert(*local, value.clone());
        }
        Stmt::Set(_, _, value) | Stmt::Store(_, value) => census.expr(value),
        Stmt::For(..) | Stmt::Reduce(_) => {}
    });
    census.report
}

struct Census<'n> {
    nest: &'n Nest,
    extents: Extents,
    /// Values that were given names.
    named: BTreeMap<LocalId, Expr>,
    /// Elements of tables that were counted.
    seen: BTreeSet<(BufferId, Vec<i64>)>,
    report: Report,
}

impl Census<'_> {
    fn expr(&mut self, expr: &Expr) {
        if let Expr::Op { prim, args, .. } = expr {
            match (prim, &args[0]) {
                (Prim::Requantize, _) => self.report.literal += self.channels(&args[1]),
                (Prim::Ssat | Prim::Usat, of) => {
                    if let Some((operations, multiplier)) = self.short(of) {
                        let channels = self.channels(&multiplier);
                        let longest = self.report.short.len() - 1;
                        self.report.short[(operations - 2).min(longest)] += channels;
                    }
                }
                _ => {}
            }
        }
        match expr {
            Expr::Op { args, .. } => args.iter().for_each(|arg| self.expr(arg)),
            Expr::Lookup(_, at) => self.expr(at),
            _ => {}
        }
    }

    /// The operations of a short form, saturation included, and its multiplier.
    fn short(&self, saturated: &Expr) -> Option<(usize, Expr)> {
        let Expr::Op { prim, args, .. } = saturated else { return None };
        let (base, x, multiplier) = match prim {
            Prim::Asr => {
                return self.short(&args[0]).map(|(operations, multiplier)| (operations + 1, multiplier));
            }
            Prim::MulHigh | Prim::MulHighRound => (None, &args[0], &args[1]),
            Prim::MulHighAdd | Prim::MulHighAddRound => (Some(&args[0]), &args[1], &args[2]),
            _ => return None,
        };
        let sign = base.map_or(0, sign_operations);
        let x = match x {
            Expr::Local(local, _) => self.named.get(local).unwrap_or(x),
            x => x,
        };
        Some((2 + sign + usize::from(is_shifted(x)), multiplier.clone()))
    }

    /// How many numbers an operand stands for that were not counted before.
    fn channels(&mut self, multiplier: &Expr) -> usize {
        let Expr::Load(access) = multiplier else { return 1 };
        let mut vars: Vec<VarId> = Vec::new();
        access.index.iter().for_each(|index| index.vars(&mut vars));
        vars.sort_unstable();
        vars.dedup();
        let extents: Vec<u32> = vars.iter().map(|var| self.extents.get(var).copied().unwrap_or(1)).collect();
        let elements = self.nest.buffers[access.buffer.idx()].shape.iter().product::<u32>();
        let mut at = vec![0i64; vars.len()];
        let before = self.seen.len();
        loop {
            let of = |var: VarId| vars.binary_search(&var).map_or(0, |position| at[position]);
            let element = access.index.iter().map(|index: &Index| index.eval(&of)).collect();
            self.seen.insert((access.buffer, element));
            let all = self.seen.len() - before == elements as usize;
            if all || !next(&mut at, &extents) {
                return self.seen.len() - before;
            }
        }
    }
}

/// The operations by which a base depends on a sign.
fn sign_operations(base: &Expr) -> usize {
    let is_sign = |expr: &Expr| matches!(expr, Expr::Op { prim: Prim::Asr, args, .. } if matches!(args[1], Expr::Int(31, _)));
    match base {
        expr if is_sign(expr) => 1,
        Expr::Op { prim: Prim::Add, args, .. } => args.iter().map(sign_operations).sum(),
        Expr::Op { prim: Prim::Shl | Prim::Mul, args, .. } if is_sign(&args[0]) => 2,
        _ => 0,
    }
}

/// Whether an operation was added to what is rescaled.
fn is_shifted(x: &Expr) -> bool {
    match x {
        Expr::Op { prim: Prim::Shl, .. } => true,
        Expr::Op { prim: Prim::Add, args, .. } => {
            is_shifted(&args[1]) || matches!(args[0], Expr::Load(_) | Expr::Int(..))
        }
        _ => false,
    }
}

/// The next point of a box; false behind the last.
fn next(at: &mut [i64], extents: &[u32]) -> bool {
    for (at, extent) in at.iter_mut().zip(extents).rev() {
        *at += 1;
        if *at < i64::from(*extent) {
            return true;
        }
        *at = 0;
    }
    false
}
