//! What loops carry: the registers that change in them, and no others of the same block.

use ir::loops::text::parse_nest;
use tinyc_isel_thumb2::cores::m4::CortexM4;
use tinyc_isel_thumb2::mir::Function;
use tinyc_isel_thumb2::select::{Offsets, select};

/// A block of sums, each with a loop of its own.
const SUMS: &str = "loops @sums(x: i32[8, 4], y: i32[8]) {
  reduce a: i32[8] {
    init { for n in 0..8 unroll { a[n] = index(n) } }
    update { for n in 0..8 unroll { for k in 0..4 { a[n] = add a[n], x[n, k] } } }
    finish { for n in 0..8 unroll { y[n] = a[n] } }
  }
}";

fn selected(text: &str) -> Function {
    let nest = parse_nest(text).expect("the nest is right");
    let offsets: Offsets = nest.buffers_where(|_| true).zip([0, 128]).collect();
    select(&nest, &offsets, &CortexM4).expect("code is selected")
}

#[test]
fn a_loop_carries_those_that_it_changes() {
    let blocks = selected(SUMS).blocks;
    let carried: Vec<usize> =
        blocks.iter().map(|block| block.params.len()).filter(|params| *params > 0).collect();
    assert_eq!(carried, [3; 8], "a sum, a pointer and a counter");
}
