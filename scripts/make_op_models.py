#!/usr/bin/env python3
"""Makes the models in `tests/models/ops/` with their golden data, and those in `tests/models/refused/`.

Usage: make_op_models.py [OUT_DIR]      (default: tests/models beside this folder)
Needs: pip install -r scripts/requirements.txt (neither TensorFlow nor scikit-learn)

Each model is one row or one function below. Shapes are odd and quantisation is extreme on
purpose. Answers come from tflite-micro's reference kernels; LiteRT's reference must agree where
the two are known to, which shows that the files mean what they should.
"""

import os
import shutil
import sys

import numpy as np

import golden
from op_network import FLOAT32, INT16, SCALE, Network

LARGEST_BYTES = 4096
EVERY = (1, 4, 8, 8)  # Room for each of the 256 values of an int8.
MODELS = {}  # Name of the model: the function that builds it.
REFUSED = {}
# Name of the model: oracle and reason, where tflite-micro's kernel does not do what the file says.
OTHER_ORACLE = {
    "relu6_rescaled": (
        "litert_ref",
        "tflite-micro's RELU6 does not rescale between differing input and output quantisation",
    )
}
NOT_IN_LITERT = ("conv_no_bias",)  # Only tflite-micro does without a bias there.
ROUNDS_DIFFERENTLY = ("fc_", "chain_")  # LiteRT rounds FULLY_CONNECTED once, tflite-micro twice.


def single(name, shape, layer, *arguments, x_zero=-5, x_scale=SCALE, **options):
    """Registers a model of one operator; `x_zero` and `x_scale` quantise its one input."""

    def build(net):
        x = net.input(shape, x_scale, x_zero)
        net.output(getattr(net, layer)(x, *arguments, **options))

    MODELS[name] = build


def model(build):
    """Registers a function that builds a model of its own name."""
    MODELS[build.__name__] = build
    return build


def refused(build):
    """Registers a function that builds a model which tinyc must refuse."""
    REFUSED[build.__name__] = build
    return build


# CONV_2D: window geometry.
single("conv_3x3_same", (1, 5, 7, 3), "conv", 5, x_zero=-128, act="RELU")
single("conv_3x3_same_s2_even", (1, 6, 8, 3), "conv", 4, stride=2, x_zero=127)
single("conv_3x3_same_s2_odd", (1, 7, 5, 2), "conv", 3, stride=2, act="RELU6")
single("conv_3x3_same_s3", (1, 8, 7, 2), "conv", 3, stride=3)
single("conv_3x3_valid_s3", (1, 10, 11, 2), "conv", 3, stride=3, padding="VALID")
single("conv_2x2_same", (1, 5, 4, 3), "conv", 2, kernel=2)
single("conv_3x3_dil2_same", (1, 7, 8, 2), "conv", 3, dilation=2, x_zero=100)
single("conv_3x2_dil3x2_valid", (1, 9, 6, 2), "conv", 3, kernel=(3, 2), dilation=(3, 2), padding="VALID")
single("conv_5x3_s2x1_same", (1, 9, 4, 1), "conv", 3, kernel=(5, 3), stride=(2, 1))
single("conv_kernel_beyond_map", (1, 2, 3, 2), "conv", 3, kernel=5)
single("conv_1x1_map1x1", (1, 1, 1, 17), "conv", 9, kernel=1, x_zero=127)
single("conv_1x1_s2", (1, 5, 6, 5), "conv", 4, kernel=1, stride=2)
single("conv_1x1_c31_19", (1, 3, 3, 31), "conv", 19, kernel=1, act="RELU_N1_TO_1",
       w_scale=np.linspace(0.0001, 0.002, 19), scale=0.01)
single("conv_batch2", (2, 3, 4, 3), "conv", 3)
single("conv_grouped", (1, 4, 5, 6), "conv", 4, groups=2)

