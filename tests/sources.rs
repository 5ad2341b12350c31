//! What the sources must not know: models and their layers, operators where nests are all there is, fixed shapes, and instructions
//! outside of selection.
//!
//! A rule looks for words in code: comments and unit tests are left aside. Exceptions stand below, each with its reason.

use std::fs;
use std::path::{Path, PathBuf};

use ir::graph::Op;
use ir::loops::Prim;
use isel_thumb2::isa::Form;
use test_support::repository;

/// Parts of the names of networks.
const MODELS: [&str; 11] = [
    "kws",
    "vww",
    "resnet",
    "ad01",
    "mcunet",
    "mobilenet",
    "mbv2",
    "person_detect",
    "hello_world",
    "micro_speech",
    "digits_cnn",
];
/// What counts as the size of something, and the least number that is no count of lanes, taps or registers of a form.
const SIZES: [&str; 7] = ["extent", "extents", "shape", "rows", "columns", "channels", "depth"];
const LEAST_SHAPE: u64 = 10;
/// Beginnings of mnemonics that are no words.
const MNEMONICS: [&str; 16] = [
    "sml", "smu", "smm", "pkh", "sxt", "uxt", "ssa", "ssu", "usa", "umu", "uml", "ldr", "str", "vmo", "vld",
    "bfi",
];

/// A rule about what code may say.
struct Rule {
    name: &'static str,
    /// Folders with its code.
    folders: &'static [&'static str],
    /// What is wrong with a line of code.
    wrong: fn(&str) -> Option<String>,
    /// Files in which a line that has this text is right.
    except: &'static [(&'static str, &'static str)],
}

const RULES: [Rule; 6] = [
    Rule {
        name: "no model",
        folders: &["passes/src", "lowering/src", "isel-thumb2/src", "ir/src", "frontends/src", "src"],
        wrong: model,
        except: &[],
    },
    Rule {
        name: "no layer",
        folders: &["passes/src", "lowering/src", "isel-thumb2/src", "ir/src", "frontends/src", "src"],
        wrong: layer,
        except: &[("passes/src/schedule/text.rs", "`layer conv2d_7:`")], // An example in a message.
    },
    Rule {
        name: "no operator",
        folders: &[
            "passes/src/loops",
            "passes/src/network",
            "passes/src/schedule",
            "passes/src/proofs",
            "passes/src/defaults",
            "isel-thumb2/src",
        ],
        wrong: operator,
        except: &[("passes/src/schedule/text.rs", "`layer conv2d_7:`")],
    },
    Rule {
        name: "no fixed shape",
        folders: &["passes/src", "lowering/src", "isel-thumb2/src", "src"],
        wrong: shape,
        except: &[],
    },
    Rule {
        name: "no instruction by name outside of the back end",
        folders: &["passes/src", "lowering/src", "ir/src", "src"],
        wrong: mnemonic,
        except: &[],
    },
    Rule {
        name: "no instruction made outside of selection",
        folders: &["isel-thumb2/src"],
        wrong: made,
        except: &[
            ("isel-thumb2/src/select/", ""),
            ("isel-thumb2/src/isa/", ""),
            ("isel-thumb2/src/frame.rs", ""), // Saves registers, and values that do not fit.
            ("isel-thumb2/src/entry.rs", ""), // Calls the layers.
            ("isel-thumb2/src/ends/edits.rs", ""), // Computes where a loop ends.
            ("isel-thumb2/src/regalloc/rewrite.rs", ""), // Copies between registers.
        ],
    },
];

#[test]
fn sources_keep_the_rules() {
    for rule in &RULES {
        let mut found = Vec::new();
        for path in rule.folders.iter().flat_map(|folder| sources(&repository().join(folder))) {
            let name = path.strip_prefix(repository()).expect("it is inside").display().to_string();
            let text = fs::read_to_string(&path).expect("it can be read");
            for (number, line) in code(&text) {
                let allowed =
                    rule.except.iter().any(|(file, text)| name.starts_with(file) && line.contains(text));
                if let Some(what) = (rule.wrong)(line).filter(|_| !allowed) {
                    found.push(format!("{name}:{number}: {what}"));
                }
            }
        }
        assert!(found.is_empty(), "{}:\n{}", rule.name, found.join("\n"));
    }
}

