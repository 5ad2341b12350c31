//! Every level against the golden outputs of whole models: one table, a row for each model.
//!
//! `cargo test --test models -- --nocapture` prints it. Columns: evaluation of the graph, of the simplified graph, of the
//! loop nests by the interpreter and as host code, and the object file on each emulated core, as lowered and with the default
//! schedule. Cells count the cases that
//! are right to the last bit. Without `TINYC_TEST_ALL=1` only the networks named here and our own models run, as lowered on two
//! of the cores. What it costs to leave floating-point registers alone is printed and limited.
//!
//! A model whose int8 body stands between floats is compiled without them: its object takes and gives the integers.
//! Here the float inputs are quantised first and the outputs dequantised, as a firmware would.

use std::time::Duration;

use ir::graph::ops::Quantize;
use ir::graph::{Graph, Op, Tensor};
use ir::loops::text::parse_program;
use ir::loops::{Program, interp};
use ir::ty::{TensorType, Ty};
use isel_thumb2::cores::{CORES, Core};
use passes::schedule::Schedule;
use rayon::prelude::*;
use test_support::{Case, Golden, Model, all_models};
use tinyc::emulate::run_on;
use tinyc::link::Board;
use tinyc::pipeline::{self, Options};

/// The networks that always run where the shared models are.
const NETWORKS: [&str; 13] = [
    "kws_ref_model",
    "ad01_int8",
    "micro_speech_quantized",
    "hello_world_int8",
    "vww_96_int8",
    "pretrainedResnet_quant",
    "digits_cnn",
    "person_detect",
    "mcunet-vww0",
    "mcunet-vww0_trained",
    "mcunet-vww1_trained",
    "mbv2-w0.35-r144",
    "tinyengine_vww",
];
/// So many of them, and our own models, run on all cores with the default schedule too, whose choice takes minutes for large networks.
const EVERYWHERE: usize = 6;
/// So many of them, and our own models, run with the default schedule also where floating-point registers are left alone.
const WITHOUT_FPU: usize = 4;
/// The cores on which every model runs as lowered, and which have floating-point registers to leave alone.
const TWICE_ON: [&str; 2] = ["cortex-m4", "cortex-m7"];
/// Most cycles that a network of a benchmark takes more without floating-point registers.
const MOST_WITHOUT_FPU: f64 = 0.08;
/// The networks of the benchmark MLPerf Tiny.
const BENCHMARK: [&str; 4] = ["kws_ref_model", "vww_96_int8", "pretrainedResnet_quant", "ad01_int8"];
/// An emulated core executes some hundred million instructions a second.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// A model with what every level gave for each golden case.
struct Row {
    name: String,
    /// A column's name with the number of right cases, or why there are none.
    cells: Vec<(String, Result<usize, String>)>,
    n_cases: usize,
    /// For some cores, what part of the cycles it costs to leave floating-point registers alone.
    without_fpu: Vec<(&'static str, f64)>,
}

#[test]
fn every_level_gives_the_golden_outputs() {
    let all = all_columns();
    let shared = test_support::shared_dir().is_some();
    if !shared {
        println!("skipped: the shared models are not there; our own models run");
    }
    let wanted = |model: &Model| {
        all || NETWORKS.contains(&model.name.as_str())
            || test_support::own_models().iter().any(|own| own.name == model.name)
    };
    let models: Vec<Model> = all_models().into_iter().filter(wanted).collect();
    let rows: Vec<Row> = models.par_iter().filter_map(row).collect();
    rows.iter().for_each(print);
    for model in models.iter().filter(|model| rows.iter().all(|row| row.name != model.name)) {
        println!("{:34} refused by the front end, whose tests have the message", model.name);
    }
    let failed: Vec<&str> = rows.iter().filter(|row| !row.is_right()).map(|row| row.name.as_str()).collect();
    println!("{} models right, {} wrong", rows.len() - failed.len(), failed.len());
    assert!(failed.is_empty(), "wrong: {failed:?}");
    let benchmark = rows.iter().filter(|row| BENCHMARK.contains(&row.name.as_str()));
    let costs = benchmark.flat_map(|row| row.without_fpu.iter().map(|cost| (&row.name, cost)));
    let dear: Vec<_> = costs.filter(|(_, (_, cost))| *cost > MOST_WITHOUT_FPU).collect();
    assert!(dear.is_empty(), "without floating-point registers: {dear:?}");
    let missing: Vec<_> =
        NETWORKS.iter().filter(|name| shared && rows.iter().all(|row| row.name != **name)).collect();
    assert!(missing.is_empty(), "refused or absent: {missing:?}");
}

/// `None` for a model that the front end refuses: its own tests look at those.
fn row(model: &Model) -> Option<Row> {
    let bytes = model.read();
    let plain = frontends::tflite::load(&bytes, "m").ok()?;
    let golden = model.golden();
    let n_cases = golden.cases.len();
    let mut row = Row { name: model.name.clone(), cells: Vec::new(), n_cases, without_fpu: Vec::new() };
    row.add("graph", Ok(right_cases(&golden, |case| Ok(eval(&plain, &case.inputs))).unwrap_or(0)));
    let levels = pipeline::graph(&bytes, "m", &mut |_, _| {}).map_err(|errors| errors[0].to_string());
    let levels = levels.and_then(|graph| {
        let program = pipeline::program(&graph, None, &mut |_, _| {}).map_err(|error| error.to_string())?;
        Ok((graph, program))
    });
    match levels {
        Err(error) => row.add("simplified", Err(error)),
        Ok((graph, program)) => {
            let golden = Boundary::of(&plain, &graph).integers(golden);
            row.add("simplified", right_cases(&golden, |case| Ok(eval(&graph, &case.inputs))));
            row.add("interpreter", interpreter(&program, &golden));
            row.add("host", host(&program, &golden));
            for core in CORES {
                row.add_core(*core, &graph, &program, &golden);
            }
        }
    }
    Some(row)
}

fn all_columns() -> bool {
    std::env::var_os("TINYC_TEST_ALL").is_some()
}

impl Row {
    fn add(&mut self, column: impl Into<String>, cell: Result<usize, String>) {
        self.cells.push((column.into(), cell));
    }

