"""Makes the files beside it: small JPEGs of a drawn picture, and the pixels that
Pillow decodes them to at 1/1, 1/2, 1/4 and 1/8, as PNGs side by side.

Made with Pillow 13.0.0 (libjpeg-turbo 3.1) and, for sampling factors that Pillow
does not write, cjpeg of libjpeg-turbo 2.1.5: python make.py
"""
import math
import os
import subprocess

import numpy as np
from PIL import Image

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
    path = os.path.join(folder, name + ".jpg")
    parts = []
    for scale in (1, 2, 4, 8):
        image = Image.open(path)
        width, height = image.size
        want = (math.ceil(width / scale), math.ceil(height / scale))
        if scale > 1:
            image.draft(image.mode, (max(1, width // scale), max(1, height // scale)))
        image.load()
        if image.size != want:
            continue  # draft would not go so far: pictures of a few pixels
        parts.append((scale, image.convert("RGB")))
    sheet = Image.new("RGB", (sum(p.width for _, p in parts), max(p.height for _, p in parts)))
    at = 0
    for _, part in parts:
        sheet.paste(part, (at, 0))
        at += part.width
    sheet.save(os.path.join(folder, name + ".png"), optimize=True)


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
