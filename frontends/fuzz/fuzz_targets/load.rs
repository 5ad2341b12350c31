//! Any bytes give a graph that verifies or errors, and `inspect` agrees with `load`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tinyc_frontends::tflite;

fuzz_target!(|bytes: &[u8]| {
    let inspection = tflite::inspect(bytes);
    match tflite::load(bytes, "model") {
        Ok(graph) => {
            assert!(tinyc_ir::graph::verify(&graph).is_empty());
            assert!(inspection.is_ok_and(|inspection| inspection.refusals.is_empty()));
        }
        Err(errors) => assert!(!errors.is_empty() && inspection.map_or(true, |i| !i.refusals.is_empty())),
    }
});
