//! A value that several sums contain once each: what is added to it is added to all of them.
//!
//! ```text
//! init { p = v[0]  q = v[1]  a[0] = add p, q  a[1] = sub p, shl(q, 1) }
//! => plus 7
//! init { p = add v[0], 7  q = v[1]  a[0] = add p, q  a[1] = sub p, shl(q, 1) }
//! ```

use std::collections::{BTreeMap, BTreeSet};

use ir::loops::{Expr, LocalId, Prim, Stmt};
use ir::ty::Ty;

use super::edit::visit_locals_of;

/// A sum of values times literals, all of it modulo 2^32.
type Sum = BTreeMap<LocalId, i64>;

/// The value, named in `block`, that every register of `of` contains once and nothing else there does; `None` for a single register, or
/// where there is no such value.
pub fn common_term(block: &[Stmt], of: LocalId) -> Option<LocalId> {
    let mut sums: BTreeMap<LocalId, Sum> = BTreeMap::new();
    let (mut wanted, mut elsewhere) = (Vec::new(), BTreeSet::new());
    for stmt in block {
        match stmt {
            Stmt::Let(local, value) => {
                let sum = sum(value, &sums).unwrap_or_else(|| {
                    used(value, &sums, &mut elsewhere);
                    [(*local, 1)].into()
                });
                sums.insert(*local, sum);
            }
            Stmt::Set(to, _, value) if *to == of => wanted.push(sum(value, &sums)?),
            Stmt::Set(_, _, value) | Stmt::Store(_, value) => used(value, &sums, &mut elsewhere),
            Stmt::For(..) | Stmt::Reduce(_) => return None,
        }
    }
    let first = wanted.first().filter(|_| wanted.len() > 1)?;
    let once = |term: &LocalId| wanted.iter().all(|sum| sum.get(term) == Some(&1));
    first.keys().find(|term| once(term) && !elsewhere.contains(*term)).copied()
}

/// The terms of an expression, if it is a sum of what has a name.
fn sum(expr: &Expr, known: &BTreeMap<LocalId, Sum>) -> Option<Sum> {
    let times = |sum: Sum, by: i64| {
        let wrapped = |factor: i64| i64::from(factor.wrapping_mul(by) as i32);
        sum.into_iter().map(|(term, factor)| (term, wrapped(factor))).collect::<Sum>()
    };
    match expr {
        Expr::Local(local, at) if at.is_empty() => known.get(local).cloned(),
        Expr::Op { prim, args, .. } => match (prim, &args[..]) {
            (Prim::Add | Prim::Sub, [left, right]) => {
                let mut left = sum(left, known)?;
                for (term, factor) in times(sum(right, known)?, if *prim == Prim::Add { 1 } else { -1 }) {
                    let own = left.entry(term).or_default();
                    *own = i64::from((*own + factor) as i32);
                }
                Some(left)
            }
            (Prim::Shl, [value, Expr::Int(by @ 0..=31, Ty::I32)]) => Some(times(sum(value, known)?, 1 << by)),
            (Prim::Mul, [value, Expr::Int(by, Ty::I32)] | [Expr::Int(by, Ty::I32), value]) => {
                Some(times(sum(value, known)?, *by))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Adds what an expression depends on.
fn used(expr: &Expr, known: &BTreeMap<LocalId, Sum>, out: &mut BTreeSet<LocalId>) {
    visit_locals_of(&mut expr.clone(), &mut |local| {
        out.insert(*local);
        out.extend(known.get(local).into_iter().flat_map(|sum| sum.keys().copied()));
    });
}
