"""Makes the HDF5 files of this folder. Run in it with h5py 3.14 and numpy 2.4.

Every dataset's values are 0, 0.25, 0.5, ... in row-major order, modulo 256, so
that the tests know them; float16 holds them exactly.
"""

import h5py
import numpy as np


def ramp(*shape, dtype="<f4"):
    n = int(np.prod(shape))
    return (np.arange(n) % 1024 * 0.25).reshape(shape).astype(dtype)


def content(f):
    g = f.create_group("layers")
    for i in range(20):  # more than one symbol table node in older files
        g.create_group(f"layer_{i}").create_dataset("0", data=ramp(i + 1))
    f.create_dataset("contiguous", data=ramp(3, 3, 4, 5))
    f.create_dataset("half", data=ramp(6, dtype="<f2"))
    f.create_dataset("double", data=ramp(6, dtype="<f8"))
    f.create_dataset("big_endian", data=ramp(6, dtype=">f4"))
    f.create_dataset("integer", data=np.arange(6))
    f.create_dataset("scalar", data=np.float32(0))
    f.create_dataset("empty", data=ramp(0, 4))
    g = f.create_group("attributes")
    g.attrs["fixed"] = np.array([b"block1_conv1", b"conv"])
    g.attrs["variable"] = ["block1_conv1", "", "größer"]
    g.attrs["scalar"] = "one text"
    g.attrs["long"] = "x" * 6000
    g.attrs["empty"] = np.array([])  # what Keras writes for a layer without weights


with h5py.File("older.h5", "w") as f:
    content(f)
    f.create_dataset("chunked", data=ramp(7, 5, 3), chunks=(3, 2, 3))
    f.create_dataset("deflate", data=ramp(64, 70), chunks=(16, 32), compression="gzip")
    f.create_dataset(
        "all_filters", data=ramp(64, 70), chunks=(64, 16), compression="gzip", shuffle=True, fletcher32=True
    )
    f.create_dataset("many_chunks", data=ramp(200), chunks=(2,))  # a B-tree of two levels
    f.create_dataset("lzf", data=ramp(64), chunks=(64,), compression="lzf")

with h5py.File("newer.h5", "w", libver="latest") as f:
    f.create_dataset("contiguous", data=ramp(3, 3, 4, 5))
    g = f.create_group("attributes")
    g.attrs["fixed"] = np.array([b"block1_conv1", b"conv"])
    g.attrs["variable"] = ["block1_conv1", "", "größer"]
    f.create_group("layers").create_group("dense").create_dataset("0", data=ramp(4))
    dense = f.create_group("dense_storage")
    for i in range(20):
        dense.create_group(f"layer_{i}")
    f["loop"] = f["/"]

with h5py.File("small.h5", "w") as f:  # for the fuzzer, which likes it so
    f.attrs["variable"] = ["a", "b"]
    f.create_group("layers").create_dataset("0", data=ramp(4))
    f.create_dataset("deflate", data=ramp(8, 8), chunks=(4, 8), compression="gzip", shuffle=True)
