//! Inner loops leave the stack alone where S registers can hold what does not fit into the core registers.

mod compiled;
mod emitted;

use emitted::Case;
use ir::loops::text::calls::RunFile;
use isel_thumb2::emit::Timed;
use isel_thumb2::isa::{Inst, Reg};

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
fn stack_accesses(timed: &Timed) -> Vec<usize> {
    let body = |(from, to): (usize, usize)| timed.blocks[from..=to].iter().flat_map(|block| &block.insts);
    let count = |inner| body(inner).filter(|inst| touches_stack(inst)).count();
    inner_loops(timed).into_iter().map(count).collect()
}

#[test]
fn inner_loops_of_models_leave_the_stack_alone() {
    let mut touching = Vec::new();
    for model in test_support::all_models() {
        let Some(layers) = compiled::layers(&model.read(), true) else { continue };
        let mut n_loops = 0;
        for layer in &layers {
            let accesses = stack_accesses(&layer.emitted.timed);
            n_loops += accesses.len();
            if accesses.iter().any(|count| *count > 0) {
                touching.push(format!("{}: `{}`: {accesses:?}", model.name, layer.emitted.code.symbol));
            }
        }
        assert!(n_loops > 0, "{} has no loop", model.name);
    }
    assert!(touching.is_empty(), "accesses to the stack by inner loop:\n{}", touching.join("\n"));
}

/// Many sums cannot all be in core registers: S registers hold the rest, and without them the accesses are found.
#[test]
fn what_does_not_fit_is_found() {
    let path = test_support::repository().join("tests/isel/pressure.tir");
    let file = RunFile::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    let accesses = |name: &str, fpu: bool| {
        let nest = file.nests.iter().find(|nest| nest.name == name).expect("the file has it");
        let zeros = nest.params().map(|id| vec![0; nest.buffers[id.idx()].bytes()]).collect();
        let case = Case::new(nest.clone(), zeros).unwrap();
        stack_accesses(&emitted::compile(&[case], fpu).unwrap()[0].emitted.timed)
    };
    assert!(matches!(accesses("loop40", false)[..], [count] if count > 0));
    assert_eq!(accesses("loop20", true), [0]);
    assert_eq!(accesses("loop10", true), [0]);
}
