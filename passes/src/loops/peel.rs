//! `peel AXIS COUNT`: takes the last iterations of a loop off into a loop of their own.
//!
//! ```text
//! for i in 0..10 { S(i) }
//! =>
//! for i in 0..8 { S(i) }
//! for i.rest in 0..2 { S(i.rest + 8) }
//! ```
//!
//! `peel AXIS first COUNT` takes the first ones off, into `i.first` in front. The loops inside of the part that is taken off get names with the
//! same ending, so that steps can name them; where that name is taken, it is `.rest2`, `.rest3` and so on. A loop of a reduction must be its only one: the
//! reduction then repeats its update in two loops, one after the other. The order of iterations stays, so it is always legal
//! for a count below the extent.

use ir::diag::Diagnostic;
use ir::loops::{Index, Loop, Nest, Stmt, VarId};

use super::edit::{
    Site, axes, axes_within, loop_of, rename_locals, rename_vars, replace_loop, substitute, with_loop,
};
use super::step::{Arg, StepDef};

/// The step.
pub const STEP: StepDef = StepDef {
    name: "peel",
    usage: "peel AXIS [first] COUNT",
    summary: "Take the last or first iterations of a loop off into a loop of their own",
    run: |nest, args| {
        let axis = args.axis(nest, 0)?;
        let first = args.get(1) == Some(&Arg::Word("first".into()));
        args.at_most(2 + usize::from(first))?;
        peel(nest, axis, args.int(1 + usize::from(first))?, first)
    },
};

/// Takes `count` iterations off the loop over `axis`.
pub fn peel(nest: &mut Nest, axis: VarId, count: u32, first: bool) -> Result<(), Diagnostic> {
    let name = nest.vars[axis.idx()].clone();
    let around = loop_of(nest, axis);
    if count == 0 || count >= around.extent {
        let message = format!("cannot peel {count} iterations off `{name}`: its extent is {}", around.extent);
        return Err(Diagnostic::new(message).help(format!("legal: 1 to {}", around.extent.saturating_sub(1))));
    }
    let suffix = suffix(nest, axis, if first { ".first" } else { ".rest" });
    let part = nest.add_var(format!("{name}{suffix}"));
    let kept = around.extent - count;
    let main = Loop { extent: kept, ..around.clone() };
    let taken = Loop { var: part, extent: count, unroll: around.unroll };
    let (of_main, of_part) = if first { (count, 0) } else { (0, kept) };
    let shift = |var: VarId, by: u32| Index::var(var).offset(by.into());

    let mut body = take_body(nest, axis).ok_or_else(|| several(&name))?;
    let mut copy = body.clone();
    rename_vars(nest, &mut copy, &suffix);
    rename_locals(nest, &mut copy);
    substitute(&mut body, axis, &shift(axis, of_main));
    substitute(&mut copy, axis, &shift(part, of_part));
    let (main, taken) = (Stmt::For(main, body), Stmt::For(taken, copy));
    let loops = if first { [taken, main] } else { [main, taken] };
    replace_loop(nest, axis, loops.into());
    Ok(())
}

/// `ending`, with the least number behind it that gives no loop the name of another one.
pub(super) fn suffix(nest: &Nest, axis: VarId, ending: &str) -> String {
    let names: Vec<&str> = axes(nest).iter().map(|var| nest.vars[var.idx()].as_str()).collect();
    let clashes = |suffix: &str| {
        let renamed =
            axes_within(nest, axis).into_iter().map(|var| format!("{}{suffix}", nest.vars[var.idx()]));
        renamed.into_iter().any(|name| names.contains(&name.as_str()))
    };
    let numbered = (1u32..).map(|n| if n == 1 { ending.to_string() } else { format!("{ending}{n}") });
    numbered.into_iter().find(|suffix| !clashes(suffix)).expect("a nest has finitely many loops")
}

/// The statements that the loop repeats, left empty; `None` for one of several loops of a reduction.
fn take_body(nest: &mut Nest, axis: VarId) -> Option<Vec<Stmt>> {
    with_loop(&mut nest.body, axis, &mut |site| match site {
        Site::For(block, at) => match &mut block[at] {
            Stmt::For(_, body) => Some(std::mem::take(body)),
            _ => unreachable!("a site is a loop"),
        },
        Site::Reduction(block, at, _) => match &mut block[at] {
            Stmt::Reduce(reduce) => (reduce.loops.len() == 1).then(|| std::mem::take(&mut reduce.update)),
            _ => unreachable!("a site is a reduction"),
        },
    })?
}

fn several(name: &str) -> Diagnostic {
    Diagnostic::new(format!("cannot peel `{name}`: its reduction has other loops"))
        .help("a reduction's loop can be peeled where it is the only one")
}
