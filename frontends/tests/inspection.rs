//! What `inspect` says about the shared models, where they are there: nothing is left out, and the numbers of
//! multiplications are those that the models' own list has.

use std::collections::BTreeMap;

use test_support::{shared_dir, shared_models};
use tinyc_frontends::tflite;

/// Operators whose multiplications are counted; the list also counts those of operators that are not supported.
const COUNTED: [&str; 3] = ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"];

#[test]
fn multiplications_are_those_of_the_list() {
    let Some(dir) = shared_dir() else { return };
    let text = std::fs::read_to_string(dir.join("models/MANIFEST.json")).expect("the list is there");
    let list: Vec<serde_json::Value> = serde_json::from_str(&text).expect("the list is JSON");
    let wanted: BTreeMap<&str, u64> = list
        .iter()
        .map(|row| {
            let of = |kind: &&str| row["macs_by_op"][*kind].as_u64().unwrap_or(0);
            (row["file"].as_str().expect("a name"), COUNTED.iter().map(of).sum())
        })
        .collect();
    let models = shared_models();
    assert!(models.len() > 100);
    for model in models {
        let inspection = tflite::inspect(&model.read()).expect("every shared model can be read");
        assert_eq!(inspection.macs, wanted[format!("{}.tflite", model.name).as_str()], "{}", model.name);
        let refused = inspection.operators.iter().filter(|op| op.refusal.is_some()).count();
        println!("{}: {} operators, {refused} refused", model.name, inspection.operators.len());
        assert_eq!(refused > 0, !inspection.refusals.is_empty(), "{}", model.name);
    }
}
