//! The operators: one file each, with its attributes, shape rule and meaning, which hold on every target.
//!
//! All share the syntax `%y = name %a, %b {attribute = value} : type`, so an operator has no parser or printer of
//! its own: its row below adds it to [`Op`].
//! The derived integers of an operator (multipliers, counts, tables) are functions of its file, which evaluation
//! and lowering both call.

pub mod add;
pub mod avg_pool2d;
pub mod conv2d;
pub mod depthwise_conv2d;
pub mod dequantize;
pub mod fully_connected;
pub mod max_pool2d;
pub mod mean;
pub mod pad;
pub mod quantize;
pub mod relu;
pub mod reshape;
pub mod softmax;
pub mod transpose;

pub mod requant;
pub mod strided;
pub mod window;

use crate::diag::Diagnostic;
use crate::graph::Tensor;
use crate::graph::attr::{Attr, AttrReader, Attributes};
use crate::ty::{Quant, TensorType, TypeError};

/// Most bytes that one tensor may have: offsets are 32 bits on every target.
pub const MAX_TENSOR_BYTES: usize = 1 << 31;

/// What is true of an operator on every target.
pub trait GraphOp: OpKind + Attributes {
    /// Its name in text.
    const NAME: &'static str;
    /// Number of operands.
    const INPUTS: usize;

    /// Element type and shape of the result; its quantisation too, where the operator keeps that of its operand.
    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, TypeError>;

    /// Refuses scales, zero points and clamps that the arithmetic has no meaning for. Runs after [`GraphOp::infer`].
    fn check(&self, inputs: &[&TensorType], out: &TensorType) -> Result<(), TypeError>;

    /// The result as tflite-micro's reference kernels compute it, bit for bit: what every level is compared with.
    fn eval(&self, inputs: &[&Tensor], out: &TensorType) -> Tensor;

    /// Multiplications of weights with activations, padding included.
    fn macs(&self, _inputs: &[&TensorType], _out: &TensorType) -> u64 {
        0
    }
}

/// A variant of [`Op`].
pub trait OpKind: Clone + PartialEq + Into<Op> + 'static {
    /// The operator's attributes, where `op` is of this kind.
    fn of(op: &Op) -> Option<&Self>;
}

