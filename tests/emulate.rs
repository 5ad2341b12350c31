//! Hand-assembled models on the emulated boards: right answers, and what the driver catches.
//! Without QEMU or a linker each test says so and checks nothing.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use isel_thumb2::object::{self, FunctionCode, ObjectSpec};
use tinyc::emulate::{Outcome, run_on};
use tinyc::link::{Board, Firmware, Linker, Place, link};

const BOARDS: [Board; 4] = [Board::Mps2An385, Board::Mps2An386, Board::Mps2An500, Board::Mps2An505];
const LIMIT: Duration = Duration::from_secs(30);

/// `arena[8..12] = arena[0..4] + arena[4..8]`, with 32 bytes of stack.
const ADD: &[u16] = &[
    0xb410, // push {r4}
    0xb087, // sub sp, #28
    0x6802, // ldr r2, [r0]
    0x6843, // ldr r3, [r0, #4]
    0x18d4, // adds r4, r2, r3
    0x9400, // str r4, [sp]
    0x9c00, // ldr r4, [sp]
    0x6084, // str r4, [r0, #8]
    0xb007, // add sp, #28
    0xbc10, // pop {r4}
    0x4770, // bx lr
];

fn model(code: &[u16]) -> Vec<u8> {
    let bytes = code.iter().flat_map(|half| half.to_le_bytes()).collect();
    let run = FunctionCode { symbol: "m_run".into(), global: true, align: 4, bytes, ..Default::default() };
    let spec = ObjectSpec {
        listing: "m.loops".into(),
        producer: "tinyc test".into(),
        functions: vec![run],
        ..Default::default()
    };
    object::write(&spec).unwrap()
}

fn firmware(object: &[u8], arena_bytes: u32) -> Firmware<'_> {
    let word = |offset| Place { offset, bytes: 4 };
    Firmware {
        object,
        run: "m_run",
        reset: None,
        arena_bytes,
        arena_align: 16,
        inputs: vec![word(0), word(4)],
        outputs: vec![word(8)],
        interrupts: false,
    }
}

fn words(numbers: &[u32]) -> Vec<Vec<u8>> {
    numbers.iter().map(|number| number.to_le_bytes().to_vec()).collect()
}

/// Whether QEMU and a linker are here; says so where not.
fn ready() -> bool {
    let ready = Command::new("qemu-system-arm").arg("--version").output().is_ok() && Linker::find().is_ok();
    if !ready {
        println!("skipped: qemu-system-arm or a linker for Arm not found");
    }
    ready
}

/// What is said about a run of `code`, which must fail on a board.
fn failure(board: Board, code: &[u16], limit: Duration) -> String {
    let object = model(code);
    let ran = run_on(board, &firmware(&object, 16), &[words(&[1, 2])], limit);
    ran.expect_err("the driver sees it").to_string()
}

fn fails_with(code: &[u16], wanted: &str) {
    BOARDS.iter().for_each(|board| fails_on(*board, code, wanted));
}

fn fails_on(board: Board, code: &[u16], wanted: &str) {
    let message = failure(board, code, LIMIT);
    assert!(message.contains(wanted), "`{message}` on {board:?} does not say `{wanted}`");
}

#[test]
fn many_cases_run_in_one_start() {
    if !ready() {
        return;
    }
    let object = model(ADD);
    let cases: Vec<_> = (0..100).map(|n| words(&[n, 1000 * n])).collect();
    let outputs: Vec<_> = (0..100).map(|n| words(&[1001 * n])).collect();
    for board in BOARDS {
        let found = run_on(board, &firmware(&object, 16), &cases, LIMIT);
        assert_eq!(found, Ok(Outcome { outputs: outputs.clone(), stack_bytes: 32 }), "{board:?}");
    }
}

#[test]
fn a_large_arena_and_interrupts_change_nothing() {
    if !ready() {
        return;
    }
    let object = model(ADD);
    for board in BOARDS {
        let firmware = Firmware { interrupts: true, arena_align: 128, ..firmware(&object, 8 << 20) };
        let found = run_on(board, &firmware, &[words(&[40, 2])], LIMIT).unwrap();
        assert_eq!(found.outputs, [words(&[42])], "{board:?}");
    }
}

#[test]
fn interrupts_find_data_below_sp() {
    if !ready() {
        return;
    }
    let object = model(&[
        0x2107, // movs r1, #7
        0xf84d, 0x1c64, // str r1, [sp, #-100]
        0x2100, // movs r1, #0
        0xf04f, 0x7280, // mov.w r2, #16777216
        0x3a01, // subs r2, #1
        0xd1fd, // bne one back
        0xf85d, 0x3c64, // ldr r3, [sp, #-100]
        0x6083, // str r3, [r0, #8]
        0x4770, // bx lr
    ]);
    for (interrupts, survives) in [(false, true), (true, false)] {
        let firmware = Firmware { interrupts, ..firmware(&object, 16) };
        let found = run_on(Board::Mps2An386, &firmware, &[words(&[0, 0])], LIMIT).unwrap();
        assert_eq!(found.outputs == [words(&[7])], survives, "interrupts {interrupts}: {found:?}");
    }
}

