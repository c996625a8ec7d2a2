"""Makes the PNG files beside it, and what Pillow makes of them: expected.tsv.

A row has a file's name, then what Pillow gives by default and with
LOAD_TRUNCATED_IMAGES: the first 16 digits of the SHA-256 of the RGB pixels over
white, or "refused". Then come the same digits of the EXIF block without its
"Exif\\0\\0", of the XMP packet, and of the ICC profile, or "-".

Made with Pillow 13.0.0: python make.py
"""
import hashlib
import io
import os
import random
import struct
import warnings
import zlib

import numpy as np
from PIL import Image, ImageFile

folder = os.path.dirname(os.path.abspath(__file__))
random.seed(20)
warnings.simplefilter("ignore")

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
EXIF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6


def chunk(name, body=b"", crc=0, length=None):
    length = len(body) if length is None else length
    return struct.pack(">I", length) + name + body + struct.pack(">I", zlib.crc32(name + body) ^ crc)


def header(width, height, bits, colours, interlaced=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, interlaced))


def rows(width, height, bits_per_pixel, interlaced=False):
    """Random walks, so that there are matches, with all filters."""
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    out = bytearray()
    for x, y, step_x, step_y in passes:
        w, h = -((x - width) // step_x), -((y - height) // step_y)
        for row in range(h if w > 0 else 0):
            out.append((row + x) % 5)
            out += bytes(random.choice([0, 0, 1, 2, 255, 16]) for _ in range((w * bits_per_pixel + 7) // 8))
    return bytes(out)


def write(name, *parts):
    with open(os.path.join(folder, name + ".png"), "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def split(data, *cuts):
    return [chunk(b"IDAT", data[a:b]) for a, b in zip((0, *cuts), (*cuts, len(data)))]


END = chunk(b"IEND")
PALETTE = chunk(b"PLTE", bytes(random.randrange(256) for _ in range(48)))


def write_kinds():
    """All colour types and depths, plain, interlaced and with transparency."""
    for colours, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items():
        for bits in depths:
            palette = [PALETTE] if colours == 3 else []
            for interlaced in 0, 1:
                data = zlib.compress(rows(13, 11, bits * CHANNELS[colours], interlaced))
                name = f"type{colours}-{bits}" + "-interlaced" * interlaced
                write(name, header(13, 11, bits, colours, interlaced), *palette, chunk(b"IDAT", data), END)
            transparent = {0: struct.pack(">H", 1), 2: struct.pack(">HHH", 1, 1, 256), 3: b"\x80\0\xff\x33"}
            if colours in transparent:
                parts = [header(13, 11, bits, colours), *palette, chunk(b"tRNS", transparent[colours])]
                data = zlib.compress(rows(13, 11, bits * CHANNELS[colours]))
                write(f"type{colours}-{bits}-transparent", *parts, chunk(b"IDAT", data), END)


def write_damaged():
    """What is missing, surplus, wrong or in another place."""
    head = header(9, 12, 8, 2)
    raw = rows(9, 12, 24)
    row = 1 + 9 * 3
    data = zlib.compress(raw)
    pixels = chunk(b"IDAT", data)
    text = chunk(b"tEXt", b"Comment\0jacket")
    bad_text = chunk(b"tEXt", b"Comment\0jacket", crc=1)
    write("no-end", head, pixels)
    write("end-cut", head, pixels, END[:7])
    write("no-adler", head, chunk(b"IDAT", data[:-4]), END)
    write("wrong-adler", head, chunk(b"IDAT", data[:-1] + bytes([data[-1] ^ 1])), END)
    write("wrong-adler-apart", head, *split(data[:-4] + b"\1\2\3\4", len(data) - 4), END)
    write("surplus-raw", head, chunk(b"IDAT", zlib.compress(raw + bytes(50))), END)
    write("surplus-data", head, chunk(b"IDAT", data + bytes(50)), END)
    write("surplus-idat", head, pixels, chunk(b"IDAT", bytes(50)), END)
    write("rows-missing", head, chunk(b"IDAT", zlib.compress(raw[: 7 * row])), END)
    write("rows-missing-partly", head, chunk(b"IDAT", zlib.compress(raw[: 7 * row + 5])), END)
    for cut in 3, 40, len(data) // 2, len(data) - 6:
        write(f"cut-idat-{cut}", head, chunk(b"IDAT", data[:cut]), END)
    write("cut-file", head, pixels[: len(pixels) * 2 // 3])
    flat = zlib.compress(bytes(12 * 4))
    for cut in 4, 5, 6, 7:
        write(f"flat-cut-{cut}", header(24, 12, 1, 0), chunk(b"IDAT", flat[:-cut]), END)
    for at in 2, len(data) // 3, len(data) // 2:
        write(f"flip-{at}", head, chunk(b"IDAT", data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]), END)
    write("filter-7", head, chunk(b"IDAT", zlib.compress(raw[: 5 * row] + b"\7" + raw[5 * row + 1 :])), END)
    write("idat-parts", head, *split(data, 1, 1, 2, 50, 51, 100), END)
    write("idat-apart", head, *split(data, 60)[:1], text, *split(data, 60)[1:], END)
    write("bad-crc-idat", head, chunk(b"IDAT", data, crc=1), END)
    write("bad-crc-text", head, bad_text, pixels, END)
    write("bad-crc-text-after", head, pixels, bad_text, END)
    write("bad-crc-header", head[:-1] + b"\0", pixels, END)
    write("bad-crc-unknown", head, chunk(b"ABCD", b"x", crc=1), pixels, END)
    write("unknown", head, chunk(b"ABCD", b"x"), chunk(b"ab_9", b"x"), pixels, chunk(b"a1Cd", b"y"), END)
    write("no-name", head, chunk(b"a-cd", b"x"), pixels, END)
    write("no-name-after", head, pixels, chunk(b"a-cd", b"x"), END)
    write("no-header", pixels, END)
    write("header-late", text, head, pixels, END)
    write("idat-before-header", pixels, head, pixels, END)
    write("header-13", chunk(b"IHDR", bytes(12)), pixels, END)
    write("header-zero", header(0, 12, 8, 2), pixels, END)
    write("header-type5", header(9, 12, 8, 5), pixels, END)
    write("short-gamma", head, chunk(b"gAMA", b"\0"), pixels, END)
    write("after-cut", head, pixels, chunk(b"zzZz", b"abc", length=50))
    write("no-idat", head, END)
    write("empty-idat", head, chunk(b"IDAT"), END)


def write_palettes():
    head = header(9, 12, 4, 3)
    pixels = chunk(b"IDAT", zlib.compress(rows(9, 12, 4)))
    one = b"\xff\xff\0\xff"
    write("no-palette", head, pixels, END)
    write("palette-late", head, pixels, PALETTE, END)
    write("palette-short", head, chunk(b"PLTE", bytes(range(200, 211))), pixels, END)
    write("palette-257", head, chunk(b"PLTE", bytes(771)), pixels, END)
    write("palette-transparent-one", head, PALETTE, chunk(b"tRNS", one), pixels, END)
    write("palette-transparent-line", head, PALETTE, chunk(b"tRNS", one + b"\n"), pixels, END)
    write("palette-transparent-257", head, PALETTE, chunk(b"tRNS", bytes(257)), pixels, END)
    write("transparent-before", head, chunk(b"tRNS", b"\x10\x80"), PALETTE, pixels, END)
    write("transparent-late", head, PALETTE, pixels, chunk(b"tRNS", b"\x10\x80"), END)
    grey = header(9, 12, 8, 0)
    pixels = chunk(b"IDAT", zlib.compress(rows(9, 12, 8)))
    write("grey-palette", grey, PALETTE, pixels, END)
    write("grey-transparent-short", grey, chunk(b"tRNS", b"\0"), pixels, END)


def frame(number, x, y, width, height):
    return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, x, y, 1, 10, 0, 0))


def write_animated():
    head = header(9, 12, 8, 6)
    animated = chunk(b"acTL", struct.pack(">II", 2, 0))
    full, part = zlib.compress(rows(9, 12, 32)), zlib.compress(rows(4, 5, 32))
    second = frame(1, 0, 0, 4, 5) + chunk(b"fdAT", struct.pack(">I", 2) + part)
    exif = chunk(b"eXIf", EXIF)
    write("apng-first", head, animated, frame(0, 0, 0, 9, 12), chunk(b"IDAT", full), second, exif, END)
    write("apng-default", head, animated, chunk(b"IDAT", full), frame(0, 0, 0, 9, 12), END)
    write("apng-part", head, animated, frame(0, 3, 2, 4, 5), chunk(b"IDAT", part), second, END)
    write("apng-empty", head, animated, frame(0, 3, 2, 0, 5), chunk(b"IDAT", part), second, END)
    write("apng-large", head, animated, frame(0, 3, 2, 9, 5), chunk(b"IDAT", part), second, END)
    write("apng-sequence", head, animated, frame(3, 0, 0, 9, 12), chunk(b"IDAT", full), second, END)
    first = chunk(b"fdAT", struct.pack(">I", 1) + full[:90]) + chunk(b"fdAT", struct.pack(">I", 2) + full[90:])
    write("apng-fdat", head, animated, frame(0, 0, 0, 9, 12), first, END)
    interlaced = header(9, 12, 8, 2, 1)
    part = chunk(b"IDAT", zlib.compress(rows(4, 5, 24, True)))
    write("apng-part-interlaced", interlaced, animated, frame(0, 3, 2, 4, 5), part, second, END)


def write_texts():
    head = header(3, 2, 8, 2)
    pixels = chunk(b"IDAT", zlib.compress(rows(3, 2, 24)))
    raw = b"\nexif\n      32\n" + b"\n".join(
        (b"Exif\0\0" + EXIF).hex().encode()[i : i + 36] for i in range(0, 64, 36)) + b"\n"
    xmp = b'<x:xmpmeta tiff:Orientation="6"/>'
    packet = b"XML:com.adobe.xmp\0"
    profile = zlib.compress(bytes(range(200)))
    write("exif", head, chunk(b"eXIf", EXIF), pixels, END)
    write("exif-late", head, pixels, chunk(b"eXIf", EXIF), END)
    write("exif-late-bad-crc", head, pixels, chunk(b"eXIf", EXIF, crc=1), END)
    key = b"Raw profile type exif\0"
    write("exif-raw-text", head, chunk(b"tEXt", key + raw), pixels, END)
    write("exif-raw-ztxt", head, chunk(b"zTXt", key + b"\0" + zlib.compress(raw)), pixels, END)
    write("exif-raw-itxt", head, pixels, chunk(b"iTXt", key + b"\0\0\0\0" + raw), END)
    write("xmp", head, chunk(b"iTXt", packet + b"\0\0\0\0" + xmp), pixels, END)
    write("xmp-compressed", head, chunk(b"iTXt", packet + b"\1\0\0\0" + zlib.compress(xmp)), pixels, END)
    write("xmp-method", head, chunk(b"iTXt", packet + b"\1\1\0\0" + zlib.compress(xmp)), pixels, END)
    write("xmp-not-utf8", head, chunk(b"iTXt", packet + b"\0\0\0\0" + xmp + b"\xff"), pixels, END)
    write("xmp-text", head, chunk(b"tEXt", packet + xmp), pixels, END)
    write("xmp-ztxt", head, chunk(b"zTXt", packet + b"\0" + zlib.compress(xmp)), pixels, END)
    write("ztxt-method", head, chunk(b"zTXt", b"a\0\1" + zlib.compress(xmp)), pixels, END)
    write("ztxt-bomb", head, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 21), 9)), pixels, END)
    write("ztxt-bomb-late", head, pixels, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 21), 9)), END)
    write("icc", head, chunk(b"iCCP", b"n\0\0" + profile), pixels, END)
    write("icc-cut", head, chunk(b"iCCP", b"n\0\0" + profile[:-30]), pixels, END)
    write("icc-corrupt", head, chunk(b"iCCP", b"n\0\0" + profile[::-1]), pixels, END)
    write("icc-method", head, chunk(b"iCCP", b"n\0\1" + profile), pixels, END)


