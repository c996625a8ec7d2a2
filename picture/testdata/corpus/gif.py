"""The kinds of GIF files."""
import struct

import numpy as np

from draw import choose_size, draw, flip_bits, kind, picture, save


def lzw(values, bits, tiff=False, clear_every=0):
    """Compresses as GIF does (lowest bit first) or as TIFF does."""
    clear, codes, number, count, out = 1 << bits, {}, 0, 0, bytearray()
    width, following = bits + 1, clear + 2

    def put(code):
        nonlocal number, count
        number, count = (number << width | code, count + width) if tiff else (number | code << count, count + width)
        while count >= 8:
            count -= 8
            out.append(number >> count & 255 if tiff else number & 255)
            number = number & (1 << count) - 1 if tiff else number >> 8
    put(clear)
    prefix, since = (), 0
    for value in values:
        since += 1
        longer = prefix + (value,)
        if len(longer) == 1 or longer in codes:
            prefix = longer
            continue
        put(codes[prefix] if len(prefix) > 1 else prefix[0])
        codes[longer], prefix = following, (value,)
        following += 1
        if following > (1 << width) - tiff and width < 12:
            width += 1
        if following >= 4094 or clear_every and since >= clear_every:
            put(prefix[0])
            following += 1
            if following > (1 << width) - tiff and width < 12:
                width += 1
            put(clear)
            codes, prefix, width, following, since = {}, (), bits + 1, clear + 2, 0
    if prefix:
        put(codes[prefix] if len(prefix) > 1 else prefix[0])
        following += 1
        if following > (1 << width) - tiff and width < 12:
            width += 1
    put(clear + 1)
    if count:
        out.append(number << 8 - count & 255 if tiff else number & 255)
    return bytes(out)


def gif_frame(r, size, at=(0, 0), bits=8, local=False, interlace=False, transparent=None, entries=None, disposal=0,
              change=lambda data: data, clear_every=0):
    """Returns a frame with its graphic control if it has one."""
    width, height = size
    pixels = draw(r, size, 1)[:, :, 0] >> 8 - bits
    if interlace:
        pixels = np.concatenate([pixels[0::8], pixels[4::8], pixels[2::4], pixels[1::2]])
    out = b""
    if transparent is not None or disposal:
        flags = disposal << 2 | (transparent is not None)
        out += b"\x21\xf9\4" + bytes([flags, 5, 0, transparent or 0, 0])
    flags = (0x80 | bits - 1 if local else 0) | (0x40 if interlace else 0)
    out += b"," + struct.pack("<HHHHB", *at, width, height, flags)
    if local:
        out += r.randbytes(3 << bits)
    data = change(lzw(pixels.flatten().tolist(), max(2, bits), clear_every=clear_every))
    blocks = b"".join(bytes([len(data[i:i + 255])]) + data[i:i + 255] for i in range(0, len(data), 255))
    return out + bytes([max(2, bits)]) + blocks + b"\0"


def gif_screen(r, size, bits=8, background=0, version=b"89a", palette=True):
    flags = 0x80 | 0x70 | bits - 1 if palette else 0x70
    screen = b"GIF" + version + struct.pack("<HHBBB", *size, flags, background, 0)
    return screen + (r.randbytes(3 << bits) if palette else b"")


@kind("gif-plain", "gif", 18)
def _(r, n):
    size, bits = choose_size(r, 80), n % 8 + 1
    interlace, version = n >= 8 and r.random() < 0.7, r.choice((b"87a", b"89a"))
    clear_every = r.choice((0, 0, 50))
    frame = gif_frame(r, size, bits=bits, interlace=interlace, clear_every=clear_every)
    what = f"{bits} bits, {version.decode()}, clear code every {clear_every}{', interlaced' if interlace else ''}"
    return gif_screen(r, size, bits, version=version) + frame + b";", what


@kind("gif-transparent", "gif", 12)
def _(r, n):
    size, bits = choose_size(r), r.choice((1, 2, 4, 8))
    transparent, local = r.choice((0, (1 << bits) - 1, 1, 255)), n % 2 == 1
    frame = gif_frame(r, size, bits=bits, transparent=transparent, local=local, interlace=r.random() < 0.5)
    what = f"{bits} bits, index {transparent} is transparent, local palette {local}"
    return gif_screen(r, size, bits) + frame + b";", what


@kind("gif-small-frame", "gif", 24)
def _(r, n):
    width, height = r.randint(10, 50), r.randint(10, 40)
    frame = r.randint(1, width - 2), r.randint(1, height - 2)
    at = r.randint(0, width - frame[0]), r.randint(0, height - frame[1])
    what = ""
    if n % 6 == 5:
        at, what = (width - frame[0] + 3, height - frame[1] + 2), ", beyond the canvas"
    bits, background = r.choice((2, 4, 8)), r.choice((0, 1, 3, 200))
    transparent = r.choice((None, 0, 1, background if background < 256 else 0))
    local = r.random() < 0.4
    data = gif_screen(r, (width, height), bits, background, palette=r.random() < 0.9)
    data += gif_frame(r, frame, at, bits, local, r.random() < 0.3, transparent, disposal=r.choice((0, 0, 1, 2, 3)))
    return data + b";", (f"frame {frame} at {at} of {width} x {height}{what}, background {background}, "
                         f"transparent {transparent}, local palette {local}")


