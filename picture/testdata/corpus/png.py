"""The kinds of PNG files."""
import struct
import zlib

import numpy as np

from draw import choose_orientation, choose_size, draw, flip_bits, kind, picture, save


SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(name, body=b"", crc=0):
    """Returns a chunk, whose CRC is wrong if crc is not 0."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body) ^ crc)


def png_header(width, height, depth, colour, interlace=0, compression=0, filtering=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, compression, filtering, interlace))


def filter_row(kind, row, above, step):
    out = bytearray([kind])
    for i, value in enumerate(row):
        left, up = row[i - step] if i >= step else 0, above[i]
        corner = above[i - step] if i >= step else 0
        paeth = min((left, up, corner), key=lambda p: abs(left + up - corner - p))
        out.append(value - (0, left, up, (left + up) // 2, paeth)[kind] & 255)
    return bytes(out)


def png_rows(r, samples, depth, interlace=0):
    """Packs and filters samples [height, width, channels], each row with a random filter."""
    height, width, channels = samples.shape
    out = b""
    for left, top, across, down in ADAM7 if interlace else ((0, 0, 1, 1),):
        part = samples[top::down, left::across]
        if part.size == 0:
            continue
        above = None
        for values in part.reshape(part.shape[0], -1):
            if depth == 16:
                row = values.astype(">u2").tobytes()
            else:
                bits = "".join(f"{v:0{depth}b}" for v in values.tolist())
                row = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
            out += filter_row(r.randrange(5), row, above or bytes(len(row)), max(1, channels * depth // 8))
            above = row
    return out


def png_parts(r, depth=8, colour=2, interlace=0, size=None, entries=None):
    """Draws the samples of a PNG. Returns its header, its palette and its filtered rows."""
    width, height = size or choose_size(r, 40)
    channels = PNG_CHANNELS[colour]
    samples = draw(r, (width, height), channels).astype(int)
    samples = samples * 257 if depth == 16 else samples >> 8 - depth
    if depth == 16:
        samples = samples ^ np.frombuffer(r.randbytes(samples.size), np.uint8).reshape(samples.shape)
    palette = b""
    if colour == 3:
        entries = entries or r.choice((1 << depth, max(1, (1 << depth) * 3 // 4)))
        palette = chunk(b"PLTE", r.randbytes(3 * entries))
        samples = samples % entries
    return png_header(width, height, depth, colour, interlace), palette, png_rows(r, samples, depth, interlace)


def png(header, middle, rows, end=None, pieces=1):
    data = zlib.compress(rows)
    cut = -(-len(data) // pieces)
    idat = b"".join(chunk(b"IDAT", data[i:i + cut]) for i in range(0, len(data), cut))
    return SIGNATURE + header + middle + idat + (chunk(b"IEND") if end is None else end)


PNG_TYPES = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16),
             (6, 8), (6, 16)]


@kind("png-types", "png", 45)
def _(r, n):
    colour, depth = PNG_TYPES[n % 15]
    interlace, pieces = n // 15 % 2, r.choice((1, 1, 3))
    header, palette, rows = png_parts(r, depth, colour, interlace)
    what = f"colour type {colour}, {depth} bits{', interlaced' if interlace else ''}, {pieces} IDAT"
    return png(header, palette, rows, pieces=pieces), what


@kind("png-trns", "png", 36)
def _(r, n):
    colour, depth = (PNG_TYPES[:11] + [(6, 8)])[n % 12]
    interlace = r.randrange(2)
    header, palette, rows = png_parts(r, depth, colour, interlace)
    top = (1 << depth) - 1
    if colour == 3:
        trns = r.randbytes(r.randint(1, (len(palette) - 12) // 3)) if n < 24 else b"\xff\0\xff"[:r.randint(1, 3)]
    else:
        trns = b"".join(struct.pack(">H", r.choice((0, top, top // 2))) for _ in range(1 if colour == 0 else 3))
    data = png(header, palette + chunk(b"tRNS", trns), rows)
    return data, f"colour type {colour}, {depth} bits, tRNS {trns.hex() if len(trns) < 9 else len(trns)}"


@kind("png-palette", "png", 16)
def _(r, n):
    depth = r.choice((1, 2, 4, 8))
    header, palette, rows = png_parts(r, depth, 3)
    trns = chunk(b"tRNS", b"\0\x80")
    match n % 8:
        case 0:
            return png(header, b"", rows), f"no PLTE, {depth} bits"
        case 1:
            return png(header, chunk(b"PLTE", r.randbytes(7)), rows), f"PLTE of 7 bytes, {depth} bits"
        case 2:
            return png(header, trns + palette, rows), f"tRNS before PLTE, {depth} bits"
        case 3:
            return png(header, b"", rows, palette + chunk(b"IEND")), f"PLTE after IDAT, {depth} bits"
        case 4:
            return png(header, palette, rows, trns + chunk(b"IEND")), f"tRNS after IDAT, {depth} bits"
        case 5:
            return png(header, palette + chunk(b"PLTE", r.randbytes(3 << depth)), rows), f"PLTE twice, {depth} bits"
        case 6:
            header, _, rows = png_parts(r, 8, 3, entries=200)
            return png(header, chunk(b"PLTE", r.randbytes(3 * 20)), rows), "indices beyond PLTE"
    header, _, rows = png_parts(r, 8, 2)
    trns = r.choice((b"", chunk(b"tRNS", bytes(6))))
    return png(header, chunk(b"PLTE", r.randbytes(3 * 256)) + trns, rows), "PLTE in RGB"


@kind("png-end", "png", 16)
def _(r, n):
    colour, depth = PNG_TYPES[r.randrange(15)]
    header, palette, rows = png_parts(r, depth, colour, r.randrange(2))
    endings = [(b"", "no IEND"), (chunk(b"IEND")[:5], "IEND cut after 5 bytes"),
               (chunk(b"IEND")[:8], "IEND without CRC"),
               (chunk(b"IEND")[:11], "IEND cut in its CRC"), (chunk(b"IEND", crc=1), "IEND with a bad CRC"),
               (chunk(b"IEND") + r.randbytes(40), "bytes after IEND"), (chunk(b"IEND", b"abc"), "IEND with 3 bytes"),
               (bytes(30), "zero bytes for IEND")]
    end, what = endings[n % 8]
    return png(header, palette, rows, end), f"{what}, colour type {colour}, {depth} bits"


@kind("png-zlib", "png", 24)
def _(r, n):
    """Oddities in the compressed data."""
    colour, depth = r.choice(PNG_TYPES)
    header, palette, rows = png_parts(r, depth, colour, r.randrange(2))
    data = zlib.compress(rows, r.choice((0, 1, 9)))
    match n % 12:
        case 0:
            data, what = data[:-4], "no Adler checksum"
        case 1:
            data, what = data[:-2], "half an Adler checksum"
        case 2:
            data, what = data[:-4] + b"\1\2\3\4", "wrong Adler checksum"
        case 3:
            data, what = zlib.compress(rows + bytes(r.randint(1, 300))), "surplus rows"
        case 4:
            data, what = data + r.randbytes(r.randint(1, 40)), "bytes after the zlib stream"
        case 5:
            data, what = zlib.compress(rows[:r.randrange(len(rows))]), "too few rows"
        case 6:
            data, what = data[:r.randint(2, len(data) - 5)], "zlib stream cut"
        case 7:
            data, what = flip_bits(r, data, 2, len(data) - 4, 1), "a bit of the zlib stream flipped"
        case 8:
            data, what = bytes([data[0] ^ 0x80]) + data[1:], "bad zlib header"
        case 9:
            data, what = zlib.compress(bytes([r.randint(5, 255)]) + rows[1:]), "first row with an unknown filter"
        case 10:
            raw = zlib.compressobj(9, zlib.DEFLATED, 9)
            data, what = raw.compress(rows) + raw.flush(), "window of 512 bytes"
        case 11:
            raw = zlib.compressobj(9, zlib.DEFLATED, -15)
            data, what = raw.compress(rows) + raw.flush(), "deflate without zlib's header"
    return SIGNATURE + header + palette + chunk(b"IDAT", data) + chunk(b"IEND"), f"{what}, type {colour}, {depth} bits"


@kind("png-chunks", "png", 44)
def _(r, n):
    """Oddities among the chunks."""
    colour, depth = r.choice(((0, 8), (2, 8), (3, 8), (6, 8), (0, 16)))
    header, palette, rows = png_parts(r, depth, colour)
    width_height = header[8:16]
    data = zlib.compress(rows)
    idat, end, half = chunk(b"IDAT", data), chunk(b"IEND"), len(data) // 2
    first, second = chunk(b"IDAT", data[:half]), chunk(b"IDAT", data[half:])
    bad = r.choice((b"tEXt", b"gAMA", b"pHYs", b"tIME", b"zTXt", b"iTXt", b"sRGB"))
    text = chunk(b"tEXt", b"Comment\0hello")
    variants = [
        (header + palette + chunk(bad, b"\0\0\xb1\x8f", crc=1) + idat + end, f"bad CRC of {bad.decode()}"),
        (header + palette + idat + chunk(bad, b"\0\0\xb1\x8f", crc=1) + end, f"bad CRC of {bad.decode()} after IDAT"),
        (header[:-1] + b"\0" + palette + idat + end, "bad CRC of IHDR"),
        (header + chunk(b"PLTE", palette[8:-4] or bytes(3), crc=1) + idat + end, "bad CRC of PLTE"),
        (header + palette + chunk(b"IDAT", data, crc=1) + end, "bad CRC of IDAT"),
        (header + palette + first + text + second + end, "text between two IDAT"),
        (header + palette + chunk(b"IDAT") + first + chunk(b"IDAT") + second + end, "empty IDAT"),
        (header + palette + end, "no IDAT"),
        (palette + header + idat + end, "IHDR is not first"),
        (text + header + palette + idat + end, "text before IHDR"),
        (header + header + palette + idat + end, "IHDR twice"),
        (header + palette + chunk(b"ABCD", b"xyz") + idat + end, "unknown critical chunk"),
        (header + palette + chunk(b"abCd", b"xyz") + idat + end, "unknown ancillary chunk"),
        (header + palette + chunk(b"zTXt", b"a\0\0broken") + idat + end, "broken zTXt"),
        (header + palette + chunk(b"iCCP", b"a\0\0broken") + idat + end, "broken iCCP"),
        (header + palette + chunk(b"gAMA", b"\0") + chunk(b"cHRM", b"\0\1") + idat + end, "short gAMA and cHRM"),
        (header + palette + chunk(b"gAMA", b"\0\1\0\0") + chunk(b"sBIT", b"\5\5\5\5") + chunk(b"bKGD", b"\0\0\0\0\0\0")
         + idat + end, "gAMA 0.65, sBIT and bKGD"),
        (header + palette + chunk(b"tRNS", b"\0") + idat + end, "tRNS of one byte"),
        (header + palette + idat[:-r.randint(1, 4)], "file cut in the CRC of IDAT"),
        (header + palette + idat[:-4 - len(data) // r.randint(2, 9)], "file cut in IDAT"),
        (header + palette[:9] if palette else header[:20], "file cut in the header"),
        (chunk(b"IHDR", header[8:21] + b"\0\0") + palette + idat + end, "IHDR of 15 bytes"),
        (chunk(b"IHDR", header[8:20]) + palette + idat + end, "IHDR of 12 bytes"),
        (chunk(b"IHDR", width_height + bytes([depth, colour, 1, 0, 0])) + palette + idat + end, "compression 1"),
        (chunk(b"IHDR", width_height + bytes([depth, colour, 0, 1, 0])) + palette + idat + end, "filter method 1"),
        (chunk(b"IHDR", width_height + bytes([depth, colour, 0, 0, 2])) + palette + idat + end, "interlace method 2"),
        (chunk(b"IHDR", width_height + bytes([3, colour, 0, 0, 0])) + palette + idat + end, "3 bits"),
        (chunk(b"IHDR", width_height + bytes([depth, 5, 0, 0, 0])) + palette + idat + end, "colour type 5"),
        (chunk(b"IHDR", bytes(4) + header[12:21]) + palette + idat + end, "width 0"),
        (header + palette + struct.pack(">I", 0x7FFFFFFF) + b"tEXt" + idat + end, "text of 2 GiB"),
        (header + palette + struct.pack(">I", 0xFFFFFFF0) + b"tEXt" + idat + end, "text of 4 GiB"),
        (header + palette + idat + bytes(3) + end, "stray bytes after IDAT"),
        (header + palette + bytes(3) + idat + end, "stray bytes before IDAT"),
        (header + palette + struct.pack(">I", len(data) + 9) + idat[4:] + end, "IDAT longer than its data"),
        (header + palette + struct.pack(">I", max(1, len(data) - 9)) + idat[4:] + end, "IDAT shorter than its data"),
        (header + palette + chunk(b"eXIf", b"broken") + idat + end, "broken eXIf"),
        (header + palette + chunk(b"tEXt", b"Comment") + chunk(b"tEXt", b"") + idat + end, "tEXt without text"),
        (header + palette + chunk(b"iTXt", b"a\0\1\0\0\0broken") + idat + end, "broken iTXt"),
        (header + palette + chunk(b"\0\0\0\0", b"") + idat + end, "a chunk without a name"),
        (header + palette + idat + chunk(b"IDAT", r.randbytes(30)) + end, "a surplus IDAT"),
        (header + palette + first + end + second, "IEND between two IDAT"),
        (header + palette + chunk(b"pHYs", b"\0\0\1\0\0\0\1\0\1") + text * 3 + idat + text + end,
         "sound ancillary chunks"),
        (header + palette + chunk(b"sRGB", b"\0") + chunk(b"cICP", b"\1\15\0\1") + idat + end, "sRGB and cICP"),
        (header + palette + chunk(b"CgBI", b"\x50\0\x20\2") + idat + end, "CgBI after IHDR"),
    ]
    body, what = variants[n % len(variants)]
    return SIGNATURE + body, f"{what}, type {colour}, {depth} bits"


@kind("png-animated", "png", 8)
def _(r, n):
    size = choose_size(r, 32)
    if n < 3:
        images = [picture(r, ("RGB", "RGBA", "L")[n], size) for _ in range(3)]
        return save(images[0], "PNG", save_all=True, append_images=images[1:]), "three frames by Pillow"
    if n < 5:
        images = [picture(r, "RGBA", size) for _ in range(2)]
        options = dict(save_all=True, append_images=images, default_image=True)
        return save(picture(r, "RGBA", size), "PNG", **options), "default image apart"
    header, palette, rows = png_parts(r, 8, (2, 6, 3)[n - 5], size=(20, 14))
    control = chunk(b"acTL", struct.pack(">II", r.choice((0, 1, 2, 9)), 0))
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, *r.choice(((20, 14, 0, 0), (10, 7, 5, 3))), 1, 10, 0, 0))
    return png(header, control + palette + frame, rows), "a frame control before IDAT"


@kind("png-orientation", "png", 48)
def _(r, n):
    exif, xmp, what = choose_orientation(r, n)
    colour = r.choice((0, 2, 3, 6))
    header, palette, rows = png_parts(r, 8, colour, size=(r.randint(2, 24), r.randint(2, 24)))
    more = b""
    form = "eXIf"
    if exif:
        forms = ("eXIf", "eXIf", "raw profile", "eXIf with Exif\\0\\0", "raw profile in tEXt")
        form = forms[n // 8 % 5 if n < 40 else r.randrange(5)]
        text = b"\nexif\n%8d\n%s\n" % (len(exif) + 6, (b"Exif\0\0" + exif).hex().encode())
        more = {"eXIf": chunk(b"eXIf", exif), "eXIf with Exif\\0\\0": chunk(b"eXIf", b"Exif\0\0" + exif),
                "raw profile": chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)),
                "raw profile in tEXt": chunk(b"tEXt", b"Raw profile type exif\0" + text)}[form]
    if xmp:
        compressed = r.randrange(2)
        body = zlib.compress(xmp) if compressed else xmp
        more += chunk(b"iTXt", b"XML:com.adobe.xmp\0" + bytes([compressed, 0]) + b"\0\0" + body)
    if r.random() < 0.2:
        return png(header, palette, rows, more + chunk(b"IEND")), f"{what}, {form}, after IDAT"
    return png(header, more + palette, rows), f"{what}, {form}"
