"""Golden data: runs the public reference kernels and writes their answers.

Not a program: `train_digits.py` and `make_op_models.py` use it. The layout of the files is
described in `tests/models/README.md`.
"""

import hashlib
import json
import os
import shutil
import zlib

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tflite_micro.python.tflite_micro import runtime

DTYPES = {
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.FLOAT32: np.float32,
}
ARENA_BYTES = 1 << 20  # Ample for every model here.


def run_tflm(model, inputs):
    """The outputs of tflite-micro's reference kernels, from a fresh interpreter."""
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=ARENA_BYTES)
    for index, value in enumerate(inputs):
        interpreter.set_input(value, index)
    interpreter.invoke()
    return [np.array(interpreter.get_output(i)) for i in range(len(boundary(model)[1]))]


def run_litert(model, inputs):
    """The outputs of LiteRT's reference kernels, which are not the optimised ones."""
    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
    )
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), inputs):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return [np.array(interpreter.get_tensor(d["index"])) for d in interpreter.get_output_details()]


ORACLES = {"tflm": run_tflm, "litert_ref": run_litert}


def boundary(model):
    """The tensors that go in and those that come out, as the schema has them."""
    graph = schema.ModelT.InitFromPackedBuf(model, 0).subgraphs[0]
    return [graph.tensors[i] for i in graph.inputs], [graph.tensors[i] for i in graph.outputs]


def describe(tensor):
    """What `golden.json` says of one input or output."""
    quantization = tensor.quantization
    described = {
        "name": tensor.name.decode(),
        "shape": [int(n) for n in tensor.shape],
        "type": DTYPES[tensor.type].__name__,
        "quant": None,
    }
    if quantization is not None and quantization.scale is not None and len(quantization.scale):
        described["quant"] = {
            "scale": float(quantization.scale[0]),
            "zero_point": int(quantization.zeroPoint[0]),
        }
    return described


def fill(kind, name, index, tensor, span):
    """One input: `kind` says how its elements are chosen, `span` bounds those of a float tensor."""
    dtype, shape = DTYPES[tensor.type], [int(n) for n in tensor.shape]
    is_float = dtype == np.float32
    low, high = span if is_float else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    zero = 0 if is_float or tensor.quantization is None else int(tensor.quantization.zeroPoint[0])
    if kind == "uniform":
        rng = np.random.Generator(np.random.PCG64(zlib.crc32(f"{name}/{kind}/{index}".encode())))
        if is_float:
            return rng.uniform(low, high, shape).astype(dtype)
        return rng.integers(low, high, shape, dtype=dtype, endpoint=True)
    if kind == "every_value":  # In a scattered order; floats in steps of 3/128, exact in binary.
        flat = (np.arange(np.prod(shape)) * 163 + 61 * index) % 256
        return (flat * 0.0234375 - 3 if is_float else flat - 128).astype(dtype).reshape(shape)
    if kind == "extremes":  # Both ends in an irregular pattern, the worst for accumulators.
        flat = (np.arange(np.prod(shape)) * 7 + index) // 3 % 2
        return np.where(flat == 0, low, high).astype(dtype).reshape(shape)
    value = {"lowest": low, "highest": high, "zero_point": zero}[kind]
    return np.full(shape, value, dtype)


KINDS = ["uniform", "every_value", "extremes", "lowest", "highest", "zero_point"]


def write(folder, file_name, model, oracle="tflm", note=None, span=(-3.0, 3.0), cases=None):
    """Writes the golden folder of one model and returns the outputs of each case.

    `cases` are pairs of a kind and a list of inputs; by default, one for each of `KINDS`.
    """
    name = os.path.splitext(file_name)[0]
    inputs, outputs = boundary(model)
    if cases is None:
        cases = [(k, [fill(k, name, i, t, span) for i, t in enumerate(inputs)]) for k in KINDS]
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    rows, results = [], []
    for number, (kind, values) in enumerate(cases):
        results.append(ORACLES[oracle](model, values))
        row = {"case": number, "kind": kind}
        for key, arrays in (("in", values), ("out", results[-1])):
            files = [f"{key}{number}_{i}.bin" for i in range(len(arrays))]
            for file, array in zip(files, arrays):
                np.ascontiguousarray(array).tofile(os.path.join(folder, file))
            row[key + "puts"] = files
        rows.append(row)
    write_json(
        os.path.join(folder, "golden.json"),
        {
            "model": file_name,
            "sha256": hashlib.sha256(model).hexdigest(),
            "oracle": oracle,
            "notes": [note] if note else [],
            "inputs": [describe(t) for t in inputs],
            "outputs": [describe(t) for t in outputs],
            "cases": rows,
        },
    )
    return results


def run_again(folder, model, oracle):
    """The outputs of another oracle for the inputs in a golden folder."""
    with open(os.path.join(folder, "golden.json"), encoding="utf-8") as file:
        cases = json.load(file)["cases"]
    inputs, _ = boundary(model)
    answers = []
    for case in cases:
        arrays = [np.fromfile(os.path.join(folder, f), DTYPES[t.type]) for f, t in zip(case["inputs"], inputs)]
        shaped = [a.reshape([int(n) for n in t.shape]) for a, t in zip(arrays, inputs)]
        answers.append(ORACLES[oracle](model, shaped))
    return answers


def write_json(path, document):
    """One line for each entry of a list at the top level: short, and still good to diff."""
    lines = []
    for key, value in document.items():
        text = json.dumps(value)
        if isinstance(value, list) and value:
            text = "[\n  " + ",\n  ".join(json.dumps(row) for row in value) + "\n ]"
        lines.append(f" {json.dumps(key)}: {text}")
    with open(path, "w", encoding="utf-8") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")
