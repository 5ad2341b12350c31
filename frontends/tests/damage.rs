//! Whatever the bytes are, the front end answers, and soon: a graph that verifies, or errors. Nothing is evaluated here.

mod common;

use std::time::{Duration, Instant};

use common::{ModelSpec, TensorSpec};
use ir::graph::verify;
use test_support::{Model, Random};
use tinyc_frontends::tflite;
use tinyc_frontends::tflite::schema::tflite::BuiltinOperator;

/// Longer than any file takes, even on a busy machine; what hangs takes for ever.
const LIMIT: Duration = Duration::from_secs(20);

/// What the front end made of many files.
#[derive(Default)]
struct Outcomes {
    loaded: usize,
    refused: usize,
}

impl Outcomes {
    fn try_file(&mut self, bytes: &[u8], what: impl Fn() -> String) {
        let start = Instant::now();
        let inspection = tflite::inspect(bytes);
        match tflite::load(bytes, "model") {
            Ok(graph) => {
                self.loaded += 1;
                let errors = verify(&graph);
                assert!(errors.is_empty(), "{}: the graph is wrong: {errors:?}", what());
                assert_eq!(inspection.map(|i| i.refusals), Ok(Vec::new()), "{}", what());
            }
            Err(errors) => {
                self.refused += 1;
                assert!(!errors.is_empty(), "{}: refused without a reason", what());
                assert!(errors.iter().all(|e| !e.message.is_empty()), "{}", what());
                assert_ne!(inspection.map(|i| i.refusals.is_empty()), Ok(true), "{}", what());
            }
        }
        assert!(start.elapsed() < LIMIT, "{} took {:?}", what(), start.elapsed());
    }
}

#[test]
fn random_bytes_are_refused() {
    let mut random = Random(1);
    let mut outcomes = Outcomes::default();
    for idx in 0..2000 {
        let len = random.below(600);
        let mut bytes = random.bytes(len);
        if idx % 2 == 1 && len >= 8 {
            // Such that the verifier is reached: a root near the start, and the right identifier.
            bytes[..8].copy_from_slice(b"\x08\0\0\0TFL3");
            bytes[0] = 8 + (random.below(8) * 4) as u8;
        }
        outcomes.try_file(&bytes, || format!("random file {idx}"));
    }
    assert_eq!((outcomes.loaded, outcomes.refused), (0, 2000));
}

#[test]
fn truncated_models_are_refused() {
    for model in samples() {
        let bytes = model.read();
        let mut outcomes = Outcomes::default();
        for len in (0..bytes.len()).step_by(97) {
            outcomes.try_file(&bytes[..len], || format!("{} cut off at {len}", model.name));
        }
        assert_eq!(outcomes.loaded, 0, "{}", model.name);
    }
}

#[test]
fn models_with_flipped_bits_are_answered() {
    let mut outcomes = Outcomes::default();
    for model in samples() {
        let right = model.read();
        let mut random = Random(2);
        for idx in 0..1500 {
            let mut bytes = right.clone();
            for _ in 0..1 + random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
            outcomes.try_file(&bytes, || format!("{} with flipped bits, {idx}", model.name));
        }
    }
    assert!(
        outcomes.loaded > 100 && outcomes.refused > 100,
        "the flips are too many or too few to test much"
    );
}

/// Offsets, lengths, indices and extents are words: they get the values that arithmetic fails on.
#[test]
fn models_with_changed_words_are_answered() {
    let words =
        [0, 1, 2, 4, 127, 128, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x7f80_0000, 0x7fc0_0000, 0x0080_0000];
    let mut outcomes = Outcomes::default();
    for model in samples() {
        let right = model.read();
        let mut random = Random(3);
        for idx in 0..1500 {
            let mut bytes = right.clone();
            for _ in 0..1 + random.below(2) {
                let at = random.below(bytes.len() / 4) * 4;
                let word = match random.below(3) {
                    0 => random.word() as u32,
                    1 => {
                        u32::from_le_bytes(right[at..at + 4].try_into().expect("four bytes")).wrapping_add(4)
                    }
                    _ => words[random.below(words.len())],
                };
                bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
            }
            outcomes.try_file(&bytes, || format!("{} with changed words, {idx}", model.name));
        }
    }
    assert!(
        outcomes.loaded > 100 && outcomes.refused > 100,
        "the changes are too many or too few to test much"
    );
}

/// Nothing that the front end does takes quadratic time.
#[test]
fn a_model_of_many_operators_is_answered_soon() {
    let mut model = ModelSpec::conv();
    let count = 20_000;
    for idx in 0..count {
        let result = TensorSpec::activation("relu", &[1, 5, 6, 2]);
        model = model.then(BuiltinOperator::RELU, &[3 + idx], result);
    }
    let mut outcomes = Outcomes::default();
    outcomes.try_file(&model.write(), || format!("a model of {count} operators"));
    assert_eq!(outcomes.loaded, 1);
}

/// Every aligned word of one small model with the values that matter most, one at a time.
#[test]
fn each_word_of_a_small_model_may_be_anything() {
    let right = sample("conv_3x3_same").read();
    let mut outcomes = Outcomes::default();
    for at in (0..right.len() / 4 * 4).step_by(4) {
        for word in [0u32, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x00ff_ffff, 0x7f7f_ffff] {
            let mut bytes = right.clone();
            bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
            outcomes.try_file(&bytes, || format!("the word at {at} as {word:#x}"));
        }
    }
    assert!(
        outcomes.loaded > 100 && outcomes.refused > 100,
        "most words matter, and weights may be anything"
    );
}

/// Small models, so that most of their bytes are structure, and a larger one.
fn samples() -> Vec<Model> {
    let names =
        ["conv_3x3_same", "add_relu6", "chain_pad_conv_s2", "chain_float_boundary", "mean_hw_keep", "digits"];
    names.map(sample).to_vec()
}

fn sample(name: &str) -> Model {
    let models = test_support::own_models();
    models
        .into_iter()
        .find(|model| model.name == name)
        .unwrap_or_else(|| panic!("there is no model `{name}`"))
}
