//! `short-add` and `table` against the addition of the reference kernels, on all pairs of bytes.

use ir::fixed::{Multiplier, quantize_multiplier};
use ir::loops::text::parse_nest;
use ir::loops::{Nest, interp};
use test_support::Random;
use tinyc_passes::loops::short_add::short_add;
use tinyc_passes::loops::table::table;

/// Scales and zero points as models have them: the operands' scales within a factor of five, the result's a little coarser.
fn random_addition(rng: &mut Random, same_input: bool) -> String {
    let mut uniform =
        |low: f64, high: f64| low + (high - low) * rng.below(1 << 20) as f64 / f64::from(1 << 20);
    let scales = [uniform(0.02, 0.1), uniform(0.02, 0.1)];
    let greatest = scales[0].max(scales[1]);
    let out = greatest * uniform(0.7, 2.0);
    let zeros: [i32; 3] = std::array::from_fn(|_| uniform(-128.0, 40.0) as i32);
    let [a, b] = scales.map(|scale| quantize_multiplier(scale / (2.0 * greatest)));
    let out = quantize_multiplier(2.0 * greatest / (f64::from(1 << 20) * out));
    let scaled = |name: &str, zero: i32, Multiplier { value, shift }: Multiplier| {
        let all = "{zero = 0, min = -2147483648, max = 2147483647}";
        format!("requantize shl(sub(sext({name}[i]), {zero}), 20), {value}, {shift} {all}")
    };
    let b_name = if same_input { "a" } else { "b" };
    format!(
        "loops @add(a: i8[65536], b: i8[65536], y: i8[65536]) {{
           for i in 0..65536 {{
             from_a: i32 = {}
             from_b: i32 = {}
             y[i] = requantize add(from_a, from_b), {}, {} {{zero = {}, min = -128, max = 127}}
           }}
         }}",
        scaled("a", zeros[0], a),
        scaled(b_name, zeros[1], b),
        out.value,
        out.shift,
        zeros[2]
    )
}

/// The results for all pairs of bytes.
fn all_pairs(nest: &Nest) -> Vec<u8> {
    let mut a: Vec<u8> = (0..65536u32).map(|pair| pair as u8).collect();
    let mut b: Vec<u8> = (0..65536u32).map(|pair| (pair >> 8) as u8).collect();
    let mut y = vec![0; 65536];
    interp::run(nest, &mut [&mut a, &mut b, &mut y]).unwrap_or_else(|error| panic!("{error}\n{nest}"));
    y
}

#[test]
fn most_additions_take_one_rounding() {
    let mut rng = Random(1);
    let mut shortened = 0;
    for _ in 0..40 {
        let plain = parse_nest(&random_addition(&mut rng, false)).expect("it is a nest");
        let mut short = plain.clone();
        short_add(&mut short).expect("at least its first roundings can be looked up");
        let text = short.to_string();
        assert!(!text.contains("from_a"));
        shortened += usize::from(!text.contains("requantize"));
        assert_eq!(all_pairs(&short), all_pairs(&plain), "{plain}{short}");
    }
    println!("{shortened} of 40 additions round once");
    assert!(shortened >= 38, "{shortened} of 40");
}

#[test]
fn a_sum_of_one_byte_is_a_table() {
    let mut rng = Random(2);
    for _ in 0..10 {
        let plain = parse_nest(&random_addition(&mut rng, true)).expect("it is a nest");
        let mut looked_up = plain.clone();
        assert_eq!(table(&mut looked_up), Ok(1));
        assert_eq!(all_pairs(&looked_up), all_pairs(&plain), "{plain}{looked_up}");
    }
}
