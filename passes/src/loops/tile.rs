//! `tile AXIS SIZE`: splits a loop into a loop over tiles and a loop inside a tile.
//!
//! ```text
//! for i in 0..12 { S(i) }
//! =>
//! for i.o in 0..3 { for i.i in 0..4 { S(4*i.o + i.i) } }
//! ```
//!
//! Loops of a reduction are split the same way. Legal where the size divides the extent: no iteration moves past another.
//! `peel` takes a remainder off first.
//!
//! With `overlap` any size up to the extent is legal around elements: where it does not divide the extent, the second tile begins
//! before the end of the first one, so that the last one ends with the loop. What both have in common is computed twice.
//!
//! ```text
//! for i in 0..11 { S(i) }
//! => tile i 4 overlap
//! for i.o in 0..3 { for i.i in 0..4 { S(4*i.o - (i.o + 4095) div 4096 + i.i) } }       // 0..4, 3..7, 7..11
//! ```
//!
//! Legal where nothing inside reads what it stores: then it stores the same again, in the same order.

use ir::diag::Diagnostic;
use ir::loops::{Index, Loop, Nest, Stmt, VarId};

use super::dependence::read_and_written;
use super::edit::{Site, loop_of, substitute, with_loop};
use super::simplify::simplify;
use super::step::StepDef;

/// More than the tiles of any loop: what all but the first of them have in common is their number, less one, divided by this and rounded up.
/// The same for all loops, so that nests that differ in their extents are alike.
const MOST_TILES: u32 = 1 << 12;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "tile",
    usage: "tile AXIS SIZE [overlap]",
    summary: "Split a loop into a loop over tiles and a loop inside a tile",
    run: |nest, args| {
        args.at_most(3)?;
        let axis = args.axis(nest, 0)?;
        let size = args.int(1)?;
        match args.len() {
            3 if args.word(2)? == "overlap" => tile_with_overlap(nest, axis, size),
            3 => Err(args.misuse(format!("`{}` there", args.word(2)?))),
            _ => tile(nest, axis, size).map(|_| ()),
        }
    },
};

/// Splits the loop over `axis`; gives the variables of the outer and the inner loop.
pub fn tile(nest: &mut Nest, axis: VarId, size: u32) -> Result<(VarId, VarId), Diagnostic> {
    let name = nest.vars[axis.idx()].clone();
    let around = loop_of(nest, axis);
    let extent = around.extent;
    if size == 0 || !extent.is_multiple_of(size) {
        return Err(indivisible(&name, extent, size));
    }
    Ok(into_tiles(nest, &around, size))
}

/// Splits the loop over `axis`; where the size does not divide its extent, the first two tiles overlap.
pub fn tile_with_overlap(nest: &mut Nest, axis: VarId, size: u32) -> Result<(), Diagnostic> {
    let name = nest.vars[axis.idx()].clone();
    let around = loop_of(nest, axis);
    let extent = around.extent;
    let error = |what: String| Diagnostic::new(format!("cannot tile `{name}` by {size}: {what}"));
    if size == 0 || size > extent || extent.div_ceil(size) > MOST_TILES {
        let help = format!("legal: from {} to {extent}", extent.div_ceil(MOST_TILES).max(1));
        return Err(error(format!("its extent is {extent}")).help(help));
    }
    if extent.is_multiple_of(size) {
        into_tiles(nest, &around, size);
        return Ok(());
    }
    let body = with_loop(&mut nest.body, axis, &mut |site| match site {
        Site::For(block, at) => Some(block[at].clone()),
        Site::Reduction(..) => None,
    });
    let Some(body) = body.flatten() else {
        return Err(error("tiles of a sum that overlap count products twice".into())
            .help(format!("take iterations off first: `peel {name} {}`", extent % size)));
    };
    if let Some(place) = read_and_written(nest, &[body]) {
        return Err(error(format!("its body stores to `{place}` and reads it"))
            .help("legal before steps that copy what the body reads, and around whole sums"));
    }
    into_tiles(nest, &around, size);
    Ok(())
}

/// Makes tiles of a loop, the first two of which overlap where the size does not divide the extent.
fn into_tiles(nest: &mut Nest, around: &Loop, size: u32) -> (VarId, VarId) {
    let name = nest.vars[around.var.idx()].clone();
    let (outer, inner) = (nest.add_var(format!("{name}.o")), nest.add_var(format!("{name}.i")));
    let tiles = around.extent.div_ceil(size);
    let is_behind_first = Index::var(outer).add(&Index::constant(i64::from(MOST_TILES) - 1)).div(MOST_TILES);
    let back = is_behind_first.scale(-i64::from(tiles * size - around.extent));
    let value = Index::var(outer).scale(size.into()).add(&back).add(&Index::var(inner));
    let loops = [
        Loop { var: outer, extent: tiles, unroll: around.unroll },
        Loop { var: inner, extent: size, unroll: around.unroll },
    ];
    with_loop(&mut nest.body, around.var, &mut |site| split(site, around.var, &value, &loops));
    simplify(nest);
    (outer, inner)
}

fn split(site: Site, axis: VarId, value: &Index, loops: &[Loop; 2]) {
    match site {
        Site::For(block, at) => {
            let Stmt::For(_, body) = &mut block[at] else { unreachable!("a site is a loop") };
            let mut body = std::mem::take(body);
            substitute(&mut body, axis, value);
            let inside = Stmt::For(loops[1].clone(), body);
            block[at] = Stmt::For(loops[0].clone(), vec![inside]);
        }
        Site::Reduction(block, at, position) => {
            let Stmt::Reduce(reduce) = &mut block[at] else { unreachable!("a site is a reduction") };
            substitute(&mut reduce.update, axis, value);
            reduce.loops.splice(position..=position, loops.iter().cloned());
        }
    }
}

fn indivisible(name: &str, extent: u32, size: u32) -> Diagnostic {
    let legal: Vec<String> =
        (2..extent).filter(|n| extent.is_multiple_of(*n)).map(|n| n.to_string()).collect();
    let error = Diagnostic::new(format!(
        "cannot tile `{name}` by {size}: its extent {extent} is not a multiple of {size}"
    ));
    match (legal.is_empty(), extent.checked_rem(size)) {
        (_, None) => {
            Diagnostic::new(format!("cannot tile `{name}` by 0")).help("a tile has at least one iteration")
        }
        (true, Some(rest)) => {
            error.help(format!("{extent} has no divisor; take iterations off first: `peel {name} {rest}`"))
        }
        (false, Some(rest)) => error.help(format!(
            "legal: {}; or take {rest} iterations off first: `peel {name} {rest}`",
            legal.join(" ")
        )),
    }
}
