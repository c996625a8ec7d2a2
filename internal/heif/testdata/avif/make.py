"""Writes AVIF pictures and what Pillow reads of them.

    python make.py          writes *.avif and EXPECTED.tsv
    python make.py DIR N S  writes N pictures by seed S, half of them damaged, and their EXPECTED.tsv to DIR

Needs Pillow 13 (libavif 1.4.2) and numpy. Pillow's writer makes 8-bit pictures by BT.601; for others
the script calls the libavif that Pillow's wheel for Linux brings, which encodes 8 bits, and the system's
libavif 0.11 (libavif15 in Debian) for 10 and 12 bits.

EXPECTED.tsv has a line per file: name, width, height, EXIF orientation (0: not given by boxes or EXIF),
alpha (0 or 1), animated (0 or 1), bytes of the ICC profile and of the XMP packet, and the SHA-256 of the
pixels over white, as stored (not turned), or "refused".
"""

import ctypes
import glob
import hashlib
import io
import os
import pathlib
import random
import sys
import warnings

import numpy as np
import PIL
from PIL import AvifImagePlugin, ExifTags, Image, ImageCms

PLANES_ALL, RANGE_FULL, FORMAT_400, FORMAT_444 = 255, 1, 4, 1
ROTATION, MIRROR, CLAP, PASP = 4, 8, 2, 1
U32, I32 = ctypes.c_uint32, ctypes.c_int32


class AvifImage(ctypes.Structure):
    """avifImage of libavif 1.4.2, up to imir."""

    _fields_ = [
        ("width", U32), ("height", U32), ("depth", U32), ("format", U32), ("range", U32), ("position", U32),
        ("planes", ctypes.c_void_p * 3), ("strides", U32 * 3), ("owns_planes", U32),
        ("alpha", ctypes.c_void_p), ("alpha_stride", U32), ("owns_alpha", U32), ("premultiplied", U32),
        ("icc", ctypes.c_void_p), ("icc_bytes", ctypes.c_size_t),
        ("primaries", ctypes.c_uint16), ("transfer", ctypes.c_uint16), ("matrix", ctypes.c_uint16),
        ("light", ctypes.c_uint16 * 2), ("transforms", U32), ("pasp", U32 * 2), ("clap", U32 * 8),
        ("turns", ctypes.c_uint8), ("axis", ctypes.c_uint8),
    ]


class AvifEncoder(ctypes.Structure):
    """avifEncoder of libavif 1.4.2, up to qualityAlpha."""

    _fields_ = [
        ("codec", U32), ("threads", I32), ("speed", I32), ("interval", I32), ("timescale", ctypes.c_uint64),
        ("repetitions", I32), ("extra_layers", U32), ("quality", I32), ("quality_alpha", I32),
    ]


class DeepEncoder(ctypes.Structure):
    """avifEncoder of libavif 0.11, up to maxQuantizerAlpha."""

    _fields_ = [("codec", U32), ("threads", I32), ("speed", I32), ("interval", I32), ("timescale", ctypes.c_uint64),
                ("quantizers", I32 * 4)]


