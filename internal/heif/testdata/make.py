"""Draws the pictures drawn-*.avif and drawn-*.heic. heic/make.py says what pillow-heif reads of the latter.

    pip install pillow==13.0.0 pillow-heif==1.8.1 && python make.py
"""
import pathlib
import struct

import pillow_heif
from PIL import Image, ImageDraw

pillow_heif.register_heif_opener()
here = pathlib.Path(__file__).parent

WIDTH, HEIGHT = 82, 50  # neither is a multiple of 16, so that rows have padding


def drawing(mode="RGB", width=WIDTH, height=HEIGHT):
    im = Image.new("RGB", (width, height), (220, 40, 30))
    d = ImageDraw.Draw(im)
    d.rectangle([width // 2, 0, width, height // 2 - 1], fill=(30, 190, 60))
    d.rectangle([0, height // 2, width // 2 - 1, height], fill=(40, 60, 210))
    d.rectangle([width // 2, height // 2, width, height], fill=(240, 220, 50))
    if mode == "RGBA":
        alpha = Image.new("L", im.size, 255)
        ImageDraw.Draw(alpha).rectangle([0, 0, width // 2 - 1, height // 2 - 1], fill=64)
        ImageDraw.Draw(alpha).rectangle([width // 2, height // 2, width, height], fill=0)
        im.putalpha(alpha)
        return im
    return im.convert(mode)


def oriented(n):
    exif = Image.Exif()
    exif[0x0112] = n
    return exif


def transformed(data, *transforms):
    """Adds irot or imir properties (kind, value) to the first item of a HEIC file."""
    added = [struct.pack(">I4sB", 9, kind, value) for kind, value in transforms]
    grown = sum(map(len, added)) + len(added)  # the properties, and a byte each in ipma

    def boxes(data, start, end):
        while start < end:
            size, kind = struct.unpack_from(">I4s", data, start)
            yield kind, data[start + 8 : start + size]
            start += size

    def box(kind, body):
        return struct.pack(">I4s", 8 + len(body), kind) + body

    def iloc(body):
        sizes, count = struct.unpack_from(">HH", body, 4)
        assert body[0] == 0 and sizes == 0x4440, "libheif writes another iloc than 1.23 did"
        at, out = 8, bytearray(body)
        for _ in range(count):
            base, extents = struct.unpack_from(">IH", body, at + 4)
            struct.pack_into(">I", out, at + 4, base + grown)
            at += 10 + 8 * extents
        return bytes(out)

    def ipma(body, first):
        assert body[:4] == b"\0\0\0\0"
        count = body[10]
        return body[:10] + bytes([count + len(added)]) + body[11 : 11 + count] + bytes(range(first, first + len(added))) + body[11 + count :]

    def iprp(body):
        out, first = b"", 0
        for kind, inner in boxes(body, 0, len(body)):
            if kind == b"ipco":
                first = 1 + len(list(boxes(inner, 0, len(inner))))
                inner += b"".join(added)
            out += box(kind, ipma(inner, first) if kind == b"ipma" else inner)
        return out

    def meta(body):
        out = body[:4]
        for kind, inner in boxes(body, 4, len(body)):
            out += box(kind, {b"iloc": iloc, b"iprp": iprp}.get(kind, bytes)(inner))
        return out

    return b"".join(box(kind, meta(body) if kind == b"meta" else body) for kind, body in boxes(data, 0, len(data)))


for n in range(2, 9):
    drawing().save(here / f"drawn-turned{n}.avif", quality=60, exif=oriented(n))
drawing().save(here / "drawn-444.avif", quality=70, subsampling="4:4:4", range="limited")
drawing("RGBA").save(here / "drawn-alpha.avif", quality=70)
drawing("L").save(here / "drawn-grey.avif", quality=70)
drawing().save(here / "drawn.avif", quality=60, save_all=False)
drawing().save(here / "drawn-sequence.avif", quality=60, save_all=True, append_images=[drawing().rotate(180)], duration=100)

drawing().save(here / "drawn.heic", quality=70)
drawing().save(here / "drawn-444.heic", quality=70, chroma=444)
drawing().save(here / "drawn-422.heic", quality=70, chroma=422)
drawing().save(here / "drawn-709.heic", quality=70, matrix_coefficients=1, full_range_flag=0)
drawing("RGBA").save(here / "drawn-alpha.heic", quality=70)
drawing("L").save(here / "drawn-grey.heic", quality=70)
drawing(width=WIDTH - 1, height=HEIGHT - 1).save(here / "drawn-odd.heic", quality=70)  # coded with more pixels, and cropped
drawing(width=160, height=128).save(here / "drawn-grid.heic", quality=60, tile_size=64)
plain = (here / "drawn.heic").read_bytes()
for turns in (1, 2, 3):
    (here / f"drawn-irot{turns}.heic").write_bytes(transformed(plain, (b"irot", turns)))
for mode in (0, 1):
    (here / f"drawn-imir{mode}.heic").write_bytes(transformed(plain, (b"imir", mode)))
(here / "drawn-irot1-imir0.heic").write_bytes(transformed(plain, (b"irot", 1), (b"imir", 0)))
