//! Bounds of sums over what is kept in scratch: as tight as without it, whatever words it is written and read in.

use ir::loops::text::parse_nest;
use ir::loops::{Expr, Nest, Prim};
use tinyc_passes::proofs::accumulators::{self, Interval};
use tinyc_passes::schedule::Schedule;

const NEST: &str = "loops @dense(x: i8[2, 8], y: i8[2, 2]) {
  const w: i8[2, 8] = [1, -2, 3, -128, 127, 0, 5, 6, 7, 8, 9, -10, 11, 12, 13, 14]
  const b: i32[2] = [10, -20]
  for p in 0..2 { for n in 0..2 {
    reduce a: i32 over k in 0..8 {
      init { a = b[n] }
      update { a = add a, mul(sext(x[p, k]), sext(w[n, k])) }
      finish { y[p, n] = requantize a, 1073741824, -3 {zero = 0, min = -128, max = 127} }
    }
  } }
}";

fn bounds(nest: &Nest) -> Vec<Interval> {
    let mut found: Vec<Interval> = Vec::new();
    let see = &mut |_: &Expr, place: &accumulators::Place| found.push(place.operands[0]);
    accumulators::visit(nest, Prim::Requantize, see).expect("it is small");
    found
}

fn after(steps: &str) -> Nest {
    let mut nest = parse_nest(NEST).expect("it is a nest");
    let schedule = Schedule::parse_steps(steps).expect("it is a schedule");
    schedule.apply_to(&mut nest, &mut |_, _| {}).expect("it is legal");
    nest
}

#[test]
fn staging_loses_no_bound() {
    let plain = bounds(&parse_nest(NEST).expect("it is a nest"));
    for steps in [
        "stage x i16 at p",
        "stage x i8; stage x_panel i16 at p",
        "permute k (0 2 1 3); stage x i16 at p",
        "stage x i16 at p; pack w i16; tile k 2; vectorize k.i dual16",
        "permute k (0 2 1 3); stage x i16 at p; pack w i16; tile k 2; vectorize k.i dual16; unroll-and-jam n",
    ] {
        let mut found = bounds(&after(steps));
        found.dedup();
        assert!(plain.starts_with(&found[..2]) && found.len() == 2, "{steps}: {found:?}, not {plain:?}");
    }
}

#[test]
fn scratch_holds_what_is_stored_there() {
    let bound = |stores: &str| {
        let text = format!(
            "loops @scratch(x: i8[4], y: i8[4]) {{
               scratch t: i16[4]
               for i in 0..4 {{ {stores} }}
               for i in 0..4 {{ y[i] = requantize sext(t[i]), 1073741824, -3 {{zero = 0, min = -128, max = 127}} }}
             }}"
        );
        bounds(&parse_nest(&text).expect("it is a nest"))[0]
    };
    assert_eq!(bound("t[i] = mul sext(x[i]), 2"), Interval { low: -256, high: 254 });
    assert_eq!(bound("t[i] = 7 t[i] = mul sext(x[i]), -2"), Interval { low: -254, high: 256 });
    let any = Interval { low: i16::MIN.into(), high: i16::MAX.into() };
    assert_eq!(bound("t[i] = mul sext(x[i]), 1000"), any, "it may not fit");
    assert_eq!(bound("t[i] = 0 t[i] = add sext(t[i]), sext(x[i])"), any, "it grows");
}
