//! Checks tensors one by one: element type, shape, quantisation, data. What an operator asks of its operands
//! is checked with the operator.

use std::collections::BTreeMap;
use std::sync::Arc;

use ir::diag::Diagnostic;
use ir::ty::{Quant, TensorType, Ty};

use super::file::{RawData, RawQuant, RawTensor};
use super::schema::tflite as fb;

/// The largest tensor, in bytes: above the memory of any Cortex-M.
const MAX_TENSOR_BYTES: usize = 256 << 20;

/// The highest rank; the format itself has no limit, and no reference kernel takes more.
const MAX_RANK: usize = 8;

/// A tensor that holds what it promises.
#[derive(Clone)]
pub(super) struct Tensor {
    pub ty: TensorType,
    pub name: String,
    /// The elements, for a constant.
    pub data: Option<Arc<[u8]>>,
}

/// Checks tensors; constants that share a buffer in the file share their bytes afterwards.
#[derive(Default)]
pub(super) struct TensorChecker {
    buffers: BTreeMap<u32, Arc<[u8]>>,
}

impl TensorChecker {
    /// The tensor, or what is wrong with it: a sentence that the caller puts the tensor's name before.
    pub fn check(&mut self, raw: &RawTensor<'_>) -> Result<Tensor, Diagnostic> {
        check_kind(raw)?;
        let elem = element_type(raw.elem)?;
        let shape = shape(raw, elem)?;
        let quant = quant(&raw.quant, elem, &shape)?;
        let ty = TensorType { elem, shape, quant };
        let data = match raw.data {
            RawData::None => None,
            RawData::Buffer(idx, bytes) => Some(self.constant(idx, bytes, &ty)?),
            RawData::Missing(idx) => {
                return Err(Diagnostic::new(format!("its buffer {idx} does not exist")));
            }
            RawData::External => {
                return Err(Diagnostic::new(
                    "its data lies outside of the model's buffers, which is not supported",
                )
                .help("convert a model under 2 GB without external buffers"));
            }
        };
        Ok(Tensor { ty, name: raw.name.clone(), data })
    }

    fn constant(&mut self, idx: u32, bytes: &[u8], ty: &TensorType) -> Result<Arc<[u8]>, Diagnostic> {
        if bytes.len() != ty.bytes() {
            let (found, wanted) = (bytes.len(), ty.bytes());
            let ty = display_type(ty);
            return Err(Diagnostic::new(format!("its buffer has {found} bytes, but {ty} takes {wanted}")));
        }
        Ok(self.buffers.entry(idx).or_insert_with(|| bytes.into()).clone())
    }
}

/// `i8[1, 10, 10, 8]`: element type and shape without quantisation.
pub(super) fn display_type(ty: &TensorType) -> String {
    format!("{}{:?}", ty.elem, ty.shape)
}

/// Our name of an element type of the format, or the format's own in lower case.
pub(super) fn element_name(elem: fb::TensorType) -> String {
    match element_type(elem) {
        Ok(ty) => ty.to_string(),
        Err(_) => match elem.variant_name() {
            Some(name) => name.to_ascii_lowercase(),
            None => format!("type {}", elem.0),
        },
    }
}

fn check_kind(raw: &RawTensor<'_>) -> Result<(), Diagnostic> {
    if raw.is_variable {
        return Err(Diagnostic::new("it is a variable, but state between inferences is not supported"));
    }
    if raw.is_sparse {
        return Err(Diagnostic::new("it is sparse, only dense tensors are supported")
            .help("convert the model without sparsity compression"));
    }
    Ok(())
}

fn element_type(elem: fb::TensorType) -> Result<Ty, Diagnostic> {
    Ok(match elem {
        fb::TensorType::INT8 => Ty::I8,
        fb::TensorType::UINT8 => Ty::U8,
        fb::TensorType::INT16 => Ty::I16,
        fb::TensorType::INT32 => Ty::I32,
        fb::TensorType::INT64 => Ty::I64,
        fb::TensorType::FLOAT32 => Ty::F32,
        other => {
            let found = match other.variant_name() {
                Some(name) => name.to_ascii_lowercase(),
                None => format!("of unknown type {}", other.0),
            };
            return Err(Diagnostic::new(format!("its elements are {found}, which is not supported"))
                .help("quantise the whole model to int8"));
        }
    })
}

