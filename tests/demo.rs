//! The demo firmware: compiled by a C compiler as its first lines say, with a generated header and both float ABIs.

use std::path::Path;
use std::process::Command;

use isel_thumb2::object::{self, FunctionCode, ObjectSpec};
use test_support::tools::{have, run};
use tinyc::header::{CType, HeaderSpec, TensorSpec, header};

const TOOLS: [&str; 2] = ["arm-none-eabi-gcc", "qemu-system-arm"];

/// `output[0] = input[0] + 42`.
const CODE: [u16; 4] = [
    0x7801, // ldrb r1, [r0]
    0x312a, // adds r1, #42
    0x7101, // strb r1, [r0, #4]
    0x4770, // bx lr
];

fn object_file() -> Vec<u8> {
    let bytes = CODE.iter().flat_map(|half| half.to_le_bytes()).collect();
    let run = FunctionCode { symbol: "kws_run".into(), global: true, align: 4, bytes, ..Default::default() };
    let spec = ObjectSpec {
        listing: "kws.loops".into(),
        producer: "tinyc test".into(),
        functions: vec![run],
        ..Default::default()
    };
    object::write(&spec).unwrap()
}

fn header_file() -> String {
    let tensor =
        |offset| TensorSpec { element: CType::Int8, offset, bytes: 1, shape: vec![1], quantization: None };
    header(&HeaderSpec {
        prefix: "kws".into(),
        tinyc_version: "0.1.0".into(),
        model_sha256: String::new(),
        cpu: "cortex-m4".into(),
        arena_bytes: 8,
        arena_align: 4,
        stack_bytes: 0,
        uses_fpu: false,
        macs: 0,
        cycles: 4,
        inputs: vec![tensor(0)],
        outputs: vec![tensor(4)],
        has_state: false,
        run_until_layers: None,
    })
}

#[test]
fn the_demo_runs_with_both_float_abis() {
    if !have(&TOOLS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("demo.c", runtime::DEMO_C),
        ("startup.c", runtime::STARTUP_C),
        ("semihosting.h", runtime::SEMIHOSTING_H),
        ("sections.ld", runtime::SECTIONS_LD),
        ("mps2-an386.ld", runtime::MPS2_AN386_LD),
        ("kws.h", &header_file()),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    std::fs::write(folder.path().join("kws.o"), object_file()).unwrap();
    for abi in [&["-mfloat-abi=soft"][..], &["-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]] {
        let said = build_and_run(folder.path(), abi);
        assert!(said.contains("0x0000002a"), "{abi:?}: {said}");
    }
}

/// What the firmware prints.
fn build_and_run(folder: &Path, abi: &[&str]) -> String {
    run(Command::new(TOOLS[0])
        .args([
            "-mcpu=cortex-m4",
            "-mthumb",
            "-O2",
            "-nostartfiles",
            "-nostdlib",
            "-Wall",
            "-Wextra",
            "-Werror",
        ])
        .args(abi)
        .args(["-DMODEL=kws", "-DMODEL_UPPER=KWS", "-include", "kws.h", "demo.c", "startup.c", "kws.o"])
        .args(["-T", "mps2-an386.ld", "-o", "demo.elf"])
        .current_dir(folder));
    run(Command::new("timeout")
        .args(["20", TOOLS[1], "-machine", "mps2-an386", "-nographic", "-semihosting", "-kernel", "demo.elf"])
        .current_dir(folder))
}
