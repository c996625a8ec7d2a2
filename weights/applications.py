"""Makes applications.tsv and applications/NAME.json.gz: the networks of keras.applications
whose official weights `garb models pull` gets.

    python weights/applications.py

Everything comes from the installed Keras (3.15.1): where a network's weights without the top
are, their MD5 if Keras checks one, how the network is built for them at the size of their
pictures, its parameters, and what its preprocess_input does. Nothing is downloaded. Keras's
source does not say under which licence weights are; LICENCES has what Keras's documentation
says (keras-team/keras, docs/templates/applications.md, "License" below each family), and where
it says nothing the licence of Keras itself, which publishes them.

Left out: ConvNeXt, which has layers that garb lacks (LayerScale), and Xception, which is an
architecture of garb's own.
"""

import gzip
import json
import os
import re
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
import numpy as np
from keras.src.utils import file_utils

KERAS = "Apache-2.0", "Keras, whose licence this is"
MADE = "{}, through keras-applications"
LICENCES = {
    "DenseNet": ("BSD-3-Clause", MADE.format("Zhuang Liu")),
    "MobileNet": ("Apache-2.0", MADE.format("tensorflow/models")),
    "MobileNetV2": ("Apache-2.0", MADE.format("tensorflow/models")),
    "MobileNetV3": KERAS,
    "NASNet": ("Apache-2.0", MADE.format("tensorflow/models")),
    "Inception": ("Apache-2.0", MADE.format("tensorflow/models")),
    "ResNet": ("MIT", MADE.format("Kaiming He")),
    "ResNetV2": ("BSD", MADE.format("Facebook, fb.resnet.torch")),
    "VGG": ("CC-BY-4.0", MADE.format("VGG, Oxford")),
}
NAMES = """MobileNet MobileNetV2 MobileNetV3Small MobileNetV3Large
    EfficientNetB0 EfficientNetB1 EfficientNetB2 EfficientNetB3
    EfficientNetB4 EfficientNetB5 EfficientNetB6 EfficientNetB7
    EfficientNetV2B0 EfficientNetV2B1 EfficientNetV2B2 EfficientNetV2B3 EfficientNetV2S EfficientNetV2M EfficientNetV2L
    ResNet50 ResNet101 ResNet152 ResNet50V2 ResNet101V2 ResNet152V2 DenseNet121 DenseNet169 DenseNet201
    InceptionV3 InceptionResNetV2 NASNetMobile NASNetLarge VGG16 VGG19""".split()
here = os.path.dirname(os.path.abspath(__file__))
asked = []


def get_file(fname, origin, file_hash=None, **_):
    asked.append((origin, file_hash))
    return fname


file_utils.get_file = get_file
keras.Model.load_weights = lambda *a, **k: None


def mode(make):
    """garb's name of what preprocess_input does, told by what it answers."""
    samples = np.array([[[[0.0, 100.0, 200.0]]]], "float32")
    answer = sys.modules[make.__module__].preprocess_input(samples.copy()).ravel()
    for name, want in {
        "none": samples.ravel(),
        "mobilenet": samples.ravel() / 127.5 - 1,
        "resnet50": [200 - 103.939, 100 - 116.779, 0 - 123.68],
        "densenet": (samples.ravel() / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
    }.items():
        if np.allclose(answer, want, atol=1e-4):
            return name
    raise ValueError(f"{make.__name__} prepares pictures in a way of its own: {answer}")


def plain(settings):
    """Settings of a layer without those that matter in training alone."""
    drop = ("initializer", "regularizer", "constraint")
    return {k: v for k, v in settings.items() if not k.endswith(drop)}


def description(model):
    config = json.loads(model.to_json())
    for layer in config["config"]["layers"]:
        layer["config"] = plain(layer["config"])
    return json.dumps(config, separators=(",", ":"))


def licence(name):
    name = re.sub("[0-9]+V2$", "V2", name) if name.startswith("ResNet") else name
    family = max((f for f in LICENCES if name.startswith(f)), key=len, default=None)
    return LICENCES.get(family, KERAS)


def main():
    rows = ["name\tkeras\tparameters\tside\tpreprocess\turl\tmd5\tlicence\torigin"]
    os.makedirs(os.path.join(here, "applications"), exist_ok=True)
    total = 0
    for name in NAMES:
        make = getattr(keras.applications, name)
        keras.backend.clear_session()
        side = make(weights=None).input_shape[1] or 224  # of MobileNetV3, as its files are named
        keras.backend.clear_session()
        model = make(weights="imagenet", include_top=False, input_shape=(side, side, 3))
        url, md5 = asked[-1]
        parameters = sum(int(np.prod(w.shape)) for w in model.weights if w.name != "count")
        packed = gzip.compress(description(model).encode(), 9, mtime=0)
        total += len(packed)
        short = "keras-" + name.lower()
        with open(os.path.join(here, "applications", short + ".json.gz"), "wb") as f:
            f.write(packed)
        rows.append("\t".join([short, name, str(parameters), str(side), mode(make), url, md5 or "", *licence(name)]))
        print(name, len(packed), total, file=sys.stderr, flush=True)
    with open(os.path.join(here, "applications.tsv"), "w") as f:
        f.write("\n".join(rows) + "\n")


main()
