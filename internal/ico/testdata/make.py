"""Makes the icons and cursors beside it and EXPECTED.tsv: for each file the size and the first 16
hexadecimal digits of the SHA-256 of its RGB bytes over white, as Pillow reads it, by default and with
ImageFile.LOAD_TRUNCATED_IMAGES, or "refused".

Made with Pillow 13.0.0: python make.py
"""
import hashlib
import io
import os
import random
import struct
import warnings

from PIL import Image, ImageFile

warnings.simplefilter("ignore")  # of pictures that have not the size that the entry says
folder = os.path.dirname(os.path.abspath(__file__))
pick = random.Random(20)
MASKS = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)


def png(width, height, mode="RGBA", **options):
    image = Image.frombytes("RGBA", (width, height), pick.randbytes(4 * width * height)).convert(mode)
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


def dib(width, height, bits, palette=None, size=40, total=None, mask=True):
    """A bitmap with its mask. total is the height that the header says."""
    total = 2 * height if total is None else total
    head = struct.pack("<IIiHHIIIIII", size, width, total, 1, bits, 3 if size > 40 else 0, 0, 0, 0, 0, 0)
    if size > 40:
        head += (MASKS + bytes(84))[: size - 40]
    if palette is None:
        palette = pick.randbytes(4 << bits) if bits <= 8 else b""
    data = head + palette + pick.randbytes((width * bits + 31) // 32 * 4 * height)
    return data + pick.randbytes((width + 31) // 32 * 4 * height) if mask else data


def icon(*pictures, kind=1):
    """An icon of pictures, each a width, a height, a number of bits and its data."""
    entries = body = b""
    start = 6 + 16 * len(pictures)
    for width, height, bits, data in pictures:
        entries += struct.pack("<BBBBHHII", width % 256, height % 256, 0, 0, 1, bits, len(data), start + len(body))
        body += data
    return struct.pack("<HHH", 0, kind, len(pictures)) + entries + body


def cursor(*pictures):
    return icon(*pictures, kind=2)


BLACK_WHITE = bytes([0, 0, 0, 0, 255, 255, 255, 0])
GREY = b"".join(bytes([i, i, i, 0]) for i in range(256))
files = {f"{bits}.ico": icon((17, 9, bits, dib(17, 9, bits))) for bits in (1, 4, 8, 16, 24, 32)}
files |= {f"{bits}.cur": cursor((17, 9, 0, dib(17, 9, bits))) for bits in (1, 4, 8, 16, 24, 32)}
files |= {
    "several.ico": icon((8, 8, 32, dib(8, 8, 32)), (17, 9, 32, dib(17, 9, 32)), (17, 9, 4, dib(17, 9, 4))),
    "no-depth.ico": icon((8, 8, 0, dib(8, 8, 8)), (8, 8, 8, dib(8, 8, 8))),
    "32-as-24.ico": icon((8, 8, 24, dib(8, 8, 32))),
    "24-as-32.ico": icon((8, 8, 32, dib(8, 8, 24))),
    "fields.ico": icon((8, 8, 24, dib(8, 8, 32, size=124))),
    "other-size.ico": icon((200, 200, 8, dib(17, 9, 8))),
    "png.ico": icon((17, 9, 32, png(17, 9))),
    "png-transparent.ico": icon((17, 9, 8, png(17, 9, "L", transparency=7))),
    "png-256.ico": icon((8, 8, 32, dib(8, 8, 32)), (0, 0, 32, png(5, 256))),
    "no-mask.ico": icon((17, 9, 8, dib(17, 9, 8, mask=False))),
    "cut-mask.ico": icon((17, 9, 8, dib(17, 9, 8)))[:-5],
    "cut-pixels.ico": icon((17, 9, 32, dib(17, 9, 32)))[:-100],
    "cut-header.ico": icon((17, 9, 8, dib(17, 9, 8)))[:50],
    "cut-directory.ico": icon((17, 9, 8, dib(17, 9, 8)))[:20],
    "none.ico": icon(),
    "height-1.ico": icon((8, 8, 8, dib(8, 1, 8, total=1))),
    "bilevel.cur": cursor((17, 9, 0, dib(17, 9, 1, BLACK_WHITE))),
    "grey.cur": cursor((17, 9, 0, dib(17, 18, 8, GREY, total=18))),
    "grey-odd.cur": cursor((17, 9, 0, dib(17, 19, 8, GREY, total=19))),
    "several.cur": cursor((8, 8, 0, dib(8, 8, 32)), (8, 9, 0, dib(8, 9, 32)), (9, 9, 0, dib(9, 9, 32))),
    "cut.cur": cursor((17, 9, 0, dib(17, 9, 24)))[:-100],
    "cut-bilevel.cur": cursor((17, 9, 0, dib(17, 9, 1, BLACK_WHITE)))[:-20],
    "png.cur": cursor((17, 9, 0, png(17, 9))),
    "none.cur": cursor(),
}


def digest(data, keep):
    ImageFile.LOAD_TRUNCATED_IMAGES = keep
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, ValueError):
        return "refused"
    if image.mode in ("RGBA", "LA"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    return f"{image.width}x{image.height}:{hashlib.sha256(image.tobytes()).hexdigest()[:16]}"


with open(os.path.join(folder, "EXPECTED.tsv"), "w") as out:
    for name, data in sorted(files.items()):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)
        print(name, digest(data, False), digest(data, True), sep="\t", file=out)
