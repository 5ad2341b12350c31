//! Thresholds, short forms and bounds against the fixed-point functions of the reference kernels and against a formula.

use ir::fixed::{Multiplier, multiply_by_quantized_multiplier};
use ir::loops::Prim;
use ir::loops::text::parse_nest;
use test_support::Random;
use tinyc_passes::proofs::accumulators::{self, Interval};
use tinyc_passes::proofs::short_forms::{self, Base, Cost, Form, Found, Query, Sign, Wanted};
use tinyc_passes::proofs::thresholds::{Range, Rescale, Steps, agrees};

const RANGE: Range = (-(1 << 22), (1 << 22) - 1);
const BYTE: (i32, i32) = (-128, 127);

fn random_rescale(rng: &mut Random, zero: Option<i32>) -> Rescale {
    let value = (1 << 30) + rng.below(1 << 30) as i32;
    let value = [value, value, value, 1 << 30, i32::MAX][rng.below(5)];
    let shift = -(5 + rng.below(7) as i32);
    let zero = zero.unwrap_or(rng.below(200) as i32 - 100);
    Rescale { multiplier: Multiplier { value, shift }, zero, min: BYTE.0, max: BYTE.1 }
}

fn wanted(rescale: Rescale, range: Range, factor: i32) -> Option<Wanted> {
    let Multiplier { value, shift } = rescale.multiplier;
    let steps = rescale.steps(range)?;
    let slope = (i64::from(value) << shift.max(0), (31 - shift.min(0)) as u32);
    Some(Wanted {
        steps,
        slope,
        factor,
        dropped: (shift < 0).then_some(-shift as u32),
        is_even: false,
        start: None,
    })
}

/// A form of at most so many operations for all, whose offsets cost nothing.
fn find(wanted: &[Option<Wanted>], operations: u32) -> Result<Found, usize> {
    let most = Cost { operations, loads: u32::MAX, registers: u32::MAX, bytes: u32::MAX };
    short_forms::find(&Query { wanted, limits: BYTE, clamp: BYTE, offset_is_free: true, most, shift: None })
}

/// The least accumulator that reaches `v`, from the reference's formula solved for it; for shifts to the right.
fn closed_form(rescale: Rescale, v: i32) -> i64 {
    let e = -rescale.multiplier.shift;
    let q = i128::from(v - rescale.zero);
    let mut least = q << e;
    if e > 0 {
        least -= 1 << (e - 1);
        least += i128::from(least < 0);
    }
    let numerator = (least << 31) - (1 << 30);
    -(-numerator).div_euclid(i128::from(rescale.multiplier.value)) as i64
}

/// Accumulators around every threshold, at the ends, and anywhere.
fn accumulators_of(steps: &Steps, rng: &mut Random) -> Vec<i32> {
    let (low, high) = steps.range;
    let around = steps.thresholds.iter().flat_map(|(_, a)| (-40..40).map(move |by| a.saturating_add(by)));
    let anywhere =
        (0..1000).map(|_| (low as i64 + (rng.word() % (high as i64 - low as i64 + 1) as u64) as i64) as i32);
    let mut all: Vec<i32> = around.chain(anywhere).chain([low, high, low + 1, high - 1]).collect();
    all.retain(|a| (low..=high).contains(a));
    all
}

fn expect_equal(form: &Form, rescale: Rescale, steps: &Steps, rng: &mut Random) {
    let Multiplier { value, shift } = rescale.multiplier;
    for a in accumulators_of(steps, rng) {
        let scaled = multiply_by_quantized_multiplier(a, value, shift) + rescale.zero;
        let found = form.apply(a).map(|y| y.clamp(rescale.min, rescale.max));
        assert_eq!(found, Some(scaled.clamp(rescale.min, rescale.max)), "{form:?} of {rescale:?} at {a}");
    }
}

/// A form for each rescaling by itself; gives how many have one of at most `most` operations.
fn count_found(rescales: &[Rescale], factor: i32, most: u32) -> usize {
    let mut rng = Random(9);
    let found = |rescale: &&Rescale| {
        let wanted = wanted(**rescale, RANGE, factor).expect("it is a step function");
        let steps = wanted.steps.clone();
        let Ok(Found { shape, constants }) = find(&[Some(wanted)], most) else {
            return false;
        };
        let form = Form { shape, constants: constants[0], factor };
        assert!(shape.operations() <= most);
        expect_equal(&form, **rescale, &steps, &mut rng);
        true
    };
    rescales.iter().filter(found).count()
}

