//! `tinyc run`: the host and the emulated boards give the reference's answers.

use std::process::{Command, Output};

use insta::assert_snapshot;
use test_support::Model;

use crate::support::{DIGITS, folder, refusal, shown, text, tinyc};

const IMAGES: &str = "tests/models/digits/images.bin";
const LABELS: &str = "tests/models/digits/labels.bin";
const GOLDEN: &str = "tests/models/digits/golden.bin";

fn bytes(file: &str) -> Vec<u8> {
    std::fs::read(test_support::repository().join(file)).unwrap()
}

fn has_emulator() -> bool {
    let found = Command::new("qemu-system-arm").arg("--version").output().is_ok();
    if !found {
        println!("skipped: qemu-system-arm not found");
    }
    found
}

/// Runs the digit classifier on all images and compares the bytes of its output.
fn classifies_digits(on: &str, more: &[&str]) {
    let folder = folder();
    let out = folder.path().join("out.bin");
    let arguments = ["run", DIGITS, "--input", IMAGES, "--output", text(&out), "--on", on];
    let output = tinyc(arguments.into_iter().chain(more.iter().copied()));
    assert!(output.status.success(), "{}", shown(&output));
    assert!(
        std::fs::read(&out).unwrap() == bytes(GOLDEN),
        "{on} {more:?} has other answers than the reference"
    );
}

#[test]
fn the_host_classifies_digits() {
    classifies_digits("host", &[]);
}

#[test]
fn the_boards_classify_digits() {
    if has_emulator() {
        for core in ["cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"] {
            classifies_digits(core, &[]);
            classifies_digits(core, &["--schedule", "default"]);
        }
        classifies_digits("cortex-m4", &["--no-fpu"]);
    }
}

#[test]
fn predictions_stand_beside_labels() {
    let with_labels = |on| shown(&tinyc(["run", DIGITS, "--input", IMAGES, "--labels", LABELS, "--on", on]));
    let host = with_labels("host");
    assert!(host.contains("image  11: predicted "), "{host}");
    assert_eq!(host.lines().filter(|line| line.starts_with("image ")).count(), 200);
    assert_eq!(host.lines().last(), Some("accuracy  98.0 %: 196 of 200 right"));
    if has_emulator() {
        let device = with_labels("cortex-m4");
        let figures = device.strip_prefix(&host).expect("the board says the same, and then what it takes");
        let names: Vec<_> = figures.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(names, ["cycles", "arena", "stack", "flash"]);
    }
}

#[test]
fn without_an_output_file_the_values_are_printed() {
    let folder = folder();
    let two = folder.path().join("two.bin");
    std::fs::write(&two, &bytes(IMAGES)[..128]).unwrap();
    assert_snapshot!("run_values", shown(&tinyc(["run", DIGITS, "--input", text(&two)])));
}

#[test]
fn several_inputs_stand_one_after_the_other() {
    let models = test_support::own_models();
    let Model { file, .. } = models.iter().find(|model| model.name == "add").unwrap();
    let golden = models.iter().find(|model| model.name == "add").unwrap().golden();
    let folder = folder();
    let [input, out] = ["in.bin", "out.bin"].map(|name| folder.path().join(name));
    let all: Vec<u8> = golden.cases.iter().flat_map(|case| case.inputs.concat()).collect();
    std::fs::write(&input, all).unwrap();
    let run = |more: &[&str]| -> Output {
        let arguments = ["run", text(file), "--input", text(&input), "--output", text(&out)];
        tinyc(arguments.into_iter().chain(more.iter().copied()))
    };
    let wanted: Vec<u8> = golden.cases.iter().flat_map(|case| case.outputs.concat()).collect();
    let places: &[&str] = if has_emulator() { &["host", "cortex-m4"] } else { &["host"] };
    for on in places {
        let output = run(&["--on", on]);
        assert!(output.status.success(), "{}", shown(&output));
        assert!(std::fs::read(&out).unwrap() == wanted, "{on} has other answers than the reference");
    }
    std::fs::write(&input, [0; 7]).unwrap();
    assert_snapshot!("run_odd_size", refusal(&run(&[])));
}

#[test]
fn wrong_inputs_are_refused() {
    let folder = folder();
    let odd = folder.path().join("odd.bin");
    std::fs::write(&odd, &bytes(IMAGES)[..100]).unwrap();
    assert_eq!(
        refusal(&tinyc(["run", DIGITS, "--input", text(&odd)])),
        "error: the input file has 100 B, expected a multiple of 64 B\n\
         help: it holds the model's input, once for each case\n"
    );
    assert_eq!(
        refusal(&tinyc(["run", DIGITS, "--input", IMAGES, "--labels", text(&odd)])),
        "error: the labels are 100 B, one for each of 200 cases is expected\n"
    );
    let said = refusal(&tinyc(["run", DIGITS, "--input", IMAGES, "--output", text(folder.path())]));
    assert!(said.contains("it is a folder"), "{said}");
}
