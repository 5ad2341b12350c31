//! Writes `docs/benchmarks.md` and the plot beside it: what tinyc makes of each model on each core, beside other engines.
//!
//! `scripts/benchmarks [MODEL …]` runs it; named models are measured anew, all others stay as they were. Models are
//! looked for in `../shared` beside the repository and among our own, the judge in `../shared`. What is missing is said.

mod measure;
mod page;
mod peers;
mod plot;

use std::path::Path;

use isel_thumb2::cores::{CORES, Core};
use measure::{Measured, Row};
use peers::Peers;
use rayon::prelude::*;
use test_support::{Model, all_models, judge, repository};
use tinyc::pipeline::Compiled;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let folder = repository().join("docs/benchmarks");
    let peers = Peers::read(&folder.join("peers.json"));
    if let Some(unknown) = wanted.iter().find(|name| peers.models().all(|peer| peer.model != **name)) {
        eprintln!("error: `{unknown}` is in no row of docs/benchmarks/peers.json");
        std::process::exit(2);
    }
    let earlier = Measured::read(&folder.join("measured.json"));
    let measured = measured(&peers, &wanted, &earlier);
    write(&folder.join("measured.json"), &measured.text());
    for core in CORES {
        write(&folder.join(plot::file(core.name())), &plot::svg(&peers, &measured, core.name()));
    }
    write(&repository().join("docs/benchmarks.md"), &page::page(&peers, &measured));
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// All rows, new and old, in the order of the peers.
fn measured(peers: &Peers, wanted: &[String], earlier: &Measured) -> Measured {
    let models = all_models();
    let mut rows = Vec::new();
    for peer in peers.models() {
        let is_wanted = wanted.is_empty() || wanted.contains(&peer.model);
        let model = models.iter().find(|model| model.name == peer.model && is_wanted);
        if is_wanted && model.is_none() {
            println!("{}: no such model here; its figures stay as they were", peer.model);
        }
        for core in CORES {
            let old = earlier.row(&peer.model, core.name());
            match model {
                // One after the other, so that times are those of a model alone.
                Some(model) => rows.push(compiled(model, *core, old)),
                None => rows.extend(old.map(|row| (row.clone(), None, *core))),
            }
        }
    }
    if let Some(judge) = judge::find() {
        rows.par_iter_mut().for_each(|(row, compiled, core)| {
            if let Some(compiled) = compiled {
                row.judge(&judge, compiled, *core);
                println!("{} on {}: judged", row.model, row.core);
            }
        });
    } else {
        println!("judged cycles stay as they were");
    }
    Measured { threads: rayon::current_num_threads(), rows: rows.into_iter().map(|(row, ..)| row).collect() }
}

fn compiled(
    model: &Model,
    core: &'static dyn Core,
    old: Option<&Row>,
) -> (Row, Option<Compiled>, &'static dyn Core) {
    let old = old.and_then(|row| row.outcome.as_ref().ok());
    let (row, compiled) = Row::compiled(model, core, old);
    match &row.outcome {
        Ok(figures) => println!(
            "{} on {}: {} cycles predicted, compiled in {} s",
            row.model, row.core, figures.cycles, figures.seconds
        ),
        Err(error) => println!("{} on {}: {error}", row.model, row.core),
    }
    (row, compiled, core)
}
