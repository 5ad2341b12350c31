//! `docs/kernels.md` and `docs/kernels`: the table of all families, and for each its schedule and nest, kept with the code.
//!
//! Numbers may be off by a tenth, so that better code changes no text; `TINYC_BLESS=1` writes them anew. What is said of a family whose
//! model is not there stays as it is.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use test_support::{compare_with_file, repository};

use crate::parts::Parts;

/// How far the numbers of the document may be off.
const TOLERANCE: f64 = 0.1;
/// From which gap on a reason is given.
const GAP: f64 = 0.1;

/// What the document says of a family.
pub struct Row {
    /// The stem of the schedule's file.
    pub family: &'static str,
    /// What it is for, as the file says it.
    pub subject: String,
    /// For each core, cycles for one multiply-accumulate or element: by this compiler, and by hand-written kernels.
    pub cycles: Vec<[f64; 2]>,
    /// What those on the first core go into.
    pub parts: Parts,
    /// Why there is a gap, if there is one.
    pub why: &'static str,
    /// The text of the schedule.
    pub schedule: String,
    /// What the schedule makes of the layer, or of the first one.
    pub nest: String,
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
    for row in rows.iter().filter_map(|(_, row)| row.as_ref()) {
        let page = repository().join(format!("docs/kernels/{}.md", row.family));
        compare_with_file(&page, &row.page()).unwrap();
        let gap = row.cycles.iter().map(|[found, wanted]| found / wanted - 1.0).fold(0.0, f64::max);
        assert!(gap < GAP + TOLERANCE || !row.why.is_empty(), "{}: why is there a gap?", row.family);
    }
}

const HEAD: &str = "# Kernel families

Cycles for one multiply-accumulate of a whole layer, or for one element where nothing is multiplied, on memory without wait states:
as this compiler emits the family's schedule, and as measured of hand-written kernels or, where there are none, counted by the formulas
that describe them. All are exact in the interpreter, on the host and on both emulated cores. A `shape` is one that no model has. Inner loops alone are in `docs/inner-loops.md`. Behind
each name stand its schedule, which is a file of `tests/schedules`, and the nest that it makes.

The cycles on the Cortex-M4 are split once more: what is done for each product, what begins and ends a sum (rescaling above all), and the
rest, which is copies, transforms and loops. Most formulas of hand-written kernels count blocks of a large layer; on small ones the second
and the third part weigh more.

`TINYC_BLESS=1 cargo test --test families` writes this table; without it the test allows numbers that are a tenth off.

| family | layer | M4 | by hand | gap | M7 | by hand | gap | M4: products + results + rest | why there is a gap |
|---|---|---:|---:|---:|---:|---:|---:|---|---|
";

/// The family of a line of the table.
fn family(line: &str) -> Option<&str> {
    line.strip_prefix("| [`")?.split_once('`').map(|(family, _)| family)
}

impl Row {
    fn line(&self) -> String {
        let mut line = format!("| [`{0}`](kernels/{0}.md) | {1} |", self.family, self.subject);
        for [found, wanted] in &self.cycles {
            let more = 100.0 * (found / wanted - 1.0);
            write!(line, " {found:.3} | {wanted:.2} | {more:+.0} % |").expect("text grows");
        }
        let [products, results, rest] = self.parts;
        format!("{line} {products:.2} + {results:.2} + {rest:.2} | {} |\n", self.why)
    }

    /// The schedule and the nest.
    fn page(&self) -> String {
        let Row { family, subject, schedule, nest, .. } = self;
        format!(
            "# {family}\n\nFor {subject}. Its cycles stand in [the table](../kernels.md).\n\n```text\n{schedule}```\n\n\
             ```text\n{nest}```\n"
        )
    }

    /// Whether a line says nearly the same.
    fn is_near(&self, line: &str) -> bool {
        let (found, written) = (self.line(), line.to_string() + "\n");
        let (found, written): (Vec<&str>, Vec<&str>) =
            (found.split('|').collect(), written.split('|').collect());
        found.len() == written.len()
            && found.iter().zip(&written).all(|(found, written)| are_near(found.trim(), written.trim()))
    }
}

/// Whether two cells say nearly the same: words are equal, gaps follow from what stands beside them, parts from their sum.
fn are_near(found: &str, written: &str) -> bool {
    if let (Ok(found), Ok(written)) = (found.parse::<f64>(), written.parse::<f64>()) {
        return (found / written - 1.0).abs() <= TOLERANCE;
    }
    let parts = |cell: &str| cell.split(" + ").map(str::parse).collect::<Result<Vec<f64>, _>>().ok();
    if let (Some(found), Some(written)) = (parts(found), parts(written)) {
        let most = TOLERANCE * found.iter().sum::<f64>();
        return found.iter().zip(&written).all(|(found, written)| (found - written).abs() <= most);
    }
    let is_gap = |cell: &str| cell.ends_with('%');
    found == written || is_gap(found) && is_gap(written)
}
