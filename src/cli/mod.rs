//! The subcommands, one file each, and what they share: how errors are said and how the process ends.
//!
//! Exit codes: 0 where all is well, 1 for an error in what was given, 2 for arguments that make no sense.

mod build;
mod input;
mod inspect;
mod opt;
mod progress;
mod run;
mod table;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use ir::diag::Diagnostic;
use isel_thumb2::cores::{self, CORES, Core};
use passes::schedule::Schedule;

/// Compiles an int8 neural network into an object file for Arm Cortex-M
#[derive(Parser)]
#[command(name = "tinyc", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compile a model: an object file, a C header, and a table of layers with cycles and flash
    Build(build::Arguments),
    /// Run a model on the host or on an emulated board
    Run(run::Arguments),
    /// Show what is in a model, and what of it would be refused
    Inspect(inspect::Arguments),
    /// Run passes over a text file of the graph or the loops level
    Opt(opt::Arguments),
}

/// Why a subcommand ended early.
struct Failed {
    /// The text file that the places in `errors` refer to.
    file: Option<PathBuf>,
    errors: Vec<Diagnostic>,
}

type Outcome = Result<(), Failed>;

/// Does what the arguments of the process say.
pub fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Build(arguments) => build::main(&arguments),
        Command::Run(arguments) => run::main(&arguments),
        Command::Inspect(arguments) => inspect::main(&arguments),
        Command::Opt(arguments) => opt::main(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            // Nobody is left to tell where this fails too.
            let _ = io::stderr().write_all(failed.text().as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// Prints to the standard output. A reader that has seen enough, such as `head`, is no error.
fn print(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Diagnostic::new(format!("cannot write to the standard output: {error}")).into()),
        Ok(()) => Ok(()),
    }
}

/// The names of cores, for `--cpu`.
fn core_names() -> PossibleValuesParser {
    PossibleValuesParser::new(CORES.iter().map(|core| core.name()))
}

/// The core of this name, which the argument parser has accepted.
fn core(name: &str) -> &'static dyn Core {
    cores::by_name(name).expect("the argument parser knows the cores")
}

/// The contents of a file that the user names.
fn read(path: &Path) -> Result<Vec<u8>, Diagnostic> {
    std::fs::read(path).map_err(|error| Diagnostic::new(format!("cannot read `{}`: {error}", path.display())))
}

/// The text of a file that the user names.
fn read_text(path: &Path) -> Result<String, Diagnostic> {
    String::from_utf8(read(path)?)
        .map_err(|_| Diagnostic::new(format!("`{}` is not text in UTF-8", path.display())))
}

/// The schedule that `--schedule` names: `none`, `default`, for which `default` is called, or the one in a file.
fn schedule(
    named: Option<&Path>,
    default: impl FnOnce() -> Result<Schedule, Failed>,
) -> Result<Option<Schedule>, Failed> {
    let Some(path) = named.filter(|path| *path != Path::new("none")) else { return Ok(None) };
    if path == Path::new("default") {
        return default().map(Some);
    }
    Schedule::parse(&read_text(path)?).map(Some).map_err(|error| Failed::in_file(Some(path), vec![error]))
}

/// Bytes as a number, or with `K` or `M` behind it for 2^10 or 2^20 of them.
fn byte_count(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix(['m', 'M']).map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    let count = digits.parse::<usize>().ok().and_then(|count| count.checked_mul(unit));
    count.ok_or_else(|| "expected a number of bytes, such as 131072 or 128K".into())
}

/// The name of a file without folder and extension.
fn stem(path: &Path) -> Result<&str, Diagnostic> {
    let name = path.file_stem().and_then(|stem| stem.to_str());
    name.ok_or_else(|| Diagnostic::new(format!("`{}` has no file name in UTF-8", path.display())))
}

impl Failed {
    /// Errors whose places are in this file.
    fn in_file(file: Option<&Path>, errors: Vec<Diagnostic>) -> Failed {
        Failed { file: file.map(Path::to_owned), errors }
    }

    /// All errors, each as `error: …`, its place as `--> file:line:column`, its help as `help: …`.
    fn text(&self) -> String {
        let mut text = String::new();
        for Diagnostic { message, place, help } in &self.errors {
            let _ = writeln!(text, "error: {message}");
            if let Some(place) = place {
                let file = self.file.as_ref().map_or(String::new(), |file| format!("{}:", file.display()));
                let _ = writeln!(text, " --> {file}{}:{}", place.line, place.column);
            }
            if let Some(help) = help {
                let _ = writeln!(text, "help: {help}");
            }
        }
        text
    }
}

impl From<Diagnostic> for Failed {
    fn from(error: Diagnostic) -> Failed {
        Failed { file: None, errors: vec![error] }
    }
}

impl From<Vec<Diagnostic>> for Failed {
    fn from(errors: Vec<Diagnostic>) -> Failed {
        Failed { file: None, errors }
    }
}
