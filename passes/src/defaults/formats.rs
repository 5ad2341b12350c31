//! What tensors between layers hold, so that those who read them find what they need: halfwords, pixel by pixel for matrix products and in
//! planes for windows that move over each channel. Who writes them widens nothing: it has each element in a register anyway.

use ir::diag::Diagnostic;
use ir::loops::{Lifetime, Nest, Program};
use rayon::prelude::*;

use super::Traits;
use super::shape::SumOfProducts;
use super::window::{LONGER, goes_in_lanes};
use crate::network::border::is_read_beyond;
use crate::network::view::{Frame, User, users};
use crate::schedule::Schedule;

/// Halfwords of a word: rows begin at the start of one.
const PAIR: u32 = 2;
/// Halfwords of a pixel that does not end with a word: as many as make pairs of words, which more loops divide.
const WORDS: u32 = 4;
/// What a matrix product spends on widening an element that lies in order, in quarters of a cycle on Cortex-M4. Measured.
const QUARTERS_TO_WIDEN: u64 = 5;
/// What a window spends on an element that it turns into planes. Measured.
const QUARTERS_TO_TURN: u64 = 9;
/// What an element around a tensor costs. Measured.
const QUARTERS_AROUND: u64 = 6;

/// Another way to hold a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// Its name.
    pub tensor: String,
    /// The steps of its scope.
    pub steps: Vec<String>,
    /// About how many quarters of a cycle it saves.
    pub gain: u64,
}

impl Format {
    /// The scope as text.
    pub fn text(&self) -> String {
        format!("tensor {}:\n  {}\n", self.tensor, self.steps.join("; "))
    }

    /// Lets a program hold the tensor so.
    pub fn apply(&self, program: &mut Program) -> Result<(), Diagnostic> {
        Schedule::parse(&format!("schedule 1\n{}", self.text()))?.apply(program, &mut |_, _| {})
    }
}

/// How those who read a tensor want it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Pixel by pixel.
    Pixels,
    /// Channel by channel, each a plane with what windows read beyond its edges.
    Planes,
    /// An element for each result of a sum, whatever it is.
    Anyhow,
}

/// The formats that save something, the best first: one at most for each tensor.
pub fn formats(program: &Program, traits: &Traits) -> Vec<Format> {
    if !traits.dual_mac {
        return Vec::new();
    }
    let tensors = (0..program.tensors.len()).into_par_iter();
    let mut formats: Vec<Format> = tensors.filter_map(|tensor| format_of(program, tensor)).collect();
    formats.sort_by_key(|format| std::cmp::Reverse(format.gain)); // Stable: in the order of the tensors where they gain the same.
    formats
}

/// Whether a layer is a matrix product, which reads a pixel for all channels and is done with it.
pub fn goes_by_pixels(nest: &Nest) -> bool {
    SumOfProducts::of(nest).is_some_and(|sum| is_product(&sum))
}

fn is_product(sum: &SumOfProducts) -> bool {
    matches!((&sum.shared[..], &sum.weights[..], &sum.summed[..]), ([], [_], [_]))
}

