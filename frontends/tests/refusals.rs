//! What the front end says about models that it refuses: the whole output stands in `.expected` files, which
//! `TINYC_BLESS=1` rewrites. One kind of model is made here, with one thing wrong; the others are files.

mod common;

use std::fmt::Write;
use std::path::Path;

use ir::diag::Diagnostic;

use common::{ModelSpec, Options, TensorSpec};
use tinyc_frontends::tflite::schema::tflite as fb;
use tinyc_frontends::tflite::{self, schema};

use fb::{ActivationFunctionType as Activation, BuiltinOperator as Code, TensorType as Elem};

#[test]
fn refusals_say_what_was_found_and_what_is_wanted() {
    let mut text = String::new();
    for (title, bytes) in cases() {
        let errors = tflite::load(&bytes, "model").expect_err(title);
        write_case(&mut text, title, &errors);
    }
    expect("tests/refusals.expected", &text);
}

#[test]
fn our_own_models_to_refuse_are_refused() {
    let mut text = String::new();
    for (name, bytes) in test_support::own_refused_models() {
        let errors = tflite::load(&bytes, &name).expect_err(&name);
        let inspection = tflite::inspect(&bytes).expect("they can be read");
        assert_eq!(inspection.refusals, errors);
        write_case(&mut text, &name, &errors);
    }
    expect("tests/refused_models.expected", &text);
}

#[test]
fn the_model_that_the_cases_start_from_is_accepted() {
    let graph = tflite::load(&ModelSpec::conv().write(), "model").expect("it is right");
    assert_eq!((graph.inputs.len(), graph.outputs.len()), (1, 1));
}

#[test]
fn a_batch_that_is_left_open_is_taken_as_one() {
    let bytes = with(|m| m.tensors[0].signature = Some(vec![-1, 5, 6, 4]));
    assert!(tflite::load(&bytes, "model").is_ok());
}

#[test]
fn inspection_shows_refused_models() {
    let relu = TensorSpec::activation("relu", &[1, 5, 6, 2]);
    let model = ModelSpec::conv().then(Code::HARD_SWISH, &[3], relu);
    let inspection = tflite::inspect(&model.write()).expect("it can be read");
    let [conv, swish] = &inspection.operators[..] else { panic!("the model has two operators") };
    assert_eq!(
        (conv.kind.as_str(), conv.macs, conv.weight_bytes),
        ("conv_2d", 5 * 6 * 2 * 3 * 3 * 4, 72 + 8)
    );
    assert_eq!(conv.refusal, None);
    assert_eq!((swish.kind.as_str(), swish.name.as_str()), ("hard_swish", "relu"));
    assert!(swish.refusal.is_some());
    assert_eq!((inspection.macs, inspection.constant_bytes), (2160, 80));
    assert_eq!(inspection.refusals.len(), 1);
}

#[test]
fn only_so_many_errors_are_shown() {
    let mut model = ModelSpec::conv();
    for _ in 0..1000 {
        model = model.then(Code::ABS, &[0], TensorSpec::activation("abs", &[1, 5, 6, 4]));
    }
    let errors = tflite::load(&model.write(), "model").expect_err("`abs` is not supported");
    assert_eq!(errors.len(), 101);
    assert_eq!(errors[100].message, "the model has 900 further errors");
}

fn write_case(text: &mut String, title: &str, errors: &[Diagnostic]) {
    writeln!(text, "## {title}").expect("strings take all text");
    for error in errors {
        writeln!(text, "{error}").expect("strings take all text");
    }
    text.push('\n');
}

fn expect(file: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    test_support::compare_with_file(&file, text).unwrap_or_else(|difference| panic!("{difference}"));
}

/// Names of cases with the bytes of a file that is refused.
fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let mut cases = file_cases();
    cases.extend(tensor_cases());
    cases.extend(graph_cases());
    cases.extend(operator_cases());
    cases
}

