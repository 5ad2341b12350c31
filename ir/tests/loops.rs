//! Runs the text files of the loops level: `tests/loops/*.tir` (printing, refusals), `tests/run/*.tir` and
//! `tests/isel/*.tir` (calls).
//!
//! `TINYC_BLESS=1` rewrites what the files expect.

mod text_files;

use std::collections::BTreeSet;
use std::path::Path;

use libtest_mimic::{Arguments, Failed, Trial};
use text_files::{Outcome, files};
use tinyc_ir::diag::Diagnostic;
use tinyc_ir::loops::text::calls::{self, RunFile};
use tinyc_ir::loops::text::{Style, parse_file, parse_nest, print_nest, print_with_lines};
use tinyc_ir::loops::verify::{verify_at, verify_outline};
use tinyc_ir::loops::{Expr, Nest, Prim, Stmt, interp};
use tinyc_ir::text::cases::{self, Case};

fn main() {
    let mut trials = text_files::trials("loops", case_outcome);
    for folder in ["run", "isel"] {
        for path in files(folder) {
            let stem = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            trials.push(Trial::test(format!("{folder}/{stem}"), move || run_calls(&path)));
        }
    }
    trials.push(Trial::test("every operation is run", every_operation_is_run));
    trials.push(Trial::test("damaged texts are refused, not crashed on", damaged_texts));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// The run files reach each row of the table of operations.
fn every_operation_is_run() -> Result<(), Failed> {
    let mut met = BTreeSet::new();
    for path in files("run") {
        for (nest, _) in parse_file(&std::fs::read_to_string(path)?)?.nests {
            nest.walk(&mut |_, stmt| {
                if let Stmt::Let(_, value) | Stmt::Set(_, _, value) | Stmt::Store(_, value) = stmt {
                    operations(value, &mut met);
                }
            });
        }
    }
    let missing: Vec<_> = Prim::ALL.iter().filter(|prim| !met.contains(prim)).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("no run file has {missing:?}").into()) }
}

/// Files cut off, and with each number replaced: errors are fine, a panic or an endless run is not.
fn damaged_texts() -> Result<(), Failed> {
    for path in files("loops").into_iter().chain(files("run")) {
        let text = std::fs::read_to_string(path)?;
        for end in (0..text.len()).step_by(31).filter(|end| text.is_char_boundary(*end)) {
            errors(&text[..end]);
        }
        for case in cases::split(&text) {
            for (start, end) in numbers(&case.input) {
                for number in ["0", "3", "4294967295", "18446744073709551615"] {
                    errors(&format!("{}{number}{}", &case.input[..start], &case.input[end..]));
                }
            }
        }
    }
    Ok(())
}

/// Where runs of digits that no letter precedes begin and end.
fn numbers(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let begins = |at: &usize| is_digit(*at) && (*at == 0 || !bytes[at - 1].is_ascii_alphanumeric());
    let end = |at: usize| (at..).find(|end| !is_digit(*end)).unwrap_or(at);
    (0..bytes.len()).filter(begins).map(|at| (at, end(at))).collect()
}

fn operations(expr: &Expr, met: &mut BTreeSet<Prim>) {
    match expr {
        Expr::Op { prim, args, .. } => {
            met.insert(*prim);
            args.iter().for_each(|arg| operations(arg, met));
        }
        Expr::Lookup(_, at) => operations(at, met),
        Expr::Int(..) | Expr::Index(_) | Expr::Local(..) | Expr::Load(_) => {}
    }
}

fn case_outcome(case: &Case) -> Result<Outcome, String> {
    match case.kind.as_str() {
        "print" => print(case),
        "verify" => {
            let mut errors = errors(&case.input);
            // What has no place is expected on the first line of the case.
            errors.iter_mut().filter(|(line, _)| *line == 0).for_each(|(line, _)| *line = case.line);
            Ok(Outcome { errors, output: None })
        }
        "fault" => faults(case),
        kind => Err(format!("`{kind}` is no kind of test")),
    }
}

