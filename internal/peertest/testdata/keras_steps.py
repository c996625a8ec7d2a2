"""Writes keras_steps.json: the results of ten training steps in Keras, which garb must repeat.

    python internal/peertest/testdata/keras_steps.py LITE0.safetensors [OUT.json]

LITE0 is the file of EfficientNet-Lite0's ImageNet weights. garb stores them as float16, so the
script rounds them to float16. All other weights, pictures and labels come from generate(), which
package peertest has too; so the file holds nothing but results. Made with Keras 3.15.1 on
TensorFlow 2.21.0.

Batch-norms that use their stored statistics are called through model(x, training=False): in
Keras 3 a model's own training argument overrides that of its layers' calls.
"""

import json
import os
import struct
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras
import numpy as np
import tensorflow as tf
from keras import layers

STEPS = 10
EPSILON = 1e-3


def generate(n, salt):
    """n values in [0,1): the upper 24 bits of splitmix64 from the state salt·2³²."""
    with np.errstate(over="ignore"):
        z = np.uint64(salt << 32) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return ((z ^ (z >> np.uint64(31))) >> np.uint64(40)) / (1 << 24)


def weights_of(name, shape, salt):
    """First values of a parameter: kernels in ±√(3/inputs), statistics around 1."""
    values = generate(int(np.prod(shape)), salt)
    if len(shape) > 1:
        inputs = np.prod(shape[:-1]) if shape[-1] != 1 or len(shape) == 2 else np.prod(shape[:2])
        values = (2 * values - 1) * np.sqrt(3 / inputs)
    elif name.endswith(("gamma", "moving_variance")):
        values = values + 0.5
    else:
        values = values - 0.5
    return values.astype(np.float32).reshape(shape)


class Network:
    """A Keras model whose layers go by garb's names."""

    def __init__(self, side):
        self.layers = {}
        self.input = keras.Input((side, side, 3))

    def add(self, name, layer, x):
        self.layers[name] = layer
        return layer(x)

    def conv(self, name, x, filters, kernel, stride=1):
        return self.add(name, layers.Conv2D(filters, kernel, stride, "same", use_bias=False), x)

    def depthwise(self, name, x, kernel, stride=1):
        return self.add(name, layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False), x)

    def norm(self, name, x):
        return self.add(name, layers.BatchNormalization(epsilon=EPSILON), x)

    def dense(self, name, x, units):
        return self.add(name, layers.Dense(units), x)

    def finish(self, x):
        self.model = keras.Model(self.input, x)

    def parameters(self):
        """Pairs of garb's name and Keras's variable, in the order of the layers."""
        for name, layer in self.layers.items():
            for v in layer.weights:
                yield f"{name}/{v.name}", v


def small():
    n = Network(16)
    x = layers.ReLU()(n.norm("bn1", n.conv("conv1", n.input, 8, 3)))
    y = layers.ReLU(6.0)(n.norm("bn2", n.depthwise("depthwise", x, 3, 2)))
    y = n.norm("bn3", n.conv("conv2", y, 12, 1))
    x = n.norm("bn4", n.conv("shortcut", x, 12, 1, 2))
    x = layers.MaxPooling2D(2)(layers.ReLU()(layers.Add()([y, x])))
    x = layers.ReLU()(n.dense("inner1", layers.GlobalAveragePooling2D()(x), 16))
    n.finish(n.dense("classifier", x, 5))
    return n


def binary():
    n = Network(16)
    x = layers.ReLU()(n.norm("bn1", n.conv("conv1", n.input, 8, 3)))
    n.finish(n.dense("classifier", layers.Flatten()(layers.AveragePooling2D(4)(x)), 1))
    return n


STAGES = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)]


def lite0():
    n = Network(64)
    x = layers.ReLU(6.0)(n.norm("stem/bn", n.conv("stem/conv", n.input, 32, 3, 2)))
    block = 0
    for repeat, kernel, stride, expansion, filters in STAGES:
        for i in range(repeat):
            name, s, y = f"blocks/{block:02d}", stride if i == 0 else 1, x
            block += 1
            if expansion != 1:
                y = layers.ReLU(6.0)(n.norm(name + "/expand/bn", n.conv(name + "/expand/conv", y, expansion * x.shape[-1], 1)))
            y = layers.ReLU(6.0)(n.norm(name + "/depthwise/bn", n.depthwise(name + "/depthwise/conv", y, kernel, s)))
            y = n.norm(name + "/project/bn", n.conv(name + "/project/conv", y, filters, 1))
            x = layers.Add()([y, x]) if s == 1 and x.shape[-1] == filters else y
    x = layers.ReLU(6.0)(n.norm("head/bn", n.conv("head/conv", x, 1280, 1)))
    n.finish(n.dense("classifier", layers.GlobalAveragePooling2D()(x), 10))
    return n


