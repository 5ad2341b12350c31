//! Sums in which channels do not mix: depthwise convolutions. Planes of halfwords, one channel after the other, its weights in
//! registers, and products in pairs.

use ir::loops::{Buffer, Nest, Role};

use super::Traits;
use super::draft::{Draft, Stuck};
use super::shape::{Axis, SumOfProducts, product};

/// Outputs in a row that share what they read: even numbers, so that each begins at a known half of a word.
const OUTPUTS: &[u32] = &[2, 4, 6];
/// Outputs of a channel at most that are best computed at once, and those of which that may be so: they share what any of them reads.
const FEW_OUTPUTS: u32 = 4;
const MANY_OUTPUTS: u32 = 12;
/// Outputs in a row where products stay single.
const SINGLE_OUTPUTS: &[u32] = &[4, 3, 2, 1];
/// How often the steps of copies are repeated in small code: more gain little beside the sums.
const COPIES_OF_SMALL: u32 = 2;
/// Outputs of one step where a product of words is four products of bytes.
const LANES: &[u32] = &[4, 6, 8];
/// Channels that are turned into planes at once: the bytes of a word.
const PLANES: u32 = 4;

/// How weights are stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weights {
    /// As they are multiplied.
    Halfwords,
    /// As small as they can be: what flash is short of.
    Bytes,
}

/// What a channel keeps in registers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// Its weights, and what its rescaling takes.
    Weights,
    /// The same, and the data that the next outputs read again, over so many steps at most.
    Data(u32),
    /// What its rescaling takes: there are more outputs that share what they load.
    Constants,
    /// Nothing: all is read once.
    Nothing,
}

/// Most steps that are repeated where data is carried from one to the next: names change instead of registers.
const CARRIED: &[u32] = &[6, 24];

/// A loop is much longer than another one that is longer by more than this factor.
pub(super) const LONGER: u32 = 2;

/// Outputs that share a word at least.
const PAIR: u32 = 2;

/// Most lines of a window that have a word in a register each.
const LINES_AT_ONCE: u32 = 3;

/// The drafts for a window that moves over each channel.
pub fn drafts(begin: &Draft, traits: &Traits) -> Vec<Draft> {
    let Some(sum) = SumOfProducts::of(&begin.nest) else { return Vec::new() };
    let traits = &Traits {
        unrolled_copies: if traits.overlapping { COPIES_OF_SMALL } else { traits.unrolled_copies },
        ..*traits
    };
    if sum.shared.is_empty() || !sum.weights.is_empty() || sum.data.is_empty() {
        return Vec::new();
    }
    let mut drafts = Vec::new();
    if traits.dual_mac {
        drafts = in_pairs(begin, &sum, traits, Weights::Bytes);
        if drafts.is_empty() || !traits.overlapping {
            drafts.extend(in_pairs(begin, &sum, traits, Weights::Halfwords));
        }
    }
    for outputs in LANES.iter().filter(|_| traits.dual_mac) {
        let ways = ways_to_walk(&sum).into_iter().filter(|(planes, _)| *planes == 1 && !sum.wide);
        drafts.extend(ways.filter_map(|(_, walked)| in_lanes(begin, &sum, *outputs, walked, traits).ok()));
    }
    if drafts.is_empty() {
        drafts.extend(SINGLE_OUTPUTS.iter().filter_map(|outputs| single(begin, &sum, *outputs, traits).ok()));
    }
    drafts
}

/// Drafts with pairs of products.
fn in_pairs(begin: &Draft, sum: &SumOfProducts, traits: &Traits, weights: Weights) -> Vec<Draft> {
    let (begun, mut drafts) = (rescaled_briefly(begin, sum, weights), Vec::new());
    let is_small = weights == Weights::Bytes;
    for way in ways(sum).into_iter().filter(|way| !way.by_lines || is_small && traits.overlapping) {
        let Ok(draft) = paired(begun.clone(), sum, &way, traits) else { continue };
        let steps = draft.extent(&format!("{}.o", sum.data[way.walked].name));
        let kept = ways_to_keep(&way, steps).into_iter().map(|kept| keep(draft.clone(), sum, &way, kept));
        let of_bytes = |draft: Draft| draft.narrowed(&format!(" tight at {}", way.place(sum)));
        drafts.extend(kept.filter_map(|draft| if is_small { of_bytes(draft) } else { Some(draft) }));
    }
    drafts
}

