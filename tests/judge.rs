//! Predicted cycles and memory accesses against the judge: of whole models, and of every nest that tests run.
//!
//! `cargo test --test judge -- --nocapture` prints a table with a row for each model and core. The judge is a cycle model
//! that others wrote; it runs the firmware in QEMU and is looked for in `../shared` beside the repository. Where it, a
//! model or a tool is missing, a line says so. With `TINYC_TEST_ALL=1` every model that compiles is judged, otherwise
//! the networks named here.

mod emitted;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ir::diag::Diagnostic;
use isel_thumb2::cores::{CORES, Core};
use isel_thumb2::emit::Emitted;
use rayon::prelude::*;
use test_support::judge::{self, Judged, JudgedMemory};
use test_support::{Model, Random};
use tinyc::link::{self, Board, Firmware, Linker};
use tinyc::pipeline::{self, Compiled, Options};

/// The networks that always run where the shared models are.
const NETWORKS: [&str; 4] = ["kws_ref_model", "vww_96_int8", "pretrainedResnet_quant", "ad01_int8"];
/// The prefix of all symbols.
const PREFIX: &str = "m";

/// How far a function may be off that the judge sees in two parts: a loop of five instructions pairs otherwise there.
const PARTED: f64 = 0.35;

/// The cores on which the models have their default schedules, elsewhere they are as lowered.
const DEFAULT_ON: [&str; 2] = ["cortex-m3", "cortex-m33"];

/// A model on a core, predicted and judged.
struct Row {
    model: String,
    core: &'static dyn Core,
    total: Pair,
    functions: Vec<(String, Pair)>,
    /// The functions that the judge sees in two parts.
    parted: BTreeSet<String>,
}

/// Cycles of the same code by both.
#[derive(Clone, Copy)]
struct Pair {
    predicted: u64,
    judged: u64,
}

#[test]
fn predicted_cycles_agree_with_the_judge() {
    let Some(judge) = judge::find() else { return };
    let all = std::env::var_os("TINYC_TEST_ALL").is_some();
    let mut models = test_support::shared_models();
    models.retain(|model| all || NETWORKS.contains(&model.name.as_str()));
    let judged = |model: &Model| -> Vec<Row> {
        let rows = CORES.iter().map(|core| row(&judge, model, *core));
        rows.collect::<Option<_>>().unwrap_or_default()
    };
    let rows: Vec<Row> = models.par_iter().flat_map_iter(judged).collect();
    println!(
        "{:34} {:10}  {:>13} {:>13} {:>8}  worst function",
        "model", "core", "predicted", "judged", "off by"
    );
    rows.iter().for_each(|row| println!("{row}"));
    let failed: Vec<String> = rows.iter().flat_map(Row::failures).collect();
    assert!(failed.is_empty(), "further off than allowed:\n{}", failed.join("\n"));
    let absent: Vec<_> = NETWORKS.iter().filter(|name| rows.iter().all(|row| row.model != **name)).collect();
    assert!(absent.is_empty(), "refused or absent: {absent:?}");
}

/// Loops in loops, comparisons with conditional moves, several words at once, divisions, values in S registers and on
/// the stack: what the files of nests are made to contain.
#[test]
fn nests_take_the_cycles_and_accesses_of_the_judge() {
    let Some(judge) = judge::find() else { return };
    let texts = emitted::files().into_iter().map(|(name, path)| (name, std::fs::read_to_string(path)));
    let cases = texts.flat_map(|(name, text)| {
        emitted::cases(&text.expect("a readable file")).unwrap_or_else(|error| panic!("{name}: {error}"))
    });
    let cases: Vec<emitted::Case> = cases.collect();
    let mut failed = Vec::new();
    for device in emitted::DEVICES {
        let core = device.core();
        let program = emitted::Program::new(&cases, device).expect("the nests compile");
        let judged = run(&judge, &program.firmware(false), &program.input(), core).expect("it fits");
        let all = || program.layers.iter().map(|layer| &layer.emitted).chain([&program.object.run]);
        let mut counted = JudgedMemory { loads: 0, stores: 0, flash_loads: 0 };
        for memory in all().map(|emitted| emitted.memory()) {
            counted.loads += memory.flash.loads + memory.ram().loads;
            counted.stores += memory.ram().stores;
            counted.flash_loads += memory.flash.loads;
        }
        assert_eq!(counted, judged.mem, "loads and stores on {}", core.name());
        let pair = |emitted: &Emitted| {
            let symbol = &emitted.code.symbol;
            (symbol.clone(), Pair { predicted: emitted.cycles(core), judged: judged.of(symbol) })
        };
        let pairs: Vec<(String, Pair)> = all().map(pair).collect();
        let total = |of: fn(Pair) -> u64| pairs.iter().map(|(_, pair)| of(*pair)).sum();
        let total = Pair { predicted: total(|pair| pair.predicted), judged: total(|pair| pair.judged) };
        println!("{} nests on {} with fpu: {}: {total}", cases.len(), core.name(), device.fpu);
        // Nests are short, so a rule that is missing would hide behind the cycles that a model may be off. The judge's pipelined
        // cores charge what runs once at the mean of all else: some tens of cycles of a nest.
        let (part, cycles) = if is_exact(core) { (0.0, 0) } else { (0.06, 40) };
        let is_right = |symbol: &str, pair: &Pair| match symbol {
            "test_run" => pair.is_near(core),
            _ => pair.is_within(part, cycles),
        };
        let off = pairs.iter().filter(|(symbol, pair)| !is_right(symbol, pair));
        failed.extend(
            off.map(|(name, pair)| format!("`{name}` on {} with fpu: {}: {pair}", core.name(), device.fpu)),
        );
    }
    assert!(failed.is_empty(), "further off than allowed:\n{}", failed.join("\n"));
}

