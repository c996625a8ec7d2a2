"""Makes random models and what Keras answers for their files, for TestRandomModels.

    python random_models.py 3|2 FOLDER FIRST COUNT

Seeds FIRST to FIRST+COUNT-1 make a model each, by Keras 3 or by tf_keras, which is Keras 2:
layers and settings, nested and shared models, augmentation and preprocessing layers, dtype
policies, classes and functions of somebody's own with Keras's names, names that collide.
FOLDER gets each as .keras and as .h5, and models.json: for each file the answer of the model
that Keras loads from it, for one picture as in networks.py. If Keras loads none, it is that of
the model that was saved: Keras 3 does not load operators from .h5, nor a class of
somebody's own.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np

generation, folder, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if generation == "3":
    import keras as k
    from keras import ops
else:
    import tf_keras as k
L = k.layers


class BatchNormalization(L.BatchNormalization):
    def call(self, x, *args, **kwargs):
        return 2 * super().call(x, *args, **kwargs)


class Dense(L.Dense):
    def call(self, x):
        return super().call(x) - 1


def swish(x):
    return x * 0.5


registered = k.saving.register_keras_serializable(package="mine")
RegisteredDense = registered(type("Dense", (Dense,), {}))
registered_relu = k.saving.register_keras_serializable("mine", "relu")(lambda x: x * 0.25)

ACTIVATIONS = [None, "linear", "relu", "relu6", "sigmoid", "softmax", "swish", "tanh", "leaky_relu"] * 8 + ["elu", "gelu", "selu", "softplus",
    "hard_sigmoid"] * 5 + ["exponential"] + (["mish", "hard_silu"] * 5 if generation == "3" else [])


class Maker:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.used = 0

    def one(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def chance(self, p):
        return self.rng.random() < p

    def activation(self):
        if self.chance(0.03):
            return self.one(swish, registered_relu)
        if self.chance(0.06):
            return self.one(L.ReLU(6.0), L.LeakyReLU(), L.ReLU(negative_slope=0.25), L.ReLU(2.0), L.ELU())
        return self.one(*ACTIVATIONS)

    def named(self, **settings):
        """Sometimes a name that another layer has, in another model, or another class."""
        if self.chance(0.15):
            self.used += 1
            settings["name"] = self.one("dense", "conv2d", "batch_normalization", "a_b", "layers", "vars", "kernel") + self.one("", f"_{self.used}")
        if self.chance(0.01):
            settings["dtype"] = self.one("mixed_float16", "float64", "float16")
        return settings

    def weighted(self, channels=1):
        """A convolution, of a map of so many channels if its groups may depend on them."""
        r = self.one
        kernel = r(1, 2, 3, 3, 3, (3, 3), (1, 3), (2, 4))
        shared = dict(padding=r("same", "valid"), activation=self.activation(), use_bias=r(True, True, False))
        if self.chance(0.2):
            shared["dilation_rate"] = r(2, 2, (1, 2), (3, 1), (2, 3))
        else:
            shared["strides"] = r(1, 1, 2, (2, 2), (1, 2), (2, 1), 3)
        kind = r("conv", "conv", "depthwise", "separable")
        if kind == "conv":
            if self.chance(0.4) and channels > 1:
                shared["groups"] = r(*(g for g in range(1, channels + 1) if channels % g == 0))
            return L.Conv2D(r(1, 2, 3) * shared.get("groups", 2), kernel, kernel_regularizer=r(None, "l2"), **shared, **self.named())
        shared["depth_multiplier"] = r(2, 3) if self.chance(0.3) and channels < 9 else 1
        if kind == "depthwise":
            return L.DepthwiseConv2D(kernel, **shared, **self.named())
        return L.SeparableConv2D(r(3, 4, 6), kernel, **shared, **self.named())

    def plain(self):
        """A layer of a map that keeps its shape, as a rule."""
        r = self.one
        makers = [
            lambda: (BatchNormalization if self.chance(0.03) else L.BatchNormalization)(axis=1 if self.chance(0.04) else r(-1, 3),
                center=r(True, False), scale=r(True, False), epsilon=r(1e-3, 1e-5, 0.1), momentum=r(0.9, 0.99), **self.named()),
            lambda: L.ReLU(3.0 if self.chance(0.05) else r(None, 6.0, 6), 0.1 if self.chance(0.1) else 0.0, 0.5 if self.chance(0.05) else 0.0, **self.named()),
            lambda: L.LeakyReLU(r(0.3, 0.01)), lambda: L.Activation(self.activation(), **self.named()),
            lambda: L.Softmax(axis=r(-1, 3, -1, 1)), lambda: L.Dropout(0.3, seed=3), lambda: L.SpatialDropout2D(0.2),
            lambda: L.GaussianNoise(0.1), lambda: L.GaussianDropout(0.1),
            lambda: L.MaxPooling2D(r(2, 3, (2, 2), (2, 3)), strides=r(None, 1, 2, (1, 2), (3, 1)), padding=r("same", "valid")),
            lambda: L.AveragePooling2D(r(2, 3, (3, 1)), strides=r(None, 1, 2, (2, 1)), padding=r("same", "valid")),
            lambda: L.ZeroPadding2D(r(1, 2, (1, 2), ((0, 1), (2, 0)))),
            lambda: L.Cropping2D(r(1, (0, 1), ((1, 0), (2, 1)))),
            lambda: L.UpSampling2D(r(2, (1, 3), (2, 1)), interpolation="bicubic" if self.chance(0.05) else r("nearest", "bilinear")),
            lambda: self.own_norm(), lambda: L.ELU(r(1.0, 0.5)), lambda: L.PReLU(shared_axes=r([1, 2], [1, 2], None)), lambda: L.Permute((2, 1, 3)),
            lambda: L.Dense(r(2, 5), activation=self.activation(), **self.named()), lambda: L.Identity(),
        ]
        common = [makers[i] for i in (0, 0, 0, 1, 2, 3, 3, 5, 6, 7, 9, 10, 11, 12, 13, 14, 14, 15, 16, 18)] + [self.resizing, self.own_norm]
        return (r(*makers) if self.chance(0.06) else r(*common))()

    def own_norm(self):
        """A normalization by the picture's own statistics."""
        r = self.one
        settings = dict(epsilon=r(1e-3, 1e-6, 0.1), center=r(True, False), scale=r(True, False))
        if self.chance(0.6):
            axis = r([1, 2, 3], [-3, -2, -1], [1, 2, 3], 1, [2, 3]) if self.chance(0.3) else r(-1, 3, [3])
            return L.LayerNormalization(axis=axis, **settings, **self.named())
        return L.GroupNormalization(r(1, 2, 3, -1), axis=1 if self.chance(0.05) else r(-1, 3), **settings, **self.named())

    def resizing(self):
        r = self.one
        settings = dict(interpolation="bicubic" if self.chance(0.05) else r("nearest", "bilinear", "bilinear"))
        how = r(None, None, "crop", "pad" if generation == "3" else "crop")
        if how:
            settings[how + "_to_aspect_ratio"] = True
        if how == "pad" and self.chance(0.1):
            settings["fill_value"] = 0.5
        return L.Resizing(r(10, 7, 13), r(9, 8, 17), **settings)

    def preparing(self):
        r = self.one
        makers = [
            lambda: L.Rescaling(r(0.5, 1 / 127.5), offset=r(0.0, -1.0)), lambda: L.Rescaling(2.0, offset=[0.5, 0.25, -0.5]),
            lambda: L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]), lambda: L.Normalization(axis=None, mean=0.5, variance=2.0),
            lambda: L.RandomFlip(r("horizontal", "horizontal_and_vertical")), lambda: L.RandomRotation(0.2, fill_mode="nearest"),
            lambda: L.RandomZoom(0.2), lambda: L.RandomTranslation(0.1, 0.1), lambda: L.RandomContrast(0.2),
            lambda: L.RandomBrightness(0.2, value_range=(-1, 1)), self.resizing, lambda: L.CenterCrop(r(8, 6, 15), r(8, 7, 11)), lambda: L.RandomCrop(8, 8),
        ]
        if generation == "3":
            makers += [lambda: L.RandomShear(0.1), lambda: L.RandomErasing(), lambda: L.RandomHue(0.1), lambda: L.RandomGrayscale(),
                lambda: L.RandomSaturation(0.1), lambda: L.RandomColorJitter((-1, 1)), lambda: L.RandomInvert(), lambda: L.AutoContrast(),
                lambda: L.Solarization(), lambda: L.RandomSharpness(0.5), lambda: L.RandomPosterization(4), lambda: L.Equalization((0, 1))]
        return r(*(makers if self.chance(0.12) else makers[:10]))()

    def arithmetic(self, x):
        if self.chance(0.3):
            a = self.rng.uniform(0.5, 1.5, self.one((x.shape[-1],), (1, 1, x.shape[-1]), (1,))).astype("float32")
            return self.one(lambda: x - a, lambda: x / a, lambda: x * a + 1.0, lambda: x[..., ::-1], lambda: x[..., ::-1] - a,
                lambda: x[:, :, :, -2:], lambda: x[..., :1], lambda: -x)()
        return self.one(lambda: x / 2.0, lambda: x * 0.5 - 1.0, lambda: 1.0 - x, lambda: x + 0.25, lambda: 3.0 * x, lambda: x * x, lambda: 0.5 + x / 4.0,
            lambda: self.one(-x, abs(x), x[..., ::-1]) if self.chance(0.2) else x * 2.0)()

    def nested(self, shape, depth):
        """A model from maps of a shape to ones of as many channels."""
        layers = self.named()
        layers.pop("dtype", None)
        if self.chance(0.5):
            m = k.Sequential([L.Input(shape)] + [self.plain() for _ in range(self.rng.integers(1, 4))], **layers)
        else:
            i = L.Input(shape)
            m = k.Model(i, self.chain(i, self.rng.integers(1, 4), depth + 1), **layers)
        return m

    def chain(self, x, length, depth):
        for _ in range(length):
            what = self.rng.random()
            channels = int(x.shape[-1])
            if what < 0.35:
                x = self.weighted(channels)(x)
            elif what < 0.7 or depth > 2:
                x = self.plain()(x)
            elif what < 0.76:
                x = self.arithmetic(x)
            elif what < 0.86:  # branches
                a, b = L.Conv2D(channels, 3, padding="same", **self.named())(x), self.one(lambda: x, lambda: L.Conv2D(channels, 1)(x))()
                merge = self.one(L.Add, L.Add, L.Multiply, L.Concatenate) if self.chance(0.7) else self.one(L.Subtract, L.Average, L.Maximum, L.Minimum)
                if merge is not L.Concatenate and self.chance(0.4):  # one repeated over the other
                    b = self.one(lambda: L.Conv2D(1, 1)(x), lambda: L.GlobalAveragePooling2D()(x),
                                 lambda: L.GlobalMaxPooling2D(keepdims=True)(L.Conv2D(1, 1)(x)))()
                    if self.chance(0.15):
                        x = a * b  # an operator: the batch's axis may be taken for one of the map's
                        continue
                inputs = self.one([a, b], [b, a])
                x = merge()(inputs + ([L.ReLU()(a)] if merge is not L.Subtract and self.chance(0.2) else []))
            elif what < 0.91:  # squeeze and excite
                s = L.GlobalAveragePooling2D(keepdims=True)(x)
                x = L.Multiply()([x, L.Conv2D(channels, 1, activation="sigmoid")(s)])
            elif what < 0.95:  # shared
                layer = self.one(lambda: L.Conv2D(channels, 3, padding="same", **self.named()), lambda: L.BatchNormalization())()
                x = layer(self.one(lambda v: v, L.ReLU())(layer(x)))
            else:
                m = self.nested(tuple(x.shape[1:]), depth)
                y = m(x, training=False) if self.chance(0.3) else m(x)
                if tuple(y.shape) == tuple(x.shape) and self.chance(0.4):
                    y = m(y)
                x = y
        return x

    def end(self):
        r = self.one
        layers = [r(lambda: L.Flatten(), lambda: L.GlobalAveragePooling2D(), lambda: L.GlobalMaxPooling2D())()]
        if self.chance(0.3):
            layers += [r(L.Dropout(0.5), L.BatchNormalization(), L.Dense(6, activation=self.activation()))]
        dense = L.Dense
        if self.chance(0.06):
            dense = r(Dense, RegisteredDense)
        return layers + [dense(r(1, 3, 5), activation=r(None, None, "softmax", "sigmoid"), **self.named())]

    def model(self):
        shape = (int(self.rng.integers(9, 16)), int(self.rng.integers(9, 16)), 3)
        preparing = [self.preparing() for _ in range(self.rng.integers(0, 3))]
        length = int(self.rng.integers(0, 6))
        if self.chance(0.4):
            body = [self.one(self.weighted, self.plain)() for _ in range(length)]
            return k.Sequential([L.Input(shape)] + preparing + body + self.end())
        i = L.Input(shape)
        x = i
        if preparing and self.chance(0.3):
            x = k.Sequential(preparing, name="augmentation")(x)
        else:
            for l in preparing:
                x = l(x)
        x = self.chain(x, length, 0)
        for l in self.end():
            x = l(x)
        if generation == "3" and self.chance(0.05):
            return k.Model({"image": i}, x)
        return k.Model(i, x)


