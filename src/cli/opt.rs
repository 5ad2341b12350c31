//! `tinyc opt`: passes over a text file, for work on the compiler.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use ir::diag::Diagnostic;
use ir::graph::{self, Graph};
use ir::loops::text::File;
use ir::loops::verify::{verify_at, verify_outline};
use ir::loops::{self, Nest};
use ir::text::Cursor;
use passes::graph::{GraphPass, PIPELINE};
use passes::loops::rescalings::rescalings;
use passes::loops::{NestPass, PASSES, STEPS};
use passes::schedule::Schedule;
use tinyc::report::Rescaled;

use super::table::{Align, Table};
use super::{Failed, Outcome, print, read_text};

#[derive(Args)]
pub struct Arguments {
    /// A text file of the graph or the loops level
    #[arg(required_unless_present = "list")]
    file: Option<PathBuf>,
    /// A pass to run; give it several times for several passes, which run in this order
    #[arg(long = "pass", value_name = "NAME")]
    passes: Vec<String>,
    /// Steps of a schedule, such as 'tile n 4; reorder n.o p', for every nest; they come before all passes
    #[arg(long, value_name = "STEPS")]
    schedule: Option<String>,
    /// Print the nest after every step
    #[arg(long, requires = "schedule")]
    print_after_each: bool,
    /// List all passes and steps
    #[arg(long, conflicts_with_all = ["file", "passes"])]
    list: bool,
}

/// A pass of either level.
#[derive(Clone, Copy)]
pub enum Pass {
    Graph(&'static GraphPass),
    Loops(&'static NestPass),
}

/// The contents of a text file.
enum Text {
    Graph(Graph),
    Loops(File),
}

pub fn main(arguments: &Arguments) -> Outcome {
    let Some(path) = &arguments.file else { return print(&list()) };
    let passes = arguments.passes.iter().map(|name| find(name)).collect::<Result<Vec<_>, _>>()?;
    let in_file = |errors: Vec<Diagnostic>| Failed::in_file(Some(path), errors);
    let mut parsed = parse(&read_text(path)?).map_err(in_file)?;
    let mut printed = String::new();
    if let Some(steps) = &arguments.schedule {
        let in_argument = |error| Failed::in_file(Some(Path::new("--schedule")), vec![error]);
        apply(steps, &mut parsed, &mut printed).map_err(in_argument)?;
    }
    for pass in &passes {
        run(*pass, &mut parsed).map_err(|error| in_file(vec![error]))?;
    }
    if !arguments.print_after_each {
        printed = parsed.to_string();
    } else if !passes.is_empty() {
        let _ = write!(printed, "// After the passes:\n{parsed}");
    }
    print(&printed)
}

/// Applies steps to every nest; `printed` gets each nest after each step.
fn apply(steps: &str, text: &mut Text, printed: &mut String) -> Result<(), Diagnostic> {
    let schedule = Schedule::parse_steps(steps)?;
    let Text::Loops(file) = text else {
        return Err(Diagnostic::new("steps are for loop nests, the file has a graph"));
    };
    for nest in nests(file) {
        let mut rescaled = Rescaled::from(rescalings(nest));
        schedule.apply_to(nest, &mut |step, nest| {
            let before = std::mem::replace(&mut rescaled, rescalings(nest).into());
            let changed =
                if before == rescaled { String::new() } else { format!(", channels rescaled {rescaled}") };
            let _ = write!(printed, "// After `{step}`{changed}:\n{nest}");
        })?;
    }
    Ok(())
}

/// The nests of a program, or those that stand alone.
fn nests(file: &mut File) -> impl Iterator<Item = &mut Nest> {
    let layers = file.program.iter_mut().flat_map(|program| &mut program.layers);
    layers.map(|layer| &mut layer.nest).chain(file.nests.iter_mut().map(|(nest, _)| nest))
}

fn list() -> String {
    let mut table =
        Table::new(&[("pass", Align::Left), ("level", Align::Left), ("what it does", Align::Left)]);
    let graph = PIPELINE.iter().map(|pass| (pass.name, "graph", pass.summary));
    let loops = PASSES.iter().map(|pass| (pass.name, "loops", pass.summary));
    let steps = STEPS.iter().map(|step| (step.name, "step", step.summary));
    let network = passes::network::STEPS.iter().map(|step| (step.name, "network", step.summary));
    for (name, level, summary) in graph.chain(loops).chain(steps).chain(network) {
        table.row(vec![name.into(), level.into(), summary.into()]);
    }
    table.text()
}

/// The pass of this name, of either level.
pub fn find(name: &str) -> Result<Pass, Diagnostic> {
    let graph = PIPELINE.iter().find(|pass| pass.name == name).map(Pass::Graph);
    let found = graph.or_else(|| PASSES.iter().find(|pass| pass.name == name).map(Pass::Loops));
    let unknown =
        || Diagnostic::new(format!("there is no pass `{name}`")).help("`tinyc opt --list` lists all");
    found.ok_or_else(unknown)
}

/// Reads either level; the first word tells which.
fn parse(text: &str) -> Result<Text, Vec<Diagnostic>> {
    let start = Cursor::new(text).map_err(|error| vec![error])?;
    if start.at_word("graph") {
        return graph::text::parse(text).map(Text::Graph);
    }
    if !start.at_word("program") && !start.at_word("loops") {
        return Err(vec![start.wanted("`graph`, `program` or `loops`")]);
    }
    let file = loops::text::parse_file(text).map_err(|error| vec![error])?;
    let mut errors: Vec<Diagnostic> = file.nests.iter().flat_map(|(nest, at)| verify_at(nest, at)).collect();
    errors.extend(file.program.iter().flat_map(verify_outline));
    if errors.is_empty() { Ok(Text::Loops(file)) } else { Err(errors) }
}

fn run(pass: Pass, text: &mut Text) -> Result<(), Diagnostic> {
    match (pass, text) {
        (Pass::Graph(pass), Text::Graph(graph)) => {
            passes::graph::run(pass, graph);
            Ok(())
        }
        (Pass::Loops(pass), Text::Loops(file)) => {
            for nest in nests(file) {
                passes::loops::run(pass, nest)?;
            }
            Ok(())
        }
        (Pass::Graph(GraphPass { name, .. }), Text::Loops(_)) => {
            Err(Diagnostic::new(format!("`{name}` is a pass over graphs, the file has loop nests")))
        }
        (Pass::Loops(NestPass { name, .. }), Text::Graph(_)) => {
            Err(Diagnostic::new(format!("`{name}` is a pass over loop nests, the file has a graph")))
        }
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Text::Graph(graph) => write!(f, "{graph}"),
            Text::Loops(File { program: Some(program), .. }) => write!(f, "{program}"),
            Text::Loops(File { nests, .. }) => {
                let texts: Vec<String> = nests.iter().map(|(nest, _): &(Nest, _)| nest.to_string()).collect();
                f.write_str(&texts.join("\n"))
            }
        }
    }
}
