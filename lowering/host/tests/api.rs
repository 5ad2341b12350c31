//! What callers of the host rely on beside results: maps of inputs and outputs, state, and refusals.

use ir::loops::text::{parse_nest, parse_program};

/// Adds to a state; input and output lie in memory otherwise than the caller sees them.
const COUNTER: &str = "program @counter {
  tensor x: i8[2, 3] map (d1: 3, d0: 4) align 4 slack 4 input 0
  tensor s: i32[2, 3] persistent
  tensor y: i8[2, 3] map (d0: 2, 2 - d1: 3) output 0
  layer @count(x, s, y) op \"count\" macs 0 sources []
}
loops @count(x: i8[2, 3] map (d1: 3, d0: 4) align 4 slack 4, s: i32[2, 3], y: i8[2, 3] map (d0: 2, 2 - d1: 3)) {
  for i in 0..2 {
    for j in 0..3 {
      s[i, j] = add s[i, j], sext(x[i, j])
      y[i, j] = s[i, j]
    }
  }
}";

#[test]
fn maps_are_not_seen_outside_and_state_is_kept() {
    let mut native = tinyc_host::compile(&parse_program(COUNTER).unwrap()).unwrap();
    assert_eq!(native.run(&[&[1, 2, 3, 4, 5, 6]]).unwrap(), [[1, 2, 3, 4, 5, 6]]);
    assert_eq!(native.run(&[&[0, 0, 0, 0, 0, 100]]).unwrap(), [[1, 2, 3, 4, 5, 106]]);
    assert_eq!(native.tensor(1)[20..], [106, 0, 0, 0]);
}

#[test]
fn wrong_sizes_are_refused() {
    let mut native = tinyc_host::compile(&parse_program(COUNTER).unwrap()).unwrap();
    assert_eq!(native.run(&[]).unwrap_err().message, "found 0 inputs, wanted 1");
    assert_eq!(native.run(&[&[1]]).unwrap_err().message, "input `x` has 1 bytes, its tensor has 6");
    let mut native =
        tinyc_host::compile_nest(&parse_nest("loops @f(x: i8[4]) { x[0] = 1 }").unwrap()).unwrap();
    assert_eq!(native.run(&mut []).unwrap_err().message, "found 0 parameters, wanted 1");
    let error = native.run(&mut [&mut [0; 3]]).unwrap_err();
    assert_eq!(error.message, "a parameter has 3 bytes, its buffer has 4");
}

#[test]
fn what_the_verifier_refuses_is_not_compiled() {
    let outside = parse_nest("loops @f(x: i8[4]) { for i in 0..5 { x[i] = 1 } }").unwrap();
    let error = tinyc_host::compile_nest(&outside).err().expect("the last index is outside");
    assert!(error.message.contains("`x`"), "{error}");
    let mut unwritten = parse_program(COUNTER).unwrap();
    unwritten.layers.clear();
    let error = tinyc_host::compile(&unwritten).err().expect("nothing writes the output");
    assert!(error.message.contains("`y`"), "{error}");
    let blocks = "loops @f(x: i32[1]) {
      reduce a: i32[200, 200], b: i32[200, 200] over k in 0..1 {
        init { for i in 0..200 { for j in 0..200 {
          a[i, j] = 0
          b[i, j] = 0
        } } }
        update { a[0, 0] = 1 }
        finish { x[0] = a[0, 0] }
      }
    }";
    let error = tinyc_host::compile_nest(&parse_nest(blocks).unwrap()).err().expect("the stack is too small");
    assert_eq!(error.message, "cannot compile `f` for the host: it has more than 65536 registers");
}
