//! `carry BUFFER at AXIS`: what one iteration loads and the next one reads again stays in registers.
//!
//! ```text
//! for c in 0..12 { … x[2*c] as i16x2 … x[2*c + 2] as i16x2 … }
//! => carry x at c
//! reduce x_carried: i16x2[1] over c in 0..12 {
//!   init { x_carried[0] = x[0] as i16x2 }
//!   update { … x_carried[0] … x[2*c + 2] as i16x2 …  x_carried[0] = x[2*c + 2] as i16x2 }
//!   finish {}
//! }
//! ```
//!
//! The loop becomes that of a reduction without sums. A load whose place the next iteration reaches with another load of the body is
//! replaced by a carried value, which takes that load's value at the end; selection loads it once. Loops that are unrolled inside are written
//! out where loads vary with them. The loop can be unrolled afterwards: then values change names, and nothing moves.
//!
//! Legal where nothing in the loop writes the buffer, some load is read again, and the values fit the registers. With `parked` the values
//! wait in S registers, as after `park`.

use ir::diag::Diagnostic;
use ir::loops::{BufferId, Expr, Index, Loop, Nest, Reduce, Stmt, VarId};

use super::edit::{Site, fresh_name, rename_locals, rename_vars, stores_to, substitute, with_loop};
use super::footprint::{Read, reads, replace_reads};
use super::hoist::is_parked;
use super::registers::Held;
use super::step::{Arg, StepDef};
use super::unroll::MOST_COPIES;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "carry",
    usage: "carry BUFFER at AXIS [parked]",
    summary: "Keep what the next iteration reads again in registers",
    run: |nest, args| {
        let buffer = args.buffer(nest, 0)?;
        if args.get(1) != Some(&Arg::Word("at".into())) {
            return Err(args.missing("`at` and an axis"));
        }
        let axis = args.axis(nest, 2)?;
        carry(nest, buffer, axis, is_parked(args, 3)?)
    },
};

/// Keeps loads of `buffer` in registers from one iteration of the loop over `axis` to the next; in S registers where they are `parked`.
pub fn carry(nest: &mut Nest, buffer: BufferId, axis: VarId, parked: bool) -> Result<(), Diagnostic> {
    let name = nest.buffers[buffer.idx()].name.clone();
    let before = Held::by(nest);
    carried(nest, buffer, axis, parked)
        .and_then(|()| before.check(nest))
        .map_err(|error| Diagnostic { message: format!("cannot carry `{name}`: {}", error.message), ..error })
}

fn carried(nest: &mut Nest, buffer: BufferId, axis: VarId, parked: bool) -> Result<(), Diagnostic> {
    let (around, mut body) = loop_with_body(nest, axis)?;
    if stores_to(&body, buffer) {
        return Err(Diagnostic::new("the loop writes it").help("legal where a loop only reads it"));
    }
    let varies = |read: &Read| read.varies_with().any(|l| l.unroll);
    if reads(&mut body, buffer).iter().any(varies) {
        body = written_out(nest, body)?;
    }
    let places = places(&mut body, buffer, axis);
    let links = links(&places, axis);
    if links.is_empty() {
        let name = &nest.vars[axis.idx()];
        return Err(Diagnostic::new(format!(
            "no load reads what the next iteration of `{name}` reads again"
        ))
        .help("legal where windows overlap: `carry` at the loop along which they slide"));
    }
    let Some(order) = in_order(&links) else {
        return Err(
            Diagnostic::new("its loads go round in a ring").help("hoist it: every iteration reads the same")
        );
    };
    let reduce = reduction(nest, buffer, around, body, (&links, &order));
    reduce.carried.iter().for_each(|local| nest.locals[local.idx()].parked = parked);
    with_loop(&mut nest.body, axis, &mut |site| {
        if let Site::For(block, at) = site {
            block[at] = Stmt::Reduce(reduce.clone());
        }
    });
    Ok(())
}

/// A load that is carried: its value in the next iteration is what this one reads as `from`.
struct Link {
    to: Expr,
    from: Expr,
    /// Which of the links keeps the value of `from`, if it is carried itself.
    kept_by: Option<usize>,
}

fn loop_with_body(nest: &mut Nest, axis: VarId) -> Result<(Loop, Vec<Stmt>), Diagnostic> {
    let name = nest.vars[axis.idx()].clone();
    let found = with_loop(&mut nest.body, axis, &mut |site| match site {
        Site::For(block, at) => match &block[at] {
            Stmt::For(l, body) => Some((l.clone(), body.clone())),
            _ => unreachable!("a site is a loop"),
        },
        Site::Reduction(..) => None,
    });
    found.flatten().ok_or_else(|| {
        Diagnostic::new(format!("`{name}` is a loop of a reduction"))
            .help("legal at a loop around reductions")
    })
}

/// The distinct loads that vary with the axis and with no loop inside.
fn places(body: &mut [Stmt], buffer: BufferId, axis: VarId) -> Vec<Expr> {
    let mut places = Vec::new();
    for read in reads(body, buffer) {
        let mut used = Vec::new();
        read.access().index.iter().for_each(|index| index.vars(&mut used));
        let fixed = read.varies_with().next().is_none() && read.access().border.is_none();
        if fixed && used.contains(&axis) && !places.contains(&read.expr) {
            places.push(read.expr);
        }
    }
    places
}

