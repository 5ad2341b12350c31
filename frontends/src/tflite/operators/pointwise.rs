//! Operators that compute each element from the elements at the same place, and the softmax of a row.

use ir::diag::Diagnostic;
use ir::graph::ops::{Add, Dequantize, Quantize, Relu, Softmax};

use super::super::schema::tflite::ActivationFunctionType as Activation;
use super::operator::{Operand, Operator, Translated};

pub(super) fn add(op: &Operator<'_>) -> Result<Translated, Diagnostic> {
    // Without options the fields have their default values.
    let options = op.raw.table.builtin_options_as_add_options();
    let activation = options.map_or(Activation::NONE, |o| o.fused_activation_function());
    let add = Add { clamp: op.clamp(activation)? };
    Ok(Translated { op: add.into(), operands: vec![Operand::Input(0), Operand::Input(1)] })
}

pub(super) fn relu(op: &Operator<'_>) -> Result<Translated, Diagnostic> {
    Ok(Translated::unary(Relu { clamp: op.clamp(Activation::RELU)?, single_ratio: false }))
}

pub(super) fn relu6(op: &Operator<'_>) -> Result<Translated, Diagnostic> {
    Ok(Translated::unary(Relu { clamp: op.clamp(Activation::RELU6)?, single_ratio: true }))
}

pub(super) fn softmax(op: &Operator<'_>) -> Result<Translated, Diagnostic> {
    let options = op.raw.table.builtin_options_as_softmax_options().ok_or_else(|| op.no_options())?;
    Ok(Translated::unary(Softmax { beta: options.beta() }))
}

pub(super) fn quantize(_: &Operator<'_>) -> Result<Translated, Diagnostic> {
    Ok(Translated::unary(Quantize {}))
}

pub(super) fn dequantize(_: &Operator<'_>) -> Result<Translated, Diagnostic> {
    Ok(Translated::unary(Dequantize {}))
}
