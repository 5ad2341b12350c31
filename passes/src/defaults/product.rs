//! Matrix products: every pixel meets every output channel. Blocks of both in registers, data widened once, two products at a time.
//!
//! A convolution is one too: its windows lie as rows in a panel, or are read in place from rows of halfwords.

use super::Traits;
use super::draft::{Draft, Stuck};
use super::shape::{Axis, SumOfProducts, product};

/// Pixels and channels of a block, as far as registers reach: two operands and a pointer stay beside the sums.
const BLOCKS: &[(u32, u32)] = &[(2, 4), (4, 2), (3, 3), (5, 2), (1, 8), (2, 2), (1, 4)];
/// Blocks of a convolution, whose drafts take longer to price.
const BLOCKS_OF_WINDOWS: &[(u32, u32)] = &[(2, 4), (4, 2), (2, 2)];
/// The block whose data is tried in tiles: it needs the fewest words of both operands.
const TILES: (u32, u32) = (2, 4);
/// The smallest block whose weights are tried as pairs: taking pairs apart costs too much in smaller ones.
const LEAST_BLOCK_OF_PAIRS: u32 = 8;
/// Most pixels of a block in code that layers are to share: where they lie is another number for each layer, a register for each pixel.
const SHARED_ROWS: u32 = 2;
/// What runs less than one time in so many is to be small.
const SELDOM: u32 = 16;
/// Where there are more blocks of channels than this, one that computes some of them again hardly counts.
const MANY: u32 = 4;
/// So many steps of a sum take hardly more code than one less.
const LEAST_STEPS: u32 = 5;
/// Most steps of such a sum that are repeated.
const STEPS_OF_SELDOM: u32 = 4;
/// Steps of a copy to tiles that are repeated, the first of these that divides them: most sums then have one code.
const COPIES: &[u32] = &[4, 5, 3, 2];
/// Ends the step that makes blocks which overlap.
const OVERLAP: &str = " overlap";
/// Products that one operation makes.
const PAIR: u32 = 2;
/// Bytes that a word of data widens at once; the two pairs that come out hold elements 0, 2 and 1, 3.
const WIDENED: u32 = 4;
/// Elements of a row of a panel at least, where it is longer so that panels of several layers have rows of one length.
const LEAST_ROW: u32 = 64;

/// How weights lie in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weights {
    /// Each as a halfword.
    Halfwords,
    /// Those of two channels in one halfword.
    Pairs,
}

/// Where products find their data.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Data {
    /// Pixels are rows already: they are widened.
    Pixels,
    /// So are they, and words of the pixels of a block follow each other: such blocks have one code, however long the sums are.
    Tiles,
    /// The window of each pixel becomes a row.
    Windows,
    /// Windows are read from widened rows of the image; the first and the last rows of outputs have code of
    /// their own where what they read beyond the image differs.
    Rows { peeled: bool },
}

/// The drafts for a matrix product.
pub fn drafts(plain: &Draft, traits: &Traits) -> Vec<Draft> {
    let Some(sum) = SumOfProducts::of(&plain.nest) else { return Vec::new() };
    if !sum.shared.is_empty() || sum.weights.len() != 1 {
        return Vec::new();
    }
    let (pixels, channels) = (product(&sum.data), product(&sum.weights));
    let most_rows = if traits.overlapping { SHARED_ROWS } else { pixels };
    let suits =
        |(p, n): &&(u32, u32)| *p <= pixels.min(most_rows) && *n <= channels && (*p > 1 || pixels == 1);
    let windows = [Data::Windows, Data::Rows { peeled: false }, Data::Rows { peeled: true }];
    let (blocks, ways): (_, &[Data]) = match sum.summed.len() {
        1 => (BLOCKS, &[Data::Pixels, Data::Tiles]),
        _ if traits.dual_mac => (BLOCKS_OF_WINDOWS, &windows),
        _ => return Vec::new(),
    };
    let mut shortened = plain.clone();
    if traits.dual_mac {
        shortened.attempt(format!("pack {0} i16; scale {0}_packed by auto", sum.w));
    }
    shorten(&mut shortened); // Once: its proofs look at every weight, and blocks are many.
    let mut drafts = Vec::new();
    for &block in blocks.iter().filter(suits) {
        for &data in ways {
            let way = |weights: Weights| Product { sum: &sum, block, weights, data, traits };
            if data != Data::Tiles {
                drafts.extend(way(Weights::Halfwords).draft(&shortened).ok());
            }
            let in_pairs = block.0 * block.1 >= LEAST_BLOCK_OF_PAIRS;
            if traits.dual_mac && in_pairs && (data != Data::Tiles || traits.overlapping && block == TILES) {
                drafts.extend(way(Weights::Pairs).draft(plain).ok());
            }
        }
    }
    drafts
}

