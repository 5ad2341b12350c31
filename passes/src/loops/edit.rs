//! What several rewrites need: visiting the accesses of a nest with the ranges of its loop variables, and fresh names.

use std::collections::BTreeMap;

use ir::diag::Diagnostic;
use ir::loops::{Access, BufferId, Expr, Index, LocalId, Loop, Nest, Prim, Reduce, Stmt, VarId};
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

/// The variables of the loops of the body, in the order of the text.
pub fn axes(nest: &Nest) -> Vec<VarId> {
    loops(nest).into_iter().map(|l| l.var).collect()
}

/// The variables of a loop of the body and of those inside of it.
pub fn axes_within(nest: &Nest, axis: VarId) -> Vec<VarId> {
    let mut body = nest.body.clone();
    let inside = with_loop(&mut body, axis, &mut |site| {
        let mut found = Vec::new();
        match site {
            Site::For(block, at) => collect_vars(&block[at..=at], &mut found),
            Site::Reduction(block, at, _) => match &block[at] {
                Stmt::Reduce(reduce) => {
                    found.push(axis);
                    collect_vars(&reduce.update, &mut found);
                }
                _ => unreachable!("a site is a reduction"),
            },
        }
        found
    });
    inside.unwrap_or_default()
}

/// The loops of the body, in the order of the text.
pub fn loops(nest: &Nest) -> Vec<Loop> {
    let mut out = Vec::new();
    ir::loops::walk::walk(&nest.body, ir::loops::walk::StmtNo(0), &mut |_, stmt| match stmt {
        Stmt::For(l, _) => out.push(l.clone()),
        Stmt::Reduce(reduce) => out.extend(reduce.loops.iter().cloned()),
        Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => {}
    });
    out
}

