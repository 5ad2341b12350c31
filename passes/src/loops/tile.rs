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

use ir::diag::Diagnostic;
use ir::loops::{Index, Loop, Nest, Stmt, VarId};

use super::edit::{Site, loop_of, substitute, with_loop};
use super::simplify::simplify;
use super::step::StepDef;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "tile",
    usage: "tile AXIS SIZE",
    summary: "Split a loop into a loop over tiles and a loop inside a tile",
    run: |nest, args| {
        args.at_most(2)?;
        let axis = args.axis(nest, 0)?;
        tile(nest, axis, args.int(1)?).map(|_| ())
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
    let (outer, inner) = (nest.add_var(format!("{name}.o")), nest.add_var(format!("{name}.i")));
    let value = Index::var(outer).scale(size.into()).add(&Index::var(inner));
    let loops = [
        Loop { var: outer, extent: extent / size, unroll: around.unroll },
        Loop { var: inner, extent: size, unroll: around.unroll },
    ];
    with_loop(&mut nest.body, axis, &mut |site| split(site, axis, &value, &loops));
    simplify(nest);
    Ok((outer, inner))
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
