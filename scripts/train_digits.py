#!/usr/bin/env python3
"""Trains the digit classifier in `tests/models/digits/` and writes its test data.

Usage: train_digits.py [OUT_DIR]        (default: tests/models/digits beside this folder)
Needs: pip install -r scripts/requirements.txt

The images are scikit-learn's copy of the UCI set "Optical Recognition of Handwritten Digits"
(CC BY 4.0): 1797 images of 8x8 pixels. 200 of them are held out and never trained on.
The network is a small one in the manner of MobileNet, chosen so that it holds most of the
operators that tinyc compiles: PAD, CONV_2D, DEPTHWISE_CONV_2D, ADD, AVERAGE_POOL_2D, RESHAPE,
FULLY_CONNECTED, SOFTMAX, with odd maps and uneven padding on the way.

Two runs with the same package versions on one machine give the same bytes; other versions
may round differently while training, so the files are kept in the repository.
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # Its sums depend on the processor.
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

import golden

SEED = 8
N_TEST = 200
EPOCHS = 60
BATCH = 32
LOWEST_ACCURACY = 0.95  # Of the quantised network on the held-out images.
LARGEST_BYTES = 40_000


def main():
    default = os.path.join(os.path.dirname(__file__), "..", "tests", "models", "digits")
    out = sys.argv[1] if len(sys.argv) > 1 else default
    tf.keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    (train_x, train_y), (test_x, test_y) = load_data()
    network = build_network()
    train(network, train_x, train_y)
    model = quantise(network, train_x)
    print(f"{len(model)} bytes, float accuracy {accuracy(network.predict(test_x, verbose=0), test_y):.3f}")
    write(out, model, test_x, test_y)


def load_data():
    """Images scaled to [-1, 1] with labels: first those to train on, then those held out."""
    digits = load_digits()
    x = (digits.images.astype(np.float32) / 8 - 1)[..., np.newaxis]
    y = digits.target.astype(np.int32)
    order = np.random.Generator(np.random.PCG64(SEED)).permutation(len(x))
    test, train_part = order[:N_TEST], order[N_TEST:]
    return (x[train_part], y[train_part]), (x[test], y[test])


def build_network():
    """The network before quantisation, with logits as its result."""
    layers = tf.keras.layers
    image = tf.keras.Input((8, 8, 1))
    x = normalised(layers.Conv2D(12, 3, padding="same", use_bias=False)(image), 6.0)
    x = layers.ZeroPadding2D(((1, 2), (0, 1)))(x)  # 11x9: the stride leaves 5x4.
    x = normalised(layers.DepthwiseConv2D(3, strides=2, use_bias=False)(x), 6.0)
    shortcut = normalised(layers.Conv2D(24, 1, use_bias=False)(x), None)
    x = normalised(layers.Conv2D(40, 1, use_bias=False)(shortcut), 6.0)
    x = normalised(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x), 6.0)
    x = normalised(layers.Conv2D(24, 1, use_bias=False)(x), None)
    x = layers.Add()([shortcut, x])
    x = normalised(layers.Conv2D(48, 1, use_bias=False)(x), 6.0)
    x = layers.AveragePooling2D(2)(x)  # 5x4 to 2x2: the last row is left out.
    x = layers.Dense(10)(layers.Flatten()(x))
    return tf.keras.Model(image, x)


def normalised(x, ceiling):
    """Batch normalisation, and a ReLU up to `ceiling` unless that is `None`."""
    x = tf.keras.layers.BatchNormalization()(x)
    return x if ceiling is None else tf.keras.layers.ReLU(ceiling)(x)


def train(network, x, y):
    """Trains on images shifted by up to one pixel, with a learning rate that falls to zero."""
    steps = EPOCHS * -(-len(x) // BATCH)
    rng = np.random.Generator(np.random.PCG64(SEED + 1))
    network.compile(
        tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(4e-3, steps)),
        tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for _ in range(EPOCHS):
        network.fit(shifted(rng, x), y, batch_size=BATCH, verbose=0)


def shifted(rng, x):
    """Each image moved by -1, 0 or 1 columns, background coming in from the side."""
    by = rng.integers(-1, 2, len(x))
    wide = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)), constant_values=-1)
    return np.stack([image[:, 1 - b : 9 - b] for image, b in zip(wide, by)])


def quantise(network, x):
    """The model file: int8 throughout, batch 1, a softmax at the end."""

    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 1), tf.float32)])
    def classify(image):
        return tf.nn.softmax(network(image, training=False))

    frozen = convert_variables_to_constants_v2(classify.get_concrete_function())  # Else weights stay variables.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[np.newaxis]] for image in x[:400])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return converter.convert()


def write(out, model, test_x, test_y):
    """Writes the model, the held-out images and labels, and what the reference answers."""
    os.makedirs(out, exist_ok=True)
    quantization = golden.boundary(model)[0][0].quantization
    scaled = np.round(test_x / quantization.scale[0]) + quantization.zeroPoint[0]
    images = np.clip(scaled, -128, 127).astype(np.int8)
    answers = np.concatenate([golden.run_tflm(model, [image[np.newaxis]])[0] for image in images])
    reached = accuracy(answers, test_y)
    print(f"int8 accuracy {reached:.3f} on {len(images)} held-out images")
    assert reached >= LOWEST_ACCURACY and len(model) < LARGEST_BYTES
    with open(os.path.join(out, "digits.tflite"), "wb") as file:
        file.write(model)
    images.tofile(os.path.join(out, "images.bin"))
    test_y.astype(np.uint8).tofile(os.path.join(out, "labels.bin"))
    answers.tofile(os.path.join(out, "golden.bin"))
    golden.write(os.path.join(out, "digits.golden"), "digits.tflite", model)


def accuracy(answers, labels):
    """The share of answers whose largest entry, the first of equals, is the label."""
    return float((answers.argmax(1) == labels).mean())


if __name__ == "__main__":
    main()
