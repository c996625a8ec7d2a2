"""Writes steps.json.gz: ten training steps of networks of keras.applications in Keras, which
garb's must equal; and the networks without weights, steps/NAME.json.gz, unless they are there.

    python keras/testdata/steps.py [OUT.json.gz [NETWORK...]]

Weights, pictures and labels come from generate() of internal/peertest/testdata/keras_steps.py, a
parameter's from the CRC-32 of its name, so that nothing but results is stored. Made with
Keras 3.15.1 on TensorFlow 2.21.0.

Keras computes each case twice. In float64 it is the reference; in float32 it says how far
rounding alone leads, in "off" the losses and in "weightsOff" the weights. With batch-norms on
the statistics of eight pictures, MobileNetV2 and ResNet50 are chaotic: already at a rate of
1e-5 Keras's own float32 is 5e-3 off after ten steps. On stored statistics, as garb fine-tunes
unless told otherwise, it stays within 1e-6 to 1e-4 at rates that move the losses by .1 and more.
Layers that drop values are switched off, since nobody else draws what Keras draws.
"""

import gzip
import json
import os
import sys
import time
import zlib

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "..", "internal", "peertest", "testdata"))
from keras_steps import generate, keras, np, picture_batch, tf

CLASSES, STEPS, SIDE = 5, 10, 96


def mobile_net_v3():
    return keras.applications.MobileNetV3Small(weights=None, classes=CLASSES, input_shape=(SIDE, SIDE, 3), include_preprocessing=False,
        classifier_activation=None, dropout_rate=0)


def plain(name, side):
    return getattr(keras.applications, name)(weights=None, classes=CLASSES, input_shape=(side, side, 3), classifier_activation=None)


NETWORKS = {
    "MobileNetV3Small": mobile_net_v3,
    "MobileNetV2": lambda: plain("MobileNetV2", SIDE),
    "EfficientNetB0": lambda: plain("EfficientNetB0", SIDE),
    "ResNet50": lambda: plain("ResNet50", SIDE),
    "DenseNet121": lambda: plain("DenseNet121", SIDE),
}
RATES = {"MobileNetV3Small": 0.1, "MobileNetV2": 0.03, "EfficientNetB0": 0.1, "ResNet50": 0.0003, "DenseNet121": 0.01}
CASES = [dict(network=name, batch=8, optimizer="sgd", momentum=0.9, rate=rate, statistics=False) for name, rate in RATES.items()] + [
    dict(network=name, batch=8, optimizer="sgd", momentum=0.9, rate=0.001, statistics=True) for name in ("MobileNetV3Small", "EfficientNetB0")
]


def description(name):
    """The network as JSON: nothing is dropped, and EfficientNet's statistics of pictures are
    settings."""
    config = json.loads(NETWORKS[name]().to_json())
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "Dropout":
            layer["config"].update(rate=0.0)
        if layer["class_name"] == "Normalization":
            layer["config"].update(mean=[0.0, 0.001, -0.001], variance=[1.5e-5, 1.6e-5, 1.7e-5])
    return json.dumps(config)


def parameter(name, shape):
    """Its first values: kernels in ±√(2/inputs), gammas and variances around 1."""
    values = 2 * generate(int(np.prod(shape)), zlib.crc32(name.encode())) - 1
    if len(shape) > 1:
        inputs = np.prod(shape[:2]) if shape[-1] == 1 and len(shape) == 4 else np.prod(shape[:-1])
        values = values * np.sqrt(2 / inputs)
    elif name.endswith(("gamma", "moving_variance")):
        values = 1 + 0.5 * values
    else:
        values = 0.25 * values
    return values.astype(np.float32).reshape(shape)


def parameters(model):
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            continue
        for v in layer.weights:
            kind = {"depthwise_kernel": "kernel"}.get(v.name, v.name)
            yield f"{layer.name}/{kind}", v


def train(case, text, dtype):
    keras.config.set_floatx(dtype)
    model = keras.models.model_from_json(text.replace('"float32"', f'"{dtype}"'))
    for name, v in parameters(model):
        v.assign(parameter(name, tuple(v.shape)))
    optimizer = keras.optimizers.SGD(case["rate"], momentum=case["momentum"])
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True)
    n, side, losses = case["batch"], model.input_shape[1], []
    variables = model.trainable_variables
    optimizer.build(variables)

    @tf.function
    def step(x, targets):
        with tf.GradientTape() as tape:
            loss = loss_of(targets, model(x, training=case["statistics"]))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    for i in range(STEPS):
        labels = np.floor(generate(n, 2000 + i) * CLASSES).astype(int)
        loss = step(tf.constant(picture_batch(n, side, i), dtype), tf.constant(np.eye(CLASSES)[labels], dtype))
        losses.append(float(loss))
    return losses, {name: np.asarray(v.value, np.float64).ravel() for name, v in parameters(model)}


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "steps.json.gz")
    results = []
    os.makedirs(os.path.join(here, "steps"), exist_ok=True)
    for case in CASES:
        if len(sys.argv) > 2 and case["network"] not in sys.argv[2:]:
            continue
        start = time.time()
        described = os.path.join(here, "steps", case["network"] + ".json.gz")
        if not os.path.exists(described):
            with open(described, "wb") as f:
                f.write(gzip.compress(description(case["network"]).encode(), 9, mtime=0))
        with gzip.open(described) as f:
            text = f.read().decode()
        losses, values = train(case, text, "float64")
        narrow, rounded = train(case, text, "float32")
        kept = {}
        for name, v in values.items():
            sampled = v[np.arange(3) * (len(v) - 1) // 2]
            kept[name] = dict(norm=float(f"{np.sqrt((v**2).sum()):.7g}"), values=[float(f"{x:.6g}") for x in sampled])
        off = max(abs(a - b) for a, b in zip(losses, narrow))
        weights_off = max(np.abs(values[name] - rounded[name]).max() for name in values)
        print(f"{case['network']} {case['rate']}: losses {[round(v, 3) for v in losses]}, float32 is {off:.1e} off, weights {weights_off:.1e};"
            f" {time.time() - start:.0f} s", file=sys.stderr, flush=True)
        results.append(case | dict(name=f"{case['network']}, {'the batch' if case['statistics'] else 'stored'}", losses=losses,
            off=off, weightsOff=weights_off, parameters=kept))
        with open(path, "wb") as f:
            f.write(gzip.compress(json.dumps(results).encode(), 9, mtime=0))


main()
