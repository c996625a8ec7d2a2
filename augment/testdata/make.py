"""Makes keras.json: what Keras's apply_affine_transform makes of a picture that
affine_test.go draws too, for some parameters, rounded to levels.

The picture is square: for others Keras takes half the height for the centre
across, and half the width for the centre down.

Made with Keras 3.15.1, SciPy 1.17.1, NumPy 2.4.6: python make.py
"""
import json
import os

import numpy as np
from keras.src.legacy.preprocessing.image import apply_affine_transform

side = 24
y, x = np.mgrid[0:side, 0:side]
picture = np.stack([(x * 7 + y * 11) % 256, 255 * ((x // 5 + y // 4) % 2), np.minimum(x * x // 2 + y, 255)], axis=-1)

cases = [
    dict(theta=30), dict(theta=-90), dict(tx=3), dict(ty=-2.5), dict(shear=10), dict(shear=-40),
    dict(zx=0.9), dict(zy=1.3), dict(theta=17, tx=-4.25), dict(theta=-28.5, tx=2.5, ty=7, shear=9, zx=0.92, zy=1.07),
    dict(theta=160, tx=-20, ty=13, shear=-25, zx=0.5, zy=1.6),
]
results = []
for case in cases:
    got = apply_affine_transform(picture.astype("float32"), row_axis=0, col_axis=1, channel_axis=2, fill_mode="nearest", order=1, **case)
    levels = np.floor(got + 0.5).clip(0, 255).astype(int)
    results.append({**case, "levels": levels.ravel().tolist()})

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "keras.json"), "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in results) + "\n]\n")
