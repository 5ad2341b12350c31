//! `interleave BUFFER … at AXIS`: constants that a loop's body reads go into one, in the order in which it reads them.
//!
//! ```text
//! for n.o in 0..16 { reduce a: i32[2] over k in 0..32 {
//!   init   { for n.i in 0..2 unroll { a[n.i] = b[2*n.o + n.i] } }
//!   update { for n.i in 0..2 unroll { a[n.i] = dot2 a[n.i], …, w[n.o, n.i, 2*k] as i16x2 } }
//!   finish { for n.i in 0..2 unroll { … m[2*n.o + n.i] … } }
//! } }
//! => interleave b w m at n.o
//! const stream: i32[16, 68] = …
//! for n.o in 0..16 { reduce a: i32[2] over k in 0..32 {
//!   init   { for n.i in 0..2 unroll { a[n.i] = stream[n.o, n.i] } }
//!   update { for n.i in 0..2 unroll { a[n.i] = dot2 a[n.i], …, as_i16x2(stream[n.o, 2*k + n.i + 2]) } }
//!   finish { for n.i in 0..2 unroll { … stream[n.o, n.i + 66] … } }
//! } }
//! ```
//!
//! One pointer serves them all, and nothing that is not read takes memory. A loop inside that a load does not vary with has its words once, in front.
//! Without names all constants that are read in words and move with the axis take part. Legal for constants that the body
//! reads in words of 32 bits, at least one of which moves with the axis.

use ir::diag::Diagnostic;
use ir::loops::{
    Access, Buffer, BufferId, Expr, Index, Init, Loop, MOST_ITERATIONS, Nest, Prim, Role, Stmt, VarId,
};
use ir::ty::Ty;

use super::edit::{
    Extents, blocks_mut, fresh_name, loop_of, loops, renew_vars, rewrite_body, visit_loads_of,
};
use super::pack::constant;
use super::step::{Arg, StepDef};

/// The step.
pub const STEP: StepDef = StepDef {
    name: "interleave",
    usage: "interleave BUFFER … at AXIS or interleave at AXIS",
    summary: "Put constants that a loop's body reads into one, in the order in which it reads them",
    run: |nest, args| {
        let n_names = (0..args.len()).take_while(|at| args.get(*at) != Some(&Arg::Word("at".into()))).count();
        args.at_most(n_names + 2)?;
        let axis = args.axis(nest, n_names + 1)?;
        let named: Result<Vec<BufferId>, Diagnostic> =
            (0..n_names).map(|at| constant(nest, args.word(at)?)).collect();
        interleave(nest, &named?, axis)
    },
};

/// Puts the words of the constants, or of all where there are none, that the body of the loop over `axis` reads into one stream.
pub fn interleave(nest: &mut Nest, named: &[BufferId], axis: VarId) -> Result<(), Diagnostic> {
    let name = nest.vars[axis.idx()].clone();
    let around = loop_of(nest, axis);
    let all: Vec<Loop> = loops(nest);
    rewrite_body(nest, Some(axis), |nest, mut body| {
        check_words(nest, named, &body)?;
        let mut stream = Stream { nest, named, axis, seen: Vec::new() };
        let (size, places) = stream.block(&body, &|_| true);
        if places.is_empty() {
            let what = if named.is_empty() { "no constant" } else { "none of them" };
            return Err(Diagnostic::new(format!("{what} is read in words that move with it"))
                .help("legal at a loop that the constants' loads vary with"));
        }
        let outer = outer_loops(&all, &places, &body, axis);
        let dims: Vec<Loop> = outer.into_iter().chain([around]).collect();
        let buffer = constant_of(nest, &dims, &all, size, &places)?;
        replace(&mut body, &|access| {
            let (_, place) = places.iter().find(|(placed, _)| placed == access)?;
            Some(word(buffer, &dims, place, access.ty))
        });
        Ok(body)
    })
    .map_err(|error| Diagnostic {
        message: format!("cannot interleave constants at `{name}`: {}", error.message),
        ..error
    })
}

