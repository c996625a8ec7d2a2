"""Makes the whole models of this folder, network-*.gz, in both generations of Keras,
and what Keras answers, networks.json.

Run in it with keras 3.15.1, tensorflow 2.21.0, h5py 3.14 and, for the older
generation, tf_keras 2.21.0. Weights are multiples of 1/64 from a seed; each model gets
one picture, whose value i is (37·i mod 251)/125 − 1.
"""

import gzip
import json
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras as keras3
import numpy as np
import tf_keras as keras2


def randomise(model, seed):
    """Weights of a size that keeps values near 1, and statistics that are none of a
    fresh batch-norm's."""
    rng = np.random.default_rng(seed)
    for w in model.weights:
        shape, name = tuple(w.shape), w.name.split("/")[-1].split(":")[0]
        if "count" in name or len(shape) == 0 or "int" in str(w.dtype):
            continue
        if "variance" in name or "gamma" in name:
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            fan = np.prod(shape[:2]) if "depthwise" in name or shape[-1] == 1 else np.prod(shape[:-1])
            value = rng.normal(0, 1.5 / np.sqrt(fan), shape)
        else:
            value = rng.normal(0, 0.3, shape)
        w.assign(np.round(value * 64) / 64)
    for layer in model.layers:
        if isinstance(layer, (keras2.layers.Normalization, keras3.layers.Normalization)):
            layer.finalize_state()  # or it goes on with what its variables were


def course(k):
    """Input, a nested base, pooling, a head."""
    L = k.layers
    i = L.Input((16, 16, 3))
    x = L.Conv2D(6, 3, strides=2, use_bias=False, name="block1_conv")(i)
    x = L.BatchNormalization(name="block1_bn")(x)
    x = L.Activation("relu", name="block1_act")(x)
    x = L.SeparableConv2D(8, 3, padding="same", name="block2_sepconv")(x)
    x = L.MaxPooling2D(2)(x)
    base = k.Model(i, x, name="base")
    base.trainable = False
    i = k.Input((16, 16, 3))
    x = base(i, training=False)
    x = L.GlobalAveragePooling2D()(x)
    x = L.Dense(7, activation="relu", name="inner")(x)
    x = L.Dropout(0.2)(x)
    return k.Model(i, L.Dense(5, name="last")(x))


def homework(k):
    L = k.layers
    return k.Sequential(
        [
            L.Input((12, 14, 3)),
            L.Conv2D(8, 3, activation="relu"),
            L.MaxPooling2D(2),
            L.Flatten(),
            L.Dense(6, activation="relu"),
            L.Dense(1, activation="sigmoid"),
        ]
    )


def zoo(k):
    """Every kind of layer, on pictures of any size."""
    L = k.layers
    i = L.Input((None, None, 3))
    x = L.RandomFlip("horizontal")(i)
    x = L.RandomRotation(0.1)(x)
    x = L.RandomZoom(0.1)(x)
    x = L.RandomTranslation(0.1, 0.1)(x)
    x = L.RandomContrast(0.1)(x)
    x = L.Rescaling(2.0, offset=[0.5, 0.25, -0.5])(x)
    x = L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(x)
    x = L.Normalization(name="adapted")(x)
    x = L.GaussianNoise(0.1)(x)
    x = L.ZeroPadding2D(((0, 1), (2, 3)))(x)
    x = L.Conv2D(8, (3, 5), strides=2, padding="same", activation="swish", name="conv")(x)
    x = L.BatchNormalization(scale=False, center=False, epsilon=1e-2)(x)
    x = L.DepthwiseConv2D(3, padding="same", activation="tanh")(x)
    x = L.BatchNormalization(center=False)(x)
    x = L.LeakyReLU()(x)
    y = L.SeparableConv2D(8, 3, padding="same", use_bias=False)(x)
    y = L.ReLU(6.0)(L.BatchNormalization(axis=3)(y))
    y = L.SpatialDropout2D(0.1)(y)
    z = L.ReLU(negative_slope=0.125)(L.Conv2D(8, 1, name="side")(x))
    x = L.Add()([x, y, z])
    s = L.GlobalAveragePooling2D(keepdims=True)(x)
    s = L.Dense(4, activation="relu6")(s)
    s = L.Conv2D(8, 1, activation="sigmoid")(s)
    x = L.Multiply()([x, s])
    t = L.Reshape((1, 1, 8))(L.Activation("tanh")(L.GlobalMaxPooling2D()(x)))
    x = L.Multiply()([L.Activation("silu" if k is keras3 else "swish")(x), t])
    x = L.Concatenate()([x, L.Activation("linear")(x), L.MaxPooling2D(3, strides=1, padding="same")(y)])
    x = L.AveragePooling2D(2, padding="same")(x)
    x = L.Dense(5, activation="softmax")(x)
    a, b = L.GlobalMaxPooling2D()(x), L.GlobalAveragePooling2D()(x)
    x = L.Concatenate()([a, b])
    x = L.BatchNormalization()(x)
    x = L.Flatten()(L.Reshape((-1,))(x))
    x = L.Dense(4, use_bias=False)(L.Dropout(0.5)(x))
    return k.Model(i, L.Softmax()(x))


