//! `tinyc inspect`.

use std::fmt::Write;

use insta::assert_snapshot;

use crate::support::{DIGITS, folder, refusal, refused_models, shown, text, tinyc};

#[test]
fn a_model_is_shown_as_a_table_and_as_json() {
    assert_snapshot!("inspect_digits", shown(&tinyc(["inspect", DIGITS])));
    let small = "tests/models/ops/add_relu.tflite";
    assert_snapshot!("inspect_add_json", shown(&tinyc(["inspect", small, "--json"])));
}

#[test]
fn a_model_says_what_would_be_refused() {
    let mut all = String::new();
    for model in refused_models() {
        let output = tinyc(["inspect", text(&model)]);
        assert!(output.status.success(), "{}", shown(&output));
        writeln!(all, "# {}\n{}", model.file_stem().unwrap().to_str().unwrap(), shown(&output)).unwrap();
    }
    assert_snapshot!("inspect_refused", all);
}

#[test]
fn a_file_that_is_no_model_is_an_error() {
    let folder = folder();
    let path = folder.path().join("m.tflite");
    std::fs::write(&path, "").unwrap();
    assert_eq!(refusal(&tinyc(["inspect", text(&path)])), "error: the file is empty\n");
    let missing = refusal(&tinyc(["inspect", "no such.tflite"]));
    assert_eq!(missing, "error: cannot read `no such.tflite`: No such file or directory (os error 2)\n");
}
