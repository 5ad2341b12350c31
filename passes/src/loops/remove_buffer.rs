//! Takes a buffer out of a nest: those behind it get other numbers. For steps; it is no step itself.

use ir::loops::{BufferId, Expr, Init, Nest, Role, Stmt};

use super::edit::blocks_mut;

/// Takes a buffer out of a nest of which no statement names it.
pub fn remove_buffer(nest: &mut Nest, buffer: BufferId) {
    let renumber = |other: &mut BufferId| {
        debug_assert_ne!(*other, buffer, "nobody names it");
        if other.idx() > buffer.idx() {
            *other = BufferId::new(other.idx() - 1);
        }
    };
    nest.buffers.remove(buffer.idx());
    visit_buffers(&mut nest.body, &renumber);
    for buffer in &mut nest.buffers {
        if let Role::Const(Init::Nest(block)) = &mut buffer.role {
            visit_buffers(block, &renumber);
        }
    }
}

/// Calls `visit` for every mention of a buffer in a block.
fn visit_buffers(block: &mut [Stmt], visit: &dyn Fn(&mut BufferId)) {
    for stmt in block {
        match stmt {
            Stmt::Store(to, value) => {
                visit(&mut to.buffer);
                visit_buffers_of(value, visit);
            }
            Stmt::Let(_, value) | Stmt::Set(_, _, value) => visit_buffers_of(value, visit),
            Stmt::For(..) | Stmt::Reduce(_) => {}
        }
        blocks_mut(stmt).into_iter().for_each(|inner| visit_buffers(inner, visit));
    }
}

fn visit_buffers_of(expr: &mut Expr, visit: &dyn Fn(&mut BufferId)) {
    match expr {
        Expr::Load(access) => visit(&mut access.buffer),
        Expr::Lookup(buffer, at) => {
            visit(buffer);
            visit_buffers_of(at, visit);
        }
        Expr::Op { args, .. } => args.iter_mut().for_each(|arg| visit_buffers_of(arg, visit)),
        Expr::Int(..) | Expr::Index(_) | Expr::Local(..) => {}
    }
}
