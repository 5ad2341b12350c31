"""Writes small int8 `.tflite` files operator by operator, without a converter.

Not a program: `make_op_models.py` uses it. A converter would choose scales and zero points from
calibration data; here each is given, so that tests reach values that no calibration produces.
"""

import math
import zlib
from dataclasses import dataclass

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

INT8, INT16, INT32, FLOAT32 = (getattr(schema.TensorType, n) for n in ("INT8", "INT16", "INT32", "FLOAT32"))
DTYPES = {INT8: np.int8, INT16: np.int16, INT32: np.int32, FLOAT32: np.float32}
SCALE = 0.0390625  # Of every activation for which nothing else is asked.
UNIFORM_DEVIATION = 74.0  # Standard deviation of int8 values that are all equally likely.


@dataclass
class Tensor:
    """A tensor of the network under construction."""

    index: int
    shape: tuple
    scale: float
    zero_point: int


def pair(value):
    """A vertical and a horizontal figure from one that serves for both, or from two."""
    return value if isinstance(value, tuple) else (value, value)


def extent(size, kernel, stride, dilation, padding):
    """Length of the output of a sliding window along one dimension."""
    if padding == "SAME":
        return -(-size // stride)
    return (size - (kernel - 1) * dilation - 1) // stride + 1


class Network:
    """One model file in the making: tensors and operators in the order in which they are added."""

    def __init__(self, name):
        self.rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
        self.graph = schema.SubGraphT()
        self.graph.name = name
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []
        self.buffers = [schema.BufferT()]  # Number 0 is the empty one, by convention.
        self.codes = []

    # The file.

    def finish(self):
        """The bytes of the file."""
        model = schema.ModelT()
        model.version = 3
        model.description = "made by scripts/make_op_models.py"
        model.operatorCodes, model.subgraphs, model.buffers = self.codes, [self.graph], self.buffers
        builder = flatbuffers.Builder(4096)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def tensor(self, name, shape, scale=None, zero_point=0, dtype=INT8, data=None, axis=0, signature=None):
        """Adds a tensor; `scale` may be a list with one entry for each slice along `axis`."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), dtype
        tensor.shapeSignature = signature
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = scales
            tensor.quantization.zeroPoint = np.full(len(scales), zero_point, np.int64)
            tensor.quantization.quantizedDimension = axis
        if data is not None:
            tensor.buffer = len(self.buffers)
            self.buffers.append(schema.BufferT())
            self.buffers[-1].data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
        self.graph.tensors.append(tensor)
        return Tensor(len(self.graph.tensors) - 1, tuple(shape), scale, zero_point)

    def constant(self, name, values, scale=None, zero_point=0, axis=0):
        """A tensor with contents; its type is that of the array."""
        dtype = {np.dtype(v): k for k, v in DTYPES.items()}[values.dtype]
        return self.tensor(name, values.shape, scale, zero_point, dtype, values, axis)

    def input(self, shape, scale=SCALE, zero_point=-5, dtype=INT8, signature=None):
        """An input of the model; a float one when `scale` is `None`."""
        dtype = FLOAT32 if scale is None else dtype
        x = self.tensor(f"input_{len(self.graph.inputs)}", shape, scale, zero_point, dtype, signature=signature)
        self.graph.inputs.append(x.index)
        return x

    def output(self, *tensors):
        """Declares the outputs of the model."""
        self.graph.outputs.extend(t.index for t in tensors)

    def operator(self, kind, inputs, y, options=None, version=1, custom=None):
        """Adds an operator; `options` are the fields of its options table, `None` an absent input."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version, code.customCode = version, custom
        self.codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes) - 1
        operator.inputs = [-1 if t is None else t.index for t in inputs]
        operator.outputs = [y.index]
        if options is not None:
            table, fields = options
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            operator.builtinOptions = getattr(schema, table + "T")()
            for field, value in fields.items():
                assert hasattr(operator.builtinOptions, field), field
                setattr(operator.builtinOptions, field, value)
        self.graph.operators.append(operator)
        return y

    def result(self, kind, shape, scale, zero_point, dtype=INT8):
        """The output tensor of the operator that comes next."""
        return self.tensor(f"{kind.lower()}_{len(self.graph.operators)}", shape, scale, zero_point, dtype)

    # Layers with weights.

    def weights(self, shape, value):
        """int8 weights: random ones in -127..=127, or a given constant or array."""
        if value is None:
            return self.rng.integers(-127, 127, shape, dtype=np.int8, endpoint=True)
        return np.broadcast_to(np.asarray(value, np.int8), shape)

    def parameters(self, x, w, channels, axis, w_scale, bias, depth, out_scale):
        """Filter, bias and output scale; `bias` is random, an array, or `False` for none.

        The default output scale lets uniform inputs reach most of the int8 range.
        """
        if w_scale is None:  # Per channel, over more than two powers of two.
            w_scale = 0.002 * 1.37 ** (np.arange(channels) % 6)
        scales = np.atleast_1d(np.asarray(w_scale, np.float32))
        product = np.float32(x.scale) * np.broadcast_to(scales, channels)
        spread = UNIFORM_DEVIATION * math.sqrt(float((w.astype(float) ** 2).mean()) * depth)
        if out_scale is None:
            out_scale = float(np.float32(np.median(product) * spread / 45))
        weights = self.constant("weights", w, scales, axis=axis)
        if bias is False:
            return weights, None, out_scale
        if bias is True:
            limit = int(spread / 2) + 1
            bias = self.rng.integers(-limit, limit, channels)
        bias_scales = np.float32(x.scale) * scales
        return weights, self.constant("bias", np.asarray(bias, np.int32), bias_scales), out_scale

    def conv(self, x, channels, kernel=3, stride=1, dilation=1, padding="SAME", act="NONE", groups=1,
             weights=None, w_scale=None, bias=True, scale=None, zero_point=3):
        """CONV_2D."""
        (kh, kw), (sh, sw), (dh, dw) = pair(kernel), pair(stride), pair(dilation)
        n, h, w, c = x.shape
        values = self.weights((channels, kh, kw, c // groups), weights)
        filters, biases, scale = self.parameters(x, values, channels, 0, w_scale, bias, kh * kw * c // groups, scale)
        shape = (n, extent(h, kh, sh, dh, padding), extent(w, kw, sw, dw, padding), channels)
        options = dict(padding=getattr(schema.Padding, padding), strideH=sh, strideW=sw, dilationHFactor=dh,
                       dilationWFactor=dw, fusedActivationFunction=getattr(schema.ActivationFunctionType, act))
        y = self.result("CONV", shape, scale, zero_point)
        inputs = [x, filters, biases] if biases else [x, filters]
        return self.operator("CONV_2D", inputs, y, ("Conv2DOptions", options), 3)

    def depthwise(self, x, multiplier=1, kernel=3, stride=1, dilation=1, padding="SAME", act="NONE",
                  weights=None, w_scale=None, bias=True, scale=None, zero_point=3):
        """DEPTHWISE_CONV_2D."""
        (kh, kw), (sh, sw), (dh, dw) = pair(kernel), pair(stride), pair(dilation)
        n, h, w, c = x.shape
        channels = c * multiplier
        values = self.weights((1, kh, kw, channels), weights)
        filters, biases, scale = self.parameters(x, values, channels, 3, w_scale, bias, kh * kw, scale)
        shape = (n, extent(h, kh, sh, dh, padding), extent(w, kw, sw, dw, padding), channels)
        options = dict(padding=getattr(schema.Padding, padding), strideH=sh, strideW=sw, dilationHFactor=dh,
                       dilationWFactor=dw, depthMultiplier=multiplier,
                       fusedActivationFunction=getattr(schema.ActivationFunctionType, act))
        y = self.result("DEPTHWISE", shape, scale, zero_point)
        inputs = [x, filters, biases] if biases else [x, filters]
        return self.operator("DEPTHWISE_CONV_2D", inputs, y, ("DepthwiseConv2DOptions", options), 3)

    def dense(self, x, channels, act="NONE", weights=None, w_scale=None, bias=True, scale=None, zero_point=3,
              keep=False):
        """FULLY_CONNECTED; `keep` leaves the leading dimensions of the input as they are."""
        depth = x.shape[-1] if keep or len(x.shape) == 2 else int(np.prod(x.shape[1:]))
        values = self.weights((channels, depth), weights)
        filters, biases, scale = self.parameters(x, values, channels, 0, w_scale, bias, depth, scale)
        leading = x.shape[:-1] if keep else (int(np.prod(x.shape)) // depth,)
        options = dict(fusedActivationFunction=getattr(schema.ActivationFunctionType, act), keepNumDims=keep)
        y = self.result("DENSE", (*leading, channels), scale, zero_point)
        return self.operator("FULLY_CONNECTED", [x, filters, biases], y, ("FullyConnectedOptions", options), 5)

    # Layers without weights.

    def add(self, a, b=None, act="NONE", scale=2 * SCALE, zero_point=3):
        """ADD; without `b`, of `a` and itself."""
        b = b or a
        shape = np.broadcast_shapes(a.shape, b.shape)
        options = dict(fusedActivationFunction=getattr(schema.ActivationFunctionType, act), potScaleInt16=False)
        y = self.result("ADD", shape, scale, zero_point)
        return self.operator("ADD", [a, b], y, ("AddOptions", options), 2)

    def pool(self, x, kind, kernel, stride=None, padding="VALID", act="NONE"):
        """AVERAGE_POOL_2D or MAX_POOL_2D."""
        (kh, kw), (sh, sw) = pair(kernel), pair(stride or kernel)
        n, h, w, c = x.shape
        shape = (n, extent(h, kh, sh, 1, padding), extent(w, kw, sw, 1, padding), c)
        options = dict(padding=getattr(schema.Padding, padding), strideH=sh, strideW=sw, filterHeight=kh,
                       filterWidth=kw, fusedActivationFunction=getattr(schema.ActivationFunctionType, act))
        y = self.result("POOL", shape, x.scale, x.zero_point)
        return self.operator(kind + "_POOL_2D", [x], y, ("Pool2DOptions", options), 2)

    def mean(self, x, axes, keep, scale=None, zero_point=None):
        """MEAN."""
        kept = [1 if d in axes else n for d, n in enumerate(x.shape) if keep or d not in axes]
        y = self.result("MEAN", kept, scale or x.scale, x.zero_point if zero_point is None else zero_point)
        options = ("ReducerOptions", dict(keepDims=keep))
        return self.operator("MEAN", [x, self.constant("axes", np.array(axes, np.int32))], y, options, 2)

    def pad(self, x, margins, value=None):
        """PAD, or PADV2 where a `value` is given."""
        shape = [before + n + after for n, (before, after) in zip(x.shape, margins)]
        inputs = [x, self.constant("margins", np.array(margins, np.int32))]
        if value is not None:
            inputs.append(self.constant("value", np.array(value, np.int8), x.scale, x.zero_point))
        kind, table = ("PAD", "PadOptions") if value is None else ("PADV2", "PadV2Options")
        y = self.result(kind, shape, x.scale, x.zero_point)
        return self.operator(kind, inputs, y, (table, {}), 2)

    def reshape(self, x, shape, by="tensor"):
        """RESHAPE, its shape given `by` a constant tensor or by the option; one entry may be -1."""
        known = int(np.prod([n for n in shape if n != -1]))
        y = self.result("RESHAPE", [int(np.prod(x.shape)) // known if n == -1 else n for n in shape],
                        x.scale, x.zero_point)
        inputs = [x, self.constant("shape", np.array(shape, np.int32))] if by == "tensor" else [x]
        return self.operator("RESHAPE", inputs, y, ("ReshapeOptions", dict(newShape=list(shape))))

    def transpose(self, x, order):
        """TRANSPOSE."""
        y = self.result("TRANSPOSE", [x.shape[d] for d in order], x.scale, x.zero_point)
        inputs = [x, self.constant("order", np.array(order, np.int32))]
        return self.operator("TRANSPOSE", inputs, y, ("TransposeOptions", {}), 2)

    def unary(self, x, kind, scale=None, zero_point=None, version=2):
        """An operator with one input, no options and a result of the same shape."""
        y = self.result(kind, x.shape, scale or x.scale, x.zero_point if zero_point is None else zero_point)
        return self.operator(kind, [x], y, None, version)

    def softmax(self, x, beta=1.0):
        """SOFTMAX; its output quantisation is fixed by the format."""
        y = self.result("SOFTMAX", x.shape, 1 / 256, -128)
        return self.operator("SOFTMAX", [x], y, ("SoftmaxOptions", dict(beta=beta)), 2)

    def quantize(self, x, scale=SCALE, zero_point=7):
        """QUANTIZE, from float or from another quantisation."""
        y = self.result("QUANTIZE", x.shape, scale, zero_point)
        return self.operator("QUANTIZE", [x], y, ("QuantizeOptions", {}), 2)

    def dequantize(self, x):
        """DEQUANTIZE, to float."""
        y = self.result("DEQUANTIZE", x.shape, None, 0, FLOAT32)
        return self.operator("DEQUANTIZE", [x], y, ("DequantizeOptions", {}), 2)