/// What is read, and its place among the words of an iteration.
type Places = Vec<(Access, Index)>;

/// Gives each load a place.
struct Stream<'n> {
    nest: &'n Nest,
    named: &'n [BufferId],
    axis: VarId,
    /// Loads that have one.
    seen: Vec<Access>,
}

impl Stream<'_> {
    /// The number of words of a block, and the place of each that `select` accepts.
    fn block(&mut self, block: &[Stmt], select: &dyn Fn(&Access) -> bool) -> (u64, Places) {
        let (mut size, mut places) = (0, Vec::new());
        for stmt in block {
            let (own, found) = self.stmt(stmt, select);
            places.extend(found.into_iter().map(|(access, at)| (access, at.offset(size as i64))));
            size += own;
        }
        (size, places)
    }

    fn stmt(&mut self, stmt: &Stmt, select: &dyn Fn(&Access) -> bool) -> (u64, Places) {
        match stmt {
            Stmt::For(l, body) => self.repeated(std::slice::from_ref(l), body, select),
            Stmt::Reduce(reduce) => {
                let parts =
                    [(&[][..], &reduce.init), (&reduce.loops[..], &reduce.update), (&[][..], &reduce.finish)];
                let (mut size, mut places) = (0, Vec::new());
                for (loops, part) in parts {
                    let (own, found) = self.repeated(loops, part, select);
                    places.extend(found.into_iter().map(|(access, at)| (access, at.offset(size as i64))));
                    size += own;
                }
                (size, places)
            }
            Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) => {
                let mut places: Places = Vec::new();
                visit_loads_of(&mut value.clone(), &mut |access| {
                    if select(access) && self.takes(access) && !self.seen.contains(access) {
                        self.seen.push(access.clone());
                        places.push((access.clone(), Index::constant(places.len() as i64)));
                    }
                });
                (places.len() as u64, places)
            }
        }
    }

    /// What a loop does not move comes first, then a group of words for each iteration.
    fn repeated(&mut self, loops: &[Loop], body: &[Stmt], select: &dyn Fn(&Access) -> bool) -> (u64, Places) {
        let [l, inner @ ..] = loops else { return self.block(body, select) };
        let (fixed, mut places) =
            self.repeated(inner, body, &|access| select(access) && !moves(access, l.var));
        let (group, moved) = self.repeated(inner, body, &|access| select(access) && moves(access, l.var));
        let number = Index::var(l.var).scale(group as i64).offset(fixed as i64);
        places.extend(moved.into_iter().map(|(access, at)| (access, at.add(&number))));
        (fixed + group * u64::from(l.extent), places)
    }

    /// Whether a load becomes one of the stream.
    fn takes(&self, access: &Access) -> bool {
        let is_named = self.named.is_empty() || self.named.contains(&access.buffer);
        is_named
            && self.nest.buffers[access.buffer.idx()].is_const()
            && is_word(access)
            && moves(access, self.axis)
    }
}

fn is_word(access: &Access) -> bool {
    matches!(access.ty, Ty::I32 | Ty::I16x2 | Ty::I8x4 | Ty::U8x4) && access.border.is_none()
}

fn moves(access: &Access, var: VarId) -> bool {
    let mut used = Vec::new();
    access.index.iter().for_each(|index| index.vars(&mut used));
    used.contains(&var)
}

/// Refuses a named constant that is read in another way.
fn check_words(nest: &Nest, named: &[BufferId], body: &[Stmt]) -> Result<(), Diagnostic> {
    let mut narrow = None;
    ir::loops::walk::walk(body, ir::loops::StmtNo(0), &mut |_, stmt| {
        if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = stmt {
            visit_loads_of(&mut value.clone(), &mut |access| {
                if named.contains(&access.buffer) && !is_word(access) {
                    narrow = Some(access.clone());
                }
            });
        }
    });
    let Some(access) = narrow else { return Ok(()) };
    let name = &nest.buffers[access.buffer.idx()].name;
    Err(Diagnostic::new(format!("`{name}` is read as `{}`, not in words", access.ty))
        .help("join what is read to words first: `vectorize`"))
}

