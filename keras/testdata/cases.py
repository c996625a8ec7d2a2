"""Writes what Keras answers for the models in cases/ that it can load, cases.json.

Run it in this folder with the versions that networks.py names. The models were made for
the project as files on which garb was wrong; those of classes and functions of somebody's
own cannot be loaded without them, and must be refused. Each model gets one picture, as in
networks.py.
"""

import gzip
import json
import os
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
import numpy as np

answers = {}
for name in sorted(os.listdir("cases")):
    file = name.removesuffix(".gz")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, file)
        with gzip.open(os.path.join("cases", name)) as source, open(path, "wb") as f:
            f.write(source.read())
        try:
            model = keras.models.load_model(path, compile=False)
        except (TypeError, ValueError) as e:
            print(file, "is refused by Keras too:", str(e).splitlines()[0])
            continue
    shape = [i for i in model.inputs][0].shape
    values = np.float32(37 * np.arange(np.prod(shape[1:])) % 251) / 125 - 1
    picture = np.float32(values).reshape(1, *shape[1:])
    if isinstance(getattr(model, "_inputs_struct", None), dict):
        picture = {name: picture for name in model._inputs_struct}
    answers[file] = [float(f"{v:.7f}") for v in np.ravel(model.predict(picture, verbose=0))]

with open("cases.json", "w") as f:
    json.dump(answers, f, indent=1)
    f.write("\n")
