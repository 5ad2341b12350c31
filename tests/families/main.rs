//! The kernel families: each is a schedule, exact as emitted code on both emulated cores, with its cycles for one
//! multiply-accumulate beside those of the best hand-written kernel that was measured.
//!
//! A family is a file `tests/schedules/<family>.schedule` and a row in `table.rs`. The first comment in the file says what it is for:
//!
//! ```text
//! schedule 1
//! // model kws_ref_model                                                  Layers of this model, or
//! // shape conv2d x 13 10 12 w 20 3 3 stride 2 2 pad 0 1 0 1               the layer of that operator, with random weights:
//! // shape depthwise_conv2d x 13 10 12 w 3 3 stride 1 1 pad 1 1 1 1        rows, columns, channels; margins above, below, left, right;
//! // shape depthwise_conv2d x … dilation 2 2 multiplier 2                  where there are any;
//! // shape fully_connected x 40 w 12                                      depths;
//! // shape add x 7 9 20, shape avg_pool2d x 7 5 12 w 7 5                   windows that lie side by side;
//! // shape band x 7 10 6 expand 12 w 3 3 pad 1 1 1 1 project 9            pointwise, depthwise and pointwise.
//! layer conv2d_2:
//!   …
//! ```
//!
//! The layers that the schedule changes give what the plain nests give: in the interpreter, and as the code that the compiler emits for
//! each core. The table is kept in `docs/kernels.md`, schedules with their nests in `docs/kernels`, inner loops alone in `docs/inner-loops.md`.
//! `TINYC_TEST_ONLY=gemm cargo test --test families -- --nocapture` runs the families whose names begin so.

mod document;
#[path = "../emitted/mod.rs"]
mod emitted;
mod inner;
mod layer;
mod parts;
mod subject;
mod table;

use std::fmt::Write;
use std::fs;

use ir::loops::text::{Style, print_nest};
use passes::schedule::Schedule;
use rayon::prelude::*;
use test_support::{Model, all_models, repository};

use document::Row;
use layer::{measured, scheduled};
use parts::Parts;
use subject::graph;
use table::{FAMILIES, Family};

/// What was found out about a family.
struct Outcome {
    /// The comment that says what it is for.
    subject: String,
    layers: Vec<String>,
    macs: u64,
    /// By core.
    cycles: Vec<u64>,
    /// What those on the first core go into.
    parts: Parts,
    /// The text of the schedule.
    schedule: String,
    /// The first of the layers, to read.
    nest: String,
}

#[test]
fn families_are_exact() {
    let only = std::env::var("TINYC_TEST_ONLY").unwrap_or_default();
    let families: Vec<&Family> = FAMILIES.iter().filter(|family| family.name.starts_with(&only)).collect();
    let models = all_models();
    let outcomes: Vec<_> = families.par_iter().map(|family| (family, outcome(family, &models))).collect();
    println!("{}", table(&outcomes));
    let failures: Vec<String> = outcomes
        .iter()
        .filter_map(|(family, outcome)| Some(format!("{}: {}", family.name, outcome.as_ref().err()?)))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    if only.is_empty() {
        document::expect(&outcomes.into_iter().map(row).collect::<Vec<_>>());
    }
}

/// What the document says of a family.
fn row((family, outcome): (&&Family, Result<Option<Outcome>, String>)) -> (&'static str, Option<Row>) {
    let row = |outcome: Outcome| {
        let layers = match outcome.subject.split_once(' ') {
            Some(("model", model)) => format!("`{}` of `{model}`", outcome.layers.join("`, `")),
            _ => outcome.subject.clone(),
        };
        let found = outcome.cycles.iter().map(|cycles| *cycles as f64 / outcome.macs as f64);
        let cycles = found.zip(family.wanted).map(|(found, wanted)| [found, wanted]).collect();
        let parts = outcome.parts.map(|cycles| cycles / outcome.macs as f64);
        let Outcome { schedule, nest, .. } = outcome;
        Row { family: family.name, subject: layers, cycles, parts, why: family.why, schedule, nest }
    };
    (family.name, outcome.ok().flatten().map(row))
}

/// Every file belongs to a row.
#[test]
fn every_schedule_is_tested() {
    let entries = fs::read_dir(repository().join("tests/schedules")).expect("the folder is there");
    for entry in entries {
        let path = entry.expect("it can be read").path();
        let stem = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        assert!(FAMILIES.iter().any(|family| family.name == stem), "{stem} is in no row");
    }
}

/// `None` where the model is not there.
fn outcome(family: &Family, models: &[Model]) -> Result<Option<Outcome>, String> {
    let (schedule, subject) = parsed(family.name)?;
    let Some(graph) = graph(&subject, models)? else { return Ok(None) };
    let layers = scheduled(&graph, &schedule)?;
    let mut outcome = Outcome {
        subject,
        layers: Vec::new(),
        macs: 0,
        cycles: vec![0; measured().count()],
        parts: [0.0; 3],
        nest: layers.first().map_or(String::new(), |layer| print_nest(&layer.nest, Style::Reading).text),
        schedule: schedule.to_string(),
    };
    for layer in &layers {
        let found = layer.run().map_err(|error| format!("`{}`: {error}\n{}", layer.nest.name, layer.nest))?;
        outcome.cycles.iter_mut().zip(&found).for_each(|(sum, (cycles, _))| *sum += cycles);
        outcome.parts.iter_mut().zip(found[0].1).for_each(|(sum, cycles)| *sum += cycles);
        outcome.macs += layer.macs;
        outcome.layers.push(layer.nest.name.clone());
    }
    Ok(Some(outcome))
}

/// The schedule of a family, and the comment that says what it is for.
fn parsed(family: &str) -> Result<(Schedule, String), String> {
    let path = repository().join(format!("tests/schedules/{family}.schedule"));
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let schedule = Schedule::parse(&text).map_err(|error| error.to_string())?;
    if schedule.to_string() != text {
        return Err(format!("it prints as something else:\n{schedule}"));
    }
    let subject = text.lines().find_map(|line| line.strip_prefix("// ")).ok_or("no comment names a model")?;
    Ok((schedule, subject.to_owned()))
}

/// Cycles for one multiply-accumulate: found, wanted, and how much more that is.
fn table(outcomes: &[(&&Family, Result<Option<Outcome>, String>)]) -> String {
    let cores: Vec<String> = measured().map(|core| format!("{:>28}", core.name())).collect();
    let mut out = format!("{:28}{:24}{}\n", "family", "layers", cores.concat());
    for (family, outcome) in outcomes {
        write!(out, "{:28}", family.name).expect("text grows");
        match outcome {
            Err(_) => out.push_str("wrong"),
            Ok(None) => out.push_str("skipped: the model is not there"),
            Ok(Some(outcome)) => {
                write!(out, "{:24}", outcome.layers.join(" ")).expect("text grows");
                for (cycles, wanted) in outcome.cycles.iter().zip(family.wanted) {
                    let found = *cycles as f64 / outcome.macs as f64;
                    let more = 100.0 * (found / wanted - 1.0);
                    write!(out, "   {found:6.3} for {wanted:5.3} ({more:+4.0} %)").expect("text grows");
                }
            }
        }
        out.push('\n');
    }
    out
}
