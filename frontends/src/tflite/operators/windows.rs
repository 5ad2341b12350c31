//! Operators with weights or a sliding window: convolutions, the fully connected layer, pools.

use ir::diag::Diagnostic;
use ir::graph::ops::{AvgPool2d, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d};
use ir::ty::{TensorType, Ty};

use super::super::geometry::Window;
use super::super::schema::tflite as fb;
use super::operator::{INPUT, Operand, Operator, Role, Translated, float};

const WEIGHTS: Role = Role(1, "the weights");
const BIAS: Role = Role(2, "the bias");

pub(super) fn conv2d(op: &Operator<'_>) -> Result<Translated, Diagnostic> {
    let options = op.raw.table.builtin_options_as_conv_2_doptions().ok_or_else(|| op.no_options())?;
    expect_weights(op, 4)?;
    let weights = &op.input(WEIGHTS).ty.shape;
    let place = Placement::new(
        op,
        options.padding(),
        [weights[1], weights[2]],
        [options.stride_h(), options.stride_w()],
        [options.dilation_h_factor(), options.dilation_w_factor()],
    )?;
    let conv = Conv2d {
        stride: place.stride,
        dilation: place.dilation,
        pad: place.pad,
        clamp: op.clamp(options.fused_activation_function())?,
    };
    Ok(Translated { op: conv.into(), operands: operands(op, weights[0])? })
}

pub(super) fn depthwise_conv2d(op: &Operator<'_>) -> Result<Translated, Diagnostic> {
    let options =
        op.raw.table.builtin_options_as_depthwise_conv_2_doptions().ok_or_else(|| op.no_options())?;
    expect_weights(op, 4)?;
    let weights = &op.input(WEIGHTS).ty.shape;
    let place = Placement::new(
        op,
        options.padding(),
        [weights[1], weights[2]],
        [options.stride_h(), options.stride_w()],
        [options.dilation_h_factor(), options.dilation_w_factor()],
    )?;
    let [multiplier] = positive([options.depth_multiplier()], "depth multiplier")?;
    let conv = DepthwiseConv2d {
        stride: place.stride,
        dilation: place.dilation,
        pad: place.pad,
        multiplier,
        clamp: op.clamp(options.fused_activation_function())?,
    };
    Ok(Translated { op: conv.into(), operands: operands(op, weights[3])? })
}

pub(super) fn fully_connected(op: &Operator<'_>) -> Result<Translated, Diagnostic> {
    let options = op.raw.table.builtin_options_as_fully_connected_options().ok_or_else(|| op.no_options())?;
    if options.weights_format() != fb::FullyConnectedWeightsFormat::DEFAULT {
        return Err(Diagnostic::new("weights are shuffled, only the default format is supported"));
    }
    expect_weights(op, 2)?;
    let units = op.input(WEIGHTS).ty.shape[0];
    let layer = FullyConnected { clamp: op.clamp(options.fused_activation_function())? };
    Ok(Translated { op: layer.into(), operands: operands(op, units)? })
}

pub(super) fn avg_pool2d(op: &Operator<'_>) -> Result<Translated, Diagnostic> {
    let (window, Placement { stride, pad, .. }, clamp) = pool(op)?;
    Ok(Translated::unary(AvgPool2d { window, stride, pad, clamp }))
}

pub(super) fn max_pool2d(op: &Operator<'_>) -> Result<Translated, Diagnostic> {
    let (window, Placement { stride, pad, .. }, clamp) = pool(op)?;
    Ok(Translated::unary(MaxPool2d { window, stride, pad, clamp }))
}

fn pool(op: &Operator<'_>) -> Result<([usize; 2], Placement, [i32; 2]), Diagnostic> {
    let options = op.raw.table.builtin_options_as_pool_2_doptions().ok_or_else(|| op.no_options())?;
    op.expect_rank(INPUT, 4)?;
    let window = positive([options.filter_height(), options.filter_width()], "window")?;
    let stride = [options.stride_h(), options.stride_w()];
    let place = Placement::new(op, options.padding(), window, stride, [1, 1])?;
    Ok((window, place, op.clamp(options.fused_activation_function())?))
}

/// Where windows lie, along rows and columns.
struct Placement {
    stride: [usize; 2],
    dilation: [usize; 2],
    /// Elements before and after.
    pad: [[usize; 2]; 2],
}

impl Placement {
    /// `window` over the input, which has four dimensions.
    fn new(
        op: &Operator<'_>,
        padding: fb::Padding,
        window: [usize; 2],
        stride: [i32; 2],
        dilation: [i32; 2],
    ) -> Result<Self, Diagnostic> {
        let (stride, dilation) = (positive(stride, "stride")?, positive(dilation, "dilation")?);
        let input = &op.input(INPUT).ty.shape;
        let along = |d: usize| {
            Window { input: input[1 + d], extent: window[d], stride: stride[d], dilation: dilation[d] }
                .margins(padding)
        };
        Ok(Self { stride, dilation, pad: [along(0)?, along(1)?] })
    }
}

fn positive<const N: usize>(numbers: [i32; N], what: &str) -> Result<[usize; N], Diagnostic> {
    match numbers.iter().find(|n| **n < 1) {
        Some(found) => Err(Diagnostic::new(format!("the {what} is {found}, expected a positive number"))),
        None => Ok(numbers.map(|n| n as usize)),
    }
}

/// Refuses weights that are not constant, and those of models that are not quantised, or only in part.
fn expect_weights(op: &Operator<'_>, rank: usize) -> Result<(), Diagnostic> {
    let (input, weights) = (&op.input(INPUT).ty, &op.input(WEIGHTS).ty);
    match (input.elem, weights.elem) {
        (Ty::F32, Ty::F32) => return Err(float("the input")),
        (Ty::F32, elem) => {
            return Err(Diagnostic::new(format!("the weights are {elem} and the input is f32: hybrid operators are not supported"))
                .help("quantise the activations too: full integer quantisation to int8, with a representative dataset"));
        }
        (_, Ty::I8) => {}
        (_, elem) => return Err(Diagnostic::new(format!("weights are {elem}, only i8 is supported"))),
    }
    op.constant(WEIGHTS)?;
    op.expect_rank(WEIGHTS, rank)?;
    if rank == 4 { op.expect_rank(INPUT, rank) } else { Ok(()) }
}

/// Input, weights and bias, with zeros where the file leaves out the bias.
fn operands(op: &Operator<'_>, channels: usize) -> Result<Vec<Operand>, Diagnostic> {
    let bias = match op.optional(BIAS) {
        None => Operand::Zeros(TensorType::new(Ty::I32, &[channels])),
        Some(_) => {
            op.constant(BIAS)?;
            Operand::Input(BIAS.0)
        }
    };
    Ok(vec![Operand::Input(INPUT.0), Operand::Input(WEIGHTS.0), bias])
}
