//! `expand-composites` against the fixed-point functions of the reference kernels: many multipliers, shifts and limits,
//! and for each of them the accumulators where rounding, saturation and wrapping change something.

use ir::fixed::{
    multiply_by_quantized_multiplier, rounding_divide_by_pot, saturating_rounding_doubling_high_mul,
};
use ir::loops::interp;
use ir::loops::text::parse_nest;
use test_support::Random;
use tinyc_passes::loops;

/// Accumulators near the limits, near 0, near all powers of two, and others.
fn accumulators(rng: &mut Random) -> Vec<i32> {
    let mut values: Vec<i32> = (-300..300).collect();
    for power in 0..31 {
        let around = [1i32 << power, -(1 << power), 3 << (power - 1).max(0), i32::MAX - (1 << power)];
        values.extend(around.iter().flat_map(|x| [-2, -1, 0, 1, 2].map(|d| x.wrapping_add(d))));
    }
    values.extend((0..4).flat_map(|d| [i32::MAX - d, i32::MIN + d]));
    values.extend((0..2000).map(|_| (rng.word() as i32) >> rng.below(31)));
    values
}

/// Accumulators just before and at the places where the scaled value takes another one.
fn steps(multiplier: i32, shift: i32, rng: &mut Random) -> Vec<i32> {
    if multiplier <= 0 || shift > 0 {
        return Vec::new();
    }
    let scaled = |x: i32| multiply_by_quantized_multiplier(x, multiplier, shift);
    let least_reaching = |value: i32| {
        let (mut low, mut high) = (i64::from(i32::MIN), i64::from(i32::MAX));
        while low < high {
            let middle = (low + high).div_euclid(2);
            if scaled(middle as i32) >= value { high = middle } else { low = middle + 1 }
        }
        low as i32
    };
    let values = (0..40).map(|_| rng.below(300) as i32 - 150);
    values.flat_map(|value| [-1, 0].map(|d| least_reaching(value).wrapping_add(d))).collect()
}

/// Expands the nest in `text`, whose parameters are `x` and `y`, and runs it on `xs`.
fn expanded(text: &str, xs: &[i32]) -> Vec<i32> {
    let mut nest = parse_nest(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    loops::run(&loops::expand_composites::PASS, &mut nest).expect("it can be expanded");
    let printed = nest.to_string();
    let body = &printed[printed.find("for n in").expect("the loop over the accumulators")..];
    for composite in ["requantize", "doubling_high_mul", "round_shift"] {
        assert!(!body.contains(composite), "{printed}");
    }
    let mut x: Vec<u8> = xs.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut y = vec![0; x.len()];
    interp::run(&nest, &mut [&mut x, &mut y]).unwrap_or_else(|error| panic!("{error}\n{nest}"));
    y.as_chunks().0.iter().map(|word| i32::from_le_bytes(*word)).collect()
}

fn check(text: &str, xs: &[i32], wanted: impl Fn(i32) -> i32) {
    for (x, found) in xs.iter().zip(expanded(text, xs)) {
        assert_eq!(found, wanted(*x), "for {x} of\n{text}");
    }
}

fn random_multiplier(rng: &mut Random) -> i32 {
    let usual = (1 << 30) + rng.below(1 << 30) as i32;
    let any = rng.word() as i32;
    [usual, usual, usual, 1 << 30, i32::MAX, any, any >> 8, 0, i32::MIN][rng.below(9)]
}

#[test]
fn requantize_with_literals() {
    let mut rng = Random(1);
    for _ in 0..400 {
        let multiplier = random_multiplier(&mut rng);
        let shift =
            [rng.below(32) as i32 - 31, -(rng.below(12) as i32), rng.below(62) as i32 - 31][rng.below(3)];
        let zero = [rng.below(256) as i32 - 128, 0, -128, i32::MIN, i32::MAX - 5][rng.below(5)];
        let limits = [
            (-128, 127),
            (zero, i32::MAX),
            (0, 255),
            (i32::MIN, i32::MAX),
            (-128, 100),
            (-3, 127),
            (zero.min(7), zero.max(9)),
        ];
        let (min, max) = limits[rng.below(limits.len())];
        let mut xs = accumulators(&mut rng);
        xs.extend(steps(multiplier, shift, &mut rng));
        let text = format!(
            "loops @f(x: i32[{n}], y: i32[{n}]) {{ for n in 0..{n} {{
               y[n] = requantize x[n], {multiplier}, {shift} {{zero = {zero}, min = {min}, max = {max}}}
             }} }}",
            n = xs.len()
        );
        check(&text, &xs, |x| {
            multiply_by_quantized_multiplier(x, multiplier, shift).wrapping_add(zero).max(min).min(max)
        });
    }
}

