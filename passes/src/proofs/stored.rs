//! What of a nest decides what is of interest: what its scratch holds, or the operands of an operation.

use ir::loops::{BufferId, Expr, LocalId, Nest, Reduce, Role, Stmt, StmtNo};

/// The statements of the body that store to scratch, with what is around them and the values that they may use.
pub fn writers(nest: &Nest) -> Vec<Stmt> {
    let scratch = |buffer: BufferId| nest.buffers[buffer.idx()].role == Role::Scratch;
    kept(&nest.body, &scratch)
}

/// Whether a statement has a part in what is wanted: a loop or a sum without wanted operations, whose values end with it, has none.
pub fn matters(stmt: &Stmt, is_wanted: &dyn Fn(&Expr) -> bool) -> bool {
    if let Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) = stmt {
        return true;
    }
    let (mut has_wanted, mut begun, mut set) = (false, Vec::<LocalId>::new(), Vec::new());
    ir::loops::walk::walk(std::slice::from_ref(stmt), StmtNo(0), &mut |_, inner| match inner {
        Stmt::For(..) => {}
        Stmt::Reduce(reduce) => begun.extend(&reduce.carried),
        Stmt::Let(_, value) | Stmt::Store(_, value) => has_wanted |= has(value, is_wanted),
        Stmt::Set(local, _, value) => {
            has_wanted |= has(value, is_wanted);
            set.push(*local);
        }
    });
    has_wanted || set.iter().any(|local| !begun.contains(local))
}

fn has(expr: &Expr, is_wanted: &dyn Fn(&Expr) -> bool) -> bool {
    is_wanted(expr)
        || match expr {
            Expr::Lookup(_, at) => has(at, is_wanted),
            Expr::Op { args, .. } => args.iter().any(|arg| has(arg, is_wanted)),
            Expr::Int(..) | Expr::Index(_) | Expr::Local(..) | Expr::Load(_) => false,
        }
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
