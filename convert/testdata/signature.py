"""Saves models as the course does, in .h5 files of the older Keras, and writes what their SavedModels
say about themselves and answer, for TestSavedModel.

    signature.py FOLDER
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import tensorflow as tf
import tf_keras as keras

folder = sys.argv[1]
L = keras.layers
keras.utils.set_random_seed(5)


def course():
    base = keras.applications.Xception(weights=None, include_top=False, input_shape=(71, 71, 3))
    base.trainable = False
    i = keras.Input((71, 71, 3), name="input_8")
    x = L.GlobalAveragePooling2D()(base(i, training=False))
    x = L.Dropout(0.2)(L.Dense(100, activation="relu")(x))
    return keras.Model(i, L.Dense(10, name="dense_7")(x))


def homework():
    return keras.Sequential(
        [
            L.Conv2D(8, 3, activation="relu", input_shape=(30, 30, 3)),
            L.Flatten(),
            L.Dense(1, activation="sigmoid"),
        ]
    )


def classifier():
    i = keras.Input((20, 20, 3))
    x = L.Activation("softmax")(L.Dense(4)(L.Flatten()(i)))
    return keras.Model(i, x)


answers = {}
for make in (course, homework, classifier):
    m = make()
    shape = m.input_shape[1:]
    x = (37 * np.arange(np.prod(shape)) % 251 / 125 - 1).astype("float32").reshape(1, *shape)
    m.save(os.path.join(folder, make.__name__ + ".h5"))
    tf.saved_model.save(m, os.path.join(folder, make.__name__))
    signature = tf.saved_model.load(os.path.join(folder, make.__name__)).signatures["serving_default"]
    (input,) = signature.structured_input_signature[1]
    ((output, answer),) = signature(**{input: tf.constant(x)}).items()
    answers[make.__name__] = {"input": input, "output": output, "answer": answer.numpy()[0].tolist()}
with open(os.path.join(folder, "answers.json"), "w") as f:
    json.dump(answers, f)
