//! Models as compiled layers, for tests that look at the code itself.

use isel_thumb2::cores::m4::CortexM4;
use isel_thumb2::layer::{ALLOCATORS, ORDERS, Options};
use isel_thumb2::program::{CompiledLayer, Settings};
use lowering::memory::place;
use tinyc::pipeline;

/// What all functions have in common.
pub fn settings(fpu: bool) -> Settings {
    Settings {
        prefix: "model".into(),
        listing: "model.loops".into(),
        producer: "tinyc".into(),
        options: Options { core: &CortexM4, fpu, allocators: ALLOCATORS, orders: ORDERS },
        run_until: false,
    }
}

/// The layers of a model file, or `None` where it is one that tinyc refuses.
pub fn layers(file: &[u8], fpu: bool) -> Option<Vec<CompiledLayer>> {
    let graph = pipeline::graph(file, "model", &mut |_, _| {}).ok()?;
    let program = pipeline::program(&graph, None, &mut |_, _| {}).expect("the graph is lowered");
    let placement = place(&program).expect("the tensors fit");
    let layers = pipeline::layers(&program, &placement, &settings(fpu), &|_, _| {});
    Some(layers.expect("the layers are compiled").1)
}
