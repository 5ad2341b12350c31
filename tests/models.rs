//! Every level against the golden outputs of whole models: one table, a row for each model.
//!
//! `cargo test --test models -- --nocapture` prints it. Columns: evaluation of the graph, of the simplified graph, of the
//! loop nests by the interpreter and as host code, and the object file on each emulated core, as lowered and with the default
//! schedule. Cells count the cases that
//! are right to the last bit. Without `TINYC_TEST_ALL=1` only the networks named here and our own models run, as lowered on two
//! of the cores.
//!
//! A model whose int8 body stands between floats is compiled without them: its object takes and gives the integers.
//! Here the float inputs are quantised first and the outputs dequantised, as a firmware would.

use std::time::Duration;

use ir::graph::ops::Quantize;
use ir::graph::{Graph, Op, Tensor};
use ir::loops::{Program, interp};
use ir::ty::{TensorType, Ty};
use isel_thumb2::cores::{CORES, Core};
use rayon::prelude::*;
use test_support::{Case, Golden, Model, all_models};
use tinyc::emulate::run_on;
use tinyc::link::Board;
use tinyc::pipeline::{self, Options};

/// The networks that always run where the shared models are.
const NETWORKS: [&str; 12] = [
    "kws_ref_model",
    "vww_96_int8",
    "pretrainedResnet_quant",
    "ad01_int8",
    "digits_cnn",
    "person_detect",
    "hello_world_int8",
    "mcunet-vww0",
    "mcunet-vww0_trained",
    "mcunet-vww1_trained",
    "mbv2-w0.35-r144",
    "tinyengine_vww",
];
/// The cores on which every model runs as lowered. The first four networks and our own models run on all cores with the
/// default schedule too, whose choice takes minutes for large networks.
const TWICE_ON: [&str; 2] = ["cortex-m4", "cortex-m7"];
/// An emulated core executes some hundred million instructions a second.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// A model with what every level gave for each golden case.
struct Row {
    name: String,
    /// A column's name with the number of right cases, or why there are none.
    cells: Vec<(String, Result<usize, String>)>,
    n_cases: usize,
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
    let missing: Vec<_> =
        NETWORKS.iter().filter(|name| shared && rows.iter().all(|row| row.name != **name)).collect();
    assert!(missing.is_empty(), "refused or absent: {missing:?}");
}

/// `None` for a model that the front end refuses: its own tests look at those.
fn row(model: &Model) -> Option<Row> {
    let bytes = model.read();
    let plain = frontends::tflite::load(&bytes, "m").ok()?;
    let golden = model.golden();
    let mut row = Row { name: model.name.clone(), cells: Vec::new(), n_cases: golden.cases.len() };
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
            let everywhere = all_columns() || !NETWORKS[4..].contains(&model.name.as_str());
            for core in CORES.iter().filter(|core| everywhere || TWICE_ON.contains(&core.name())) {
                if all_columns() || TWICE_ON.contains(&core.name()) {
                    row.add(core.name(), emulated(&program, &golden, core.name()));
                }
                if everywhere {
                    let column = format!("{} default", core.name());
                    let scheduled = scheduled(&graph, *core);
                    row.add(column, scheduled.and_then(|p| emulated(&p, &golden, core.name())));
                }
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

/// The program with the schedule that the rules choose.
fn scheduled(graph: &Graph, core: &'static dyn Core) -> Result<Program, String> {
    let schedule = pipeline::default_schedule(graph, core, true).map_err(|error| error.to_string())?;
    pipeline::program(graph, Some(&schedule), &mut |_, _| {}).map_err(|error| error.to_string())
}

fn emulated(program: &Program, golden: &Golden, cpu: &str) -> Result<usize, String> {
    let core = isel_thumb2::cores::by_name(cpu).ok_or("no such core")?;
    let board = Board::of_cpu(cpu).ok_or("no board for this core")?;
    let options = Options { core, prefix: "m", stem: "m", fpu: true, run_until: false, schedule: None };
    let compiled = pipeline::generate(program, String::new(), &options, &|_, _| {})
        .map_err(|error| error.to_string())?;
    let cases: Vec<_> = golden.cases.iter().map(|case| case.inputs.clone()).collect();
    let outcome =
        run_on(board, &compiled.firmware(), &cases, TIME_LIMIT).map_err(|error| error.to_string())?;
    if outcome.stack_bytes > compiled.report.stack_bytes {
        return Err(format!("{} B of stack, {} announced", outcome.stack_bytes, compiled.report.stack_bytes));
    }
    Ok(golden.cases.iter().zip(&outcome.outputs).filter(|(case, outputs)| case.outputs == **outputs).count())
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
