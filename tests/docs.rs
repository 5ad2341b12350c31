//! The documents: `docs/ir-reference.md` is put together from the sources, and what the others name exists.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use ir::graph::Op;
use ir::loops::Prim;
use isel_thumb2::cores::CORES;
use test_support::{compare_with_file, repository};

/// The documents whose paths must exist.
const DOCUMENTS: [&str; 7] = [
    "README.md",
    "docs/architecture.md",
    "docs/adding.md",
    "docs/glossary.md",
    "docs/kernels.md",
    "docs/schedules.md",
    "tests/models/README.md",
];

/// Endings of what counts as a path.
const ENDINGS: [&str; 8] = [".rs", ".md", ".tir", ".txt", ".toml", ".fbs", ".py", ".sh"];

#[test]
fn the_reference_is_what_the_sources_say() {
    let mut out = String::from(
        "# The two levels, row by row\n\nPut together from the sources by `TINYC_BLESS=1 cargo test --test docs`.\n",
    );
    out.push_str("\n## Operators of the graph level\n");
    for name in Op::NAMES {
        writeln!(out, "\n### {name}\n\n{}", header(&format!("ir/src/graph/ops/{name}.rs"))).unwrap();
    }
    out.push_str("\n## Operations of the loops level\n\n");
    out.push_str("| operation | operands | result | attributes | meaning |\n|---|---|---|---|---|\n");
    for prim in Prim::ALL {
        writeln!(out, "{}", operation(*prim)).unwrap();
    }
    out.push_str(
        "\n## Passes, in the order in which they run\n\n| pass | level | what it does |\n|---|---|---|\n",
    );
    for pass in passes::graph::PIPELINE {
        writeln!(out, "| `{}` | graph | {} |", pass.name, pass.summary).unwrap();
    }
    for pass in passes::loops::PASSES {
        writeln!(out, "| `{}` | loops | {} |", pass.name, pass.summary).unwrap();
    }
    out.push_str("\n## Cores\n\n");
    for core in CORES {
        writeln!(out, "- `{}`", core.name()).unwrap();
    }
    compare_with_file(&repository().join("docs/ir-reference.md"), &out).unwrap();
}

/// The module header of a source file.
fn header(path: &str) -> String {
    let text = fs::read_to_string(repository().join(path)).expect("every operator has a file");
    let lines: Vec<&str> =
        text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim_end).collect();
    lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn operation(prim: Prim) -> String {
    let row = prim.row();
    let operands: Vec<String> = row.operands.iter().map(|operand| format!("{operand:?}")).collect();
    let attributes: Vec<&str> = row.attributes.iter().map(|(name, _)| *name).collect();
    let result = match row.output {
        ir::loops::prim::Output::Is(ty) => ty.to_string(),
        ir::loops::prim::Output::As(operand) => format!("as operand {operand}"),
    };
    let (operands, attributes) = (operands.join(", "), attributes.join(", "));
    format!("| `{}` | {operands} | {result} | {attributes} |{} |", row.name, row.summary)
}

#[test]
fn what_the_documents_name_exists() {
    let mut missing = String::new();
    for document in DOCUMENTS {
        let text = fs::read_to_string(repository().join(document)).expect("the document is there");
        for name in text.split('`').skip(1).step_by(2).filter(|name| is_path(name)) {
            if !exists(name) {
                writeln!(missing, "{document}: `{name}`").unwrap();
            }
        }
    }
    assert!(missing.is_empty(), "no such file:\n{missing}");
}

/// Whether a name in backquotes is a path in this repository: it has a folder, an ending of ours, and no placeholder.
fn is_path(name: &str) -> bool {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    is_plain && name.contains('/') && ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Documents also shorten paths within the crate that they speak of: some file must end so.
fn exists(name: &str) -> bool {
    repository().join(name).exists() || CRATES.iter().any(|root| repository().join(root).join(name).exists())
}

/// Where shortened paths begin.
const CRATES: [&str; 5] = ["ir/src", "isel-thumb2/src", "passes/src", "frontends/src", "docs"];

#[test]
fn every_crate_has_its_paragraph() {
    let text = fs::read_to_string(repository().join("docs/architecture.md")).expect("the document is there");
    for member in
        ["ir", "frontends", "passes", "lowering", "lowering/host", "isel-thumb2", "runtime", "tinyc"]
    {
        assert!(text.contains(&format!("**`{member}`**")), "`{member}` has no paragraph");
        assert!(member == "tinyc" || Path::new(repository()).join(member).join("Cargo.toml").exists());
    }
}