def randomise(model, rng):
    for w in model.weights:
        shape, name = tuple(w.shape), w.name.split("/")[-1].split(":")[0]
        if len(shape) == 0 or "seed" in name or "int" in str(w.dtype):
            continue
        if "variance" in name or "gamma" in name:
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            value = rng.normal(0, 1.4 / np.sqrt(np.prod(shape[:2]) if "depthwise" in name else np.prod(shape[:-1])), shape)
        else:
            value = rng.normal(0, 0.3, shape)
        w.assign(value)


def answer(model, shape):
    picture = (np.arange(np.prod(shape)) * 37 % 251 / 125 - 1).astype("float32").reshape(1, *shape)
    if isinstance(getattr(model, "_inputs_struct", None), dict):
        picture = {"image": picture}
    return np.ravel(np.asarray(model(picture, training=False))).astype("float64")


def make(seed):
    for attempt in range(100):
        k.backend.clear_session()
        maker = Maker([seed, attempt])
        try:
            setter = getattr(k.mixed_precision, "set_global_policy")
            setter(maker.one("mixed_float16", "mixed_bfloat16", "float64") if maker.chance(0.06) else "float32")
            model = maker.model()
            setter("float32")
            randomise(model, maker.rng)
            shape = tuple(model.inputs[0].shape[1:])
            value = answer(model, shape)
        except Exception:  # no such model in Keras
            continue
        if np.all(np.isfinite(value)) and np.max(np.abs(value)) < 1e3:
            return model, shape, [float(v) for v in value]
    raise SystemExit(f"seed {seed} makes no model")


all = []
for seed in range(first, first + count):
    model, shape, saved = make(seed)
    for kind in "keras", "h5":
        path = os.path.join(folder, f"{seed}-{generation}.{kind}")
        try:
            model.save(path)
        except Exception as e:
            print(f"seed {seed} cannot be saved as {kind}: {e}")
            continue
        try:
            right = [float(v) for v in answer(k.models.load_model(path, compile=False), shape)]
        except Exception:
            if kind == "h5" and any(not type(l).__module__.startswith(("keras.", "tf_keras.")) for l in model._flatten_layers()):
                continue  # such a file may not say whose a class is: then only Keras could tell what it takes it for
            right = saved
        classes = sorted({type(l).__name__ for l in model.layers})
        all.append({"seed": seed, "file": path, "answer": right, "layers": classes})
with open(os.path.join(folder, "models.json"), "w") as f:
    json.dump(all, f)
