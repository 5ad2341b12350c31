//! `epilogue`: what a layer does with each element of a sum is done where the sum ends.
//!
//! ```text
//! loops @project(x, y: i8[4, 8]) { for p in 0..4 { for n in 0..8 { reduce a … finish { y[p, n] = ssat a … } } } }
//! loops @add(a: i8[32], b: i8[32], y: i8[32]) { for i in 0..32 { y[i] = ssat add(sext(a[i]), sext(b[i])) … } }
//! =>
//! loops @band_project_add(x, b.a: i8[32], b.y: i8[32]) {
//!   for p in 0..4 { for n in 0..8 { reduce a … finish {
//!     y_value: i32 = ssat a …
//!     b.y[8*p + n] = ssat add(sext(b.a[8*p + n]), y_value) …
//!   } } }
//! }
//! ```
//!
//! It is `join`, `collapse`, `tile` and `fuse` until the loops of the second layer are those of the first, and `forward`. What the first layer has keeps its names as far as they differ
//! from those of the second, which begin with `b.`. All that other steps know of sums goes for the result as well.
//!
//! Legal for two layers, of which the second has nothing but loops that go through the results of the first in the order in which that one stores
//! them; no other layer reads these. Steps for the second layer come before, such as `short-add`.

use std::collections::BTreeSet;
use std::ops::Range;

use ir::diag::Diagnostic;
use ir::loops::{BufferId, Loop, Nest, Program, Stmt, VarId};

use super::join::join;
use super::{ProgramStep, Run};
use crate::loops::collapse::collapse;
use crate::loops::forward::forward;
use crate::loops::fuse::fuse;
use crate::loops::tile::tile;

/// Begins the names of the first layer once it is joined.
const FIRST: &str = "a.";

/// The step.
pub const STEP: ProgramStep = ProgramStep {
    name: "epilogue",
    usage: "epilogue",
    summary: "Do at the end of each sum what the next layer does with its result",
    run: Run::Band(|program, layers, args| {
        args.at_most(0)?;
        epilogue(program, layers)
    }),
};

/// Makes one layer of two, whose loops are those of the first.
pub fn epilogue(program: &mut Program, layers: Range<usize>) -> Result<(), Diagnostic> {
    if layers.len() != 2 {
        let message =
            format!("the band has {} layers, an epilogue is one layer behind another", layers.len());
        return Err(Diagnostic::new(message).help("name two layers"));
    }
    let first = layers.start;
    let names = [0, 1].map(|at| program.layers[first + at].nest.name.clone());
    let between = join(program, layers)?;
    let nest = &mut program.layers[first].nest;
    let [between] = between[..] else {
        return Err(Diagnostic::new(format!(
            "`{}` and `{}` have no tensor to themselves",
            names[0], names[1]
        ))
        .help("legal where the second layer is the only one to read what the first one writes"));
    };
    fused(nest, between).map_err(|error| Diagnostic {
        message: format!("`{}` is no epilogue of `{}`: {}", names[1], names[0], error.message),
        ..error
    })?;
    shorten_names(nest);
    Ok(())
}

/// Puts the loops that end a nest into those in front of them.
fn fused(nest: &mut Nest, between: BufferId) -> Result<(), Diagnostic> {
    let no_loop = || Diagnostic::new("one of them has no loop").help("legal for loops behind loops");
    let [.., sum, rest] = &nest.body[..] else { return Err(no_loop()) };
    let (around, behind) = (chain(sum), chain(rest));
    if around.is_empty() != behind.is_empty() {
        return Err(no_loop());
    }
    let elements = |loops: &[Loop]| loops.iter().map(|l| u64::from(l.extent)).product::<u64>();
    if elements(&around) != elements(&behind) {
        let message = format!("their loops have {} and {} iterations", elements(&around), elements(&behind));
        return Err(Diagnostic::new(message)
            .help("legal where the second one does something with each result of the first one"));
    }
    let behind = like(nest, &around, behind)?;
    for (l, behind) in around.iter().zip(behind) {
        fuse(nest, l.var, behind)?;
    }
    forward(nest, between)
}

/// The loops from a statement on that stand directly within each other.
pub fn chain(stmt: &Stmt) -> Vec<Loop> {
    let mut found = Vec::new();
    let mut stmt = Some(stmt);
    while let Some(Stmt::For(l, body)) = stmt {
        found.push(l.clone());
        stmt = if let [only] = &body[..] { Some(only) } else { None };
    }
    found
}

/// Makes of some loops as many as others are, with the same extents; gives their variables.
fn like(nest: &mut Nest, wanted: &[Loop], loops: Vec<Loop>) -> Result<Vec<VarId>, Diagnostic> {
    let extents = |loops: &[Loop]| -> Vec<u32> { loops.iter().map(|l| l.extent).collect() };
    let vars: Vec<VarId> = loops.iter().map(|l| l.var).collect();
    if extents(wanted) == extents(&loops) {
        return Ok(vars);
    }
    let mut rest = if vars.len() > 1 { collapse(nest, &vars)? } else { vars[0] };
    let mut made = Vec::new();
    for at in 1..wanted.len() {
        let inner = wanted[at..].iter().map(|l| l.extent).product();
        let (outer, inside) = tile(nest, rest, inner)?;
        made.push(outer);
        rest = inside;
    }
    made.push(rest);
    Ok(made)
}

/// Takes the letter of the first layer off those of its names that nothing else has then.
fn shorten_names(nest: &mut Nest) {
    let taken: BTreeSet<String> = all_names(nest).into_iter().map(|name| name.to_string()).collect();
    for name in all_names(nest) {
        if let Some(short) = name.strip_prefix(FIRST)
            && !taken.contains(short)
        {
            *name = short.to_string();
        }
    }
}

fn all_names(nest: &mut Nest) -> Vec<&mut String> {
    let locals = nest.locals.iter_mut().map(|local| &mut local.name);
    let buffers = nest.buffers.iter_mut().map(|buffer| &mut buffer.name);
    nest.vars.iter_mut().chain(locals).chain(buffers).collect()
}
