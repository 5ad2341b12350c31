//! `partial-sums AXIS COUNT at OUTER`: sums every `COUNT`th term by itself first.
//!
//! ```text
//! for c in 0..22 { reduce a: i32 over k in 0..9 { init { a = 0 } update { a = add a, sext(x[k, c]) } finish { … } } }
//! => partial-sums k 2 at c
//! scratch a_parts: i32[2, 22]
//! for k.i in 0..2 { for c.i in 0..22 {
//!   reduce a_part: i32 over k.o in 0..4 { … update { a_part = add a_part, sext(x[2*k.o + k.i, c.i]) } finish { a_parts[k.i, c.i] = a_part } }
//! } }
//! for c in 0..22 { reduce a: i32 {
//!   init { a = 0 }
//!   update {
//!     for k.part in 0..2 { a = add a, a_parts[k.part, c] }
//!     for k.rest in 0..1 { a = add a, sext(x[k.rest + 8, c]) }
//!   }
//!   finish { … }
//! } }
//! ```
//!
//! For rows whose length words do not divide: several of them together do, so after `collapse k.i c.i` four sums can be made at once.
//! What comes of
//! an unrolled loop is unrolled. Legal for a sum over one loop that stands alone in the loop over `OUTER`, which does not write what is
//! summed. A sum wraps, so its order is free.

use ir::diag::Diagnostic;
use ir::loops::{Access, Buffer, BufferId, Expr, Index, Loop, Nest, Prim, Reduce, Role, Stmt, VarId};
use ir::ty::Ty;

use super::edit::{
    Site, fresh_local, fresh_name, fresh_var, stores_to, substitute, visit_loads_of, visit_locals_of,
    with_loop,
};
use super::simplify::simplify;
use super::step::{Arg, StepDef};
use super::sum_offset::op;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "partial-sums",
    usage: "partial-sums AXIS COUNT at AXIS",
    summary: "Sum every so many terms by themselves first",
    run: |nest, args| {
        args.at_most(4)?;
        let (axis, count) = (args.axis(nest, 0)?, args.int(1)?);
        if args.get(2) != Some(&Arg::Word("at".into())) {
            return Err(args.missing("an axis, a count, `at` and an axis"));
        }
        partial_sums(nest, axis, count, args.axis(nest, 3)?)
    },
};

/// Sums every `count`th term of the loop over `axis` by itself, for all of the loop over `outer`.
pub fn partial_sums(nest: &mut Nest, axis: VarId, count: u32, outer: VarId) -> Result<(), Diagnostic> {
    let name = nest.vars[axis.idx()].clone();
    let sum = Sum::of(nest, axis, outer).and_then(|sum| sum.check(count)).map_err(|error| Diagnostic {
        message: format!("cannot sum parts of `{name}`: {}", error.message),
        ..error
    })?;
    let parts = Buffer::new(sum.name(nest, "parts"), Ty::I32, &[count, sum.outer.extent], Role::Scratch);
    let parts = nest.add_buffer(parts);
    let made = [sum.parts(nest, parts, count), sum.total(nest, parts, count)];
    with_loop(&mut nest.body, outer, &mut |site| {
        if let Site::For(block, at) = site {
            block.splice(at..=at, made.iter().cloned());
        }
    });
    simplify(nest);
    Ok(())
}

/// A sum that stands alone in a loop.
struct Sum {
    outer: Loop,
    axis: Loop,
    reduce: Reduce,
    /// What is added.
    term: Expr,
}

impl Sum {
    fn of(nest: &mut Nest, axis: VarId, outer: VarId) -> Result<Sum, Diagnostic> {
        let around = with_loop(&mut nest.body, outer, &mut |site| match site {
            Site::For(block, at) => Some(block[at].clone()),
            Site::Reduction(..) => None,
        });
        let Some(Some(Stmt::For(outer, body))) = around else {
            return Err(Diagnostic::new("the other loop belongs to a reduction").help(ALONE));
        };
        let [Stmt::Reduce(reduce)] = &body[..] else {
            return Err(Diagnostic::new("its reduction does not stand alone in the other loop").help(ALONE));
        };
        let ([l], [a], [Stmt::Set(next, at, Expr::Op { prim: Prim::Add, args, .. })]) =
            (&reduce.loops[..], &reduce.carried[..], &reduce.update[..])
        else {
            return Err(Diagnostic::new("it is not the only loop of a sum")
                .help("make one loop of them first: `collapse`"));
        };
        let itself = Expr::Local(*a, Vec::new());
        let mut term = args[usize::from(args[0] == itself)].clone();
        let (mut own, mut written) = (false, false);
        visit_locals_of(&mut term, &mut |local| own |= *local == *a);
        visit_loads_of(&mut term, &mut |access| written |= stores_to(&body, access.buffer));
        if l.var != axis || next != a || !at.is_empty() || !args.contains(&itself) || own {
            return Err(Diagnostic::new("it is not the only loop of a sum").help(ALONE));
        }
        if nest.locals[a.idx()].ty != Ty::I32 || written {
            return Err(
                Diagnostic::new("the loop around writes what it sums, or it sums no `i32`").help(ALONE)
            );
        }
        Ok(Sum { outer, axis: l.clone(), term, reduce: reduce.clone() })
    }