def picture_batch(n, side, step):
    """Smooth pictures: a coarse grid of 8 × 8 values, each over a square."""
    grid = generate(n * 8 * 8 * 3, 1000 + step).reshape(n, 8, 8, 3)
    return (2 * np.kron(grid, np.ones((1, side // 8, side // 8, 1))) - 1).astype(np.float32)


CASES = [
    dict(name="sgd", optimizer="sgd", momentum=0.9, rate=0.02),
    dict(name="nesterov", optimizer="sgd", momentum=0.9, nesterov=True, rate=0.02),
    dict(name="adam", optimizer="adam", rate=1e-3),
    dict(name="adamw", optimizer="adamw", rate=1e-3, decay=0.05),
    dict(name="clipped", optimizer="sgd", momentum=0.9, rate=0.02, clip=0.5),
    dict(name="smoothed", optimizer="sgd", momentum=0.9, rate=0.02, smoothing=0.1),
    dict(name="class weights", optimizer="sgd", momentum=0.9, rate=0.02, weights=[1, 2, 0.5, 1.5, 3]),
    dict(name="batch statistics", optimizer="sgd", momentum=0.9, rate=0.02, statistics=True),
    dict(name="batch statistics, adam", optimizer="adam", rate=1e-3, statistics=True),
    dict(name="head", optimizer="adam", rate=1e-3, head=True),
    dict(name="binary", network="binary", optimizer="sgd", momentum=0.8, rate=0.002),
    dict(name="lite0, sgd", network="lite0", optimizer="sgd", momentum=0.9, rate=1e-3, batch=8),
    dict(name="lite0, adamw", network="lite0", optimizer="adamw", rate=1e-5, decay=0.05, batch=8),
]


def run(case, pretrained):
    kind = case.get("network", "small")
    network = {"small": small, "binary": binary, "lite0": lite0}[kind]()
    for salt, (name, v) in enumerate(network.parameters(), 1):
        if name in pretrained and not name.startswith("classifier"):
            v.assign(pretrained[name])
        else:
            v.assign(weights_of(name, tuple(v.shape), salt))
    model = network.model
    if case.get("head"):
        for name, layer in network.layers.items():
            layer.trainable = name in ("inner1", "classifier")
    common = dict(learning_rate=case["rate"], global_clipnorm=case.get("clip"))
    optimizer = {
        "sgd": lambda: keras.optimizers.SGD(momentum=case["momentum"], nesterov=case.get("nesterov", False), **common),
        "adam": lambda: keras.optimizers.Adam(**common),
        "adamw": lambda: keras.optimizers.AdamW(weight_decay=case.get("decay"), **common),
    }[case["optimizer"]]()
    classes = model.output_shape[-1]
    if classes == 1:
        loss_of = keras.losses.BinaryCrossentropy(from_logits=True)
    else:
        loss_of = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=case.get("smoothing", 0.0))
    n, side, losses = case.get("batch", 6), model.input_shape[1], []
    for step in range(STEPS):
        x = picture_batch(n, side, step)
        labels = np.floor(generate(n, 2000 + step) * max(classes, 2)).astype(int)
        y = labels.reshape(n, 1).astype(np.float32) if classes == 1 else np.eye(classes, dtype=np.float32)[labels]
        per_image = np.array(case["weights"], np.float32)[labels] if "weights" in case else None
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=case.get("statistics", False)), sample_weight=per_image)
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        losses.append(float(loss))
    parameters = {}
    for name, v in network.parameters():
        values = np.asarray(v.value, np.float64).ravel()
        sampled = values if kind != "lite0" and len(values) <= 64 else values[np.arange(8) * (len(values) - 1) // 7]
        parameters[name] = dict(norm=float(np.sqrt((values**2).sum())), values=[float(f"{float(s):.7g}") for s in sampled])
    return case | dict(network=kind, losses=losses, parameters=parameters)


def read(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"]).astype("<f2").astype("<f4")
        for name, entry in header.items()
    }


def main():
    pretrained = read(sys.argv[1])
    results = []
    for case in CASES:
        results.append(run(case, pretrained if case.get("network") == "lite0" else {}))
        print(case["name"], results[-1]["losses"][0], results[-1]["losses"][-1], file=sys.stderr)
    path = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "keras_steps.json")
    with open(path, "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(r) for r in results) + "\n]\n")


if __name__ == "__main__":
    main()
