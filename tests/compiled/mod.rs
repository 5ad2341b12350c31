//! Models as compiled layers, for tests that look at the code itself.

#![allow(dead_code)] // Each test program uses a part of it.

use isel_thumb2::cores::Core;
use isel_thumb2::cores::m4::CortexM4;
use isel_thumb2::layer::Options;
use isel_thumb2::program::{CompiledLayer, Settings};
use lowering::memory::place;
use tinyc::pipeline;

/// What all functions have in common.
pub fn settings(core: &'static dyn Core, fpu: bool) -> Settings {
    Settings {
        prefix: "model".into(),
        listing: "model.loops".into(),
        producer: "tinyc".into(),
        options: Options::new(core, fpu),
        run_until: false,
    }
}

/// The layers of a model file on the Cortex-M4, or `None` where it is one that tinyc refuses.
pub fn layers(file: &[u8], fpu: bool) -> Option<Vec<CompiledLayer>> {
    layers_for(file, &CortexM4, fpu)
}

/// The same on another core.
pub fn layers_for(file: &[u8], core: &'static dyn Core, fpu: bool) -> Option<Vec<CompiledLayer>> {
    let graph = pipeline::graph(file, "model", &mut |_, _| {}).ok()?;
    let program = pipeline::program(&graph, None, &mut |_, _| {}).expect("the graph is lowered");
    let placement = place(&program).expect("the tensors fit");
    let layers = pipeline::layers(&program, &placement, &settings(core, fpu), &|_, _| {});
    Some(layers.expect("the layers are compiled").1)
}
