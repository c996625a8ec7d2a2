"""Makes tensors with TensorFlow for TestMakeTensorProto, and reads the one of garb.

    tensors.py FOLDER
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto

folder = sys.argv[1]


def write(name, proto):
    with open(os.path.join(folder, name), "wb") as f:
        f.write(proto.SerializeToString())


for name in ("float32", "float64", "float16", "bfloat16", "uint8", "int8", "int16", "uint16", "int32", "int64"):
    dtype = getattr(tf, name)
    values = np.arange(6).reshape(2, 3)
    write(name, tf.make_tensor_proto(values.astype(dtype.as_numpy_dtype), dtype=dtype))
    write(name + "-list", tf.make_tensor_proto(values.tolist(), dtype=dtype))
    write(name + "-fill", tf.make_tensor_proto(7, dtype=dtype, shape=[2, 3]))
write("string", tf.make_tensor_proto([b"a\xff", b"b"]))

with open(os.path.join(folder, "garb"), "rb") as f:
    ours = tf.make_ndarray(TensorProto.FromString(f.read()))
assert ours.dtype == np.float32 and ours.tolist() == [[1, 2], [3, 4]], ours
