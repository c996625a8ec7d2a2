"""Writes steps.json.gz: ten training steps of networks of keras.applications in Keras, which
garb's must equal; and the networks without weights, steps/NAME.json.gz, unless they are there.

    python keras/testdata/steps.py [OUT.json.gz [NETWORK...]]

Weights, pictures and labels come from generate() of internal/near/testdata/keras_steps.py, a
parameter's from the CRC-32 of its name, so that nothing but results is stored. Made with
Keras 3.15.1 on TensorFlow 2.21.0.

Keras computes each case twice. In float64 it is the reference; in float32 it says how far
rounding alone leads, in "off" the losses and in "weightsOff" the weights: dozens of
batch-norms on the statistics of a few pictures amplify it. With the rates here Keras's own
float32 stays within the tolerances that garb is held to, and the losses move by far more.
Layers that drop values are switched off, since nobody else draws what Keras draws.
"""

import gzip
import json
import os
import sys
import time
import zlib

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "..", "internal", "near", "testdata"))
from keras_steps import generate, keras, np, picture_batch, tf

CLASSES, STEPS = 5, 10


def mobile_net_v3():
    return keras.applications.MobileNetV3Small(weights=None, classes=CLASSES, input_shape=(64, 64, 3), include_preprocessing=False,
        classifier_activation=None, dropout_rate=0)


def plain(name, side):
    return getattr(keras.applications, name)(weights=None, classes=CLASSES, input_shape=(side, side, 3), classifier_activation=None)


NETWORKS = {
    "MobileNetV3Small": mobile_net_v3,
    "MobileNetV2": lambda: plain("MobileNetV2", 64),
    "EfficientNetB0": lambda: plain("EfficientNetB0", 64),
    "ResNet50": lambda: plain("ResNet50", 64),
    "DenseNet121": lambda: plain("DenseNet121", 64),
}
CASES = [dict(network=name, batch=8, optimizer="sgd", momentum=0.9, rate=0.001, statistics=True) for name in NETWORKS]


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
    """Its first values: kernels in ±√(6/inputs), gammas and variances around 1."""
    values = 2 * generate(int(np.prod(shape)), zlib.crc32(name.encode())) - 1
    if len(shape) > 1:
        inputs = np.prod(shape[:2]) if shape[-1] == 1 and len(shape) == 4 else np.prod(shape[:-1])
        values = values * np.sqrt(6 / inputs)
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
    for step in range(STEPS):
        x = picture_batch(n, side, step).astype(dtype)
        labels = np.floor(generate(n, 2000 + step) * CLASSES).astype(int)
        with tf.GradientTape() as tape:
            loss = loss_of(np.eye(CLASSES, dtype=dtype)[labels], model(x, training=case["statistics"]))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
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