macro_rules! ops {
    ($($(#[$doc:meta])* $module:ident::$Op:ident,)*) => {
        $(pub use $module::$Op;)*

        /// An operator with its attributes.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Op {
            $($(#[$doc])* $Op($Op),)*
        }

        impl Op {
            /// The names of all operators.
            pub const NAMES: &'static [&'static str] = &[$(<$Op as GraphOp>::NAME),*];

            /// Its name in text.
            pub fn name(&self) -> &'static str {
                match self { $(Op::$Op(_) => <$Op as GraphOp>::NAME),* }
            }

            /// Number of operands.
            pub fn n_inputs(&self) -> usize {
                match self { $(Op::$Op(_) => <$Op as GraphOp>::INPUTS),* }
            }

            /// Name and value of each attribute.
            pub fn attrs(&self) -> Vec<(&'static str, Attr)> {
                match self { $(Op::$Op(op) => op.attrs()),* }
            }

            /// The operator called `name` with the attributes read, or `None` where no operator is called so.
            pub fn from_attrs(name: &str, mut reader: AttrReader) -> Option<Result<Op, Diagnostic>> {
                let read = match name {
                    $(<$Op as GraphOp>::NAME => $Op::from_attrs(&mut reader).map(Op::$Op),)*
                    _ => return None,
                };
                Some(read.and_then(|op| reader.finish().map(|()| op)))
            }

            fn infer_kind(&self, inputs: &[&TensorType]) -> Result<TensorType, TypeError> {
                match self { $(Op::$Op(op) => op.infer(inputs)),* }
            }

            fn check_kind(&self, inputs: &[&TensorType], out: &TensorType) -> Result<(), TypeError> {
                match self { $(Op::$Op(op) => op.check(inputs, out)),* }
            }

            /// The result for operands and a result type that [`Op::check`] accepts.
            pub fn eval(&self, inputs: &[&Tensor], out: &TensorType) -> Tensor {
                match self { $(Op::$Op(op) => op.eval(inputs, out)),* }
            }

            /// Multiplications of weights with activations, padding included.
            pub fn macs(&self, inputs: &[&TensorType], out: &TensorType) -> u64 {
                match self { $(Op::$Op(op) => op.macs(inputs, out)),* }
            }
        }

        $(impl From<$Op> for Op {
            fn from(op: $Op) -> Op {
                Op::$Op(op)
            }
        }

        impl OpKind for $Op {
            fn of(op: &Op) -> Option<&Self> {
                match op {
                    Op::$Op(op) => Some(op),
                    _ => None,
                }
            }
        })*
    };
}

ops! {
    /// Sum of two tensors with broadcasting.
    add::Add,
    /// Mean over a moving window.
    avg_pool2d::AvgPool2d,
    /// Convolution over rows and columns.
    conv2d::Conv2d,
    /// Convolution of each channel by itself.
    depthwise_conv2d::DepthwiseConv2d,
    /// Integers to real numbers.
    dequantize::Dequantize,
    /// Matrix times vector, for each row of a batch.
    fully_connected::FullyConnected,
    /// Greatest element in a moving window.
    max_pool2d::MaxPool2d,
    /// Mean over whole dimensions.
    mean::Mean,
    /// Surrounds a tensor with a constant.
    pad::Pad,
    /// Real numbers, or integers of another scale, to integers.
    quantize::Quantize,
    /// Rescales and clamps.
    relu::Relu,
    /// The same elements in another shape.
    reshape::Reshape,
    /// Exponentials along the last dimension, scaled to the sum 1.
    softmax::Softmax,
    /// Reorders dimensions.
    transpose::Transpose,
}

impl Op {
    /// Type of the result for operands of the types `inputs`; without quantisation, unless the operator keeps that of
    /// its operand.
    pub fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, TypeError> {
        if inputs.len() != self.n_inputs() {
            let found = inputs.len();
            return Err(TypeError::new(format!("has {found} operands, expected {}", self.n_inputs())));
        }
        inputs.iter().try_for_each(|ty| expect_size(ty))?;
        let out = self.infer_kind(inputs)?;
        expect_size(&out)?;
        Ok(out)
    }

    /// Refuses operands and a result that the operator cannot compute, or not exactly.
    pub fn check(&self, inputs: &[&TensorType], out: &TensorType) -> Result<(), TypeError> {
        let inferred = self.infer(inputs)?;
        out.expect_elem(inferred.elem, "the result")?;
        out.expect_shape(&inferred.shape, "the result")?;
        self.check_kind(inputs, out)
    }
}

/// Refuses tensors without elements and tensors that offsets cannot reach.
pub fn expect_size(ty: &TensorType) -> Result<(), TypeError> {
    let bytes = ty.shape.iter().try_fold(ty.elem.bytes(), |bytes, extent| bytes.checked_mul(*extent));
    match bytes {
        Some(1..=MAX_TENSOR_BYTES) => Ok(()),
        _ => Err(TypeError::new(format!(
            "shape {:?} has no element or more than {MAX_TENSOR_BYTES} bytes",
            ty.shape
        ))),
    }
}

/// Refuses a result whose integers mean something else than those of the operand.
fn expect_same_quant(x: &TensorType, out: &TensorType) -> Result<(), TypeError> {
    if x.quant == out.quant {
        return Ok(());
    }
    let (found, wanted) = (describe_quant(out), describe_quant(x));
    Err(TypeError::new(format!("the result has {found}, but the input has {wanted}: they must be the same")))
}

fn describe_quant(ty: &TensorType) -> String {
    match &ty.quant {
        Quant::None => "no scale".into(),
        Quant::PerTensor { scale, zero } => format!("scale {scale} and zero point {zero}"),
        Quant::PerChannel { axis, .. } => format!("a scale for each channel along axis {axis}"),
    }
}