/// `None` for a model that is refused, which other tests look at, and for one that does not fit on the board.
fn row(judge: &Path, model: &Model, core: &'static dyn Core) -> Option<Row> {
    let file = model.read();
    let graph = pipeline::graph(&file, PREFIX, &mut |_, _| {}).ok()?;
    let is_default = DEFAULT_ON.contains(&core.name());
    let schedule = is_default.then(|| pipeline::default_schedule(&graph, core, true)).transpose().ok()?;
    let schedule = schedule.as_ref();
    let options = Options { core, prefix: PREFIX, stem: PREFIX, fpu: true, run_until: false, schedule };
    let compiled = pipeline::compile(&file, &options, &|_, _| {}).ok()?;
    let firmware = compiled.firmware();
    let input_bytes: u32 = firmware.inputs.iter().map(|place| place.bytes).sum();
    let judged = run(judge, &firmware, &Random(1).bytes(input_bytes as usize), core);
    let too_large = |error: &Diagnostic| {
        assert!(error.message.contains("will not fit in region"), "{error}");
        println!("skipped: {} on {}: {error}", model.name, core.name());
    };
    let judged = judged.inspect_err(too_large).ok()?;
    let memory = compiled.report.memory;
    let counted = JudgedMemory {
        loads: memory.flash_reads + memory.ram_reads,
        stores: memory.ram_writes,
        flash_loads: memory.flash_reads,
    };
    assert_eq!(counted, judged.mem, "loads and stores of {} on {}", model.name, core.name());
    let total = Pair { predicted: compiled.report.cycles, judged: judged.cycles };
    let functions = functions(&compiled, &judged);
    let parted = functions.iter().map(|(symbol, _)| symbol).filter(|symbol| judged.is_parted(symbol));
    let parted = parted.cloned().collect();
    Some(Row { model: model.name.clone(), core, total, functions, parted })
}

/// Runs one inference; an error for firmware that does not fit on the board.
fn run(judge: &Path, firmware: &Firmware, input: &[u8], core: &dyn Core) -> Result<Judged, Diagnostic> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let board = Board::of_cpu(core.name()).expect("every core has a board");
    let linker = Linker::find().expect("Rust comes with a linker");
    let elf = link::link(board, firmware, &linker, folder.path())?;
    Ok(judge::run(judge, &elf, input, core.name(), folder.path()))
}

/// Whether the judge follows the same manual, so that short functions agree to the cycle.
fn is_exact(core: &dyn Core) -> bool {
    ["cortex-m3", "cortex-m4"].contains(&core.name())
}

/// The entry, then the layers.
fn functions(compiled: &Compiled, judged: &Judged) -> Vec<(String, Pair)> {
    let layers = &compiled.report.layers;
    // Cycles of shared code are known for all layers together that run it.
    let mut symbols: BTreeMap<&String, (u64, u64)> = BTreeMap::new();
    for layer in layers {
        let code = layer.shares.as_ref().unwrap_or(&layer.symbol);
        let sum = symbols.entry(code).or_insert((0, layer.shares.as_ref().map_or(0, |body| judged.of(body))));
        *sum = (sum.0 + layer.cycles, sum.1 + judged.of(&layer.symbol));
    }
    let entry = compiled.report.cycles - layers.iter().map(|layer| layer.cycles).sum::<u64>();
    let of_layers = symbols.into_iter();
    let all = std::iter::once((&compiled.run, (entry, judged.of(&compiled.run)))).chain(of_layers);
    all.map(|(symbol, (predicted, judged))| (symbol.clone(), Pair { predicted, judged })).collect()
}

impl Row {
    fn failures(&self) -> Vec<String> {
        let whole = std::iter::once((&self.model, self.total));
        let functions = self.functions.iter().map(|(symbol, pair)| (symbol, *pair));
        let is_parted = |symbol: &str| !is_exact(self.core) && self.parted.contains(symbol);
        let is_right = |symbol: &str, pair: Pair| {
            pair.is_near(self.core) || is_parted(symbol) && pair.is_within(PARTED, 0)
        };
        let off = whole.chain(functions).filter(|(symbol, pair)| !is_right(symbol, *pair));
        off.map(|(name, pair)| format!("{} on {}: `{name}` {pair}", self.model, self.core.name())).collect()
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Pair { predicted, judged } = self.total;
        let error = format!("{:+.3} %", 100.0 * self.total.error());
        write!(f, "{:34} {:10}  {predicted:>13} {judged:>13} {error:>8}", self.model, self.core.name())?;
        let worst = self.functions.iter().max_by(|a, b| a.1.error().abs().total_cmp(&b.1.error().abs()));
        let (symbol, pair) = worst.expect("there is an entry");
        write!(f, "  `{symbol}` {pair}")
    }
}

impl Pair {
    fn error(self) -> f64 {
        self.predicted as f64 / self.judged.max(1) as f64 - 1.0
    }

    /// Whether the prediction is as good as it should be: some part of the whole or, for what is short, some cycles.
    /// On the M7 and M33 the judge does not look closely at blocks that hardly run, such as the entry of a large network.
    fn is_near(self, core: &dyn Core) -> bool {
        let (part, cycles) = match core.name() {
            "cortex-m33" => (0.05, 150),
            _ if is_exact(core) => (0.02, 50),
            _ => (0.10, 100),
        };
        self.is_within(part, cycles)
    }

    fn is_within(self, part: f64, cycles: u64) -> bool {
        self.error().abs() <= part || self.predicted.abs_diff(self.judged) <= cycles
    }
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} for {} ({:+.2} %)", self.predicted, self.judged, 100.0 * self.error())
    }
}
