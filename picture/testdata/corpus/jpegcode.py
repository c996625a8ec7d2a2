"""Encodes and takes apart JPEG files: baseline with any sampling and lossless here, all else by cjpeg."""
import itertools
import struct
import subprocess
import tempfile

import numpy as np
from PIL import Image

from draw import draw, save


ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, i // 8 if (i // 8 + i % 8) % 2 else i % 8))
DCT = np.array([[np.cos((2 * x + 1) * u * np.pi / 16) * (0.5 if u else 8 ** -0.5) for x in range(8)]
                for u in range(8)])


def segment(marker, body):
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def split(data):
    """Splits a sound JPEG into its segments. That of a scan has its entropy-coded data."""
    parts, i = [data[:2]], 2
    while i < len(data):
        end = i + 2
        if data[i + 1] != 0xD9:
            end += struct.unpack(">H", data[i + 2:i + 4])[0]
        if data[i + 1] == 0xDA:
            while data[end] != 0xFF or data[end + 1] == 0 or 0xD0 <= data[end + 1] <= 0xD7:
                end += 1
        parts.append(data[i:end])
        i = end
    return parts


def is_frame(part):
    return 0xC0 <= part[1] <= 0xCF and part[1] not in (0xC4, 0xC8, 0xCC)


def scan_range(data):
    """Returns where the entropy-coded data of the first scan start and where those of the last end."""
    parts = split(data)
    first = next(i for i, part in enumerate(parts) if part[1] == 0xDA)
    start = sum(map(len, parts[:first])) + 2 + struct.unpack(">H", parts[first][2:4])[0]
    return start, len(data) - 2


def without(data, *markers):
    return b"".join(part for part in split(data) if part[1] not in markers)


def change_frame(data, change):
    """Returns the JPEG with its frame header changed by a function of a bytearray."""
    parts = split(data)
    for i, part in enumerate(parts):
        if is_frame(part):
            parts[i] = bytearray(part)
            change(parts[i])
    return b"".join(parts)


def insert(data, where, more):
    """Inserts bytes before segment number where."""
    parts = split(data)
    return b"".join(parts[:where]) + more + b"".join(parts[where:])


def cjpeg(pixels, *options, scans=None):
    """Encodes with libjpeg-turbo's cjpeg."""
    height, width = pixels.shape[:2]
    grey = pixels.ndim == 2 or pixels.shape[2] == 1
    command = ["cjpeg", *map(str, options)]
    data = b"P%d %d %d 255\n" % (5 if grey else 6, width, height) + pixels.tobytes()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as script:
        if scans:
            script.write(scans)
            script.flush()
            command += ["-scans", script.name]
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout


class Bits:
    """Collects bits, the highest first, with a zero byte after each 0xFF."""

    def __init__(self):
        self.out, self.value, self.count = bytearray(), 0, 0

    def put(self, value, count):
        self.value, self.count = self.value << count | value, self.count + count
        while self.count >= 8:
            self.count -= 8
            byte = self.value >> self.count & 255
            self.out += b"\xff\0" if byte == 255 else bytes([byte])
        self.value &= (1 << self.count) - 1

    def restart(self, number):
        self.pad()
        self.out += bytes([0xFF, 0xD0 + number % 8])

    def pad(self):
        if self.count:
            self.put((1 << 8 - self.count) - 1, 8 - self.count)


def huffman_codes(lengths, symbols):
    """Returns the code and its length for each symbol."""
    codes, code, i = {}, 0, 0
    for length, number in enumerate(lengths, 1):
        for symbol in symbols[i:i + number]:
            codes[symbol] = code, length
            code += 1
        code, i = code << 1, i + number
    return codes


def standard_tables():
    """Returns the segments of the standard Huffman tables and their codes, as Pillow writes them."""
    parts = [part for part in split(save(Image.new("RGB", (8, 8)), "JPEG")) if part[1] == 0xC4]
    codes, body = {}, b"".join(part[4:] for part in parts)
    while body:
        number = sum(body[1:17])
        codes[body[0]] = huffman_codes(body[1:17], body[17:17 + number])
        body = body[17 + number:]
    return b"".join(parts), codes