# CONV_2D: weights, biases and multipliers.
single("conv_no_bias", (1, 4, 5, 3), "conv", 4, bias=False, x_zero=-128)
single("conv_per_tensor", (1, 4, 5, 3), "conv", 4, w_scale=0.0031)
single("conv_weights_all_127", (1, 4, 4, 5), "conv", 3, weights=127, x_zero=-128, scale=0.4, zero_point=-128)
single("conv_weights_all_minus_127", (1, 4, 4, 5), "conv", 3, weights=-127, x_zero=127, scale=0.4, zero_point=-128)
single("conv_weights_minus_128", (1, 4, 4, 5), "conv", 2, weights=-128, x_zero=-128, scale=0.4, zero_point=127)
single("conv_weights_zero", (1, 3, 3, 4), "conv", 3, weights=0, bias=[-9000, 11, 70000], scale=0.01)
single("conv_multiplier_above_one", (1, 8, 8, 1), "conv", 3, 1, w_scale=[0.9, 1.7, 6.3], scale=0.017,
       weights=np.array([[[[1]]], [[[-1]]], [[[1]]]], np.int8), bias=[-7, 0, 5])
# 2^-33 is rounded to a multiplier of zero, which must not disturb its neighbours.
single("conv_multiplier_vanishes", (1, 4, 3, 3), "conv", 4, scale=1.0, x_scale=1.0,
       w_scale=[2.0**-33, 2.0**-31, 2.0**-12, 2.0**-7])
single("conv_bias_saturates", (1, 3, 3, 2), "conv", 4, bias=[2**30, -(2**30), 40000, -40000])

# DEPTHWISE_CONV_2D.
single("dw_3x3_same", (1, 5, 6, 7), "depthwise", x_zero=-128, act="RELU6")
single("dw_3x3_s2_even", (1, 6, 8, 5), "depthwise", stride=2, x_zero=127)
single("dw_3x3_s2_odd", (1, 7, 5, 6), "depthwise", stride=2)
single("dw_3x3_s2_mult2", (1, 7, 6, 3), "depthwise", 2, stride=2)
single("dw_3x3_mult3_c1", (1, 6, 5, 1), "depthwise", 3, act="RELU")
single("dw_3x3_dil2", (1, 7, 8, 3), "depthwise", dilation=2, x_zero=64)
single("dw_5x5_valid_s3", (1, 11, 9, 2), "depthwise", kernel=5, stride=3, padding="VALID")
single("dw_2x4_same", (1, 4, 5, 3), "depthwise", kernel=(2, 4))
single("dw_3x3_map1x1", (1, 1, 1, 9), "depthwise", x_zero=-128)
single("dw_relu_n1_to_1", (1, 4, 4, 5), "depthwise", act="RELU_N1_TO_1", w_scale=0.001, scale=0.01)
single("dw_weights_extreme", (1, 5, 4, 4), "depthwise", x_zero=-128, scale=0.1,
       weights=np.array([127, -127, 127, -128], np.int8))
single("dw_multiplier_above_one", (1, 8, 8, 2), "depthwise", 1, 1, w_scale=[1.1, 5.3], scale=0.017,
       weights=np.array([-1, 1], np.int8), bias=[3, -4])

# FULLY_CONNECTED.
single("fc_per_channel", (1, 19), "dense", 11, x_zero=-128)
single("fc_per_tensor", (1, 21), "dense", 10, w_scale=0.0047, x_zero=127, act="RELU")
single("fc_batch3", (3, 13), "dense", 7)
single("fc_batch3_per_tensor", (3, 13), "dense", 7, w_scale=0.0047, act="RELU6")
single("fc_no_bias", (1, 18), "dense", 5, bias=False, act="RELU_N1_TO_1", w_scale=0.001, scale=0.01)
single("fc_from_4d", (2, 2, 3, 4), "dense", 5)
single("fc_keep_num_dims", (2, 3, 9), "dense", 5, keep=True)
single("fc_weights_extreme", (1, 40), "dense", 3, x_zero=-128, w_scale=0.0047, scale=2.0,
       weights=np.array([[127], [-127], [-128]], np.int8))