fn format_of(program: &Program, tensor: usize) -> Option<Format> {
    let slot = &program.tensors[tensor];
    if slot.lifetime != Lifetime::Temporary {
        return None;
    }
    let (writers, readers): (Vec<User>, Vec<User>) =
        users(program, tensor).into_iter().partition(|user| user.writes);
    let is_sum = |user: &User| SumOfProducts::of(&program.layers[user.layer].nest).is_some();
    let wanted: Option<Vec<Wanted>> = readers.iter().map(|reader| wanted(program, reader)).collect();
    let format = |steps: Vec<String>| Format { tensor: slot.name.clone(), steps, gain: 0 };
    let elements: usize = slot.ty.shape.iter().product();
    match (&writers[..], &wanted?[..]) {
        ([writer], wanted) if !is_sum(writer) || wanted.is_empty() => None,
        (_, wanted) if !wanted.contains(&Wanted::Planes) => {
            let widened = wanted.iter().filter(|wanted| **wanted == Wanted::Pixels).count() as u64;
            let gain = elements as u64 * widened * QUARTERS_TO_WIDEN;
            let mut steps = vec!["encode i16".into()];
            if !slot.ty.shape.last()?.is_multiple_of(PAIR as usize) {
                steps.insert(0, format!("layout hwc multiple {WORDS}"));
            }
            (gain > 0).then(|| Format { gain, ..format(steps) })
        }
        (_, [Wanted::Planes]) => {
            let order = order(&slot.ty.shape)?;
            let mut steps = vec![format!("layout {order}")];
            if is_read_beyond(program, tensor, &(0..program.layers.len())) {
                steps.push("border".into());
            }
            let mut changed = program.clone();
            format(steps.clone()).apply(&mut changed).ok()?;
            let frame = Frame::of(&changed.tensors[tensor])?;
            if !frame.extents[*frame.order.last()?].is_multiple_of(PAIR) {
                steps.push(format!("layout {order} multiple {PAIR}"));
            }
            steps.push("encode i16".into());
            let all = frame.extents.iter().map(|extent| u64::from(*extent)).product::<u64>();
            let around = all - elements as u64;
            if all / u64::from(PAIR) * 2 <= 3 * around {
                steps.push("flood".into()); // A word takes less than an element.
            }
            let gain = (elements as u64 * QUARTERS_TO_TURN).checked_sub(around * QUARTERS_AROUND)?;
            (gain > 0).then(|| Format { gain, ..format(steps) })
        }
        _ => None,
    }
}

/// The order of planes: the longer side of a picture innermost where it is much longer.
fn order(shape: &[usize]) -> Option<&'static str> {
    match shape {
        [_, rows, columns, _] if *rows > LONGER as usize * columns => Some("(0 3 2 1)"),
        [_, _, _, _] => Some("planes"),
        _ => None,
    }
}

/// How a layer wants what it reads; `None` where it is best served with bytes.
fn wanted(program: &Program, reader: &User) -> Option<Wanted> {
    let nest = &program.layers[reader.layer].nest;
    let sum = SumOfProducts::of(nest)?;
    if nest.buffers[reader.param.idx()].name != sum.x {
        return Some(Wanted::Anyhow);
    }
    if is_product(&sum) {
        return Some(Wanted::Pixels);
    }
    let is_window = !sum.shared.is_empty() && sum.weights.is_empty() && !sum.data.is_empty();
    (is_window && !goes_in_lanes(nest, &sum)).then_some(Wanted::Planes)
}

#[cfg(test)]
mod tests {
    use ir::loops::text::parse_program;

    use super::*;

    const TRAITS: Traits = Traits {
        dual_mac: true,
        unrolled_steps: 16,
        unrolled_blocks: 16,
        unrolled_copies: 8,
        overlapping: false,
    };

