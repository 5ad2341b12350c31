//! `tinyc build`: an object file with its header and listing, and what is known about it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ir::diag::Diagnostic;
use ir::graph::{self, Graph};
use ir::loops::{self, Program};
use passes::schedule::Schedule;
use tinyc::header;
use tinyc::output::{OutputFile, check_target, write_files};
use tinyc::pipeline::{self, Budget, Options};
use tinyc::report::{LayerReport, Report};

use super::progress::Progress;
use super::table::{Align, Table, bytes, grouped, shape};
use super::{Failed, Outcome, byte_count, core, core_names, opt, print, read, schedule, stem};

#[derive(Args)]
pub struct Arguments {
    /// The model: a .tflite file
    model: PathBuf,
    /// Where the object file goes; header and listing get the same name with .h and .loops
    #[arg(short, long, value_name = "FILE.o", required_unless_present_any = ["stop_after", "emit"])]
    output: Option<PathBuf>,
    /// The core to compile for
    #[arg(long, value_parser = core_names(), default_value = "cortex-m4")]
    cpu: String,
    /// Begin all symbols with this name; by default the name of the object file
    #[arg(long)]
    prefix: Option<String>,
    /// Leave the floating-point registers alone, for parts without them
    #[arg(long)]
    no_fpu: bool,
    /// Also make PREFIX_run_until(arena, layer), which runs the layers before that one
    #[arg(long)]
    run_until: bool,
    /// How layers are computed: `none`, `default`, or a file as `--emit schedule` prints it
    #[arg(long, value_name = "FILE")]
    schedule: Option<PathBuf>,
    /// Most bytes of code and constants, as 131072 or 128K: the default schedule keeps to them where it can
    #[arg(long, value_name = "BYTES", value_parser = byte_count, requires = "schedule")]
    flash: Option<usize>,
    /// Most bytes of arena and stack, as 65536 or 64K: the default schedule keeps to them where it can; without it, it takes
    /// about the smallest arena that no layer has to be more than a tenth slower for
    #[arg(long, value_name = "BYTES", value_parser = byte_count, requires = "schedule")]
    ram: Option<usize>,
    /// Print this, which `--schedule` takes back, and write no file
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with_all = ["output", "json", "stop_after"])]
    emit: Option<Emit>,
    /// Print the report as JSON, for programs
    #[arg(long)]
    json: bool,
    /// Print the model as it is on this level, and write no file
    #[arg(long, value_enum, value_name = "LEVEL", conflicts_with_all = ["output", "json"])]
    stop_after: Option<Level>,
    /// Print the model after this pass; `tinyc opt --list` lists them
    #[arg(long, value_name = "PASS", conflicts_with = "json")]
    print_after: Option<String>,
    /// Shorten large constants in what is printed, which then cannot be read back
    #[arg(long)]
    elide: bool,
}

/// A level to stop at.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    Graph,
    Loops,
}

/// What can be printed instead of writing files.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Emit {
    Schedule,
}

/// The files of one build.
struct Targets {
    object: PathBuf,
    header: PathBuf,
    listing: PathBuf,
    /// What their names have in common.
    stem: String,
}

pub fn main(arguments: &Arguments) -> Outcome {
    if let Some(pass) = &arguments.print_after {
        opt::find(pass)?;
    }
    let targets = arguments.output.as_deref().map(Targets::of).transpose()?;
    let model = read(&arguments.model)?;
    let schedule = schedule(arguments.schedule.as_deref(), || {
        let graph = pipeline::graph(&model, &header::identifier(stem(&arguments.model)?), &mut |_, _| {})?;
        let (core, fpu) = (core(&arguments.cpu), !arguments.no_fpu);
        let budget = Budget { flash: arguments.flash, ram: arguments.ram };
        Ok(pipeline::default_schedule_within(&graph, core, fpu, budget)?)
    })?;
    // What has a place is in the schedule: the model is no text.
    let in_schedule = |failed: Failed| Failed { file: arguments.schedule.clone(), ..failed };
    if arguments.print_after.is_some() || arguments.stop_after.is_some() {
        print_levels(arguments, &model, schedule.as_ref()).map_err(in_schedule)?;
    }
    if arguments.emit == Some(Emit::Schedule) {
        return print_schedule(arguments, &model, schedule.as_ref()).map_err(in_schedule);
    }
    match targets {
        Some(targets) if arguments.stop_after.is_none() => {
            build(arguments, &model, &targets, schedule.as_ref()).map_err(in_schedule)
        }
        _ => Ok(()),
    }
}