/// Each rule finds what it is for, and lets pass what is near.
#[test]
fn rules_find_what_they_look_for() {
    let wrong = [
        r#"if graph.name == "kws_ref_model" {"#,
        r#"nest.name == "depthwise_conv2d_7""#,
        r#"op.starts_with("fully_connected")"#,
        "if l.extent == 25 && nest.buffers[0].shape != [1, 25, 5, 64] {",
        "fn smlad(a: i32) {",
        "out.push(ops::smlad(d, n, m, a));",
    ];
    let right = [
        "if makes_room {",
        r#"format!("{name}_{}", layer.number)"#,
        "let sliding = windows(nest);",
        "if l.extent == 4 || extent % 16 == 0 {",
        "Prim::Sxtb16 | Prim::Ssat => Vec::new(),",
        "ops.push(ops::Kind::Load);",
    ];
    for ((rule, wrong), right) in RULES.iter().zip(wrong).zip(right) {
        assert!((rule.wrong)(wrong).is_some(), "{}: {wrong}", rule.name);
        assert_eq!((rule.wrong)(right), None, "{}", rule.name);
    }
    let text = "//! kws\nlet a = 1; // kws\n#[cfg(test)]\nmod tests {";
    assert_eq!(code(text).collect::<Vec<_>>(), [(2, "let a = 1; ")]);
}

fn model(line: &str) -> Option<String> {
    let line = line.to_lowercase();
    MODELS.iter().find(|name| line.contains(**name)).map(|name| format!("`{name}`"))
}

/// The name of an operator with a number.
fn layer(line: &str) -> Option<String> {
    let is_layer = |word: &&str| {
        let split = word.rsplit_once('_');
        split.is_some_and(|(op, number)| number.parse::<u32>().is_ok() && Op::NAMES.contains(&op))
    };
    words(line).find(is_layer).map(|word| format!("`{word}`"))
}

/// The name of an operator that is the name of nothing else.
fn operator(line: &str) -> Option<String> {
    let is_operator = |word: &&str| {
        let (word, snake) = (word.to_lowercase(), snake(word));
        let only = |name: &&&str| name.contains("2d") || ["fully_connected", "softmax"].contains(*name);
        Op::NAMES.iter().filter(only).any(|name| word.starts_with(name) || snake.starts_with(name))
    };
    words(line).find(is_operator).map(|word| format!("`{word}`"))
}

/// A size that is compared with a large number, or with several.
fn shape(line: &str) -> Option<String> {
    let compared = |(at, _): (usize, &str)| {
        let before = words(&line[..at]).next_back().is_some_and(|word| SIZES.contains(&word));
        let after = line[at + 2..].trim_start();
        let number = words(after).next().and_then(|word| word.parse::<u64>().ok());
        let large = number.is_some_and(|number| number >= LEAST_SHAPE) && !after.starts_with('[');
        let several = after.starts_with('[') && after.split(']').next()?.contains(',') && number.is_some();
        (before && (large || several)).then(|| format!("a size and `{after}`"))
    };
    line.match_indices("==").chain(line.match_indices("!=")).find_map(compared)
}

/// The mnemonic of an instruction that is no operation of nests.
fn mnemonic(line: &str) -> Option<String> {
    let is_prim = |name: &str| Prim::ALL.iter().any(|prim| prim.row().name == name);
    let is_mnemonic = |word: &&str| {
        let word = word.to_lowercase();
        let is_form = || Form::ALL.iter().any(|form| format!("{form:?}").to_lowercase() == word);
        MNEMONICS.iter().any(|start| word.starts_with(start)) && word != "str" && is_form() && !is_prim(&word)
    };
    words(line).find(is_mnemonic).map(|word| format!("`{word}`"))
}

/// A call of what makes an instruction.
fn made(line: &str) -> Option<String> {
    let mut calls = line.match_indices("ops::").map(|(at, _)| &line[at + 5..]);
    let is_call = |rest: &&str| {
        let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        name.starts_with(|c: char| c.is_lowercase()) && rest[name.len()..].starts_with('(')
    };
    calls.find(is_call).map(|rest| format!("`ops::{}`", rest.split('(').next().unwrap_or_default()))
}

/// `FullyConnected` as `fully_connected`.
fn snake(word: &str) -> String {
    let mut out = String::new();
    for (at, letter) in word.char_indices() {
        if letter.is_uppercase() && at > 0 {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

fn words(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Numbered lines without comments, up to the unit tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = (1..).zip(text.lines()).take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    let code = numbered.map(|(number, line)| (number, line.split("//").next().unwrap_or_default()));
    code.filter(|(_, line)| !line.trim().is_empty())
}

/// The sources of a folder and of those inside of it; what only tests use is a folder of theirs.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.sort();
    let of = |path: PathBuf| match path.is_dir() {
        true => sources(&path),
        false => vec![path],
    };
    let is_source = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs")
    };
    paths.into_iter().flat_map(of).filter(is_source).collect()
}
