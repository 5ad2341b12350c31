//! Runs `tests/lowering/*.tir`: each case is a graph, and the program that it is lowered to.

use std::process::ExitCode;

use ir::text::cases::Case;
use test_support::files::{self, Outcome};

fn main() -> ExitCode {
    files::main(&["lowering"], lower)
}

fn lower(case: &Case) -> Result<Outcome, String> {
    if case.kind != "lower" {
        return Err(format!("`{}` is no kind of test", case.kind));
    }
    let graph = ir::graph::text::parse(&case.input).map_err(|errors| format!("{errors:?}"))?;
    Ok(match tinyc_lowering::lower(&graph) {
        Ok(program) => Outcome::printed(program.to_string()),
        Err(error) => Outcome::refused(case, &error),
    })
}
