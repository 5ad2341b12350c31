//! What is known about a compiled model: every cycle and every byte, as a whole and by layer.
//!
//! Its JSON form is what `tinyc build --json` prints; the names of the fields are part of the command line.

use std::fmt;
use std::ops::AddAssign;

use isel_thumb2::memory::Counters;
use passes::loops::short_requantize;
use serde::Serialize;

/// A compiled model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The prefix of its symbols.
    pub model: String,
    /// The core that the code is for: `cortex-m4`.
    pub cpu: String,
    /// Predicted cycles of one inference.
    pub cycles: u64,
    /// Size of the arena, with inputs, outputs and scratch.
    pub arena_bytes: u32,
    /// Stack of a run, all calls included.
    pub stack_bytes: u32,
    /// Code and constants.
    pub flash_bytes: u32,
    /// The part of the flash that is code.
    pub code_bytes: u32,
    /// The part of the flash that is weights: constants that data is multiplied with, those that layers share counted once.
    pub weight_bytes: u32,
    /// The part of the flash that is other constants: biases, multipliers, shifts, functions of a byte.
    pub table_bytes: u32,
    /// The largest part of the arena that is one layer's own while it runs.
    pub scratch_bytes: u32,
    /// Multiply-accumulates of one inference that the result needs.
    pub macs: u64,
    /// Loads and stores of one inference.
    pub memory: MemoryReport,
    /// How the channels of all layers are rescaled.
    pub rescaled: Rescaled,
    /// The layers, in order of execution.
    pub layers: Vec<LayerReport>,
}

/// One layer of a compiled model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerReport {
    /// Its name, as schedules and messages say it.
    pub name: String,
    /// The operator of the graph.
    pub op: String,
    /// Extents of its result, outermost first.
    pub shape: Vec<usize>,
    /// Multiply-accumulates that its result needs.
    pub macs: u64,
    /// Predicted cycles of its function, call included.
    pub cycles: u64,
    /// Loads and stores of its function.
    pub memory: MemoryReport,
    /// How its channels are rescaled.
    pub rescaled: Rescaled,
    /// Its code and its constants. Code that layers share is counted with the first of them.
    pub flash_bytes: u32,
    /// Bytes of the arena that only it uses, while it runs.
    pub scratch_bytes: u32,
    /// The symbol of its function in the object file.
    pub symbol: String,
    /// The symbol of the code that it shares with other layers, where its function only leads there.
    pub shares: Option<String>,
}

impl Report {
    /// Says for each layer how its channels are rescaled.
    pub(crate) fn set_rescaled(&mut self, by_layer: &[Rescaled]) {
        for (layer, rescaled) in self.layers.iter_mut().zip(by_layer) {
            layer.rescaled = *rescaled;
            self.rescaled += *rescaled;
        }
    }
}

/// Channels by the operations that make bytes of their sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rescaled {
    /// In two operations, saturation included.
    pub in_2: usize,
    /// In three.
    pub in_3: usize,
    /// In four.
    pub in_4: usize,
    /// In five.
    pub in_5: usize,
    /// As the reference says it, which takes more.
    pub literal: usize,
}

impl From<short_requantize::Report> for Rescaled {
    fn from(short_requantize::Report { short, literal }: short_requantize::Report) -> Self {
        let [in_2, in_3, in_4, in_5] = short;
        Self { in_2, in_3, in_4, in_5, literal }
    }
}

impl AddAssign for Rescaled {
    fn add_assign(&mut self, other: Self) {
        self.in_2 += other.in_2;
        self.in_3 += other.in_3;
        self.in_4 += other.in_4;
        self.in_5 += other.in_5;
        self.literal += other.literal;
    }
}

/// `56 in 2, 8 literally`; nothing where nothing is rescaled.
impl fmt::Display for Rescaled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { in_2, in_3, in_4, in_5, literal } = *self;
        let short = [(in_2, "in 2"), (in_3, "in 3"), (in_4, "in 4"), (in_5, "in 5")];
        let all = short.into_iter().chain([(literal, "literally")]).filter(|(count, _)| *count > 0);
        f.write_str(&all.map(|(count, how)| format!("{count} {how}")).collect::<Vec<_>>().join(", "))
    }
}

/// What code reads and writes: where memory has wait states, they cost in proportion to this.
///
/// An instruction that moves several registers reads or writes once for each. RAM is arena and stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryReport {
    /// Loads of constants.
    pub flash_reads: u64,
    /// Bytes that they read.
    pub flash_read_bytes: u64,
    /// Loads from RAM.
    pub ram_reads: u64,
    /// Bytes that they read.
    pub ram_read_bytes: u64,
    /// Stores to RAM.
    pub ram_writes: u64,
    /// Bytes that they write.
    pub ram_write_bytes: u64,
}

impl From<Counters> for MemoryReport {
    fn from(counters: Counters) -> Self {
        let (flash, ram) = (counters.flash, counters.ram());
        Self {
            flash_reads: flash.loads,
            flash_read_bytes: flash.load_bytes,
            ram_reads: ram.loads,
            ram_read_bytes: ram.load_bytes,
            ram_writes: ram.stores,
            ram_write_bytes: ram.store_bytes,
        }
    }
}

impl AddAssign for MemoryReport {
    fn add_assign(&mut self, other: Self) {
        self.flash_reads += other.flash_reads;
        self.flash_read_bytes += other.flash_read_bytes;
        self.ram_reads += other.ram_reads;
        self.ram_read_bytes += other.ram_read_bytes;
        self.ram_writes += other.ram_writes;
        self.ram_write_bytes += other.ram_write_bytes;
    }
}
