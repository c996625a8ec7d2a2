"""The kinds of HEIC and AVIF files."""
import io
import itertools
import random
import re
import struct

import cv2
import numpy as np
import pillow_heif
from PIL import Image

from draw import choose_size, draw, exif_body, kind, listed, picture, save, xmp_packet


def box(name, *parts, version=None, flags=0):
    body = b"".join(parts)
    if version is not None:
        body = struct.pack(">I", version << 24 | flags) + body
    return struct.pack(">I", len(body) + 8) + name + body


def boxes(data):
    """Yields the name and the bytes of each box, with its header."""
    while data:
        length = struct.unpack(">I", data[:4])[0]
        yield data[4:8], data[:length]
        data = data[length:]


def coded_picture(data):
    """Returns the decoder's configuration (hvcC or av1C) and the coded data of a file with one item."""
    meta = dict(boxes(dict(boxes(data))[b"meta"][12:]))
    properties = dict(boxes(dict(boxes(meta[b"iprp"][8:]))[b"ipco"][8:]))
    iloc = meta[b"iloc"]
    base_size = iloc[13] >> 4  # offsets and lengths have 4 bytes
    base = int.from_bytes(iloc[20:20 + base_size], "big")
    offset, length = struct.unpack(">II", iloc[22 + base_size:30 + base_size])
    return properties.get(b"hvcC") or properties[b"av1C"], data[base + offset:base + offset + length]


def heif_file(brand, items, references):
    """Joins items (type, data, properties, hidden), numbered from 1, of which the first is the primary one."""
    properties = sorted({p for item in items for p in item[2]})
    infe = b"".join(box(b"infe", struct.pack(">HH", id, 0), type, b"\0", version=2, flags=hidden)
                    for id, (type, _, _, hidden) in enumerate(items, 1))
    ipma = b"".join(struct.pack(">HB", id, len(own)) + bytes(properties.index(p) + 1 | essential(p) for p in own)
                    for id, (_, _, own, _) in enumerate(items, 1))
    iref = b"".join(box(name, struct.pack(f">HH{len(to)}H", of, len(to), *to)) for name, of, to in references)

    def meta(start):
        extents = b""
        for id, (_, data, _, _) in enumerate(items, 1):
            extents += struct.pack(">HHHII", id, 0, 1, start, len(data))
            start += len(data)
        return box(b"meta", box(b"hdlr", bytes(4), b"pict", bytes(13), version=0),
                   box(b"pitm", b"\0\1", version=0),
                   box(b"iloc", b"\x44\0", struct.pack(">H", len(items)), extents, version=0),
                   box(b"iinf", struct.pack(">H", len(items)), infe, version=0),
                   *([box(b"iref", iref, version=0)] if iref else []),
                   box(b"iprp", box(b"ipco", *properties),
                       box(b"ipma", struct.pack(">I", len(items)), ipma, version=0)),
                   version=0)
    head = box(b"ftyp", brand, bytes(4), b"mif1miaf", brand)
    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b"mdat", *(item[1] for item in items))


def essential(property):
    """Returns the bit that says that readers must know the property: those of decoding and turning."""
    return 0x80 if property[4:8] in (b"hvcC", b"av1C", b"irot", b"imir", b"clap") else 0


def picture_size(width, height):
    return box(b"ispe", struct.pack(">II", width, height), version=0)


def colour_box(r):
    """Returns a colour box with a random matrix and range, and what it says."""
    matrix, full = r.choice((0, 1, 1, 2, 5, 6, 6, 8, 9)), r.randrange(2)
    primaries = r.choice((1, 2, 9, 12))
    body = struct.pack(">HHHB", primaries, r.choice((2, 13, 16)), matrix, full << 7)
    what = f"primaries {primaries}, matrix {matrix}, {'full' if full else 'limited'} range"
    return box(b"colr", b"nclx", body), what


def turning(r, size, clap):
    """Returns a random order of properties that turn, mirror and crop, and their names."""
    made = [(box(b"irot", bytes([angle := r.randint(0, 3)])), f"irot {angle}"),
            (box(b"imir", bytes([axis := r.randint(0, 1)])), f"imir {axis}")]
    if clap:
        width, height = size[0] - 2 * r.randint(0, 8), size[1] - 2 * r.randint(0, 8)
        cropping = struct.pack(">IIIIiIiI", width, 1, height, 1, r.randint(-2, 2), 2, 0, 1)
        made.append((box(b"clap", cropping), f"clap {width} x {height}"))
    chosen = r.sample(made, r.randint(1, len(made)))
    return [p for p, _ in chosen], ", ".join(says for _, says in chosen)


def encode_coded(r, image, avif):
    """Encodes a picture as HEVC or AV1. Returns its configuration and its data."""
    if avif:
        return coded_picture(save(image, "AVIF", quality=70, speed=8, max_threads=1))
    return coded_picture(save(image, "HEIF", quality=70, chroma=r.choice(("420", "444"))))


