//! Tables of several nests get the same element types, so that one code can read them.
//!
//! ```text
//! a = sext b_packed[n]     // i16                    a = sext b_packed_as[n]    // i16
//! m = zext m_packed[n]     // u8, up to 100          m = sext m_packed_as[n]    // i8
//! and                                          =>    and
//! a = b_packed[n]          // i32, up to 20000       a = sext b_packed_as[n]    // i16
//! m = sext m_packed[n]     // i8                     m = sext m_packed[n]
//! ```
//!
//! A table is a constant whose elements are read one by one, as words. Tables correspond by the order in which the bodies read them
//! first; each gets the narrowest of the types that they have that holds the elements of all, else one that does.

use std::collections::BTreeSet;

use ir::loops::walk::{StmtNo, walk};
use ir::loops::{Access, Buffer, BufferId, Expr, Index, Init, Loop, Nest, Prim, Role, Stmt};
use ir::ty::Ty;

use super::edit::{blocks_mut, extended, fresh_name, fresh_var};
use crate::proofs::accumulators::{Interval, values};

/// The types that tables can have, the narrowest first.
const TYPES: [Ty; 5] = [Ty::I8, Ty::U8, Ty::I16, Ty::U16, Ty::I32];

/// Gives corresponding tables of the nests one element type, where each has as many; tells by how many bytes all tables grow.
pub fn common_types(nests: &mut [&mut Nest]) -> isize {
    let tables: Vec<Vec<BufferId>> = nests.iter().map(|nest| tables(nest)).collect();
    let Some(number) = tables.first().map(Vec::len) else { return 0 };
    if tables.iter().any(|of_nest| of_nest.len() != number) {
        return 0;
    }
    let mut grown = 0;
    for at in 0..number {
        let same: Vec<BufferId> = tables.iter().map(|of_nest| of_nest[at]).collect();
        let Some(ty) = common_type(nests, &same) else { continue };
        for (nest, table) in nests.iter_mut().zip(same) {
            grown += retyped(nest, table, ty);
        }
    }
    grown
}

/// The type that tables of these nests are to have; `None` where they have one, or where nothing is known of their elements.
fn common_type(nests: &[&mut Nest], tables: &[BufferId]) -> Option<Ty> {
    let present: BTreeSet<Ty> =
        nests.iter().zip(tables).map(|(nest, table)| nest.buffers[table.idx()].elem).collect();
    if present.len() == 1 {
        return None;
    }
    let mut all: Option<Interval> = None;
    for (nest, table) in nests.iter().zip(tables) {
        let of_table = values(nest, *table).ok()?;
        all = Some(all.map_or(of_table, |all| all.hull(of_table)));
    }
    let all = all?;
    let holds = |ty: &&Ty| {
        let of_type = Interval::of_type(**ty);
        of_type.low <= all.low && all.high <= of_type.high
    };
    let fitting = || TYPES.iter().filter(holds);
    fitting().find(|ty| present.contains(ty)).or_else(|| fitting().next()).copied()
}

/// The tables of a nest, in the order in which its body reads them first.
fn tables(nest: &Nest) -> Vec<BufferId> {
    let (mut found, mut others) = (Vec::new(), BTreeSet::new());
    walk(&nest.body, StmtNo(0), &mut |_, stmt| {
        if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = stmt {
            tables_of(nest, value, &mut found, &mut others);
        }
    });
    found.retain(|buffer| !others.contains(buffer));
    found
}

fn tables_of(nest: &Nest, expr: &Expr, found: &mut Vec<BufferId>, others: &mut BTreeSet<BufferId>) {
    match element(nest, expr) {
        Some(access) if found.contains(&access.buffer) => {}
        Some(access) => found.push(access.buffer),
        None => match expr {
            Expr::Load(access) => drop(others.insert(access.buffer)),
            Expr::Lookup(buffer, at) => {
                others.insert(*buffer);
                tables_of(nest, at, found, others);
            }
            Expr::Op { args, .. } => args.iter().for_each(|arg| tables_of(nest, arg, found, others)),
            Expr::Int(..) | Expr::Index(_) | Expr::Local(..) => {}
        },
    }
}

/// The access of an expression that is an element of a constant, as a word.
fn element<'e>(nest: &Nest, expr: &'e Expr) -> Option<&'e Access> {
    let access = match expr {
        Expr::Load(access) if access.ty == Ty::I32 => access,
        Expr::Op { prim: Prim::Sext | Prim::Zext, args, .. } => match &args[..] {
            [Expr::Load(access)] if TYPES.contains(&access.ty) => access,
            _ => return None,
        },
        _ => return None,
    };
    let buffer = &nest.buffers[access.buffer.idx()];
    (buffer.is_const() && buffer.elem == access.ty && access.border.is_none()).then_some(access)
}