/// The loads that the next iteration finds where this one has another load.
fn links(places: &[Expr], axis: VarId) -> Vec<Link> {
    let next = |place: &Expr| at(place, axis, &Index::var(axis).offset(1));
    let mut links: Vec<Link> = Vec::new();
    for to in places {
        let reached = next(to);
        if let Some(from) = places.iter().find(|from| **from == reached && *from != to) {
            links.push(Link { to: to.clone(), from: from.clone(), kept_by: None });
        }
    }
    for at in 0..links.len() {
        links[at].kept_by = links.iter().position(|other| other.to == links[at].from);
    }
    links
}

/// A load or its extension with `value` in the place of the axis.
fn at(place: &Expr, axis: VarId, value: &Index) -> Expr {
    let mut place = place.clone();
    super::edit::visit_indices_of(&mut place, &mut |index| {
        *index = index.substitute(&|var| if var == axis { value.clone() } else { Index::var(var) });
    });
    place
}

/// The loop as that of a reduction that carries the values of `links`, by type.
fn reduction(
    nest: &mut Nest,
    buffer: BufferId,
    around: Loop,
    mut body: Vec<Stmt>,
    (links, order): (&[Link], &[usize]),
) -> Reduce {
    let name = nest.buffers[buffer.idx()].name.clone();
    let mut locals = Vec::new();
    let mut registers = Vec::new();
    for link in links {
        let ty = nest.ty(&link.to);
        let local = match locals.iter().find(|(other, _)| *other == ty) {
            Some((_, local)) => *local,
            None => {
                let name = fresh_name(nest, &format!("{name}_carried"));
                let local = nest.add_local(name, ty, &[0]);
                locals.push((ty, local));
                local
            }
        };
        let shape = &mut nest.locals[local.idx()].shape;
        registers.push((local, vec![Index::constant(shape[0].into())]));
        shape[0] += 1;
    }
    let value = |link: usize| Expr::Local(registers[link].0, registers[link].1.clone());
    let set = |link: usize, value: Expr| Stmt::Set(registers[link].0, registers[link].1.clone(), value);
    replace_reads(&mut body, buffer, &|read| links.iter().position(|link| link.to == read.expr).map(value));
    let first = |link: &Link| at(&link.to, around.var, &Index::constant(0));
    let init = links.iter().enumerate().map(|(n, link)| set(n, first(link))).collect();
    for &n in order {
        body.push(set(n, links[n].kept_by.map_or(links[n].from.clone(), value)));
    }
    let carried = locals.into_iter().map(|(_, local)| local).collect();
    Reduce { carried, loops: vec![around], init, update: body, finish: Vec::new() }
}

/// The links such that each takes the value of another before that one changes; `None` where they go round in a ring.
fn in_order(links: &[Link]) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = Vec::new();
    while order.len() < links.len() {
        // One whose value no other link still waits for.
        let waits = |n: usize| (0..links.len()).any(|m| !order.contains(&m) && links[m].kept_by == Some(n));
        let next = (0..links.len()).find(|n| !order.contains(n) && !waits(*n));
        order.push(next?);
    }
    Some(order)
}

/// The block with the bodies of unrolled loops repeated.
fn written_out(nest: &mut Nest, block: Vec<Stmt>) -> Result<Vec<Stmt>, Diagnostic> {
    let mut out = Vec::new();
    for stmt in block {
        match stmt {
            Stmt::For(l, body) if l.unroll => {
                for n in 0..l.extent {
                    let copy = repeated(nest, &body, &l, n);
                    out.extend(written_out(nest, copy)?);
                }
            }
            Stmt::For(l, body) => {
                let body = written_out(nest, body)?;
                out.push(Stmt::For(l, body));
            }
            Stmt::Reduce(mut reduce) => {
                let unrolled = reduce.loops.iter().position(|l| l.unroll).unwrap_or(reduce.loops.len());
                for l in reduce.loops.split_off(unrolled).into_iter().rev() {
                    reduce.update = vec![Stmt::For(l, std::mem::take(&mut reduce.update))];
                }
                reduce.init = written_out(nest, reduce.init)?;
                reduce.update = written_out(nest, reduce.update)?;
                reduce.finish = written_out(nest, reduce.finish)?;
                out.push(Stmt::Reduce(reduce));
            }
            other => out.push(other),
        }
    }
    if ir::loops::walk::count(&out) as u64 > MOST_COPIES {
        return Err(Diagnostic::new(format!("its unrolled loops would become {} statements", out.len()))
            .help(format!("at most {MOST_COPIES}; carry before the loop itself is unrolled")));
    }
    Ok(out)
}

/// Iteration `n` of an unrolled loop, with names of its own.
fn repeated(nest: &mut Nest, body: &[Stmt], around: &Loop, n: u32) -> Vec<Stmt> {
    let mut copy = body.to_vec();
    rename_vars(nest, &mut copy, "");
    rename_locals(nest, &mut copy);
    substitute(&mut copy, around.var, &Index::constant(n.into()));
    copy
}
