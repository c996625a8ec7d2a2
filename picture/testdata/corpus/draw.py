"""Draws pictures, registers kinds of files and makes EXIF and XMP."""
import io
import struct

import numpy as np
from PIL import Image

KINDS = []


def kind(name, ending, count):
    """Registers a function(r, n) as the maker of a kind. n counts its variants from 0."""
    def register(make):
        KINDS.append((name, ending, count, make))
        return make
    return register


def choose_size(r, largest=56):
    """Returns a width and a height, now and then very small ones."""
    if r.random() < 0.1:
        return r.randint(1, 9), r.randint(1, 9)
    return r.randint(8, largest), r.randint(8, largest * 3 // 4)


def draw(r, size=None, channels=3):
    """Draws waves, squares, a disc and some noise. The last of 2 or 4 channels is alpha."""
    width, height = size or choose_size(r)
    y, x = np.mgrid[0:height, 0:width].astype(float)
    planes = []
    for _ in range(channels):
        wave = 127 + 120 * np.sin(x / r.uniform(3, 15) + y / r.uniform(3, 15) + r.uniform(0, 6))
        squares = 255.0 * ((x // r.randint(3, 9) + y // r.randint(3, 9)) % 2)
        share = r.uniform(0, 0.6)
        planes.append(wave * (1 - share) + squares * share)
    pixels = np.stack(planes, axis=-1)
    disc = (x - r.uniform(0, width)) ** 2 + (y - r.uniform(0, height)) ** 2 < (min(width, height) / 3) ** 2
    pixels[disc] = pixels[disc] * 0.3 + 0.7 * np.array([r.choice((0, 60, 150, 255)) for _ in range(channels)])
    if r.random() < 0.3:
        noise = np.frombuffer(r.randbytes(pixels.size), np.uint8).reshape(pixels.shape)
        pixels += noise / 8.0 - 16
    return pixels.round().clip(0, 255).astype(np.uint8)


def picture(r, mode="RGB", size=None):
    """Draws a picture of one of Pillow's modes."""
    if mode in ("1", "P", "I;16"):
        pixels = draw(r, size)
        if mode == "P":
            return Image.fromarray(pixels).quantize(r.choice((2, 4, 13, 16, 100, 256)))
        grey = Image.fromarray(pixels).convert("L")
        return grey.convert("1") if mode == "1" else Image.fromarray(np.asarray(grey).astype(np.uint16) * 251 + 77)
    channels = len(mode)
    return Image.frombytes(mode, *(lambda p: ((p.shape[1], p.shape[0]), p.tobytes()))(draw(r, size, channels)))


def save(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def listed(options):
    """Returns options as text."""
    return ", ".join(f"{name} {value}" for name, value in options.items())


def flip_bits(r, data, start, end, count):
    """Flips bits of data[start:end]."""
    data = bytearray(data)
    for _ in range(count):
        if end > start:
            data[r.randrange(start, end)] ^= 1 << r.randrange(8)
    return bytes(data)


SHORT, LONG, SSHORT = 3, 4, 8


def exif_body(orientation, order="<", type=SHORT, before=(), offset=8, count=1):
    """Returns a TIFF structure with one directory, which has the orientation."""
    entries = [(tag, 2, 4, b"abc\0") for tag in before]
    value = struct.pack(order + {SHORT: "H", LONG: "I", SSHORT: "h", 1: "B", 2: "B", 6: "b", 9: "i"}[type],
                        orientation)
    entries.append((0x112, type, count, (value * count).ljust(4, b"\0")[:4]))
    body = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", offset)
    body += bytes(offset - 8) + struct.pack(order + "H", len(entries))
    for tag, code, number, four in entries:
        body += struct.pack(order + "HHI", tag, code, number) + four
    return body + bytes(4)


def xmp_packet(orientation, form):
    """Returns an XMP packet with the orientation as an attribute or as an element."""
    attribute, element = "", ""
    if form == "attribute":
        attribute = f' tiff:Orientation="{orientation}"'
    elif form == "single quotes":
        attribute = f" tiff:Orientation='{orientation}'"
    else:
        element = f"<tiff:Orientation>{orientation}</tiff:Orientation>"
    return ('<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
            '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/"{attribute}>{element}'
            '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>').encode()


def choose_orientation(r, n):
    """Returns the EXIF body and the XMP packet, of which one may be None, and a description."""
    orientation = n % 8 + 1
    order = r.choice("<>")
    says = f"orientation {orientation} {'II' if order == '<' else 'MM'}"
    variant = n // 8 if n < 64 else r.randrange(8)
    other = r.randint(1, 8)
    match variant:
        case 0:
            return exif_body(orientation, order), None, says + " SHORT"
        case 1:
            return exif_body(orientation, order, LONG), None, says + " LONG"
        case 2:
            return exif_body(orientation, order, SSHORT), None, says + " SSHORT"
        case 3:
            form = r.choice(("attribute", "element"))
            return None, xmp_packet(orientation, form), f"orientation {orientation} in XMP, {form}"
        case 4:
            odd = exif_body(orientation, order, before=(0x10F, 0x110), offset=8 + 2 * r.randrange(20))
            return odd, None, says + " SHORT after other tags"
        case 5:
            return exif_body(orientation, order), xmp_packet(other, "attribute"), f"{says}, but {other} in XMP"
        case 6:
            type, count = r.choice(((1, 1), (9, 1), (6, 1), (SHORT, 2), (2, 1)))
            return exif_body(orientation, order, type, count=count), None, f"{says} of type {type}, {count} values"
    bad = r.choice((0, 9, 255))
    form = r.choice(("attribute", "single quotes"))
    what = f"orientation {bad} in EXIF, {orientation} in XMP {form}"
    return exif_body(bad, order), xmp_packet(orientation, form), what
