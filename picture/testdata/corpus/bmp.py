"""The kinds of BMP, ICO and CUR files."""
import struct

import numpy as np
from PIL import Image

from draw import choose_size, draw, kind, picture, save


def pack_rows(samples, bits):
    """Packs samples [height, width] of 1, 4 or 8 bits into rows of whole 32-bit words."""
    out = b""
    for row in samples.tolist():
        text = "".join(f"{v:0{bits}b}" for v in row)
        text = text.ljust(-(-len(text) // 32) * 32, "0")
        out += int(text, 2).to_bytes(len(text) // 8, "big")
    return out


def pad_rows(rows):
    """Returns the bytes of rows [height, width, bytes], each padded to whole 32-bit words."""
    flat = rows.reshape(rows.shape[0], -1)
    return np.pad(flat, ((0, 0), (0, -flat.shape[1] % 4))).tobytes()


def bmp_info(header, size, bits, compression=0, colours=0, masks=(0, 0, 0, 0), top_down=False, data_size=0):
    """Returns an information header of the given length; masks are those of red, green, blue and alpha."""
    width, height = size
    if header == 12:
        return struct.pack("<IHHHH", 12, width, height, 1, bits)
    info = struct.pack("<IiiHHIIiiII", header, width, -height if top_down else height, 1, bits, compression, data_size,
                       2835, 2835, colours, 0)
    if header >= 52 and header != 64:
        info += struct.pack("<4I", *masks)[:header - 40]
    return info.ljust(header, b"\0")[:header]


def bmp_file(info, palette, data, gap=0):
    offset = 14 + len(info) + len(palette) + gap
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + info + palette + bytes(gap) + data


def bmp_palette(r, entries, width=4):
    choice = r.randrange(4)
    if choice == 0:  # greys in order, which Pillow reads as grey
        levels = [255 * i // max(1, entries - 1) for i in range(entries)]
        return b"".join(bytes([v] * 3 + [0] * (width - 3)) for v in levels)
    return b"".join(r.randbytes(3) + bytes([r.choice((0, 0, 255))] * (width - 3)) for _ in range(entries))


HEADERS = (12, 40, 52, 56, 64, 108, 124)


@kind("bmp-headers", "bmp", 42)
def _(r, n):
    header, bits = HEADERS[n % 7], (1, 4, 8, 16, 24, 32)[n // 7]
    size, top_down = choose_size(r), r.random() < 0.3 and header > 12
    gap = r.choice((0, 0, 0, 6))
    if bits <= 8:
        colours = r.choice((0, 0, (1 << bits) * 3 // 4 or 1)) if header > 12 else 0
        palette = bmp_palette(r, colours or 1 << bits, 3 if header == 12 else 4)
        data = pack_rows(draw(r, size, 1)[:, :, 0] >> 8 - bits, bits)
    else:
        colours, palette = 0, b""
        if bits == 24 and r.random() < 0.4 and header > 12:
            colours, palette = 5, r.randbytes(20)
        pixels = draw(r, size, bits // 8)
        if bits == 32 and r.random() < 0.5:
            pixels[:, :, 3] = r.choice((0, 0, 255))
        data = pad_rows(pixels)
    info = bmp_info(header, size, bits, colours=colours, top_down=top_down)
    return bmp_file(info, palette, data, gap), (f"header of {header} bytes, {bits} bits, {colours} colours, gap {gap}"
                                                f"{', top-down' if top_down else ''}")


@kind("bmp-masks", "bmp", 30)
def _(r, n):
    choices = [(16, (0xF800, 0x7E0, 0x1F, 0)), (16, (0x7C00, 0x3E0, 0x1F, 0)), (16, (0xF00, 0xF0, 0xF, 0xF000)),
               (16, (0x7C00, 0x3E0, 0x1F, 0x8000)), (32, (0xFF0000, 0xFF00, 0xFF, 0)),
               (32, (0xFF000000, 0xFF0000, 0xFF00, 0)),
               (32, (0xFF000000, 0xFF0000, 0xFF00, 0xFF)), (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
               (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)), (32, (0, 0, 0, 0)),
               (32, (0xFF000000, 0xFF00, 0xFF, 0xFF0000)),
               (32, (0x3FF00000, 0xFFC00, 0x3FF, 0)), (24, (0xFF0000, 0xFF00, 0xFF, 0)),
               (32, (0xFF000000, 0xFF00, 0xFF, 0)),
               (24, (0xFF, 0xFF00, 0xFF0000, 0))]
    bits, masks = choices[n % len(choices)]
    header = r.choice((40, 52, 56, 108, 124))
    size, top_down = choose_size(r), r.random() < 0.3
    pixels = draw(r, size, bits // 8)
    if r.random() < 0.3:
        pixels[:, :, -1] = 0
    after = struct.pack("<3I", *masks[:3]) if header == 40 else b""
    data = bmp_file(bmp_info(header, size, bits, 3, 0, masks, top_down), after, pad_rows(pixels))
    what = f"header of {header} bytes, {bits} bits, masks {' '.join(f'{m:x}' for m in masks)}"
    return data, what + (", top-down" if top_down else "")


def rle_rows(r, samples, four):
    """Compresses rows, bottom up, with runs and literal runs in turns."""
    out = b""
    for row in samples[::-1].tolist():
        x = 0
        while x < len(row):
            run = 1
            while x + run < len(row) and row[x + run] == row[x] and run < 255:
                run += 1
            if run < 3 and len(row) - x >= 3:
                values = row[x:x + r.randint(3, min(20, len(row) - x))]
                data = bytes(values)
                if four:
                    padded = values + [0] * (len(values) % 2)
                    data = bytes(a << 4 | b for a, b in zip(padded[::2], padded[1::2]))
                out += bytes([0, len(values)]) + data + bytes(len(data) % 2)
                x += len(values)
            else:
                out += bytes([run, row[x] * 17 if four else row[x]])
                x += run
        out += b"\0\0"
    return out[:-2] + b"\0\1"


@kind("bmp-rle", "bmp", 26)
def _(r, n):
    four = n % 2 == 1
    bits, size, header = 4 if four else 8, (r.randint(4, 40), r.randint(3, 30)), r.choice((40, 40, 64, 108, 124))
    samples = np.repeat(draw(r, size, 1)[:, ::r.choice((1, 3)), 0], 3, axis=1)[:, :size[0]] >> 8 - bits
    samples = np.resize(samples, (size[1], size[0]))
    palette, data = bmp_palette(r, 1 << bits), rle_rows(r, samples, four)
    what = f"RLE{bits}, header of {header} bytes"
    match n // 2 % 9:
        case 3:
            data, what = data[:len(data) // 2], what + ", cut"
        case 4:
            data, what = data[:len(data) // 2] + b"\0\1", what + ", early end of bitmap"
        case 5:
            data, what = b"\0\2" + bytes([r.randint(0, 9), r.randint(0, 2)]) + data, what + ", delta first"
        case 6:
            data, what = bytes([255, 3]) + b"\0\0" + data, what + ", run beyond the row"
        case 7:
            data, what = data[:-2], what + ", no end of bitmap"
        case 8:
            data, what = data.replace(b"\0\0", b"", 1), what + ", an end of line lost"
    info = bmp_info(header, size, bits, 2 if four else 1, data_size=len(data))
    return bmp_file(info, palette, data), what


@kind("bmp-odd", "bmp", 18)
def _(r, n):
    size = r.randint(5, 30), r.randint(5, 20)
    pixels, grey = draw(r, size), draw(r, size, 1)[:, :, 0]
    rows, palette, indices = pad_rows(pixels), r.randbytes(1024), pack_rows(grey, 8)
    info = bmp_info(40, size, 24)
    negative = struct.pack("<IiiHHIIiiII", 40, -size[0], size[1], 1, 24, 0, 0, 0, 0, 0, 0)
    plain = bmp_file(bmp_info(40, size, 8), palette, indices)
    variants = [
        (bmp_file(info, b"", rows[:-r.randint(1, 60)]), "cut"),
        (bmp_file(info, b"", rows + b"surplus"), "surplus bytes"),
        (bmp_file(bmp_info(40, size, 8, colours=300), r.randbytes(1200), indices), "300 colours"),
        (bmp_file(bmp_info(40, size, 8, colours=20), r.randbytes(80), pack_rows(grey % 40, 8)),
         "indices beyond the palette"),
        (plain[:2] + bytes(8) + plain[10:], "file size 0"),
        (b"BM" + bytes(8) + bytes(4) + info + rows, "offset 0"),
        (plain[:10] + struct.pack("<I", 54) + plain[14:], "offset before the palette's end"),
        (bmp_file(negative, b"", rows), "negative width"),
        (bmp_file(bmp_info(40, (size[0], 0), 24), b"", rows), "height 0"),
        (bmp_file(bmp_info(40, size, 2), r.randbytes(16), rows), "2 bits"),
        (bmp_file(bmp_info(40, size, 0, 4), b"", save(Image.fromarray(pixels), "JPEG")), "JPEG inside"),
        (bmp_file(bmp_info(40, size, 0, 5), b"", save(Image.fromarray(pixels), "PNG")), "PNG inside"),
        (bmp_file(bmp_info(40, size, 24)[:12] + b"\7\0" + bmp_info(40, size, 24)[14:], b"", rows), "7 planes"),
        (bmp_file(bmp_info(16, size, 24), b"", rows), "header of 16 bytes"),
        (save(picture(r, "1", size), "BMP"), "1 bit by Pillow"),
        (save(picture(r, "L", size), "BMP"), "grey by Pillow"),
        (save(picture(r, "RGBA", size), "BMP"), "RGBA by Pillow"),
        (bmp_file(bmp_info(40, size, 1, colours=2), b"\0\0\0\0\xff\xff\xff\0", pack_rows(grey >> 7, 1)),
         "black and white"),
    ]
    return variants[n]


def icon(r, size, bits, mask=True):
    """Returns a bitmap as ICO and CUR hold it: twice as high, with the AND mask below."""
    info = bmp_info(40, (size[0], size[1] * 2), bits)
    palette = bmp_palette(r, 1 << bits) if bits <= 8 else b""
    if bits <= 8:
        data = pack_rows(draw(r, size, 1)[:, :, 0] >> 8 - bits, bits)
    else:
        pixels = draw(r, size, bits // 8)
        if bits == 32 and r.random() < 0.3:
            pixels[:, :, 3] = 0
        data = pad_rows(pixels)
    and_mask = pack_rows(draw(r, size, 1)[:, :, 0] >> 7, 1) if mask else b""
    return info + palette + data + and_mask


def icon_file(type, entries):
    """Joins entries (width, height, bits, bytes)."""
    out, offset = struct.pack("<HHH", 0, type, len(entries)), 6 + 16 * len(entries)
    for width, height, bits, data in entries:
        out += struct.pack("<BBBBHHII", width % 256, height % 256, 0, 0, 1, bits, len(data), offset)
        offset += len(data)
    return out + b"".join(entry[3] for entry in entries)


@kind("ico", "ico", 24)
def _(r, n):
    sizes = [(r.choice((8, 16, 24, 32)),) * 2 for _ in range(r.randint(1, 3))]
    entries, says = [], []
    for size in sizes:
        bits = r.choice((1, 4, 8, 16, 24, 32)) if n >= 6 else (1, 4, 8, 16, 24, 32)[n]
        if r.random() < 0.25:
            mode = r.choice(("RGB", "RGBA", "P", "L"))
            entries.append((*size, 32, save(picture(r, mode, size), "PNG")))
            says.append(f"{size[0]}: PNG {mode}")
        else:
            entries.append((*size, bits, icon(r, size, bits)))
            says.append(f"{size[0]}: {bits} bits")
    what = ", ".join(says)
    data = icon_file(1, entries)
    if n == 20:
        return data[:-len(entries[-1][3]) // 2], what + ", cut"
    if n == 21:
        return icon_file(1, [(16, 20, 24, icon(r, (16, 20), 24))]), "16 x 20"
    if n == 22:
        return icon_file(1, [(16, 16, 32, icon(r, (16, 16), 32, mask=False))]), "no AND mask"
    if n == 23:
        return icon_file(1, [(16, 16, 24, icon(r, (20, 20), 24))]), "entry says 16 x 16, bitmap 20 x 20"
    return data, what


@kind("cur", "cur", 10)
def _(r, n):
    entries, says = [], []
    for _ in range(r.randint(1, 2)):
        side, bits = r.choice((8, 16, 32)), (1, 4, 8, 24, 32)[n % 5]
        entries.append((side, side, r.randrange(side), icon(r, (side, side), bits)))
        says.append(f"{side}: {bits} bits")
    return icon_file(2, entries), ", ".join(says)
