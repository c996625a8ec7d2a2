"""Loads each model.keras of a folder with real Keras and lets it answer.

    python load.py FOLDER

For each NAME.keras it reads NAME.input, float32 values of whole inputs, and writes
NAME.output, the answers of the model. h5py opens the weights by itself. What it finds is
printed as JSON: the version of Keras, and for each model its name, its layers' classes and
the arrays in its file of weights.
"""

import io
import json
import os
import pathlib
import sys
import zipfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import h5py
import keras
import numpy as np


def arrays(path):
    """The arrays of a file of weights, by their places."""
    found = {}

    def visit(place, thing):
        if isinstance(thing, h5py.Dataset):
            found[place] = [str(thing.dtype), list(thing.shape)]

    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as f:
        f.visititems(visit)
    return found


report = {"keras": keras.__version__, "models": {}}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.keras")):
    model = keras.models.load_model(path)
    values = np.fromfile(path.with_suffix(".input"), "<f4").reshape((-1,) + model.input_shape[1:])
    if len(model.layers) < 40:
        answers = model.predict(values, verbose=0)
    else:  # predict compiles a graph first, which takes seconds for a large model
        answers = np.asarray(model(values, training=False))
    answers.astype("<f4").tofile(path.with_suffix(".output"))
    report["models"][path.stem] = {
        "name": model.name,
        "classes": [type(layer).__name__ for layer in model.layers],
        "arrays": arrays(path),
    }
json.dump(report, sys.stdout)