/// Where a loop stands.
pub enum Site<'a> {
    /// It is the statement at this position of the block.
    For(&'a mut Vec<Stmt>, usize),
    /// It is a loop, at the last position, of the reduction at the position before it in the block.
    Reduction(&'a mut Vec<Stmt>, usize, usize),
}

/// Calls `f` with the place of the loop over `var`; `None` where there is no such loop.
pub fn with_loop<R>(block: &mut Vec<Stmt>, var: VarId, f: &mut dyn FnMut(Site) -> R) -> Option<R> {
    for at in 0..block.len() {
        match &block[at] {
            Stmt::For(l, _) if l.var == var => return Some(f(Site::For(block, at))),
            Stmt::Reduce(reduce) => {
                if let Some(position) = reduce.loops.iter().position(|l| l.var == var) {
                    return Some(f(Site::Reduction(block, at, position)));
                }
            }
            _ => {}
        }
        for inner in blocks_mut(&mut block[at]) {
            if let Some(result) = with_loop(inner, var, f) {
                return Some(result);
            }
        }
    }
    None
}

/// The blocks inside a statement.
pub fn blocks_mut(stmt: &mut Stmt) -> Vec<&mut Vec<Stmt>> {
    match stmt {
        Stmt::For(_, body) => vec![body],
        Stmt::Reduce(reduce) => vec![&mut reduce.init, &mut reduce.update, &mut reduce.finish],
        Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => Vec::new(),
    }
}

/// The loop over `var`; the caller knows that it is there.
pub fn loop_of(nest: &mut Nest, var: VarId) -> Loop {
    let found = with_loop(&mut nest.body, var, &mut |site| match site {
        Site::For(block, at) => match &block[at] {
            Stmt::For(l, _) => l.clone(),
            _ => unreachable!("a site is a loop"),
        },
        Site::Reduction(block, at, position) => match &block[at] {
            Stmt::Reduce(reduce) => reduce.loops[position].clone(),
            _ => unreachable!("a site is a reduction"),
        },
    });
    found.expect("an axis is found by name in the body")
}

/// A copy of what the loop over `axis` repeats; for a loop of a reduction, at the given position, `of_reduction` tells what that is.
pub fn body_of(
    nest: &mut Nest,
    axis: VarId,
    of_reduction: impl Fn(&Reduce, usize) -> Option<Vec<Stmt>>,
) -> Option<Vec<Stmt>> {
    with_loop(&mut nest.body, axis, &mut |site| match site {
        Site::For(block, at) => match &block[at] {
            Stmt::For(_, body) => Some(body.clone()),
            _ => unreachable!("a site is a loop"),
        },
        Site::Reduction(block, at, position) => match &block[at] {
            Stmt::Reduce(reduce) => of_reduction(reduce, position),
            _ => unreachable!("a site is a reduction"),
        },
    })?
}

/// Puts statements in the place of the loop over `axis`; those of a reduction become its update, in the place of all its loops.
pub fn replace_loop(nest: &mut Nest, axis: VarId, mut stmts: Vec<Stmt>) {
    with_loop(&mut nest.body, axis, &mut |site| match site {
        Site::For(block, at) => drop(block.splice(at..=at, std::mem::take(&mut stmts))),
        Site::Reduction(block, at, _) => {
            let Stmt::Reduce(reduce) = &mut block[at] else { unreachable!("a site is a reduction") };
            reduce.loops.clear();
            reduce.update = std::mem::take(&mut stmts);
        }
    });
}

/// Puts `value` in the place of `var` in everything inside a block.
pub fn substitute(block: &mut [Stmt], var: VarId, value: &Index) {
    let index = |index: &mut Index| {
        *index = index.substitute(&|found| if found == var { value.clone() } else { Index::var(found) });
    };
    visit_indices(block, &mut |found| index(found));
}

/// Calls `visit` for every index in a block.
pub fn visit_indices(block: &mut [Stmt], visit: &mut dyn FnMut(&mut Index)) {
    for stmt in block {
        match stmt {
            Stmt::For(..) | Stmt::Reduce(_) => {}
            Stmt::Let(_, value) => visit_indices_of(value, visit),
            Stmt::Set(_, at, value) => {
                at.iter_mut().for_each(&mut *visit);
                visit_indices_of(value, visit);
            }
            Stmt::Store(access, value) => {
                access.index.iter_mut().for_each(&mut *visit);
                visit_indices_of(value, visit);
            }
        }
        blocks_mut(stmt).into_iter().for_each(|inner| visit_indices(inner, visit));
    }
}

/// Calls `visit` for every index in an expression.
pub fn visit_indices_of(expr: &mut Expr, visit: &mut dyn FnMut(&mut Index)) {
    match expr {
        Expr::Int(..) => {}
        Expr::Index(index) => visit(index),
        Expr::Local(_, at) => at.iter_mut().for_each(&mut *visit),
        Expr::Load(access) => access.index.iter_mut().for_each(&mut *visit),
        Expr::Lookup(_, at) => visit_indices_of(at, visit),
        Expr::Op { args, .. } => args.iter_mut().for_each(|arg| visit_indices_of(arg, visit)),
    }
}

/// Gives every loop inside a block a variable of its own with the same name: for a copy of the block.
pub fn renew_vars(nest: &mut Nest, block: &mut [Stmt]) {
    rename_vars(nest, block, "");
}

/// Gives every loop inside a block a variable of its own whose name ends with `suffix`: for a copy that steps can name.
pub fn rename_vars(nest: &mut Nest, block: &mut [Stmt], suffix: &str) {
    let mut old = Vec::new();
    collect_vars(block, &mut old);
    for var in old {
        let new = nest.add_var(format!("{}{suffix}", nest.vars[var.idx()]));
        substitute(block, var, &Index::var(new));
        replace_loop_var(block, var, new);
    }
}

fn collect_vars(block: &[Stmt], out: &mut Vec<VarId>) {
    for stmt in block {
        match stmt {
            Stmt::For(l, _) => out.push(l.var),
            Stmt::Reduce(reduce) => out.extend(reduce.loops.iter().map(|l| l.var)),
            Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => {}
        }
        ir::loops::walk::blocks(stmt).into_iter().for_each(|inner| collect_vars(inner, out));
    }
}

fn replace_loop_var(block: &mut [Stmt], old: VarId, new: VarId) {
    let replace = |l: &mut Loop| {
        if l.var == old {
            l.var = new;
        }
    };
    for stmt in block {
        match stmt {
            Stmt::For(l, _) => replace(l),
            Stmt::Reduce(reduce) => reduce.loops.iter_mut().for_each(replace),
            Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => {}
        }
        blocks_mut(stmt).into_iter().for_each(|inner| replace_loop_var(inner, old, new));
    }
}

/// Gives every value that a block defines a local of its own with the same name: for a copy of the block.
pub fn rename_locals(nest: &mut Nest, block: &mut [Stmt]) {
    let mut defined = Vec::new();
    collect_locals(block, &mut defined);
    for old in defined {
        let new = LocalId::new(nest.locals.len());
        nest.locals.push(nest.locals[old.idx()].clone());
        visit_locals(block, &mut |local| {
            if *local == old {
                *local = new;
            }
        });
    }
}

fn collect_locals(block: &[Stmt], out: &mut Vec<LocalId>) {
    for stmt in block {
        match stmt {
            Stmt::Let(local, _) => out.push(*local),
            Stmt::Reduce(reduce) => out.extend(reduce.carried.iter().copied()),
            Stmt::For(..) | Stmt::Set(..) | Stmt::Store(..) => {}
        }
        ir::loops::walk::blocks(stmt).into_iter().for_each(|inner| collect_locals(inner, out));
    }
}

/// Calls `visit` for every mention of a named value in a block.
pub fn visit_locals(block: &mut [Stmt], visit: &mut dyn FnMut(&mut LocalId)) {
    for stmt in block {
        match stmt {
            Stmt::Let(local, value) | Stmt::Set(local, _, value) => {
                visit(local);
                visit_locals_of(value, visit);
            }
            Stmt::Store(_, value) => visit_locals_of(value, visit),
            Stmt::Reduce(reduce) => reduce.carried.iter_mut().for_each(&mut *visit),
            Stmt::For(..) => {}
        }
        blocks_mut(stmt).into_iter().for_each(|inner| visit_locals(inner, visit));
    }
}

/// Calls `visit` for every mention of a named value in an expression.
pub fn visit_locals_of(expr: &mut Expr, visit: &mut dyn FnMut(&mut LocalId)) {
    match expr {
        Expr::Local(local, _) => visit(local),
        Expr::Lookup(_, at) => visit_locals_of(at, visit),
        Expr::Op { args, .. } => args.iter_mut().for_each(|arg| visit_locals_of(arg, visit)),
        Expr::Int(..) | Expr::Index(_) | Expr::Load(_) => {}
    }
}

/// Whether no iteration of the loops from `stmt` on can see what another one does: what is written is not read, except the
/// very element that the iteration writes, and values from around the loops are only added to, or the like.
pub fn independent(stmt: &Stmt) -> bool {
    let set = set_from_around(stmt);
    if !set.is_empty() && !accumulates(stmt, &set, &mut BTreeMap::new()) {
        return false;
    }
    let mut stored: Vec<Access> = Vec::new();
    let mut loaded: Vec<Access> = Vec::new();
    let mut lookups = Vec::new();
    ir::loops::walk::walk(std::slice::from_ref(stmt), ir::loops::walk::StmtNo(0), &mut |_, stmt| {
        if let Stmt::Store(access, _) = stmt {
            stored.push(access.clone());
        }
        let mut copy = stmt.clone();
        if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = &mut copy {
            visit_loads_of(value, &mut |access| loaded.push(access.clone()));
            visit_lookups_of(value, &mut |buffer| lookups.push(buffer));
        }
    });
    stored.iter().all(|store| {
        let same = |load: &&Access| load.buffer == store.buffer;
        loaded.iter().filter(same).all(|load| load.index == store.index && load.ty == store.ty)
            && !lookups.contains(&store.buffer)
    })
}

/// The values that a statement sets and that are carried by no reduction inside of it.
fn set_from_around(stmt: &Stmt) -> Vec<LocalId> {
    let (mut set, mut carried) = (Vec::new(), Vec::new());
    ir::loops::walk::walk(
        std::slice::from_ref(stmt),
        ir::loops::walk::StmtNo(0),
        &mut |_, stmt| match stmt {
            Stmt::Set(local, ..) => set.push(*local),
            Stmt::Reduce(reduce) => carried.extend_from_slice(&reduce.carried),
            _ => {}
        },
    );
    set.retain(|local| !carried.contains(local));
    set
}

/// Calls `visit` for every buffer that an expression reads at a position that depends on data.
pub fn visit_lookups_of(expr: &Expr, visit: &mut dyn FnMut(ir::loops::BufferId)) {
    match expr {
        Expr::Lookup(buffer, at) => {
            visit(*buffer);
            visit_lookups_of(at, visit);
        }
        Expr::Op { args, .. } => args.iter().for_each(|arg| visit_lookups_of(arg, visit)),
        Expr::Int(..) | Expr::Index(_) | Expr::Local(..) | Expr::Load(_) => {}
    }
}

/// Whether the result of a reduction, inside of loops perhaps, does not depend on the order of its steps: each carried value is
/// only added to, or only compared by `min`, or only by `max`, and nothing else happens.
pub fn order_is_free(stmt: &Stmt) -> bool {
    match stmt {
        Stmt::For(_, body) => body.len() == 1 && order_is_free(&body[0]),
        Stmt::Reduce(reduce) => {
            let mut kinds = BTreeMap::new();
            reduce.update.iter().all(|step| accumulates(step, &reduce.carried, &mut kinds))
        }
        Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => false,
    }
}

/// How the steps of a reduction change a carried value; steps of one kind may change places.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accumulation {
    Sum,
    Least,
    Greatest,
}