single("fc_depth_one", (7, 1), "dense", 1, w_scale=0.02, scale=0.06)

# ADD.
single("add_self", EVERY, "add", x_zero=-77)


def two_inputs(name, shape_a, shape_b, a=(SCALE, -5), b=(0.021, 40), **options):
    """Registers an ADD of two inputs with the given scales and zero points."""

    def build(net):
        net.output(net.add(net.input(shape_a, *a), net.input(shape_b, *b), **options))

    MODELS[name] = build


two_inputs("add", (1, 3, 5, 3), (1, 3, 5, 3))
two_inputs("add_relu", (1, 3, 5, 3), (1, 3, 5, 3), act="RELU")
two_inputs("add_relu6", (1, 3, 5, 3), (1, 3, 5, 3), act="RELU6")
two_inputs("add_zero_points_at_ends", (1, 4, 3, 2), (1, 4, 3, 2), a=(0.03, -128), b=(0.05, 127), zero_point=127)
two_inputs("add_scales_far_apart", (1, 4, 3, 2), (1, 4, 3, 2), a=(9.0, 3), b=(0.0007, -3), scale=9.5)
two_inputs("add_saturates", (1, 4, 3, 2), (1, 4, 3, 2), scale=0.02, zero_point=-128)
two_inputs("add_broadcast_channel", (1, 3, 4, 5), (1, 1, 1, 5))
two_inputs("add_broadcast_map", (1, 1, 1, 1), (1, 3, 4, 2))

@model
def add_constant(net):
    values = net.weights((1, 1, 4, 3), None)
    net.output(net.add(net.input((1, 5, 4, 3)), net.constant("constant", values, 0.017, -60)))


# Pools and MEAN.
single("avgpool_2x2", (1, 4, 6, 3), "pool", "AVERAGE", 2)
single("avgpool_3x3_s2_same", (1, 5, 6, 3), "pool", "AVERAGE", 3, 2, "SAME", act="RELU")
single("avgpool_5x5_s1_same", (1, 3, 4, 2), "pool", "AVERAGE", 5, 1, "SAME", x_zero=127)
single("avgpool_global", (1, 7, 3, 5), "pool", "AVERAGE", (7, 3), x_zero=-128)
single("maxpool_2x2", (1, 5, 6, 3), "pool", "MAX", 2)
single("maxpool_3x3_s2_same", (1, 6, 5, 3), "pool", "MAX", 3, 2, "SAME", act="RELU6")
single("maxpool_3x2_s3x1", (1, 8, 4, 2), "pool", "MAX", (3, 2), (3, 1), x_zero=127)
single("mean_hw", (1, 5, 3, 7), "mean", [1, 2], False)
single("mean_hw_keep", (1, 4, 4, 5), "mean", [1, 2], True)
single("mean_hw_rescaled", (1, 3, 7, 9), "mean", [1, 2], True, x_zero=-128, x_scale=0.05, scale=0.06)

# Operators that move elements.
single("pad_uneven", (1, 3, 2, 3), "pad", [[0, 0], [1, 2], [3, 0], [0, 0]], x_zero=-128)
single("pad_batch_and_channel", (1, 2, 3, 2), "pad", [[1, 0], [0, 0], [0, 1], [2, 1]], x_zero=127)
single("padv2", (1, 3, 2, 3), "pad", [[0, 0], [1, 1], [0, 2], [0, 0]], -128)
single("reshape", (1, 3, 4, 2), "reshape", (2, 12))
single("reshape_by_option", (1, 3, 4, 2), "reshape", (1, 6, 4), "option")
single("reshape_minus_one", (1, 3, 4, 2), "reshape", (4, -1))
single("transpose_nhwc_nchw", (1, 3, 4, 5), "transpose", [0, 3, 1, 2])
single("transpose_2d", (5, 7), "transpose", [1, 0])
single("transpose_3d", (3, 2, 5), "transpose", [2, 0, 1])

