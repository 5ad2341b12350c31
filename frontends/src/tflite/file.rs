//! A `.tflite` file as plain data, read from a verified flatbuffer.
//!
//! Nothing is judged here beyond what it takes to read the file at all: indices, shapes and numbers are as the
//! file has them, so that `inspect` can show what [`super::load`] refuses.

use flatbuffers::{ForwardsUOffset, Vector, VerifierOptions};
use ir::diag::Diagnostic;

use super::schema::tflite as fb;

/// The largest file that is read, in bytes: far above any flash, far below what could exhaust the host.
const MAX_FILE_BYTES: usize = 256 << 20;

/// Version of the format, in the file's own counting.
const FORMAT_VERSION: u32 = 3;

/// The parts of a file that tinyc reads.
pub(super) struct File<'a> {
    pub tensors: Vec<RawTensor<'a>>,
    pub operators: Vec<RawOperator<'a>>,
    /// Tensor indices, not checked.
    pub inputs: Vec<i32>,
    /// Tensor indices, not checked.
    pub outputs: Vec<i32>,
    pub description: String,
}

/// A tensor as the file has it.
pub(super) struct RawTensor<'a> {
    /// The name, printable, possibly empty.
    pub name: String,
    pub elem: fb::TensorType,
    pub shape: Vec<i32>,
    /// The shape with -1 for what is not known, or empty.
    pub shape_signature: Vec<i32>,
    pub data: RawData<'a>,
    pub quant: RawQuant,
    pub is_variable: bool,
    pub is_sparse: bool,
}

/// Where the elements of a tensor are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RawData<'a> {
    /// Nowhere: an activation.
    None,
    /// In the buffer of this index.
    Buffer(u32, &'a [u8]),
    /// In the buffer of this index, which the file does not have.
    Missing(u32),
    /// Outside of the flatbuffer.
    External,
}

/// Quantisation as the file has it.
#[derive(Default)]
pub(super) struct RawQuant {
    pub scales: Vec<f32>,
    pub zeros: Vec<i64>,
    pub axis: i32,
    /// Whether another scheme than scales and zero points is meant.
    pub is_custom: bool,
}

/// An operator as the file has it.
pub(super) struct RawOperator<'a> {
    /// The operator's number, or `None` where the file has no such operator code.
    pub code: Option<fb::BuiltinOperator>,
    /// Name of a custom operator.
    pub custom: String,
    pub version: i32,
    /// Tensor indices, -1 for an optional operand that is left out; not checked.
    pub inputs: Vec<i32>,
    /// Tensor indices, not checked.
    pub outputs: Vec<i32>,
    /// For the options, which every operator reads by itself.
    pub table: fb::Operator<'a>,
}

impl<'a> File<'a> {
    /// Verifies and reads `bytes`.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Diagnostic> {
        let model = verified(bytes)?;
        if model.version() != FORMAT_VERSION {
            let found = model.version();
            return Err(Diagnostic::new(format!(
                "format version {found} of the model is not supported, only version {FORMAT_VERSION} is"
            )));
        }
        let graph = only_subgraph(&model)?;
        let codes = Codes(model.operator_codes());
        let operators = graph.operators().into_iter().flatten().map(|op| codes.operator(op));
        let tensors = graph.tensors().into_iter().flatten().map(|t| tensor(t, model.buffers()));
        Ok(File {
            tensors: tensors.collect(),
            operators: operators.collect(),
            inputs: scalars(graph.inputs()),
            outputs: scalars(graph.outputs()),
            description: printable(model.description()),
        })
    }

    /// The tensor of this index, where the file has it.
    pub fn tensor(&self, idx: i32) -> Option<&RawTensor<'a>> {
        self.tensors.get(usize::try_from(idx).ok()?)
    }
}

impl RawOperator<'_> {
    /// The format's name of the operator in lower case: `conv_2d`.
    pub fn format_name(&self) -> String {
        match self.code {
            None => "?".to_string(),
            Some(fb::BuiltinOperator::CUSTOM) if !self.custom.is_empty() => self.custom.clone(),
            Some(code) => match code.variant_name() {
                Some(name) => name.to_ascii_lowercase(),
                None => format!("operator code {}", code.0),
            },
        }
    }
}

/// The operator codes of a file.
struct Codes<'a>(Option<Vector<'a, ForwardsUOffset<fb::OperatorCode<'a>>>>);

