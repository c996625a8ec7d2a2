"""Makes the folder damaged: files of make.py with damage and oddities, and in digests.tsv the pixels
that Pillow decodes them to (see digest.py).

Made with Pillow 13.0.0 (libjpeg-turbo 3.2): python make_damaged.py
"""
import os
import shutil

import digest

here = os.path.dirname(os.path.abspath(__file__))
folder = os.path.join(here, "damaged")
shutil.rmtree(folder, ignore_errors=True)
os.mkdir(folder)
digests = open(os.path.join(folder, "digests.tsv"), "w")

EOI = b"\xff\xd9"


def read(name):
    with open(os.path.join(here, name + ".jpg"), "rb") as file:
        return file.read()


def keep(name, data):
    name += ".jpg"
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)
    for scale in (1, 2, 4, 8):
        digests.write(digest.line(folder, name, scale, False))
    digests.write(digest.line(folder, name, 1, True))


def segments(data):
    """The pieces of a file: pairs of a marker and its bytes, with 0 for entropy-coded data."""
    pieces, at = [], 0
    while at < len(data):
        end = at + 2
        marker = data[at + 1] if data[at] == 0xFF else 0
        if not marker:
            while data[end - 1] != 0xFF or data[end] == 0:
                end += 1
            end -= 1
        elif marker not in (0xD8, 0xD9) and not 0xD0 <= marker <= 0xD7:
            end += int.from_bytes(data[at + 2:at + 4], "big")
        pieces.append((marker, data[at:end]))
        at = end
    return pieces


def join(pieces):
    return b"".join(piece for _, piece in pieces)


def find(pieces, marker):
    """The indices of the pieces with a marker; 0xD0 stands for all restart markers."""
    return [i for i, (m, _) in enumerate(pieces) if m == marker or marker == 0xD0 and 0xD0 <= m <= 0xD7]


def insert(pieces, at, data):
    return join(pieces[:at]) + data + join(pieces[at:])


def change(data, at, value):
    return data[:at] + bytes([value]) + data[at + 1:]


sequential, restart, progressive = read("37x41-420"), read("65x33-restart"), read("37x41-420-progressive")
small, grey, cmyk = read("17x9-420"), read("17x9-grey"), read("17x9-cmyk")

