//! Schedules on the command line: `build --schedule`, `build --emit schedule`, `run --schedule` and `opt --schedule`.

use insta::assert_snapshot;
use passes::loops::STEPS;

use crate::support::{DIGITS, folder, refusal, shown, text, tinyc};

/// A schedule for the digit classifier: patterns, alternatives, comments and all.
const SCHEDULE: &str = "schedule 1
// Blocks of channels.
layer conv2d_*: // all three
  unroll n 7 or unroll n 4

// The last one.
layer fully_connected_*:
  unroll k 8 or unroll k 4 // whatever divides
";

/// A matrix product in small.
const NEST: &str = "loops @product(x: i8[6, 8], y: i8[6, 4]) {
  const w: i8[4, 8] = [1, 2, 3, 4, 5, 6, 7, 8, -1, -2, -3, -4, -5, -6, -7, -8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8]
  for p in 0..6 {
    for n in 0..4 {
      reduce a: i32 over k in 0..8 {
        init { a = 0 }
        update { a = add a, mul(sext(x[p, k]), sext(w[n, k])) }
        finish { y[p, n] = ssat a {bits = 8, asr = 3} }
      }
    }
  }
}
";

/// The object file, and the schedule in use.
fn built(schedule: Option<&str>) -> (Vec<u8>, String) {
    let folder = folder();
    let object = folder.path().join("digits.o");
    let file = folder.path().join("digits.sched");
    let mut more = Vec::new();
    if let Some(schedule) = schedule {
        std::fs::write(&file, schedule).unwrap();
        more = vec!["--schedule", text(&file)];
    }
    let output = tinyc(["build", DIGITS, "-o", text(&object)].into_iter().chain(more.iter().copied()));
    assert!(output.status.success(), "{}", shown(&output));
    let emitted = shown(&tinyc(["build", DIGITS, "--emit", "schedule"].into_iter().chain(more)));
    (std::fs::read(&object).unwrap(), emitted)
}

#[test]
fn the_schedule_in_use_gives_the_same_bytes() {
    let (plain, names) = built(None);
    assert_snapshot!("schedule_none", names);
    assert_eq!(built(Some(&names)), (plain.clone(), names));
    let (object, in_use) = built(Some(SCHEDULE));
    assert_snapshot!("schedule_in_use", in_use);
    assert_eq!(built(Some(&in_use)), (object.clone(), in_use));
    assert!(object != plain, "the schedule changes the code");
}

#[test]
fn the_default_schedule_gives_the_same_bytes_as_its_text() {
    let folder = folder();
    let [object, file] = ["digits.o", "digits.sched"].map(|name| folder.path().join(name));
    let build = |schedule: &str| {
        let output = tinyc(["build", DIGITS, "-o", text(&object), "--schedule", schedule]);
        assert!(output.status.success(), "{}", shown(&output));
        std::fs::read(&object).unwrap()
    };
    let bytes = build("default");
    std::fs::write(&file, shown(&tinyc(["build", DIGITS, "--emit", "schedule", "--schedule", "default"])))
        .unwrap();
    assert!(build(text(&file)) == bytes, "the printed schedule gives other code");
    assert!(build("none") != bytes, "the default schedule changes the code");
}

#[test]
fn a_schedule_changes_no_answer() {
    let folder = folder();
    let file = folder.path().join("digits.sched");
    std::fs::write(&file, SCHEDULE).unwrap();
    let run = |more: &[&str]| {
        let labels = "tests/models/digits/labels.bin";
        let arguments = ["run", DIGITS, "--input", "tests/models/digits/images.bin", "--labels", labels];
        let output = tinyc(arguments.into_iter().chain(more.iter().copied()));
        assert!(output.status.success(), "{}", shown(&output));
        shown(&output)
    };
    assert_eq!(run(&["--schedule", text(&file)]), run(&[]));
}

#[test]
fn mistakes_are_shown_in_the_schedule() {
    let folder = folder();
    let file = folder.path().join("x.sched");
    let said = |schedule: &str| {
        std::fs::write(&file, schedule).unwrap();
        let build = refusal(&tinyc(["build", DIGITS, "--emit", "schedule", "--schedule", text(&file)]));
        let object = folder.path().join("x.o");
        let built = refusal(&tinyc(["build", DIGITS, "-o", text(&object), "--schedule", text(&file)]));
        assert_eq!(build, built);
        assert!(!object.exists());
        let steps: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        build.replace(text(&file), "x.sched").replace(&steps.join(", "), "(all steps)")
    };
    let all = [
        "schedule 1\nlayer conv2d_0:\n  tile n 4; tile k 5\n",
        "schedule 1\nlayer conv2d_0:\n  tile n 4; glue n\n",
        "schedule 1\nlayer conv2d_0:\n  tile n 5 or tile n 7\n",
        "schedule 1\n\nlayer conv_9:\n  tile n 4\n",
        "schedule 1\nlayer conv2d_0:\n  unroll n (\n",
        "schedule 2\n",
        "\n",
    ];
    assert_snapshot!("schedule_mistakes", all.map(|text| format!("{text}=>\n{}", said(text))).join("\n"));
}

#[test]
fn steps_on_the_command_line_show_every_nest() {
    let folder = folder();
    let path = folder.path().join("product.tir");
    std::fs::write(&path, NEST).unwrap();
    let opt = |steps: &str, more: &[&str]| {
        tinyc(["opt", text(&path), "--schedule", steps].into_iter().chain(more.iter().copied()))
    };
    let steps = "tile p 2; tile n 2; reorder p.o n.o p.i n.i; unroll-and-jam p.i n.i";
    let each = shown(&opt(steps, &["--print-after-each"]));
    assert_snapshot!("schedule_after_each", each);
    let last = shown(&opt(steps, &[]));
    assert!(each.ends_with(&last), "the last nest is the result");
    assert_snapshot!("schedule_opt_wrong", refusal(&opt("tile p 2; tile n 3", &[])));
    assert_snapshot!("schedule_opt_misspelt", refusal(&opt("tile p 2; tile;", &[])));
}
