//! What of a nest decides what its scratch holds: for bounds of what is loaded from there.

use ir::loops::{BufferId, Nest, Reduce, Role, Stmt};

/// The statements of the body that store to scratch, with what is around them and the values that they may use.
pub fn writers(nest: &Nest) -> Vec<Stmt> {
    let scratch = |buffer: BufferId| nest.buffers[buffer.idx()].role == Role::Scratch;
    kept(&nest.body, &scratch)
}

fn kept(block: &[Stmt], scratch: &dyn Fn(BufferId) -> bool) -> Vec<Stmt> {
    let keep = |stmt: &Stmt| match stmt {
        Stmt::For(l, body) if stores(body, scratch) => Some(Stmt::For(l.clone(), kept(body, scratch))),
        Stmt::Reduce(reduce) if parts(reduce).iter().any(|part| stores(part, scratch)) => {
            Some(Stmt::Reduce(Reduce { finish: kept(&reduce.finish, scratch), ..reduce.clone() }))
        }
        Stmt::For(..) | Stmt::Reduce(_) => None,
        Stmt::Store(access, _) => scratch(access.buffer).then(|| stmt.clone()),
        Stmt::Let(..) | Stmt::Set(..) => Some(stmt.clone()),
    };
    block.iter().filter_map(keep).collect()
}

fn parts(reduce: &Reduce) -> [&[Stmt]; 3] {
    [&reduce.init, &reduce.update, &reduce.finish]
}

fn stores(block: &[Stmt], scratch: &dyn Fn(BufferId) -> bool) -> bool {
    block.iter().any(|stmt| match stmt {
        Stmt::For(_, body) => stores(body, scratch),
        Stmt::Reduce(reduce) => parts(reduce).iter().any(|part| stores(part, scratch)),
        Stmt::Store(access, _) => scratch(access.buffer),
        Stmt::Let(..) | Stmt::Set(..) => false,
    })
}