/// Whether a statement only accumulates, each carried value in the way that `kinds` has for it.
fn accumulates(stmt: &Stmt, carried: &[LocalId], kinds: &mut BTreeMap<LocalId, Accumulation>) -> bool {
    match stmt {
        Stmt::For(_, body) => body.iter().all(|stmt| accumulates(stmt, carried, kinds)),
        Stmt::Let(_, value) => !mentions(value, carried),
        Stmt::Set(local, at, Expr::Op { prim, args, .. }) => {
            let kind = match prim {
                Prim::Add | Prim::Sub | Prim::Dot2 | Prim::Dot2Cross => Accumulation::Sum,
                Prim::Min => Accumulation::Least,
                Prim::Max => Accumulation::Greatest,
                _ => return false,
            };
            let commutes = matches!(prim, Prim::Add | Prim::Min | Prim::Max);
            let itself = args.iter().position(|arg| *arg == Expr::Local(*local, at.clone()));
            let alone =
                |skip: usize| args.iter().enumerate().all(|(n, arg)| n == skip || !mentions(arg, carried));
            let accumulated = itself.is_some_and(|first| (first == 0 || commutes) && alone(first));
            accumulated && *kinds.entry(*local).or_insert(kind) == kind
        }
        Stmt::Set(..) | Stmt::Store(..) | Stmt::Reduce(_) => false,
    }
}