    fn check(self, count: u32) -> Result<Sum, Diagnostic> {
        let extent = self.axis.extent;
        if count < 2 || count > extent {
            return Err(Diagnostic::new(format!("{count} parts of {extent} terms"))
                .help(format!("legal: 2 to {extent} parts, for two terms and more")));
        }
        Ok(self)
    }

    fn name(&self, nest: &Nest, ending: &str) -> String {
        fresh_name(nest, &format!("{}_{ending}", nest.locals[self.reduce.carried[0].idx()].name))
    }

    /// The loops that sum every `count`th term.
    fn parts(&self, nest: &mut Nest, parts: BufferId, count: u32) -> Stmt {
        let [axis, outer] = [&self.axis, &self.outer].map(|l| nest.vars[l.var.idx()].clone());
        let [part, place, step] = [format!("{axis}.i"), format!("{outer}.i"), format!("{axis}.o")]
            .map(|name| fresh_var(nest, &name));
        let name = self.name(nest, "part");
        let sum = fresh_local(nest, &name, Ty::I32);
        let value = Expr::Local(sum, Vec::new());
        let added = op(Prim::Add, vec![value.clone(), self.term.clone()]);
        let mut update = vec![Stmt::Set(sum, Vec::new(), added)];
        substitute(&mut update, self.axis.var, &Index::var(step).scale(count.into()).add(&Index::var(part)));
        substitute(&mut update, self.outer.var, &Index::var(place));
        let reduce = Stmt::Reduce(Reduce {
            carried: vec![sum],
            loops: vec![Loop { var: step, extent: self.axis.extent / count, ..self.axis }],
            init: vec![Stmt::Set(sum, Vec::new(), Expr::Int(0, Ty::I32))],
            update,
            finish: vec![Stmt::Store(element(parts, [part, place]), value)],
        });
        let within = Stmt::For(Loop { var: place, ..self.outer }, vec![reduce]);
        Stmt::For(Loop { var: part, extent: count, ..self.axis }, vec![within])
    }

    /// The loop that sums up the parts, and the terms that are left.
    fn total(&self, nest: &mut Nest, parts: BufferId, count: u32) -> Stmt {
        let name = nest.vars[self.axis.var.idx()].clone();
        let sum = self.reduce.carried[0];
        let mut add = |ending: &str, extent: u32, term: &dyn Fn(VarId) -> Expr| {
            let var = fresh_var(nest, &format!("{name}.{ending}"));
            let value = op(Prim::Add, vec![Expr::Local(sum, Vec::new()), term(var)]);
            Stmt::For(Loop { var, extent, ..self.axis }, vec![Stmt::Set(sum, Vec::new(), value)])
        };
        let part = |var: VarId| Expr::Load(element(parts, [var, self.outer.var]));
        let mut update = vec![add("part", count, &part)];
        let left = self.axis.extent % count;
        if left > 0 {
            let from = i64::from(self.axis.extent - left);
            update.push(add("rest", left, &|var| {
                let mut term = vec![Stmt::Set(sum, Vec::new(), self.term.clone())];
                substitute(&mut term, self.axis.var, &Index::var(var).offset(from));
                match term.swap_remove(0) {
                    Stmt::Set(_, _, term) => term,
                    _ => unreachable!("it was put there"),
                }
            }));
        }
        let reduce = Reduce { loops: Vec::new(), update, ..self.reduce.clone() };
        Stmt::For(self.outer.clone(), vec![Stmt::Reduce(reduce)])
    }
}

/// What the step is for.
const ALONE: &str = "legal for one sum of `i32` over one loop that stands alone in the loop around it";

fn element(buffer: BufferId, at: [VarId; 2]) -> Access {
    Access { buffer, index: at.map(Index::var).to_vec(), ty: Ty::I32, border: None }
}