def shared(k):
    """A layer, a functional model and a Sequential that are called twice each, after
    arithmetic."""
    L = k.layers
    i = L.Input((8, 8, 4))
    deep = k.Model(i, L.Conv2D(4, 3, padding="same", activation="tanh", name="conv")(i), name="deep")
    wide = k.Sequential([L.Input((8, 8, 4)), L.Conv2D(4, 1, name="conv"), L.ReLU()], name="wide")
    twice = L.Conv2D(4, 3, padding="same", name="twice")
    i = L.Input((8, 8, 3))
    x = 3.0 - 2.0 * (k.applications.mobilenet.preprocess_input(100.0 * i) + 0.5)
    x = x * (x + i)
    x = L.Conv2D(4, 1, name="first")(x)
    x = L.Add()([deep(deep(x)), twice(x)])
    y = wide(x)
    x = L.Concatenate()([twice(y), wide(twice(x) if k is keras3 else x)])
    return k.Model(i, L.Dense(3)(L.GlobalAveragePooling2D()(x)))


def stacked(k):
    """A functional model with a model in it, in a Sequential, after augmentation."""
    L = k.layers
    i = L.Input((10, 10, 3))
    inmost = k.Model(i, L.Conv2D(4, 3, name="conv")(i), name="inmost")
    i = L.Input((10, 10, 3))
    x = L.BatchNormalization(name="norm" if k is keras3 else "block/norm")(inmost(i))
    middle = k.Model(i, L.ReLU()(x), name="middle")
    augmentation = k.Sequential([L.RandomFlip(), L.RandomZoom(0.2)], name="augmentation")
    m = k.Sequential([L.Input((10, 10, 3)), augmentation, L.Rescaling(1 / 2), middle, L.Flatten(), L.Dense(3, name="last"), L.Softmax()])
    return m


def maps(k):
    """Normalizations by the picture's own statistics, maps cut and made larger, and values
    that are repeated over others."""
    L = k.layers
    i = L.Input((10, 9, 3))
    x = L.Conv2D(6, 3, name="conv")(i)
    x = L.LayerNormalization(epsilon=1e-6, name="layer")(x)
    y = L.GroupNormalization(3, epsilon=1e-2, name="group")(L.Conv2D(6, 1, name="side")(x))
    x = L.Maximum()([x, y, L.Conv2D(1, 1, name="where")(y)])
    x = L.Cropping2D(((1, 0), (2, 1)))(x)
    y = L.UpSampling2D((2, 3), interpolation="bilinear")(x)
    y = L.Cropping2D((3, 4))(y)
    y = L.GroupNormalization(-1, scale=False, name="instance")(y)
    z = L.UpSampling2D(2)(L.Cropping2D(1)(x))
    x = L.Minimum()([L.GlobalAveragePooling2D()(z), y])
    x = L.Subtract()([x, L.GlobalMaxPooling2D(keepdims=True)(z)])
    x = L.Add()([L.Conv2D(1, 1, name="gate")(x), x])
    x = L.Multiply()([L.GlobalMaxPooling2D()(y), x])
    x = L.LayerNormalization(center=False, name="flat")(L.GlobalAveragePooling2D()(x))
    return k.Model(i, L.Dense(4, name="last")(x))


def write(name, path):
    with open(path, "rb") as source, gzip.GzipFile(f"network-{name}.gz", "wb", compresslevel=9, mtime=0) as f:
        f.write(source.read())
    os.remove(path)


answers = {}
for k, generation in ((keras3, 3), (keras2, 2)):
    for seed, (make, side) in enumerate(((course, 0), (homework, 0), (zoo, 13), (shared, 0), (stacked, 0), (maps, 0))):
        k.backend.clear_session()
        m = make(k)
        shape = [n or side for n in m.input_shape[1:]]
        picture = (37 * np.arange(np.prod(shape)) % 251 / 125 - 1).astype("float32").reshape(1, *shape)
        randomise(m, seed)
        answer = m.predict(picture, verbose=0)[0]
        name = f"{make.__name__}{generation}"
        for kind in ("keras", "h5"):
            m.save("t." + kind)
            write(f"{name}.{kind}", "t." + kind)
        answers[name] = {"side": side, "answer": [round(float(v), 7) for v in answer]}
        print(name, answers[name], m.count_params())
with open("networks.json", "w") as f:
    json.dump(answers, f, indent=1)
    f.write("\n")
