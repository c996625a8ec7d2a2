"""Makes the folder processes: small JPEGs of arithmetic and of lossless coding, some of them damaged,
and digests.tsv with what Pillow decodes them to: file, scale, width, height, and the first 16 digits
of the SHA-256 of the RGB bytes, or "refused".

Made with Pillow 13.0.0 (libjpeg-turbo 3.2) and cjpeg and jpegtran of libjpeg-turbo 2.1.5:
python make_processes.py
"""
import hashlib
import io
import math
import os
import shutil
import subprocess

import numpy as np
from PIL import Image

import lossless

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "processes")
shutil.rmtree(folder, ignore_errors=True)
os.mkdir(folder)
digests = open(os.path.join(folder, "digests.tsv"), "w")


def drawn(width, height):
    """Colours, edges and texture, as an array of four channels."""
    y, x = np.mgrid[0:height, 0:width]
    wave = 127 + 120 * np.sin(x / 7 + y / 13)
    return np.stack([wave, 255 * ((x // 5 + y // 4) % 2), (x * 7 + y * 11) % 256, x * 5], axis=-1).astype("uint8")


def decode(data, scale):
    try:
        image = Image.open(io.BytesIO(data))
        width, height = image.size
        if scale > 1:
            image.draft(image.mode, (max(1, width // scale), max(1, height // scale)))
        image.load()
    except (OSError, SyntaxError):
        return "refused"
    assert image.size == (math.ceil(width / scale), math.ceil(height / scale))
    pixels = image.convert("RGB")
    return "\t".join([str(n) for n in pixels.size] + [hashlib.sha256(pixels.tobytes()).hexdigest()[:16]])


def keep(name, data, scales=(1,)):
    with open(os.path.join(folder, name + ".jpg"), "wb") as f:
        f.write(data)
    for scale in scales:
        print(name + ".jpg", scale, decode(data, scale), sep="\t", file=digests)


def run(*command, data):
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def find_middle(data):
    """The place of an ordinary byte amid the data of the scans."""
    middle = (data.index(b"\xff\xda") + len(data)) // 2
    while 0xff in data[middle - 1:middle + 2]:
        middle += 1
    return middle


def damage(data):
    middle = find_middle(data)
    return data[:middle] + bytes([(data[middle] + 100) % 255]) + data[middle + 1:]


def make_arithmetic():
    """Sound files, decoded at all scales."""
    width, height = 37, 29
    picture = drawn(width, height)[:, :, :3]
    bitmap = b"P6 %d %d 255\n" % (width, height) + picture.tobytes()
    samplings = {"444": "1x1", "422": "2x1", "420": "2x2", "440": "1x2", "411": "4x1", "mixed": "2x2,1x2,2x1"}
    options = {sampling: ["-sample", factors] for sampling, factors in samplings.items()}
    options |= {"grey": ["-grayscale"], "rgb": ["-rgb"], "restart": ["-restart", "2B"]}
    for name, arguments in options.items():
        for process, more in ("arithmetic", []), ("progressive", ["-progressive"]):
            data = run("cjpeg", "-arithmetic", "-quality", "80", *arguments, *more, data=bitmap)
            keep(f"{process}-{name}", data, (1, 2, 4, 8))
    cmyk = io.BytesIO()
    Image.fromarray(drawn(width, height), "CMYK").save(cmyk, "JPEG", quality=80)
    keep("arithmetic-cmyk", run("jpegtran", "-arithmetic", data=cmyk.getvalue()), (1, 2, 4, 8))


def make_damaged_arithmetic():
    for process in "arithmetic", "progressive":
        for name in "420", "restart":
            with open(os.path.join(folder, f"{process}-{name}.jpg"), "rb") as f:
                data = f.read()
            keep(f"damaged-{process}-{name}", damage(data), (1, 4))
            keep(f"ended-{process}-{name}", data[:find_middle(data)] + b"\xff\xd9", (1, 4))
            keep(f"cut-{process}-{name}", data[:find_middle(data)])
    with open(os.path.join(folder, "arithmetic-420.jpg"), "rb") as f:
        data = f.read()
    at = data.index(b"\xff\xda")
    keep("invalid-arithmetic", data[:at + 71] + 12 * b"\xfe" + data[at + 83:], (1, 8))
    # The data were not coded with these parameters, and decode to something else.
    conditions = bytes([0x00, 0x51, 0x01, 0x40, 0x10, 0x02, 0x11, 0x3f])
    keep("conditions", data[:at] + lossless.segment(0xcc, conditions) + data[at:], (1, 8))
    keep("conditions-malformed", data[:at] + lossless.segment(0xcc, b"\x00\x12") + data[at:])


def make_lossless():
    width, height = 23, 17
    picture = drawn(width, height)
    grey, colours, inks = [[picture[:, :, i] for i in range(n)] for n in (1, 3, 4)]
    for predictor in range(1, 8):
        data = lossless.encode(grey, width, height, predictor=predictor)
        keep(f"lossless-{predictor}", data)
        keep(f"damaged-lossless-{predictor}", damage(data))
    data = lossless.encode(colours, width, height, predictor=4, restart_rows=3)
    keep("lossless-restart", data)
    keep("ended-lossless", data[:find_middle(data)] + b"\xff\xd9")
    keep("cut-lossless", data[:find_middle(data)])
    keep("lossless-shift", lossless.encode(colours, width, height, predictor=5, shift=2))
    keep("lossless-scans", lossless.encode(colours, width, height, predictor=7, interleaved=False))
    adobe = b"Adobe\0\x64" + bytes(5)
    keep("lossless-cmyk", lossless.encode(inks, width, height, predictor=6, markers=lossless.segment(0xee, adobe)))
    halves = [colours[0], colours[1][::2, ::2], colours[2][:, ::2]]
    factors = [(2, 2), (1, 1), (1, 2)]
    keep("lossless-sampled", lossless.encode(halves, width, height, factors, predictor=2))
    keep("lossless-sampled-scans", lossless.encode(halves, width, height, factors, 3, 1, 2, interleaved=False))
    jfif = lossless.segment(0xe0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    keep("lossless-ycc", lossless.encode(colours, width, height, markers=jfif))
    keep("lossless-12", lossless.encode(grey, width, height, precision=12))
    sound = lossless.encode(grey, width, height)
    keep("lossless-arithmetic", sound.replace(b"\xff\xc3", b"\xff\xcb"))
    keep("hierarchical", sound.replace(b"\xff\xc3", b"\xff\xc5"))
    keep("lossless-tables", sound.replace(b"\xff\xc4", b"\xff\xfe"))
    keep("lossless-predictor", lossless.encode(grey, width, height).replace(b"\1\0\0", b"\0\0\0"))
    keep("lossless-interval", sound.replace(b"\xff\xda", lossless.segment(0xdd, b"\0\5") + b"\xff\xda"))


make_arithmetic()
make_damaged_arithmetic()
make_lossless()
digests.close()