def grid_file(r, mode, avif, columns, rows, side=64):
    """Makes a grid of tiles; the alpha of RGBA is a grid as well."""
    name, brand = (b"av01", b"avif") if avif else (b"hvc1", b"heic")
    size = columns * side - r.choice((0, 10, 34)), rows * side - r.choice((0, 6, 22))
    whole = picture(r, mode, (columns * side, rows * side))
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size)
    planes = [whole.convert("RGB")] + ([whole.getchannel("A")] if mode == "RGBA" else [])
    tile_properties, items, references = picture_size(side, side), [], []
    chroma = random.Random(r.random())
    for number, plane in enumerate(planes):
        pixi = box(b"pixi", bytes([3, 8, 8, 8]) if number == 0 else b"\1\x08", version=0)
        aux = [box(b"auxC", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", version=0)] if number else []
        items.append((b"grid", grid, [picture_size(*size), pixi] + aux, 0))
        tiles = []
        seed = chroma.random()
        for y, x in itertools.product(range(rows), range(columns)):
            part = plane.crop((x * side, y * side, x * side + side, y * side + side))
            configuration, data = encode_coded(random.Random(seed), part, avif)
            tiles.append((name, data, [configuration, tile_properties, pixi] + aux, 1))
        first = len(items) + 1
        items += tiles
        references.append((b"dimg", first - 1, list(range(first, first + len(tiles)))))
        if number:
            references.append((b"auxl", first - 1, [1]))
    return heif_file(brand, items, references), f"{mode}, {columns} x {rows} tiles, {size[0]} x {size[1]}"


@kind("heic-tiles", "heic", 3)
def _(r, n):
    return grid_file(r, "RGBA" if n else "RGB", False, r.randint(1, 2), 2)


@kind("avif-tiles", "avif", 4)
def _(r, n):
    return grid_file(r, "RGBA" if n % 2 else "RGB", True, r.randint(1, 2), 2)


def coloured_file(r, avif):
    """Makes a picture with a colour box of any content."""
    size, mode, (colour, what) = (64, 64), r.choice(("RGB", "RGB", "L")), colour_box(r)
    configuration, data = encode_coded(r, picture(r, mode, size), avif)
    pixi = box(b"pixi", bytes([3, 8, 8, 8]) if mode == "RGB" else b"\1\x08", version=0)
    item = (b"av01" if avif else b"hvc1", data, [configuration, picture_size(*size), pixi, colour], 0)
    return heif_file(b"avif" if avif else b"heic", [item], []), f"{mode}, {what}"


@kind("heic-colours", "heic", 8)
def _(r, n):
    return coloured_file(r, False)


@kind("avif-colours", "avif", 14)
def _(r, n):
    return coloured_file(r, True)


def phone_file(r, avif):
    """Makes a picture with what phones store beside it: a thumbnail, a map, EXIF and XMP."""
    name, size, orientation = b"av01" if avif else b"hvc1", (64, 64), r.randint(2, 8)
    aux = r.choice((b"urn:com:apple:photo:2020:aux:hdrgainmap", b"urn:mpeg:hevc:2015:auxid:2"))
    items, parts = [], (("RGB", size, [], 0), ("RGB", (64, 64), [], 0),
                        ("L", (64, 64), [box(b"auxC", aux + b"\0", version=0)], 1))
    for mode, side, more, hidden in parts:
        configuration, data = encode_coded(r, picture(r, mode, side), avif)
        pixi = box(b"pixi", bytes([3, 8, 8, 8]) if mode == "RGB" else b"\1\x08", version=0)
        items.append((name, data, [configuration, picture_size(*side), pixi] + more, hidden))
    items.append((b"Exif", bytes(4) + exif_body(orientation), [], 1))
    return heif_file(b"avif" if avif else b"heic", items, [(b"thmb", 2, [1]), (b"auxl", 3, [1]), (b"cdsc", 4, [1])]), (
        f"thumbnail, {aux.decode()}, EXIF with orientation {orientation}")


@kind("heic-phone", "heic", 4)
def _(r, n):
    return phone_file(r, False)


@kind("avif-phone", "avif", 4)
def _(r, n):
    return phone_file(r, True)


@kind("heic-transforms", "heic", 8)
def _(r, n):
    size = 64, 64  # which x265 codes without padding
    configuration, data = encode_coded(r, picture(r, "RGB", size), False)
    properties, what = turning(r, size, True)
    pixi = box(b"pixi", bytes([3, 8, 8, 8]), version=0)
    return heif_file(b"heic", [(b"hvc1", data, [configuration, picture_size(*size), pixi] + properties, 0)], []), what


@kind("avif-transforms", "avif", 8)
def _(r, n):
    size = choose_size(r)
    configuration, data = encode_coded(r, picture(r, "RGB", size), True)
    properties, what = turning(r, size, False)
    pixi = box(b"pixi", bytes([3, 8, 8, 8]), version=0)
    return heif_file(b"avif", [(b"av01", data, [configuration, picture_size(*size), pixi] + properties, 0)], []), what


@kind("heic", "heic", 34)
def _(r, n):
    modes = ["RGB", "RGB", "RGB", "L", "RGBA", "RGB"]
    mode, chroma = modes[n % 6], ("420", "422", "444", "420", "420", "444")[n % 6]
    size = r.choice(((64, 48), (33, 21), (48, 64), (40, 30), (17, 16)))
    options = dict(quality=r.choice((30, 60, 90, -1)), chroma=chroma)
    image = picture(r, mode, size)
    if n >= 26:
        exif = Image.Exif()
        exif[0x112] = n - 25
        return save(image, "HEIF", exif=exif, **options), f"{mode}, {listed(options)}, orientation {n - 25}"
    if n >= 12:
        deep = ("RGB;16", "RGBA;16", "I;16")[n % 3]
        channels = {"RGB;16": 3, "RGBA;16": 4, "I;16": 1}[deep]
        samples = draw(r, size, channels).astype(np.uint16) * 257
        heif = pillow_heif.from_bytes(deep, size, samples.tobytes())
        out, twelve = io.BytesIO(), n % 2 == 1
        pillow_heif.options.SAVE_HDR_TO_12_BIT = twelve
        heif.save(out, **options)
        return out.getvalue(), f"{deep}, {12 if twelve else 10} bits, {listed(options)}"
    return save(image, "HEIF", **options), f"{mode}, {listed(options)}"


@kind("heic-cut", "heic", 6)
def _(r, n):
    data = save(picture(r, "RGB", (48, 40)), "HEIF", quality=60)
    at = r.randint(12, len(data) - 1)
    return data[:at], f"cut after {at} of {len(data)} bytes"


@kind("heic-grid", "heic", 2)
def _(r, n):
    mode = ("RGB", "L")[n % 2]
    pillow_heif.options.GRID_TILE_SIZE = 64
    try:
        image = picture(r, mode, (r.randint(70, 120), r.randint(70, 120)))
        return save(image, "HEIF", quality=60), f"{mode}, tiles of 64 x 64 by pillow-heif"
    finally:
        pillow_heif.options.GRID_TILE_SIZE = 0


def without_dates(data):
    """Returns a sequence with all times of creation and modification 0."""
    data = bytearray(data)
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        for found in re.finditer(box, data):
            at = found.end()  # version and flags, then two times of 4 or 8 bytes
            data[at + 4:at + 4 + (16 if data[at] else 8)] = bytes(16 if data[at] else 8)
    return bytes(data)


@kind("avif", "avif", 30)
def _(r, n):
    mode = ("RGB", "RGB", "RGB", "L", "RGBA")[n % 5]
    subsampling = ("4:2:0", "4:2:2", "4:4:4", "4:0:0", "4:2:0")[n % 5]
    options = dict(quality=r.choice((30, 60, 90)), subsampling=subsampling, range=r.choice(("full", "limited")))
    options.update(speed=8, max_threads=1, alpha_premultiplied=mode == "RGBA" and r.random() < 0.4)
    image = picture(r, mode, choose_size(r))
    if n >= 26:
        images = [picture(r, mode, image.size) for _ in range(2)]
        data = save(image, "AVIF", save_all=True, append_images=images, **options)
        return without_dates(data), f"{mode}, a sequence, {listed(options)}"
    if n >= 20:
        depth, samples = r.choice((10, 12)), draw(r, image.size).astype(np.uint16)
        flags = [cv2.IMWRITE_AVIF_QUALITY, options["quality"], cv2.IMWRITE_AVIF_DEPTH, depth,
                 cv2.IMWRITE_AVIF_SPEED, 8]
        done, data = cv2.imencode(".avif", samples << depth - 8 | samples >> 16 - depth, flags)
        return data.tobytes(), f"{depth} bits, quality {options['quality']}"
    return save(image, "AVIF", **options), f"{mode}, {listed(options)}"


@kind("avif-cut", "avif", 6)
def _(r, n):
    data = save(picture(r, "RGB", (48, 40)), "AVIF", quality=60, speed=8, max_threads=1)
    at = r.randint(12, len(data) - 1)
    return data[:at], f"cut after {at} of {len(data)} bytes"


@kind("avif-orientation", "avif", 16)
def _(r, n):
    image, orientation = picture(r, "RGB", (r.randint(4, 30), r.randint(4, 30))), n % 8 + 1
    options = dict(quality=60, speed=8, max_threads=1)
    if n >= 12:
        packet = xmp_packet(orientation, r.choice(("attribute", "element")))
        return save(image, "AVIF", xmp=packet, **options), f"orientation {orientation} in XMP"
    exif = Image.Exif()
    exif[0x112] = orientation
    return save(image, "AVIF", exif=exif, **options), f"orientation {orientation} in the container"
