//! `hoist BUFFER at AXIS`: loads that are the same throughout a loop's body move to its start, into registers.
//!
//! ```text
//! for n in 0..8 { for p in 0..6 { … sext(w[n]) … for t in 0..3 unroll { … v[n, t] … } } }
//! => hoist w at n; hoist v at n
//! for n in 0..8 {
//!   reduce v_kept: i32[3] {
//!     init { for t in 0..3 unroll { v_kept[t] = v[n, t] } }
//!     update {}
//!     finish { w_kept: i32 = sext w[n]  for p in 0..6 { … w_kept … for t in 0..3 unroll { … v_kept[t] … } } }
//!   }
//! }
//! ```
//!
//! One value is a `let`. Several, which only unrolled loops tell apart or which lie side by side, are a block of registers: the carried value of a reduction without loops,
//! around the body. So the unrolled loops stay as they are for further steps. Without `at` the values are kept through the
//! whole nest. Loads that vary with a loop that is not unrolled stay.
//!
//! Legal where nothing in the body writes the buffer, no load has a border or leaves gaps between what it reads, and the values fit the registers ([`super::registers`]).
//! With `parked` the values wait in S registers, as after `park`.

use ir::diag::Diagnostic;
use ir::loops::{Access, BufferId, Expr, Index, LocalId, Loop, Nest, Reduce, Stmt, VarId};

use super::edit::{fresh_name, fresh_var, rewrite_body, stores_to};
use super::footprint::{Footprint, Read, reads, replace_reads};
use super::read_groups::{Group, groups};
use super::registers::Held;
use super::stage::optional_axis;
use super::step::{Arg, Args, StepDef};

/// The step.
pub const STEP: StepDef = StepDef {
    name: "hoist",
    usage: "hoist BUFFER [at AXIS] [parked]",
    summary: "Move loads that are the same throughout a loop's body to its start, into registers",
    run: |nest, args| {
        let buffer = args.buffer(nest, 0)?;
        let (axis, end) = optional_axis(nest, args, 1)?;
        hoist(nest, buffer, axis, is_parked(args, end)?)
    },
};

/// Whether the arguments end with `parked` at this position, and not before it.
pub(super) fn is_parked(args: &Args, at: usize) -> Result<bool, Diagnostic> {
    let parked = args.get(at) == Some(&Arg::Word("parked".into()));
    args.at_most(at + usize::from(parked)).map(|()| parked)
}

/// Keeps what loads of `buffer` read throughout the body of the loop over `axis`, or the whole nest, in registers; in S registers where it
/// is `parked`.
pub fn hoist(nest: &mut Nest, buffer: BufferId, axis: Option<VarId>, parked: bool) -> Result<(), Diagnostic> {
    let name = nest.buffers[buffer.idx()].name.clone();
    let (before, old) = (Held::by(nest), nest.locals.len());
    rewrite_body(nest, axis, |nest, body| hoisted(nest, buffer, body))
        .and_then(|()| {
            nest.locals[old..].iter_mut().for_each(|local| local.parked = parked);
            before.check(nest)
        })
        .map_err(|error| Diagnostic { message: format!("cannot hoist `{name}`: {}", error.message), ..error })
}

fn hoisted(nest: &mut Nest, buffer: BufferId, mut body: Vec<Stmt>) -> Result<Vec<Stmt>, Diagnostic> {
    let mut reads = reads(&mut body, buffer);
    check_reads(nest, buffer, &body, &reads)?;
    reads.retain(|read| rolled(read).is_none());
    while let Some(first) = reads.first().cloned() {
        let (alike, others): (Vec<Read>, Vec<Read>) =
            reads.into_iter().partition(|read| same_kind(read, &first));
        for group in groups(&alike)? {
            body = kept(nest, &group, body);
        }
        reads = others;
    }
    Ok(body)
}

fn check_reads(nest: &Nest, buffer: BufferId, body: &[Stmt], reads: &[Read]) -> Result<(), Diagnostic> {
    if stores_to(body, buffer) {
        return Err(Diagnostic::new("the body writes it").help("legal where a loop only reads it"));
    }
    let mut rolled = reads.iter().map(rolled);
    match rolled.next() {
        None => Err(Diagnostic::new("no load in the body reads it").help("legal at a loop around loads")),
        Some(Some(l)) if rolled.all(|l| l.is_some()) => {
            let name = &nest.vars[l.var.idx()];
            Err(Diagnostic::new(format!("its loads vary with the loop `{name}`")).help(format!(
                "repeat that in the code first: `unroll {name}`; or hoist inside of it: `at {name}`"
            )))
        }
        _ if reads.iter().any(|read| read.access().border.is_some()) => {
            let name = &nest.buffers[buffer.idx()].name;
            Err(Diagnostic::new("a load may leave it")
                .help(format!("copy it with its padding around it first: `border {name}`")))
        }
        _ => Ok(()),
    }
}

/// A loop of the body that is not unrolled and moves the load.
pub(super) fn rolled(read: &Read) -> Option<&Loop> {
    read.varies_with().find(|l| !l.unroll && l.extent > 1)
}

/// Whether two loads give values of one type in one way.
pub(super) fn same_kind(a: &Read, b: &Read) -> bool {
    let prim = |read: &Read| match &read.expr {
        Expr::Op { prim, .. } => Some(*prim),
        _ => None,
    };
    prim(a) == prim(b) && a.access().ty == b.access().ty
}

/// The body with the values of some loads in registers around it.
fn kept(nest: &mut Nest, group: &Group, mut body: Vec<Stmt>) -> Vec<Stmt> {
    let (footprint, like) = (&group.footprint, &group.reads[0]);
    let buffer = like.access().buffer;
    let name = fresh_name(nest, &format!("{}_kept", nest.buffers[buffer.idx()].name));
    let local = nest.add_local(name, nest.ty(&like.expr), &footprint.shape);
    replace_reads(&mut body, buffer, &|read| {
        let hoisted = rolled(read).is_none() && group.has(read);
        hoisted.then(|| Expr::Local(local, footprint.position(read)))
    });
    if footprint.shape.is_empty() {
        body.insert(0, Stmt::Let(local, value(like, footprint.source(&[]))));
        return body;
    }
    let init = vec![set_all(nest, footprint, like, local)];
    vec![Stmt::Reduce(Reduce {
        carried: vec![local],
        loops: Vec::new(),
        init,
        update: Vec::new(),
        finish: body,
    })]
}

/// Loads a whole block, by unrolled loops.
pub(super) fn set_all(nest: &mut Nest, footprint: &Footprint, like: &Read, local: LocalId) -> Stmt {
    let name = nest.locals[local.idx()].name.clone();
    let vars: Vec<VarId> =
        (0..footprint.shape.len()).map(|dim| fresh_var(nest, &format!("{name}_{dim}"))).collect();
    let at: Vec<Index> = vars.iter().map(|var| Index::var(*var)).collect();
    let set = Stmt::Set(local, at.clone(), value(like, footprint.source(&at)));
    vars.iter().zip(&footprint.shape).rev().fold(set, |inner, (var, extent)| {
        Stmt::For(Loop { var: *var, extent: *extent, unroll: true }, vec![inner])
    })
}

/// The load or its extension at another index.
fn value(like: &Read, index: Vec<Index>) -> Expr {
    let load = Expr::Load(Access { index, ..like.access().clone() });
    match &like.expr {
        Expr::Op { prim, imm, .. } => Expr::Op { prim: *prim, args: vec![load], imm: imm.clone() },
        _ => load,
    }
}
