//! What several rewrites need: visiting the accesses of a nest with the ranges of its loop variables, and fresh names.

use std::collections::BTreeMap;

use ir::loops::{Access, Expr, LocalId, Loop, Nest, Stmt, VarId};
use ir::ty::Ty;

/// The extents of the loops around a place.
pub type Extents = BTreeMap<VarId, u32>;

/// Calls `visit` for every load in `block`, with the extents of the loops around it.
pub fn visit_loads(block: &mut [Stmt], around: &mut Extents, visit: &mut dyn FnMut(&mut Access, &Extents)) {
    for stmt in block {
        match stmt {
            Stmt::For(l, body) => {
                inside(std::slice::from_ref(l), around, |around| visit_loads(body, around, visit))
            }
            Stmt::Reduce(reduce) => {
                visit_loads(&mut reduce.init, around, visit);
                inside(&reduce.loops, around, |around| visit_loads(&mut reduce.update, around, visit));
                visit_loads(&mut reduce.finish, around, visit);
            }
            Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) => {
                visit_loads_of(value, &mut |access| visit(access, around));
            }
        }
    }
}

/// Calls `visit` for every load in an expression.
pub fn visit_loads_of(expr: &mut Expr, visit: &mut dyn FnMut(&mut Access)) {
    match expr {
        Expr::Load(access) => visit(access),
        Expr::Lookup(_, position) => visit_loads_of(position, visit),
        Expr::Op { args, .. } => args.iter_mut().for_each(|arg| visit_loads_of(arg, visit)),
        Expr::Int(..) | Expr::Index(_) | Expr::Local(..) => {}
    }
}

/// Adds a loop variable whose name begins with `name` and is used nowhere else.
pub fn fresh_var(nest: &mut Nest, name: &str) -> VarId {
    let name = fresh_name(nest, name);
    nest.add_var(name)
}

/// Adds a named value whose name begins with `name` and is used nowhere else.
pub fn fresh_local(nest: &mut Nest, name: &str, ty: Ty) -> LocalId {
    let name = fresh_name(nest, name);
    nest.add_local(name, ty, &[])
}

/// `name`, or `name` with the least number that makes it unique in the nest.
pub fn fresh_name(nest: &Nest, name: &str) -> String {
    let taken = |candidate: &str| {
        nest.vars.iter().any(|var| var == candidate)
            || nest.locals.iter().any(|local| local.name == candidate)
            || nest.buffers.iter().any(|buffer| buffer.name == candidate)
    };
    if !taken(name) {
        return name.to_string();
    }
    let numbered = (1u32..).map(|number| format!("{name}_{number}"));
    numbered.into_iter().find(|candidate| !taken(candidate)).expect("a nest has finitely many names")
}

/// Runs `f` with `loops` among the loops around.
fn inside(loops: &[Loop], around: &mut Extents, f: impl FnOnce(&mut Extents)) {
    around.extend(loops.iter().map(|l| (l.var, l.extent)));
    f(around);
    loops.iter().for_each(|l| {
        around.remove(&l.var);
    });
}
