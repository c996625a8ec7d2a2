"""Makes the files beside it: small JPEGs of a drawn picture, and in digests.tsv the pixels
that Pillow decodes them to at 1/1, 1/2, 1/4 and 1/8 (see digest.py).

Made with Pillow 13.0.0 (libjpeg-turbo 3.2) and, for sampling factors that Pillow
does not write, cjpeg of libjpeg-turbo 2.1.5: python make.py
"""
import os
import subprocess

import numpy as np
from PIL import Image

import digest

folder = os.path.dirname(os.path.abspath(__file__))


def drawn(width, height):
    """Colours, edges and texture."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    r = 127 + 120 * np.sin(x / 7 + y / 13)
    g = 255 * ((x // 5 + y // 4) % 2)
    b = (x * 7 + y * 11) % 256
    picture = np.stack([r, g, b], axis=-1)
    disc = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 3) ** 2
    picture[disc] = picture[disc] * 0.4 + np.array([150, 20, 90])
    return Image.fromarray(picture.clip(0, 255).astype("uint8"))


def keep(name, picture, **options):
    picture.save(os.path.join(folder, name + ".jpg"), **options)
    expect(name)


def keep_sampled(name, picture, sampling):
    """sampling is of all components, in cjpeg's notation."""
    path = os.path.join(folder, name + ".jpg")
    bitmap = os.path.join(folder, name + ".ppm")
    picture.save(bitmap)
    subprocess.run(["cjpeg", "-quality", "85", "-sample", sampling, "-outfile", path, bitmap], check=True)
    os.remove(bitmap)
    expect(name)


def expect(name):
    for scale in (1, 2, 4, 8):
        digests.write(digest.line(folder, name + ".jpg", scale, False))


digests = open(os.path.join(folder, "digests.tsv"), "w")
for width, height in ((1, 1), (2, 3), (8, 5), (17, 9), (37, 41), (65, 33)):
    picture = drawn(width, height)
    size = f"{width}x{height}"
    for subsampling, name in ((0, "444"), (1, "422"), (2, "420")):
        keep(f"{size}-{name}", picture, quality=85, subsampling=subsampling)
    if width < 17:
        continue
    for subsampling, name in ((0, "444"), (1, "422"), (2, "420")):
        keep(f"{size}-{name}-progressive", picture, quality=70, subsampling=subsampling, progressive=True)
    keep(f"{size}-grey", picture.convert("L"), quality=85)
    keep(f"{size}-cmyk", picture.convert("CMYK"), quality=85)
    keep(f"{size}-restart", picture, quality=85, restart_marker_blocks=3)
    keep(f"{size}-rgb", picture, quality=85, keep_rgb=True)
    for sampling, name in (("1x2", "440"), ("4x1", "411"), ("2x2,1x2,2x1", "mixed")):
        keep_sampled(f"{size}-{name}", picture, sampling)
