//! The operators of the format that tinyc supports: one row each, which says how it becomes an operator of the graph.

mod operator;
mod pointwise;
mod shapes;
mod windows;

use std::ops::RangeInclusive;

use ir::diag::Diagnostic;

use super::file::RawOperator;
use super::schema::tflite::BuiltinOperator as Code;

pub(super) use operator::{Operand, Operator, Translated};

/// A supported operator.
pub(super) struct Row {
    code: Code,
    /// Its name at the graph level.
    name: &'static str,
    /// The newest version that is known; later ones may mean something else.
    max_version: i32,
    /// How many operands it may have; those beyond the least may be left out.
    pub operands: RangeInclusive<usize>,
    pub translate: fn(&Operator<'_>) -> Result<Translated, Diagnostic>,
}

// Versions: tensorflow/lite/core/kernels/register.cc of TensorFlow 2.16.
#[rustfmt::skip] // One operator per line.
const ROWS: &[Row] = &[
    Row { code: Code::ADD,               name: "add",              max_version: 5,  operands: 2..=2, translate: pointwise::add },
    Row { code: Code::AVERAGE_POOL_2D,   name: "avg_pool2d",       max_version: 3,  operands: 1..=1, translate: windows::avg_pool2d },
    Row { code: Code::CONV_2D,           name: "conv2d",           max_version: 7,  operands: 2..=3, translate: windows::conv2d },
    Row { code: Code::DEPTHWISE_CONV_2D, name: "depthwise_conv2d", max_version: 7,  operands: 2..=3, translate: windows::depthwise_conv2d },
    Row { code: Code::DEQUANTIZE,        name: "dequantize",       max_version: 5,  operands: 1..=1, translate: pointwise::dequantize },
    Row { code: Code::FULLY_CONNECTED,   name: "fully_connected",  max_version: 10, operands: 2..=3, translate: windows::fully_connected },
    Row { code: Code::MAX_POOL_2D,       name: "max_pool2d",       max_version: 3,  operands: 1..=1, translate: windows::max_pool2d },
    Row { code: Code::MEAN,              name: "mean",             max_version: 3,  operands: 2..=2, translate: shapes::mean },
    Row { code: Code::PAD,               name: "pad",              max_version: 4,  operands: 2..=2, translate: shapes::pad },
    Row { code: Code::PADV2,             name: "pad",              max_version: 4,  operands: 3..=3, translate: shapes::pad },
    Row { code: Code::QUANTIZE,          name: "quantize",         max_version: 3,  operands: 1..=1, translate: pointwise::quantize },
    Row { code: Code::RELU,              name: "relu",             max_version: 3,  operands: 1..=1, translate: pointwise::relu },
    Row { code: Code::RELU6,             name: "relu",             max_version: 3,  operands: 1..=1, translate: pointwise::relu6 },
    Row { code: Code::RESHAPE,           name: "reshape",          max_version: 1,  operands: 1..=2, translate: shapes::reshape },
    Row { code: Code::SOFTMAX,           name: "softmax",          max_version: 3,  operands: 1..=1, translate: pointwise::softmax },
    Row { code: Code::TRANSPOSE,         name: "transpose",        max_version: 6,  operands: 2..=2, translate: shapes::transpose },
];

/// The row of an operator, or why it has none.
pub(super) fn row(raw: &RawOperator<'_>) -> Result<&'static Row, Diagnostic> {
    let row = ROWS.iter().find(|row| Some(row.code) == raw.code);
    match row {
        Some(row) if (1..=row.max_version).contains(&raw.version) => Ok(row),
        Some(row) => Err(Diagnostic::new(format!(
            "version {} of the operator is not supported, versions 1 to {} are",
            raw.version, row.max_version
        ))),
        None if raw.code.is_none() => Err(Diagnostic::new("the model does not say which operator it is")),
        None if raw.code == Some(Code::CUSTOM) => {
            Err(Diagnostic::new("custom operators are not supported").help(supported()))
        }
        None => Err(Diagnostic::new("the operator is not supported").help(supported())),
    }
}

/// The graph's name of an operator, or for one that is not supported the format's.
pub(super) fn name(raw: &RawOperator<'_>) -> String {
    let row = ROWS.iter().find(|row| Some(row.code) == raw.code);
    row.map_or_else(|| raw.format_name(), |row| row.name.to_string())
}

fn supported() -> String {
    let names: Vec<_> =
        ROWS.iter().filter_map(|row| row.code.variant_name()).map(str::to_ascii_lowercase).collect();
    format!("supported are {}", names.join(", "))
}
