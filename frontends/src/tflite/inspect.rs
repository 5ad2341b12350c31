//! What is in a model file, supported or not: for people who ask why a model is refused or where its cost is.

use ir::diag::Diagnostic;

use super::file::{File, RawData, RawOperator, RawTensor};
use super::load;
use super::schema::tflite::BuiltinOperator as Code;
use super::tensors::element_name;

/// A model file: operators with shapes and costs, and what is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// Free text from the exporter; may be empty.
    pub description: String,
    /// The model's inputs, in order.
    pub inputs: Vec<TensorInfo>,
    /// The model's outputs, in order.
    pub outputs: Vec<TensorInfo>,
    /// All operators, in order of execution.
    pub operators: Vec<OperatorInfo>,
    /// Multiplications of weights with activations, padding included, where they are known for all operators
    /// that have any.
    pub macs: u64,
    /// Bytes of all constants, each buffer of the file counted once.
    pub constant_bytes: u64,
    /// What [`super::load`] says about the model; empty for a model that is accepted.
    pub refusals: Vec<Diagnostic>,
}

/// An operator of a model file.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatorInfo {
    /// Index in the file, from 0.
    pub index: usize,
    /// The operator as the format calls it, in lower case: `conv_2d`.
    pub kind: String,
    /// Name of its first result.
    pub name: String,
    /// Operands, constants included, without those that are left out.
    pub inputs: Vec<TensorInfo>,
    /// Results.
    pub outputs: Vec<TensorInfo>,
    /// Multiplications of weights with activations, padding included; 0 for operators without weights.
    pub macs: u64,
    /// Bytes of its constant operands.
    pub weight_bytes: u64,
    /// Why this operator is refused, in the words of the first error about it.
    pub refusal: Option<String>,
}

/// A tensor of a model file.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// The name; may be empty.
    pub name: String,
    /// Element type: `i8`, or as the format calls it where tinyc has no such type.
    pub elem: String,
    /// Extents as in the file, outermost first; -1 where one is not known.
    pub shape: Vec<i32>,
    /// Whether the file has its elements.
    pub is_constant: bool,
}

/// Describes a file that can be read at all, whether or not it is supported.
pub(super) fn inspect(file: &File<'_>) -> Inspection {
    let problems = load::load(file, "model").err().unwrap_or_default();
    let mut operators: Vec<OperatorInfo> =
        file.operators.iter().enumerate().map(|(idx, raw)| operator(idx, raw, file)).collect();
    for problem in &problems {
        if let Some(idx) = problem.op {
            operators[idx].refusal.get_or_insert_with(|| problem.diagnostic.message.clone());
        }
    }
    Inspection {
        description: file.description.clone(),
        inputs: tensors(&file.inputs, file),
        outputs: tensors(&file.outputs, file),
        macs: operators.iter().fold(0, |sum, op| sum.saturating_add(op.macs)),
        constant_bytes: constant_bytes(file),
        operators,
        refusals: load::diagnostics(problems),
    }
}

fn operator(index: usize, raw: &RawOperator<'_>, file: &File<'_>) -> OperatorInfo {
    let inputs = tensors(&raw.inputs, file);
    let outputs = tensors(&raw.outputs, file);
    OperatorInfo {
        index,
        kind: raw.format_name(),
        name: outputs.first().map_or(String::new(), |output| output.name.clone()),
        macs: macs(raw, file),
        weight_bytes: raw.inputs.iter().filter_map(|&idx| file.tensor(idx)).map(data_bytes).sum(),
        inputs,
        outputs,
        refusal: None,
    }
}

fn tensors(indices: &[i32], file: &File<'_>) -> Vec<TensorInfo> {
    let info = |raw: &RawTensor<'_>| TensorInfo {
        name: raw.name.clone(),
        elem: element_name(raw.elem),
        shape: raw.shape.clone(),
        is_constant: data_bytes(raw) > 0,
    };
    indices.iter().filter_map(|&idx| file.tensor(idx)).map(info).collect()
}

fn data_bytes(raw: &RawTensor<'_>) -> u64 {
    match raw.data {
        RawData::Buffer(_, bytes) => bytes.len() as u64,
        RawData::None | RawData::Missing(_) | RawData::External => 0,
    }
}

fn constant_bytes(file: &File<'_>) -> u64 {
    let mut buffers: Vec<(u32, u64)> = file
        .tensors
        .iter()
        .filter_map(|raw| match raw.data {
            RawData::Buffer(idx, bytes) => Some((idx, bytes.len() as u64)),
            _ => None,
        })
        .collect();
    buffers.sort_unstable();
    buffers.dedup();
    buffers.iter().map(|(_, bytes)| bytes).sum()
}

/// Each element of the result takes one multiplication for each weight of its output channel.
fn macs(raw: &RawOperator<'_>, file: &File<'_>) -> u64 {
    let channel_axis = match raw.code {
        Some(Code::CONV_2D | Code::FULLY_CONNECTED) => 0,
        Some(Code::DEPTHWISE_CONV_2D) => 3,
        _ => return 0,
    };
    let shape = |indices: &[i32], position: usize| Some(&file.tensor(*indices.get(position)?)?.shape);
    let (Some(weights), Some(output)) = (shape(&raw.inputs, 1), shape(&raw.outputs, 0)) else { return 0 };
    let positive = |n: &i32| u64::try_from(*n).unwrap_or(0);
    let along = weights.iter().enumerate().filter(|(d, _)| *d != channel_axis).map(|(_, n)| positive(n));
    output.iter().map(positive).chain(along).fold(1, u64::saturating_mul)
}
