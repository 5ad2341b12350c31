//! Models that must be refused: a message, exit code 1, and no file left behind.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use insta::assert_snapshot;

use crate::support::{DIGITS, folder, refusal, refused_models, text, tinyc};

/// What one build may take; a damaged model must not hang it.
const LIMIT: Duration = Duration::from_secs(20);

/// What `tinyc build` says about a model, which it must refuse without leaving a file.
fn said(model: &Path) -> String {
    let folder = folder();
    let object = folder.path().join("model.o");
    let begin = Instant::now();
    let said = refusal(&tinyc(["build", text(model), "-o", text(&object)]));
    assert!(begin.elapsed() < LIMIT, "it took {:?} to say `{said}`", begin.elapsed());
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "a file is left behind: {said}");
    said
}

/// The same for a model with these bytes.
fn said_of(bytes: &[u8]) -> String {
    let folder = folder();
    let model = folder.path().join("model.tflite");
    std::fs::write(&model, bytes).unwrap();
    said(&model)
}

fn digits() -> Vec<u8> {
    std::fs::read(test_support::repository().join(DIGITS)).unwrap()
}

#[test]
fn each_refused_model_has_its_message() {
    let mut all = String::new();
    for model in refused_models() {
        writeln!(all, "# {}\n{}", model.file_stem().unwrap().to_str().unwrap(), said(&model)).unwrap();
    }
    assert_snapshot!("refused", all);
}

#[test]
fn a_file_that_is_no_model_has_its_message() {
    let mut all = String::new();
    let noise = noise(4096);
    // With the right identifier at its place, the noise is looked at more closely.
    let marked = [&noise[..4], b"TFL3", &noise[8..]].concat();
    for (name, bytes) in [("empty", &[][..]), ("noise", &noise), ("marked noise", &marked)] {
        writeln!(all, "# {name}\n{}", said_of(bytes)).unwrap();
    }
    writeln!(all, "# cut in the middle\n{}", said_of(&digits()[..digits().len() / 2])).unwrap();
    assert_snapshot!("no_model", all);
}

#[test]
fn a_model_cut_off_anywhere_is_refused() {
    let digits = digits();
    for length in (0..digits.len()).step_by(97) {
        said_of(&digits[..length]);
    }
}

/// Bytes without order, the same in every run: a linear congruential generator.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223); // Knuth's constants, as in Numerical Recipes.
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}
