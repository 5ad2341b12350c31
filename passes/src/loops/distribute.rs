//! `distribute AXIS [COUNT]`: gives the statements of a loop a loop each.
//!
//! ```text
//! for i in 0..8 { A(i); B(i) }
//! =>
//! for i.0 in 0..8 { A(i.0) }
//! for i.1 in 0..8 { B(i.1) }
//! ```
//!
//! With a count, the loop is cut in two behind that many statements. The inverse of `fuse`, and legal where that is. A named value stays with
//! the statements that use it. The only loop of a reduction becomes loops of its update.

use ir::diag::Diagnostic;
use ir::loops::{Index, Loop, Nest, Reduce, Stmt, VarId};

use super::dependence::{Part, conflict};
use super::edit::{body_of, loop_of, replace_loop, substitute, visit_locals};
use super::step::{Arg, StepDef};

/// The step.
pub const STEP: StepDef = StepDef {
    name: "distribute",
    usage: "distribute AXIS [COUNT]",
    summary: "Give the statements of a loop a loop each",
    run: |nest, args| {
        args.at_most(2)?;
        let axis = args.axis(nest, 0)?;
        let count = match args.get(1) {
            Some(Arg::Int(count)) => Some(*count as usize),
            Some(other) => return Err(args.misuse(format!("`{other}` there"))),
            None => None,
        };
        distribute(nest, axis, count)
    },
};

/// Cuts the body of the loop over `axis` behind `count` statements, or else wherever no named value is lost.
pub fn distribute(nest: &mut Nest, axis: VarId, count: Option<usize>) -> Result<(), Diagnostic> {
    let name = nest.vars[axis.idx()].clone();
    let cannot = |reason: String| Diagnostic::new(format!("cannot distribute `{name}`: {reason}"));
    let around = loop_of(nest, axis);
    let only_one = |reduce: &Reduce, _: usize| (reduce.loops.len() == 1).then(|| reduce.update.clone());
    let Some(body) = body_of(nest, axis, only_one) else {
        return Err(cannot("its reduction has other loops".into()).help("legal where it is the only one"));
    };
    let cuts: Vec<usize> = match count {
        None => (1..body.len()).filter(|cut| !shares(&body, *cut)).collect(),
        Some(cut) if cut == 0 || cut >= body.len() => {
            return Err(cannot(format!("{} statements stand inside of it", body.len()))
                .help("the count is below that, and at least 1"));
        }
        Some(cut) if shares(&body, cut) => {
            return Err(cannot(format!("statements behind {cut} use a value that is defined before"))
                .help("cut where no named value is in use"));
        }
        Some(cut) => vec![cut],
    };
    if cuts.is_empty() {
        return Err(cannot("its statements belong together".into())
            .help("legal for several statements that share no named value"));
    }
    for cut in &cuts {
        let (before, behind) = body.split_at(*cut);
        let (before, behind) = (Part { axis, body: before }, Part { axis, body: behind });
        if let Some(reason) = conflict(nest, before, behind, around.extent) {
            return Err(cannot(reason).help(format!("cut elsewhere: `distribute {name} COUNT`")));
        }
    }
    let ends = cuts.iter().copied().chain([body.len()]);
    let mut start = 0;
    let mut parts = Vec::new();
    for (number, end) in ends.enumerate() {
        let var = nest.add_var(format!("{name}.{number}"));
        let mut part = body[start..end].to_vec();
        substitute(&mut part, axis, &Index::var(var));
        parts.push(Stmt::For(Loop { var, ..around.clone() }, part));
        start = end;
    }
    replace_loop(nest, axis, parts);
    Ok(())
}

/// Whether a value that is defined before the cut is used behind it.
fn shares(body: &[Stmt], cut: usize) -> bool {
    let defined = |stmt: &Stmt| match stmt {
        Stmt::Let(local, _) => Some(*local),
        _ => None,
    };
    let defined: Vec<_> = body[..cut].iter().filter_map(defined).collect();
    let mut shared = false;
    visit_locals(&mut body[cut..].to_vec(), &mut |local| shared |= defined.contains(local));
    shared
}