/// Whether outputs are best made several by one product, of words that hold two neighbours: they are made from bytes, not from planes.
pub(super) fn goes_in_lanes(nest: &Nest, sum: &SumOfProducts) -> bool {
    let is_long = sum.summed.last().is_some_and(|taps| taps.extent > PAIR * LINES_AT_ONCE);
    let traits = Traits {
        dual_mac: true,
        unrolled_steps: 1,
        unrolled_blocks: 0,
        unrolled_copies: 1,
        overlapping: true,
    };
    is_long && in_lanes(&Draft::new(nest), sum, LANES[0], sum.data.len() - 1, &traits).is_ok()
}

/// One way to compute a depthwise convolution.
#[derive(Clone, Copy)]
struct Way {
    /// Channels that are turned into planes at once.
    planes: u32,
    /// Outputs that share what they read; `None` for all of a channel.
    outputs: Option<u32>,
    /// The loop over data that they follow each other along.
    walked: usize,
    /// Whether the other loops of the sum stay loops in the code.
    by_lines: bool,
}

impl Way {
    /// The loop over channels one by one.
    fn place(&self, sum: &SumOfProducts) -> String {
        let channel = sum.shared.last().map_or("", |axis| &axis.name);
        if self.planes > 1 { format!("{channel}.i") } else { channel.to_string() }
    }
}

/// All ways.
fn ways(sum: &SumOfProducts) -> Vec<Way> {
    let of_outputs = |outputs: Option<u32>| {
        let way = move |(planes, walked)| Way { planes, outputs, walked, by_lines: false };
        ways_to_walk(sum).into_iter().map(way)
    };
    let all = product(&sum.data);
    let at_once = (all <= MANY_OUTPUTS).then_some(None);
    let some = OUTPUTS.iter().filter(|_| all > FEW_OUTPUTS).copied().map(Some);
    let ways: Vec<Way> = at_once.into_iter().chain(some).flat_map(of_outputs).collect();
    let in_lines = |way: &&Way| way.outputs.is_some() && has_long_lines(sum, way.walked);
    let by_lines = ways.iter().filter(in_lines).map(|way| Way { by_lines: true, ..*way });
    by_lines.chain(ways.iter().copied()).collect()
}

/// Whether a window has more weights in the last one of its loops than registers reach for, and that is the one along which outputs
/// follow each other.
fn has_long_lines(sum: &SumOfProducts, walked: usize) -> bool {
    let last = sum.summed.len() - 1;
    last > 0 && walked == last && sum.summed[last].extent > LINES_AT_ONCE
}

/// How many channels are turned into planes at once, and which loop outputs follow each other along: that of what lies in planes
/// already, else the innermost or one that wastes less at its end, as it is much longer or falls into pairs.
fn ways_to_walk(sum: &SumOfProducts) -> Vec<(u32, usize)> {
    let last = sum.data.len() - 1;
    if sum.wide {
        return sum.walked.map(|walked| (1, walked)).into_iter().collect();
    }
    let innermost = sum.data[last].extent;
    let is_pairs = |extent: u32| extent.is_multiple_of(PAIR);
    let wastes_less = |extent: u32| extent > LONGER * innermost || is_pairs(extent) && !is_pairs(innermost);
    let better = (0..last).filter(|at| wastes_less(sum.data[*at].extent));
    let walks: Vec<usize> = std::iter::once(last).chain(better).collect();
    [PLANES, 1].iter().flat_map(|planes| walks.iter().map(|walk| (*planes, *walk))).collect()
}

/// Rescaling in few operations. A factor in each weight, which is a halfword anyway, leaves one constant to load, where that can be.
/// Those times 256 can still be stored as bytes.
fn rescaled_briefly(begin: &Draft, sum: &SumOfProducts, weights: Weights) -> Draft {
    let mut draft = begin.clone();
    let by = if weights == Weights::Bytes { "256" } else { "auto" };
    let scaled = format!("pack {0} i16; scale {0}_packed by {by}; short-requantize", sum.w);
    draft.first_of(&[scaled.as_str(), "short-requantize", "short-requantize any"]);
    draft
}