/// Rescales in as few operations as there are proofs for; tells whether that is in short ones for all channels.
fn shorten(draft: &mut Draft) -> bool {
    let is_short = draft.attempt("short-requantize");
    if !is_short {
        draft.attempt("short-requantize any");
    }
    is_short
}

/// One way to compute a matrix product.
struct Product<'a> {
    sum: &'a SumOfProducts,
    /// Pixels and channels.
    block: (u32, u32),
    weights: Weights,
    data: Data,
    traits: &'a Traits,
}

/// The loops of a draft that later steps name.
#[derive(Default)]
struct Parts {
    /// What the names of the loops of each copy of the sum end with.
    endings: Vec<String>,
    /// Those of copies that run so seldom that their code is to be small.
    seldom: Vec<String>,
    /// The loops at which data is widened; none where all of it is at once.
    stages: Vec<String>,
    /// The loops over the channels of a block.
    channels: Vec<String>,
}

impl Product<'_> {
    fn draft(&self, begin: &Draft) -> Result<Draft, Stuck> {
        let mut draft = begin.clone();
        if self.is_rows() && self.traits.dual_mac {
            self.lengthen(&mut draft)?;
        }
        let mut x = self.sum.x.clone();
        if self.data == Data::Windows && self.sum.border {
            draft.fill(format!("border {x}"), self.traits.unrolled_copies)?;
            x.push_str("_border");
        }
        let parts = match self.data {
            Data::Rows { peeled } => self.rows(&mut draft, peeled)?,
            _ => {
                let pixels = self.pixels(&mut draft)?;
                self.blocks(&mut draft, pixels)?
            }
        };
        let sums = if self.traits.dual_mac && self.depth().extent * self.window() >= PAIR {
            self.widen(&mut draft, &x, &parts)?
        } else {
            parts.endings.iter().map(|ending| format!("{}{ending}", self.depth().name)).collect()
        };
        for (sum, ending) in sums.iter().zip(&parts.endings) {
            let most =
                if parts.seldom.contains(ending) { STEPS_OF_SELDOM } else { self.traits.unrolled_steps };
            self.repeat(&mut draft, sum, most.min(self.traits.unrolled_steps));
        }
        self.repeat_window(&mut draft, &parts, &sums);
        self.repeat_channels(&mut draft, &parts);
        // What is rescaled has a factor from here on only.
        let is_short = self.weights == Weights::Pairs && shorten(&mut draft);
        if self.tiles_of_channels("").ends_with(OVERLAP) {
            let tables = [draft.constants_read("b"), draft.constants_read("m")].concat();
            for table in tables {
                draft.attempt(format!("pack {table}")); // Block after block, like the weights.
            }
        }
        if self.data == Data::Tiles && is_short {
            self.interleave(&mut draft, &parts);
        }
        Ok(draft)
    }

    /// Gives the sum as many steps as there is data for, and as its repeated steps divide.
    fn lengthen(&self, draft: &mut Draft) -> Result<(), Stuck> {
        let Axis { name, extent } = self.depth();
        let row = self.sum.row.max(extent.next_multiple_of(PAIR));
        if row > *extent {
            draft.step(format!("pad {name} {row}"))?; // Behind its elements lies what may be read.
        }
        let steps = row / PAIR;
        let count = self.count(steps);
        if self.data == Data::Tiles && !steps.is_multiple_of(count) {
            draft.attempt(format!("pad {name} {}", PAIR * count));
        }
        Ok(())
    }

    /// How many steps of a sum are repeated, if there may be more than it has of them: those that cost the least together with what
    /// their loop costs.
    fn count(&self, steps: u32) -> u32 {
        let most = self.traits.unrolled_steps;
        if steps <= most || steps.is_multiple_of(most) {
            return steps.min(most);
        }
        let cost = |count: &u32| {
            let rounds = steps.div_ceil(*count);
            (2 * (rounds * count - steps) + rounds, std::cmp::Reverse(*count))
        };
        (most / 2 + 1..=most.max(LEAST_STEPS)).min_by_key(cost).unwrap_or(most)
    }

    /// Whether pixels are rows already.
    fn is_rows(&self) -> bool {
        matches!(self.data, Data::Pixels | Data::Tiles)
    }

    /// The innermost loop of the sum.
    fn depth(&self) -> &Axis {
        self.sum.summed.last().expect("a sum has a loop")
    }

    /// The iterations of the other loops of the sum.
    fn window(&self) -> u32 {
        product(&self.sum.summed) / self.depth().extent
    }

    /// One loop over pixels, if there is one: all, or those of a row.
    fn pixels(&self, draft: &mut Draft) -> Result<Option<Axis>, Stuck> {
        let names: Vec<&str> = self.sum.data.iter().map(|axis| axis.name.as_str()).collect();
        if names.len() > 1 {
            draft.step(format!("collapse {}", names.join(" ")))?;
        }
        let mut axis = Axis { name: names.join("_"), extent: product(&self.sum.data) };
        if let Some(columns) = self.sum.columns {
            draft.step(format!("tile {} {columns}", axis.name))?; // Blocks do not reach from row to row.
            axis = Axis { name: format!("{}.i", axis.name), extent: columns };
        }
        Ok((!names.is_empty()).then_some(axis))
    }

    /// Blocks of pixels and channels; what is left of both gets blocks of its own, or is part of blocks that overlap.
    fn blocks(&self, draft: &mut Draft, pixels: Option<Axis>) -> Result<Parts, Stuck> {
        let (p, n) = self.block;
        let channels = &self.sum.weights[0];
        let mut parts = Parts { endings: vec![String::new()], ..Parts::default() };
        let left = if self.channels_overlap() { 0 } else { channels.extent % n };
        if left > 0 {
            draft.step(format!("peel {} {left}", channels.name))?;
            parts.endings.push(".rest".into());
        }
        let Some(pixels) = pixels else {
            draft.step(format!("{}; unroll-and-jam {}.i", self.tiles_of_channels(""), channels.name))?;
            parts.channels.push(format!("{}.i", channels.name));
            if left > 0 {
                draft.step(format!("unroll-and-jam {}.rest", channels.name))?;
            }
            return Ok(parts);
        };
        let rest = if self.traits.overlapping { 0 } else { pixels.extent % p };
        if rest > 0 {
            let ending = if left > 0 { ".rest2" } else { ".rest" };
            draft.step(format!("peel {} {rest}", pixels.name))?;
            let with_ending: Vec<String> =
                parts.endings.iter().map(|before| format!("{before}{ending}")).collect();
            if rest * SELDOM < pixels.extent {
                parts.seldom = with_ending.clone();
            }
            parts.endings.extend(with_ending);
            self.jam(
                draft,
                &Axis { name: format!("{}{ending}", pixels.name), extent: rest },
                ending,
                rest,
                &mut parts,
            )?;
        }
        let whole = Axis { extent: pixels.extent - rest, ..pixels };
        self.jam(draft, &whole, "", p, &mut parts)?;
        Ok(parts)
    }

    /// Whether blocks of channels overlap where they do not divide them: that takes no code for what is left.
    fn channels_overlap(&self) -> bool {
        let (extent, block) = (self.sum.weights[0].extent, self.block.1);
        self.traits.overlapping || extent > MANY * block
    }

    /// The step that makes blocks of channels; `ending` is what the name of their loop ends with.
    fn tiles_of_channels(&self, ending: &str) -> String {
        let Axis { name, extent } = &self.sum.weights[0];
        let overlaps = self.channels_overlap() && !extent.is_multiple_of(self.block.1);
        format!("tile {name}{ending} {}{}", self.block.1, if overlaps { OVERLAP } else { "" })
    }

    /// Blocks of pixels of one row.
    fn rows(&self, draft: &mut Draft, peeled: bool) -> Result<Parts, Stuck> {
        let [row, column] = &self.sum.data[..] else { return Err(Stuck) };
        let (first, last) = self.sum.edges;
        if !peeled {
            let mut parts = self.blocks(draft, Some(column.clone()))?;
            parts.stages = vec![row.name.clone()];
            return Ok(parts);
        }
        let divides = column.extent.is_multiple_of(self.block.0) || self.traits.overlapping;
        let has_rest = !self.channels_overlap() && !self.sum.weights[0].extent.is_multiple_of(self.block.1);
        if !divides || has_rest || first > 1 || last > 1 || first + last == 0 || first + last >= row.extent {
            return Err(Stuck);
        }
        let mut parts = Parts { endings: vec![String::new()], ..Parts::default() };
        for (count, step, ending) in [(first, "peel {} first 1", ".first"), (last, "peel {} 1", ".rest")] {
            if count > 0 {
                draft.step(step.replace("{}", &row.name))?;
                parts.endings.push(ending.into());
            }
        }
        for ending in parts.endings.clone() {
            let columns = Axis { name: format!("{}{ending}", column.name), extent: column.extent };
            self.jam(draft, &columns, &ending, self.block.0, &mut parts)?;
        }
        parts.stages = parts.endings.iter().map(|ending| format!("{}{ending}", row.name)).collect();
        Ok(parts)
    }

    /// Makes blocks of a loop over pixels, `p` of them each; `ending` is what the names of its loops end with.
    fn jam(
        &self,
        draft: &mut Draft,
        pixels: &Axis,
        ending: &str,
        p: u32,
        parts: &mut Parts,
    ) -> Result<(), Stuck> {
        let overlaps = if pixels.extent.is_multiple_of(p) { "" } else { OVERLAP };
        let pixels = &pixels.name;
        draft.step(format!("tile {pixels} {p}{overlaps}"))?;
        let mut inner = format!("{pixels}.i");
        let channels = &self.sum.weights[0].name;
        let rest = format!("{channels}.rest{ending}");
        if !self.channels_overlap() && !self.sum.weights[0].extent.is_multiple_of(self.block.1) {
            draft.step(format!("distribute {inner}"))?;
            draft.step(format!("unroll-and-jam {inner}.1 {rest}"))?;
            inner = format!("{inner}.0");
        }
        let channels = format!("{channels}{ending}");
        draft
            .step(format!("{}; reorder {channels}.o {inner} {channels}.i", self.tiles_of_channels(ending)))?;
        draft.step(format!("unroll-and-jam {inner} {channels}.i"))?;
        parts.stages.push(format!("{pixels}.o"));
        parts.channels.push(format!("{channels}.i"));
        Ok(())
    }

    /// Widens data, lays out weights, and makes one operation of two products; gives the loops of the sums.
    fn widen(&self, draft: &mut Draft, x: &str, parts: &Parts) -> Result<Vec<String>, Stuck> {
        let depth = self.depth().extent;
        // Behind the elements of a row lies what is not read four at a time.
        let order = if depth.is_multiple_of(WIDENED) { " order (0 2 1 3)" } else { "" };
        let all = |names: &[Axis], ending: &str| -> String {
            names.iter().map(|axis| format!("{}{ending}", axis.name)).collect::<Vec<_>>().join("_")
        };
        let (step, loops, length) = match self.data {
            Data::Pixels | Data::Tiles => (format!("stage {x} i16"), &self.sum.summed[..], depth),
            Data::Windows => (format!("im2col {x}"), &self.sum.summed[..], depth * self.window()),
            Data::Rows { .. } => {
                let loops = &self.sum.summed[1..];
                (format!("implicit-gemm {x}"), loops, product(loops))
            }
        };
        let end = match self.data {
            Data::Tiles => format!(" tiles {PAIR}"),
            // Code that layers of several depths share has the distance of rows in its instructions.
            Data::Pixels if self.traits.overlapping && !parts.stages.is_empty() => {
                format!(" pad {}", depth.next_power_of_two().max(LEAST_ROW))
            }
            Data::Pixels => String::new(),
            _ if length.is_multiple_of(PAIR) => String::new(),
            _ => format!(" pad {PAIR}"),
        };
        let at = |stage: &String| format!(" at {stage}");
        let everywhere = parts.stages.is_empty().then(String::new);
        let sums: Vec<String> = parts.endings.iter().map(|ending| all(loops, ending)).collect();
        let places: Vec<String> = parts.stages.iter().map(at).chain(everywhere).collect();
        if self.data == Data::Pixels && self.sum.wide {
            // The producer has widened it.
        } else if self.is_rows() && !self.sum.wide && !order.is_empty() {
            sums.iter().try_for_each(|sum| draft.step(format!("permute {sum} (0 2 1 3)")))?;
            places.iter().try_for_each(|at| self.fill(draft, format!("{step}{at}{end}")))?;
        } else {
            let order = if self.data == Data::Tiles { "" } else { order }; // Copied as they are, or one by one.
            let fill = |at: &String| format!("{step}{at}{order}{end}");
            places.iter().try_for_each(|at| self.fill(draft, fill(at)))?;
        }
        if self.weights == Weights::Pairs {
            for channels in &parts.channels {
                let of = draft.constants_read(&self.sum.w);
                if !of
                    .iter()
                    .any(|weights| draft.attempt(format!("pack {weights} pairs {channels} scale 256")))
                {
                    return Err(Stuck);
                }
            }
        }
        sums.iter().try_for_each(|sum| draft.step(format!("tile {sum} {PAIR}")))?;
        // Pair after pair of all channels of a block: their distances do not depend on how long the sum is.
        for weights in draft.constants_read(&self.sum.w) {
            draft.step(format!("pack {weights} i16"))?;
        }
        sums.iter().try_for_each(|sum| draft.step(format!("vectorize {sum}.i dual16")))?;
        Ok(sums)
    }

    /// Makes one stream of the constants of a block. Where code is to be small, what fits in narrower types stays by itself before.
    fn interleave(&self, draft: &mut Draft, parts: &Parts) {
        if self.traits.unrolled_copies < COPIES[0] {
            draft.shrink_tables();
        }
        for channels in &parts.channels {
            draft.attempt(format!("interleave at {}", channels.replace(".i", ".o")));
        }
    }

    /// Appends a step that fills panels.
    fn fill(&self, draft: &mut Draft, steps: String) -> Result<(), Stuck> {
        let most = self.traits.unrolled_copies;
        match self.data {
            Data::Windows => draft.fill_in_full(steps, most),
            Data::Tiles => {
                draft.fill_alike(steps, if most < COPIES[0] { &COPIES[COPIES.len() - 1..] } else { COPIES })
            }
            _ => draft.fill(steps, most),
        }
    }

    /// Repeats the rows of a window in the code too, where the budget allows all of them.
    fn repeat_window(&self, draft: &mut Draft, parts: &Parts, sums: &[String]) {
        let Some(outer) = self.sum.summed.first().filter(|_| self.sum.summed.len() > 1) else { return };
        for (ending, sum) in parts.endings.iter().zip(sums) {
            let steps = draft.extent(&format!("{sum}.o"));
            if steps > 0 && steps * outer.extent <= self.traits.unrolled_steps {
                draft.attempt(format!("unroll {}{ending}", outer.name));
            }
        }
    }

    /// Repeats blocks of channels in the code, as many as the budget allows with all steps of their sums: what they store
    /// and load has addresses in the instructions.
    fn repeat_channels(&self, draft: &mut Draft, parts: &Parts) {
        let steps = (product(&self.sum.summed) / PAIR).max(1);
        for channels in &parts.channels {
            let is_seldom = parts.seldom.iter().any(|ending| channels.ends_with(&format!("{ending}.i")));
            if let Some(channels) = channels.strip_suffix(".i").filter(|_| !is_seldom) {
                draft.repeat(&format!("{channels}.o"), self.traits.unrolled_blocks / steps);
            }
        }
    }

    /// Repeats the steps of a sum in the code, at most so many.
    fn repeat(&self, draft: &mut Draft, sum: &str, most: u32) {
        let outer = format!("{sum}.o");
        let steps = if draft.extent(&outer) > 0 { outer } else { sum.to_string() };
        let extent = draft.extent(&steps);
        if self.data == Data::Tiles {
            let count = self.count(extent); // Even where that is all: longer sums have the same code.
            draft.attempt(format!("unroll {steps} {count}"));
            return;
        }
        let divides = |count: &u32| extent.is_multiple_of(*count);
        if extent > most && !(most / 2 + 1..=most).any(|count| divides(&count)) {
            let left = extent % most;
            draft.attempt(format!("peel {steps} {left}; unroll {steps} {most}; unroll {steps}.rest"));
        } else {
            draft.repeat(&steps, most);
        }
    }
}
