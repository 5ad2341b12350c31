//! Indices without the `div` and `mod` that the extents of the loops around make superfluous.
//!
//! ```text
//! for o in 0..5 { for i in 0..4 { y[(4*o + i) div 4, (4*o + i) mod 4] = … } }
//! =>
//! for o in 0..5 { for i in 0..4 { y[o, i] = … } }
//! ```
//!
//! For the steps that put sums in the place of variables; it is no step itself.

use ir::loops::{Loop, Nest, Stmt};

use super::edit::{Extents, visit_indices};

/// Simplifies every index of the body.
pub fn simplify(nest: &mut Nest) {
    simplify_block(&mut nest.body, &mut Extents::new());
}

fn simplify_block(block: &mut [Stmt], around: &mut Extents) {
    for stmt in block {
        match stmt {
            Stmt::For(l, body) => inside(std::slice::from_ref(l), body, around),
            Stmt::Reduce(reduce) => {
                simplify_block(&mut reduce.init, around);
                inside(&reduce.loops, &mut reduce.update, around);
                simplify_block(&mut reduce.finish, around);
            }
            Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => {
                visit_indices(std::slice::from_mut(stmt), &mut |index| {
                    *index = index.within(&|var| (0, i64::from(around[&var]) - 1));
                });
            }
        }
    }
}

fn inside(loops: &[Loop], body: &mut [Stmt], around: &mut Extents) {
    around.extend(loops.iter().map(|l| (l.var, l.extent)));
    simplify_block(body, around);
    loops.iter().for_each(|l| {
        around.remove(&l.var);
    });
}