/// The static shape. A batch that is not known stands as -1 in the signature and as 1 in the shape.
fn shape(raw: &RawTensor<'_>, elem: Ty) -> Result<Vec<usize>, Diagnostic> {
    let signature = &raw.shape_signature;
    let batch_is_pinned = signature.len() == raw.shape.len() && raw.shape.first() == Some(&1);
    let unknown = signature.iter().position(|&n| n < 0);
    let is_dynamic = match unknown {
        Some(0) => !batch_is_pinned || signature[1..].iter().any(|&n| n < 0),
        unknown => unknown.is_some() || raw.shape.contains(&-1),
    };
    if is_dynamic {
        let shown = if unknown.is_some() { signature } else { &raw.shape };
        return Err(Diagnostic::new(format!("its shape {shown:?} is dynamic, only static shapes are supported"))
            .help("give the model's inputs fixed shapes before converting it; only the batch may be left open, it is taken as 1"));
    }
    if raw.shape.len() > MAX_RANK {
        let rank = raw.shape.len();
        return Err(Diagnostic::new(format!("it has {rank} dimensions, at most {MAX_RANK} are supported")));
    }
    let shape: Option<Vec<usize>> =
        raw.shape.iter().map(|&n| usize::try_from(n).ok().filter(|&n| n > 0)).collect();
    let Some(shape) = shape else {
        return Err(Diagnostic::new(format!("its shape {:?} has an extent below 1", raw.shape)));
    };
    let bytes = shape.iter().try_fold(elem.bytes(), |bytes, &n| bytes.checked_mul(n));
    match bytes {
        Some(bytes) if bytes <= MAX_TENSOR_BYTES => Ok(shape),
        _ => Err(Diagnostic::new(format!("its shape {shape:?} takes more than {MAX_TENSOR_BYTES} bytes"))),
    }
}

fn quant(raw: &RawQuant, elem: Ty, shape: &[usize]) -> Result<Quant, Diagnostic> {
    if !matches!(elem, Ty::I8 | Ty::U8 | Ty::I16) {
        // The scale of a bias is that of input times weights, whatever the file says, and some files have the axis
        // of the weights there; floats sometimes keep what the training left.
        return Ok(Quant::None);
    }
    if raw.is_custom {
        return Err(Diagnostic::new(
            "its quantisation is neither per tensor nor per channel, only these are supported",
        ));
    }
    if raw.scales.is_empty() {
        return Ok(Quant::None);
    }
    if let Some(scale) = raw.scales.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
        return Err(Diagnostic::new(format!(
            "its scale is {scale}, only finite positive ones are supported"
        )));
    }
    let zeros = zero_points(raw, elem)?;
    if let [scale] = raw.scales[..] {
        return Ok(Quant::PerTensor { scale, zero: zeros[0] });
    }
    let (count, axis) = (raw.scales.len(), raw.axis);
    let extent = usize::try_from(axis).ok().and_then(|axis| shape.get(axis));
    if extent != Some(&count) {
        return Err(Diagnostic::new(format!("it has {count} scales along dimension {axis} of {shape:?}")));
    }
    if let Some(zero) = zeros.iter().find(|z| **z != 0) {
        return Err(Diagnostic::new(format!(
            "it has a scale per channel and zero point {zero}, only 0 is supported"
        )));
    }
    Ok(Quant::PerChannel { axis: axis as usize, scales: raw.scales.clone() })
}

/// One zero point for each scale, within the range of the elements.
fn zero_points(raw: &RawQuant, elem: Ty) -> Result<Vec<i32>, Diagnostic> {
    let (scales, zeros) = (raw.scales.len(), raw.zeros.len());
    if zeros == 0 {
        return Ok(vec![0; scales]);
    }
    if zeros != scales {
        return Err(Diagnostic::new(format!("it has {scales} scales and {zeros} zero points")));
    }
    let (low, high) = elem.range().expect("only integers are quantised");
    let in_range = |&zero: &i64| i32::try_from(zero).ok().filter(|_| (low..=high).contains(&zero));
    raw.zeros.iter().map(|zero| in_range(zero).ok_or(zero)).collect::<Result<_, _>>().map_err(|zero| {
        Diagnostic::new(format!("its zero point {zero} is not an {elem}, which reaches from {low} to {high}"))
    })
}