#[test]
fn thresholds_are_those_of_the_formula() {
    let mut rng = Random(1);
    for _ in 0..60 {
        let mut rescale = random_rescale(&mut rng, None);
        rescale.multiplier.shift = -(rng.below(13) as i32);
        let steps = rescale.steps(RANGE).expect("it is a step function");
        for (v, a) in &steps.thresholds {
            assert_eq!(i64::from(*a), closed_form(rescale, *v).max(RANGE.0.into()), "{rescale:?} at {v}");
        }
        for v in [steps.first, steps.last()] {
            assert!(v == steps.first || closed_form(rescale, v) <= RANGE.1.into());
        }
        assert!(agrees(&steps, |a| Some(rescale.apply(a))));
    }
}

#[test]
fn a_threshold_off_by_one_is_rejected() {
    let rescale = random_rescale(&mut Random(2), Some(3));
    let steps = rescale.steps(RANGE).expect("it is a step function");
    for at in 0..steps.thresholds.len() {
        for by in [-1, 1] {
            let mut wrong = steps.clone();
            wrong.thresholds[at].1 += by;
            assert!(!agrees(&wrong, |a| Some(rescale.apply(a))), "threshold {at} by {by}");
        }
    }
    let mut ends = steps.clone();
    ends.first += 1;
    assert!(!agrees(&ends, |a| Some(rescale.apply(a))));
    assert!(!agrees(&steps, |_| None));
}

#[test]
fn what_is_no_step_function_has_no_thresholds() {
    let of = |value, shift, zero, range| {
        Rescale { multiplier: Multiplier { value, shift }, zero, min: -128, max: 127 }.steps(range)
    };
    assert!(of(1 << 30, 0, 0, RANGE).is_some());
    assert_eq!(of(-(1 << 30), 0, 0, RANGE), None);
    assert_eq!(of(1 << 30, 12, 0, RANGE), None); // The shift to the left wraps.
    assert_eq!(of(1 << 30, 0, i32::MAX, RANGE), None); // So does the zero point.
    assert!(of(1 << 30, 8, 0, RANGE).is_some());
    let wide =
        Rescale { multiplier: Multiplier { value: 1 << 30, shift: 0 }, zero: 0, min: -1000, max: 1000 };
    assert_eq!(wide.steps(RANGE), None);
    assert!(wide.steps((-200, 200)).is_some());
    let flat = of(0, 0, 5, RANGE).expect("a constant is a step function");
    assert_eq!((flat.first, flat.thresholds.len()), (5, 0));
}

#[test]
fn behind_a_relu_two_operations_do() {
    let mut rng = Random(3);
    let rescales: Vec<Rescale> = (0..100).map(|_| random_rescale(&mut rng, Some(-128))).collect();
    assert!(count_found(&rescales, 1, 2) >= 97);
    for factor in [2, 4, 256] {
        assert_eq!(count_found(&rescales, factor, 2), 100, "with factor {factor}");
    }
}

#[test]
fn below_the_zero_point_a_factor_leaves_room_for_the_sign() {
    let mut rng = Random(4);
    let rescales: Vec<Rescale> = (0..100).map(|_| random_rescale(&mut rng, None)).collect();
    assert_eq!(count_found(&rescales, 2, 3), 100);
    assert_eq!(count_found(&rescales, 4, 4), 100);
    assert_eq!(count_found(&rescales, 256, 4), 100);
    assert!(count_found(&rescales, 1, 3) < 100); // Without one, ties mostly show.
    assert_eq!(count_found(&rescales, 1, 4), 100); // It is made with a shift.
}

#[test]
fn channels_share_a_shift() {
    let mut rng = Random(5);
    for factor in [1, 256] {
        let rescales: Vec<Rescale> = (0..32)
            .map(|channel| {
                let mut rescale = random_rescale(&mut rng, Some(-128));
                rescale.multiplier.shift = -7 - channel % 4;
                rescale
            })
            .collect();
        let all: Vec<Option<Wanted>> =
            rescales.iter().map(|rescale| wanted(*rescale, RANGE, factor)).collect();
        let found = find(&all, 2).expect("shifts up to three apart agree");
        for ((rescale, wanted), constants) in rescales.iter().zip(&all).zip(&found.constants) {
            let form = Form { shape: found.shape, constants: *constants, factor };
            expect_equal(&form, *rescale, &wanted.as_ref().expect("a step function").steps, &mut rng);
        }
    }
}