def write_stored():
    """Stored blocks of which a chunk ends with the last byte that the picture needs, but not the block."""
    for colours in 0, 2:
        for interlaced in 0, 1:
            raw = rows(9, 12, 8 * CHANNELS[colours], interlaced)
            parts = split(zlib.compress(raw + bytes(50), 0), 2 + 5 + len(raw))
            write(f"stored{colours}" + "-interlaced" * interlaced, header(9, 12, 8, colours, interlaced), *parts, END)


def over_white(image):
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("LA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255,) * 4), image)
    return image.convert("RGB")


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16] if data else "-"


def read(data, truncated):
    ImageFile.LOAD_TRUNCATED_IMAGES = truncated
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
        return digest(over_white(image).tobytes()), image
    except Exception:
        return "refused", None


def find_exif(image):
    if "exif" in image.info:
        return image.info["exif"].removeprefix(b"Exif\0\0")
    if "Raw profile type exif" in image.info:
        return bytes.fromhex("".join(image.info["Raw profile type exif"].split("\n")[3:])).removeprefix(b"Exif\0\0")
    return None


def expect():
    with open(os.path.join(folder, "expected.tsv"), "w") as out:
        for name in sorted(os.listdir(folder)):
            if not name.endswith(".png"):
                continue
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            (strict, image), (lenient, other) = read(data, False), read(data, True)
            row = [name, strict, lenient]
            image = image or other
            if image:
                xmp = image.info.get("XML:com.adobe.xmp", "").encode("latin-1") or image.info.get("xmp")
                row += [digest(find_exif(image)), digest(xmp), digest(image.info.get("icc_profile"))]
            print(*row, sep="\t", file=out)


write_kinds()
write_damaged()
write_palettes()
write_animated()
write_texts()
write_stored()
expect()
