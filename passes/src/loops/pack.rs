//! `pack BUFFER [TYPE] [AXIS …]`: lays a constant out in the order in which the loops read it, perhaps with wider elements.
//!
//! ```text
//! for n.o in 0..16 { reduce a: i32[4] over k.o in 0..32, k.i in 0..2 { … update {
//!   for n.i in 0..4 unroll { a[n.i] = add a[n.i], mul(…, sext(w[4*n.o + n.i, 2*k.o + k.i])) }
//! } … } }
//! =>
//! const w_packed: i16[16, 32, 4, 2] = {
//!   for n.o in 0..16 { for k.o in 0..32 { for n.i in 0..4 { for k.i in 0..2 {
//!     w_packed[n.o, k.o, n.i, k.i] = sext w[4*n.o + n.i, 2*k.o + k.i]
//!   } } } }
//! }
//! … mul(…, sext(w_packed[n.o, k.o, n.i, k.i]))
//! ```
//!
//! The dimensions are the loops on which the load depends, outermost first; the innermost loop of a reduction comes last, so
//! that what one sum reads lies together. Named axes give another order. Places that read the constant in
//! one way share what they read, others get their own.
//! Where tiles overlap, some elements are stored twice. Legal where that at most doubles the constant and, for a narrower type, where
//! every value fits.
//!
//! `pack BUFFER pairs AXIS scale 256` makes one word of the weights of two sums and two steps:
//!
//! ```text
//! a[0] = add a[0], mul(sext(x[k]), sext(w[0, k]))  a[1] = add a[1], mul(sext(x[k]), sext(w[1, k]))
//! =>
//! a_both = add a_both, mul(sext(x[k]), sext(w_pairs[k]))                 // w_pairs[k] = 256 w[0, k] + w[1, k]: sums of 256 A + B.
//! a_low = add a_low, mul(sext(x[k]), sbfx(sext(w_pairs[k])) {lsb = 0, width = 8})    // Sums of B.
//! … asr(sub(a_both, a_low), 8) … a_low …                                  // The sums A and B.
//! ```
//!
//! A change of basis, from (A, B) to (256 A + B, B) and back; [`super::pairs`] has the details. The axis is a loop of a block of registers, or one
//! directly around a reduction. Legal for bytes where 256 A + B fits in a halfword for all weights, and 256 times the sum A in a word, by the
//! bounds of the sum.

use ir::diag::Diagnostic;
use ir::loops::{Access, Buffer, BufferId, Expr, Index, Init, Loop, Nest, Prim, Role, Stmt, VarId};
use ir::ty::Ty;

use super::edit::{fresh_name, renew_vars};
use super::pairs::{SCALE, pack_pairs};
use super::step::{Arg, Args, StepDef};
use crate::proofs::accumulators::{Interval, values};

/// How many times its elements a packed constant has at most.
const MOST_COPIES: u64 = 2;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "pack",
    usage: "pack BUFFER [TYPE] [AXIS …] or pack BUFFER pairs AXIS scale 256",
    summary: "Lay a constant out in the order in which the loops read it",
    run: |nest, args| {
        let buffer = constant(nest, args.word(0)?)?;
        if args.get(1) == Some(&Arg::Word("pairs".into())) {
            args.at_most(5)?;
            if args.word(3)? != "scale" || args.int(4)? != SCALE {
                return Err(args.misuse(format!("pairs without `scale {SCALE}`")));
            }
            return pack_pairs(nest, buffer, args.word(2)?);
        }
        let (elem, from) = match args.get(1) {
            Some(Arg::Word(word)) => match Ty::parse(word) {
                Some(ty) => (ty, 2),
                None => (nest.buffers[buffer.idx()].elem, 1),
            },
            _ => (nest.buffers[buffer.idx()].elem, 1),
        };
        let axes = axes_from(nest, args, from)?;
        pack(nest, buffer, elem, &axes).map(|_| ())
    },
};

