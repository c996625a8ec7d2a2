"""Makes the HEIC files of this folder and expected.json, which says for each file of this folder and each
HEIC file of the folder above what pillow-heif reads: the sides, and the SHA-256 of the RGB bytes over white.

    pip install pillow==13.0.0 pillow-heif==1.8.1 numpy && python make.py
"""
import hashlib
import io
import json
import pathlib
import struct

import numpy
import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()
here = pathlib.Path(__file__).parent
noise = numpy.random.default_rng(20)


def drawing(width, height, channels=3):
    """A smooth picture with a rectangle of sharp edges."""
    coarse = noise.integers(0, 256, (height // 16 + 2, width // 16 + 2, channels)).astype(numpy.uint8)
    pixels = numpy.array(Image.fromarray(coarse).resize((width, height), Image.BICUBIC))
    pixels[height // 3 : height // 2, width // 4 : width // 2] = [250, 10, 30, 90][:channels]
    return Image.fromarray(pixels)


def box(kind, body):
    return struct.pack(">I4s", 8 + len(body), kind) + body


def boxes(data):
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + size]
        at += size


def encode(image, **options):
    """Returns what libheif writes: for each item, the picture first, its properties and its bytes."""
    file = io.BytesIO()
    image.save(file, format="HEIF", quality=80, **options)
    return parse(file.getvalue())


def parse(data):
    meta = dict(boxes(dict(boxes(data))[b"meta"][4:]))
    (_, container), (_, associations) = boxes(meta[b"iprp"])
    container = list(boxes(container))
    locations, at, places = meta[b"iloc"], 8, {}
    for _ in range(struct.unpack_from(">H", locations, 6)[0]):
        item, _, base, count = struct.unpack_from(">HHIH", locations, at)
        at += 10
        extents = [struct.unpack_from(">II", locations, at + 8 * i) for i in range(count)]
        at += 8 * count
        places[item] = b"".join(data[base + offset :][:length] for offset, length in extents)
    at, items = 8, []
    for _ in range(struct.unpack_from(">I", associations, 4)[0]):
        item, count = struct.unpack_from(">HB", associations, at)
        properties = [container[(i & 127) - 1] for i in associations[at + 3 :][:count]]
        at += 3 + count
        items.append(([p for p in properties if p[0] in (b"hvcC", b"ispe", b"colr")], places.get(item, b"")))
    return items


def build(items, references=(), primary=1):
    """Writes a file of items (kind, properties, bytes), which are numbered from 1."""
    properties, associations = [], b""
    for i, (_, of, _) in enumerate(items):
        properties += [p for p in of if p not in properties]
        associations += struct.pack(">HB", i + 1, len(of)) + bytes(properties.index(p) + 1 for p in of)
    infos = b"".join(
        box(b"infe", b"\2\0\0" + bytes([i + 1 != primary]) + struct.pack(">HH", i + 1, 0) + kind + b"\0")
        for i, (kind, _, _) in enumerate(items)
    )
    links = b"".join(
        box(kind, struct.pack(f">HH{len(to)}H", of, len(to), *to)) for kind, of, to in references
    )

    def meta(start):
        locations = struct.pack(">IHH", 0, 0x4400, len(items))
        for i, (_, _, data) in enumerate(items):
            locations += struct.pack(">HHHII", i + 1, 0, 1, start, len(data))
            start += len(data)
        body = box(b"hdlr", bytes(8) + b"pict" + bytes(13)) + box(b"pitm", struct.pack(">IH", 0, primary))
        body += box(b"iinf", struct.pack(">IH", 0, len(items)) + infos) + box(b"iref", bytes(4) + links)
        body += box(b"iprp", box(b"ipco", b"".join(box(*p) for p in properties))
                    + box(b"ipma", struct.pack(">II", 0, len(items)) + associations))
        return box(b"meta", bytes(4) + body + box(b"iloc", locations))

    head = box(b"ftyp", b"heic\0\0\0\0mif1heic")
    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", b"".join(data for _, _, data in items))


def size(width, height):
    return b"ispe", struct.pack(">III", 0, width, height)


def turn(quarters):
    return b"irot", bytes([quarters])


def mirror(axis):
    return b"imir", bytes([axis])


def aperture(width, height, x, y):
    """x and y are twice the offsets of the centre."""
    return b"clap", struct.pack(">8i", width, 1, height, 1, x, 2, y, 2)


def colours(matrix, full):
    return b"colr", b"nclx" + struct.pack(">HHHB", 1, 13, matrix, 0x80 * full)


def auxiliary(name):
    return b"auxC", bytes(4) + name + b"\0"


alpha = auxiliary(b"urn:mpeg:hevc:2015:auxid:1")


def write(name, data):
    (here / (name + ".heic")).write_bytes(data)


def make_single():
    for chroma in (420, 422, 444):
        drawing(67, 41).save(here / f"{chroma}.heic", quality=80, chroma=chroma)
        drawing(48, 32).save(here / f"{chroma}-limited.heic", quality=80, chroma=chroma, full_range_flag=0, matrix_coefficients=1)
        (properties, data), = encode(drawing(48, 32), chroma=chroma)
        bare = [p for p in properties if p[0] != b"colr"]
        write(f"{chroma}-turned", build([(b"hvc1", properties + [turn(1), mirror(0)], data)]))
        write(f"{chroma}-mirrored", build([(b"hvc1", properties + [mirror(1), turn(3)], data)]))
        write(f"{chroma}-cropped", build([(b"hvc1", properties + [aperture(31, 21, 3, -2)], data)]))
        write(f"{chroma}-cropped-outside", build([(b"hvc1", properties + [aperture(40, 30, 20, -9), turn(2)], data)]))
        write(f"{chroma}-2020", build([(b"hvc1", bare + [colours(9, True)], data)]))
        write(f"{chroma}-identity", build([(b"hvc1", bare + [colours(0, True)], data)]))
        for mode, bits in (("RGB;10", 10), ("RGB;12", 12), ("RGBA;10", 10)):
            samples = numpy.array(drawing(48, 32, 4 if "A" in mode else 3)).astype(numpy.uint16) << (bits - 8)
            samples += noise.integers(0, 1 << (bits - 8), samples.shape).astype(numpy.uint16)
            picture = pillow_heif.from_bytes(mode, (48, 32), samples.tobytes())
            picture.save(here / f"{chroma}-{mode.replace(';', '')}.heic", quality=80, chroma=chroma)
    drawing(48, 32).convert("L").save(here / "grey.heic", quality=80)
    drawing(48, 32).convert("LA").save(here / "grey-alpha.heic", quality=80)


def make_derived():
    for chroma in (420, 422, 444):
        tiles = [encode(drawing(64, 64, 4), chroma=chroma) for _ in range(4)]
        plain = [(b"hvc1", t[0][0], t[0][1]) for t in tiles]
        planes = [(b"hvc1", t[1][0], t[1][1]) for t in tiles]
        grid = struct.pack(">BBBBHH", 0, 0, 1, 1, 107, 85)
        whole = (b"grid", [size(107, 85)], grid)
        of = (b"dimg", 1, [2, 3, 4, 5])
        write(f"grid-{chroma}", build([whole] + plain, [of]))
        write(f"grid-{chroma}-turned", build([(b"grid", [size(107, 85), turn(1)], grid)] + plain, [of]))
        both = [whole] + plain + [(b"grid", [size(107, 85), alpha], grid)] + planes
        write(f"grid-{chroma}-alpha", build(both, [of, (b"dimg", 6, [7, 8, 9, 10]), (b"auxl", 6, [1])]))
    properties, data = tiles[0][0]
    for name in ("urn:com:apple:photo:2020:aux:hdrgainmap", "urn:mpeg:hevc:2015:auxid:2"):
        map_ = (b"hvc1", planes[0][1] + [auxiliary(name.encode())], planes[0][2])
        write("ignored-" + name.split(":")[-1], build([plain[0], map_], [(b"auxl", 2, [1])]))
    write("identity-item", build([(b"iden", [size(64, 64), turn(1)], b""), plain[0]], [(b"dimg", 1, [2])]))
    small, = encode(drawing(32, 16).convert("L"))
    write("alpha-smaller", build([plain[0], (b"hvc1", small[0] + [alpha], small[1])], [(b"auxl", 2, [1])]))
    write("second-is-primary", build(plain[:2], primary=2))


def deep(mode, bits, width=48, height=32, **options):
    """Returns what encode returns, for samples of more than 8 bits in grey (L, LA) or colour (RGB, RGBA)."""
    samples = numpy.array(drawing(width, height, 4)).astype(numpy.uint16) << (bits - 8)
    samples += noise.integers(0, 1 << (bits - 8), samples.shape).astype(numpy.uint16)
    channels = {"L": [0], "LA": [0, 3], "RGB": [0, 1, 2], "RGBA": [0, 1, 2, 3]}[mode]
    picture = pillow_heif.from_bytes(f"{mode};{bits}", (width, height), samples[..., channels].tobytes())
    file = io.BytesIO()
    picture.save(file, quality=80, **options)
    return parse(file.getvalue())


def coded(encoded, *more):
    return b"hvc1", encoded[0] + list(more), encoded[1]


def overlay(width, height, offsets, field="h"):
    head = struct.pack(">BB4H", 0, field == "i", 0xFFFF, 0x8000, 0x1234, 0)
    return head + struct.pack(">2" + field.upper(), width, height) + b"".join(struct.pack(">2" + field, *o) for o in offsets)


def write_overlay(name, layers, offsets, more=(), **options):
    """Layers are lists of a coded picture and, for some, its alpha plane."""
    items, links = [(b"iovl", [size(64, 50), *more], overlay(64, 50, offsets, **options))], []
    for layer in layers:
        items.append(coded(layer[0]))
        links.append(len(items))
    references = [(b"dimg", 1, links)]
    for layer, link in zip(layers, links):
        if len(layer) > 1:
            items.append(coded(layer[1], alpha))
            references.append((b"auxl", len(items), [link]))
    write(name, build(items, references))


def make_overlays():
    for bits in (8, 10, 12):
        for mode in ("RGBA", "LA"):
            first = encode(drawing(48, 32, 4).convert(mode)) if bits == 8 else deep(mode, bits)
            second = encode(drawing(31, 21, 3)) if bits == 8 else deep("RGB", bits, 31, 21, chroma=422)
            name = f"overlay-{mode}{bits}"
            write_overlay(name, [second, first], [(20, 20), (3, -5)])
    small, large = encode(drawing(31, 21, 4), chroma=444), deep("RGB", 10)
    write_overlay("overlay-depths", [large, small], [(0, 0), (-20, 20)], field="i")
    write_overlay("overlay-depths-refused", [small, large], [(0, 0), (20, 20)])
    write_overlay("overlay-turned", [small, small], [(0, 0), (40, 30)], [turn(1), aperture(31, 41, 3, -2), colours(1, False)])
    tile = coded(encode(drawing(64, 64))[0])
    square = struct.pack(">BBBBHH", 0, 0, 0, 1, 120, 64)
    inner = (b"grid", [size(120, 64)], square)
    write("overlay-of-grid", build([(b"iovl", [size(64, 50)], overlay(64, 50, [(-60, -9)])), inner, tile, tile],
                                   [(b"dimg", 1, [2]), (b"dimg", 2, [3, 4])]))
    canvas = (b"iovl", [size(64, 64)], overlay(64, 64, [(9, 9)]))
    write("grid-of-overlays", build([inner, canvas, canvas, tile], [(b"dimg", 1, [2, 3]), (b"dimg", 2, [4]), (b"dimg", 3, [4])]))
    write("overlay-of-itself", build([(b"iovl", [size(64, 50)], overlay(64, 50, [(0, 0)]))], [(b"dimg", 1, [1])]))


def make_tile_alpha():
    shape = struct.pack(">BBBBHH", 0, 0, 0, 1, 107, 57)

    def of(name, tiles, having=(0, 1), more=()):
        items = [(b"grid", [size(107, 57), *more], shape), coded(tiles[0][0]), coded(tiles[1][0])]
        items += [coded(tiles[i][1], alpha) for i in having]
        write(name, build(items, [(b"dimg", 1, [2, 3])] + [(b"auxl", 4 + n, [2 + i]) for n, i in enumerate(having)]))

    for bits in (8, 10, 12):
        for mode in ("RGBA", "LA"):
            tiles = [encode(drawing(64, 64, 4).convert(mode)) if bits == 8 else deep(mode, bits, 64, 64) for _ in range(2)]
            of(f"tile-alpha-{mode}{bits}", tiles, more=[turn(3)] if mode == "LA" else [])
    smaller = encode(drawing(32, 32).convert("L"))[0]
    tiles = [encode(drawing(64, 64, 4)) for _ in range(2)]
    of("tile-alpha-smaller", [[tiles[0][0], smaller], tiles[1]], more=[aperture(31, 21, 3, -2)])
    of("tile-alpha-of-one-refused", tiles, having=[1])


def make_colours():
    for chroma, bits in ((420, 8), (422, 8), (444, 12)):
        properties, data = deep("RGB", bits, chroma=chroma)[0] if bits > 8 else encode(drawing(48, 32), chroma=chroma)[0]
        bare = [p for p in properties if p[0] != b"colr"]
        for matrix, primaries in ((12, 9), (13, 22), (12, 10)):
            colour = b"colr", b"nclx" + struct.pack(">HHHB", primaries, 13, matrix, 0x80 * (chroma != 444))
            write(f"{chroma}-matrix{matrix}-primaries{primaries}", build([(b"hvc1", bare + [colour], data)]))
    for chroma, bits in ((420, 10), (422, 8), (422, 12)):
        tiles = [deep("RGB", bits, 64, 64, chroma=chroma, full_range_flag=0, matrix_coefficients=9) if bits > 8 else
                 encode(drawing(64, 64), chroma=chroma, full_range_flag=0, matrix_coefficients=9) for _ in range(2)]
        shape = struct.pack(">BBBBHH", 0, 0, 0, 1, 107, 57)
        write(f"grid-{chroma}-limited{bits}-turned",
              build([(b"grid", [size(107, 57), turn(1), colours(1, False)], shape)] + [coded(t[0]) for t in tiles], [(b"dimg", 1, [2, 3])]))


def read(path):
    try:
        image = Image.open(path)
        image.load()
    except (OSError, SyntaxError, ValueError):
        return {"refused": True}
    mode = image.mode
    if mode in ("LA", "RGBA"):
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    digest = hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()
    return {"width": image.width, "height": image.height, "grey": mode[0] == "L", "alpha": mode[-1] == "A", "sha256": digest}


make_single()
make_derived()
make_overlays()
make_tile_alpha()
make_colours()
paths = sorted(here.parent.glob("*.heic")) + sorted(here.glob("*.heic"))
expected = {path.relative_to(here.parent).as_posix(): read(path) for path in paths}
lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(e)}" for name, e in expected.items())
(here / "expected.json").write_text("{\n" + lines + "\n}\n")