/// Prints what was parsed: as it stands there, or as the `//=` lines say; the print must parse back to itself.
fn print(case: &Case) -> Result<Outcome, String> {
    let printed = match print_file(&case.input) {
        Ok(printed) => printed,
        Err(error) => return Ok(Outcome::refused(&[error])),
    };
    let again =
        print_file(&printed).map_err(|error| format!("the print does not parse: {error}\n{printed}"))?;
    if again != printed {
        return Err(format!("printed\n{printed}which prints again as\n{again}"));
    }
    let as_written: String = case
        .input
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .flat_map(|l| [l, "\n"])
        .collect();
    let without_gaps: String =
        printed.lines().filter(|line| !line.is_empty()).flat_map(|l| [l, "\n"]).collect();
    let output = (as_written != without_gaps).then_some(printed);
    Ok(Outcome { errors: Vec::new(), output })
}

fn print_file(text: &str) -> Result<String, Diagnostic> {
    let file = parse_file(text)?;
    if let Some(program) = &file.program {
        return Ok(print_with_lines(program, Style::Exact).0);
    }
    let nests: Vec<String> = file.nests.iter().map(|(nest, _)| print_nest(nest, Style::Exact).text).collect();
    Ok(nests.join("\n"))
}

/// What the parser or else the verifier says.
fn errors(text: &str) -> Vec<(u32, String)> {
    match parse_file(text) {
        Err(error) => vec![located(&error)],
        Ok(file) => {
            let nests = file.nests.iter().flat_map(|(nest, places)| verify_at(nest, places));
            nests.chain(file.program.iter().flat_map(verify_outline)).map(|error| located(&error)).collect()
        }
    }
}

/// What stops each nest, which the verifier accepts, when every parameter holds zeros and every byte is watched.
fn faults(case: &Case) -> Result<Outcome, String> {
    let wrong = errors(&case.input);
    if let Some((line, message)) = wrong.first() {
        return Err(format!("line {line}: {message}"));
    }
    let file = parse_file(&case.input).map_err(|error| error.to_string())?;
    let mut errors = Vec::new();
    for (nest, places) in &file.nests {
        let mut memory: Vec<_> = nest.params().map(|id| vec![0; nest.buffers[id.idx()].bytes()]).collect();
        let mut params: Vec<&mut [u8]> = memory.iter_mut().map(Vec::as_mut_slice).collect();
        if let Err(error) = interp::run_checked(nest, &mut params) {
            errors.push(located(&error.at(places.nest)));
        }
    }
    Ok(Outcome { errors, output: None })
}

/// Runs the calls of a file, as it stands and as it prints, with and without checks.
fn run_calls(path: &Path) -> Result<(), Failed> {
    let text = &std::fs::read_to_string(path)?;
    let wrong = errors(text);
    if let Some((line, message)) = wrong.first() {
        return Err(format!("line {line}: {message}").into());
    }
    let slices = |memory: &mut [Vec<u8>], nest: &Nest| {
        let mut params: Vec<&mut [u8]> = memory.iter_mut().map(Vec::as_mut_slice).collect();
        interp::run_checked(nest, &mut params)
    };
    if std::env::var_os("TINYC_BLESS").is_some() {
        let blessed = calls::bless(text, &mut |nest, memory| slices(memory, nest))?;
        std::fs::write(path, blessed)?;
        return Ok(());
    }
    let file = RunFile::parse(text)?;
    if file.calls.is_empty() {
        return Err("the file calls nothing".into());
    }
    for call in &file.calls {
        let nest = &file.nests[call.nest];
        let printed = parse_nest(&nest.to_string())?;
        for nest in [nest, &printed] {
            let mut memory = call.memory(nest);
            slices(&mut memory, nest)?;
            call.check(nest, &memory)?;
            let mut unchecked = call.memory(nest);
            let mut params: Vec<&mut [u8]> = unchecked.iter_mut().map(Vec::as_mut_slice).collect();
            interp::run(nest, &mut params)?;
            call.check(nest, &unchecked)?;
        }
        if call.expected.is_empty() {
            return Err(format!("line {}: the call expects nothing", call.place.line).into());
        }
    }
    Ok(())
}

/// The line and first line of an error, as the files have it.
fn located(error: &Diagnostic) -> (u32, String) {
    (error.place.map_or(0, |place| place.line), format!("error: {}", error.message))
}
