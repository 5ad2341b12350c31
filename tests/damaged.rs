//! Models with a wrong bit: the whole compiler answers with an object file or with errors, never with a panic.
//!
//! Most such models are sound files with other weights, scales or shapes than anyone would train.

use isel_thumb2::cores;
use rayon::prelude::*;
use tinyc::pipeline::{self, Options};

/// Bytes from one damaged place to the next, where not all are tried.
const STEP: usize = 41;

/// Whether the model is compiled; `None` where it is refused with at least one message.
fn answer(model: &[u8]) -> Option<Vec<u8>> {
    let core = cores::by_name("cortex-m4").expect("a core of ours");
    let options = Options { core, prefix: "m", stem: "m", fpu: true, run_until: true, schedule: None };
    match pipeline::compile(model, &options, &|_, _| {}) {
        Ok(compiled) => Some(compiled.object),
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a message");
            None
        }
    }
}

#[test]
fn a_wrong_bit_is_compiled_or_refused() {
    let file = test_support::repository().join("tests/models/digits/digits.tflite");
    let model = std::fs::read(file).expect("the model is there");
    let step = if std::env::var_os("TINYC_TEST_ALL").is_some() { 1 } else { STEP };
    let places: Vec<usize> = (0..model.len()).step_by(step).collect();
    let compiled = places.par_iter().filter(|&&place| {
        let mut damaged = model.clone();
        damaged[place] ^= 1 << (place % 8);
        let answer = std::panic::catch_unwind(|| answer(&damaged));
        answer.unwrap_or_else(|_| panic!("byte {place}, bit {}", place % 8)).is_some()
    });
    let n_compiled = compiled.count();
    assert!((1..places.len()).contains(&n_compiled), "{n_compiled} of {} are compiled", places.len());
}