# Activations and changes of quantisation.
single("relu", EVERY, "unary", "RELU")
single("relu_rescaled", EVERY, "unary", "RELU", x_scale=0.05, x_zero=31, scale=0.0131, zero_point=-128)
single("relu6", EVERY, "unary", "RELU6", x_scale=0.07, x_zero=-100)
single("relu6_rescaled", EVERY, "unary", "RELU6", x_scale=0.07, x_zero=-20, scale=6 / 255, zero_point=-128)
single("logistic", EVERY, "unary", "LOGISTIC", x_scale=0.06, x_zero=12, scale=1 / 256, zero_point=-128)
single("softmax", (1, 10), "softmax", x_scale=0.09, x_zero=17)
single("softmax_beta_half", (1, 9), "softmax", 0.5, x_scale=0.11)
single("softmax_coarse", (1, 7), "softmax", x_scale=2.0)
single("softmax_fine", (1, 12), "softmax", x_scale=0.004)
single("softmax_rows", (6, 11), "softmax", x_scale=0.05)
single("softmax_one", (4, 1), "softmax", 3.0)
single("quantize_finer", EVERY, "quantize", 0.0181, 99)
single("quantize_coarser", EVERY, "quantize", 0.0713, 100, x_zero=127)
single("quantize_float", EVERY, "quantize", 2.0**-6, -31, x_scale=None)
single("dequantize", EVERY, "dequantize", x_scale=0.0173, x_zero=-128)


# Rounding. Biases are searched such that one plausible mistake changes the answer; with the
# input at its zero point the accumulator is the bias.


def quantised_multiplier(real):
    """Mantissa in 31 bits and exponent, as every TFLite kernel has them."""
    mantissa, exponent = np.frexp(real)
    fixed = int(np.floor(mantissa * 2.0**31 + 0.5))
    return (fixed // 2, int(exponent) + 1) if fixed == 1 << 31 else (fixed, int(exponent))


def round_twice(acc, real):
    """The high half of a doubled product, rounded, and then a rounding shift: the right way."""
    fixed, exponent = quantised_multiplier(real)
    product = acc.astype(np.int64) * fixed
    nudge = np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.trunc((product + nudge) / 2.0**31).astype(np.int64)
    mask = (1 << -exponent) - 1
    threshold = (mask >> 1) + (high < 0)
    return (high >> -exponent) + ((high & mask) > threshold)


def round_once(acc, real):
    """One rounding shift of the whole product."""
    fixed, exponent = quantised_multiplier(real)
    total = 31 - exponent
    return (acc.astype(np.int64) * fixed + (1 << (total - 1))) >> total


def telling_biases(wrong, right, limit, count):
    """Accumulators, evenly taken from those within `limit` for which the two functions differ."""
    acc = np.arange(-limit, limit)
    found = acc[wrong(acc) != right(acc)]
    assert len(found) >= count, f"only {len(found)} accumulators tell the two apart"
    return found[np.linspace(0, len(found) - 1, count).astype(int)]


@model
def conv_rounds_twice(net):
    scale_in, scale_w, scale = np.float32(0.031), np.float32(0.0043), np.float32(0.29)
    real = float(scale_in) * float(scale_w) / float(scale)
    biases = telling_biases(lambda a: round_once(a, real), lambda a: round_twice(a, real), 250_000, 12)
    x = net.input((1, 2, 3, 2), scale_in, -9)
    net.output(net.conv(x, 12, 1, w_scale=scale_w, bias=biases, scale=scale, zero_point=0))


@model
def fc_rounds_twice(net):
    scale_in, scale_w, scale = np.float32(0.031), np.float32(0.0043), np.float32(0.29)
    real = float(scale_in * scale_w) / float(scale)
    biases = telling_biases(lambda a: round_once(a, real), lambda a: round_twice(a, real), 250_000, 12)
    x = net.input((1, 5), scale_in, -9)
    net.output(net.dense(x, 12, w_scale=scale_w, bias=biases, scale=scale, zero_point=0))


@model
def fc_multiplies_scales_in_float32(net):
    # The product of the two scales is a float32 in per-tensor FULLY_CONNECTED, a double elsewhere.
    scale_in, scale_w, scale = np.float32(0.0123), np.float32(0.00317), np.float32(0.91)
    exact, rounded = float(scale_in) * float(scale_w) / float(scale), float(scale_in * scale_w) / float(scale)
    biases = telling_biases(lambda a: round_twice(a, exact), lambda a: round_twice(a, rounded), 2_900_000, 4)
    x = net.input((1, 3), scale_in, 21)
    net.output(net.dense(x, 4, w_scale=scale_w, bias=biases, scale=scale, zero_point=0))


# A few operators together.


@model
def chain_residual(net):
    x = net.input((1, 5, 4, 6))
    y = net.conv(x, 9, 1, act="RELU6")
    y = net.depthwise(y, act="RELU6")
    net.output(net.add(x, net.conv(y, 6, 1)))


@model
def chain_pad_conv_s2(net):
    x = net.input((1, 6, 5, 3), zero_point=-77)
    y = net.pad(x, [[0, 0], [0, 1], [1, 2], [0, 0]])
    net.output(net.conv(y, 4, stride=2, padding="VALID"))


@model
def chain_pad_other_value(net):
    x = net.input((1, 4, 5, 3), zero_point=-77)
    y = net.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], value=13)
    net.output(net.conv(y, 4, padding="VALID"))