/// Gives every place that reads `buffer` a constant of its own with elements of type `elem`; dimensions in the order of
/// `axes`, or of the loops where there are none.
pub fn pack(
    nest: &mut Nest,
    buffer: BufferId,
    elem: Ty,
    axes: &[VarId],
) -> Result<Vec<BufferId>, Diagnostic> {
    let name = nest.buffers[buffer.idx()].name.clone();
    check_type(nest, buffer, elem)?;
    let mut sites = Vec::new();
    let mut refused = None;
    let mut body = std::mem::take(&mut nest.body);
    visit(&mut body, &mut Vec::new(), &mut |value, around| match wide_load(value, buffer) {
        Some(Read::Load(access)) => sites.push((access.clone(), order(access, around))),
        Some(Read::Other(what)) => refused = Some(what),
        None => {}
    });
    nest.body = body;
    if let Some(what) = refused {
        return Err(Diagnostic::new(format!("cannot pack `{name}`: {what}"))
            .help("loads of single elements inside of the constant can be packed"));
    }
    if sites.is_empty() {
        return Err(Diagnostic::new(format!("cannot pack `{name}`: nothing reads it")));
    }
    let mut packed = Vec::with_capacity(sites.len());
    let mut made: Vec<(Layout, BufferId)> = Vec::new();
    for (access, loops) in sites {
        let loops = if axes.is_empty() { loops } else { ordered(nest, &name, loops, axes)? };
        check_size(nest, &access, &loops)?;
        let layout = layout(&access, &loops);
        let constant = match made.iter().find(|(have, _)| *have == layout) {
            Some((_, constant)) => *constant,
            None => constant_of(nest, &access, elem, &loops),
        };
        made.push((layout, constant));
        packed.push((constant, loops));
    }
    let mut body = std::mem::take(&mut nest.body);
    let mut next = packed.iter();
    visit(&mut body, &mut Vec::new(), &mut |value, _| {
        if wide_load(value, buffer).is_some() {
            let (made, loops) = next.next().expect("the places are those of the first visit");
            let index = loops.iter().map(|l| Index::var(l.var)).collect();
            *value = widened(Access { buffer: *made, index, ty: elem, border: None });
        }
    });
    nest.body = body;
    let mut constants: Vec<BufferId> = packed.into_iter().map(|(made, _)| made).collect();
    constants.dedup();
    Ok(constants)
}

/// The constant called `name`.
pub fn constant(nest: &Nest, name: &str) -> Result<BufferId, Diagnostic> {
    let found = nest.buffers_where(|buffer| buffer.name == name && buffer.is_const()).next();
    found.ok_or_else(|| {
        let names: Vec<&str> =
            nest.buffers.iter().filter(|buffer| buffer.is_const()).map(|b| b.name.as_str()).collect();
        let help = match names[..] {
            [] => "the nest has no constants".into(),
            _ => format!("the constants are {}", names.join(", ")),
        };
        Diagnostic::new(format!("no constant is called `{name}`")).help(help)
    })
}

/// A loop around a place.
struct Around {
    l: Loop,
    /// Whether it is the innermost loop of a reduction.
    last_of_reduction: bool,
}

/// How an expression reads the constant.
enum Read<'e> {
    /// One element, as a word.
    Load(&'e Access),
    /// In a way that cannot be packed.
    Other(String),
}

fn axes_from(nest: &Nest, args: &Args, from: usize) -> Result<Vec<VarId>, Diagnostic> {
    if from < args.len() { args.axes(nest, from) } else { Ok(Vec::new()) }
}

fn check_type(nest: &Nest, buffer: BufferId, elem: Ty) -> Result<(), Diagnostic> {
    let Buffer { name, elem: own, .. } = &nest.buffers[buffer.idx()];
    let word = |ty: Ty| ty.lanes() == 1 && ty.bytes() <= 4 && ty.range().is_some() && ty != Ty::I1;
    if !word(*own) || !word(elem) {
        return Err(Diagnostic::new(format!("cannot pack `{name}` of `{own}` as `{elem}`"))
            .help("legal: i8 u8 i16 u16 i32"));
    }
    let found = values(nest, buffer)?;
    let Interval { low, high } = Interval::of_type(elem);
    if found.low < low || high < found.high {
        let message = format!(
            "cannot pack `{name}` as `{elem}`: its values run from {} to {}, those of `{elem}` from {low} to {high}",
            found.low, found.high
        );
        return Err(Diagnostic::new(message).help(format!("keep its type: `pack {name}`")));
    }
    Ok(())
}

/// Whether an expression is one element of `buffer` as a word.
fn wide_load(expr: &Expr, buffer: BufferId) -> Option<Read<'_>> {
    match expr {
        Expr::Op { prim: Prim::Sext | Prim::Zext, args, .. } => match &args[0] {
            Expr::Load(access) if access.buffer == buffer => Some(read(access)),
            _ => None,
        },
        Expr::Load(access) if access.buffer == buffer => Some(read(access)),
        Expr::Lookup(looked_up, _) if *looked_up == buffer => {
            Some(Read::Other("it is read at positions that depend on data".into()))
        }
        _ => None,
    }
}

fn read(access: &Access) -> Read<'_> {
    if access.ty.lanes() > 1 {
        Read::Other(format!("it is read as `{}`", access.ty))
    } else if access.border.is_some() {
        Read::Other("it is read with a border".into())
    } else {
        Read::Load(access)
    }
}

/// The loops on which a load depends, in the order of its dimensions.
fn order(access: &Access, around: &[Around]) -> Vec<Loop> {
    let mut used = Vec::new();
    access.index.iter().for_each(|index| index.vars(&mut used));
    let mut kept: Vec<&Around> = around.iter().filter(|around| used.contains(&around.l.var)).collect();
    kept.sort_by_key(|around| around.last_of_reduction);
    kept.into_iter().map(|around| around.l.clone()).collect()
}

