//! `rotate AXIS [BUFFER …]`: what a step of a loop loads is loaded in the step before, so that no step waits for memory.
//!
//! ```text
//! for k in 0..8 { … sext(x[k]) … }
//! => rotate k
//! reduce x_ahead: i32 over k in 0..7 {
//!   init { x_ahead = sext x[0] }
//!   update { … x_ahead …  x_ahead = sext x[k + 1] }
//!   finish { … x_ahead … }                          // k = 7
//! }
//! ```
//!
//! The loop becomes that of a reduction without sums, whose carried values are what was loaded ahead; the last step is peeled, so nothing
//! behind the data is read. The loop of a reduction leaves it, with those inside of it, for one in the other's update. Loads that only
//! unrolled loops tell apart are a block of registers, and the unrolled loops stay as they are. With buffers only their loads are
//! rotated; else all that can be. The body can be unrolled by two afterwards: values then change names, and nothing moves.
//!
//! Legal for two steps or more, where the loop does not write the buffer, the load is the same in no two steps and in no loop inside that
//! is not unrolled, and the values fit the registers.

use ir::diag::Diagnostic;
use ir::loops::{BufferId, Expr, Index, LocalId, Loop, Nest, Reduce, Stmt, VarId};

use super::edit::{Site, fresh_name, loop_of, rename_locals, rename_vars, stores_to, substitute, with_loop};
use super::footprint::{Footprint, Read, reads, replace_reads};
use super::hoist::{rolled, same_kind, set_all};
use super::peel::suffix;
use super::read_groups::{self, Group};
use super::registers::Held;
use super::step::StepDef;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "rotate",
    usage: "rotate AXIS [BUFFER …]",
    summary: "Load what a step of a loop reads in the step before",
    run: |nest, args| {
        let axis = args.axis(nest, 0)?;
        let buffers: Result<Vec<BufferId>, Diagnostic> =
            (1..args.len()).map(|at| args.buffer(nest, at)).collect();
        rotate(nest, axis, &buffers?)
    },
};

/// Issues the loads of `buffers`, or of all that can be, one step of the loop over `axis` earlier.
pub fn rotate(nest: &mut Nest, axis: VarId, buffers: &[BufferId]) -> Result<(), Diagnostic> {
    let name = nest.vars[axis.idx()].clone();
    let before = Held::by(nest);
    rotated(nest, axis, buffers).and_then(|()| before.check(nest).map_err(|error| error.help(FEWER))).map_err(
        |error| Diagnostic { message: format!("cannot rotate `{name}`: {}", error.message), ..error },
    )
}

const FEWER: &str = "name some of the buffers only: `rotate AXIS BUFFER`; or rotate with smaller tiles, or let values wait in S registers: `park`";

/// Loads that are carried from one step to the next.
struct Ahead {
    local: LocalId,
    footprint: Footprint,
    /// One of the loads.
    like: Read,
}

fn rotated(nest: &mut Nest, axis: VarId, buffers: &[BufferId]) -> Result<(), Diagnostic> {
    let around = loop_of(nest, axis);
    if around.extent < 2 {
        return Err(Diagnostic::new("it has one step").help("legal for two steps or more"));
    }
    let mut body = body_of(nest, axis);
    let aheads = aheads(nest, axis, buffers, &mut body)?;

    let mut last = body.clone();
    rename_vars(nest, &mut last, &suffix(nest, axis, ".last"));
    rename_locals(nest, &mut last);
    substitute(&mut last, axis, &Index::constant(i64::from(around.extent) - 1));
    let init = aheads.iter().map(|ahead| ahead.loaded(nest, axis, &Index::constant(0))).collect();
    let next = Index::var(axis).offset(1);
    body.extend(aheads.iter().map(|ahead| ahead.loaded(nest, axis, &next)));
    let reduce = Reduce {
        carried: aheads.iter().map(|ahead| ahead.local).collect(),
        loops: vec![Loop { extent: around.extent - 1, ..around }],
        init,
        update: body,
        finish: last,
    };
    with_loop(&mut nest.body, axis, &mut |site| match site {
        Site::For(block, at) => block[at] = Stmt::Reduce(reduce.clone()),
        Site::Reduction(block, at, position) => {
            let Stmt::Reduce(sum) = &mut block[at] else { unreachable!("a site is a reduction") };
            sum.loops.truncate(position);
            sum.update = vec![Stmt::Reduce(reduce.clone())];
        }
    });
    Ok(())
}