#[test]
fn requantize_with_a_number_for_each_channel() {
    let mut rng = Random(2);
    for case in 0..60 {
        let n_channels = 1 + rng.below(6);
        let usual = |rng: &mut Random| (1 << 30) + rng.below(1 << 30) as i32;
        let multipliers: Vec<i32> = match case % 3 {
            0 => (0..n_channels).map(|_| random_multiplier(&mut rng)).collect(),
            _ => (0..n_channels).map(|_| usual(&mut rng)).collect(),
        };
        let (least, most) = [(-31, -2), (-9, -2), (-31, 0), (-3, 3), (-31, 30), (0, 30)][rng.below(6)];
        let shifts: Vec<i32> =
            (0..n_channels).map(|_| least + rng.below((most - least + 1) as usize) as i32).collect();
        let zero = rng.below(256) as i32 - 128;
        let min = [-128, zero][rng.below(2)];
        let (shift_ty, shift) = [("i32", "s[n mod C]"), ("i8", "sext(s[n mod C])")][case % 2];
        let shift = shift.replace('C', &n_channels.to_string());
        let mut xs = accumulators(&mut rng);
        xs.truncate(xs.len() / n_channels * n_channels);
        let text = format!(
            "loops @f(x: i32[{n}], y: i32[{n}]) {{
               const m: i32[{n_channels}] = {multipliers:?}
               const s: {shift_ty}[{n_channels}] = {{ for i in 0..{n_channels} {{ s[i] = neg[i] }} }}
               for n in 0..{n} {{
                 y[n] = requantize x[n], m[n mod {n_channels}], {shift} {{zero = {zero}, min = {min}, max = 127}}
               }} }}",
            n = xs.len()
        );
        let text = text.replace("const s", &format!("const neg: i32[{n_channels}] = {shifts:?}\nconst s"));
        for (n, (x, found)) in xs.iter().zip(expanded(&text, &xs)).enumerate() {
            let (multiplier, shift) = (multipliers[n % n_channels], shifts[n % n_channels]);
            let scaled = multiply_by_quantized_multiplier(*x, multiplier, shift);
            assert_eq!(found, scaled.wrapping_add(zero).max(min).min(127), "for {x} of\n{text}");
        }
    }
}

#[test]
fn doubling_high_mul() {
    let mut rng = Random(3);
    for _ in 0..60 {
        let factor = random_multiplier(&mut rng);
        let xs = accumulators(&mut rng);
        let text = |operands: &str| {
            let n = xs.len();
            format!(
                "loops @f(x: i32[{n}], y: i32[{n}]) {{ for n in 0..{n} {{ y[n] = doubling_high_mul {operands} }} }}"
            )
        };
        check(&text(&format!("x[n], {factor}")), &xs, |x| saturating_rounding_doubling_high_mul(x, factor));
        check(&text(&format!("{factor}, x[n]")), &xs, |x| saturating_rounding_doubling_high_mul(x, factor));
        check(&text("x[n], x[n]"), &xs, |x| saturating_rounding_doubling_high_mul(x, x));
        // A factor that is not known at compile time.
        check(&text(&format!("x[n], add(and(x[n], 0), {factor})")), &xs, |x| {
            saturating_rounding_doubling_high_mul(x, factor)
        });
    }
}

#[test]
fn round_shift() {
    let mut rng = Random(4);
    let xs = accumulators(&mut rng);
    let n = xs.len();
    for by in 0..32 {
        for operands in [
            format!("x[n], {by}"),
            format!("x[n], add(and(x[n], 0), {by})"),
            format!("doubling_high_mul(x[n], 2147483647), {by}"),
        ] {
            let text = format!(
                "loops @f(x: i32[{n}], y: i32[{n}]) {{ for n in 0..{n} {{ y[n] = round_shift {operands} }} }}"
            );
            let is_product = operands.starts_with('d');
            check(&text, &xs, |x| {
                let x = if is_product { saturating_rounding_doubling_high_mul(x, i32::MAX) } else { x };
                rounding_divide_by_pot(x, by)
            });
        }
    }
}
