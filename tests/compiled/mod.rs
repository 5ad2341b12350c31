//! Models as compiled layers, for tests that look at the code itself.

#![allow(dead_code)] // Each test program uses a part of it.

use isel_thumb2::cores::Core;
use isel_thumb2::cores::m4::CortexM4;
use isel_thumb2::emit::Timed;
use isel_thumb2::isa::{Inst, Reg};
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

/// Whether an instruction loads from the stack or stores to it.
fn touches_stack(inst: &Inst) -> bool {
    inst.row().mem.is_some() && inst.uses().any(|reg| reg == Reg::SP)
}

/// Ranges of blocks that are loops without another loop inside.
fn inner_loops(timed: &Timed) -> Vec<(usize, usize)> {
    let backwards = timed.edges.iter().filter(|edge| edge.taken && edge.to <= edge.from);
    let loops: Vec<(usize, usize)> = backwards.map(|edge| (edge.to, edge.from)).collect();
    let inside = |a: &(usize, usize), b: &(usize, usize)| a != b && b.0 <= a.0 && a.1 <= b.1;
    loops.iter().filter(|outer| !loops.iter().any(|inner| inside(inner, outer))).copied().collect()
}

/// The accesses to the stack in each inner loop.
pub fn stack_accesses(timed: &Timed) -> Vec<usize> {
    let body = |(from, to): (usize, usize)| timed.blocks[from..=to].iter().flat_map(|block| &block.insts);
    let count = |inner| body(inner).filter(|inst| touches_stack(inst)).count();
    inner_loops(timed).into_iter().map(count).collect()
}
