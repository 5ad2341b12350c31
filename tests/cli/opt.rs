//! `tinyc opt`.

use insta::assert_snapshot;
use passes::loops::STEPS;
use passes::network;

use crate::support::{folder, refusal, shown, text, tinyc};

const GRAPH: &str = "tests/cli/fold.tir";
const LOOPS: &str = "tests/cli/border.tir";

fn opt(file: &str, passes: &[&str]) -> String {
    let arguments = ["opt", file].into_iter().chain(passes.iter().flat_map(|pass| ["--pass", pass]));
    shown(&tinyc(arguments))
}

#[test]
fn passes_run_in_the_order_given() {
    assert_snapshot!("opt_list", passes_of(&shown(&tinyc(["opt", "--list"]))));
    assert_snapshot!("opt_graph", opt(GRAPH, &["fold-pad", "remove-dead-ops"]));
    assert_snapshot!("opt_loops", opt(LOOPS, &["border"]));
}

/// The list without the steps of schedules, whose reference is a document with a test of its own.
fn passes_of(list: &str) -> String {
    let is_pass = |line: &&str| !matches!(line.split_whitespace().nth(1), Some("step" | "network"));
    assert_eq!(
        list.lines().filter(|line| !is_pass(line)).count(),
        STEPS.len() + network::STEPS.len(),
        "each step has a line:\n{list}"
    );
    list.lines().filter(is_pass).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_printed_can_be_read_again() {
    let folder = folder();
    for (file, pass) in [(GRAPH, "fold-pad"), (LOOPS, "border")] {
        let printed = opt(file, &[pass]);
        let path = folder.path().join("again.tir");
        std::fs::write(&path, &printed).unwrap();
        assert_eq!(opt(text(&path), &[]), printed);
    }
}

#[test]
fn errors_say_where() {
    assert_snapshot!("opt_wrong", refusal(&tinyc(["opt", "tests/cli/wrong.tir"])));
    assert_snapshot!("opt_outside", refusal(&tinyc(["opt", "tests/cli/outside.tir"])));
}

#[test]
fn a_pass_that_does_not_suit_is_refused() {
    let said = |file, pass| refusal(&tinyc(["opt", file, "--pass", pass]));
    assert_eq!(said(GRAPH, "border"), "error: `border` is a pass over loop nests, the file has a graph\n");
    assert_eq!(said(LOOPS, "fold-pad"), "error: `fold-pad` is a pass over graphs, the file has loop nests\n");
    assert_eq!(
        said(LOOPS, "flod-pad"),
        "error: there is no pass `flod-pad`\nhelp: `tinyc opt --list` lists all\n"
    );
}

#[test]
fn a_file_of_neither_level_is_refused() {
    let folder = folder();
    let path = folder.path().join("x.tir");
    let said = |contents: &[u8]| {
        std::fs::write(&path, contents).unwrap();
        refusal(&tinyc(["opt", text(&path)])).replace(text(&path), "x.tir")
    };
    assert_eq!(
        said(b"\nnet @x() {}"),
        "error: expected `graph`, `program` or `loops`, found `net`\n --> x.tir:2:1\n"
    );
    assert_eq!(said(&[0xff, 0xfe]), "error: `x.tir` is not text in UTF-8\n");
}
