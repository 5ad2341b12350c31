//! How long compiling takes: `cargo bench`.
//!
//! Keyword spotting and visual wake words where the shared models are beside the repository, else our own digit classifier; each
//! as lowered, and with the default schedule and the search for it.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use isel_thumb2::cores::m4::CortexM4;
use test_support::{Model, all_models};
use tinyc::pipeline::{self, Options};

/// Models of the shared folder.
const NETWORKS: [&str; 2] = ["kws_ref_model", "vww_96_int8"];
/// The model that is always there.
const OWN: &str = "digits";
const PREFIX: &str = "m";

fn compile(criterion: &mut Criterion) {
    for model in models() {
        let file = model.read();
        let mut group = criterion.benchmark_group(&model.name);
        group.sample_size(10).measurement_time(Duration::from_secs(10));
        group.bench_function("plain", |bencher| bencher.iter(|| plain(black_box(&file))));
        group.bench_function("default schedule", |bencher| bencher.iter(|| scheduled(black_box(&file))));
        group.finish();
    }
}

fn models() -> Vec<Model> {
    let all = all_models();
    let named = |names: &[&str]| -> Vec<Model> {
        all.iter().filter(|model| names.contains(&model.name.as_str())).cloned().collect()
    };
    let shared = named(&NETWORKS);
    if shared.is_empty() { named(&[OWN]) } else { shared }
}

/// As lowered.
fn plain(file: &[u8]) -> usize {
    built(file, None)
}

/// With the schedule that the rules choose, and choosing it.
fn scheduled(file: &[u8]) -> usize {
    let graph = pipeline::graph(file, PREFIX, &mut |_, _| {}).expect("the model is accepted");
    let schedule = pipeline::default_schedule(&graph, &CortexM4, true).expect("there is a schedule");
    built(file, Some(&schedule))
}

/// The size of the object file.
fn built(file: &[u8], schedule: Option<&passes::schedule::Schedule>) -> usize {
    let options =
        Options { core: &CortexM4, prefix: PREFIX, stem: PREFIX, fpu: true, run_until: false, schedule };
    pipeline::compile(file, &options, &|_, _| {}).expect("the model compiles").object.len()
}

criterion_group!(benches, compile);
criterion_main!(benches);