@kind("gif-palettes", "gif", 8)
def _(r, n):
    size, bits = choose_size(r), r.choice((2, 5, 8))
    if n % 4 == 0:
        return gif_screen(r, size, palette=False) + gif_frame(r, size, bits=bits) + b";", f"no palette, {bits} bits"
    if n % 4 == 1:
        return gif_screen(r, size, 1) + gif_frame(r, size, bits=4) + b";", "indices beyond the palette"
    if n % 4 == 2:
        screen = bytearray(gif_screen(r, size, 8))
        screen[13:] = b"".join(bytes([i] * 3) for i in range(256))
        return bytes(screen) + gif_frame(r, size, transparent=r.choice((None, 40))) + b";", "a palette of greys"
    frame = gif_frame(r, size, bits=bits, local=True)
    return gif_screen(r, size, bits, palette=False) + frame + b";", "local palette only"


@kind("gif-animated", "gif", 8)
def _(r, n):
    size = choose_size(r)
    if n % 2:
        images = [picture(r, "P", size) for _ in range(3)]
        options = dict(save_all=True, append_images=images[1:], loop=0, disposal=r.randrange(3))
        return save(images[0], "GIF", **options), "by Pillow"
    frames = b"".join(gif_frame(r, size, transparent=r.choice((None, 3)), disposal=r.randrange(4)) for _ in range(3))
    return gif_screen(r, size) + b"\x21\xff\x0bNETSCAPE2.0\3\1\0\0\0" + frames + b";", "three frames"


@kind("gif-blocks", "gif", 20)
def _(r, n):
    """Oddities among the blocks and in the compressed data."""
    size = r.randint(8, 50), r.randint(8, 40)
    screen, frame = gif_screen(r, size), gif_frame(r, size)
    width, height = size
    variants = [
        (screen + frame, "no trailer"),
        (screen + b"\x21\xfe\5hello\0" + frame + b";", "comment"),
        (screen + b"\x21\x01\x0c" + bytes(12) + b"\3abc\0" + frame + b";", "plain text extension"),
        (screen + b"\x21\x77\3abc\0" + frame + b";", "unknown extension"),
        (screen + b"\0\0\0" + frame + b";", "stray bytes before the frame"),
        (screen + frame[:-1] + b";", "no empty block at the end"),
        (screen + frame + bytes(20), "zero bytes for the trailer"),
        (screen + b";", "no frame"),
        (screen + gif_frame(r, size, change=lambda data: data[:-2]) + b";", "no end code"),
        (screen + gif_frame(r, size, change=lambda data: data[:len(data) // 2]) + b";", "too few codes"),
        (screen + gif_frame(r, size, change=lambda data: data + b"surplus") + b";", "bytes after the end code"),
        (screen + gif_frame(r, (width, height + 5)) + b";", "frame taller than the canvas"),
        (screen + gif_frame(r, (width + 5, height)) + b";", "frame wider than the canvas"),
        (screen + frame[:10] + bytes([11]) + frame[11:] + b";", "minimum code size 11"),
        (screen + frame[:10] + bytes([13]) + frame[11:] + b";", "minimum code size 13"),
        (screen + frame[:10] + bytes([1]) + frame[11:] + b";", "minimum code size 1"),
        (screen + b",\0\0\0\0\0\0\0\0\0" + frame[10:] + b";", "frame of 0 x 0"),
        (b"GIF89a\0\0\0\0" + screen[10:] + frame + b";", "canvas of 0 x 0"),
        (b"GIF88a" + screen[6:] + frame + b";", "version 88a"),
        (screen + b"\x21\xf9\4\1\0\0\0\0" * 2 + frame + b";", "graphic control twice"),
    ]
    return variants[n]


@kind("gif-cut", "gif", 16)
def _(r, n):
    size, transparent = (r.randint(16, 60), r.randint(16, 40)), r.choice((None, 2))
    first = gif_screen(r, size, r.choice((4, 8))) + gif_frame(r, size, interlace=n % 3 == 2, transparent=transparent)
    if n < 5:
        return first[:len(first) - n], f"no trailer and {n} bytes less"
    if n < 8:
        second = gif_frame(r, size, disposal=1)
        return first + second[:r.randrange(len(second))], "cut in the second frame"
    at = r.randint(10, len(first) - 1)
    return first[:at], f"cut after {at} of {len(first)} bytes"


@kind("gif-flipped-bits", "gif", 12)
def _(r, n):
    size = r.randint(16, 60), r.randint(16, 40)
    data = gif_screen(r, size) + gif_frame(r, size, interlace=n % 3 == 2) + b";"
    return flip_bits(r, data, 800, len(data) - 2, 1), "a bit of the compressed data flipped"
