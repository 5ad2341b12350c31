//! `docs/kernels.md`: the table of all families, kept with the code.
//!
//! Its numbers may be off by a tenth, so that better code changes no text; `TINYC_BLESS=1` writes them anew. What is said of a family whose
//! model is not there stays as it is.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use test_support::{compare_with_file, repository};

/// How far the numbers of the document may be off.
const TOLERANCE: f64 = 0.1;

/// A line of the table.
pub struct Row {
    /// The stem of the schedule's file.
    pub family: &'static str,
    /// What it is for, as the file says it.
    pub subject: String,
    /// For each core, cycles for one multiply-accumulate or element: by this compiler, and by hand-written kernels.
    pub cycles: Vec<[f64; 2]>,
}

/// Compares the document with the rows, `None` where the model is not there, or writes it.
pub fn expect(rows: &[(&'static str, Option<Row>)]) {
    let path = repository().join("docs/kernels.md");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let written: BTreeMap<&str, &str> = text.lines().filter_map(|line| Some((family(line)?, line))).collect();
    let bless = std::env::var_os("TINYC_BLESS").is_some();
    let line = |(family, row): &(&'static str, Option<Row>)| match (row, written.get(family)) {
        (None, Some(line)) => format!("{line}\n"),
        (None, None) => String::new(),
        (Some(row), Some(line)) if !bless && row.is_near(line) => format!("{line}\n"),
        (Some(row), _) => row.line(),
    };
    let table: String = rows.iter().map(line).collect();
    compare_with_file(&path, &format!("{HEAD}{table}")).unwrap();
}

const HEAD: &str = "# Kernel families

Cycles for one multiply-accumulate of a whole layer, or for one element where nothing is multiplied, on memory without wait states:
as this compiler emits the family's schedule, `tests/schedules/<family>.schedule`, and as measured of hand-written kernels or, where
there are none, counted by the formulas that describe them. All are exact in the interpreter, on the host and on both emulated cores.
A `shape` is one that no model has.

`TINYC_BLESS=1 cargo test --test families` writes this table; without it the test allows numbers that are a tenth off.

| family | layer | M4 | by hand | gap | M7 | by hand | gap |
|---|---|---:|---:|---:|---:|---:|---:|
";

/// The family of a line of the table.
fn family(line: &str) -> Option<&str> {
    line.strip_prefix("| `")?.split_once('`').map(|(family, _)| family)
}

impl Row {
    fn line(&self) -> String {
        let mut line = format!("| `{}` | {} |", self.family, self.subject);
        for [found, wanted] in &self.cycles {
            let more = 100.0 * (found / wanted - 1.0);
            write!(line, " {found:.3} | {wanted:.2} | {more:+.0} % |").expect("text grows");
        }
        line + "\n"
    }

    /// Whether a line says nearly the same.
    fn is_near(&self, line: &str) -> bool {
        let (found, written) = (self.line(), line.to_string() + "\n");
        let (found, written): (Vec<&str>, Vec<&str>) =
            (found.split('|').collect(), written.split('|').collect());
        let is_gap = |cell: &str| cell.trim().ends_with('%');
        let near =
            |found: &str, written: &str| match (found.trim().parse::<f64>(), written.trim().parse::<f64>()) {
                (Ok(found), Ok(written)) => (found / written - 1.0).abs() <= TOLERANCE,
                _ => found == written || is_gap(found) && is_gap(written),
            };
        found.len() == written.len()
            && found.iter().zip(&written).all(|(found, written)| near(found, written))
    }
}
