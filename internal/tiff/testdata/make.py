"""Makes the TIFF files beside it and EXPECTED.tsv: for each file the size and the first 16 hexadecimal
digits of the SHA-256 of its upright RGB bytes over white, as Pillow reads it, by default and with
ImageFile.LOAD_TRUNCATED_IMAGES, or "refused".

Made with Pillow 13.0.0 (libtiff 4.7): python make.py
"""
import hashlib
import io
import os
import random
import struct
import zlib

import numpy as np
from PIL import Image, ImageFile

folder = os.path.dirname(os.path.abspath(__file__))
pick = random.Random(20)
WIDTH, HEIGHT = 21, 13
SHORT, LONG, BYTE = 3, 4, 1


def samples(bits, count):
    """Rows of pixels of count samples."""
    top = (1 << bits) - 1
    return [
        [[((x * 7 + y * 3 + c * 50) * (top // 16 + 1) + x * y) & top for c in range(count)] for x in range(WIDTH)]
        for y in range(HEIGHT)
    ]


def pack_row(values, bits, order):
    if bits in (16, 32):
        return struct.pack(f"{order}{len(values)}{'H' if bits == 16 else 'I'}", *values)
    number = 0
    for v in values:
        number = number << bits | v
    pad = -len(values) * bits % 8
    return (number << pad).to_bytes((len(values) * bits + pad) // 8, "big")


def pack_bits(data):
    """Literal runs with, now and then, a repeated byte and a byte without meaning."""
    out = b""
    while data:
        if data[:3] == data[:1] * 3:
            out, data = out + b"\xfe" + data[:1] + b"\x80", data[3:]
        else:
            out, data = out + b"\x04" + data[:5].ljust(5, b"\0"), data[5:]
    return out


COMPRESS = {1: bytes, 8: zlib.compress, 32946: zlib.compress, 32773: pack_bits}
REVERSED = bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))


def tiff(photometric, bits, count=1, *, extra=(), order="<", compression=1, rows=5, tile=None, planar=False,
         predictor=1, reverse=False, big=False, more=(), drop=(), magic=None):
    """A TIFF file. more are further entries, drop tags to leave away, magic another number in the header."""
    pixels = samples(bits, count)
    width, height = tile or (WIDTH, rows)
    strips = []
    for plane in range(count if planar else 1):
        for top in range(0, HEIGHT, height):
            for left in range(0, WIDTH, width):
                data = b""
                for y in range(top, top + height if tile else min(top + height, HEIGHT)):
                    row = [pixels[min(y, HEIGHT - 1)][min(x, WIDTH - 1)] for x in range(left, left + width)]
                    values = [p[plane] for p in row] if planar else [v for p in row for v in p]
                    if predictor == 2:
                        step = 1 if planar else count
                        values = values[:step] + [
                            (values[i] - values[i - step]) % (1 << bits) for i in range(step, len(values))
                        ]
                    data += pack_row(values, bits, order)
                data = COMPRESS[compression](data)
                strips.append(data.translate(REVERSED) if reverse else data)
    start = 16 if big else 8
    offsets = [start + sum(map(len, strips[:i])) for i in range(len(strips))]
    sizes = [len(s) for s in strips]
    entries = [
        (256, SHORT, [WIDTH]), (257, SHORT, [HEIGHT]), (258, SHORT, [bits] * count), (259, SHORT, [compression]),
        (262, SHORT, [photometric]), (266, SHORT, [2 if reverse else 1]), (277, SHORT, [count]),
        (284, SHORT, [2 if planar else 1]), (317, SHORT, [predictor]),
    ]
    if extra:
        entries.append((338, SHORT, extra))
    if photometric == 3:
        entries.append((320, SHORT, [pick.randrange(65536) for _ in range(3 << bits)]))
    if tile:
        entries += [(322, SHORT, [width]), (323, SHORT, [height]), (324, LONG, offsets), (325, LONG, sizes)]
    else:
        entries += [(273, LONG, offsets), (278, SHORT, [rows]), (279, LONG, sizes)]
    entries = sorted([e for e in entries if e[0] not in drop] + list(more))
    return write(entries, b"".join(strips), order, big, magic)


def write(entries, body, order="<", big=False, magic=None):
    if len(body) % 2:
        body += b"\0"
    word, room, head = ("Q", 8, 16) if big else ("I", 4, 8)
    at = head + len(body)
    behind = at + (8 if big else 2) + len(entries) * (4 + 2 * room) + room
    table = outside = b""
    for tag, kind, values in entries:
        data = struct.pack(f"{order}{len(values)}{'BHI'[(BYTE, SHORT, LONG).index(kind)]}", *values)
        if len(data) > room:
            offset = behind + len(outside)
            outside += data + b"\0" * (len(data) % 2)
            data = struct.pack(order + word, offset)
        table += struct.pack(f"{order}HH{word}", tag, kind, len(values)) + data.ljust(room, b"\0")
    number = magic or (43 if big else 42)
    start = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", number)
    start += struct.pack(order + "HHQ", 8, 0, at) if big else struct.pack(order + "I", at)
    count = struct.pack(order + ("Q" if big else "H"), len(entries))
    return start + body + count + table + bytes(room) + outside


def turned(orientation):
    return (274, SHORT, [orientation])


files = {}
for order, name in (("<", "ii"), (">", "mm")):
    for photometric, bits, count, extra in (
        (0, 1, 1, ()), (1, 1, 1, ()), (0, 2, 1, ()), (1, 2, 1, ()), (0, 4, 1, ()), (1, 4, 1, ()), (0, 8, 1, ()),
        (1, 8, 1, ()), (0, 16, 1, ()), (1, 16, 1, ()), (1, 8, 2, (0,)), (1, 8, 2, (2,)), (2, 8, 3, ()),
        (2, 16, 3, ()), (2, 8, 4, ()), (2, 8, 4, (0,)), (2, 8, 4, (1,)), (2, 8, 4, (2,)), (2, 8, 5, (1, 0)),
        (2, 16, 4, (1,)), (2, 16, 4, (2,)), (3, 1, 1, ()), (3, 2, 1, ()), (3, 4, 1, ()), (3, 8, 1, ()),
        (3, 8, 2, (2,)), (5, 8, 4, ()), (5, 8, 5, (0,)), (5, 16, 4, ()),
    ):
        label = f"{photometric}-{bits}x{count}" + "".join(f"-{e}" for e in extra) + f"-{name}"
        compression = 8 if len(files) % 2 else 1
        tile = (16, 16) if len(files) % 3 == 0 else None
        files[label] = tiff(photometric, bits, count, extra=extra, order=order, compression=compression, tile=tile)
files |= {
    f"turned-{i}": tiff(2, 8, 3, more=[turned(i)], compression=32946 if i % 2 else 1) for i in range(1, 9)
}
files |= {
    "turned-xmp": tiff(2, 8, 3, more=[(700, BYTE, list(b'<x tiff:Orientation="6"/>'))]),
    "planes": tiff(2, 8, 3, planar=True),
    "planes-deflate": tiff(2, 8, 3, planar=True, compression=8, predictor=2),
    "planes-16": tiff(2, 16, 3, planar=True, compression=8, predictor=2, order=">"),
    "planes-16-raw": tiff(2, 16, 3, planar=True),
    "planes-tiles": tiff(2, 8, 4, extra=(2,), planar=True, tile=(16, 16)),
    "planes-cmyk": tiff(5, 8, 4, planar=True, compression=32773),
    "planes-unspecified": tiff(2, 8, 4, extra=(0,), planar=True, compression=8),
    "planes-associated": tiff(2, 8, 4, extra=(1,), planar=True, compression=8),
    "planes-no-extra": tiff(2, 8, 4, planar=True, compression=8),
    "predictor": tiff(2, 8, 3, compression=8, predictor=2),
    "predictor-16": tiff(2, 16, 3, compression=8, predictor=2, tile=(16, 16)),
    "predictor-16-mm": tiff(1, 16, order=">", compression=8, predictor=2),
    "predictor-4": tiff(1, 4, compression=8, predictor=2),
    "predictor-3": tiff(1, 8, compression=8, predictor=3),
    "packbits": tiff(2, 8, 3, compression=32773),
    "packbits-tiles": tiff(3, 8, compression=32773, tile=(32, 16)),
    "reversed-1": tiff(0, 1, reverse=True),
    "reversed-4": tiff(1, 4, reverse=True, tile=(16, 16)),
    "reversed-16": tiff(1, 16, reverse=True),
    "reversed-rgb": tiff(2, 8, 3, reverse=True),
    "reversed-deflate": tiff(2, 8, 3, reverse=True, compression=8),
    "reversed-palette": tiff(3, 4, reverse=True),
    "bigtiff": tiff(2, 8, 3, big=True),
    "bigtiff-deflate": tiff(3, 8, big=True, compression=8, rows=3),
    "bigtiff-mm": tiff(2, 8, 3, big=True, order=">"),
    "magic": tiff(2, 8, 3, magic=42 * 256),
    "magic-deflate": tiff(2, 8, 3, magic=42 * 256, compression=8),
    "no-rows": tiff(2, 8, 3, rows=HEIGHT, drop=(278,)),
    "no-sizes": tiff(2, 8, 3, drop=(279,)),
    "no-sizes-deflate": tiff(2, 8, 3, drop=(279,), compression=8),
    "no-sizes-strip": tiff(2, 8, 3, drop=(279,), rows=HEIGHT, compression=8),
    "no-size": tiff(2, 8, 3, drop=(257,)),
    "no-offsets": tiff(2, 8, 3, drop=(273,)),
    "no-photometric": tiff(0, 8, drop=(262,)),
    "no-palette": tiff(3, 8, drop=(320,)),
    "one-size-of-sample": tiff(2, 8, 3, drop=(258,), more=[(258, SHORT, [8])]),
    "strips-missing": tiff(0, 8, drop=(273,), more=[(273, LONG, [8])]),
    "strips-missing-deflate": tiff(0, 8, drop=(273,), more=[(273, LONG, [8])], compression=8),
    "strips-surplus": tiff(1, 8, drop=(273,), more=[(273, LONG, [8, 8 + 5 * WIDTH, 8 + 10 * WIDTH, 20])]),
    "rows-too-many": tiff(1, 8, rows=HEIGHT, drop=(278,), more=[(278, LONG, [2**32 - 1])]),
    "signed": tiff(1, 8, more=[(339, SHORT, [2])]),
    "float": tiff(1, 16, more=[(339, SHORT, [3])]),
    "ycbcr": tiff(6, 8, 3),
    "lab": tiff(8, 8, 3),
    "signed-16": tiff(1, 16, more=[(339, SHORT, [2])], compression=8, predictor=2),
    "signed-16-mm": tiff(1, 16, more=[(339, SHORT, [2])], order=">"),
    "signed-16-mm-deflate": tiff(1, 16, more=[(339, SHORT, [2])], order=">", compression=8),
    "unsigned-32": tiff(1, 32, tile=(16, 16)),
    "unsigned-12": tiff(1, 12),
    "signed-32": tiff(1, 32, more=[(339, SHORT, [2])], order=">"),
    "method-99": tiff(1, 8, drop=(259,), more=[(259, SHORT, [99])]),
    "cut-deflate": tiff(1, 8, compression=8, drop=(279,), more=[(279, LONG, [20, 20, 20])]),
}
files["cut"] = files["2-8x3-ii"][:-20]
start = struct.unpack("<I", files["2-8x4-2-ii"][4:8])[0]
raw = tiff(2, 8, 4, extra=(2,))
files["cut-strips"] = write(
    [(256, SHORT, [WIDTH]), (257, SHORT, [HEIGHT]), (258, SHORT, [8] * 4), (262, SHORT, [2]), (273, LONG, [8]),
     (277, SHORT, [4]), (338, SHORT, [2])], pick.randbytes(500))

def old_lzw(data):
    """LZW as before TIFF 5.0: the lowest bit first, and codes wider one later than since."""
    bits, width, table, current = "", 9, {bytes([i]): i for i in range(256)}, b""
    for code in (256, *data, None):
        if code == 256:
            bits += f"{code:09b}"[::-1]
            continue
        longer = current + bytes([code]) if code is not None else None
        if longer in table:
            current = longer
            continue
        bits += f"{table[current]:0{width}b}"[::-1]
        table[longer] = len(table) + 2
        width = min(max(9, (len(table) + 1).bit_length()), 12)
        current = longer and longer[-1:]
    bits += f"{257:0{width}b}"[::-1]
    return bytes(int(bits[i:i + 8][::-1], 2) for i in range(0, len(bits), 8))


COMPRESS[5] = old_lzw
files |= {
    "lzw-old": tiff(2, 8, 3, compression=5, rows=13),
    "lzw-old-reversed": tiff(1, 8, compression=5, reverse=True),
}
y, x = np.mgrid[0:40, 0:50]
drawn = Image.fromarray(
    np.stack([127 + 120 * np.sin(x / 7 + y / 13), 255 * ((x // 5 + y // 4) % 2), (x * 7 + y * 11) % 256], -1)
    .astype("uint8"))
for label, mode, options in (
    ("lzw", "RGB", {"compression": "tiff_lzw"}),
    ("lzw-predictor", "RGB", {"compression": "tiff_lzw", "tiffinfo": {317: 2}}),
    ("lzw-1", "1", {"compression": "tiff_lzw"}),
    ("group3", "1", {"compression": "group3"}),
    ("group4", "1", {"compression": "group4"}),
    ("group3-2d", "1", {"compression": "group3", "tiffinfo": {292: 5, 278: 15}}),
    ("modified-huffman", "1", {"compression": "tiff_ccitt"}),
    ("jpeg", "RGB", {"compression": "jpeg"}),
    ("jpeg-ycbcr", "YCbCr", {"compression": "jpeg"}),
    ("jpeg-strips", "RGB", {"compression": "jpeg", "tiffinfo": {278: 16}}),
    ("jpeg-grey", "L", {"compression": "jpeg"}),
    ("jpeg-cmyk", "CMYK", {"compression": "jpeg"}),
    ("jpeg-rgba", "RGBA", {"compression": "jpeg", "tiffinfo": {278: 16}}),
    ("jpeg-la", "LA", {"compression": "jpeg"}),
    ("zstd", "RGB", {"compression": "zstd"}),
):
    out = io.BytesIO()
    image = drawn.convert(mode)
    if image.has_transparency_data:
        image.putalpha(drawn.getchannel("B"))
    image.save(out, "TIFF", **options)
    files[label] = out.getvalue()
levels = (127 + 200 * np.sin(x / 7 + y / 13)).astype("float32")
whole = (levels * 2).astype("int32")
levels[20, ::3] = np.nan
for label, values, options in (
    ("float-32", levels, {}),
    ("float-32-predictor-2", levels, {"compression": "tiff_lzw", "tiffinfo": {317: 2}}),
    ("float-32-predictor-3", levels, {"compression": "tiff_adobe_deflate", "tiffinfo": {317: 3}}),
    ("signed-32-predictor", whole, {"compression": "tiff_lzw", "tiffinfo": {317: 2}}),
):
    out = io.BytesIO()
    Image.fromarray(values[10:30, 10:40]).save(out, "TIFF", **options)
    files[label] = out.getvalue()
out = io.BytesIO()
drawn.save(out, "TIFF", save_all=True, append_images=[drawn.convert("L")], compression="tiff_lzw")
files["pages"] = out.getvalue()
for label in ("group3", "group3-2d", "group4", "modified-huffman"):
    damaged = bytearray(files[label])
    damaged[60] ^= 0x10
    files[label + "-damaged"] = bytes(damaged)
# Modified Huffman that claims to be T.4, so that the ends of lines are missing.
files["group3-no-ends"] = files["modified-huffman"].replace(
    struct.pack("<HHIHH", 259, SHORT, 1, 2, 0), struct.pack("<HHIHH", 259, SHORT, 1, 3, 0))


def digest(data, keep):
    ImageFile.LOAD_TRUNCATED_IMAGES = keep
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
        if image.mode.startswith("I;16"):
            image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
        if image.mode in ("RGBA", "LA", "PA"):
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB")
    except (OSError, ValueError):
        return "refused"
    return f"{image.width}x{image.height}:{hashlib.sha256(image.tobytes()).hexdigest()[:16]}"


with open(os.path.join(folder, "EXPECTED.tsv"), "w") as out:
    for name, data in sorted(files.items()):
        with open(os.path.join(folder, name + ".tif"), "wb") as f:
            f.write(data)
        print(name + ".tif", digest(data, False), digest(data, True), sep="\t", file=out)