/// The loops around the axis that move some load.
fn outer_loops(all: &[Loop], places: &Places, body: &[Stmt], axis: VarId) -> Vec<Loop> {
    let mut inside = vec![axis];
    ir::loops::walk::walk(body, ir::loops::StmtNo(0), &mut |_, stmt| match stmt {
        Stmt::For(l, _) => inside.push(l.var),
        Stmt::Reduce(reduce) => inside.extend(reduce.loops.iter().map(|l| l.var)),
        Stmt::Let(..) | Stmt::Set(..) | Stmt::Store(..) => {}
    });
    let is_outer =
        |l: &&Loop| !inside.contains(&l.var) && places.iter().any(|(access, _)| moves(access, l.var));
    all.iter().filter(is_outer).cloned().collect()
}

/// The stream: for the iterations of `dims`, `size` words each.
fn constant_of(
    nest: &mut Nest,
    dims: &[Loop],
    all: &[Loop],
    size: u64,
    places: &Places,
) -> Result<BufferId, Diagnostic> {
    let words = dims.iter().try_fold(size, |words, l| words.checked_mul(l.extent.into()));
    if words.is_none_or(|words| words > MOST_ITERATIONS.into()) {
        return Err(Diagnostic::new("the stream would be too long").help("legal further in"));
    }
    let extents: Extents = all.iter().map(|l| (l.var, l.extent)).collect();
    let made = BufferId::new(nest.buffers.len());
    let mut stores = Vec::new();
    for (access, place) in places {
        let index = dims.iter().map(|l| Index::var(l.var)).chain([place.clone()]).collect();
        let load = Expr::Load(access.clone());
        let value = if access.ty == Ty::I32 { load } else { op(Prim::AsI32, load) };
        let mut block = vec![Stmt::Store(Access { buffer: made, index, ty: Ty::I32, border: None }, value)];
        let mut used: Vec<VarId> = dims.iter().map(|l| l.var).collect();
        place.vars(&mut used);
        for l in all.iter().rev().filter(|l| used.contains(&l.var)) {
            let extent = extents[&l.var];
            block = vec![Stmt::For(Loop { var: l.var, extent, unroll: false }, block)];
        }
        renew_vars(nest, &mut block);
        stores.extend(block);
    }
    let name = fresh_name(nest, "stream");
    let shape: Vec<u32> = dims.iter().map(|l| l.extent).chain([size as u32]).collect();
    Ok(nest.add_buffer(Buffer::new(name, Ty::I32, &shape, Role::Const(Init::Nest(stores)))))
}

/// A word of the stream as it was read before.
fn word(buffer: BufferId, dims: &[Loop], place: &Index, ty: Ty) -> Expr {
    let index = dims.iter().map(|l| Index::var(l.var)).chain([place.clone()]).collect();
    let load = Expr::Load(Access { buffer, index, ty: Ty::I32, border: None });
    match ty {
        Ty::I16x2 => op(Prim::AsI16x2, load),
        Ty::I8x4 => op(Prim::AsI8x4, load),
        Ty::U8x4 => op(Prim::AsU8x4, load),
        _ => load,
    }
}

fn replace(block: &mut [Stmt], new: &dyn Fn(&Access) -> Option<Expr>) {
    for stmt in block {
        if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = stmt {
            replace_in(value, new);
        }
        blocks_mut(stmt).into_iter().for_each(|inner| replace(inner, new));
    }
}

fn replace_in(expr: &mut Expr, new: &dyn Fn(&Access) -> Option<Expr>) {
    match expr {
        Expr::Load(access) => {
            if let Some(found) = new(access) {
                *expr = found;
            }
        }
        Expr::Lookup(_, at) => replace_in(at, new),
        Expr::Op { args, .. } => args.iter_mut().for_each(|arg| replace_in(arg, new)),
        Expr::Int(..) | Expr::Index(_) | Expr::Local(..) => {}
    }
}

fn op(prim: Prim, arg: Expr) -> Expr {
    Expr::Op { prim, args: vec![arg], imm: Vec::new() }
}
