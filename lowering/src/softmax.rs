//! `softmax`: a table of exponentials by the difference to the row's greatest element, and one reciprocal for each row.
//!
//! `y = scale Σ-reciprocal * e[max - x]`, in the fixed point of the reference kernels, all of it integers.
//!
//! A row of two elements takes less: each result depends on the difference of both alone, so a table of bytes has them all.

use ir::diag::Diagnostic;
use ir::graph::ops::Softmax;
use ir::graph::ops::softmax::SoftmaxParams;
use ir::loops::{Nest, Prim};
use ir::ty::Ty;

use crate::builder::{Builder, Ex, Ix, Loc, ZERO, binary, op, select, ssat8};
use crate::site::Site;

/// Integer bits of the sum of exponentials, Q12.19.
const SUM_INTEGER_BITS: i32 = 12;
/// Elements of a row whose results a table has.
const PAIR: usize = 2;
/// The greatest difference of two bytes.
const MOST_APART: i32 = 255;

pub fn softmax(site: &Site, attributes: &Softmax) -> Result<Nest, Diagnostic> {
    let shape = &site.out().shape;
    let depth = *shape.last().expect("the verifier checked that there are rows");
    let rows = site.out().len() / depth;
    let params = attributes.params(site.ty(0));
    if depth == PAIR {
        return Ok(pair(site, &params, rows));
    }
    // A difference that does not count has the exponential 0, which gives the least result and adds nothing.
    let exps: Vec<i32> = (0..=255).map(|less| params.exp(-less).unwrap_or(0)).collect();

    let mut b = site.builder();
    let ([x], y) = site.buffers(&mut b, [("x", &[rows, depth])], ("y", &[rows, depth]));
    let exps = b.words("e", &exps);
    b.each([("row", rows)], |b, [row]| {
        let exp = |top: Loc, i: Ix| exps.lookup(top - x.at([row, i]));
        let greatest = |a: Loc, [i]: [Ix; 1]| binary(Prim::Max, a, x.at([row, i]));
        b.reduce("greatest", -128, [("i", depth)], greatest, |b, top| {
            let summand = |sum: Loc, [i]: [Ix; 1]| sum + round_shift(exp(top, i), SUM_INTEGER_BITS);
            b.reduce("sum", 0, [("j", depth)], summand, |b, sum| {
                let (scale, shift) = reciprocal(b, sum);
                b.each([("k", depth)], |b, [k]| {
                    let product = b.bind("product", high_mul(scale, exp(top, k)));
                    b.store(y, [row, k], ssat8(quotient(product, shift, depth) - 128));
                });
            });
        });
    });
    Ok(b.finish())
}

/// Rows of two elements: `y[k] = t[x[k] - other + 255]`.
fn pair(site: &Site, params: &SoftmaxParams, rows: usize) -> Nest {
    let result = |apart: i32| {
        let low = i32::from(i8::MIN);
        let row = [low + apart.max(0), low - apart.min(0)].map(|x| x as i8);
        params.row(&row)[0] as u8
    };
    let results: Vec<u8> = (-MOST_APART..=MOST_APART).map(result).collect();

    let mut b = site.builder();
    let ([x], y) = site.buffers(&mut b, [("x", &[rows, PAIR])], ("y", &[rows, PAIR]));
    let results = b.data("t", Ty::I8, &[results.len()], results.into());
    b.each([("row", rows)], |b, [row]| {
        let apart = b.bind("apart", x.at([row, ZERO]) - x.at([row, ZERO + 1]));
        b.store(y, [row, ZERO], results.lookup(apart + MOST_APART));
        b.store(y, [row, ZERO + 1], results.lookup(Ex::from(MOST_APART) - apart));
    });
    b.finish()
}

/// `1 / sum` for a sum of exponentials as Q12.19: a fraction as Q0.31, and how far a product with it is shifted right to
/// give steps of 2^-8.
///
/// Source: `GetReciprocal` and `one_over_one_plus_x_for_x_in_0_1` of gemmlowp.
fn reciprocal(b: &mut Builder, sum: Loc) -> (Loc, Loc) {
    const C48_OVER_17: i32 = 1515870810; // Q2.29
    const C_NEG_32_OVER_17: i32 = -1010580540; // Q2.29
    const ONE: i32 = 1 << 29; // Q2.29
    let headroom = b.bind("headroom", op(Prim::Clz, [sum.into()])); // The sum is positive: one exponential is 1.
    let shift = b.bind("shift", Ex::from(SUM_INTEGER_BITS + 31 - 8) - headroom);
    let fraction = op(Prim::Xor, [binary(Prim::Shl, sum, headroom), i32::MIN.into()]); // 0 to 1 as Q0.31.
    let half_denominator = b.bind("half_denominator", binary(Prim::Asr, fraction, 1) + (1 << 30));
    let mut x = b.bind("x0", high_mul(half_denominator, C_NEG_32_OVER_17) + C48_OVER_17);
    for step in 1..=3 {
        let error = b.bind(&format!("error{step}"), Ex::from(ONE) - high_mul(half_denominator, x));
        // The reference saturates here, which never happens: |x| < 2 and |error| <= 1/17.
        x = b.bind(&format!("x{step}"), x + binary(Prim::Shl, high_mul(x, error), 2));
    }
    let fits = binary(Prim::Lt, x, 1 << 30);
    (b.bind("scale", select(fits, binary(Prim::Shl, x, 1), i32::MAX)), shift)
}

/// `product / 2^shift`, rounded.
fn quotient(product: Loc, shift: Loc, depth: usize) -> Ex {
    // The sum of up to 511 exponentials is below 2^9; only longer rows can ask for shifts beyond a word, which give 0.
    if depth < 1 << (SUM_INTEGER_BITS - 3) {
        return round_shift(product, shift);
    }
    select(binary(Prim::Lt, 31, shift), 0, round_shift(product, shift))
}

fn high_mul(a: impl Into<Ex>, b: impl Into<Ex>) -> Ex {
    binary(Prim::DoublingHighMul, a, b)
}

fn round_shift(a: impl Into<Ex>, by: impl Into<Ex>) -> Ex {
    binary(Prim::RoundShift, a, by)
}