@model
def chain_pad_read_twice(net):
    x = net.input((1, 4, 5, 3), zero_point=-77)
    y = net.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    net.output(net.conv(y, 2, padding="VALID"), net.depthwise(y, padding="VALID"))


@model
def chain_dead_channels(net):
    # Three channels of the first layer are constant, two of them away from the zero point, so that
    # the padded layer after it sees other sums at the edge of the map than inside.
    x = net.input((1, 4, 5, 2), zero_point=-128)
    weights = net.weights((7, 1, 1, 2), None).copy()
    weights[[1, 4, 6]] = 0
    bias = np.array([100, 4000, -300, 50, -9000, 0, 2500])
    y = net.conv(x, 7, 1, weights=weights, bias=bias, w_scale=0.004, zero_point=-128, act="RELU")
    y = net.conv(y, 3)
    net.output(y)


@model
def chain_output_read_again(net):
    x = net.input((1, 4, 4, 4))
    y = net.conv(x, 3, act="RELU")
    net.output(net.pool(y, "MAX", 2), y)


@model
def chain_float_boundary(net):
    x = net.quantize(net.input((1, 4, 5, 2), None), 1 / 127, 0)
    net.output(net.dequantize(net.conv(x, 3, act="RELU6")))


@model
def chain_classifier(net):
    x = net.conv(net.input((1, 5, 5, 1), zero_point=-128), 4, stride=2, act="RELU")
    x = net.reshape(net.pool(x, "AVERAGE", 3), (1, 4))
    net.output(net.softmax(net.dense(x, 5)))


@model
def chain_standalone_relu(net):
    x = net.conv(net.input((1, 4, 5, 2)), 3, zero_point=-20)
    net.output(net.unary(x, "RELU", zero_point=-20))


# Models to refuse. Each is well-formed but for the one thing that its name says.


def float_conv(net, x, weights, scale=None):
    """A convolution with float activations."""
    y = net.tensor("y", (*x.shape[:3], weights.shape[0]), dtype=FLOAT32)
    filters = net.constant("weights", weights, scale)
    bias = net.constant("bias", np.zeros(weights.shape[0], np.float32))
    options = ("Conv2DOptions", dict(strideH=1, strideW=1))
    net.output(net.operator("CONV_2D", [x, filters, bias], y, options))


@refused
def float_model(net):
    x = net.input((1, 4, 4, 2), None)
    float_conv(net, x, net.rng.normal(size=(3, 3, 3, 2)).astype(np.float32))


@refused
def hybrid_weights(net):
    x = net.input((1, 4, 4, 2), None)
    float_conv(net, x, net.weights((3, 3, 3, 2), None), [0.01, 0.02, 0.03])


