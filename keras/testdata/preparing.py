"""Makes models that prepare their pictures themselves, preparing/*.gz, and what Keras answers,
preparing.json.

Run it in this folder with the versions that networks.py names. Each model is saved as both
kinds of file by both generations, except where Keras cannot (an Ellipsis into a .keras file of
the older one) or the layers are the newer one's alone. The picture's value i is 37·i mod 256.
"""

import gzip
import json
import os
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras as keras3
import numpy as np
import tensorflow as tf
import tf_keras as keras2

MEAN = np.array([103.939, 116.779, 123.68], "float32")
STD = np.array([58.4, 57.1, 57.4], "float32")


def by_hand(k, x):
    x = x[..., ::-1] - MEAN
    x = -(x / STD.reshape(1, 1, 1, 3))
    return 1.5 - x * np.array([0.5, -0.25, 2], "float32") + 3.0


def picked(k, x):
    if k is keras3:
        ops = keras3.ops
        turned, taken = ops.flip(x, -1), ops.take(x, [2, 0, -3, 2], axis=-1)
        stacked = ops.stack([x[..., 1], x[:, :, :, -1]], axis=3)
        x = ops.cast(x, "float32")
    else:
        turned, taken = tf.reverse(x, [-1]), tf.gather(x, [2, 0, 0, 2], axis=-1)
        stacked = tf.stack([x[..., 1], x[:, :, :, -1]], axis=3)
        x = tf.cast(x, tf.float32)
    x = k.layers.Concatenate()([turned, taken, stacked, x[..., 1:], x[:, :, :, :-1], x[..., 2:0:-1]])
    return k.layers.Rescaling(1 / 64)(x)


def augmented(k, x):
    """All layers that do nothing when a model answers, with settings that would do a lot."""
    L = k.layers
    layers = [
        L.Resizing(8, 7), L.CenterCrop(8, 7), L.RandomCrop(8, 7), L.RandomFlip(), L.RandomRotation(0.9), L.RandomZoom(0.5),
        L.RandomTranslation(0.5, 0.5), L.RandomContrast(0.9), L.RandomBrightness(0.9), L.GaussianNoise(0.9),
        L.GaussianDropout(0.9), L.AlphaDropout(0.9), L.SpatialDropout2D(0.9), L.ActivityRegularization(1.0),
    ]
    if k is keras2:
        layers += [L.Resizing(8, 7, interpolation="bicubic", crop_to_aspect_ratio=True)]
    else:
        layers += [
            L.Resizing(8, 7, interpolation="lanczos5", antialias=True, pad_to_aspect_ratio=True), L.Identity(),
            L.AugMix(value_range=(0, 1)), L.RandAugment(value_range=(0, 1)), L.CutMix(1.0), L.MixUp(1.0),
            L.RandomColorDegeneration(1.0), L.RandomColorJitter(value_range=(0, 1), brightness_factor=0.9), L.RandomElasticTransform(1.0),
            L.RandomErasing(1.0), L.RandomGaussianBlur(1.0), L.RandomGrayscale(1.0), L.RandomHue(0.9), L.RandomInvert(1.0),
            L.RandomPerspective(1.0), L.RandomPosterization(1), L.RandomSaturation(0.9), L.RandomSharpness(0.9), L.RandomShear(0.9),
            L.Solarization(0.5, 0.5),
        ]
    x = k.Sequential(layers, name="augmentation")(x)
    return L.Rescaling(1 / 64)(x)


def whole(k, x):
    """Normalizations over rows, columns and channels."""
    L = k.layers
    x = L.LayerNormalization(axis=[1, 2, 3], name="axes")(x)
    y = L.LayerNormalization(axis=[-3, -2, -1], epsilon=0.1, scale=False, name="from_the_end")(L.Cropping2D(1)(x))
    return L.Concatenate()([L.LayerNormalization(axis=(1, 2, 3), center=False, name="factors")(y), y])


def resized(k, x):
    """Layers that change the size, each way that garb has."""
    L = k.layers
    layers = [
        L.Resizing(5, 9), L.Resizing(11, 3, interpolation="nearest"), L.Resizing(4, 12, crop_to_aspect_ratio=True),
        L.Resizing(13, 5, interpolation="nearest", crop_to_aspect_ratio=True), L.CenterCrop(5, 4), L.CenterCrop(8, 2),
        L.CenterCrop(10, 5), L.CenterCrop(3, 9), L.Resizing(24, 21), L.Resizing(1, 1),
    ]
    if k is keras3:
        layers += [L.Resizing(6, 13, pad_to_aspect_ratio=True), L.Resizing(15, 4, interpolation="nearest", pad_to_aspect_ratio=True)]
    x = L.Concatenate()([L.Resizing(6, 5)(layer(x)) for layer in layers])
    return L.Rescaling(1 / 64)(x)


MODELS = {
    "caffe": lambda k, x: k.applications.resnet50.preprocess_input(x),
    "tf": lambda k, x: k.applications.mobilenet_v2.preprocess_input(x),
    "torch": lambda k, x: k.applications.densenet.preprocess_input(x),
    "hand": by_hand,
    "picked": picked,
    "augmented": augmented,
    "resized": resized,
    "whole": whole,
}

answers = {}
os.makedirs("preparing", exist_ok=True)
for k, generation in (keras3, 3), (keras2, 2):
    for seed, (name, prepare) in enumerate(MODELS.items()):
        k.backend.clear_session()
        L = k.layers
        i = L.Input((8, 7, 3))
        x = L.Conv2D(4, 3, activation="tanh", name="first")(prepare(k, i))
        # By their names garb would prepare pictures once more.
        called = {"caffe": "resnet50", "tf": "mobilenetv2_1.00_224", "torch": "densenet121"}.get(name, name)
        model = k.Model(i, L.Dense(3, name="last")(L.Flatten()(x)), name=called)
        rng = np.random.default_rng(seed)
        for w in model.get_layer("first").weights + model.get_layer("last").weights:
            size = 0.005 if name == "caffe" and len(w.shape) == 4 else 0.2
            w.assign(rng.normal(0, size, w.shape))
        for layer in model.layers:
            for w in layer.weights if layer.name in ("axes", "from_the_end", "factors") else ():
                w.assign(rng.uniform(0.5, 1.5, w.shape))
        picture = np.float32(37 * np.arange(8 * 7 * 3) % 256).reshape(1, 8, 7, 3)
        value = [float(f"{v:.7g}") for v in np.ravel(model.predict(picture, verbose=0))]
        for kind in "keras", "h5":
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, f"m.{kind}")
                try:
                    model.save(path)
                except (TypeError, ValueError) as e:
                    print(name, generation, kind, "cannot be saved:", str(e).splitlines()[0])
                    continue
                file = f"{name}{generation}.{kind}"
                answers[file] = value
                with open(path, "rb") as source, open(os.path.join("preparing", file + ".gz"), "wb") as f:
                    f.write(gzip.compress(source.read(), 9, mtime=0))

with open("preparing.json", "w") as f:
    f.write("{\n" + ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(answers.items())) + "\n}\n")