    /// The columns of a core.
    fn add_core(&mut self, core: &'static dyn Core, graph: &Graph, program: &Program, golden: &Golden) {
        let (name, all) = (core.name(), all_columns());
        let among = |count: usize| all || !NETWORKS[count..].contains(&self.name.as_str());
        let (everywhere, without_fpu) = (among(EVERYWHERE), among(WITHOUT_FPU) && TWICE_ON.contains(&name));
        let right = |found: Result<Emulated, String>| found.map(|found| found.right);
        if all || TWICE_ON.contains(&name) {
            self.add(name, right(emulated(program, golden, core, true)));
        }
        if everywhere {
            let with = scheduled(graph, core, golden, true);
            let cycles = with.as_ref().map_or(0, |found| found.cycles);
            self.add(format!("{name} default"), right(with));
            if without_fpu {
                let without = scheduled(graph, core, golden, false);
                if let Ok(found) = &without {
                    self.without_fpu.push((name, found.cycles as f64 / cycles as f64 - 1.0));
                }
                self.add(format!("{name} default, no FPU"), right(without));
            }
        }
    }

    fn is_right(&self) -> bool {
        self.cells.iter().all(|(_, cell)| *cell == Ok(self.n_cases)) && self.n_cases > 0
    }
}

fn print(row: &Row) {
    let cell = |(column, cell): &(String, Result<usize, String>)| match cell {
        Ok(right) => format!("{column} {right}/{}", row.n_cases),
        Err(error) => format!("{column} failed: {error}"),
    };
    let cells: Vec<String> = row.cells.iter().map(cell).collect();
    println!("{:34} {}", row.name, cells.join("  "));
    for (core, cost) in &row.without_fpu {
        println!("{:34} {core} takes {:+.2} % without floating-point registers", "", 100.0 * cost);
    }
}

fn right_cases(
    golden: &Golden,
    mut run: impl FnMut(&Case) -> Result<Vec<Vec<u8>>, String>,
) -> Result<usize, String> {
    golden.cases.iter().map(|case| Ok(usize::from(run(case)? == case.outputs))).sum()
}

fn eval(graph: &Graph, inputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let types = graph.inputs.iter().map(|value| graph.value(*value).ty.clone());
    let tensors: Vec<Tensor> =
        types.zip(inputs).map(|(ty, data)| Tensor { ty, data: data.as_slice().into() }).collect();
    graph.eval(&tensors).into_iter().map(|tensor| tensor.data.to_vec()).collect()
}

fn interpreter(program: &Program, golden: &Golden) -> Result<usize, String> {
    right_cases(golden, |case| interp::run_program(program, &case.inputs).map_err(|error| error.to_string()))
}

fn host(program: &Program, golden: &Golden) -> Result<usize, String> {
    let mut code = host::compile(program).map_err(|error| error.to_string())?;
    right_cases(golden, |case| {
        let inputs: Vec<&[u8]> = case.inputs.iter().map(Vec::as_slice).collect();
        code.run(&inputs).map_err(|error| error.to_string())
    })
}

/// What a program did on an emulated core.
struct Emulated {
    /// Golden cases with the right outputs.
    right: usize,
    /// Predicted cycles of an inference.
    cycles: u64,
}

/// With the schedule that the rules choose.
fn scheduled(graph: &Graph, core: &'static dyn Core, golden: &Golden, fpu: bool) -> Result<Emulated, String> {
    let schedule = pipeline::default_schedule(graph, core, fpu).map_err(|error| error.to_string())?;
    let program = pipeline::program(graph, Some(&schedule), &mut |_, _| {});
    let program = program.map_err(|error| error.to_string())?;
    let again = expect_same_as_text(graph, &schedule, &program)?;
    if core.name() == TWICE_ON[0] && fpu && object(&program, core)? != object(&again, core)? {
        return Err("the schedule in use gives another object".into());
    }
    emulated(&program, golden, core, fpu)
}

/// The schedule in use is text that reads back and makes the same nests, which are given.
fn expect_same_as_text(graph: &Graph, schedule: &Schedule, program: &Program) -> Result<Program, String> {
    let in_use = pipeline::schedule_in_use(graph, Some(schedule)).map_err(|error| error.to_string())?;
    let text = in_use.to_string();
    let parsed = Schedule::parse(&text).map_err(|error| error.to_string())?;
    let again = pipeline::program(graph, Some(&parsed), &mut |_, _| {}).map_err(|error| error.to_string())?;
    let same_text = parsed.to_string() == text && again.to_string() == program.to_string();
    let printed = parse_program(&program.to_string()).map_err(|error| error.to_string())?;
    if same_text && printed.to_string() == program.to_string() {
        Ok(again)
    } else {
        Err(format!("what is printed reads back as something else\n{text}"))
    }
}

fn object(program: &Program, core: &'static dyn Core) -> Result<Vec<u8>, String> {
    let options = Options { core, prefix: "m", stem: "m", fpu: true, run_until: false, schedule: None };
    let compiled = pipeline::generate(program, String::new(), &options, &|_, _| {});
    Ok(compiled.map_err(|error| error.to_string())?.object)
}

fn emulated(
    program: &Program,
    golden: &Golden,
    core: &'static dyn Core,
    fpu: bool,
) -> Result<Emulated, String> {
    let board = Board::of_cpu(core.name()).ok_or("no board for this core")?;
    let options = Options { core, prefix: "m", stem: "m", fpu, run_until: false, schedule: None };
    let compiled = pipeline::generate(program, String::new(), &options, &|_, _| {})
        .map_err(|error| error.to_string())?;
    let cases: Vec<_> = golden.cases.iter().map(|case| case.inputs.clone()).collect();
    let outcome =
        run_on(board, &compiled.firmware(), &cases, TIME_LIMIT).map_err(|error| error.to_string())?;
    if outcome.stack_bytes > compiled.report.stack_bytes {
        return Err(format!("{} B of stack, {} announced", outcome.stack_bytes, compiled.report.stack_bytes));
    }
    let pairs = golden.cases.iter().zip(&outcome.outputs);
    let right = pairs.filter(|(case, outputs)| case.outputs == **outputs).count();
    Ok(Emulated { right, cycles: compiled.report.cycles })
}

/// Which inputs and outputs are floats in the model and integers in what is compiled, with their types there.
struct Boundary {
    inputs: Vec<Option<TensorType>>,
    outputs: Vec<Option<TensorType>>,
}

impl Boundary {
    fn of(plain: &Graph, compiled: &Graph) -> Self {
        let differ = |before: &[ir::graph::Value], after: &[ir::graph::Value]| {
            let pair = before.iter().zip(after).map(|(a, b)| (&plain.value(*a).ty, &compiled.value(*b).ty));
            pair.map(|(a, b)| (a.elem == Ty::F32 && b.elem != Ty::F32).then(|| b.clone())).collect()
        };
        Self {
            inputs: differ(&plain.inputs, &compiled.inputs),
            outputs: differ(&plain.outputs, &compiled.outputs),
        }
    }

    /// The golden cases at the boundary of what is compiled. Float outputs stand for exactly one integer each.
    fn integers(&self, mut golden: Golden) -> Golden {
        for case in &mut golden.cases {
            convert(&mut case.inputs, &self.inputs);
            convert(&mut case.outputs, &self.outputs);
        }
        golden
    }
}

fn convert(tensors: &mut [Vec<u8>], types: &[Option<TensorType>]) {
    for (data, ty) in tensors.iter_mut().zip(types) {
        let Some(ty) = ty else { continue };
        let floats = TensorType::new(Ty::F32, &ty.shape);
        let given = Tensor { ty: floats, data: data.as_slice().into() };
        let integers = Op::Quantize(Quantize {}).eval(&[&given], ty);
        *data = integers.data.to_vec();
    }
}
