//! Matrix products: every pixel meets every output channel. Blocks of both in registers, data widened once, two products at a time.

use ir::loops::Nest;

use super::Traits;
use super::draft::{Draft, Stuck};
use super::shape::{Axis, SumOfProducts, product};

/// Pixels and channels of a block, as far as registers reach: two operands and a pointer stay beside the sums.
const BLOCKS: &[(u32, u32)] = &[(2, 4), (4, 2), (3, 3), (5, 2), (1, 8), (2, 2), (1, 4)];
/// Products that one operation makes.
const PAIR: u32 = 2;
/// Bytes that a word of data widens at once; the two pairs that come out hold elements 0, 2 and 1, 3.
const WIDENED: u32 = 4;

/// How weights lie in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weights {
    /// Each as a halfword.
    Halfwords,
    /// Those of two channels in one halfword.
    Pairs,
}

/// The drafts for a matrix product.
pub fn drafts(nest: &Nest, traits: &Traits) -> Vec<Draft> {
    let Some(sum) = SumOfProducts::of(nest) else { return Vec::new() };
    if !sum.shared.is_empty() || sum.summed.len() != 1 || sum.weights.len() != 1 {
        return Vec::new();
    }
    let (pixels, channels) = (product(&sum.data), product(&sum.weights));
    let suits = |(p, n): &&(u32, u32)| *p <= pixels && *n <= channels && (*p > 1 || pixels == 1);
    let forms: &[Weights] =
        if traits.dual_mac { &[Weights::Halfwords, Weights::Pairs] } else { &[Weights::Halfwords] };
    let mut drafts = Vec::new();
    for block in BLOCKS.iter().filter(suits) {
        let draft =
            |form: &Weights| Product { sum: &sum, block: *block, weights: *form, traits }.draft(nest).ok();
        drafts.extend(forms.iter().filter_map(draft));
    }
    drafts
}

/// One way to compute a matrix product.
struct Product<'a> {
    sum: &'a SumOfProducts,
    /// Pixels and channels.
    block: (u32, u32),
    weights: Weights,
    traits: &'a Traits,
}

/// The loops of a draft that later steps name.
#[derive(Default)]
struct Parts {
    /// The loops of the sums.
    sums: Vec<String>,
    /// The loops over blocks of pixels, where data is widened; none where all of it is at once.
    stages: Vec<String>,
    /// The loops over the channels of a block.
    channels: Vec<String>,
}

