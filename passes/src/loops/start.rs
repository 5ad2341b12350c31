//! What a sum starts with, as a number for each place that reads it: a constant in which an offset can be.

use ir::loops::interp::Constants;
use ir::loops::{Expr, Index, LocalId, Nest, Reduce, Stmt};
use ir::ty::Ty;

use super::sum_offset::{Numbers, loops_in, moved};
use crate::proofs::accumulators::Place;

/// What the registers of a sum start with.
#[derive(Clone, Debug)]
pub struct Start {
    /// A number, or those of a table in row-major order.
    numbers: Vec<i32>,
    /// Shape of the table, and where the place that reads the sum finds its number.
    shape: Vec<u32>,
    at: Vec<Index>,
}

impl Start {
    /// What `x` starts with, if that is a sum whose registers all start with one literal or with elements of one constant.
    pub fn of(nest: &Nest, x: &Expr) -> Option<Start> {
        let Expr::Local(sum, register) = x else { return None };
        let reduce = reduce_of(&nest.body, *sum)?;
        let mut values = Vec::new();
        visit_sets(&reduce.init, *sum, &mut |to, value| values.push((to.to_vec(), value.clone())));
        let [(to, value)] = &values[..] else { return None };
        match value {
            Expr::Int(value, Ty::I32) => {
                Some(Start { numbers: vec![i32::try_from(*value).ok()?], shape: Vec::new(), at: Vec::new() })
            }
            Expr::Load(access) if access.ty == Ty::I32 && access.border.is_none() => {
                let buffer = &nest.buffers[access.buffer.idx()];
                if !buffer.is_const() || buffer.elem != Ty::I32 {
                    return None;
                }
                let read = Numbers::Table(access.buffer, access.index.clone());
                let Expr::Load(access) = moved(&read, to, register, &loops_in(&reduce.init))? else {
                    return None;
                };
                let data = Constants::new(nest).get(access.buffer).ok()?;
                let (words, _) = data.as_chunks();
                let number = |at: usize| words.get(at).map(|word| i32::from_le_bytes(*word));
                let numbers = buffer.positions().into_iter().map(number).collect::<Option<_>>()?;
                Some(Start { numbers, shape: buffer.shape.clone(), at: access.index })
            }
            _ => None,
        }
    }

    /// The number for the register that is read at a place.
    pub fn at(&self, place: &Place) -> Option<i32> {
        self.numbers.get(place.position(&self.at, &self.shape)?).copied()
    }
}

/// The reduction that carries a sum.
fn reduce_of(block: &[Stmt], sum: LocalId) -> Option<&Reduce> {
    block.iter().find_map(|stmt| match stmt {
        Stmt::Reduce(reduce) if reduce.carried.contains(&sum) => Some(reduce),
        _ => ir::loops::walk::blocks(stmt).into_iter().find_map(|inner| reduce_of(inner, sum)),
    })
}

/// Calls `f` for every `sum[to] = value` of a block.
fn visit_sets(block: &[Stmt], sum: LocalId, f: &mut dyn FnMut(&[Index], &Expr)) {
    for stmt in block {
        match stmt {
            Stmt::Set(set, to, value) if *set == sum => f(to, value),
            _ => {}
        }
        ir::loops::walk::blocks(stmt).into_iter().for_each(|inner| visit_sets(inner, sum, f));
    }
}
