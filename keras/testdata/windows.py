"""Makes windows3.keras.gz and windows3.h5.gz by Keras 3, windows2.h5.gz by tf_keras, and what
they answer for a picture as in networks.py: windows.json.

    python windows.py

Ran with Keras 3.15.1, tf_keras 2.21.0 and TensorFlow 2.21.0. The models have strides and
dilations that differ between rows and columns, groups, and multipliers of depthwise layers.
"""
import gzip
import json
import os
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
import numpy as np
import tf_keras

shape = (17, 14, 3)
picture = (np.float32(37 * np.arange(np.prod(shape)) % 251) / 125 - 1).astype("float32").reshape(1, *shape)
answers = {}
for generation, k in ("3", keras), ("2", tf_keras):
    L = k.layers
    model = k.Sequential([
        L.Input(shape),
        L.Conv2D(8, (3, 2), strides=(1, 2), padding="same", activation="relu"),
        L.Conv2D(8, 3, dilation_rate=(2, 3), padding="same"),
        L.Conv2D(12, 3, groups=4, padding="same", use_bias=False),
        L.BatchNormalization(),
        L.ReLU(),
        L.Conv2D(6, (2, 3), groups=3, dilation_rate=(1, 2), activation="relu"),
        L.DepthwiseConv2D((3, 2), depth_multiplier=2, padding="same", activation="relu"),
        L.SeparableConv2D(6, 3, dilation_rate=2, depth_multiplier=3, padding="same"),
        L.DepthwiseConv2D(3, strides=(2, 1), padding="same"),
        L.DepthwiseConv2D((3, 2), dilation_rate=(1, 2), padding="same"),
        L.MaxPooling2D((2, 3), strides=(1, 2), padding="same"),
        L.AveragePooling2D((3, 1), strides=(2, 1), padding="same"),
        L.GlobalAveragePooling2D(),
        L.Dense(5),
    ])
    random = np.random.default_rng(5)
    for w in model.weights:
        values = random.uniform(0.5, 1.5, w.shape) if len(w.shape) == 1 else random.normal(0, 1 / np.sqrt(np.prod(w.shape[:-1])), w.shape)
        if "depthwise" in w.name or "depthwise" in getattr(w, "path", ""):
            values = values * np.sqrt(w.shape[2]) if len(w.shape) == 4 else values
        w.assign(values)
    for ending in ("keras", "h5") if generation == "3" else ("h5",):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model." + ending)
            model.save(path)
            loaded = k.models.load_model(path, compile=False)
            with open(path, "rb") as f:
                content = f.read()
        name = f"windows{generation}.{ending}"
        with gzip.GzipFile(name + ".gz", "wb", mtime=0) as f:
            f.write(content)
        answers[name] = [float(f"{v:.7f}") for v in np.ravel(loaded.predict(picture, verbose=0))]
with open("windows.json", "w") as f:
    json.dump(answers, f, indent=1)
    f.write("\n")