# Files that end early.
for name, data in (("420", sequential), ("restart", restart), ("progressive", progressive), ("cmyk", cmyk)):
    header = data.index(b"\xff\xda")
    for percent in (20, 60):
        cut = data[:header + (len(data) - header) * percent // 100]
        if percent == 60:
            keep(f"cut-{name}", cut)
        keep(f"cut-{name}-{percent}-closed", cut + EOI)
for name, data in (("420", small), ("grey", grey), ("progressive", progressive)):
    keep(f"unclosed-{name}", data[:-2])
for surplus in (1, 6, 7, 8):
    keep(f"unclosed-surplus-{surplus}", grey[:-2] + bytes(surplus))

# Wrong bits. Some give values that do not fit into the range of the transform.
for name, data in (("420", sequential), ("restart", restart), ("progressive", progressive), ("cmyk", cmyk)):
    begin = data.index(b"\xff\xda") + 14
    for i, part in enumerate((5, 3, 2)):
        at = begin + (len(data) - begin) // part
        if 0xFF not in data[at - 1:at + 2]:
            keep(f"flip-{name}-{i}", change(data, at, data[at] ^ 0x24))
tables = segments(sequential)
i = find(tables, 0xDB)[0]
keep("large-steps", insert(tables[:i] + tables[i + 1:], i, tables[i][1][:5] + b"\xff" * 64))

# Restart markers.
pieces = segments(restart)
markers = find(pieces, 0xD0)
keep("restart-missing", join(pieces[:markers[1]] + pieces[markers[1] + 1:]))
keep("restart-interval-missing", join(pieces[:markers[1]] + pieces[markers[2]:]))
keep("restart-three-missing", join(pieces[:markers[0]] + pieces[markers[3]:]))
keep("restart-twice", insert(pieces, markers[2], pieces[markers[2]][1]))
keep("restart-surplus", insert(pieces, markers[1], b"\x12\x34\xff\x00\x56\xff"))
for number in (0xD0, 0xD2, 0xD5, 0xD7, 0x3F, 0xC8):
    keep(f"restart-{number:x}", join(pieces[:markers[1]]) + bytes([0xFF, number]) + join(pieces[markers[1] + 1:]))
keep("restart-interval-length", insert(pieces, 2, b"\xff\xdd\0\5\0\1\0"))

# Scans of progressive pictures.
pieces = segments(progressive)
scans = find(pieces, 0xDA)
for count in (1, 2, 3, len(scans) - 1):
    keep(f"scans-{count}", join(pieces[:scans[count]]) + EOI)
keep("scans-first-missing", join(pieces[:scans[0]] + pieces[scans[0] + 2:]))
keep("scans-third-missing", join(pieces[:scans[2]] + pieces[scans[2] + 2:]))
keep("scans-twice", insert(pieces, scans[4], join(pieces[scans[1]:scans[1] + 2])))
keep("scans-range", change(progressive, progressive.index(b"\xff\xda") + 11, 1))

# Tables and headers.
pieces = segments(small)
keep("tables-missing", join(p for p in pieces if p[0] != 0xC4))
keep("quantization-missing", join(p for p in pieces if p[0] != 0xDB))
keep("tables-before", join([pieces[0]] + [p for p in pieces if p[0] in (0xC4, 0xDB)]) + EOI
     + join(p for p in pieces if p[0] not in (0xC4, 0xDB)))
frame, scan = small.index(b"\xff\xc0"), small.index(b"\xff\xda")
keep("height-0", change(small, frame + 6, 0))
keep("height-plus-8", change(small, frame + 6, 17))
keep("height-minus-8", change(small, frame + 6, 1))
keep("width-plus-8", change(small, frame + 8, 25))
keep("blocks-11", change(change(small, frame + 11, 0x42), frame + 14, 0x12))
keep("sampling-3", change(change(small, frame + 11, 0x31), frame + 14, 0x21))
keep("sampling-0", change(small, frame + 11, 0x20))
keep("ids-equal", change(change(small, frame + 13, 1), scan + 7, 1))
keep("ids-swapped", change(change(small, scan + 5, 2), scan + 7, 1))
keep("components-2", change(small, frame + 9, 2))
keep("bits-12", change(small, frame + 4, 12))
keep("surplus-bytes", insert(pieces, 2, b"\0\x12\xff\0\x34"))
keep("fill-bytes", insert(pieces, 2, b"\xff" * 5))
keep("second-file", small + grey)
keep("second-scan", small[:-2] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + EOI)
keep("second-frame", insert(pieces, find(pieces, 0xDA)[0], pieces[find(pieces, 0xC0)[0]][1]))
keep("surplus-after-scan", small[:-2] + b"\0" * 20 + EOI)
keep("unknown-marker-after-scan", small[:-2] + b"\xff\xf3" + EOI)
for marker in (0xE0, 0xE5, 0xEE, 0xFE, 0xDB):
    for length in (0, 1):
        keep(f"length-{length}-{marker:x}", insert(pieces, 2, bytes([0xFF, marker, 0, length])))

# Colour spaces.
bare = [p for p in segments(read("17x9-444")) if p[0] != 0xE0]
for name, ids in (("rgb", b"RGB"), ("012", b"\0\1\2")):
    data = join(bare)
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    for i in range(3):
        data = change(change(data, frame + 10 + 3 * i, ids[i]), scan + 5 + 2 * i, ids[i])
    keep(f"colours-{name}", data)
    keep(f"colours-{name}-jfif", data[:2] + segments(sequential)[1][1] + data[2:])
for transform in (0, 1, 2):
    adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform])
    keep(f"colours-adobe-{transform}", insert(bare, 1, adobe))
    keep(f"colours-cmyk-adobe-{transform}", join([p for p in segments(cmyk)][:1]) + adobe
         + join(p for p in segments(cmyk)[1:] if p[0] != 0xEE))
