"""Makes the files beside it but case-anim.webp, and digests.tsv with what Pillow makes of each.

Made with Pillow 13.0.0 (libwebp 1.6.0): python make.py
"""
import io
import os
import random
import struct

import numpy as np
from PIL import Image

import peer
from streams import ALPHA, ANIMATION, EXIF, ICC, XMP, anmf, chunk, file, folder, riff, split, vp8x

written = []


def write(name, data):
    with open(os.path.join(folder, name + ".webp"), "wb") as f:
        f.write(data)
    written.append(name)


def drawn(width, height, mode="RGB"):
    """Colours, edges and texture."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    r = 127 + 120 * np.sin(x / 7 + y / 13)
    g = 255 * ((x // 5 + y // 4) % 2)
    b = (x * 7 + y * 11) % 256
    a = 255 * (x + y) / (width + height)
    return Image.fromarray(np.stack([r, g, b, a], axis=-1)[..., : len(mode)].clip(0, 255).astype("uint8"))


def save(name, picture, **options):
    picture.save(os.path.join(folder, name + ".webp"), **options)
    written.append(name)


def encode():
    for width, height in ((1, 1), (2, 3), (16, 16), (17, 33), (65, 47), (130, 9)):
        size = f"{width}x{height}"
        save(f"lossy-{size}", drawn(width, height), quality=70, method=4)
        save(f"lossless-{size}", drawn(width, height), lossless=True)
        save(f"alpha-{size}", drawn(width, height, "RGBA"), quality=40)
        save(f"lossless-alpha-{size}", drawn(width, height, "RGBA"), lossless=True, exact=True)
    for quality in (0, 5, 95, 100):
        save(f"quality-{quality}", drawn(50, 41), quality=quality, method=6)
    for colours in (2, 4, 16, 100):
        save(f"palette-{colours}", drawn(45, 31).quantize(colours).convert("RGB"), lossless=True)
    for quality in (0, 50):
        save(f"alpha-quality-{quality}", drawn(45, 31, "RGBA"), quality=50, alpha_quality=quality)
    save("blocks", drawn(20, 10), exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0", xmp=b"<x:xmpmeta/>", icc_profile=b"icc")
    frames = [drawn(60 - 10 * i, 40, "RGBA").resize((60, 40)) for i in range(3)]
    for name, options in (("lossy", {}), ("lossless", {"lossless": True}), ("mixed", {"allow_mixed": True})):
        save(f"animated-{name}", frames[0], save_all=True, append_images=frames[1:], minimize_size=True, **options)


def contain():
    """Containers, sound and odd."""
    r = random.Random(1)
    with open(os.path.join(folder, "lossy-17x33.webp"), "rb") as f:
        sound = f.read()
    picture = sound[12:]
    with open(os.path.join(folder, "lossless-alpha-17x33.webp"), "rb") as f:
        lossless = f.read()[12:]
    canvas = vp8x(0, 17, 33)
    alpha = chunk(b"ALPH", b"\0" + r.randbytes(17 * 33))
    anim = chunk(b"ANIM", bytes(6))
    frame = anmf(4, 2, 17, 33, picture)
    for name, data in {
        "surplus": sound + b"surplus",
        "surplus-chunk": riff(picture, chunk(b"ABCD", b"123")),
        "surplus-bytes": riff(picture, b"1234"),
        "surplus-picture": riff(picture, picture),
        "surplus-alpha": riff(picture, alpha),
        "riff-short": sound[:4] + struct.pack("<I", len(sound) - 10) + sound[8:],
        "riff-long": sound[:4] + struct.pack("<I", len(sound) - 6) + sound[8:],
        "riff-odd": sound[:4] + struct.pack("<I", len(sound) - 7) + sound[8:] + b"\0",
        "padding-missing": riff(vp8x(EXIF, 17, 33), picture, chunk(b"EXIF", b"123")[:-1]),
        "cut": sound[:-20],
        "partition-cut": riff(chunk(b"VP8 ", picture[8:-20])),
        "lossless-cut": riff(chunk(b"VP8L", lossless[8:-20])),
        "unknown-before": riff(canvas, chunk(b"ABCD", b"12345"), picture),
        "flags-unknown": riff(vp8x(1, 17, 33), picture),
        "flags-unset": riff(canvas, chunk(b"EXIF", b"123"), picture, chunk(b"XMP ", b"1234")),
        "flags-set": riff(vp8x(EXIF | XMP | ICC | ALPHA, 17, 33), picture),
        "blocks-twice": riff(vp8x(EXIF | XMP, 17, 33), chunk(b"EXIF", b"1"), chunk(b"EXIF", b"12"), chunk(b"XMP ", b""),
                             chunk(b"XMP ", b"1"), picture),
        "canvas-larger": riff(vp8x(0, 18, 33), picture),
        "canvas-only": riff(canvas),
        "canvas-twice": riff(canvas, canvas, picture),
        "canvas-long": riff(chunk(b"VP8X", canvas[8:] + b"12"), lossless),
        "alpha-raw": riff(vp8x(ALPHA, 17, 33), alpha, picture),
        "alpha-flag-unset": riff(canvas, alpha, picture),
        "alpha-short": riff(vp8x(ALPHA, 17, 33), chunk(b"ALPH", alpha[8:100]), picture),
        "alpha-empty": riff(vp8x(ALPHA, 17, 33), chunk(b"ALPH", b""), picture),
        "alpha-kind": riff(vp8x(ALPHA, 17, 33), chunk(b"ALPH", b"\x40" + alpha[9:]), picture),
        "alpha-damaged": riff(vp8x(ALPHA, 17, 33), chunk(b"ALPH", b"\x01" + r.randbytes(40)), picture),
        "alpha-last": riff(vp8x(ALPHA, 17, 33), picture, alpha),
        "alpha-twice": riff(vp8x(ALPHA, 17, 33), alpha, alpha, picture),
        "alpha-apart": riff(vp8x(ALPHA, 17, 33), alpha, chunk(b"ABCD", b""), picture),
        "alpha-lossless": riff(vp8x(ALPHA, 17, 33), alpha, lossless),
        "lossless-flag-unset": riff(canvas, lossless),
        "frame": riff(vp8x(ANIMATION, 30, 40), anim, frame),
        "frame-alpha": riff(vp8x(ANIMATION | ALPHA, 30, 40), anim, anmf(4, 2, 17, 33, alpha, picture)),
        "frame-lossless": riff(vp8x(ANIMATION | ALPHA, 30, 40), anim, anmf(4, 2, 17, 33, lossless)),
        "frame-opaque": riff(vp8x(ANIMATION, 30, 40), anim, anmf(4, 2, 17, 33, alpha, picture)),
        "frame-beyond": riff(vp8x(ANIMATION, 20, 40), anim, frame),
        "frame-unknown": riff(vp8x(ANIMATION, 30, 40), anim, anmf(4, 2, 17, 33, picture, chunk(b"ABCD", b"1"))),
        "frame-empty": riff(vp8x(ANIMATION, 30, 40), anim, anmf(4, 2, 17, 33), frame),
        "frame-second-damaged": riff(vp8x(ANIMATION, 30, 40), anim, frame, anmf(4, 2, 17, 33, chunk(b"VP8 ", b"1234"))),
        "frame-size": riff(vp8x(ANIMATION, 30, 40), anim, anmf(4, 2, 5, 5, picture)),
        "frame-no-anim": riff(vp8x(ANIMATION, 30, 40), frame),
        "frame-no-flag": riff(vp8x(0, 30, 40), anim, frame),
        "frame-and-picture": riff(vp8x(ANIMATION, 17, 33), anim, picture),
    }.items():
        write(name, data)


def cut_alpha():
    """Alpha of few levels, whose last byte is missing. libwebp reads some of them."""
    r = np.random.RandomState(3)
    for i in range(8):
        m = Image.new("RGB", (13 + i, 11), (9, 200, 30))
        m.putalpha(Image.fromarray(r.choice(r.randint(0, 256, 2 + 2 * i), (11, 13 + i)).astype("uint8")))
        buffer = io.BytesIO()
        m.save(buffer, "webp", quality=30)
        chunks = [chunk(k, v[:-1] if k == b"ALPH" else v) for k, v in split(buffer.getvalue())]
        write(f"alpha-cut-{i}", riff(*chunks))


def randomize():
    r = random.Random(2)
    for i in range(24):
        write(f"random-{i}", file(r, 20))


written.append("case-anim")
encode()
contain()
cut_alpha()
randomize()
with open(os.path.join(folder, "digests.tsv"), "w", encoding="utf-8") as f:
    for name in written:
        f.write(f"{name}\t{peer.describe(os.path.join(folder, name + '.webp'))}\n")