impl<'a> Codes<'a> {
    fn operator(&self, op: fb::Operator<'a>) -> RawOperator<'a> {
        let entry = self.0.and_then(|codes| {
            let idx = op.opcode_index() as usize;
            (idx < codes.len()).then(|| codes.get(idx))
        });
        RawOperator {
            // Files from before the wide field have 0 in it, and later ones a copy or a marker in the narrow one.
            code: entry
                .map(|e| fb::BuiltinOperator(e.builtin_code().0.max(i32::from(e.deprecated_builtin_code())))),
            custom: printable(entry.and_then(|e| e.custom_code())),
            version: entry.map_or(0, |e| e.version()),
            inputs: scalars(op.inputs()),
            outputs: scalars(op.outputs()),
            table: op,
        }
    }
}

fn verified(bytes: &[u8]) -> Result<fb::Model<'_>, Diagnostic> {
    let is_not = |what: &str| Diagnostic::new(format!("the file is not a TFLite model: {what}"));
    if bytes.is_empty() {
        return Err(Diagnostic::new("the file is empty"));
    }
    if bytes.len() < 8 {
        return Err(is_not(&format!("it has {} bytes, the header alone has 8", bytes.len())));
    }
    if bytes[4..8] != *fb::MODEL_IDENTIFIER.as_bytes() {
        let found = bytes[4..8].escape_ascii();
        return Err(is_not(&format!("its identifier is `{found}`, not `{}`", fb::MODEL_IDENTIFIER)));
    }
    if bytes.len() > MAX_FILE_BYTES {
        let found = bytes.len();
        return Err(Diagnostic::new(format!(
            "the model has {found} bytes, at most {MAX_FILE_BYTES} are read"
        )));
    }
    let options = VerifierOptions {
        max_depth: 16,
        max_tables: 1_000_000,
        max_apparent_size: MAX_FILE_BYTES,
        ignore_missing_null_terminator: true,
    };
    fb::root_as_model_with_opts(&options, bytes).map_err(|error| {
        Diagnostic::new(format!("the model is damaged: {}", reason(&error)))
            .help("compare its size and checksum with the original; a download may have been cut short")
    })
}

/// The verifier's reason without its trace, which names generated code.
fn reason(error: &flatbuffers::InvalidFlatbuffer) -> String {
    use flatbuffers::InvalidFlatbuffer as Invalid;
    match error {
        Invalid::MissingRequiredField { required, .. } => format!("field `{required}` is missing"),
        Invalid::InconsistentUnion { field, .. } => format!("`{field}` and its tag contradict each other"),
        Invalid::Unaligned { position, .. } => format!("data at byte {position} is not aligned"),
        Invalid::RangeOutOfBounds { range, .. } => {
            format!("bytes {} to {} lie outside of the file", range.start, range.end)
        }
        Invalid::SignedOffsetOutOfBounds { soffset, position, .. } => {
            format!("the offset {soffset} at byte {position} leads out of the file")
        }
        Invalid::TooManyTables => "it has too many tables".to_string(),
        Invalid::ApparentSizeTooLarge => "its parts are used too many times over".to_string(),
        Invalid::DepthLimitReached => "its tables are nested too deeply".to_string(),
        other => other.to_string().lines().next().unwrap_or("").trim_end_matches(['.', '\n']).to_string(),
    }
}

fn only_subgraph<'a>(model: &fb::Model<'a>) -> Result<fb::SubGraph<'a>, Diagnostic> {
    let subgraphs = model.subgraphs();
    let count = subgraphs.map_or(0, |all| all.len());
    match subgraphs {
        Some(all) if count == 1 => Ok(all.get(0)),
        _ => Err(Diagnostic::new(format!("the model has {count} subgraphs, only one is supported")).help(
            "`if` and `while` are not supported; export one signature of the model, without control flow",
        )),
    }
}

fn tensor<'a>(
    table: fb::Tensor<'a>,
    buffers: Option<Vector<'a, ForwardsUOffset<fb::Buffer<'a>>>>,
) -> RawTensor<'a> {
    let quant = table.quantization().map(|q| RawQuant {
        scales: scalars(q.scale()),
        zeros: scalars(q.zero_point()),
        axis: q.quantized_dimension(),
        is_custom: q.details_type() != 0,
    });
    RawTensor {
        name: printable(table.name()),
        elem: table.type_(),
        shape: scalars(table.shape()),
        shape_signature: scalars(table.shape_signature()),
        data: if table.external_buffer() != 0 { RawData::External } else { data(table.buffer(), buffers) },
        quant: quant.unwrap_or_default(),
        is_variable: table.is_variable(),
        is_sparse: table.sparsity().is_some(),
    }
}

fn data<'a>(idx: u32, buffers: Option<Vector<'a, ForwardsUOffset<fb::Buffer<'a>>>>) -> RawData<'a> {
    let Some(buffer) = buffers.filter(|all| (idx as usize) < all.len()).map(|all| all.get(idx as usize))
    else {
        // Buffer 0 stands for "no data" and may be left out together with all others.
        return if idx == 0 { RawData::None } else { RawData::Missing(idx) };
    };
    if buffer.offset() > 1 || buffer.size() > 1 {
        return RawData::External;
    }
    match buffer.data() {
        Some(data) if !data.is_empty() => RawData::Buffer(idx, data.bytes()),
        _ => RawData::None,
    }
}

fn scalars<'a, T: flatbuffers::Follow<'a> + 'a>(vector: Option<Vector<'a, T>>) -> Vec<T::Inner> {
    vector.into_iter().flatten().collect()
}

/// Text from the file in a form that is safe to print on one line.
fn printable(bytes: Option<Vector<'_, u8>>) -> String {
    let bytes = bytes.map_or(&[][..], |b| b.bytes());
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if c.is_control() || c == '`' { '?' } else { c }).collect()
}