class Data(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def load(path, encoder):
    lib = ctypes.CDLL(path)
    lib.avifImageCreate.restype = ctypes.POINTER(AvifImage)
    lib.avifEncoderCreate.restype = ctypes.POINTER(encoder)
    return lib


LIB = load(glob.glob(os.path.dirname(PIL.__file__) + "/../pillow.libs/libavif-*")[0], AvifEncoder)
DEEP_LIB = load("libavif.so.15", DeepEncoder)


class Maker:
    """Draws and encodes pictures by a seed."""

    def __init__(self, seed):
        self.random, self.numbers = random.Random(seed), np.random.default_rng(seed)

    def draw(self, width, height, levels):
        y, x = np.mgrid[0:height, 0:width]
        n = self.numbers
        v = np.sin(x * n.uniform(0.02, 0.9) + n.uniform(0, 6)) + np.cos(y * n.uniform(0.02, 0.9))
        v = v + ((x // 9 + y // 7) % 2) * n.choice([0, 1.5])
        v = (v - v.min()) / max(np.ptp(v), 1e-6)
        return (v * (levels - 1)).astype(int)

    def image(self, width, height, depth, fmt, full, matrix, primaries=1, alpha=False, premultiplied=False):
        lib = LIB if depth == 8 else DEEP_LIB
        pointer = lib.avifImageCreate(width, height, depth, fmt)
        assert lib.avifImageAllocatePlanes(pointer, PLANES_ALL if alpha else 1) == 0
        image = pointer.contents
        image.range, image.matrix, image.primaries, image.premultiplied = full, matrix, primaries, premultiplied
        chroma = {1: (width, height), 2: ((width + 1) // 2, height),
                  3: ((width + 1) // 2, (height + 1) // 2)}.get(fmt)
        targets = [(image.planes[0], image.strides[0], width, height)]
        if chroma:
            targets += [(image.planes[i], image.strides[i], *chroma) for i in (1, 2)]
        if alpha:
            targets.append((image.alpha, image.alpha_stride, width, height))
        for address, stride, w, h in targets:
            samples = self.draw(w, h, 1 << depth).astype(np.uint8 if depth == 8 else "<u2")
            for y in range(h):
                row = np.ascontiguousarray(samples[y])
                ctypes.memmove(address + y * stride, row.ctypes.data, row.nbytes)
        return pointer

    def encode(self, images, quality=60, grid=None, layers=0, sequence=False):
        deep = images[0].contents.depth > 8
        lib = DEEP_LIB if deep else LIB
        encoder = lib.avifEncoderCreate()
        e = encoder.contents
        e.speed, e.threads = 6, 1
        if deep:
            e.quantizers[:] = [20, 40, 10, 30]
        else:
            e.quality, e.quality_alpha, e.extra_layers = quality, 80, layers
        if grid:
            array = (ctypes.POINTER(AvifImage) * len(images))(*images)
            result = lib.avifEncoderAddImageGrid(encoder, U32(grid[0]), U32(grid[1]), array, U32(2))
        else:
            result = 0
            for i, image in enumerate(images * (layers + 1)):
                if layers:
                    e.quality = 10 if i == 0 else quality
                flags = 0 if layers or sequence else 2
                result = result or lib.avifEncoderAddImage(encoder, image, ctypes.c_uint64(1), U32(flags))
        out = Data()
        result = result or lib.avifEncoderFinish(encoder, ctypes.byref(out))
        lib.avifEncoderDestroy(encoder)
        for image in images:
            lib.avifImageDestroy(image)
        return None if result else ctypes.string_at(out.data, out.size)

    def save(self, mode="RGB", size=(37, 29), **options):
        """Encodes by Pillow."""
        bands = [Image.fromarray(self.draw(*size, 256).astype(np.uint8)) for _ in mode]
        image = Image.merge(mode, bands) if len(bands) > 1 else bands[0]
        if options.get("save_all"):
            options["append_images"] = [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
        out = io.BytesIO()
        image.save(out, "AVIF", **{"speed": 8, "quality": 60, **options})
        return out.getvalue()

    def any(self):
        """Encodes a picture of any kind, or returns None if libavif refuses it."""
        r = self.random
        depth, fmt, full = r.choice([8, 8, 10, 12]), r.randint(1, 4), r.randint(0, 1)
        matrix, primaries = r.choice([0, 1, 2, 4, 5, 6, 6, 7, 8, 9, 12, 16]), r.choice([1, 2, 5, 9, 12])
        depth, fmt = (10, 1) if matrix == 16 else (depth, 1 if matrix == 0 else fmt)
        full = full or int(matrix in (8, 16))
        alpha, grid = r.random() < 0.4, r.random() < 0.2
        shape = (r.randint(1, 3), r.randint(1, 3)) if grid else (1, 1)
        width, height = (64, r.choice([64, 70])) if grid else (r.randint(1, 150), r.randint(1, 110))
        images = [self.image(width, height, depth, fmt, full, matrix, primaries, alpha, alpha and r.random() < 0.4)
                  for _ in range(shape[0] * shape[1])]
        for image in images:
            image.contents.premultiplied = images[0].contents.premultiplied
        return self.encode(images, r.choice([30, 60, 100]), shape if grid else None, int(depth == 8 and not grid and r.random() < 0.1))

    def damage(self, data):
        data, r = bytearray(data), self.random
        if r.random() < 0.4:
            return bytes(data[: r.randint(1, len(data) - 1)])
        for _ in range(r.randint(1, 4)):
            data[r.randrange(20, len(data))] = r.randrange(256)
        return bytes(data)


def expect(data):
    """Returns what Pillow reads, as the columns of EXPECTED.tsv."""
    try:
        image = AvifImagePlugin.AvifImageFile(io.BytesIO(data))
        exif = Image.Exif()
        exif.load(image.info.get("exif", b""))
        orientation = exif.get(ExifTags.Base.Orientation, 0)
        image.load()
    except Exception:  # noqa: BLE001: of any type
        return ["0"] * 7 + ["refused"]
    info = image.info
    columns = [image.width, image.height, orientation, int(image.mode == "RGBA"), int(image.is_animated),
               len(info.get("icc_profile", b"")), len(info.get("xmp", b""))]
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return [str(c) for c in columns] + [hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()]


def xmp(orientation):
    return (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="%d"/></rdf:RDF>'
            b"</x:xmpmeta>" % orientation)


def exif(orientation=None):
    block = Image.Exif()
    block[ExifTags.Base.ImageDescription] = "drawn"
    if orientation:
        block[ExifTags.Base.Orientation] = orientation
    return block.tobytes()


def fixtures():
    """Yields names and files."""
    m = Maker(20)
    for sampling in ("420", "422", "444", "400"):
        for span in ("full", "limited"):
            name = ":".join(sampling)
            yield f"8-{sampling}-{span}", m.save(subsampling=name, range=span)
    for depth in (10, 12):
        for fmt, sampling in ((1, "444"), (2, "422"), (3, "420"), (4, "400")):
            for alpha in (False, True):
                image = m.image(37, 29, depth, fmt, depth == 10, 9, 9, alpha)
                yield f"{depth}-{sampling}" + "-alpha" * alpha, m.encode([image])
    for matrix in (0, 1, 2, 4, 5, 7, 8, 9, 12, 16):
        depth, fmt = (10, 1) if matrix == 16 else (8, 1 if matrix == 0 else 3)
        yield f"matrix-{matrix}", m.encode([m.image(31, 22, depth, fmt, True, matrix, 12)])
    yield "matrix-0-12bit", m.encode([m.image(31, 22, 12, 1, False, 0)])
    for mode in ("RGBA", "LA"):
        yield mode.lower(), m.save(mode)
        yield mode.lower() + "-premultiplied", m.save(mode, alpha_premultiplied=True)
    for matrix in (4, 9):
        yield f"premultiplied-{matrix}", m.encode([m.image(31, 22, 8, 3, True, matrix, 1, True, True)])
    for size in ((1, 1), (1, 9), (9, 1), (2, 2), (3, 5), (64, 64)):
        yield "size-{}-{}".format(*size), m.save(size=size)
    yield "grid", m.encode([m.image(64, 64, 8, 3, True, 6) for _ in range(6)], grid=(3, 2))
    yield "grid-alpha", m.encode([m.image(64, 64, 8, 3, True, 6, 1, True) for _ in range(2)], grid=(2, 1))
    # The most memory per pixel; of one colour, so that the file is small.
    m.draw, draw = lambda width, height, levels: np.full((height, width), levels // 3), m.draw
    yield "grid-deep", m.encode([m.image(1024, 512, 12, 1, True, 6, 1, True) for _ in range(4)], grid=(2, 2))
    m.draw = draw
    yield "layers", m.encode([m.image(50, 40, 8, 3, True, 6)], layers=1)
    yield "sequence", m.save(save_all=True, duration=100)
    yield "sequence-alpha", m.encode([m.image(40, 30, 8, 3, True, 6, 1, True) for _ in range(2)], sequence=True)
    yield "exif", m.save(exif=exif())
    yield "xmp", m.save(xmp=xmp(6))
    yield "icc", m.save(icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for orientation in range(2, 9):
        yield f"turned-{orientation}", m.save(exif=exif(orientation), size=(13, 8))
    image, block = m.image(13, 8, 8, 3, True, 6), exif(3)
    LIB.avifImageSetMetadataExif(image, block, ctypes.c_size_t(len(block)))
    image.contents.transforms = 0
    yield "exif-alone", m.encode([image])
    for name, flag in (("clap", CLAP), ("pasp", PASP), ("turned-twice", ROTATION | MIRROR)):
        image = m.image(31, 22, 8, 3, True, 6)
        image.contents.transforms, image.contents.turns, image.contents.axis = flag, 3, 1
        image.contents.pasp[:] = [2, 1]
        image.contents.clap[:] = [29, 1, 20, 1, 0, 1, 0, 1]
        yield name, m.encode([image])
    whole = m.save(size=(64, 64))
    yield "cut", whole[: len(whole) // 2]
    yield "cut-end", whole[:-1]
    yield "wide", whole.replace(b"\0\0\0\x40\0\0\0\x40", b"\0\0\xff\xff\0\0\0\x40")


def by_seed(count, seed):
    """Yields names and files, half of them damaged. Each is made in a process of its own, since
    Pillow's encoder may crash."""
    for i in range(count):
        reader, writer = os.pipe()
        if os.fork() == 0:
            m = Maker(seed * 1_000_003 + i)
            data = m.any()
            if data and i % 2:
                data = m.damage(data)
            with open(writer, "wb") as out:
                out.write(data or b"")
            os._exit(0)
        os.close(writer)
        with open(reader, "rb") as pipe:
            data = pipe.read()
        os.wait()
        if data:
            yield f"{seed}-{i}", data


def main():
    warnings.simplefilter("ignore")
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    files = by_seed(int(sys.argv[2]), int(sys.argv[3])) if len(sys.argv) > 1 else fixtures()
    with open(folder / "EXPECTED.tsv", "w") as out:
        for name, data in files:
            (folder / f"{name}.avif").write_bytes(data)
            print(f"{name}.avif", *expect(data), sep="\t", file=out)


main()
