//! `docs/benchmarks.md` and its plots as they are in the repository: every model has its rows, and the plots are well-formed.
//!
//! `scripts/benchmarks` writes them from what it keeps in `measured.json`; nothing is measured here.

use isel_thumb2::cores::CORES;
use serde_json::Value;
use test_support::repository;

fn read(file: &str) -> String {
    let path = repository().join("docs").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All models of the peers.
fn models() -> Vec<String> {
    let peers: Value = serde_json::from_str(&read("benchmarks/peers.json")).expect("JSON");
    let groups = peers["groups"].as_array().expect("groups").iter();
    let models = groups.flat_map(|group| group["models"].as_array().expect("models"));
    models.map(|model| model["model"].as_str().expect("a name").to_string()).collect()
}

/// The models with figures on a core, with their predicted cycles.
fn measured(core: &str) -> Vec<(String, u64)> {
    let measured: Value = serde_json::from_str(&read("benchmarks/measured.json")).expect("JSON");
    let rows = measured["rows"].as_array().expect("rows").iter().filter(|row| row["core"] == core);
    let figures =
        |row: &Value| Some((row["model"].as_str()?.to_string(), row["outcome"]["Ok"]["cycles"].as_u64()?));
    rows.filter_map(figures).collect()
}

/// The part of the page about a core.
fn section<'a>(page: &'a str, core: &str) -> &'a str {
    let (_, rest) =
        page.split_once(&format!("\n## {core}\n")).unwrap_or_else(|| panic!("no section `{core}`"));
    rest.split_once("\n## ").map_or(rest, |(section, _)| section)
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    if number < 1000 {
        return number.to_string();
    }
    format!("{} {:03}", grouped(number / 1000), number % 1000)
}

#[test]
fn every_model_has_its_rows_on_every_core() {
    let page = read("benchmarks.md");
    for core in CORES {
        let section = section(&page, core.name());
        let rows = |model: &str| -> Vec<&str> {
            let begin = format!("| `{model}` |");
            section.lines().filter(|line| line.starts_with(&begin)).collect()
        };
        for model in models() {
            assert_eq!(rows(&model).len(), 2, "`{model}` on {}: cycles and bytes", core.name());
        }
        for (model, cycles) in measured(core.name()) {
            let cell = format!("| {} |", grouped(cycles));
            assert!(rows(&model)[0].contains(&cell), "`{model}` on {}: {cycles} cycles", core.name());
        }
    }
}

#[test]
fn every_table_is_rectangular() {
    let page = read("benchmarks.md");
    let mut columns = 0;
    for line in page.lines() {
        let found = line.matches('|').count();
        assert!(columns == 0 || found == 0 || found == columns, "{found} bars, not {columns}: {line}");
        columns = found;
    }
}

#[test]
fn every_core_has_a_plot_with_bars_for_what_was_measured() {
    let page = read("benchmarks.md");
    for core in CORES {
        let file = format!("benchmarks/{}.svg", core.name());
        assert!(page.contains(&format!("({file})")), "the page shows {file}");
        let text = read(&file);
        let svg = roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let elements = |name: &'static str| svg.descendants().filter(move |node| node.has_tag_name(name));
        let names: Vec<&str> = elements("text").filter_map(|node| node.text()).collect();
        let widths = elements("rect").filter_map(|node| node.attribute("width"));
        let longest = widths.map(|width| width.parse::<f64>().expect("a width")).fold(0.0, f64::max);
        let measured = measured(core.name());
        assert!(longest > 100.0 || measured.is_empty(), "{file}: the longest bar is {longest}");
        for (model, _) in measured {
            assert!(names.contains(&model.as_str()), "{file}: no bars for `{model}`");
        }
    }
}