/// What the loop repeats; loops of the same reduction inside of it stand in its body.
fn body_of(nest: &mut Nest, axis: VarId) -> Vec<Stmt> {
    let body = with_loop(&mut nest.body, axis, &mut |site| match site {
        Site::For(block, at) => match &block[at] {
            Stmt::For(_, body) => body.clone(),
            _ => unreachable!("a site is a loop"),
        },
        Site::Reduction(block, at, position) => match &block[at] {
            Stmt::Reduce(sum) => {
                let inner = sum.loops[position + 1..].iter().rev();
                inner.fold(sum.update.clone(), |body, l| vec![Stmt::For(l.clone(), body)])
            }
            _ => unreachable!("a site is a reduction"),
        },
    });
    body.expect("an axis is found by name in the body")
}

/// Puts carried values in the place of loads; those of `buffers`, or of all buffers where that is legal.
fn aheads(
    nest: &mut Nest,
    axis: VarId,
    buffers: &[BufferId],
    body: &mut [Stmt],
) -> Result<Vec<Ahead>, Diagnostic> {
    let all: Vec<BufferId> = (0..nest.buffers.len()).map(BufferId::new).collect();
    let mut aheads = Vec::new();
    for buffer in if buffers.is_empty() { &all } else { buffers } {
        let groups = match groups(nest, axis, *buffer, body) {
            Ok(groups) => groups,
            Err(_) if buffers.is_empty() => continue,
            Err(error) => {
                let name = &nest.buffers[buffer.idx()].name;
                return Err(Diagnostic { message: format!("`{name}`: {}", error.message), ..error });
            }
        };
        for group in groups {
            let name = fresh_name(nest, &format!("{}_ahead", nest.buffers[buffer.idx()].name));
            let local = nest.add_local(name, nest.ty(&group.reads[0].expr), &group.footprint.shape);
            replace_reads(body, *buffer, &|read| {
                group.has(read).then(|| Expr::Local(local, group.footprint.position(read)))
            });
            aheads.push(Ahead { local, like: group.reads[0].clone(), footprint: group.footprint });
        }
    }
    if aheads.is_empty() {
        return Err(Diagnostic::new("it loads nothing that can be loaded a step earlier").help(
            "legal for loads that vary with the loop and with none inside that stays a loop, of what the loop does not write",
        ));
    }
    Ok(aheads)
}

/// The loads of a buffer that can be issued a step earlier; all that a group's footprint has is read in each step.
fn groups(nest: &Nest, axis: VarId, buffer: BufferId, body: &mut [Stmt]) -> Result<Vec<Group>, Diagnostic> {
    if stores_to(body, buffer) {
        return Err(Diagnostic::new("the loop writes it").help("legal where a loop only reads it"));
    }
    let mut found = reads(body, buffer);
    found.retain(|read| varies(read, axis));
    if found.is_empty() {
        return Err(Diagnostic::new("no load of it varies with the loop")
            .help("what every step reads alike is hoisted: `hoist`"));
    }
    if let Some(l) = found.iter().find_map(rolled) {
        let inner = &nest.vars[l.var.idx()];
        return Err(Diagnostic::new(format!("its loads vary with the loop `{inner}` inside"))
            .help(format!("repeat that in the code first: `unroll {inner}`; or rotate `{inner}`")));
    }
    if found.iter().any(|read| read.access().border.is_some()) {
        let name = &nest.buffers[buffer.idx()].name;
        return Err(Diagnostic::new("a load may leave it")
            .help(format!("copy it with its padding around it first: `border {name}`")));
    }
    let mut groups = Vec::new();
    while let Some(first) = found.first().cloned() {
        let (alike, others): (Vec<Read>, Vec<Read>) =
            found.into_iter().partition(|read| same_kind(read, &first));
        found = others;
        groups.extend(read_groups::groups(&alike)?);
    }
    Ok(groups)
}

fn varies(read: &Read, axis: VarId) -> bool {
    let mut used = Vec::new();
    read.access().index.iter().for_each(|index| index.vars(&mut used));
    used.contains(&axis)
}

impl Ahead {
    /// Loads everything for the step `of` the loop over `axis`.
    fn loaded(&self, nest: &mut Nest, axis: VarId, of: &Index) -> Stmt {
        let mut load = set_all(nest, &self.footprint, &self.like, self.local);
        substitute(std::slice::from_mut(&mut load), axis, of);
        load
    }
}
