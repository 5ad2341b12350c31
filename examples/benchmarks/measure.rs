//! What tinyc makes of each model, and the file that keeps it: `docs/benchmarks/measured.json`.
//!
//! Figures that cannot be had here, because a model or the judge is missing, stay as the file has them.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use frontends::tflite;
use ir::diag::Diagnostic;
use isel_thumb2::cores::Core;
use serde::{Deserialize, Serialize};
use test_support::{Model, Random, judge};
use tinyc::link::{self, Board, Linker};
use tinyc::pipeline::{self, Compiled, Options};

use crate::peers::{PeerModel, Peers};

/// The prefix of all symbols.
const PREFIX: &str = "m";

/// The whole file.
#[derive(Default, Serialize, Deserialize)]
pub struct Measured {
    /// Threads that compiled, for the times.
    pub threads: usize,
    /// A row for each model and core.
    pub rows: Vec<Row>,
}

/// A model on a core.
#[derive(Clone, Serialize, Deserialize)]
pub struct Row {
    pub model: String,
    pub core: String,
    /// Figures, or why there are none.
    pub outcome: Result<Figures, String>,
}

/// What is known about a compiled model. Bytes, but for the counts.
#[derive(Clone, Serialize, Deserialize)]
pub struct Figures {
    /// Multiply-accumulates of the model file.
    pub file_macs: u64,
    /// Multiply-accumulates that the result needs.
    pub macs: u64,
    /// Predicted cycles of one inference.
    pub cycles: u64,
    pub judged: Option<JudgedCycles>,
    pub code: u32,
    pub weights: u32,
    pub tables: u32,
    pub arena: u32,
    /// The part of the arena that is the scratch of one layer, at most.
    pub scratch: u32,
    pub stack: u32,
    /// Time to choose a schedule and to compile.
    pub seconds: f64,
}

/// What the judge said of code, which may be older than the rest of the figures.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct JudgedCycles {
    pub cycles: u64,
    /// Predicted cycles of the code that was judged.
    pub predicted: u64,
}

impl Measured {
    /// What the file has; nothing where there is none.
    pub fn read(path: &Path) -> Measured {
        let Ok(text) = std::fs::read_to_string(path) else { return Measured::default() };
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The row of a model on a core.
    pub fn row(&self, model: &str, core: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.model == model && row.core == core)
    }

    /// The figures of a model on a core.
    pub fn figures(&self, model: &str, core: &str) -> Option<&Figures> {
        self.row(model, core)?.outcome.as_ref().ok()
    }

    /// Takes the place of the row of the same model and core.
    pub fn set(&mut self, row: Row) {
        self.rows.retain(|old| (&old.model, &old.core) != (&row.model, &row.core));
        self.rows.push(row);
    }

    /// One row a line, in the order of the peers: changes are read like code.
    pub fn text(&self, peers: &Peers) -> String {
        let of_model =
            |peer: &PeerModel| self.rows.iter().filter(|row| row.model == peer.model).collect::<Vec<_>>();
        let rows: Vec<&Row> = peers.models().flat_map(of_model).collect();
        let rows: Vec<String> =
            rows.iter().map(|row| serde_json::to_string(row).expect("plain data has a JSON form")).collect();
        format!("{{\n\"threads\": {},\n\"rows\": [\n{}\n]\n}}\n", self.threads, rows.join(",\n"))
    }
}

impl Row {
    /// Compiles a model with the default schedule; `earlier` gives the judged cycles until it is judged again.
    pub fn compiled(
        model: &Model,
        core: &'static dyn Core,
        earlier: Option<&Figures>,
    ) -> (Row, Option<Compiled>) {
        let bytes = model.read();
        let start = Instant::now();
        let compiled = catch_unwind(AssertUnwindSafe(|| compile(&bytes, core)));
        let seconds = start.elapsed().as_secs_f64();
        let compiled = compiled.unwrap_or_else(|_| Err("the compiler panicked".into()));
        let outcome = compiled.as_ref().map_err(Clone::clone).map(|compiled| {
            let report = &compiled.report;
            Figures {
                file_macs: tflite::inspect(&bytes).map_or(0, |inspection| inspection.macs),
                macs: report.macs,
                cycles: report.cycles,
                judged: earlier.and_then(|figures| figures.judged),
                code: report.code_bytes,
                weights: report.weight_bytes,
                tables: report.table_bytes,
                arena: report.arena_bytes,
                scratch: report.scratch_bytes,
                stack: report.stack_bytes,
                seconds: (seconds * 100.0).round() / 100.0,
            }
        });
        (Row { model: model.name.clone(), core: core.name().into(), outcome }, compiled.ok())
    }

    /// Has the judge run one inference, if the firmware fits on the board.
    pub fn judge(&mut self, judge: &Path, compiled: &Compiled, core: &dyn Core) {
        let (Ok(figures), Some(board)) = (&mut self.outcome, Board::of_cpu(core.name())) else { return };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let firmware = compiled.firmware();
        let linker = Linker::find().expect("Rust comes with a linker");
        let elf = match link::link(board, &firmware, &linker, folder.path()) {
            Ok(elf) => elf,
            Err(error) => return println!("{} on {}: not judged: {}", self.model, self.core, error.message),
        };
        let input_bytes: u32 = firmware.inputs.iter().map(|place| place.bytes).sum();
        let input = Random(1).bytes(input_bytes as usize);
        let judged = judge::run(judge, &elf, &input, core.name(), folder.path());
        figures.judged = Some(JudgedCycles { cycles: judged.cycles, predicted: figures.cycles });
    }
}

impl Figures {
    /// Code and constants.
    pub fn flash(&self) -> u32 {
        self.code + self.weights + self.tables
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cycles predicted", self.cycles)?;
        if let Some(judged) = self.judged.filter(|judged| judged.predicted == self.cycles) {
            write!(f, ", {} judged", judged.cycles)?;
        }
        write!(f, ", {} B of flash, compiled in {} s", self.flash(), self.seconds)
    }
}

fn compile(bytes: &[u8], core: &'static dyn Core) -> Result<Compiled, String> {
    let first = |errors: Vec<Diagnostic>| errors.first().map_or(String::new(), ToString::to_string);
    let graph = pipeline::graph(bytes, PREFIX, &mut |_, _| {}).map_err(first)?;
    let schedule = pipeline::default_schedule(&graph, core, true).map_err(|error| error.to_string())?;
    let options = Options {
        core,
        prefix: PREFIX,
        stem: PREFIX,
        fpu: true,
        run_until: false,
        schedule: Some(&schedule),
    };
    pipeline::compile(bytes, &options, &|_, _| {}).map_err(first)
}
