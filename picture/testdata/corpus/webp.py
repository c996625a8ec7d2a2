"""The kinds of WebP files."""
import struct

from draw import choose_orientation, choose_size, kind, listed, picture, save


def riff_chunk(name, body):
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def webp_chunks(data):
    """Returns the chunks of a WebP file as a list of (name, bytes with header and padding)."""
    chunks, i = [], 12
    while i < len(data):
        length = struct.unpack("<I", data[i + 4:i + 8])[0]
        chunks.append((data[i:i + 4], data[i:i + 8 + length + length % 2]))
        i += 8 + length + length % 2
    return chunks


def webp_file(*chunks):
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def three(value):
    """Returns a number of three bytes."""
    return struct.pack("<I", value)[:3]


def vp8x(size, flags):
    return riff_chunk(b"VP8X", struct.pack("<I", flags) + three(size[0] - 1) + three(size[1] - 1))


@kind("webp-lossy", "webp", 26)
def _(r, n):
    alpha = n % 3 == 2
    options = dict(quality=r.choice((5, 40, 75, 95)), method=r.choice((0, 2, 4, 6)))
    if alpha:
        options["alpha_quality"] = r.choice((10, 60, 100))
    mode = "RGBA" if alpha else "RGB"
    return save(picture(r, mode), "WEBP", **options), f"{mode}, {listed(options)}"


@kind("webp-lossless", "webp", 22)
def _(r, n):
    mode = ("RGB", "RGBA", "P", "RGB")[n % 4]
    options = dict(quality=r.choice((0, 50, 100)), method=r.choice((0, 4, 6)), exact=r.random() < 0.5)
    image = picture(r, mode).convert("RGBA" if mode == "RGBA" else "RGB")
    return save(image, "WEBP", lossless=True, **options), f"from {mode}, {listed(options)}"


@kind("webp-animated", "webp", 16)
def _(r, n):
    size = r.randint(12, 50), r.randint(12, 40)
    if n < 4:
        images = [picture(r, r.choice(("RGB", "RGBA")), size) for _ in range(3)]
        options = dict(lossless=n % 2 == 0, background=(20, 200, 40, r.choice((0, 90, 255))))
        data = save(images[0], "WEBP", save_all=True, append_images=images[1:], **options)
        return data, f"by Pillow, {listed(options)}"
    frame = (r.randint(1, size[0] // 2), r.randint(1, size[1] // 2)) if n % 4 else size
    at = (2 * r.randint(0, (size[0] - frame[0]) // 2), 2 * r.randint(0, (size[1] - frame[1]) // 2))
    mode, lossless = r.choice(("RGB", "RGBA")), r.random() < 0.5
    chunks = webp_chunks(save(picture(r, mode, frame), "WEBP", lossless=lossless))
    inner = b"".join(body for name, body in chunks if name != b"VP8X")
    background = r.choice((b"\xff\xff\xff\xff", b"\x10\x80\xf0\xff", b"\x10\x80\xf0\x40", bytes(4)))
    flags = r.randrange(4)
    body = b"".join(map(three, (at[0] // 2, at[1] // 2, frame[0] - 1, frame[1] - 1, 100))) + bytes([flags]) + inner
    data = webp_file(vp8x(size, 0x12 if mode == "RGBA" else 2), riff_chunk(b"ANIM", background + b"\0\0"),
                     riff_chunk(b"ANMF", body))
    return data, (f"{mode} frame {frame} at {at} of {size}, lossless {lossless}, background {background.hex()}, "
                  f"flags {flags}")


@kind("webp-container", "webp", 14)
def _(r, n):
    size = choose_size(r)
    plain = webp_chunks(save(picture(r, "RGB", size), "WEBP"))[0][1]
    alpha = riff_chunk(b"ALPH", bytes([4 * r.randrange(4)]) + r.randbytes(size[0] * size[1]))  # 4: filter
    variants = [
        (webp_file(plain) + b"trailing", "bytes after the file"),
        (webp_file(plain)[:-r.randint(1, len(plain) // 2)], "cut"),
        (b"RIFF\xff\xff\0\0WEBP" + plain, "RIFF longer than the file"),
        (b"RIFF\x10\0\0\0WEBP" + plain, "RIFF shorter than the file"),
        (webp_file(vp8x(size, 0), plain), "VP8X without flags"),
        (webp_file(vp8x(size, 0x10), plain), "VP8X says alpha, there is none"),
        (webp_file(vp8x((size[0] + 3, size[1]), 0), plain), "VP8X with another width"),
        (webp_file(vp8x(size, 0), riff_chunk(b"abcd", b"xyz"), plain), "unknown chunk"),
        (webp_file(riff_chunk(b"abcd", b"xyz"), plain), "unknown chunk without VP8X"),
        (webp_file(vp8x(size, 0x20), riff_chunk(b"ICCP", b"no profile"), plain), "ICC profile"),
        (webp_file(vp8x(size, 2), plain), "VP8X says animated, there is no ANIM"),
        (webp_file(vp8x(size, 0x10), alpha, plain), "raw alpha"),
        (webp_file(vp8x(size, 0), alpha, plain), "alpha without its flag"),
        (webp_file(vp8x(size, 0x10), riff_chunk(b"ALPH", b"\0" + bytes(3)), plain), "alpha cut"),
    ]
    return variants[n]


@kind("webp-orientation", "webp", 32)
def _(r, n):
    exif, xmp, what = choose_orientation(r, n + 8 * (n // 8) % 64)
    size = r.randint(2, 24), r.randint(2, 24)
    picture_chunk = webp_chunks(save(picture(r, "RGB", size), "WEBP", lossless=r.random() < 0.5))[0][1]
    more, flags = b"", 0
    if exif:
        prefix = r.choice((b"", b"Exif\0\0"))
        more, flags = riff_chunk(b"EXIF", prefix + exif), 8
        what += ", with Exif\\0\\0" if prefix else ""
    if xmp:
        more, flags = more + riff_chunk(b"XMP ", xmp), flags | 4
    return webp_file(vp8x(size, flags), picture_chunk, more), what
