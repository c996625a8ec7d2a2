"""Makes files like the official ones of keras.applications, and what Keras answers with them,
for TestApplicationsAsKeras.

    python official.py FOLDER NETWORK...

The weights are random (randomise() of keras/testdata/applications.py). Keras 2 writes them, as
the official files were written; Keras 3 loads them by its own weights="imagenet", whose download
is replaced by the file. FOLDER gets NAME.h5, the picture NAME.rgb, three bytes a
pixel, and official.json with the averaged features.
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "keras", "testdata"))
from applications import SEED, np, randomise

import keras
import tf_keras
from keras.src.utils import file_utils

load_weights = keras.Model.load_weights

def main():
    folder, *names = sys.argv[1:]
    answers = []
    for name in names:
        rng = np.random.default_rng(SEED)
        keras.utils.set_random_seed(SEED)  # of what Dropout draws
        sides = {"InceptionV3": 299, "InceptionResNetV2": 299}
        side = sides.get(name, 224)
        shape = (side, side, 3)
        path = os.path.join(folder, name + ".h5")
        file_utils.get_file = lambda *_, **__: path
        # Squares of colours, and a little noise.
        squares = rng.integers(0, 256, (2, 8, 8, 3)).repeat(-(-side // 8), 1).repeat(-(-side // 8), 2)[:, :side, :side]
        pictures = np.clip(squares + rng.integers(-20, 21, squares.shape), 0, 255).astype("uint8")
        make = getattr(keras.applications, name)
        prepare = sys.modules[make.__module__].preprocess_input

        keras.backend.clear_session()
        keras.Model.load_weights = lambda *_, **__: None
        drawn = make(weights="imagenet", include_top=False, input_shape=shape)
        randomise(keras, drawn, prepare(pictures.astype("float32")), rng)

        tf_keras.backend.clear_session()
        older = getattr(tf_keras.applications, name)(weights=None, include_top=False, input_shape=shape)
        pairs = zip([l for l in drawn.layers if l.weights], [l for l in older.layers if l.weights], strict=True)
        for layer, same in pairs:
            same.set_weights(layer.get_weights())
        older.save_weights(path)

        keras.backend.clear_session()
        keras.Model.load_weights = load_weights
        model = make(weights="imagenet", include_top=False, input_shape=shape, pooling="avg")
        features = model.predict(prepare(pictures[:1].astype("float32")), verbose=0)
        pictures[0].tofile(os.path.join(folder, name + ".rgb"))
        answers.append({"name": name, "side": side, "features": features.ravel().tolist()})
    with open(os.path.join(folder, "official.json"), "w") as f:
        json.dump(answers, f)


main()