/// The conv model with a change.
fn with(change: impl FnOnce(&mut ModelSpec)) -> Vec<u8> {
    let mut model = ModelSpec::conv();
    change(&mut model);
    model.write()
}

fn file_cases() -> Vec<(&'static str, Vec<u8>)> {
    let right = ModelSpec::conv().write();
    let mut misdirected = right.clone();
    misdirected[0..4].copy_from_slice(&0x7fff_fff0u32.to_le_bytes());
    vec![
        ("an empty file", Vec::new()),
        ("a file of three bytes", b"TFL".to_vec()),
        ("another kind of file", b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec()),
        ("a file that is cut off", right[..right.len() / 2].to_vec()),
        ("a root that lies outside", misdirected),
        ("an older version of the format", with(|m| m.version = 2)),
        ("no subgraph", with(|m| m.n_subgraphs = 0)),
        ("two subgraphs", with(|m| m.n_subgraphs = 2)),
    ]
}

fn tensor_cases() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a dynamic shape", with(|m| m.tensors[0].signature = Some(vec![1, -1, 6, 4]))),
        (
            "a batch that is left open and not 1",
            with(|m| {
                m.tensors[0].signature = Some(vec![-1, 5, 6, 4]);
                m.tensors[0].shape = vec![2, 5, 6, 4];
            }),
        ),
        ("an extent of 0", with(|m| m.tensors[0].shape = vec![1, 5, 0, 4])),
        ("a negative extent", with(|m| m.tensors[0].shape = vec![1, 5, -7, 4])),
        ("a shape that overflows", with(|m| m.tensors[0].shape = vec![i32::MAX; 4])),
        ("too many dimensions", with(|m| m.tensors[0].shape = vec![1; 9])),
        ("an element type that is not supported", with(|m| m.tensors[0].elem = Elem::FLOAT16)),
        ("an element type that is not known", with(|m| m.tensors[0].elem = Elem(77))),
        ("a buffer of the wrong size", with(|m| m.tensors[1].data.truncate(71))),
        ("a scale of 0", with(|m| m.tensors[0].scales = vec![0.0])),
        ("a scale that is no number", with(|m| m.tensors[0].scales = vec![f32::NAN])),
        ("a zero point out of range", with(|m| m.tensors[0].zeros = vec![128])),
        ("fewer zero points than scales", with(|m| m.tensors[1].scales = vec![1.0, 2.0])),
        (
            "fewer scales than channels",
            with(|m| {
                m.tensors[1].scales = vec![1.0; 3];
                m.tensors[1].zeros = vec![0; 3];
            }),
        ),
        (
            "a zero point per channel",
            with(|m| {
                m.tensors[1].scales = vec![1.0; 2];
                m.tensors[1].zeros = vec![0, 5];
            }),
        ),
        ("a variable", with(|m| m.tensors[0].is_variable = true)),
        ("a sparse tensor", with(|m| m.tensors[1].is_sparse = true)),
        ("data outside of the flatbuffer", with(|m| m.tensors[1].external_buffer = 1)),
    ]
}

fn graph_cases() -> Vec<(&'static str, Vec<u8>)> {
    let relu = |name| TensorSpec::activation(name, &[1, 5, 6, 2]);
    vec![
        ("no input", with(|m| m.inputs.clear())),
        ("no output", with(|m| m.outputs.clear())),
        ("an input that does not exist", with(|m| m.inputs = vec![99])),
        ("an input twice", with(|m| m.inputs = vec![0, 0])),
        ("an input that is a constant", with(|m| m.inputs = vec![0, 1])),
        ("an output that nothing computes", with(|m| m.outputs = vec![0])),
        ("an operand that does not exist", with(|m| m.operators[0].inputs = vec![0, 1, -7])),
        ("an operand that must not be left out", with(|m| m.operators[0].inputs = vec![0, -1])),
        ("too few operands", with(|m| m.operators[0].inputs = vec![0])),
        ("no result", with(|m| m.operators[0].outputs.clear())),
        ("a result that is an input", with(|m| m.operators[0].outputs = vec![0])),
        ("a result that is a constant", with(|m| m.operators[0].outputs = vec![1])),
        ("an order against the data flow", {
            let mut model =
                ModelSpec::conv().then(Code::RELU, &[3], relu("a")).then(Code::RELU, &[4], relu("b"));
            model.operators.swap(1, 2);
            model.write()
        }),
    ]
}

