//! The schedule in use, printed and given back, makes the same object file to the byte.
//!
//! Each model gets a schedule that has scopes of every kind: steps are tried on every tensor, band, layer and group, and those that are
//! legal stay. Our own models take part, and of the shared ones the small networks. What the schedules have is printed (`--nocapture`).
//! `tests/models.rs` does the same with default schedules.

use ir::graph::Graph;
use ir::loops::{Lifetime, Program};
use isel_thumb2::cores::by_name;
use passes::schedule::{Kind, Schedule};
use rayon::prelude::*;
use test_support::{Model, own_models, shared_models};
use tinyc::pipeline::{self, Options};

/// The networks that take part where they are there.
const NETWORKS: [&str; 2] = ["kws_ref_model", "ad01_int8"];
const CPU: &str = "cortex-m4";
/// What is tried on every tensor between layers.
const TENSOR_STEPS: [&str; 4] = ["border", "layout planes multiple 2", "encode i16", "layout (0 2 1 3)"];
/// What is tried on every layer, before and after the steps for its group.
const LAYER_STEPS: [&str; 2] =
    ["tile p 5; tile n 2; reorder p.o n.o p.i n.i; unroll-and-jam p.i n.i", "park m"];
const LATE_STEPS: [&str; 2] = ["interleave at n.o", "interleave at n"];
/// What is tried on layers of one kind.
const GROUP_STEP: &str = "common-shift";

/// A schedule that is made of what is legal.
struct Drafting {
    text: String,
    /// After the schedule.
    program: Program,
}

impl Drafting {
    /// Adds a scope if it is legal.
    fn try_scope(&mut self, heading: &str, steps: &str) {
        let scope = format!("{heading}:\n  {steps}\n");
        let schedule = Schedule::parse(&format!("schedule 1\n{scope}")).expect("it is well formed");
        let mut changed = self.program.clone();
        if schedule.apply(&mut changed, &mut |_, _| {}).is_ok() {
            self.program = changed;
            self.text += &scope;
        }
    }

    fn layers(&self) -> Vec<String> {
        self.program.layers.iter().map(|layer| layer.nest.name.clone()).collect()
    }

    fn try_on_layers(&mut self, steps: &[&str]) {
        for layer in self.layers() {
            steps.iter().for_each(|steps| self.try_scope(&format!("layer {layer}"), steps));
        }
    }

    /// Tries a step on every pair of neighbours of one kind.
    fn try_on_pairs(&mut self, step: &str) {
        let kinds: Vec<(String, String)> =
            self.program.layers.iter().map(|layer| (layer.op.clone(), layer.nest.name.clone())).collect();
        for (at, (kind, name)) in kinds.iter().enumerate() {
            if let Some((_, other)) = kinds[at + 1..].iter().find(|(other, _)| other == kind) {
                self.try_scope(&format!("group {name} {other}"), step);
            }
        }
    }
}

/// Scopes of every kind, as far as they are legal.
fn of_all_kinds(graph: &Graph) -> Schedule {
    let program = lowering::lower(graph).expect("the model is supported");
    let mut drafting = Drafting { text: String::from("schedule 1\n"), program };
    let inner = drafting.program.tensors.iter().filter(|tensor| tensor.lifetime == Lifetime::Temporary);
    for tensor in inner.map(|tensor| tensor.name.clone()).collect::<Vec<_>>() {
        TENSOR_STEPS.iter().for_each(|step| drafting.try_scope(&format!("tensor {tensor}"), step));
    }
    let layers = drafting.layers();
    if let [first, second, ..] = &layers[..] {
        drafting.try_scope(&format!("band {first} {second}"), "rows 1 or join");
    }
    drafting.try_on_layers(&LAYER_STEPS);
    drafting.try_on_pairs(GROUP_STEP);
    drafting.try_on_layers(&LATE_STEPS);
    drafting.try_on_pairs("share");
    Schedule::parse(&drafting.text).expect("it is well formed")
}

/// How many scopes of each kind a schedule has.
fn scopes(schedule: &Schedule) -> [usize; Kind::ALL.len()] {
    let text = schedule.to_string();
    Kind::ALL.map(|kind| text.lines().filter(|line| line.starts_with(&format!("{} ", kind.word()))).count())
}

fn object(model: &Model, schedule: &Schedule) -> Vec<u8> {
    let core = by_name(CPU).expect("it is in the list");
    let options =
        Options { core, prefix: "m", stem: "m", fpu: true, run_until: false, schedule: Some(schedule) };
    let compiled = pipeline::compile(&model.read(), &options, &|_, _| {});
    compiled.unwrap_or_else(|errors| panic!("{}: {errors:?}\n{schedule}", model.name)).object
}

/// Compiles with the schedule, and with what is printed of the schedule in use.
fn expect_same_bytes(model: &Model, graph: &Graph, schedule: &Schedule) {
    let in_use = pipeline::schedule_in_use(graph, Some(schedule)).expect("it is legal");
    let text = in_use.to_string();
    let again = Schedule::parse(&text).unwrap_or_else(|error| panic!("{}: {error}\n{text}", model.name));
    let once_more = pipeline::schedule_in_use(graph, Some(&again)).expect("it is legal").to_string();
    assert_eq!(once_more, text, "{}: the schedule in use is not the one of itself", model.name);
    assert!(object(model, schedule) == object(model, &again), "{}: another object with\n{text}", model.name);
}

#[test]
fn what_is_printed_makes_the_same_object() {
    let small = shared_models().into_iter().filter(|model| NETWORKS.contains(&model.name.as_str()));
    let models: Vec<Model> = own_models().into_iter().chain(small).collect();
    let scopes_of = |model: &Model| {
        let graph = pipeline::graph(&model.read(), "m", &mut |_, _| {}).ok()?;
        let schedule = of_all_kinds(&graph);
        expect_same_bytes(model, &graph, &schedule);
        Some(scopes(&schedule))
    };
    let found: Vec<_> = models.par_iter().filter_map(scopes_of).collect();
    let sum = |kind: Kind| found.iter().map(|scopes| scopes[kind as usize]).sum::<usize>();
    let counts = Kind::ALL.map(|kind| format!("{} {} scopes", sum(kind), kind.word()));
    println!("{} models: {}", found.len(), counts.join(", "));
    assert!(Kind::ALL.iter().all(|kind| sum(*kind) > 0), "a kind of scope is in no schedule");
}