fn ordered(nest: &Nest, name: &str, loops: Vec<Loop>, axes: &[VarId]) -> Result<Vec<Loop>, Diagnostic> {
    let at = |axis: &VarId| loops.iter().find(|l| l.var == *axis).cloned();
    let ordered: Option<Vec<Loop>> = axes.iter().map(at).collect();
    let distinct = axes.iter().enumerate().all(|(at, axis)| !axes[..at].contains(axis));
    match ordered {
        Some(ordered) if ordered.len() == loops.len() && distinct => Ok(ordered),
        _ => {
            let names: Vec<&str> = loops.iter().map(|l| nest.vars[l.var.idx()].as_str()).collect();
            Err(Diagnostic::new(format!(
                "cannot pack `{name}` in that order: the axes do not match its loads"
            ))
            .help(format!("name each of {} once", names.join(" "))))
        }
    }
}

fn check_size(nest: &Nest, access: &Access, loops: &[Loop]) -> Result<(), Diagnostic> {
    let buffer = &nest.buffers[access.buffer.idx()];
    let size = |extents: &mut dyn Iterator<Item = u32>| extents.map(u64::from).product::<u64>();
    let (old, new) = (size(&mut buffer.shape.iter().copied()), size(&mut loops.iter().map(|l| l.extent)));
    if new > MOST_COPIES * old {
        let name = &buffer.name;
        let message =
            format!("cannot pack `{name}`: its {old} elements would become {new}, some of them twice");
        return Err(Diagnostic::new(message)
            .help("each element should be read by one iteration of the loops that it depends on"));
    }
    Ok(())
}

/// Extents, and the element at each position, whatever the loops are called.
type Layout = (Vec<u32>, Vec<Index>);

fn layout(access: &Access, loops: &[Loop]) -> Layout {
    let position =
        |var: VarId| loops.iter().position(|l| l.var == var).expect("a load varies with these loops alone");
    let plain = |index: &Index| index.substitute(&|var| Index::var(VarId::new(position(var))));
    (loops.iter().map(|l| l.extent).collect(), access.index.iter().map(plain).collect())
}

/// Adds the constant that holds what `access` reads in the iterations of `loops`.
fn constant_of(nest: &mut Nest, access: &Access, elem: Ty, loops: &[Loop]) -> BufferId {
    let name = fresh_name(nest, &format!("{}_packed", nest.buffers[access.buffer.idx()].name));
    let shape: Vec<u32> = loops.iter().map(|l| l.extent).collect();
    let made = BufferId::new(nest.buffers.len());
    let index = loops.iter().map(|l| Index::var(l.var)).collect();
    let store = Stmt::Store(Access { buffer: made, index, ty: elem, border: None }, widened(access.clone()));
    let mut block = loops
        .iter()
        .rev()
        .fold(vec![store], |body, l| vec![Stmt::For(Loop { unroll: false, ..l.clone() }, body)]);
    renew_vars(nest, &mut block);
    nest.add_buffer(Buffer::new(name, elem, &shape, Role::Const(Init::Nest(block))))
}

/// A load as a word.
fn widened(access: Access) -> Expr {
    let prim = match access.ty {
        Ty::I8 | Ty::I16 => Prim::Sext,
        Ty::U8 | Ty::U16 => Prim::Zext,
        _ => return Expr::Load(access),
    };
    Expr::Op { prim, args: vec![Expr::Load(access)], imm: Vec::new() }
}

/// Calls `f` for every expression, outer ones before those inside, with the loops around.
fn visit(block: &mut [Stmt], around: &mut Vec<Around>, f: &mut dyn FnMut(&mut Expr, &[Around])) {
    for stmt in block {
        let depth = around.len();
        match stmt {
            Stmt::For(l, body) => {
                around.push(Around { l: l.clone(), last_of_reduction: false });
                visit(body, around, f);
            }
            Stmt::Reduce(reduce) => {
                visit(&mut reduce.init, around, f);
                let last = reduce.loops.len();
                around.extend(
                    reduce
                        .loops
                        .iter()
                        .enumerate()
                        .map(|(at, l)| Around { l: l.clone(), last_of_reduction: at + 1 == last }),
                );
                visit(&mut reduce.update, around, f);
                around.truncate(depth);
                visit(&mut reduce.finish, around, f);
            }
            Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) => {
                visit_expr(value, around, f);
            }
        }
        around.truncate(depth);
    }
}

/// What is replaced by `f` is not visited again.
fn visit_expr(expr: &mut Expr, around: &[Around], f: &mut dyn FnMut(&mut Expr, &[Around])) {
    if let Expr::Op { prim: Prim::Sext | Prim::Zext, args, .. } = expr
        && matches!(args[0], Expr::Load(_))
    {
        return f(expr, around);
    }
    f(expr, around);
    match expr {
        Expr::Lookup(_, at) => visit_expr(at, around, f),
        Expr::Op { args, .. } => args.iter_mut().for_each(|arg| visit_expr(arg, around, f)),
        Expr::Int(..) | Expr::Index(_) | Expr::Local(..) | Expr::Load(_) => {}
    }
}
