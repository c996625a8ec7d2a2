"""Makes the files beside it: small pictures in every format and way of storing
that garb reads, drawn here, and next to each the pixels that Pillow gives for it,
upright and over white, as NAME.png; and what Pillow's resize makes of one.

Made with Pillow 13.0.0: python make.py
"""
import os

import numpy as np
from PIL import Image, ImageOps

folder = os.path.dirname(os.path.abspath(__file__))


def drawn(width, height):
    y, x = np.mgrid[0:height, 0:width].astype(float)
    r = 127 + 120 * np.sin(x / 7 + y / 13)
    g = 255 * ((x // 5 + y // 4) % 2)
    b = (x * 7 + y * 11) % 256
    picture = np.stack([r, g, b], axis=-1)
    disc = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 3) ** 2
    picture[disc] = picture[disc] * 0.4 + np.array([150, 20, 90])
    return Image.fromarray(picture.clip(0, 255).astype("uint8"))


def keep(name, picture, **options):
    path = os.path.join(folder, name)
    picture.save(path, **options)
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype("uint8"))
    if image.mode == "P" or "transparency" in image.info or image.mode == "LA":
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image.convert("RGB").save(path + ".png", optimize=True)


picture = drawn(40, 30)
keep("plain.jpg", picture, quality=90)
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    keep(f"orientation{orientation}.jpg", picture, quality=90, exif=exif)
exif[0x0112] = 6
keep("orientation6.png", picture, exif=exif)
keep("orientation6.webp", picture, lossless=True, exif=exif)

alpha = np.dstack([np.asarray(picture), np.linspace(0, 255, 40 * 30).reshape(30, 40).astype("uint8")])
rgba = Image.fromarray(alpha)
keep("plain.png", picture)
keep("grey.png", picture.convert("L"))
keep("palette.png", picture.quantize(16))
keep("alpha.png", rgba)
keep("grey-alpha.png", rgba.convert("LA"))
keep("bits16.png", Image.fromarray(np.asarray(picture.convert("L")).astype("uint16") * 257))
keep("bits1.png", picture.convert("1"))
keep("plain.bmp", picture)
keep("palette.bmp", picture.quantize(16))
keep("plain.gif", picture.quantize(32))
keep("lossless.webp", picture, lossless=True)
keep("alpha.webp", rgba, lossless=True, exact=True)
keep("lossy.webp", picture, quality=90)
keep("lossy-odd.webp", drawn(39, 29), quality=80)
keep("lossy-alpha.webp", rgba, quality=80)

frames = [drawn(40, 30).quantize(16), Image.new("P", (40, 30))]
keep("animated.gif", frames[0], save_all=True, append_images=frames[1:], transparency=0)
frames[0].convert("RGB").save(os.path.join(folder, "animated.webp"), save_all=True, append_images=[Image.new("RGB", (40, 30), "red")])

filters = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
# 37 × 150 to 35 × 20 shrinks in height by more than twice what it does in width:
# there Pillow begins with the height.
for width, height, sizes in ((61, 47, ((20, 20), (100, 90), (61, 20), (13, 80), (61, 47))), (37, 150, ((35, 20), (20, 40), (80, 20)))):
    source = drawn(width, height)
    source.save(os.path.join(folder, f"resize-{width}x{height}.png"))
    for name, how in filters.items():
        for size in sizes:
            source.resize(size, how).save(os.path.join(folder, f"resize-{width}x{height}-{name}-{size[0]}x{size[1]}.png"), optimize=True)
    box = (5, 3, 5 + 30, 3 + 24)
    source.crop(box).resize((16, 16), Image.BICUBIC).save(os.path.join(folder, f"resize-{width}x{height}-box.png"), optimize=True)
