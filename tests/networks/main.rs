//! Random networks with default schedules: exact as emitted code, and how near their speed is to hand-written kernels.
//!
//! `cargo test --test networks -- --nocapture` prints a line for each network and core, and with `TINYC_TEST_LAYERS=1` one for each
//! layer. With `TINYC_TEST_ALL=1` there are more networks, and with `TINYC_TEST_NETWORKS="42 47"` those. No rule of the default schedules can
//! know them.

mod formula;

use std::ops::Range;
use std::time::Duration;

use ir::graph::{Graph, Tensor};
use isel_thumb2::cores::{CORES, Core};
use rayon::prelude::*;
use test_support::Random;
use test_support::networks::{Network, Work, mobile};
use test_support::operators::Rng;
use tinyc::emulate::run_on;
use tinyc::link::Board;
use tinyc::pipeline::{self, Compiled, Options};

/// Networks that always run: windows of 7x7, odd numbers of channels, a pool of more bytes than a halfword holds; one channel;
/// sums of an odd length of bytes that several layers read.
const NETWORKS: [u64; 3] = [42, 43, 75];
/// Those of `TINYC_TEST_ALL=1`.
const ALL: Range<u64> = 40..64;
/// How many times as long as the formulas say a network may take.
const LONGEST: f64 = 1.15;
/// An emulated core executes some hundred million instructions a second.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// A network on a core.
struct Row {
    seed: u64,
    core: &'static str,
    macs: u64,
    /// Predicted cycles of the layers.
    cycles: Vec<(String, u64)>,
    /// What the layers compute.
    work: Vec<Work>,
    /// Cycles of the layers by the formulas; none where no kernels were measured on this core.
    wanted: Option<Vec<f64>>,
}

#[test]
fn random_networks_are_exact_and_fast() {
    let seeds = seeds();
    let rows: Vec<Result<Row, String>> = seeds.par_iter().flat_map_iter(|seed| rows(*seed)).collect();
    for row in rows.iter().flatten() {
        row.print();
    }
    let wrong: Vec<&String> = rows.iter().filter_map(|row| row.as_ref().err()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let slow = rows.iter().flatten().filter(|row| row.excess().is_some_and(|excess| excess > LONGEST));
    let slow: Vec<String> =
        slow.map(|row| format!("{} on {}: {:?}", row.seed, row.core, row.excess())).collect();
    assert!(slow.is_empty(), "networks that are slower than the formulas allow: {slow:?}");
}

/// The networks of this run.
fn seeds() -> Vec<u64> {
    match std::env::var("TINYC_TEST_NETWORKS") {
        Ok(list) => list.split_whitespace().map(|seed| seed.parse().expect("numbers of networks")).collect(),
        Err(_) if std::env::var_os("TINYC_TEST_ALL").is_some() => ALL.collect(),
        Err(_) => NETWORKS.to_vec(),
    }
}

fn rows(seed: u64) -> Vec<Result<Row, String>> {
    let network = mobile(&mut Rng::new(seed));
    let named = |error: String| format!("network {seed}: {error}");
    CORES.iter().map(|core| row(seed, &network, *core).map_err(named)).collect()
}

fn row(seed: u64, network: &Network, core: &'static dyn Core) -> Result<Row, String> {
    let mut graph = network.graph.clone();
    passes::graph::optimize(&mut graph, &mut |_: &_, _: &_| {});
    let compiled = compile(&graph, core).map_err(|error| format!("{}: {error}", core.name()))?;
    check(seed, &network.graph, &compiled, core)?;
    let layers = compiled.report.layers.iter();
    let wanted = formula::core(core.name());
    Ok(Row {
        seed,
        core: core.name(),
        macs: compiled.report.macs,
        cycles: layers.map(|layer| (layer.name.clone(), layer.cycles)).collect(),
        work: network.layers.clone(),
        wanted: wanted.map(|core| network.layers.iter().map(|work| core.cycles(work)).collect()),
    })
}

fn compile(graph: &Graph, core: &'static dyn Core) -> Result<Compiled, String> {
    let schedule = pipeline::default_schedule(graph, core, true).map_err(|error| error.to_string())?;
    let program =
        pipeline::program(graph, Some(&schedule), &mut |_, _| {}).map_err(|error| error.to_string())?;
    let options = Options { core, prefix: "m", stem: "m", fpu: true, run_until: false, schedule: None };
    pipeline::generate(&program, String::new(), &options, &|_, _| {}).map_err(|error| error.to_string())
}

/// Random and extreme inputs give on the emulated core what the graph as it was generated evaluates to.
fn check(seed: u64, graph: &Graph, compiled: &Compiled, core: &dyn Core) -> Result<(), String> {
    let Some(board) = Board::of_cpu(core.name()) else { return Ok(()) };
    let ty = graph.ty(graph.inputs[0]);
    let inputs = [Random(seed).bytes(ty.bytes()), vec![0x80; ty.bytes()], vec![0x7f; ty.bytes()]];
    let cases: Vec<Vec<Vec<u8>>> = inputs.iter().map(|input| vec![input.clone()]).collect();
    let outcome =
        run_on(board, &compiled.firmware(), &cases, TIME_LIMIT).map_err(|error| error.to_string())?;
    for (input, found) in inputs.iter().zip(&outcome.outputs) {
        let input = Tensor { ty: ty.clone(), data: input.as_slice().into() };
        let expected = graph.eval(&[input])[0].data.to_vec();
        if found[0] != expected {
            return Err(format!("{}: {:?} instead of {expected:?}", core.name(), found[0]));
        }
    }
    Ok(())
}

impl Row {
    /// Multiply-accumulates in a predicted cycle.
    fn speed(&self) -> f64 {
        self.macs as f64 / self.total() as f64
    }

    /// How many times as long it takes as by the formulas.
    fn excess(&self) -> Option<f64> {
        Some(self.total() as f64 / self.wanted.as_ref()?.iter().sum::<f64>())
    }

    fn total(&self) -> u64 {
        self.cycles.iter().map(|(_, cycles)| cycles).sum()
    }

    fn print(&self) {
        let Row { seed, core, macs, .. } = self;
        let total = self.total() as f64;
        print!("network {seed:4} {core:10} {macs:>9} MACs, {:.2} in a cycle", self.speed());
        let Some(wanted) = &self.wanted else { return println!() };
        let sum: f64 = wanted.iter().sum();
        println!(", {:.2} by the formulas: {:.2} times as long", *macs as f64 / sum, total / sum);
        let is_wanted = std::env::var_os("TINYC_TEST_LAYERS").is_some() && wanted.len() == self.cycles.len();
        for (((name, cycles), wanted), work) in
            self.cycles.iter().zip(wanted).zip(&self.work).filter(|_| is_wanted)
        {
            println!("    {name:24} {cycles:>9} for {wanted:>9.0}: {:.2}, {work:?}", *cycles as f64 / wanted);
        }
    }
}
