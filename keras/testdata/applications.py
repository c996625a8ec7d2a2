"""Makes models of keras.applications and what they answer, for TestApplications.

    python applications.py 3|2 FOLDER [model.keras]

With 3 it makes them by Keras 3, with 2 by tf_keras, which is Keras 2. Weights are
random, from a seed; the statistics of batch-norms are those of a random batch, and a
little off, so that values neither vanish nor grow. FOLDER gets the files, pictures as
float32 in order, and models.json, which lists them all. A model that is given is opened
and asked too.

A generation's files are of two kinds: NAME.keras answers with logits, NAME.h5 with
probabilities, of the same weights.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np

CLASSES, SEED = 10, 7
NETWORKS = ["MobileNet", "MobileNetV2", "ResNet50", "DenseNet121", "EfficientNetB0"]
# Of other families and sizes, a file each, of Keras 3. Left out as too large for a short CI,
# and made of the same layers: ResNet101 and 152, ResNet101V2 and 152V2, VGG19, DenseNet169 and
# 201, EfficientNetB2 to B7, EfficientNetV2B1 to V2L, NASNetLarge. ConvNeXt has layers that garb
# lacks (LayerScale).
FURTHER = ["MobileNetV3Small", "MobileNetV3Large", "EfficientNetB1", "EfficientNetV2B0", "ResNet50V2", "VGG16",
    "Xception", "InceptionV3", "InceptionResNetV2", "NASNetMobile"]


def kind(w):
    return w.name.split("/")[-1].split(":")[0]


def randomise(k, model, pictures, rng):
    """Draws the weights of a model of Keras k, and statistics that the pictures give."""
    norms = [l for l in model.layers if isinstance(l, k.layers.BatchNormalization)]
    for l in model.layers:
        for w in l.weights:
            shape, name = tuple(w.shape), kind(w)
            if name == "gamma":
                w.assign(rng.uniform(0.5, 1.5, shape))
            elif name in ("beta", "bias"):
                w.assign(rng.normal(0, 0.2, shape))
            elif "kernel" in name:
                depthwise = isinstance(l, k.layers.DepthwiseConv2D)
                fan = np.prod(shape[:2]) if depthwise else np.prod(shape[:-1])
                w.assign(rng.normal(0, 1.4 / np.sqrt(fan), shape))
        if isinstance(l, k.layers.Normalization):
            for w in l.weights:
                if kind(w) == "mean":
                    w.assign(rng.uniform(0.4, 0.5, w.shape))
                if kind(w) == "variance":
                    w.assign(rng.uniform(0.05, 0.1, w.shape))
            l.finalize_state()
    momentum = [l.momentum for l in norms]
    for l in norms:
        l.momentum = 0
    model(pictures, training=True)
    for l, m in zip(norms, momentum):
        l.momentum = m
        for w in l.weights:
            if kind(w) == "moving_mean":
                w.assign_add(rng.normal(0, 0.05, w.shape).astype("float32"))
            if kind(w) == "moving_variance":
                w.assign(np.array(w) * rng.uniform(0.8, 1.25, w.shape))


def main():
    generation, folder, *given = sys.argv[1:]
    if generation == "3":
        import keras as k
    else:
        import tf_keras as k
    models = []

    def keep(name, path, model, pictures, logits):
        """Enters the file at path, which model is in."""
        asked = os.path.join(folder, f"{len(models)}.pictures")
        pictures.astype("float32").tofile(asked)
        models.append(
            {
                "name": name,
                "keras": k.__version__,
                "file": os.path.abspath(path),
                "pictures": asked,
                "count": len(pictures),
                "parameters": int(sum(np.prod(w.shape) for w in model.weights if kind(w) != "count")),
                "answers": model.predict(pictures, verbose=0).ravel().tolist(),
                "logits": logits.ravel().tolist(),
            }
        )

    for name in NETWORKS + (FURTHER if generation == "3" else []):
        k.backend.clear_session()
        k.utils.set_random_seed(SEED)
        rng = np.random.default_rng(SEED)
        side = 80 if "ception" in name else 64
        pictures = rng.uniform(-1, 1, (8, side, side, 3)).astype("float32")
        if name.startswith(("EfficientNet", "MobileNetV3")):
            pictures = (pictures + 1) * 127.5  # they scale them themselves
        make = lambda activation: getattr(k.applications, name)(
            weights=None, classes=CLASSES, input_shape=(side, side, 3), classifier_activation=activation
        )
        model = make(None)
        randomise(k, model, pictures, rng)
        pictures = pictures[:2]
        logits = model.predict(pictures, verbose=0)
        path = os.path.join(folder, f"{name}-{generation}.keras")
        model.save(path)
        keep(name, path, model, pictures, logits)
        if name in FURTHER:
            continue

        probabilities = make("softmax")
        probabilities.set_weights(model.get_weights())
        for l in probabilities.layers:
            if isinstance(l, k.layers.Normalization):
                l.finalize_state()
        path = os.path.join(folder, f"{name}-{generation}.h5")
        probabilities.save(path)
        keep(name, path, probabilities, pictures, logits)

    for path in given:
        k.backend.clear_session()
        model = k.models.load_model(path, compile=False)
        _, height, width, channels = model.input_shape
        # Coloured squares: on noise, trained networks see nothing.
        squares = np.random.default_rng(SEED).uniform(-1, 1, (4, 6, 6, channels)).astype("float32")
        pictures = squares.repeat(-(-height // 6), 1).repeat(-(-width // 6), 2)[:, :height, :width]
        keep(os.path.basename(path), path, model, pictures, model.predict(pictures, verbose=0))

    with open(os.path.join(folder, "models.json"), "w") as f:
        json.dump(models, f)


if __name__ == "__main__":
    main()
