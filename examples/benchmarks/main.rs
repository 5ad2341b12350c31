//! Writes `docs/benchmarks.md` and the plot beside it: what tinyc makes of each model on each core, beside other engines.
//!
//! `scripts/benchmarks [--page] [--cpu=CORE …] [MODEL …]` runs it; named models are measured anew, on the cores that are named, all others
//! stay as they were. Models are looked for in `../shared` beside the repository and among our own, the judge in `../shared`. What is missing is said.

mod measure;
mod page;
mod peers;
mod plot;

use std::path::Path;

use isel_thumb2::cores::{CORES, Core, by_name};
use measure::{Figures, Measured, Row};
use peers::Peers;
use rayon::prelude::*;
use test_support::{Model, all_models, judge, repository};
use tinyc::pipeline::Compiled;

/// Writes page and plots of the figures that are there, and measures nothing.
const ONLY_PAGE: &str = "--page";
/// Begins the name of a core to measure on; without one it is all of them.
const ON: &str = "--cpu=";

/// The one that the command line has, so that compiling takes as long as there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    let only_page = wanted.iter().any(|argument| argument == ONLY_PAGE);
    let named: Vec<String> =
        wanted.iter().filter_map(|argument| argument.strip_prefix(ON)).map(Into::into).collect();
    wanted.retain(|argument| argument != ONLY_PAGE && !argument.starts_with(ON));
    let cores = cores(&named);
    let folder = repository().join("docs/benchmarks");
    let peers = Peers::read(&folder.join("peers.json"));
    if let Some(unknown) = wanted.iter().find(|name| peers.models().all(|peer| peer.model != **name)) {
        eprintln!("error: `{unknown}` is in no row of docs/benchmarks/peers.json");
        std::process::exit(2);
    }
    let mut measured = Measured::read(&folder.join("measured.json"));
    if only_page {
        return write_all(&peers, &measured, &folder);
    }
    measured.threads = rayon::current_num_threads();
    let judge = judge::find();
    if judge.is_none() {
        println!("judged cycles stay as they were");
    }
    let models = all_models();
    for peer in peers.models().filter(|peer| wanted.is_empty() || wanted.contains(&peer.model)) {
        match models.iter().find(|model| model.name == peer.model) {
            Some(model) => measure(model, &cores, judge.as_deref(), &mut measured),
            None => println!("{}: no such model here; its figures stay as they were", peer.model),
        }
        write_all(&peers, &measured, &folder); // After each model: what is interrupted keeps what it has.
    }
}

/// The cores of these names; all of them where none is named.
fn cores(named: &[String]) -> Vec<&'static dyn Core> {
    if let Some(unknown) = named.iter().find(|name| by_name(name).is_none()) {
        eprintln!("error: `{unknown}` is no core");
        std::process::exit(2);
    }
    let is_wanted = |core: &&dyn Core| named.is_empty() || named.iter().any(|name| name == core.name());
    CORES.iter().copied().filter(is_wanted).collect()
}

/// Measures a model on cores.
fn measure(model: &Model, cores: &[&'static dyn Core], judge: Option<&Path>, measured: &mut Measured) {
    // One core after the other, so that times are those of one compilation alone.
    let compiled =
        |core: &&'static dyn Core| compiled(model, *core, measured.figures(&model.name, core.name()));
    let mut rows: Vec<(Row, Option<Compiled>, &dyn Core)> = cores.iter().map(compiled).collect();
    rows.par_iter_mut().for_each(|(row, compiled, core)| {
        if let (Some(judge), Some(compiled)) = (judge, compiled) {
            row.judge(judge, compiled, *core);
        }
    });
    for (row, ..) in rows {
        match &row.outcome {
            Ok(figures) => println!("{} on {}: {figures}", row.model, row.core),
            Err(error) => println!("{} on {}: {error}", row.model, row.core),
        }
        measured.set(row);
    }
}

fn compiled(
    model: &Model,
    core: &'static dyn Core,
    earlier: Option<&Figures>,
) -> (Row, Option<Compiled>, &'static dyn Core) {
    let (row, compiled) = Row::compiled(model, core, earlier);
    (row, compiled, core)
}

fn write_all(peers: &Peers, measured: &Measured, folder: &Path) {
    write(&folder.join("measured.json"), &measured.text(peers));
    for core in CORES {
        write(&folder.join(plot::file(core.name())), &plot::svg(peers, measured, core.name()));
    }
    write(&folder.with_extension("md"), &page::page(peers, measured));
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
