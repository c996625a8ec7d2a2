"""The kinds of TIFF files."""
import itertools
import struct
import zlib

import numpy as np

from draw import choose_size, draw, flip_bits, kind, picture, save, xmp_packet
from gif import lzw


def tiff_file(order, directories, magic=42):
    """Joins directories: lists of (tag, type, values), strips or tiles as (tag of the offsets, "data", [bytes])."""
    out = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", magic, 0))
    link = 4
    for directory in directories:
        entries = []
        for tag, type, values in directory:
            if type == "data":
                offsets = []
                for data in values:
                    offsets.append(len(out))
                    out += data + bytes(len(data) % 2)
                entries += [(tag, 4, offsets), ({273: 279, 324: 325}[tag], 4, [len(data) for data in values])]
            else:
                entries.append((tag, type, values))
        packed = []
        for tag, type, values in sorted(entries):
            count = len(values)
            code = {1: "B", 2: "B", 3: "H", 4: "I", 7: "B", 8: "h"}[type]
            value = struct.pack(f"{order}{count}{code}", *values)
            if len(value) > 4:
                at = len(out)
                out += value + bytes(len(value) % 2)
                value = struct.pack(order + "I", at)
            packed.append(struct.pack(order + "HHI", tag, type, count) + value.ljust(4, b"\0"))
        out[link:link + 4] = struct.pack(order + "I", len(out))
        out += struct.pack(order + "H", len(packed)) + b"".join(packed)
        link = len(out)
        out += bytes(4)
    return bytes(out)


def pack_bits(r, data):
    """Compresses with PackBits, by runs and literal runs."""
    out, i = b"", 0
    while i < len(data):
        run = 1
        while i + run < len(data) and data[i + run] == data[i] and run < 128:
            run += 1
        if run > 1:
            out, i = out + bytes([257 - run, data[i]]), i + run
        else:
            length = min(r.randint(1, 100), len(data) - i)
            out, i = out + bytes([length - 1]) + data[i:i + length], i + length
        if r.random() < 0.02:
            out += b"\x80"
    return out


COMPRESSIONS = {1: "none", 5: "LZW", 8: "Deflate", 32946: "old Deflate", 32773: "PackBits"}


def compress_tiff(r, data, compression, row):
    """Compresses a strip or a tile, whose rows have row bytes."""
    if compression == 5:
        return lzw(data, 8, tiff=True)
    if compression == 32773:
        return b"".join(pack_bits(r, data[i:i + row]) for i in range(0, len(data), row))
    return data if compression == 1 else zlib.compress(data)


