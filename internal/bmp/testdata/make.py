"""Makes the BMP files beside it and EXPECTED.tsv: for each file the size and the first 16 hexadecimal
digits of the SHA-256 of its RGB bytes over white, as Pillow reads it, by default and with
ImageFile.LOAD_TRUNCATED_IMAGES, or "refused".

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
WIDTH, HEIGHT = 13, 7


def header(size, bits, compression=0, height=HEIGHT, colours=0, masks=()):
    if size == 12:
        return struct.pack("<IHHHH", 12, WIDTH, height, 1, bits)
    head = struct.pack("<IIiHHIIIIII", size, WIDTH, height, 1, bits, compression, 0, 2835, 2835, colours, 0)
    fields = struct.pack("<%dI" % len(masks), *masks)
    return head + (fields if size == 40 else (fields + bytes(84))[: size - 40])


def file(head, palette, pixels, offset=None):
    if offset is None:
        offset = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, offset) + head + palette + pixels


def rows(bits):
    return pick.randbytes((WIDTH * bits + 31) // 32 * 4 * HEIGHT)


def grey(colours):
    return b"".join(bytes([i, i, i, 0]) for i in range(colours))


files = {}
for size in (12, 40, 52, 56, 64, 108, 124):
    for bits in (1, 8, 24, 32):
        palette = pick.randbytes((3 if size == 12 else 4) << bits) if bits <= 8 else b""
        if size == 12 or bits in (8, 32):
            files[f"h{size}-{bits}"] = file(header(size, bits), palette, rows(bits))
files["4"] = file(header(40, 4), pick.randbytes(64), rows(4))
files["16"] = file(header(40, 16), b"", rows(16))
files["2"] = file(header(40, 2), pick.randbytes(16), rows(2))
files["24-palette"] = file(header(40, 24, colours=5), pick.randbytes(20), rows(24))
files["top-down"] = file(header(40, 24, height=-HEIGHT), b"", rows(24))
files["bilevel"] = file(header(40, 1), bytes([0, 0, 0, 0, 255, 255, 255, 0]), rows(1))
files["grey"] = file(header(40, 8), grey(256), rows(8))
files["grey-4"] = file(header(40, 4), grey(16), rows(4))
files["palette-short"] = file(header(40, 8, colours=20), pick.randbytes(80), rows(8))
files["palette-300"] = file(header(40, 8, colours=300), pick.randbytes(1200), rows(8))
files["offset-0"] = file(header(40, 24), b"", rows(24), 0)
files["offset-header"] = file(header(40, 8), pick.randbytes(1024), rows(8), 54)
files["offset-beyond"] = file(header(40, 8), pick.randbytes(1024), rows(8), 54321)
files["cut"] = files["16"][:-40]
files["cut-alpha"] = file(header(56, 32, 3, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000)), b"", rows(32))[:-100]
files["cut-header"] = files["16"][:50]
for i, masks in enumerate((
    (0xFF0000, 0xFF00, 0xFF, 0),
    (0xFF000000, 0xFF0000, 0xFF00, 0),
    (0xFF000000, 0xFF00, 0xFF, 0),
    (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
    (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
    (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
    (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
    (0, 0, 0, 0),
    (0x3FF, 0xFFC00, 0x3FF00000, 0),
)):
    files[f"fields-32-{i}"] = file(header(124, 32, 3, masks=masks), b"", rows(32))
files["fields-32-h40"] = file(header(40, 32, 3, masks=(0xFF0000, 0xFF00, 0xFF)), b"", rows(32))
files["fields-565"] = file(header(40, 16, 3, masks=(0xF800, 0x7E0, 0x1F)), b"", rows(16))
files["fields-555"] = file(header(52, 16, 3, masks=(0x7C00, 0x3E0, 0x1F)), b"", rows(16))
files["jpeg-inside"] = file(header(40, 24, 4), b"", rows(24))

row8 = bytes([5, 1, 0, 5, 9, 8, 7, 6, 5, 0, 3, 2, 0, 0])
row4 = bytes([5, 0x12, 0, 5, 0x34, 0x56, 0x70, 0, 3, 0x89, 0, 0])
jumps = bytes([0, 2, 4, 2, 9, 3]) + row8 * 5
for bits, method, row in ((8, 1, row8), (4, 2, row4)):
    palette = pick.randbytes(4 << bits)
    head = header(40, bits, method)
    files[f"rle{bits}"] = file(head, palette, row * HEIGHT + b"\0\1")
    files[f"rle{bits}-open"] = file(head, palette, row * HEIGHT)
    files[f"rle{bits}-early"] = file(head, palette, row * 3 + b"\0\1")
    files[f"rle{bits}-cut"] = file(head, palette, row * 3)
    files[f"rle{bits}-wide"] = file(head, palette, (bytes([9, 1]) + row) * HEIGHT)
files["rle8-jumps"] = file(header(40, 8, 1), pick.randbytes(1024), jumps)
files["rle8-24"] = file(header(40, 24, 1), b"", row8 * HEIGHT)


def digest(data, keep):
    ImageFile.LOAD_TRUNCATED_IMAGES = keep
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, ValueError):
        return "refused"
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    return f"{image.width}x{image.height}:{hashlib.sha256(image.tobytes()).hexdigest()[:16]}"


with open(os.path.join(folder, "EXPECTED.tsv"), "w") as out:
    for name, data in sorted(files.items()):
        with open(os.path.join(folder, name + ".bmp"), "wb") as f:
            f.write(data)
        print(name + ".bmp", digest(data, False), digest(data, True), sep="\t", file=out)