fn operator_cases() -> Vec<(&'static str, Vec<u8>)> {
    let conv = |padding, stride, activation| {
        with(|m| m.operators[0].options = Options::Conv2d { padding, stride, activation })
    };
    vec![
        ("operators that are not supported", {
            let swish = TensorSpec::activation("swish", &[1, 5, 6, 2]);
            let model = ModelSpec::conv().then(Code::HARD_SWISH, &[3], swish.clone());
            model.then(Code(9999), &[4], swish.clone()).then(Code::CUSTOM, &[5], swish).write()
        }),
        ("a version that is not known", with(|m| m.operators[0].version = 70)),
        (
            "a float model",
            with(|m| {
                for (tensor, bytes) in m.tensors.iter_mut().zip([0, 72 * 4, 8, 0]) {
                    tensor.elem = Elem::FLOAT32;
                    tensor.data = vec![0; bytes];
                }
            }),
        ),
        ("hybrid weights", with(|m| [0, 3].map(|t| m.tensors[t].elem = Elem::FLOAT32).into_iter().collect())),
        (
            "weights of another type",
            with(|m| {
                m.tensors[1].elem = Elem::INT16;
                m.tensors[1].data = vec![0; 144];
            }),
        ),
        (
            "activations of another type",
            with(|m| [0, 3].map(|t| m.tensors[t].elem = Elem::INT16).into_iter().collect()),
        ),
        ("an input without scale", with(|m| m.tensors[0].scales.clear())),
        ("weights without scale", with(|m| m.tensors[1].scales.clear())),
        ("weights with a zero point", with(|m| m.tensors[1].zeros = vec![3])),
        (
            "weights that are computed",
            with(|m| {
                m.tensors[1].data.clear();
                m.inputs = vec![0, 1];
            }),
        ),
        (
            "scales along the wrong dimension",
            with(|m| {
                m.tensors[1].scales = vec![1.0; 3];
                m.tensors[1].zeros = vec![0; 3];
                m.tensors[1].axis = 1;
            }),
        ),
        ("weights of the wrong rank", with(|m| m.tensors[1].shape = vec![2, 9, 4])),
        ("weights for other channels", with(|m| m.tensors[1].shape = vec![2, 2, 6, 3])),
        (
            "a bias of another type",
            with(|m| {
                m.tensors[2].elem = Elem::INT64;
                m.tensors[2].data = vec![0; 16];
            }),
        ),
        (
            "a bias of the wrong length",
            with(|m| {
                m.tensors[2].shape = vec![3];
                m.tensors[2].data = vec![0; 12];
            }),
        ),
        ("a result of the wrong shape", with(|m| m.tensors[3].shape = vec![1, 3, 4, 2])),
        ("a stride of 0", conv(fb::Padding::SAME, 0, Activation::NONE)),
        ("an activation that is not supported", conv(fb::Padding::SAME, 1, Activation::TANH)),
        ("a padding that is not known", conv(fb::Padding(9), 1, Activation::NONE)),
        ("options that are missing", with(|m| m.operators[0].options = Options::None)),
    ]
}

#[test]
fn the_schema_names_every_operator_that_a_message_may_name() {
    let unnamed = (0..=209).filter(|&code| schema::tflite::BuiltinOperator(code).variant_name().is_none());
    assert_eq!(unnamed.collect::<Vec<_>>(), Vec::<i32>::new());
}
