//! `tinyc build`: what it prints, what it writes, and that it writes all or nothing.

use std::collections::BTreeMap;
use std::path::Path;

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::{DIGITS, command, folder, refusal, shown, text, tinyc};

/// The fields of the report and of its layers: programs rely on them.
const FIELDS: [&str; 14] = [
    "arena_bytes",
    "code_bytes",
    "cpu",
    "cycles",
    "flash_bytes",
    "layers",
    "macs",
    "memory",
    "model",
    "rescaled",
    "scratch_bytes",
    "stack_bytes",
    "table_bytes",
    "weight_bytes",
];
const LAYER_FIELDS: [&str; 11] = [
    "cycles",
    "flash_bytes",
    "macs",
    "memory",
    "name",
    "op",
    "rescaled",
    "scratch_bytes",
    "shape",
    "shares",
    "symbol",
];
const MEMORY_FIELDS: [&str; 6] =
    ["flash_read_bytes", "flash_reads", "ram_read_bytes", "ram_reads", "ram_write_bytes", "ram_writes"];

/// The names of all files in a folder with their contents.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

/// What is written for the digit classifier as `digits.o`.
fn built(more: &[&str], environment: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    let folder = folder();
    let object = folder.path().join("digits.o");
    let mut command = command();
    command.args(["build", DIGITS, "-o", text(&object)]).args(more).envs(environment.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    contents(folder.path())
}

fn json(cpu: &str) -> Value {
    let folder = folder();
    let object = folder.path().join("digits.o");
    let output = tinyc(["build", DIGITS, "-o", text(&object), "--cpu", cpu, "--json"]);
    assert!(output.status.success(), "{}", shown(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_table_has_the_numbers_of_the_report() {
    for cpu in ["cortex-m4", "cortex-m7"] {
        let folder = folder();
        let object = folder.path().join("digits.o");
        let output = shown(&tinyc(["build", DIGITS, "-o", text(&object), "--cpu", cpu]));
        assert_snapshot!(format!("build_{cpu}"), named_numbers(&output, &json(cpu)));
    }
}

/// What `build` prints with names for the numbers that better code changes: each stands where the report has that
/// number. Cells are apart by ` | `, whatever their width.
fn named_numbers(printed: &str, report: &Value) -> String {
    let layers = report["layers"].as_array().unwrap().iter();
    let rows = std::iter::once(None).chain(layers.map(Some)).chain([Some(report)]);
    let (table, figures) = printed.split_once("\n\n").expect("a table, then figures");
    let mut lines: Vec<String> = table
        .lines()
        .zip(rows)
        .map(|(line, row)| named(&cells(line), row.unwrap_or(report), &["cycles", "flash_bytes"]).join(" | "))
        .collect();
    assert_eq!(table.lines().count(), lines.len(), "a line for each layer, one above and one below");
    let fields: [&[&str]; 4] = [
        &["cycles"],
        &["arena_bytes", "scratch_bytes"],
        &["stack_bytes"],
        &["flash_bytes", "code_bytes", "weight_bytes", "table_bytes"],
    ];
    let figures = figures.lines().zip(fields);
    lines.extend(figures.map(|(line, fields)| named(&cells(line), report, fields).join(" | ")));
    lines.join("\n")
}

fn cells(line: &str) -> Vec<String> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
}

fn named(cells: &[String], row: &Value, fields: &[&str]) -> Vec<String> {
    let name = |cell: &String| {
        fields.iter().fold(cell.clone(), |cell, field| {
            let number = grouped(row[field].as_u64().expect("a number"));
            let is_whole =
                |at: usize| !cell[..at].trim_end_matches(' ').ends_with(|c: char| c.is_ascii_digit());
            let found = format!("{cell} ").find(&format!("{number} "));
            let is_there = found.is_some_and(is_whole);
            if is_there { cell.replacen(&number, &format!("<{field}>"), 1) } else { cell }
        })
    };
    cells.iter().map(name).collect()
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    if number < 1000 {
        return number.to_string();
    }
    format!("{} {:03}", grouped(number / 1000), number % 1000)
}

#[test]
fn the_report_for_programs_has_its_fields_and_adds_up() {
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for cpu in ["cortex-m4", "cortex-m7"] {
        let report = json(cpu);
        let mut found = names(&report);
        found.sort();
        assert_eq!(found, FIELDS);
        assert_eq!(report["cpu"], cpu);
        let layers = report["layers"].as_array().unwrap();
        let sum = |field: &str| layers.iter().map(|layer| layer[field].as_u64().unwrap()).sum::<u64>();
        let total = |field: &str| report[field].as_u64().unwrap();
        assert_eq!(sum("macs"), total("macs"));
        let parts = ["code_bytes", "weight_bytes", "table_bytes"].map(total);
        assert_eq!(parts.iter().sum::<u64>(), total("flash_bytes"));
        let moved = |row: &Value| row["memory"].as_object().unwrap().clone();
        let mut found = names(&report["memory"]);
        found.sort();
        assert_eq!(found, MEMORY_FIELDS);
        for (field, whole) in moved(&report) {
            let part: u64 = layers.iter().map(|layer| moved(layer)[&field].as_u64().unwrap()).sum();
            let around = whole.as_u64().unwrap() - part;
            assert!(around < 100, "{around} of {field} are in no layer");
        }
        for (how, whole) in report["rescaled"].as_object().unwrap() {
            let part: u64 = layers.iter().map(|layer| layer["rescaled"][how].as_u64().unwrap()).sum();
            assert_eq!(Some(part), whole.as_u64(), "{how}");
        }
        // What is not in a layer is the function that calls them all.
        let around = total("cycles") - sum("cycles");
        assert!((1..1000).contains(&around), "{around} cycles are in no layer");
        for layer in layers {
            let mut found = names(layer);
            found.sort();
            assert_eq!(found, LAYER_FIELDS);
        }
    }
}

#[test]
fn three_files_are_written_with_the_stem_of_the_object() {
    let files = built(&[], &[]);
    assert_eq!(files.keys().collect::<Vec<_>>(), ["digits.h", "digits.loops", "digits.o"]);
    let header = String::from_utf8(files["digits.h"].clone()).unwrap();
    assert!(header.contains("void digits_run(void *arena);"), "{header}");
    let prefixed = built(&["--prefix", "kws"], &[]);
    let header = String::from_utf8(prefixed["digits.h"].clone()).unwrap();
    assert!(header.contains("void kws_run(void *arena);") && !header.contains("digits_"), "{header}");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    // Each build has a folder of its own.
    let first = built(&[], &[("RAYON_NUM_THREADS", "1")]);
    let second = built(&[], &[("RAYON_NUM_THREADS", "4"), ("TZ", "Asia/Tokyo"), ("LANG", "tr_TR.UTF-8")]);
    assert!(first == second, "two builds differ");
    let folder = folder();
    let copy = folder.path().join("another name.tflite");
    std::fs::copy(test_support::repository().join(DIGITS), &copy).unwrap();
    let output =
        command().current_dir(folder.path()).args(["build", text(&copy), "-o", "digits.o"]).output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    std::fs::remove_file(&copy).unwrap();
    assert!(first == contents(folder.path()), "a build elsewhere differs");
}

#[test]
fn levels_and_passes_are_printed_and_can_be_read_again() {
    let folder = folder();
    for level in ["graph", "loops"] {
        let printed = shown(&tinyc(["build", DIGITS, "--stop-after", level]));
        let path = folder.path().join("level.tir");
        std::fs::write(&path, &printed).unwrap();
        assert!(
            shown(&tinyc(["opt", text(&path)])) == printed,
            "`{level}` prints differently the second time"
        );
    }
    assert_eq!(contents(folder.path()).len(), 1, "nothing but the test's own file is written");
}

#[test]
fn a_pass_is_watched() {
    let small = "tests/models/ops/add_relu.tflite";
    let printed =
        |level, pass| tinyc(["build", small, "--stop-after", level, "--elide", "--print-after", pass]);
    assert_snapshot!("build_watched_graph", shown(&printed("graph", "fuse-activation")));
    let loops = shown(&printed("loops", "border"));
    assert!(loops.starts_with("// After `border`:\nloops @add_0("), "{loops}");
    assert!(loops.contains("\nprogram @add_relu {"), "{loops}");
    assert!(refusal(&printed("loops", "no-pass")).starts_with("error: there is no pass `no-pass`"));
}

#[test]
fn an_output_that_cannot_be_written_is_refused() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    for name in ["folder.o", "model.h"] {
        std::fs::create_dir(path(name)).unwrap();
    }
    let said = |output: &str| {
        let said = refusal(&tinyc(["build", DIGITS, "-o", output]));
        said.replace(text(folder.path()), "DIR")
    };
    let mut all = String::new();
    for name in ["missing/model.o", "folder.o", "", "model.o", "model.tflite", "model", ".o"] {
        all.push_str(&format!("# {name}\n{}", said(&format!("{}/{name}", text(folder.path())))));
    }
    assert_snapshot!("build_outputs", all);
    // Nobody can make a file there, not even root; how the system says so differs.
    let said = said("/proc/model.o");
    assert!(said.starts_with("error: cannot write `/proc/model.h`: "), "{said}");
    assert_eq!(contents_names(folder.path()), ["folder.o", "model.h"]);
}

#[test]
fn a_read_only_folder_is_refused() {
    let folder = folder();
    let inside = folder.path().join("locked");
    std::fs::create_dir(&inside).unwrap();
    let mut permissions = inside.metadata().unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&inside, permissions).unwrap();
    if std::fs::write(inside.join("probe"), "").is_ok() {
        println!("skipped: this user may write to read-only folders");
        return;
    }
    let object = inside.join("model.o");
    let said = refusal(&tinyc(["build", DIGITS, "-o", text(&object)]));
    assert!(said.ends_with("model.h`: permission denied\n"), "{said}");
    assert_eq!(contents(&inside).len(), 0);
}

#[test]
fn a_prefix_must_be_an_identifier() {
    let folder = folder();
    let object = folder.path().join("m.o");
    let said = refusal(&tinyc(["build", DIGITS, "-o", text(&object), "--prefix", "7-seg"]));
    assert_eq!(
        said,
        "error: the prefix `7-seg` is not a C identifier that begins with a letter\n\
         help: `--prefix model_7_seg` is one\n"
    );
    assert_eq!(contents(folder.path()).len(), 0);
}

fn contents_names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
