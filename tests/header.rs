//! The C header: its whole text, and that C and C++ compilers take it without a word.

use std::path::Path;
use std::process::Command;

use tinyc::header::{CType, HeaderSpec, Quantization, TensorSpec, header, identifier};

fn spec() -> HeaderSpec {
    let quantization = Some(Quantization { scale: 0.5847029, zero_point: 83 });
    let input =
        TensorSpec { element: CType::Int8, offset: 16, bytes: 490, shape: vec![1, 49, 10, 1], quantization };
    let quantization = Some(Quantization { scale: 0.00390625, zero_point: -128 });
    let output = TensorSpec { element: CType::Int8, offset: 0, bytes: 12, shape: vec![1, 12], quantization };
    HeaderSpec {
        prefix: "kws".into(),
        tinyc_version: "0.1.0".into(),
        model_sha256: "00ff".into(),
        cpu: "cortex-m4".into(),
        arena_bytes: 16_000,
        arena_align: 16,
        stack_bytes: 128,
        uses_fpu: true,
        macs: 2_656_768,
        cycles: 5_000_000_000,
        inputs: vec![input],
        outputs: vec![output],
        has_state: false,
        run_until_layers: None,
    }
}

/// Every type, a scalar, several tensors, state and `run_until`.
fn odd_spec() -> HeaderSpec {
    let elements = [CType::Uint8, CType::Int16, CType::Int32, CType::Int64, CType::Float];
    let tensor = |element| TensorSpec { element, offset: 8, bytes: 8, shape: vec![], quantization: None };
    let tensors: Vec<TensorSpec> = elements.into_iter().map(tensor).collect();
    let mut outputs = tensors.clone();
    outputs[2].quantization = Some(Quantization { scale: f32::MIN_POSITIVE, zero_point: i32::MIN });
    HeaderSpec {
        prefix: identifier("vww-96"),
        inputs: tensors,
        outputs,
        has_state: true,
        run_until_layers: Some(7),
        uses_fpu: false,
        ..spec()
    }
}

#[test]
fn the_whole_header() {
    insta::assert_snapshot!(header(&spec()));
}

#[test]
fn the_header_of_a_model_with_state() {
    insta::assert_snapshot!(header(&odd_spec()));
}

#[test]
fn a_file_name_becomes_an_identifier() {
    let cases = [
        ("kws", "kws"),
        ("mbv2-w0.35-r144", "mbv2_w0_35_r144"),
        ("96_int8", "model_96_int8"),
        ("_x", "model_x"),
        ("größe", "gr__e"),
        ("", "model_"),
    ];
    for (stem, wanted) in cases {
        assert_eq!(identifier(stem), wanted);
    }
}

const PROGRAM: &str = r#"
#include "kws.h"
#include "vww_96.h"
#include "kws.h"

static unsigned char arena[KWS_ARENA_BYTES];
static const int shape[] = KWS_INPUT_0_SHAPE;
static const int scalar[] = VWW_96_OUTPUT_4_SHAPE;
float first(void);

float first(void)
{
    kws_input_0(arena)[0] = shape[0] - KWS_INPUT_0_ZERO_POINT;
    *vww_96_input_4(arena) = 0.5f;
    vww_96_reset(arena);
    vww_96_run_until(arena, VWW_96_LAYERS);
    kws_run(arena);
    return KWS_OUTPUT_0_SCALE * (kws_output_0(arena)[0] -KWS_OUTPUT_0_ZERO_POINT) + scalar[0] + *vww_96_output_4(arena);
}
"#;

#[test]
fn c_and_cpp_compilers_do_not_warn() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("kws.h", &header(&spec()));
    write("vww_96.h", &header(&odd_spec()));
    write("program.c", PROGRAM);
    write("program.cpp", PROGRAM);
    for (compiler, standard, file) in [
        ("arm-none-eabi-gcc", "c99", "program.c"),
        ("arm-none-eabi-g++", "c++11", "program.cpp"),
        ("cc", "c99", "program.c"),
    ] {
        if Command::new(compiler).arg("--version").output().is_err() {
            println!("skipped: {compiler} not found");
            continue;
        }
        compile(folder.path(), compiler, standard, file);
    }
}

fn compile(folder: &Path, compiler: &str, standard: &str, file: &str) {
    let output = Command::new(compiler)
        .args(["-fsyntax-only", "-Wall", "-Wextra", "-pedantic", "-Werror", "-Wcast-qual", "-Wcast-align"])
        .arg(format!("-std={standard}"))
        .arg(file)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{compiler}: {}", String::from_utf8_lossy(&output.stderr));
}