fn build(arguments: &Arguments, model: &[u8], targets: &Targets, schedule: Option<&Schedule>) -> Outcome {
    let prefix = prefix(arguments, targets)?;
    let options = Options {
        core: core(&arguments.cpu),
        prefix: &prefix,
        stem: &targets.stem,
        fpu: !arguments.no_fpu,
        run_until: arguments.run_until,
        schedule,
    };
    let progress = Progress::new("layers");
    let compiled = pipeline::compile(model, &options, &|done, all| progress.at(done, all))?;
    drop(progress);
    expect_flash(arguments, &compiled.report)?;
    expect_ram(arguments, &compiled.report)?;
    write_files(&[
        OutputFile { path: targets.header.clone(), bytes: compiled.header.as_bytes() },
        OutputFile { path: targets.listing.clone(), bytes: compiled.listing.as_bytes() },
        OutputFile { path: targets.object.clone(), bytes: &compiled.object }, // Last: make rules wait for it.
    ])?;
    if arguments.json {
        let json = serde_json::to_string_pretty(&compiled.report).expect("plain data has a JSON form");
        print(&format!("{json}\n"))
    } else {
        print(&text(&compiled.report))
    }
}

/// Refuses a program that does not fit where `--flash` says how much there is.
fn expect_flash(arguments: &Arguments, report: &Report) -> Result<(), Diagnostic> {
    match arguments.flash {
        Some(most) if report.flash_bytes as usize > most => {
            let [found, most] = [report.flash_bytes as u64, most as u64].map(bytes);
            Err(Diagnostic::new(format!("code and constants take {found}, `--flash` allows {most}"))
                .help("`--schedule default` chooses smaller code where there is any"))
        }
        _ => Ok(()),
    }
}

/// Refuses a program that does not fit where `--ram` says how much there is.
fn expect_ram(arguments: &Arguments, report: &Report) -> Result<(), Diagnostic> {
    let found = u64::from(report.arena_bytes) + u64::from(report.stack_bytes);
    match arguments.ram {
        Some(most) if found > most as u64 => {
            let [found, most] = [found, most as u64].map(bytes);
            Err(Diagnostic::new(format!("arena and stack take {found}, `--ram` allows {most}"))
                .help("`--schedule default` chooses layers with less scratch where there are any"))
        }
        _ => Ok(()),
    }
}

impl Targets {
    /// The files beside `object`, where they can be written.
    fn of(object: &Path) -> Result<Targets, Diagnostic> {
        // A model named by mistake must not be overwritten.
        if object.extension().is_none_or(|extension| extension != "o") && !object.is_dir() {
            let shown = object.display();
            return Err(Diagnostic::new(format!(
                "the output is named `{shown}`, expected a name that ends in `.o`"
            )));
        }
        let targets = Targets {
            object: object.to_owned(),
            header: object.with_extension("h"),
            listing: object.with_extension("loops"),
            stem: stem(object)?.to_owned(),
        };
        for path in [&targets.object, &targets.header, &targets.listing] {
            check_target(path)?;
        }
        Ok(targets)
    }
}

/// What all symbols begin with.
fn prefix(arguments: &Arguments, targets: &Targets) -> Result<String, Diagnostic> {
    let Some(prefix) = &arguments.prefix else { return Ok(header::identifier(&targets.stem)) };
    let identifier = header::identifier(prefix);
    if *prefix == identifier {
        return Ok(identifier);
    }
    Err(Diagnostic::new(format!("the prefix `{prefix}` is not a C identifier that begins with a letter"))
        .help(format!("`--prefix {identifier}` is one")))
}

