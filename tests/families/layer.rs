//! The layers that a schedule changes: compared with the plain ones in the interpreter and as emitted code, and priced.

use ir::graph::Graph;
use ir::loops::text::parse_program;
use ir::loops::{Layer, Nest, Program, interp};
use isel_thumb2::cores::{Core, by_name};
use passes::loops::step::Step;
use passes::network::{self, Subject};
use passes::schedule::{Content, Kind, Schedule, Scope};
use test_support::operators::memory;

use crate::emitted;
use crate::parts::{Parts, parts};

/// The cores that the kernel measurements are of.
const MEASURED: [&str; 2] = ["cortex-m4", "cortex-m7"];

/// The cores themselves.
pub fn measured() -> impl Iterator<Item = &'static dyn Core> {
    MEASURED.iter().map(|name| by_name(name).expect("a core of ours"))
}

/// A layer before and after its schedule.
pub struct Scheduled {
    /// What the layer must do.
    pub plain: Nest,
    /// What does it.
    pub nest: Nest,
    /// Multiply-accumulates, or elements where nothing is multiplied.
    pub macs: u64,
}

/// The layers that the schedule changes.
pub fn scheduled(graph: &Graph, schedule: &Schedule) -> Result<Vec<Scheduled>, String> {
    let mut plain = lowering::lower(graph).map_err(|error| error.to_string())?;
    let mut program: Program = plain.clone();
    schedule.apply(&mut program, &mut |_, _| {}).map_err(|error| error.to_string())?;
    expect_round_trips(schedule, &plain, &program)?;
    join_bands(schedule, &mut plain)?;
    let pair = |(plain, layer): (Layer, Layer)| {
        let macs = if layer.macs > 0 { layer.macs } else { elements(&plain.nest) };
        Scheduled { plain: plain.nest, nest: layer.nest, macs }
    };
    let changed = |(plain, layer): &(Layer, Layer)| plain.nest != layer.nest;
    Ok(plain.layers.into_iter().zip(program.layers).filter(changed).map(pair).collect())
}

/// What is printed parses back; the schedule in use prints, parses back, and makes the same nests.
fn expect_round_trips(schedule: &Schedule, plain: &Program, scheduled: &Program) -> Result<(), String> {
    let text = scheduled.to_string();
    let again = parse_program(&text).map_err(|error| error.to_string())?.to_string();
    let in_use = schedule.in_use(plain).map_err(|error| error.to_string())?.to_string();
    let parsed = Schedule::parse(&in_use).map_err(|error| error.to_string())?;
    let mut found = plain.clone();
    parsed.apply(&mut found, &mut |_, _| {}).map_err(|error| error.to_string())?;
    if again != text || parsed.to_string() != in_use || found.to_string() != text {
        return Err(format!("what is printed reads back as something else\n{in_use}{text}"));
    }
    Ok(())
}

/// Makes one layer of the layers of each band, one after the other as they are: what the band is compared with.
fn join_bands(schedule: &Schedule, program: &mut Program) -> Result<(), String> {
    let join = Step { name: "join".into(), args: Vec::new() };
    for line in &schedule.lines {
        let Content::Scope(Scope { kind: Kind::Band, patterns, .. }) = &line.content else { continue };
        let joined = network::apply(&join, program, &Subject::Band(patterns.clone()));
        joined.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The elements of the first input.
fn elements(nest: &Nest) -> u64 {
    nest.params().next().map_or(1, |x| nest.buffers[x.idx()].shape.iter().map(|n| u64::from(*n)).product())
}

impl Scheduled {
    /// Cycles on each core, and what they go into; an error where a result differs.
    pub fn run(&self) -> Result<Vec<(u64, Parts)>, String> {
        let cases = self.cases()?;
        let boards = emitted::ready();
        let on = |core: &'static dyn Core| {
            let emitted = emitted::run_as_compiled(&cases, core, boards)?.emitted;
            Ok((emitted.cycles(core), parts(&cases[0].nest, &emitted, core)))
        };
        measured().map(on).collect()
    }

    /// Random data and both extremes, with what the plain nest makes of them.
    fn cases(&self) -> Result<Vec<emitted::Case>, String> {
        let mut plain = self.plain.clone();
        passes::loops::legalize(&mut plain).map_err(|error| error.to_string())?;
        let mut host = host::compile_nest(&plain).map_err(|error| error.to_string())?;
        let random = memory(&self.plain, 1);
        let all = |value: i8| -> Vec<Vec<u8>> {
            random.iter().map(|bytes| vec![value as u8; bytes.len()]).collect()
        };
        let mut cases = Vec::new();
        for before in [random.clone(), all(-128), all(127)] {
            let mut after = before.clone();
            host.run(&mut slices(&mut after)).map_err(|error| error.to_string())?;
            let case = emitted::Case::expecting(self.nest.clone(), before, after)?;
            if cases.is_empty() {
                check_interpreted(&self.nest, &case)?;
            }
            cases.push(case);
        }
        Ok(cases)
    }
}

/// The scheduled nest, with every byte watched.
fn check_interpreted(nest: &Nest, case: &emitted::Case) -> Result<(), String> {
    let mut memory = case.before.clone();
    interp::run_checked(nest, &mut slices(&mut memory)).map_err(|error| error.to_string())?;
    if memory == case.after { Ok(()) } else { Err("the interpreter's results differ".into()) }
}

fn slices(memory: &mut [Vec<u8>]) -> Vec<&mut [u8]> {
    memory.iter_mut().map(Vec::as_mut_slice).collect()
}