impl Product<'_> {
    fn draft(&self, nest: &Nest) -> Result<Draft, Stuck> {
        let mut draft = Draft::new(nest);
        let depth = &self.sum.summed[0];
        let mut weights = self.sum.w.clone();
        if self.traits.dual_mac && !depth.extent.is_multiple_of(PAIR) {
            draft.step(format!("pad {} {PAIR}", depth.name))?;
            weights.push_str("_padded");
        }
        let parts = self.blocks(&mut draft)?;
        if self.weights == Weights::Pairs {
            for channels in &parts.channels {
                draft.step(format!("pack {weights} pairs {channels} scale 256"))?;
            }
        }
        let _ = draft.attempt("short-requantize") || draft.attempt("short-requantize any");
        if self.traits.dual_mac && self.sum.summed[0].extent >= PAIR {
            self.pair(&mut draft, &parts)?;
        }
        parts.sums.iter().for_each(|sum| self.repeat(&mut draft, sum));
        Ok(draft)
    }

    /// Blocks of pixels and channels; what is left of both gets blocks of its own.
    fn blocks(&self, draft: &mut Draft) -> Result<Parts, Stuck> {
        let (p, n) = self.block;
        let k = &self.sum.summed[0].name;
        let channels = &self.sum.weights[0];
        let mut parts = Parts { sums: vec![k.clone()], ..Parts::default() };
        let left = channels.extent % n;
        if left > 0 {
            draft.step(format!("peel {} {left}", channels.name))?;
            parts.sums.push(format!("{k}.rest"));
        }
        let Some(pixels) = self.pixels(draft)? else {
            draft.step(format!("tile {0} {n}; unroll-and-jam {0}.i", channels.name))?;
            parts.channels.push(format!("{}.i", channels.name));
            if left > 0 {
                draft.step(format!("unroll-and-jam {}.rest", channels.name))?;
            }
            return Ok(parts);
        };
        let rest = pixels.extent % p;
        if rest > 0 {
            let ending = if left > 0 { ".rest2" } else { ".rest" };
            draft.step(format!("peel {} {rest}", pixels.name))?;
            parts.sums.extend(parts.sums.clone().iter().map(|sum| format!("{sum}{ending}")));
            self.jam(draft, &pixels.name, ending, rest, &mut parts)?;
        }
        self.jam(draft, &pixels.name, "", p, &mut parts)?;
        Ok(parts)
    }

    /// One loop over all pixels, if there is one.
    fn pixels(&self, draft: &mut Draft) -> Result<Option<Axis>, Stuck> {
        let names: Vec<&str> = self.sum.data.iter().map(|axis| axis.name.as_str()).collect();
        if names.len() > 1 {
            draft.step(format!("collapse {}", names.join(" ")))?;
        }
        let axis = Axis { name: names.join("_"), extent: product(&self.sum.data) };
        Ok((!names.is_empty()).then_some(axis))
    }

    /// Makes blocks of a loop over pixels, `p` of them each; `ending` is what the names of its loops end with.
    fn jam(
        &self,
        draft: &mut Draft,
        pixels: &str,
        ending: &str,
        p: u32,
        parts: &mut Parts,
    ) -> Result<(), Stuck> {
        let pixels = format!("{pixels}{ending}");
        draft.step(format!("tile {pixels} {p}"))?;
        let mut inner = format!("{pixels}.i");
        let channels = &self.sum.weights[0].name;
        let rest = format!("{channels}.rest{ending}");
        if draft.extent(&rest) > 0 {
            draft.step(format!("distribute {inner}"))?;
            draft.step(format!("unroll-and-jam {inner}.1 {rest}"))?;
            inner = format!("{inner}.0");
        }
        let channels = format!("{channels}{ending}");
        draft.step(format!("tile {channels} {}; reorder {channels}.o {inner} {channels}.i", self.block.1))?;
        draft.step(format!("unroll-and-jam {inner} {channels}.i"))?;
        parts.stages.push(format!("{pixels}.o"));
        parts.channels.push(format!("{channels}.i"));
        Ok(())
    }

    /// Widens data once for each block of pixels, and makes one operation of two products.
    fn pair(&self, draft: &mut Draft, parts: &Parts) -> Result<(), Stuck> {
        let depth = self.sum.summed[0].extent;
        for sum in &parts.sums {
            if depth.is_multiple_of(WIDENED) {
                draft.step(format!("permute {sum} (0 2 1 3)"))?;
            }
        }
        let at = |stage: &String| format!(" at {stage}");
        let everywhere = parts.stages.is_empty().then(String::new);
        for at in parts.stages.iter().map(at).chain(everywhere) {
            draft.fill(format!("stage {} i16{at}", self.sum.x), self.traits.unrolled_copies)?;
        }
        for weights in draft.constants_read(&self.sum.w) {
            draft.step(format!("pack {weights} i16"))?;
        }
        for sum in &parts.sums {
            draft.step(format!("tile {sum} 2; vectorize {sum}.i dual16"))?;
        }
        Ok(())
    }

    /// Repeats the steps of a sum in the code, as many as the budget allows.
    fn repeat(&self, draft: &mut Draft, sum: &str) {
        let outer = format!("{sum}.o");
        let steps = if draft.extent(&outer) > 0 { outer } else { sum.to_string() };
        let (extent, most) = (draft.extent(&steps), self.traits.unrolled_steps);
        let divides = |count: &u32| extent.is_multiple_of(*count);
        if extent > most && !(most / 2 + 1..=most).any(|count| divides(&count)) {
            let left = extent % most;
            draft.attempt(format!("peel {steps} {left}; unroll {steps} {most}; unroll {steps}.rest"));
        } else {
            draft.repeat(&steps, most);
        }
    }
}
