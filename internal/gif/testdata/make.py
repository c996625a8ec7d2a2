"""Makes the GIF files beside it and EXPECTED.tsv: for each file the size and the first 16 hexadecimal
digits of the SHA-256 of the RGB bytes of its first frame over white, as Pillow reads it, by default and
with ImageFile.LOAD_TRUNCATED_IMAGES, or "refused"; and whether it is animated.

Made with Pillow 13.0.0: python make.py
"""
import hashlib
import io
import os
import random
import struct

from PIL import Image, ImageFile

folder = os.path.dirname(os.path.abspath(__file__))
pick = random.Random(20)
WIDTH, HEIGHT = 13, 11
COLOURS = pick.randbytes(3 * 16)
LOCAL = pick.randbytes(3 * 8)
GREY = bytes(i for i in range(256) for _ in range(3))
PIXELS = [(x * y + x // 3) % 8 for y in range(HEIGHT) for x in range(WIDTH)]


def blocks(data, size=255):
    cut = [data[i : i + size] for i in range(0, len(data), size)]
    return b"".join(bytes([len(c)]) + c for c in cut) + b"\0"


def pack(codes):
    """Packs pairs of a code and its number of bits."""
    value = at = 0
    for code, bits in codes:
        value |= code << at
        at += bits
    return value.to_bytes((at + 7) // 8, "little")


def literals(pixels, bits):
    """LZW data with a clear code before every pixel."""
    codes = [(c, bits + 1) for p in pixels for c in (1 << bits, p)]
    return pack(codes + [((1 << bits) + 1, bits + 1)])


def screen(palette=COLOURS, width=WIDTH, height=HEIGHT):
    flags = 0x80 | (len(palette) // 6).bit_length() - 1 if palette else 0
    return b"GIF89a" + struct.pack("<HHBBB", width, height, flags, 0, 0) + palette


def picture(data=None, palette=b"", box=(0, 0, WIDTH, HEIGHT), flags=0, bits=4):
    if palette:
        flags |= 0x80 | (len(palette) // 6).bit_length() - 1
    if data is None:
        data = literals(PIXELS[: box[2] * box[3]], bits)
    return b"," + struct.pack("<HHHHB", *box, flags) + palette + bytes([bits]) + blocks(data)


def control(transparent):
    return b"!\xf9\x04\1\0\0" + bytes([transparent]) + b"\0"


files = {
    "plain": screen() + picture() + b";",
    "local": screen() + picture(palette=LOCAL) + b";",
    "local-grey": screen() + picture(palette=GREY) + b";",
    "no-palette": screen(b"") + picture() + b";",
    "grey": screen(GREY) + picture() + b";",
    "palette-short": screen(COLOURS[:6]) + picture() + b";",
    "interlaced": screen() + picture(flags=0x40) + b";",
    "interlaced-3": screen(height=3) + picture(box=(0, 0, WIDTH, 3), flags=0x40) + b";",
    "transparent": screen() + control(3) + picture() + b";",
    "transparent-grey": screen(b"") + control(3) + picture() + b";",
    "transparent-200": screen() + control(200) + picture(box=(2, 3, 5, 6)) + b";",
    "inside": screen() + picture(box=(2, 3, 5, 6)) + b";",
    "inside-transparent": screen() + control(3) + picture(box=(2, 3, 5, 6)) + b";",
    "outside": screen() + picture(box=(10, 9, 5, 6)) + b";",
    "canvas-0": screen(width=0, height=0) + picture() + b";",
    "frame-0": screen() + picture(box=(0, 0, 0, 0)) + b";",
    "extensions": screen() + b"!\xfe" + blocks(bytes(range(200)), 50) + b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0"
    + b"!\xff\x0bXMP DataXMP" + blocks(b"<x/>") + b"!\x01\0\0" + b"junk" + control(1) + picture() + b";",
    "control-short": screen() + b"!\xf9\2\1\0\0" + picture() + b";",
    "blocks-1": screen() + picture()[:11] + blocks(literals(PIXELS, 4), 1) + b";",
    "animated": screen() + picture() + control(2) + picture() + b";",
    "animated-cut": screen() + picture() + control(2) + picture()[:40],
    "no-trailer": screen() + picture(),
    "surplus": screen() + picture(literals(PIXELS + PIXELS, 4)) + b";" + b"surplus",
    "no-end-code": screen() + picture(literals(PIXELS, 4)[:-1]) + b";",
    "early-end": screen() + picture(literals(PIXELS[:50], 4)) + b";",
    "cut": (screen() + picture())[:150],
    "cut-header": screen()[:11],
    "cut-palette": screen()[:40],
    "no-picture": screen() + b";",
    "bad-code": screen() + picture(pack([(16, 5), (1, 5), (18, 5), (31, 5)])) + b";",
    "bad-first-code": screen() + picture(pack([(16, 5), (18, 5)])) + b";",
    "code-next": screen() + picture(pack([(16, 5), (1, 5)] + [(c, 5) for c in range(18, 32)] + [(32, 6)])) + b";",
    "bits-0": screen() + picture(pack([(0, 1)] * 400), bits=0) + b";",
    "bits-1": screen() + picture(literals([p % 2 for p in PIXELS], 1), bits=1) + b";",
    "bits-12": screen(GREY) + picture(literals([p * 300 for p in PIXELS], 12), bits=12) + b";",
    "bits-13": screen() + picture(literals(PIXELS, 13), bits=13) + b";",
}


def save(name, width, height, colours, **options):
    image = Image.frombytes("RGB", (width, height), random.Random(len(name)).randbytes(3 * width * height))
    out = io.BytesIO()
    image.convert("P", palette=Image.Palette.ADAPTIVE, colors=colours).save(out, "GIF", **options)
    files[name] = out.getvalue()


save("full-table", 90, 70, 256)
save("full-table-interlaced", 90, 70, 256, interlace=True)
save("two-colours", 61, 50, 2, transparency=1)


def digest(data, keep):
    ImageFile.LOAD_TRUNCATED_IMAGES = keep
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, ValueError):
        return "refused"
    if "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    return f"{image.width}x{image.height}:{hashlib.sha256(image.tobytes()).hexdigest()[:16]}"


def animated(data):
    try:
        return "animated" if Image.open(io.BytesIO(data)).is_animated else "still"
    except OSError:
        return "refused"


with open(os.path.join(folder, "EXPECTED.tsv"), "w") as out:
    for name, data in sorted(files.items()):
        with open(os.path.join(folder, name + ".gif"), "wb") as f:
            f.write(data)
        print(name + ".gif", digest(data, False), digest(data, True), animated(data), sep="\t", file=out)
