//! How long compiling takes: `cargo bench`.
//!
//! The four networks of MLPerf Tiny where the shared models are beside the repository, else our own digit classifier; each as
//! lowered, and with the default schedule and the search for it. What is measured is the command line with all that it reads and
//! writes: each time in a process of its own, which knows nothing of the time before, on as many threads as the machine has.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use test_support::{Model, all_models};

/// Models of the shared folder.
const NETWORKS: [&str; 4] = ["ad01_int8", "kws_ref_model", "pretrainedResnet_quant", "vww_96_int8"];
/// The model that is always there.
const OWN: &str = "digits";

fn compile(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("there is room for files");
    for model in models() {
        let mut group = criterion.benchmark_group(&model.name);
        group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
        for schedule in ["none", "default"] {
            group.bench_function(schedule, |bencher| {
                bencher.iter(|| build(&model.file, schedule, &folder.path().join("model.o")));
            });
        }
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

fn build(model: &Path, schedule: &str, object: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tinyc"));
    command.args(["build", "--cpu", "cortex-m4", "--schedule", schedule]).arg(model).arg("-o").arg(object);
    let status = command.stdout(Stdio::null()).status().expect("the compiler starts");
    assert!(status.success(), "`{command:?}` fails");
}

criterion_group!(benches, compile);
criterion_main!(benches);