/// Prints what `--print-after` and `--stop-after` ask for.
fn print_levels(arguments: &Arguments, model: &[u8], schedule: Option<&Schedule>) -> Outcome {
    let name = header::identifier(stem(&arguments.model)?);
    let is_wanted = |pass: &str| arguments.print_after.as_deref() == Some(pass);
    let mut out = String::new();
    let graph = pipeline::graph(model, &name, &mut |pass, graph| {
        if is_wanted(pass.name) {
            let _ = write!(out, "// After `{}`:\n{}", pass.name, graph_text(graph, arguments.elide));
        }
    })?;
    if arguments.stop_after == Some(Level::Graph) {
        out.push_str(&graph_text(&graph, arguments.elide));
        return print(&out);
    }
    let program = pipeline::program(&graph, schedule, &mut |pass, nest| {
        if is_wanted(pass.name) {
            let printed = loops::text::print_nest(nest, loops_style(arguments.elide));
            let _ = write!(out, "// After `{}`:\n{}", pass.name, printed.text);
        }
    })?;
    if arguments.stop_after == Some(Level::Loops) {
        out.push_str(&program_text(&program, arguments.elide));
    }
    print(&out)
}

fn print_schedule(arguments: &Arguments, model: &[u8], schedule: Option<&Schedule>) -> Outcome {
    let name = header::identifier(stem(&arguments.model)?);
    let graph = pipeline::graph(model, &name, &mut |_, _| {})?;
    print(&pipeline::schedule_in_use(&graph, schedule)?.to_string())
}

fn graph_text(graph: &Graph, elide: bool) -> String {
    let style = if elide { graph::text::Style::Elided } else { graph::text::Style::Full };
    graph::text::print(graph, style)
}

fn program_text(program: &Program, elide: bool) -> String {
    loops::text::print_with_lines(program, loops_style(elide)).0
}

fn loops_style(elide: bool) -> loops::text::Style {
    if elide { loops::text::Style::Reading } else { loops::text::Style::Exact }
}

/// The report as a table with its totals.
fn text(report: &Report) -> String {
    let mut table = Table::new(&[
        ("layer", Align::Left),
        ("kind", Align::Left),
        ("result", Align::Left),
        ("MACs", Align::Right),
        ("predicted cycles", Align::Right),
        ("flash", Align::Right),
        ("channels rescaled", Align::Left),
    ]);
    for LayerReport { name, op, shape: extents, macs, cycles, flash_bytes, rescaled, .. } in &report.layers {
        let [macs, cycles] = [*macs, *cycles].map(grouped);
        let flash = bytes((*flash_bytes).into());
        table.row(vec![name.clone(), op.clone(), shape(extents), macs, cycles, flash, rescaled.to_string()]);
    }
    let [macs, cycles] = [report.macs, report.cycles].map(grouped);
    let (flash, rescaled) = (bytes(report.flash_bytes.into()), report.rescaled.to_string());
    table.row(vec!["in all".into(), String::new(), String::new(), macs, cycles, flash, rescaled]);
    format!("{}\n{}", table.text(), figures(report))
}

/// What a model needs, in a few lines.
pub fn figures(report: &Report) -> String {
    let [arena, scratch, stack] =
        [report.arena_bytes, report.scratch_bytes, report.stack_bytes].map(|number| bytes(number.into()));
    let [flash, code, weights, tables] =
        [report.flash_bytes, report.code_bytes, report.weight_bytes, report.table_bytes]
            .map(|number| bytes(number.into()));
    format!(
        "cycles    {} predicted for one inference on {}, memory without wait states\n\
         arena     {arena}: scratch of one layer at most {scratch}\n\
         stack     {stack}\n\
         flash     {flash}: code {code}, weights {weights}, tables {tables}\n",
        grouped(report.cycles),
        report.cpu
    )
}
