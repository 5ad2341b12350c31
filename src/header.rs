//! The C header beside the object file: calls, accessors, and every number that a firmware needs to know.
//!
//! C99 and C++, without a warning under `-Wall -Wextra -pedantic`. It includes only `stdint.h`.

use std::fmt::Write;

/// What the header says.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderSpec {
    /// Begins every name: a C identifier, see [`identifier`].
    pub prefix: String,
    /// `0.1.0`.
    pub tinyc_version: String,
    /// SHA-256 of the model file, in hexadecimal.
    pub model_sha256: String,
    /// The core that the code is for: `cortex-m4`.
    pub cpu: String,
    /// Size of the arena in bytes.
    pub arena_bytes: u32,
    /// Alignment of the arena in bytes.
    pub arena_align: u32,
    /// Stack of a run in bytes, all calls included.
    pub stack_bytes: u32,
    /// Whether the code touches S registers.
    pub uses_fpu: bool,
    /// Multiply-accumulates of one inference, as the model file has them.
    pub macs: u64,
    /// Predicted cycles of one inference.
    pub cycles: u64,
    /// In the order of the model.
    pub inputs: Vec<TensorSpec>,
    /// In the order of the model.
    pub outputs: Vec<TensorSpec>,
    /// Whether the model keeps state between runs, which `reset` clears.
    pub has_state: bool,
    /// The number of layers, where the object has `run_until`.
    pub run_until_layers: Option<u32>,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// Its elements.
    pub element: CType,
    /// Bytes from the start of the arena.
    pub offset: u32,
    /// Size in bytes.
    pub bytes: u32,
    /// Extents, outermost first.
    pub shape: Vec<u32>,
    /// What real numbers the integers stand for, or `None` where they stand for themselves.
    pub quantization: Option<Quantization>,
}

/// An integer `q` stands for `scale * (q - zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantization {
    /// Finite and positive.
    pub scale: f32,
    /// In the range of the element.
    pub zero_point: i32,
}

/// The type of a tensor's elements in C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CType {
    /// `int8_t`
    Int8,
    /// `uint8_t`
    Uint8,
    /// `int16_t`
    Int16,
    /// `int32_t`
    Int32,
    /// `int64_t`
    Int64,
    /// `float`
    Float,
}

impl CType {
    /// The type as C spells it.
    pub fn name(self) -> &'static str {
        match self {
            CType::Int8 => "int8_t",
            CType::Uint8 => "uint8_t",
            CType::Int16 => "int16_t",
            CType::Int32 => "int32_t",
            CType::Int64 => "int64_t",
            CType::Float => "float",
        }
    }
}

/// The prefix for a file called `stem`: what is not a letter or digit becomes `_`.
pub fn identifier(stem: &str) -> String {
    let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    match name.chars().next() {
        Some('a'..='z' | 'A'..='Z') => name,
        Some('_') => format!("model{name}"),
        _ => format!("model_{name}"),
    }
}

/// The text of the header.
pub fn header(spec: &HeaderSpec) -> String {
    let mut out = String::new();
    write_header(spec, &mut out).expect("writing to a String cannot fail");
    out
}

fn write_header(spec: &HeaderSpec, out: &mut String) -> std::fmt::Result {
    let upper = spec.prefix.to_ascii_uppercase();
    writeln!(
        out,
        "/* Made by tinyc {} for {}; link it with the object file beside it. */",
        spec.tinyc_version, spec.cpu
    )?;
    writeln!(out, "#ifndef TINYC_{upper}_H\n#define TINYC_{upper}_H\n\n#include <stdint.h>\n")?;
    write_model_constants(spec, &upper, out)?;
    for (kind, tensors) in [("INPUT", &spec.inputs), ("OUTPUT", &spec.outputs)] {
        writeln!(out, "#define {upper}_{kind}S {}", tensors.len())?;
        for (idx, tensor) in tensors.iter().enumerate() {
            write_tensor_constants(tensor, &format!("{upper}_{kind}_{idx}"), out)?;
        }
        writeln!(out)?;
    }
    writeln!(out, "#ifdef __cplusplus\nextern \"C\" {{\n#endif\n")?;
    write_calls(spec, &upper, out)?;
    writeln!(out, "#ifdef __cplusplus\n}}\n#endif\n")?;
    write_accessors(spec, out)?;
    writeln!(out, "#endif")
}

