//! Which constants of a nest are weights, and which are tables: biases, multipliers, shifts, functions of a byte.
//!
//! Weights are what data is multiplied with. That is read off the nest as it is compiled, whatever steps have packed, split or
//! widened the constants: a factor of a product is weights where the other factor comes from memory that is no constant, by
//! loads, widening, halves, additions and named values. A sum of products comes from nothing, so what it is multiplied
//! with afterwards is a table.

use std::collections::BTreeSet;

use ir::loops::walk::{StmtNo, walk};
use ir::loops::{BufferId, Expr, Nest, Prim, Stmt};

/// Where a value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Origin {
    /// Whether tensors or scratch are part of it.
    data: bool,
    /// The constants that are part of it.
    constants: BTreeSet<BufferId>,
}

/// The constants that hold weights.
pub fn weights(nest: &Nest) -> BTreeSet<BufferId> {
    let locals = origins(nest);
    let mut weights = BTreeSet::new();
    walk(&nest.body, StmtNo(0), &mut |_, stmt| {
        if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = stmt {
            collect(nest, &locals, value, &mut weights);
        }
    });
    weights
}

/// The origin of each named value. A value may come from one that is defined later in the text: in the next iteration.
fn origins(nest: &Nest) -> Vec<Origin> {
    let mut locals = vec![Origin::default(); nest.locals.len()];
    loop {
        let before = locals.clone();
        walk(&nest.body, StmtNo(0), &mut |_, stmt| {
            if let Stmt::Let(local, value) | Stmt::Set(local, _, value) = stmt {
                let origin = origin(nest, &locals, value);
                locals[local.idx()].join(origin);
            }
        });
        if before == locals {
            return locals; // Origins only grow, and there are finitely many.
        }
    }
}

fn origin(nest: &Nest, locals: &[Origin], value: &Expr) -> Origin {
    match value {
        Expr::Int(..) | Expr::Index(_) | Expr::Lookup(..) => Origin::default(),
        Expr::Local(local, _) => locals[local.idx()].clone(),
        Expr::Load(access) if nest.buffers[access.buffer.idx()].is_const() => {
            Origin { data: false, constants: BTreeSet::from([access.buffer]) }
        }
        Expr::Load(_) => Origin { data: true, constants: BTreeSet::new() },
        Expr::Op { prim, args, .. } if factors(*prim, args).is_empty() => {
            let mut all = Origin::default();
            args.iter().for_each(|arg| all.join(origin(nest, locals, arg)));
            all
        }
        Expr::Op { .. } => Origin::default(),
    }
}

/// Adds the weights of the products in `value`.
fn collect(nest: &Nest, locals: &[Origin], value: &Expr, weights: &mut BTreeSet<BufferId>) {
    let args: &[Expr] = match value {
        Expr::Op { args, .. } => args,
        Expr::Lookup(_, at) => std::slice::from_ref(at),
        Expr::Int(..) | Expr::Index(_) | Expr::Local(..) | Expr::Load(_) => &[],
    };
    // Sums that lie in memory meet their multipliers in products of which the high word is taken.
    if let Expr::Op { prim: prim @ (Prim::Mul | Prim::MulWide | Prim::Dot2 | Prim::Dot2Cross), args, .. } =
        value
        && let [a, b] = factors(*prim, args)
    {
        let (a, b) = (origin(nest, locals, a), origin(nest, locals, b));
        weights.extend(a.constants.iter().filter(|_| b.data));
        weights.extend(b.constants.iter().filter(|_| a.data));
    }
    args.iter().for_each(|arg| collect(nest, locals, arg, weights));
}

/// The two operands that an operation multiplies; none for an operation that is no product.
fn factors(prim: Prim, args: &[Expr]) -> &[Expr] {
    match prim {
        Prim::Mul | Prim::MulWide | Prim::MulHigh | Prim::MulHighRound | Prim::MulShift16 => args,
        Prim::Dot2 | Prim::Dot2Cross | Prim::MulHighAdd | Prim::MulHighAddRound => &args[1..],
        _ => &[],
    }
}

impl Origin {
    fn join(&mut self, other: Origin) {
        self.data |= other.data;
        self.constants.extend(other.constants);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the weights of a nest.
    fn names(text: &str) -> Vec<String> {
        let nest = ir::loops::text::parse_nest(text).expect("a nest");
        weights(&nest).into_iter().map(|buffer| nest.buffers[buffer.idx()].name.clone()).collect()
    }

    #[test]
    fn factors_of_data_are_weights_and_factors_of_sums_are_not() {
        let found = names(
            "loops @conv(x: i8[4, 8], y: i8[4, 2]) {
               const w: i8[2, 8] = hex\"00000000000000000000000000000000\"
               const b: i32[2] = hex\"0000000000000000\"
               const m: i32[2] = hex\"0000000000000000\"
               const f: i8[256] = {
                 for i in 0..256 { f[i] = index(i) }
               }
               for p in 0..4 {
                 for n in 0..2 {
                   reduce a: i32 over k in 0..8 {
                     init { a = b[n] }
                     update {
                       kept: i32 = sext w[n, k]
                       a = add a, mul(sext(x[p, k]), kept)
                     }
                     finish {
                       t: i32 = ssat mul_high(a, m[n]) {bits = 8, asr = 3}
                       y[p, n] = lookup f, add(t, 128)
                     }
                   }
                 }
               }
             }",
        );
        assert_eq!(found, ["w"]);
    }
}