#[test]
fn writes_outside_the_arena_are_seen() {
    if !ready() {
        return;
    }
    fails_with(&[0x6102, 0x4770], "the run wrote outside its arena"); // str r2, [r0, #16]
    fails_with(&[0xf840, 0x2c04, 0x4770], "the run wrote outside its arena"); // str r2, [r0, #-4]
}

#[test]
fn lost_registers_are_seen() {
    if !ready() {
        return;
    }
    fails_with(&[0x2500, 0x4770], "0x00000200: the run changed"); // movs r5, #0
    for board in BOARDS.into_iter().filter(|board| *board != Board::Mps2An385) {
        fails_on(board, &[0xee0f, 0x0a90, 0x4770], "0x00000080: the run changed"); // vmov s31, r0
    }
}

#[test]
fn faults_and_endless_runs_end() {
    if !ready() {
        return;
    }
    fails_with(&[0xde00], "fault at 0x"); // udf #0
    for board in BOARDS {
        let message = failure(board, &[0xe7fe], Duration::from_millis(500));
        assert!(message.contains("did not end within"), "{message}");
    }
}

/// The emulator knows that the core has no FPU, and of the DSP extension some instructions; `tests/extensions.rs` looks for all.
#[test]
fn the_plain_core_faults_at_instructions_of_extensions() {
    if !ready() {
        return;
    }
    for code in [
        [0xfa90, 0xf000, 0x4770], // sadd16 r0, r0, r0
        [0xfa2f, 0xf080, 0x4770], // sxtb16 r0, r0
        [0xee0f, 0x0a90, 0x4770], // vmov s31, r0
    ] {
        fails_on(Board::Mps2An385, &code, "fault at 0x0000");
    }
}

#[test]
fn wrong_cases_and_models_are_refused() {
    if !ready() {
        return;
    }
    let object = model(ADD);
    let run = |firmware: &Firmware, case: &[u32]| {
        run_on(Board::Mps2An386, firmware, &[words(case)], LIMIT).expect_err("refused").to_string()
    };
    let message = run(&firmware(&object, 16), &[1]);
    assert_eq!(message, "error: case 0 has inputs of [4] bytes, the model wants [4, 4]");
    let message = run(&Firmware { run: "other_run", ..firmware(&object, 16) }, &[1, 2]);
    assert!(message.contains("cannot link") && message.contains("other_run"), "{message}");
    let message = run(&firmware(&object, 17 << 20), &[1, 2]);
    assert!(message.contains("the arena takes 17825792 B"), "{message}");
}

#[test]
fn a_model_that_resets_is_reset_before_each_case() {
    if !ready() {
        return;
    }
    // m_reset stores 5 at arena + 12; m_run adds it to the first input and counts it up.
    let mut spec =
        ObjectSpec { listing: "m.loops".into(), producer: "tinyc test".into(), ..Default::default() };
    let add: &[u16] = &[0x68c1, 0x6802, 0x1852, 0x6082, 0x3101, 0x60c1, 0x4770];
    for (symbol, code) in [("m_run", add), ("m_reset", &[0x2105, 0x60c1, 0x4770])] {
        let bytes = code.iter().flat_map(|half| half.to_le_bytes()).collect();
        let function =
            FunctionCode { symbol: symbol.into(), global: true, align: 2, bytes, ..Default::default() };
        spec.functions.push(function);
    }
    let object = object::write(&spec).unwrap();
    let firmware = Firmware { reset: Some("m_reset"), ..firmware(&object, 16) };
    let found = run_on(Board::Mps2An386, &firmware, &[words(&[1, 0]), words(&[2, 0])], LIMIT).unwrap();
    assert_eq!(found.outputs, [words(&[6]), words(&[7])]);
}

#[test]
fn every_linker_makes_a_firmware_that_the_cycle_counter_takes() {
    if !ready() {
        return;
    }
    let judge = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/judge/judge");
    if !judge.is_file() {
        println!("skipped: no cycle counter beside the repository");
        return;
    }
    let object = model(ADD);
    for linker in Linker::all() {
        let folder = tempfile::tempdir().unwrap();
        let elf = link(Board::Mps2An386, &firmware(&object, 16), &linker, folder.path()).unwrap();
        std::fs::write(folder.path().join("cases.bin"), words(&[1, 2]).concat()).unwrap();
        let output = Command::new(&judge)
            .args(["--core", "m4", "--quiet", "--json", "-"])
            .arg(&elf)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{linker:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        // The model's instructions and the call.
        assert!(said.contains("\"insns\": 12,"), "{linker:?}: {said}");
    }
}
