//! Inner loops leave the stack alone where S registers can hold what does not fit into the core registers.

mod compiled;
mod emitted;

use emitted::Case;
use ir::loops::text::calls::RunFile;
use ir::loops::text::parse_nest;

#[test]
fn inner_loops_of_models_leave_the_stack_alone() {
    let mut touching = Vec::new();
    for model in test_support::all_models() {
        let Some(layers) = compiled::layers(&model.read(), true) else { continue };
        let mut n_loops = 0;
        for layer in &layers {
            let accesses = compiled::stack_accesses(&layer.emitted.timed);
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
        compiled::stack_accesses(&emitted::compile(&[case], fpu).unwrap()[0].emitted.timed)
    };
    assert!(matches!(accesses("loop40", false)[..], [count] if count > 0));
    assert_eq!(accesses("loop20", true), [0]);
    assert_eq!(accesses("loop10", true), [0]);
}

/// More values at once than a frame has words are refused with what helps, whatever holds the first of them.
#[test]
fn what_no_frame_can_hold_is_refused() {
    let compiled = |sums: usize, fpu: bool| {
        let nest = parse_nest(&format!(
            "loops @sums(x: i8[{sums}, 2], y: i32[{sums}]) {{
               reduce a: i32[{sums}] over k in 0..2 {{
                 init {{ for i in 0..{sums} unroll {{ a[i] = 0 }} }}
                 update {{ for i in 0..{sums} unroll {{ a[i] = add a[i], sext(x[i, k]) }} }}
                 finish {{ for i in 0..{sums} unroll {{ y[i] = a[i] }} }}
               }}
             }}"
        ));
        let nest = nest.expect("a nest");
        let zeros = nest.params().map(|id| vec![0; nest.buffers[id.idx()].bytes()]).collect();
        emitted::compile(&[Case::new(nest, zeros).unwrap()], fpu).map(|_| ())
    };
    let refused = Err("`@sums`: error: the code of `sums` has more values at once than its stack frame can hold\nhelp: fewer copies of its statements: smaller numbers for `unroll` and `unroll-and-jam`".into());
    for fpu in [false, true] {
        assert_eq!(compiled(100, fpu), Ok(()));
        assert_eq!(compiled(1100, fpu), refused);
    }
}
