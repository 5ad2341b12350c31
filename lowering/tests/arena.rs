//! Whole models in one arena: the placement is as small as can be. That it is enough, host code in that arena shows.

use frontends::tflite;
use ir::loops::Program;
use test_support::Model;
use tinyc_lowering::memory::{Placement, place};

/// The program of a model, with the passes that every nest takes; `None` for what is refused.
fn program_of(model: &Model) -> Option<Program> {
    let mut graph = tflite::load(&model.read(), "model").ok()?;
    passes::graph::optimize(&mut graph, |_, _| {});
    let mut program = tinyc_lowering::lower(&graph).ok()?;
    for layer in &mut program.layers {
        passes::loops::legalize(&mut layer.nest).expect("the passes accept what lowering gives");
    }
    Some(program)
}

/// Bytes that are lost at most because tensors begin at multiples of four.
const GAPS: u32 = 8;

#[test]
fn every_model_is_placed_best() {
    let mut n_placed = 0;
    for model in test_support::all_models() {
        let Some(program) = program_of(&model) else { continue };
        let placement = place(&program).expect("the model is small");
        let Placement { arena_bytes, lower_bound, apart_bytes, alive_bytes, .. } = placement;
        // Holds for all models so far. One that breaks it has to be looked at: the bound may be out of reach.
        let gaps = apart_bytes - alive_bytes;
        assert!(gaps <= GAPS, "{}: {gaps} B more than are alive", model.name);
        assert!(lower_bound <= arena_bytes && arena_bytes <= apart_bytes, "{}", model.name);
        println!("{:24} {arena_bytes:7} B, {apart_bytes:7} B apart, at least {lower_bound:7} B", model.name);
        n_placed += 1;
    }
    assert!(n_placed >= 10, "only {n_placed} models were placed");
}
