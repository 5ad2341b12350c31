//! The help texts, and arguments that make no sense.

use insta::assert_snapshot;

use crate::support::{shown, tinyc};

#[test]
fn each_command_explains_itself() {
    assert_snapshot!("help", shown(&tinyc(["--help"])));
    for command in ["build", "run", "inspect", "opt"] {
        assert_snapshot!(format!("help_{command}"), shown(&tinyc([command, "--help"])));
    }
}

#[test]
fn arguments_that_make_no_sense_end_with_2() {
    for arguments in [
        &[][..],
        &["compile"],
        &["inspect"],
        &["inspect", "a.tflite", "b.tflite"],
        &["opt"],
        &["build", "a.tflite"],
        &["run", "a.tflite"],
    ] {
        let output = tinyc(arguments.iter().copied());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", shown(&output));
    }
}