#[test]
fn what_sums_start_with_is_a_halfword_where_the_base_takes_the_rest() {
    let mut rng = Random(10);
    let rescales: Vec<Rescale> = (0..32)
        .map(|channel| {
            let mut rescale = random_rescale(&mut rng, Some(-128));
            rescale.multiplier.shift = -6 - channel % 3;
            rescale
        })
        .collect();
    let starts: Vec<i32> = (0..32).map(|_| rng.below(200_000) as i32 - 100_000).collect();
    let all: Vec<Option<Wanted>> = rescales
        .iter()
        .zip(&starts)
        .map(|(rescale, start)| Some(Wanted { start: Some(*start), ..wanted(*rescale, RANGE, 1)? }))
        .collect();
    let found = find(&all, 2).expect("shifts up to two apart agree");
    for (((rescale, wanted), constants), start) in
        rescales.iter().zip(&all).zip(&found.constants).zip(&starts)
    {
        let form = Form { shape: found.shape, constants: *constants, factor: 1 };
        expect_equal(&form, *rescale, &wanted.as_ref().expect("a step function").steps, &mut rng);
        assert!(i16::try_from(start + constants.offset).is_ok() && i16::try_from(constants.high).is_ok());
    }
}

#[test]
fn signs_of_different_units_share_a_base() {
    let mut rng = Random(11);
    let rescales: Vec<Rescale> = (0..64)
        .map(|channel| {
            let mut rescale = random_rescale(&mut rng, Some(12));
            rescale.multiplier.shift = -6 - channel % 3;
            rescale
        })
        .collect();
    let all: Vec<Option<Wanted>> = rescales.iter().map(|rescale| wanted(*rescale, RANGE, 256)).collect();
    let found = find(&all, 4).expect("a factor leaves room for the sign");
    assert_eq!(found.shape.base, Base::HalfSign);
    for ((rescale, wanted), constants) in rescales.iter().zip(&all).zip(&found.constants) {
        let form = Form { shape: found.shape, constants: *constants, factor: 256 };
        expect_equal(&form, *rescale, &wanted.as_ref().expect("a step function").steps, &mut rng);
        assert_eq!(constants.high, found.constants[0].high);
    }
}

#[test]
fn a_constant_off_by_one_is_rejected() {
    let mut rng = Random(6);
    let mut bases = std::collections::BTreeSet::new();
    for case in 0..60 {
        let (factor, zero) = [(1, Some(-128)), (1, None), (2, None), (4, None), (256, None)][case % 5];
        let rescale = random_rescale(&mut rng, zero);
        let wanted = wanted(rescale, RANGE, factor).expect("it is a step function");
        let steps = wanted.steps.clone();
        let Ok(Found { shape, constants }) = find(&[Some(wanted)], 4) else { continue };
        let form = Form { shape, constants: constants[0], factor };
        assert!(form.is_proven(&steps, BYTE));
        bases.insert(format!("{:?} {}", shape.base, shape.sign.is_some()));
        for by in [-1, 1] {
            let mut wrong = Vec::new();
            let mut with = |change: &dyn Fn(&mut Form)| {
                let mut other = form;
                change(&mut other);
                wrong.push(other);
            };
            with(&|form| form.constants.multiplier = form.constants.multiplier.saturating_add(by << 20));
            with(&|form| form.shape.shift = form.shape.shift.map(|shift| shift + by));
            with(&|form| form.factor += by);
            with(&|form| form.constants.offset = form.constants.offset.saturating_add(by * 2 * factor));
            if shape.base == Base::Constant {
                with(&|form| form.constants.high = form.constants.high.saturating_add(by * (1 + factor / 2)));
                with(&|form| form.constants.high = i32::MAX); // It wraps.
            }
            if let Some(Sign::Power(power)) = shape.sign {
                with(&|form| form.shape.sign = Some(Sign::Power(power + 1)));
                with(&|form| form.shape.sign = None);
            }
            with(&|form| form.shape.rounds = !shape.rounds && factor == 1);
            with(&|form| form.constants.multiplier = -form.constants.multiplier);
            with(&|form| form.constants.offset = i32::MAX);
            wrong.retain(|other| *other != form);
            for other in wrong {
                assert!(!other.is_proven(&steps, BYTE), "{other:?} for {form:?} of {rescale:?}");
            }
        }
    }
    assert!(bases.len() >= 3, "{bases:?}");
}

#[test]
fn what_is_scaled_up_is_shifted_left() {
    let mut rng = Random(7);
    for shift in 0..6 {
        let value = (1 << 30) + rng.below(1 << 30) as i32;
        let multiplier = Multiplier { value, shift };
        let rescale = Rescale { multiplier, zero: rng.below(60) as i32 - 30, min: -128, max: 127 };
        let wanted = wanted(rescale, (-3000, 3000), 1).expect("it is a step function");
        let steps = wanted.steps.clone();
        let found = find(&[Some(wanted)], 5).expect("it is one rounding");
        assert!(found.shape.operations() <= 3);
        let form = Form { shape: found.shape, constants: found.constants[0], factor: 1 };
        expect_equal(&form, rescale, &steps, &mut rng);
    }
}

