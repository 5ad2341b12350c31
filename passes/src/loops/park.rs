//! `park VALUE …`: values that are not read often wait in S registers, and leave the core registers to others.
//!
//! ```text
//! for c in 0..8 { b_kept: i32 = b[c]  for p in 0..6 { … b_kept … } }
//! => park b_kept
//! for c in 0..8 { b_kept: i32 parked = b[c]  for p in 0..6 { … b_kept … } }
//! ```
//!
//! The value is the same; where it waits is said to the code generator. It takes a parked value out of its core register whenever the
//! next use is not close, and moves it back for that use: one cycle each. `hoist`, `carry`, `rotate` and `unroll-and-jam` count parked values
//! by themselves ([`super::registers`]), so that more can be kept. What is carried can be parked too, and then takes a move for each
//! time that it changes.
//!
//! On a core without S registers, and where they may not be used, the word says nothing: what does not fit waits on the stack, outside of
//! inner loops first.
//!
//! Legal for values with a name that are not parked, as many as there are S registers for them.

use std::collections::BTreeSet;

use ir::diag::Diagnostic;
use ir::loops::{LocalId, Nest, Stmt};

use super::registers::Held;
use super::step::StepDef;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "park",
    usage: "park VALUE …",
    summary: "Let values that are not read often wait in S registers",
    run: |nest, args| {
        let names: Result<Vec<&str>, Diagnostic> = (0..args.len().max(1)).map(|at| args.word(at)).collect();
        names?.into_iter().try_for_each(|name| park(nest, name))
    },
};

/// Parks every value of the body with this name.
pub fn park(nest: &mut Nest, name: &str) -> Result<(), Diagnostic> {
    let before = Held::by(nest);
    let values = values(nest);
    let named: Vec<LocalId> =
        values.iter().copied().filter(|value| nest.locals[value.idx()].name == name).collect();
    if named.is_empty() {
        let names: BTreeSet<&str> =
            values.iter().map(|value| nest.locals[value.idx()].name.as_str()).collect();
        let error = Diagnostic::new(format!("no value is called `{name}`"));
        return Err(match names.is_empty() {
            true => error.help("keep one first: `hoist`, `carry`"),
            false => error.help(format!("the values are {}", Vec::from_iter(names).join(", "))),
        });
    }
    if named.iter().all(|value| nest.locals[value.idx()].parked) {
        return Err(
            Diagnostic::new(format!("cannot park `{name}`: it is parked")).help("legal once for each value")
        );
    }
    named.iter().for_each(|value| nest.locals[value.idx()].parked = true);
    before
        .check(nest)
        .map_err(|error| Diagnostic { message: format!("cannot park `{name}`: {}", error.message), ..error })
}

/// What the statements of the body name, in order.
fn values(nest: &Nest) -> Vec<LocalId> {
    let mut values = Vec::new();
    ir::loops::walk::walk(&nest.body, ir::loops::StmtNo(0), &mut |_, stmt| match stmt {
        Stmt::Let(local, _) => values.push(*local),
        Stmt::Reduce(reduce) => values.extend(reduce.carried.iter().copied()),
        Stmt::For(..) | Stmt::Set(..) | Stmt::Store(..) => {}
    });
    values
}