STANDARD_SEGMENTS, STANDARD_CODES = standard_tables()


def put_value(bits, code, value, category):
    bits.put(*code)
    bits.put(value if value > 0 else value + (1 << category) - 1, category)


def put_block(bits, block, last, table):
    """Writes the coefficients of a block, in zigzag order, with the standard Huffman table."""
    dc, ac = STANDARD_CODES[table], STANDARD_CODES[0x10 + table]
    difference = int(block[0]) - last
    category = abs(difference).bit_length()
    put_value(bits, dc[category], difference, category)
    zeros = 0
    for value in map(int, block[1:]):
        if value == 0:
            zeros += 1
            continue
        for _ in range(zeros // 16):
            bits.put(*ac[0xF0])
        category = abs(value).bit_length()
        put_value(bits, ac[zeros % 16 * 16 + category], value, category)
        zeros = 0
    if zeros:
        bits.put(*ac[0])


def encode(planes, factors, ids=None, restart=0, quality=4, scans=None, more=b"", headers=(0xC0,)):
    """Encodes planes of full size as a baseline JPEG, component i with factors[i] (across, down)."""
    height, width = planes[0].shape
    ids = ids or list(range(1, len(planes) + 1))
    across, down = max(f[0] for f in factors), max(f[1] for f in factors)
    columns, rows = -(-width // (8 * across)), -(-height // (8 * down))
    quant = [min(255, 3 + (i // 8 + i % 8) * quality) for i in ZIGZAG]
    blocks, sizes = [], []
    for plane, (h, v) in zip(planes, factors):
        sizes.append((-(-width * h // across), -(-height * v // down)))
        x = np.minimum(np.arange(columns * 8 * h) * across // h, width - 1)
        y = np.minimum(np.arange(rows * 8 * v) * down // v, height - 1)
        samples = plane[y][:, x].astype(float) - 128
        grid = samples.reshape(rows * v, 8, columns * h, 8).swapaxes(1, 2)
        levels = (DCT @ grid @ DCT.T).reshape(rows * v, columns * h, 64)[:, :, ZIGZAG]
        blocks.append(np.rint(levels / quant).astype(int))
    frame = struct.pack(">BHHB", 8, height, width, len(planes))
    for id, (h, v) in zip(ids, factors):
        frame += bytes([id, h << 4 | v, 0])
    out = b"\xff\xd8" + more + segment(0xDB, b"\0" + bytes(quant)) + segment(headers[0], frame) + STANDARD_SEGMENTS
    if restart:
        out += segment(0xDD, struct.pack(">H", restart))
    for scan in scans or [list(range(len(planes)))]:
        tables = b"".join(bytes([ids[c], 0x11 if c else 0]) for c in scan)
        out += segment(0xDA, bytes([len(scan)]) + tables + b"\0\x3f\0")
        bits, last = Bits(), [0] * len(planes)
        for number, units in enumerate(scan_units(scan, sizes, factors, rows, columns)):
            if restart and number and number % restart == 0:
                bits.restart(number // restart - 1)
                last = [0] * len(planes)
            for c, y, x in units:
                put_block(bits, blocks[c][y, x], last[c], 1 if c else 0)
                last[c] = int(blocks[c][y, x, 0])
        bits.pad()
        out += bytes(bits.out)
    return out + b"\xff\xd9"


def scan_units(scan, sizes, factors, rows, columns):
    """Yields the blocks (component, row, column) of each minimum coded unit of a scan."""
    if len(scan) == 1:
        width, height = sizes[scan[0]]
        for y, x in itertools.product(range(-(-height // 8)), range(-(-width // 8))):
            yield [(scan[0], y, x)]
        return
    for y, x in itertools.product(range(rows), range(columns)):
        yield [(c, y * factors[c][1] + j, x * factors[c][0] + i)
               for c in scan for j in range(factors[c][1]) for i in range(factors[c][0])]


def encode_lossless(pixels, predictor, transform=0, restart_rows=0, ids=None, more=b"", precision=8):
    """Encodes a lossless JPEG (SOF3). Each row is a row of minimum coded units."""
    height, width, channels = pixels.shape
    ids = ids or list(range(1, channels + 1))
    lengths = [0, 0, 0, 15, 1, 1] + [0] * 10  # categories 0 to 14 take 4 bits, 15 takes 5, 16 takes 6
    codes = huffman_codes(lengths, range(17))
    out = b"\xff\xd8" + more + segment(0xC3, struct.pack(">BHHB", precision, height, width, channels) +
                                       b"".join(bytes([id, 0x11, 0]) for id in ids))
    out += segment(0xC4, b"\0" + bytes(lengths) + bytes(range(17)))
    if restart_rows:
        out += segment(0xDD, struct.pack(">H", restart_rows * width))
    out += segment(0xDA, bytes([channels]) + b"".join(bytes([id, 0]) for id in ids) + bytes([predictor, 0, transform]))
    bits, samples = Bits(), (pixels >> transform).astype(int)
    for y in range(height):
        first = y == 0 or restart_rows and y % restart_rows == 0
        if first and y:
            bits.restart(y // restart_rows - 1)
        for x, c in itertools.product(range(width), range(channels)):
            left = samples[y, x - 1, c] if x else 0
            above = 0 if first else samples[y - 1, x, c]
            corner = samples[y - 1, x - 1, c] if x and not first else 0
            if first:
                guess = left if x else 1 << precision - transform - 1
            elif not x:
                guess = above
            else:
                guess = (left, above, corner, left + above - corner, left + (above - corner >> 1),
                         above + (left - corner >> 1), left + above >> 1)[predictor - 1]
            difference = int(samples[y, x, c] - guess)
            category = abs(difference).bit_length()
            put_value(bits, codes[category], difference, category)
    bits.pad()
    return out + bytes(bits.out) + b"\xff\xd9"


def ycc_planes(r, size=None):
    pixels = np.asarray(Image.fromarray(draw(r, size)).convert("YCbCr"))
    return [pixels[:, :, i] for i in range(3)]


def scan_script(r, components):
    """Returns a random valid progressive scan script for cjpeg."""
    everything, low = ",".join(map(str, range(components))), r.randint(0, 2)
    together = r.random() < 0.7
    first = [f"{c}: 0-0, 0, {low};" for c in ([everything] if together else range(components))]
    refinements = [f"{everything}: 0-0, {bit}, {bit - 1};" for bit in range(low, 0, -1)]
    bands = []
    for c in range(components):
        cuts = sorted(r.sample(range(2, 63), r.randint(0, 3)))
        low = r.randint(0, 2)
        bands += [f"{c}: {a}-{b}, 0, {low};" for a, b in zip([1] + [cut + 1 for cut in cuts], cuts + [63])]
        refinements += [f"{c}: 1-63, {bit}, {bit - 1};" for bit in range(low, 0, -1)]
    r.shuffle(bands)
    return "\n".join(first + bands + refinements)


CODINGS = {"baseline": [], "progressive": ["-progressive"], "arithmetic": ["-arithmetic"],
           "arithmetic progressive": ["-arithmetic", "-progressive"]}


def choose_coding(r, n, size=None, restarts=False, codings=None):
    """Encodes a picture with the coding of number n. Returns the JPEG and what it is."""
    names = codings or list(CODINGS)
    name = names[n % len(names)]
    sampling = r.choice(("1x1", "2x1", "2x2", "1x2"))
    quality = r.choice((20, 50, 75, 90, 95))
    options = ["-quality", quality, "-sample", sampling, *CODINGS[name]]
    what = f"{name}, {sampling}, quality {quality}"
    if restarts:
        interval = r.randint(1, 4)
        options += ["-restart", f"{interval}B"]
        what += f", restart interval {interval}"
    pixels = draw(r, size or (r.randint(24, 64), r.randint(24, 48)))
    if r.random() < 0.15:
        return cjpeg(np.asarray(Image.fromarray(pixels).convert("L")), *options, "-sample", "1x1"), what + ", grey"
    return cjpeg(pixels, *options), what