def tiff_rows(samples, bits, order):
    """Packs samples [height, width, channels] into rows of whole bytes."""
    flat = samples.reshape(samples.shape[0], -1)
    if bits == 16:
        return [row.astype(order + "u2").tobytes() for row in flat]
    if bits == 8:
        return [row.astype(np.uint8).tobytes() for row in flat]
    rows = ("".join(f"{v:0{bits}b}" for v in row) for row in flat.tolist())
    return [int(row.ljust(-(-len(row) // 8) * 8, "0"), 2).to_bytes(-(-len(row) // 8), "big") for row in rows]


def predict(samples):
    """Returns the differences of neighbours in a row (predictor 2)."""
    out = samples.copy()
    out[:, 1:] -= samples[:, :-1]
    return out


def tiff_directory(r, samples, bits, photometric, compression=1, order="<", planar=1, tile=None, predictor=1,
                   rows=None, extra=(), palette=None, fill=1):
    """Returns the directory of samples [height, width, channels]."""
    height, width, channels = samples.shape
    parts = []
    top = (1 << bits) - 1
    for plane in [samples] if planar == 1 else [samples[:, :, c:c + 1] for c in range(channels)]:
        rows = rows or r.choice((height, max(1, height // 3), 1))
        down, across = (tile[1], tile[0]) if tile else (rows, width)
        for y, x in itertools.product(range(0, height, down), range(0, width, across)):
            part = plane[y:y + down, x:x + across]
            if tile:
                part = np.pad(part, ((0, down - part.shape[0]), (0, across - part.shape[1]), (0, 0)), "edge")
            if predictor == 2:
                part = predict(part.astype(int)) & top
            packed = tiff_rows(part, bits, order)
            data = b"".join(packed)
            if fill == 2:
                data = bytes(int(f"{v:08b}"[::-1], 2) for v in data)
            parts.append(compress_tiff(r, data, compression, len(packed[0])))
    directory = [(256, 4, [width]), (257, 4, [height]), (258, 3, [bits] * channels), (259, 3, [compression]),
                 (262, 3, [photometric]), (277, 3, [channels]), (284, 3, [planar])]
    if tile:
        directory += [(322, 4, [tile[0]]), (323, 4, [tile[1]]), (324, "data", parts)]
    else:
        directory += [(278, 4, [rows]), (273, "data", parts)]
    if predictor != 1:
        directory.append((317, 3, [predictor]))
    if fill != 1:
        directory.append((266, 3, [fill]))
    if extra:
        directory.append((338, 3, list(extra)))
    if palette is not None:
        directory.append((320, 3, palette))
    return directory


# Description, channels, bits and photometric interpretation.
TIFF_KINDS = [
    ("black is 0, 1 bit", 1, 1, 1), ("white is 0, 1 bit", 1, 1, 0), ("grey, 2 bits", 1, 2, 1),
    ("grey, 4 bits", 1, 4, 1),
    ("grey, 8 bits", 1, 8, 1), ("white is 0, 8 bits", 1, 8, 0), ("grey, 16 bits", 1, 16, 1),
    ("palette, 4 bits", 1, 4, 3), ("palette, 8 bits", 1, 8, 3), ("RGB, 8 bits", 3, 8, 2), ("RGB, 16 bits", 3, 16, 2),
    ("CMYK, 8 bits", 4, 8, 5), ("RGB and alpha", 4, 8, 2), ("grey and alpha", 2, 8, 1),
    ("white is 0, 4 bits", 1, 4, 0), ("palette, 1 bit", 1, 1, 3)]


def tiff_samples(r, n, size=None):
    """Draws samples of kind number n. Returns them and the arguments for tiff_directory."""
    what, channels, bits, photometric = TIFF_KINDS[n % len(TIFF_KINDS)]
    samples = draw(r, size or choose_size(r, 40), channels).astype(int)
    samples = samples * 257 if bits == 16 else samples >> 8 - bits
    palette = [r.randrange(65536) for _ in range(3 << bits)] if photometric == 3 else None
    extra = {"RGB and alpha": (r.choice((0, 1, 2)),), "grey and alpha": (2,)}.get(what, ())
    return what, samples, dict(bits=bits, photometric=photometric, palette=palette, extra=extra)


@kind("tiff-strips", "tif", 80)
def _(r, n):
    compression, order = list(COMPRESSIONS)[n // 16], r.choice("<>")
    what, samples, options = tiff_samples(r, n)
    options.update(compression=compression, order=order)
    if compression in (5, 8) and options["bits"] >= 8 and r.random() < 0.5:
        options["predictor"] = 2
    data = tiff_file(order, [tiff_directory(r, samples, **options)])
    return data, (f"{what}, {COMPRESSIONS[compression]}, predictor {options.get('predictor', 1)}, "
                  f"{'II' if order == '<' else 'MM'}, extra samples {options['extra']}")


@kind("tiff-tiles", "tif", 20)
def _(r, n):
    compression, order = r.choice(list(COMPRESSIONS)), r.choice("<>")
    size = r.randint(10, 60), r.randint(10, 50)
    what, samples, options = tiff_samples(r, (4, 6, 8, 9, 10, 11, 12, 0)[n % 8], size)
    tile = r.choice(((16, 16), (32, 16), (16, 48)))
    if compression in (5, 8) and options["bits"] >= 8 and r.random() < 0.5:
        options["predictor"] = 2
    data = tiff_file(order, [tiff_directory(r, samples, compression=compression, order=order, tile=tile, **options)])
    return data, (f"{what}, {COMPRESSIONS[compression]}, predictor {options.get('predictor', 1)}, tiles {tile}, "
                  f"extra samples {options['extra']}")


@kind("tiff-planar", "tif", 16)
def _(r, n):
    compression, order = list(COMPRESSIONS)[n % 5], r.choice("<>")
    what, samples, options = tiff_samples(r, (9, 10, 11, 12)[n % 4])
    if options["bits"] == 16 and compression == 1:
        compression = 5  # Pillow takes the bytes of uncompressed 16-bit planes for samples; garb refuses them
    tile = (16, 16) if r.random() < 0.3 else None
    options.update(compression=compression, order=order, planar=2, tile=tile)
    what = f"{what}, {COMPRESSIONS[compression]}, planes apart, {'tiles' if tile else 'strips'}"
    return tiff_file(order, [tiff_directory(r, samples, **options)]), f"{what}, extra samples {options['extra']}"


@kind("tiff-pillow", "tif", 16)
def _(r, n):
    """Files by Pillow. It also reads CMYK in JPEG compression and CCITT's modified Huffman, which garb refuses."""
    compressions = ["jpeg", "jpeg", "group4", "group3", "tiff_lzw", "tiff_adobe_deflate", "packbits", None]
    compression = compressions[n % 8]
    mode = r.choice(("RGB", "RGBA", "LA", "P", "I;16", "L", "1"))
    if compression == "jpeg":
        mode = ("RGB", "L")[n % 2]
    elif compression in ("group4", "group3"):
        mode = "1"
    data = save(picture(r, mode), "TIFF", compression=compression)
    return data, f"{mode}, {compression}, by Pillow"


@kind("tiff-orientation", "tif", 20)
def _(r, n):
    order, orientation = r.choice("<>"), n % 8 + 1
    what, samples, options = tiff_samples(r, r.choice((4, 8, 9)), (r.randint(3, 24), r.randint(3, 24)))
    directory = tiff_directory(r, samples, order=order, compression=r.choice(list(COMPRESSIONS)), **options)
    if n >= 16:
        directory.append((700, 1, xmp_packet(orientation + 1, r.choice(("attribute", "element")))))
        return tiff_file(order, [directory]), f"{what}, orientation {orientation + 1} in XMP"
    directory.append((274, (3, 4)[n // 8], [orientation]))
    return tiff_file(order, [directory]), f"{what}, orientation {orientation} {('SHORT', 'LONG')[n // 8]}"


@kind("tiff-pages", "tif", 6)
def _(r, n):
    order, directories = r.choice("<>"), []
    for _ in range(r.randint(2, 3)):
        _, samples, options = tiff_samples(r, r.choice((4, 8, 9)))
        directories.append(tiff_directory(r, samples, order=order, compression=r.choice((1, 5, 8)), **options))
    data = tiff_file(order, directories)
    if n == 5:
        return data[:-r.randint(1, 100)], f"{len(directories)} pages, cut in the last"
    return data, f"{len(directories)} pages"


@kind("tiff-odd", "tif", 24)
def _(r, n):
    order = r.choice("<>")
    compression = r.choice((1, 5, 8, 32773))
    what, samples, options = tiff_samples(r, 9, (r.randint(9, 30), r.randint(9, 30)))
    directory = tiff_directory(r, samples, order=order, compression=compression, **options)
    what = f"{what}, {COMPRESSIONS[compression]}"

    def changed(tag, type, values):
        return [entry for entry in directory if entry[0] != tag] + ([(tag, type, values)] if values else [])
    data = tiff_file(order, [directory])
    strips = next(entry[2] for entry in directory if entry[0] == 273)
    _, grey, grey_options = tiff_samples(r, 4)
    match n % 12:
        case 0:
            return data[:r.randint(8, len(data) - 1)], what + ", cut"
        case 1:
            half = [strip[:len(strip) // 2] for strip in strips]
            return tiff_file(order, [changed(273, "data", half)]), what + ", strips of half their length"
        case 2:
            return tiff_file(order, [changed(278, 4, None)]), what + ", no RowsPerStrip"
        case 3:
            return tiff_file(order, [changed(284, 3, None)]), what + ", no PlanarConfiguration"
        case 4:
            return tiff_file(order, [changed(277, 3, None)]), what + ", no SamplesPerPixel"
        case 5:
            return tiff_file(order, [changed(258, 3, [8])]), what + ", one BitsPerSample for three"
        case 6:
            return tiff_file(order, [directory], magic=44), what + ", 44 instead of 42"
        case 7:
            damaged = [flip_bits(r, strip, 0, len(strip), 1) for strip in strips]
            return tiff_file(order, [changed(273, "data", damaged)]), what + ", a bit of each strip flipped"
        case 8:
            fill = tiff_directory(r, grey, order=order, fill=2, compression=r.choice((1, 32773)), **grey_options)
            return tiff_file(order, [fill]), "grey, fill order 2"
        case 9:
            return tiff_file(order, [changed(262, 3, None)]), what + ", no PhotometricInterpretation"
        case 10:
            number = r.choice((99, 34925, 50000))
            return tiff_file(order, [changed(259, 3, [number])]), f"{what}, but the number of compression {number}"
    return tiff_file(order, [directory + [(339, 3, [r.choice((1, 2, 3))] * 3)]]), what + ", SampleFormat"