/// Pairs of products of halfwords in planes.
fn paired(mut draft: Draft, sum: &SumOfProducts, way: &Way, traits: &Traits) -> Result<Draft, Stuck> {
    let Way { planes, outputs, walked, by_lines } = *way;
    let bytes_of_data = data_bytes(&draft.nest, sum);
    let channel = sum.shared.last().ok_or(Stuck)?;
    let column = &sum.data[walked];
    if outputs.is_some_and(|outputs| column.extent < outputs) {
        return Err(Stuck);
    }
    let mut data = sum.data.clone();
    data.swap(walked, sum.data.len() - 1);
    let mut dims: Vec<usize> = (0..data.len()).collect();
    dims.swap(walked, sum.data.len() - 1);
    let mut place = channel.name.clone();
    let mut order = names(&sum.shared);
    if planes > 1 {
        draft.step(format!("tile {} {planes}", channel.name))?;
        order = format!("{0}.o {0}.i", channel.name);
        place.push_str(".o");
        dims.insert(0, data.len());
    }
    let is_sorted = dims.is_sorted();
    let dims: Vec<String> = dims.iter().map(usize::to_string).collect();
    let dims = if is_sorted { String::new() } else { format!(" dims ({})", dims.join(" ")) };
    let stage = format!("{place}{dims}");
    draft.step(format!("reorder {order} {}", names(&data)))?;
    let left = outputs.map_or(0, |outputs| column.extent % outputs);
    if left > 0 {
        draft.step(format!("peel {} {left}; unroll-and-jam {0}.rest", column.name))?;
    }
    match outputs {
        None => data.iter().rev().try_for_each(|axis| draft.step(format!("unroll-and-jam {}", axis.name)))?,
        Some(outputs) => draft.step(format!("tile {0} {outputs}; unroll-and-jam {0}.i", column.name))?,
    }
    if !sum.wide {
        let before = draft.loop_names();
        draft.fill(format!("stage {} i16 at {stage} pad 2", sum.x), traits.unrolled_copies)?;
        if outputs.is_none() {
            let names = draft.loop_names();
            let made = names.iter().filter(|name| !before.contains(name));
            made.for_each(|name| draft.repeat(name, traits.unrolled_copies));
        }
    }
    if planes > 1 && scratch_bytes(&draft.nest) > bytes_of_data {
        return Err(Stuck); // One plane at a time is not much slower.
    }
    let mut taps: Vec<&str> = sum.summed.iter().map(|tap| tap.name.as_str()).collect();
    let along = walked.min(taps.len() - 1);
    if product(&sum.summed) <= sum.summed[along].extent * LINES_AT_ONCE {
        taps.rotate_left(along); // A word of each line and all that it is for, then the next words: their loads stand together.
    }
    if by_lines {
        taps.drain(..along);
    }
    draft.step(format!("phases {}", taps.join(" ")))?;
    if left > 0 {
        let rest: Vec<String> = taps.iter().map(|tap| format!("{tap}.rest")).collect();
        draft.step(format!("phases {}", rest.join(" ")))?;
    }
    Ok(draft)
}

/// Products of words that hold two neighbours each, for windows with more taps in a line than words for all of them have registers.
fn in_lanes(
    begin: &Draft,
    sum: &SumOfProducts,
    outputs: u32,
    walked: usize,
    traits: &Traits,
) -> Result<Draft, Stuck> {
    let (Some(channel), Some(taps)) = (sum.shared.last(), sum.summed.get(walked)) else { return Err(Stuck) };
    let column = &sum.data[walked];
    if taps.extent <= LINES_AT_ONCE {
        return Err(Stuck);
    }
    let mut draft = begin.clone();
    draft.first_of(&["short-requantize", "short-requantize any"]);
    let mut data = sum.data.clone();
    data.swap(walked, sum.data.len() - 1);
    draft.step(format!("reorder {} {}", names(&sum.shared), names(&data)))?;
    let place = &channel.name;
    let lanes = format!("kronecker {} {} {outputs} at {place}", column.name, taps.name);
    draft.fill(lanes, traits.unrolled_copies)?;
    for ending in ["", ".first"] {
        for tap in &sum.summed {
            let within = if tap.name == taps.name { ".o" } else { "" };
            draft.attempt(format!("unroll {}{within}{ending}", tap.name));
        }
    }
    keep_constants(&mut draft, place);
    Ok(draft)
}

