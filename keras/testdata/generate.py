"""Makes the Keras files of this folder, in both generations of Keras.

Run in it with keras 3.15.1, tensorflow 2.21.0, h5py 3.14 and, for the older
generation, tf_keras 2.21.0. Weights have known values (see set_weights), so that
the tests can tell each. Arrays are packed with HDF5's own deflate and the files
with gzip, because Xception's would be 84 MB each; groups, names and attributes
are what Keras wrote.
"""

import gzip
import io
import os
import zipfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import h5py
import keras as keras3
import numpy as np
import tf_keras as keras2
from keras.src.legacy.saving import legacy_h5_format


def set_weights(model, constant):
    """Gives the k-th array (from 1, in the order of the layers) the value k
    throughout, or a ramp of k·1000, k·1000+1, ... (modulo 997) if not constant."""
    k = 0
    for layer in model.layers:
        values = []
        for w in layer.get_weights():
            k += 1
            if constant:
                values.append(np.full(w.shape, k, "float32"))
            else:
                values.append((np.arange(w.size) % 997 + 1000 * k).reshape(w.shape).astype("float32"))
        layer.set_weights(values)


def repack(source):
    """The same HDF5 file with its larger arrays packed."""
    out = io.BytesIO()
    with h5py.File(source, "r") as src, h5py.File(out, "w") as dst:

        def copy(a, b):
            for name, value in a.attrs.items():
                b.attrs[name] = value
            for name, child in a.items():
                if isinstance(child, h5py.Group):
                    copy(child, b.create_group(name))
                elif child.size > 1000:
                    b.create_dataset(name, data=child[()], compression="gzip", compression_opts=9, shuffle=True)
                else:
                    b.create_dataset(name, data=child[()])

        copy(src, dst)
    return out.getvalue()


def write(name, data):
    with gzip.GzipFile(name + ".gz", "wb", compresslevel=9, mtime=0) as f:
        f.write(data)


def keep(path, name):
    """Turns the file that Keras wrote at path into a fixture."""
    if path.endswith(".keras"):
        out = io.BytesIO()
        with zipfile.ZipFile(path) as src, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as dst:
            for entry in src.infolist():
                data = src.read(entry)
                if entry.filename.endswith(".h5"):
                    data = repack(io.BytesIO(data))
                dst.writestr(zipfile.ZipInfo(entry.filename), data)
        write(name, out.getvalue())
    else:
        write(name, repack(path))
    os.remove(path)


def small_cnn(k):
    k.backend.clear_session()
    m = k.Sequential(
        [
            k.layers.Input((6, 6, 3)),
            k.layers.Conv2D(32, 3, activation="relu"),
            k.layers.MaxPooling2D(2),
            k.layers.Flatten(),
            k.layers.Dense(64, activation="relu"),
            k.layers.Dense(1, activation="sigmoid"),
        ]
    )
    set_weights(m, constant=False)
    return m


def xception(k):
    k.backend.clear_session()
    m = k.applications.Xception(weights=None, include_top=False, input_shape=(150, 150, 3))
    set_weights(m, constant=True)
    return m


def nested(k, base):
    """The course's model on top of a base."""
    base.trainable = False
    i = k.Input((150, 150, 3))
    x = k.layers.GlobalAveragePooling2D()(base(i, training=False))
    x = k.layers.Dense(10, activation="relu", kernel_initializer="zeros", name="inner")(x)
    x = k.layers.Dropout(0.2)(x)
    return k.Model(i, k.layers.Dense(6, kernel_initializer="zeros", name="last")(x))


for k, generation in ((keras3, 3), (keras2, 2)):
    m = small_cnn(k)
    m.save("t.keras")
    keep("t.keras", f"small{generation}.keras")
    m.save("t.h5")
    keep("t.h5", f"small{generation}.h5")
    if generation == 3:
        m.save_weights("t.weights.h5")
        keep("t.weights.h5", "small3.weights.h5")
    else:
        m.save_weights("t.h5")
        keep("t.h5", "small2.weights.h5")

    m = xception(k)
    if generation == 3:
        m.save_weights("t.weights.h5")
        keep("t.weights.h5", "xception3.weights.h5")
    else:
        m.save_weights("t.h5")
        keep("t.h5", "xception2.weights.h5")
    m = nested(k, m)
    m.save("t.keras")
    keep("t.keras", f"nested{generation}.keras")
    m.save("t.h5")
    keep("t.h5", f"nested{generation}.h5")
    m.save_weights("t.weights.h5" if generation == 3 else "t.h5")
    keep("t.weights.h5" if generation == 3 else "t.h5", f"nested{generation}.weights.h5")

# Attributes of more than 64 kB are split; a lower limit splits these.
legacy_h5_format.HDF5_OBJECT_HEADER_LIMIT = 2048
m = xception(keras3)
with h5py.File("t.h5", "w") as f:
    legacy_h5_format.save_weights_to_hdf5_group(f, m)
    assert "layer_names0" in f.attrs
keep("t.h5", "split.weights.h5")

# Keras 1 named layers and variables otherwise: convolution2d_1, with
# "convolution2d_1_W:0" straight in the layer's group.
KERAS1 = {"kernel": "W", "depthwise_kernel": "depthwise_kernel", "moving_mean": "running_mean", "moving_variance": "running_std"}
with h5py.File("t.h5", "w") as f:
    names = []
    for layer in m.layers:
        name = layer.name
        for new, old in (("conv2d", "convolution2d"), ("batch_normalization", "batchnormalization")):
            if name == new or name.startswith(new + "_"):
                name = f"{old}_{int(name[len(new) + 1:] or 0) + 1}"
        names.append(name.encode())
        g = f.create_group(name)
        weights = []
        for v in layer.weights:
            variable = v.path.split("/")[-1]
            weights.append(f"{name}_{KERAS1.get(variable, variable)}:0".encode())
            g.create_dataset(weights[-1].decode(), data=np.array(v))
        g.attrs["weight_names"] = weights
    f.attrs["layer_names"] = names
keep("t.h5", "xception1.weights.h5")