@refused
def dynamic_shape(net):
    x = net.input((1, 4, 4, 2), signature=[1, -1, 4, 2])
    net.output(net.conv(x, 3))


@refused
def unsupported_operator(net):
    x = net.input((1, 6))
    axis = net.constant("axis", np.array(1, np.int32))
    y = net.result("CUMSUM", x.shape, SCALE, 0)
    net.output(net.operator("CUMSUM", [x, axis], y, ("CumsumOptions", {})))


@refused
def custom_operator(net):
    x = net.input((1, 6))
    net.output(net.operator("CUSTOM", [x], net.result("CUSTOM", x.shape, SCALE, 0), custom="MyOperator"))


@refused
def int16_activations(net):
    x = net.input((1, 4), 0.001, 0, INT16)
    filters = net.constant("weights", net.weights((3, 4), None), 0.01)
    y = net.result("DENSE", (1, 3), 0.001, 0, INT16)
    net.output(net.operator("FULLY_CONNECTED", [x, filters, None], y, ("FullyConnectedOptions", {}), 4))


@refused
def weights_not_constant(net):
    x, filters = net.input((1, 4)), net.input((3, 4), 0.01, 0)
    y = net.result("DENSE", (1, 3), SCALE, 0)
    net.output(net.operator("FULLY_CONNECTED", [x, filters, None], y, ("FullyConnectedOptions", {}), 4))


@refused
def weights_with_zero_point(net):
    x = net.input((1, 4, 4, 2))
    filters = net.constant("weights", net.weights((3, 1, 1, 2), None), [0.01, 0.02, 0.03], zero_point=4)
    bias = net.constant("bias", np.zeros(3, np.int32), np.float32(SCALE) * np.float32([0.01, 0.02, 0.03]))
    y = net.result("CONV", (1, 4, 4, 3), 0.1, 0)
    options = ("Conv2DOptions", dict(strideH=1, strideW=1))
    net.output(net.operator("CONV_2D", [x, filters, bias], y, options, 3))


@refused
def no_quantisation(net):
    x = net.tensor("input_0", (1, 4, 4, 2))
    net.graph.inputs.append(x.index)
    y = net.result("POOL", (1, 2, 2, 2), SCALE, 0)
    options = dict(strideH=2, strideW=2, filterHeight=2, filterWidth=2)
    net.output(net.operator("MAX_POOL_2D", [x], y, ("Pool2DOptions", options), 2))


def main():
    default = os.path.join(os.path.dirname(__file__), "..", "tests", "models")
    out = sys.argv[1] if len(sys.argv) > 1 else default
    for folder, builders in (("ops", MODELS), ("refused", REFUSED)):
        shutil.rmtree(os.path.join(out, folder), ignore_errors=True)
        os.makedirs(os.path.join(out, folder))
        for name, build in builders.items():
            net = Network(name)
            build(net)
            made = net.finish()
            assert len(made) <= LARGEST_BYTES, f"{name} has {len(made)} bytes"
            with open(os.path.join(out, folder, name + ".tflite"), "wb") as file:
                file.write(made)
            if folder == "ops":
                answer(os.path.join(out, folder), name, made)


def answer(folder, name, made):
    """Writes the golden data of a model, after a look at whether it can tell right from wrong."""
    oracle, note = OTHER_ORACLE.get(name, ("tflm", None))
    cases = golden.write(os.path.join(folder, name + ".golden"), name + ".tflite", made, oracle, note)
    flat = np.concatenate([output.ravel() for outputs in cases for output in outputs])
    print(f"{name:32} {len(made):5} bytes, {len(np.unique(flat)):4} values", flush=True)
    if name in NOT_IN_LITERT:
        return
    other = golden.run_again(os.path.join(folder, name + ".golden"), made, "litert_ref")
    same = all(np.array_equal(a, b) for x, y in zip(cases, other) for a, b in zip(x, y))
    assert same or name.startswith(ROUNDS_DIFFERENTLY), f"{name}: the two references differ"


if __name__ == "__main__":
    main()
