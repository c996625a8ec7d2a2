"""Makes small pictures of every format, of all kinds that Pillow reads or refuses, and
a table of what Pillow makes of each: corpus.zip and corpus.tsv.

    python make.py --seed N FOLDER

corpus.zip and corpus.tsv beside this file are those of seed 1.

The modules beside this one make the files. Each kind of file is a function with the
decorator @kind. It makes as many variants as the decorator says, by random numbers that
depend on the seed, the kind and the number of the variant only. It returns the bytes of
the file and what is special about them.

The reference is Pillow 13.0.0 with pillow-heif 1.8.1; requirements.txt names all
packages. cjpeg of libjpeg-turbo 2.1.5 encodes what Pillow does not: arithmetic coding,
and progressive files with given scans.

Columns of corpus.tsv: file, kind, what is special, width x height of the upright
picture, the first 16 digits of the SHA-256 of its RGB bytes over white, and the same
digits with LOAD_TRUNCATED_IMAGES if they differ. "refused" stands for an exception.
The pixels of HEIC may differ by 2 levels: they are in the archive as FILE.png.
"""
import argparse
import hashlib
import io
import os
import random
import sys
import warnings
import zipfile

import numpy as np
import pillow_heif
from PIL import Image, ImageFile, ImageOps

import bmp  # noqa: F401, it registers its kinds, as those below do
import gif  # noqa: F401
import heif  # noqa: F401
import jpeg  # noqa: F401
import png  # noqa: F401
import tiff  # noqa: F401
import webp  # noqa: F401
from draw import KINDS, save

Image.init()
pillow_heif.register_heif_opener()
FORMATS = ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "ICO", "CUR", "HEIF", "AVIF"]


def read_upright(data):
    """Returns the upright RGB pixels over white that Pillow reads."""
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    image.load()
    try:
        image = ImageOps.exif_transpose(image)
    except Exception:  # EXIF is broken: the picture can be read, but its orientation is unknown
        pass
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def reference(data, keep_truncated):
    """Returns the pixels, or the name of the exception with which Pillow refuses."""
    ImageFile.LOAD_TRUNCATED_IMAGES = keep_truncated
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read_upright(data)
    except Exception as error:  # whatever Pillow raises is a refusal
        return type(error).__name__
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def digest(pixels):
    return "refused" if isinstance(pixels, str) else hashlib.sha256(pixels.tobytes()).hexdigest()[:16]




def make_files(seed, only):
    """Yields (name, kind, what, bytes) of each file."""
    for name, ending, count, make in KINDS:
        for n in range(count):
            if only and only not in name:
                continue
            data, what = make(random.Random(f"{seed}/{name}/{n}"), n)
            yield f"{name}-{n:02d}.{ending}", name, what, data


def add(archive, name, data):
    """Adds a file to the archive, with a fixed date so that the same files give the same archive."""
    archive.writestr(zipfile.ZipInfo(name, (2026, 11, 28, 0, 0, 0)), data, zipfile.ZIP_DEFLATED, 9)


def describe(data, heic):
    """Returns the columns of the table for a file, and its pixels as PNG if they are needed."""
    pixels, kept = reference(data, False), reference(data, not heic)  # libheif keeps nothing: all is black
    size = "" if isinstance(pixels, str) else f"{pixels.shape[1]}x{pixels.shape[0]}"
    png_bytes = save(Image.fromarray(pixels), "PNG", optimize=True) if heic and size else None
    return [size, digest(pixels), "" if digest(kept) == digest(pixels) else digest(kept)], png_bytes


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seed", type=int, default=1, help="seed of all random numbers (1)")
    arguments.add_argument("--kind", default="", help="make only the kinds whose names contain this")
    arguments.add_argument("--loose", action="store_true", help="write each file beside the archive as well")
    arguments.add_argument("folder")
    given = arguments.parse_args()
    os.makedirs(given.folder, exist_ok=True)
    rows = ["file\tkind\twhat\tsize\tdigest\tdigest if truncated files are kept"]
    with zipfile.ZipFile(os.path.join(given.folder, "corpus.zip"), "w") as archive:
        for name, its_kind, what, data in make_files(given.seed, given.kind):
            columns, png_bytes = describe(data, name.endswith(".heic"))
            rows.append("\t".join([name, its_kind, what] + columns))
            add(archive, name, data)
            if png_bytes:
                add(archive, name + ".png", png_bytes)
            if given.loose:
                with open(os.path.join(given.folder, name), "wb") as out:
                    out.write(data)
    with open(os.path.join(given.folder, "corpus.tsv"), "w") as table:
        table.write("\n".join(rows) + "\n")
    print(f"seed {given.seed}: {len(rows) - 1} files", file=sys.stderr)


if __name__ == "__main__":
    main()