/// Reads a constant with elements of another type in the place of a table; tells by how many bytes it is larger.
fn retyped(nest: &mut Nest, table: BufferId, ty: Ty) -> isize {
    let Buffer { name, shape, elem, .. } = nest.buffers[table.idx()].clone();
    if elem == ty {
        return 0;
    }
    let name = fresh_name(nest, &format!("{name}_as"));
    let vars: Vec<_> = (0..shape.len()).map(|dim| fresh_var(nest, &format!("{name}_{dim}"))).collect();
    let index: Vec<Index> = vars.iter().map(|var| Index::var(*var)).collect();
    let made = BufferId::new(nest.buffers.len());
    let load = Expr::Load(Access { buffer: table, index: index.clone(), ty: elem, border: None });
    let store = Stmt::Store(Access { buffer: made, index, ty, border: None }, extended(load, elem));
    let block = vars.iter().zip(&shape).rev().fold(vec![store], |body, (var, extent)| {
        vec![Stmt::For(Loop { var: *var, extent: *extent, unroll: false }, body)]
    });
    nest.add_buffer(Buffer::new(name, ty, &shape, Role::Const(Init::Nest(block))));
    let bytes = |buffer: BufferId| nest.buffers[buffer.idx()].bytes() as isize;
    let grown = bytes(made) - bytes(table);
    let mut body = std::mem::take(&mut nest.body);
    replace(nest, &mut body, table, &|access| {
        extended(Expr::Load(Access { buffer: made, ty, ..access.clone() }), ty)
    });
    nest.body = body;
    grown
}

/// Puts what `with` makes of them in the place of all elements of a table.
fn replace(nest: &Nest, block: &mut [Stmt], table: BufferId, with: &dyn Fn(&Access) -> Expr) {
    for stmt in block {
        match stmt {
            Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) => {
                replace_in(nest, value, table, with);
            }
            Stmt::For(..) | Stmt::Reduce(_) => {}
        }
        blocks_mut(stmt).into_iter().for_each(|inner| replace(nest, inner, table, with));
    }
}

fn replace_in(nest: &Nest, expr: &mut Expr, table: BufferId, with: &dyn Fn(&Access) -> Expr) {
    match element(nest, expr) {
        Some(access) if access.buffer == table => *expr = with(access),
        Some(_) => {}
        None => match expr {
            Expr::Lookup(_, at) => replace_in(nest, at, table, with),
            Expr::Op { args, .. } => args.iter_mut().for_each(|arg| replace_in(nest, arg, table, with)),
            Expr::Int(..) | Expr::Index(_) | Expr::Local(..) | Expr::Load(_) => {}
        },
    }
}

#[cfg(test)]
mod tests {
    use ir::loops::alike::Alike;
    use ir::loops::text::parse_nest;
    use ir::loops::verify::verify;

    use super::*;

    /// The sums of two rows, from the elements of a table of this type.
    fn nest(ty: &str, bytes: &str) -> Nest {
        let load = if ty == "i32" {
            "b[n]"
        } else if ty.starts_with('u') {
            "zext b[n]"
        } else {
            "sext b[n]"
        };
        let text = format!(
            "loops @f(x: i8[2, 4], y: i32[2]) {{
               const b: {ty}[2] = hex\"{bytes}\"
               for n in 0..2 {{
                 reduce a: i32 over k in 0..4 {{
                   init {{ a = {load} }}
                   update {{ a = add a, sext(x[n, k]) }}
                   finish {{ y[n] = a }}
                 }}
               }}
             }}"
        );
        parse_nest(&text).expect("a nest")
    }

    /// The type that both tables get, and by how many bytes they grow together.
    fn common(mut a: Nest, mut b: Nest) -> (Ty, isize) {
        let grown = common_types(&mut [&mut a, &mut b]);
        assert!(Alike::new(&a, &b).is_ok(), "{a}\n{b}");
        assert!(verify(&a).is_empty() && verify(&b).is_empty(), "{a}\n{b}");
        (a.buffers[tables(&a)[0].idx()].elem, grown)
    }

    #[test]
    fn the_narrowest_type_that_holds_all_is_taken() {
        let (small, unsigned) = (|| nest("i8", "fe01"), || nest("u8", "fe01"));
        let words = || nest("i32", "fe00000001000000");
        assert_eq!(common(small(), small()), (Ty::I8, 0));
        assert_eq!(common(nest("i8", "0201"), unsigned()), (Ty::U8, 0));
        assert_eq!(common(small(), unsigned()), (Ty::I16, 4));
        assert_eq!(common(unsigned(), words()), (Ty::U8, -6));
        assert_eq!(common(small(), words()), (Ty::I32, 6));
    }
}
