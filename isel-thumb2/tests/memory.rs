//! The counters of loads and stores, against a count by hand.

use std::collections::BTreeMap;

use ir::loops::text::parse_nest;
use tinyc_isel_thumb2::cores::m4::CortexM4;
use tinyc_isel_thumb2::emit::{Emitted, Names};
use tinyc_isel_thumb2::layer::{Options, Order, compile};
use tinyc_isel_thumb2::memory::{Counters, Traffic};
use tinyc_isel_thumb2::select::Together;

/// The code of a nest, its parameters and scratch one after the other in the arena.
fn compiled(text: &str, fpu: bool) -> Emitted {
    let nest = parse_nest(text).expect("the nest is right");
    let mut offsets = BTreeMap::new();
    let mut end: u32 = 0;
    for id in nest.buffers_where(|buffer| !buffer.is_const()) {
        let buffer = &nest.buffers[id.idx()];
        let at = end.next_multiple_of(buffer.map.align.max(4));
        offsets.insert(id, at);
        end = at + buffer.bytes() as u32;
    }
    let names = Names { symbol: "f".into(), constant: &|_| "constant".into(), line: &|_| 0 };
    compile(&nest, &offsets, &names, Options { orders: &[Order::SOURCE], ..Options::new(&CortexM4, fpu) })
        .expect("the nest compiles")
}

fn loads(count: u64, bytes: u64) -> Traffic {
    Traffic { loads: count, load_bytes: count * bytes, ..Traffic::default() }
}

#[test]
fn loads_and_stores_are_counted_by_region() {
    let emitted = compiled(
        "loops @sums(x: i8[6], y: i32[3]) {
           const w: i16[4] = [1, 2, 3, 4]
           const b: i32[3] = [10, 20, 30]
           scratch t: i8[6]
           for i in 0..6 {
             t[i] = x[i]
           }
           for o in 0..3 {
             reduce a: i32 over k in 0..4 {
               init { a = b[o] }
               update { a = add a, mul(sext(t[o + k]), sext(w[k])) }
               finish { y[o] = a }
             }
           }
         }",
        true,
    );
    let Counters { flash, arena, stack } = emitted.memory();
    // `w` and `t` are read in each of 12 steps, `b` once for each of 3 results.
    assert_eq!(flash, Traffic { loads: 12 + 3, load_bytes: 12 * 2 + 3 * 4, ..Traffic::default() });
    let stored = Traffic { stores: 6 + 3, store_bytes: 6 + 3 * 4, ..Traffic::default() };
    assert_eq!(arena, Traffic { loads: 6 + 12, load_bytes: 6 + 12, ..stored });
    // What is saved is restored, in words.
    let saved = u64::from(emitted.stack_bytes / 4);
    assert_eq!(stack, Traffic { stores: saved, store_bytes: 4 * saved, ..loads(saved, 4) });
}

#[test]
fn every_register_of_a_list_counts() {
    let emitted = compiled(
        "loops @copy(x: i32[8], y: i32[8]) {
           for i in 0..2 {
             a: i32 = x[4*i]
             b: i32 = x[4*i + 1]
             c: i32 = x[4*i + 2]
             d: i32 = x[4*i + 3]
             y[4*i] = a
             y[4*i + 1] = b
             y[4*i + 2] = c
             y[4*i + 3] = d
           }
         }",
        true,
    );
    assert_eq!(emitted.memory().arena, Traffic { stores: 8, store_bytes: 32, ..loads(8, 4) });
    assert_eq!(emitted.memory().flash, Traffic::default());
}

#[test]
fn spilled_values_are_traffic_of_the_stack() {
    let reads: String = (0..16).map(|n| format!("a{n}: i32 = x[{n}]\n")).collect();
    let writes: String = (0..16).map(|n| format!("y[{n}] = mul a{n}, a{}\n", 15 - n)).collect();
    let text = format!("loops @many(x: i32[16], y: i32[16]) {{\n{reads}{writes}}}");
    let saved = |emitted: &Emitted| emitted.memory().stack.stores;
    let with_s_registers = compiled(&text, true);
    let without = compiled(&text, false);
    assert_eq!(4 * saved(&with_s_registers), u64::from(with_s_registers.stack_bytes));
    // 16 values do not fit into 14 registers.
    assert!(saved(&without) >= saved(&with_s_registers) + 2);
    assert_eq!(without.memory().arena, Traffic { stores: 16, store_bytes: 64, ..loads(16, 4) });
}

/// A pointer for each walk through constants: two that are read alike and more than once in an iteration share theirs.
#[test]
fn constants_that_are_walked_alike_share_an_address() {
    let nest = |unroll: &str| {
        format!(
            "loops @affine(x: i32[4], y: i32[4]) {{
               const b: i32[4] = [10, 20, 30, 40]
               const m: i32[4] = [1, -1, 2, -2]
               for n.o in 0..2 {{
                 for n.i in 0..2{unroll} {{
                   y[2*n.o + n.i] = add mul(x[2*n.o + n.i], m[2*n.o + n.i]), b[2*n.o + n.i]
                 }}
               }}
             }}"
        )
    };
    let (once, twice) = (nest(""), nest(" unroll"));
    assert_eq!(compiled(&once, true).constants.len(), 2);
    let emitted = compiled(&twice, true);
    let parsed = parse_nest(&twice).expect("the nest is right");
    let members = Together::new(&parsed).members(emitted.constants[0]);
    assert_eq!(emitted.constants.len(), 1);
    assert_eq!(members.iter().map(|(_, distance)| *distance).collect::<Vec<_>>(), [0, 16]);
    assert_eq!(emitted.memory().flash, loads(8, 4));
}

/// The rows that an iteration reads lie side by side: a word of `b`, two of `m`, then eight bytes of `w`, which have a loop of their own.
#[test]
fn rows_that_are_read_together_lie_together() {
    let nest = parse_nest(
        "loops @rows(x: i8[8], y: i32[3, 2]) {
           const w: i8[3, 8] = [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3]
           const b: i32[3] = [10, 20, 30]
           const m: i32[3, 2] = [1, 2, 3, 4, 5, 6]
           for n in 0..3 {
             reduce a: i32 over k in 0..8 {
               init { a = b[n] }
               update { a = add a, mul(sext(x[k]), sext(w[n, k])) }
               finish { for i in 0..2 unroll { y[n, i] = mul a, m[n, i] } }
             }
           }
         }",
    )
    .expect("the nest is right");
    let [w, b, m] = ["w", "b", "m"].map(|name| {
        nest.buffers_where(|buffer| buffer.is_const() && buffer.name == name).next().expect("it is there")
    });
    let rows =
        |start: usize, bytes: usize| (0..3).map(|n| (start + 20 * n, bytes * n..bytes * (n + 1))).collect();
    let pieces: Vec<(_, Vec<_>)> = vec![(b, rows(0, 4)), (m, rows(4, 8)), (w, rows(12, 8))];
    let mut found = Together::new(&nest).pieces(b, &nest);
    found.sort_by_key(|(_, pieces)| pieces[0].0);
    assert_eq!(found, pieces);
}