#[test]
fn a_channel_that_is_always_the_same_takes_part() {
    let mut rng = Random(8);
    let flat = Rescale { multiplier: Multiplier { value: 0, shift: 0 }, zero: 7, min: -128, max: 127 };
    let all = [random_rescale(&mut rng, None), flat].map(|rescale| wanted(rescale, RANGE, 1));
    let found = find(&all, 5).expect("a constant has every form");
    for (wanted, constants) in all.iter().zip(&found.constants) {
        let form = Form { shape: found.shape, constants: *constants, factor: 1 };
        assert!(form.is_proven(&wanted.as_ref().expect("both are used").steps, BYTE));
    }
}

#[test]
fn shifts_far_apart_are_data() {
    let mut rng = Random(9);
    let all: Vec<Option<Wanted>> = (0..8)
        .map(|channel| {
            let mut rescale = random_rescale(&mut rng, Some(-128));
            rescale.multiplier.shift = -2 - 2 * channel;
            wanted(rescale, (-(1 << 26), 1 << 26), 1)
        })
        .collect();
    let found = find(&all, 4).expect("each has its own shift");
    assert_eq!((found.shape.shift, found.shape.operations()), (None, 3));
}

#[test]
fn accumulators_are_bounded_by_the_weights_of_their_channel() {
    let nest = parse_nest(
        "loops @dense(x: i8[2, 3], y: i8[2, 2]) {
           const w: i8[2, 3] = [1, -2, 3, -128, 127, 0]
           const b: i32[2] = [10, -20]
           for p in 0..2 {
             reduce a: i32[2] over k in 0..3 {
               init { for n in 0..2 unroll { a[n] = b[n] } }
               update { for n in 0..2 unroll { a[n] = add a[n], mul(sext(x[p, k]), sext(w[n, k])) } }
               finish {
                 for n in 0..2 unroll { y[p, n] = requantize a[n], 1073741824, -3 {zero = 0, min = -128, max = 127} }
               }
             }
           }
         }",
    )
    .expect("it is a nest");
    let mut found: Vec<Interval> = Vec::new();
    let see = &mut |_: &ir::loops::Expr, place: &accumulators::Place| found.push(place.operands[0]);
    accumulators::visit(&nest, Prim::Requantize, see).expect("it is small");
    let of = |bias: i64, weights: [i64; 3]| Interval {
        low: bias + weights.iter().map(|w| (w * -128).min(w * 127)).sum::<i64>(),
        high: bias + weights.iter().map(|w| (w * -128).max(w * 127)).sum::<i64>(),
    };
    assert_eq!(found, [of(10, [1, -2, 3]), of(-20, [-128, 127, 0])]);
}

#[test]
fn a_sum_that_may_wrap_is_anything() {
    let nest = parse_nest(
        "loops @wraps(x: i32[4], y: i8[4]) {
           for i in 0..4 { y[i] = requantize add(x[i], 1), 1073741824, -3 {zero = 0, min = -128, max = 127} }
         }",
    )
    .expect("it is a nest");
    let mut found: Vec<Interval> = Vec::new();
    let see = &mut |_: &ir::loops::Expr, place: &accumulators::Place| found.push(place.operands[0]);
    accumulators::visit(&nest, Prim::Requantize, see).expect("it is small");
    assert_eq!(found, [Interval { low: i32::MIN.into(), high: i32::MAX.into() }]);
}

/// `a / n`, rounded to nearest, ties away from zero.
fn average(a: i32, n: i32) -> i32 {
    (a + if a > 0 { n / 2 } else { -(n / 2) }) / n
}

#[test]
fn averages_are_a_product_and_a_saturation() {
    for n in (2..40).chain([49, 64, 100, 125, 144, 255]) {
        let range = (-128 * n, 127 * n);
        let steps = Steps::of(range, |a| average(a, n)).expect("it is a byte");
        let slope = ((1i64 << 50) / i64::from(n), 50);
        let wanted =
            Wanted { steps: steps.clone(), slope, factor: 1, dropped: None, is_even: true, start: None };
        let Found { shape, constants } = find(&[Some(wanted)], 2).expect("two operations do");
        let form = Form { shape, constants: constants[0], factor: 1 };
        for a in range.0..=range.1 {
            assert_eq!(form.apply(a), Some(average(a, n)), "{a} / {n}");
        }
        for by in [-1, 1] {
            let mut wrong = form;
            let far = (i64::from(form.constants.multiplier) + i64::from(by) * (1 << 30) / 100) as i32;
            wrong.constants.multiplier = far;
            assert!(!wrong.is_proven(&steps, BYTE), "{wrong:?}");
            let mut wrong = form;
            wrong.constants.offset += by * n;
            assert!(!wrong.is_proven(&steps, BYTE), "{wrong:?}");
        }
    }
}