fn write_model_constants(spec: &HeaderSpec, upper: &str, out: &mut String) -> std::fmt::Result {
    writeln!(out, "#define {upper}_TINYC_VERSION \"{}\"", spec.tinyc_version)?;
    writeln!(out, "#define {upper}_MODEL_SHA256 \"{}\"\n", spec.model_sha256)?;
    writeln!(out, "#define {upper}_ARENA_BYTES {}u", spec.arena_bytes)?;
    writeln!(out, "#define {upper}_ARENA_ALIGN {}", spec.arena_align)?;
    writeln!(out, "#define {upper}_STACK_BYTES {}u /* of a run, all calls included */", spec.stack_bytes)?;
    let fpu = if spec.uses_fpu { "1 /* switch it on first */" } else { "0" };
    writeln!(out, "#define {upper}_USES_FPU {fpu}")?;
    writeln!(out, "#define {upper}_MACS {}", unsigned(spec.macs))?;
    writeln!(
        out,
        "#define {upper}_CYCLES {} /* of a run, predicted, memory without wait states */\n",
        unsigned(spec.cycles)
    )
}

fn write_tensor_constants(tensor: &TensorSpec, name: &str, out: &mut String) -> std::fmt::Result {
    writeln!(out, "#define {name}_BYTES {}u", tensor.bytes)?;
    let extents: Vec<String> = tensor.shape.iter().map(u32::to_string).collect();
    // C has no empty initialiser, and a scalar is one element.
    let extents = if extents.is_empty() { "1".to_owned() } else { extents.join(", ") };
    writeln!(out, "#define {name}_SHAPE {{{extents}}}")?;
    if let Some(Quantization { scale, zero_point }) = tensor.quantization {
        // The shortest digits that give the same float.
        writeln!(out, "#define {name}_SCALE {scale:e}f")?;
        writeln!(out, "#define {name}_ZERO_POINT {}", in_parentheses(zero_point))?;
    }
    Ok(())
}

fn write_calls(spec: &HeaderSpec, upper: &str, out: &mut String) -> std::fmt::Result {
    let prefix = &spec.prefix;
    if spec.has_state {
        writeln!(out, "/* Forgets what earlier runs left in the arena: call it before the first run. */")?;
        writeln!(out, "void {prefix}_reset(void *arena);\n")?;
    }
    writeln!(
        out,
        "/* One inference. The arena has {upper}_ARENA_BYTES bytes, aligned to {upper}_ARENA_ALIGN; write the\n \
         * inputs there before each run, then read the outputs: a run overwrites its inputs. */"
    )?;
    writeln!(out, "void {prefix}_run(void *arena);\n")?;
    if let Some(layers) = spec.run_until_layers {
        writeln!(out, "#define {upper}_LAYERS {layers}u")?;
        writeln!(out, "/* Runs the layers before `layer` only, to look at what they leave in the arena. */")?;
        writeln!(out, "void {prefix}_run_until(void *arena, unsigned layer);\n")?;
    }
    Ok(())
}

fn write_accessors(spec: &HeaderSpec, out: &mut String) -> std::fmt::Result {
    for (kind, access, tensors) in [("input", "", &spec.inputs), ("output", "const ", &spec.outputs)] {
        for (idx, TensorSpec { element, offset, .. }) in tensors.iter().enumerate() {
            let element = element.name();
            let prefix = &spec.prefix;
            writeln!(
                out,
                "static inline {access}{element} *{prefix}_{kind}_{idx}({access}void *arena)\n{{\n    \
                 return ({access}{element} *)({access}void *)(({access}unsigned char *)arena + {offset}u);\n}}\n"
            )?;
        }
    }
    Ok(())
}

/// A literal that C takes as unsigned, in 64 bits where it needs them.
fn unsigned(number: u64) -> String {
    let suffix = if number > u32::MAX.into() { "ull" } else { "u" };
    format!("{number}{suffix}")
}

/// A macro's number: a sign must not meet an operator before it.
fn in_parentheses(number: i32) -> String {
    match number {
        0.. => number.to_string(),
        // C has no negative literals, and 2147483648 is no int.
        i32::MIN => "(-2147483647 - 1)".to_owned(),
        _ => format!("({number})"),
    }
}