fn mentions(expr: &Expr, locals: &[LocalId]) -> bool {
    let mut found = false;
    visit_locals_of(&mut expr.clone(), &mut |local| found |= locals.contains(local));
    found
}

/// Calls `visit` with every mention of a named value in a block and with its indices.
pub fn visit_local_uses(block: &mut [Stmt], visit: &mut dyn FnMut(LocalId, &mut Vec<Index>)) {
    for stmt in block {
        match stmt {
            Stmt::Set(local, at, value) => {
                visit(*local, at);
                visit_local_uses_of(value, visit);
            }
            Stmt::Let(_, value) | Stmt::Store(_, value) => visit_local_uses_of(value, visit),
            Stmt::For(..) | Stmt::Reduce(_) => {}
        }
        blocks_mut(stmt).into_iter().for_each(|inner| visit_local_uses(inner, visit));
    }
}

/// Calls `visit` with every mention of a named value in an expression and with its indices.
pub fn visit_local_uses_of(expr: &mut Expr, visit: &mut dyn FnMut(LocalId, &mut Vec<Index>)) {
    match expr {
        Expr::Local(local, at) => visit(*local, at),
        Expr::Lookup(_, at) => visit_local_uses_of(at, visit),
        Expr::Op { args, .. } => args.iter_mut().for_each(|arg| visit_local_uses_of(arg, visit)),
        Expr::Int(..) | Expr::Index(_) | Expr::Load(_) => {}
    }
}

/// Whether a block writes the buffer.
pub fn stores_to(block: &[Stmt], buffer: BufferId) -> bool {
    block.iter().any(|stmt| match stmt {
        Stmt::For(_, body) => stores_to(body, buffer),
        Stmt::Reduce(r) => [&r.init, &r.update, &r.finish].iter().any(|block| stores_to(block, buffer)),
        Stmt::Store(access, _) => access.buffer == buffer,
        Stmt::Let(..) | Stmt::Set(..) => false,
    })
}

/// A loaded value as a store takes it.
pub fn extended(load: Expr, elem: Ty) -> Expr {
    let prim = match elem {
        Ty::I8 | Ty::I16 => Prim::Sext,
        Ty::U8 | Ty::U16 => Prim::Zext,
        _ => return load,
    };
    Expr::Op { prim, args: vec![load], imm: Vec::new() }
}

/// Takes what the loop over `axis` repeats, or the body of the nest without one, and puts back what `rewrite` makes of it.
pub fn rewrite_body(
    nest: &mut Nest,
    axis: Option<VarId>,
    rewrite: impl FnOnce(&mut Nest, Vec<Stmt>) -> Result<Vec<Stmt>, Diagnostic>,
) -> Result<(), Diagnostic> {
    let Some(axis) = axis else {
        let body = std::mem::take(&mut nest.body);
        nest.body = rewrite(nest, body)?;
        return Ok(());
    };
    let body = with_loop(&mut nest.body, axis, &mut |site| repeated(site).map(std::mem::take));
    let Some(body) = body.flatten() else {
        let name = &nest.vars[axis.idx()];
        return Err(Diagnostic::new(format!("`{name}` is not the innermost loop of its reduction"))
            .help("legal: a loop around reductions, and the innermost loop of one"));
    };
    let mut body = rewrite(nest, body)?;
    with_loop(&mut nest.body, axis, &mut |site| {
        if let Some(place) = repeated(site) {
            place.append(&mut body);
        }
    });
    Ok(())
}

/// The statements that a loop repeats, unless other loops of the same reduction are between.
fn repeated(site: Site<'_>) -> Option<&mut Vec<Stmt>> {
    match site {
        Site::For(block, at) => match &mut block[at] {
            Stmt::For(_, body) => Some(body),
            _ => unreachable!("a site is a loop"),
        },
        Site::Reduction(block, at, position) => match &mut block[at] {
            Stmt::Reduce(reduce) => (position + 1 == reduce.loops.len()).then_some(&mut reduce.update),
            _ => unreachable!("a site is a reduction"),
        },
    }
}