    /// A product of pixels of `depth` channels, a window of 3 by 3 that moves over each of 4 channels, and a product again.
    fn program(depth: usize, last: &str) -> Program {
        let (zeros, window) = ("00".repeat(4 * depth), "00".repeat(9 * 4));
        parse_program(&format!(
            "program @three {{
               tensor x: i8[1, 12, 4, {depth}] input 0
               tensor t0: i8[1, 12, 4, 4] scale 1 zero -5 temporary
               tensor t1: i8[1, 12, 4, 4] scale 1 zero 0 temporary
               tensor y: i8[1, 12, 4, 2] output 0
               layer @first(x, t0) op \"conv\" macs 0 sources []
               layer @window(t0, t1) op \"depthwise\" macs 0 sources []
               layer @last({last}) op \"conv\" macs 0 sources []
             }}
             loops @first(x: i8[48, {depth}], y: i8[48, 4]) {{
               const w: i8[4, {depth}] = hex\"{zeros}\"
               for p in 0..48 {{ for n in 0..4 {{
                 reduce a: i32 over k in 0..{depth} {{
                   init {{ a = 0 }} update {{ a = add a, mul(sext(x[p, k]), sext(w[n, k])) }}
                   finish {{ y[p, n] = ssat a {{bits = 8, asr = 0}} }}
                 }}
               }} }}
             }}
             loops @window(x: i8[1, 12, 4, 4], y: i8[1, 12, 4, 4]) {{
               const w: i8[3, 3, 4] = hex\"{window}\"
               for row in 0..12 {{ for column in 0..4 {{ for c in 0..4 {{
                 reduce a: i32 over ky in 0..3, kx in 0..3 {{
                   init {{ a = 0 }}
                   update {{ a = add a, mul(sext(x[0, row + ky - 1, column + kx - 1, c] else -5), sext(w[ky, kx, c])) }}
                   finish {{ y[0, row, column, c] = ssat a {{bits = 8, asr = 0}} }}
                 }}
               }} }} }}
             }}
             loops @last(x: i8[48, 4], y: i8[48, 2]) {{
               const w: i8[2, 4] = hex\"0000000000000000\"
               for p in 0..48 {{ for n in 0..2 {{
                 reduce a: i32 over k in 0..4 {{
                   init {{ a = 0 }} update {{ a = add a, mul(sext(x[p, k]), sext(w[n, k])) }}
                   finish {{ y[p, n] = ssat a {{bits = 8, asr = 0}} }}
                 }}
               }} }}
             }}"
        ))
        .expect("a program")
    }

    fn texts(program: &Program, traits: &Traits) -> Vec<String> {
        formats(program, traits).iter().map(Format::text).collect()
    }

    #[test]
    fn readers_find_what_they_need() {
        // Windows go along the longer side; rows of 12 with an element at each end are whole words, and about half of the elements are around.
        let planes = "tensor t0:\n  layout (0 3 2 1); border; encode i16; flood\n";
        let pixels = "tensor t1:\n  encode i16\n";
        assert_eq!(texts(&program(4, "t1, y"), &TRAITS), [pixels, planes]);
    }

    #[test]
    fn pixels_of_odd_numbers_of_channels_become_words() {
        let nest = |depth: u32, channels: u32| {
            let zeros = "00".repeat((depth * channels) as usize);
            format!(
                "(x: i8[4, {depth}], y: i8[4, {channels}]) {{
                   const w: i8[{channels}, {depth}] = hex\"{zeros}\"
                   for p in 0..4 {{ for n in 0..{channels} {{
                     reduce a: i32 over k in 0..{depth} {{
                       init {{ a = 0 }} update {{ a = add a, mul(sext(x[p, k]), sext(w[n, k])) }}
                       finish {{ y[p, n] = ssat a {{bits = 8, asr = 0}} }}
                     }}
                   }} }}
                 }}"
            )
        };
        let text = format!(
            "program @two {{
               tensor x: i8[1, 2, 2, 4] input 0
               tensor t: i8[1, 2, 2, 7] scale 1 zero 0 temporary
               tensor y: i8[1, 2, 2, 4] output 0
               layer @first(x, t) op \"conv\" macs 0 sources []
               layer @second(t, y) op \"conv\" macs 0 sources []
             }}
             loops @first{}
             loops @second{}",
            nest(4, 7),
            nest(7, 4)
        );
        let program = parse_program(&text).expect("a program");
        assert_eq!(texts(&program, &TRAITS), ["tensor t:\n  layout hwc multiple 4; encode i16\n"]);
    }

    #[test]
    fn what_has_readers_of_another_kind_stays() {
        // The last layer reads what the window reads: pixels for it, planes for the window.
        assert!(texts(&program(4, "t0, y"), &TRAITS).is_empty());
    }

    #[test]
    fn cores_without_pairs_of_products_have_no_use_for_halfwords() {
        assert!(texts(&program(4, "t1, y"), &Traits { dual_mac: false, ..TRAITS }).is_empty());
    }
}