/// Bytes of scratch.
fn scratch_bytes(nest: &Nest) -> usize {
    nest.buffers.iter().filter(|buffer| buffer.role == Role::Scratch).map(Buffer::bytes).sum()
}

/// Bytes of the data.
fn data_bytes(nest: &Nest, sum: &SumOfProducts) -> usize {
    nest.buffers.iter().find(|buffer| buffer.name == sum.x).map_or(0, Buffer::bytes)
}

/// Ways to use the registers along so many steps.
fn ways_to_keep(way: &Way, steps: u32) -> Vec<Kept> {
    if way.by_lines {
        return vec![Kept::Constants];
    }
    if way.outputs.is_none() {
        return vec![Kept::Nothing, Kept::Constants];
    }
    let carried = CARRIED.iter().enumerate().filter(|(at, _)| *at == 0 || CARRIED[at - 1] < steps);
    let data = carried.map(|(_, most)| Kept::Data(*most));
    [Kept::Weights, Kept::Constants].into_iter().chain(data).collect()
}

/// Keeps what is the same for a channel in registers, as far as they reach.
fn keep(mut draft: Draft, sum: &SumOfProducts, way: &Way, kept: Kept) -> Draft {
    if kept == Kept::Nothing {
        return draft;
    }
    let at = way.place(sum);
    if kept != Kept::Constants {
        let words = |name: &String| name.ends_with("_words");
        draft.constants_read(&sum.w).iter().filter(|name| words(name)).for_each(|words| {
            draft.attempt(format!("hoist {words} at {at}"));
        });
    }
    if let Kept::Data(most) = kept {
        let steps = format!("{}.o", sum.data[way.walked].name);
        let panel = if sum.wide { sum.x.clone() } else { format!("{}_panel", sum.x) };
        draft.attempt(format!("carry {panel} at {steps}"));
        draft.repeat(&steps, most);
    }
    keep_constants(&mut draft, &at);
    draft
}

/// Keeps what a channel's rescaling takes in registers. Where they do not reach for all of it, what sums begin with waits outside: it is
/// fetched once for each block of outputs.
fn keep_constants(draft: &mut Draft, at: &str) {
    let hoists = |names: Vec<String>, way: &str| -> Vec<String> {
        names.iter().map(|name| format!("hoist {name} at {at}{way}")).collect()
    };
    let (begins, factors) = (draft.constants_read("b"), hoists(draft.constants_read("m"), ""));
    let all = |way| [hoists(begins.clone(), way), factors.clone()].concat();
    if !draft.first_of(&[&all("").join("; "), &all(" parked").join("; ")]) {
        for hoist in all("") {
            draft.attempt(hoist);
        }
    }
}

/// Single products, in place.
fn single(begin: &Draft, sum: &SumOfProducts, outputs: u32, traits: &Traits) -> Result<Draft, Stuck> {
    let mut draft = begin.clone();
    let _ = draft.attempt("short-requantize") || draft.attempt("short-requantize any");
    if sum.border {
        draft.fill(format!("border {}", sum.x), traits.unrolled_copies)?;
    }
    draft.step(format!("reorder {} {}", names(&sum.shared), names(&sum.data)))?;
    let column = sum.data.last().ok_or(Stuck)?;
    let left = column.extent % outputs;
    if left > 0 && column.extent > outputs {
        draft.step(format!("peel {} {left}", column.name))?;
        draft.step(format!("unroll-and-jam {}.rest", column.name))?;
    }
    draft.step(format!("tile {0} {outputs}; unroll-and-jam {0}.i", column.name))?;
    for tap in &sum.summed {
        draft.step(format!("unroll {}", tap.name))?;
        draft.attempt(format!("unroll {}.rest", tap.name));
    }
    let channel = sum.shared.last().ok_or(Stuck)?;
    draft.attempt(format!("hoist {} at {}", sum.w, channel.name));
    Ok(draft)
}

fn names(axes: &[Axis]) -> String {
    axes.iter().map(|axis| axis.name.as_str()).collect::<Vec<_>>().join(" ")
}
