"""Random VP8 and VP8L streams, of kinds that Pillow's encoder does not write.

The headers are written field by field. What follows are random bytes, which both formats
decode to something.
"""
import os
import re
import struct

folder = os.path.dirname(os.path.abspath(__file__))


def read_update_probabilities():
    with open(os.path.join(folder, "../../vp8/tables.go"), encoding="utf-8") as f:
        table = re.search(r"var coefficientUpdates = .*?uint8(.*?)\n}\n", f.read(), re.S).group(1)
    return [int(v) for v in re.findall(r"\d+", table)]


update_probabilities = read_update_probabilities()


class BooleanWriter:
    """Writes decisions as in section 7.3 of RFC 6386."""

    def __init__(self):
        self.number, self.bits, self.range = 0, 0, 255

    def put(self, decision, probability=128):
        split = 1 + ((self.range - 1) * probability >> 8)
        if decision:
            self.number += split
            self.range -= split
        else:
            self.range = split
        while self.range < 128:
            self.range <<= 1
            self.number <<= 1
            self.bits += 1

    def number_of(self, value, bits):
        for i in reversed(range(bits)):
            self.put(value >> i & 1)

    def optional(self, value, bits):
        """None stands for the value that is not there."""
        self.put(value is not None)
        if value is not None:
            self.number_of(abs(value), bits)
            self.put(value < 0)

    def finish(self):
        bits = self.bits + 8
        pad = -bits % 8
        return (self.number << pad).to_bytes((bits + pad) // 8, "big")


def random_bytes(random, n):
    kind = random.random()
    if kind < 0.6:
        return random.randbytes(n)
    usual = 0 if kind < 0.8 else 255
    return bytes(random.choice([usual, usual, random.randrange(256)]) for _ in range(n))


def write_segments(random, w):
    enabled = random.random() < 0.6
    w.put(enabled)
    if not enabled:
        return
    has_map, has_data = random.random() < 0.7, random.random() < 0.8
    w.put(has_map)
    w.put(has_data)
    if has_data:
        w.put(random.randrange(2))
        for bits in (7, 6):
            for _ in range(4):
                most = 2**bits - 1
                w.optional(random.choice([None, random.randint(-most, most)]), bits)
    if has_map:
        for _ in range(3):
            coded = random.random() < 0.7
            w.put(coded)
            if coded:
                w.number_of(random.randrange(256), 8)


def write_filter(random, w):
    w.put(random.random() < 0.4)
    w.number_of(random.choice([0, random.randrange(64), random.randrange(64)]), 6)
    w.number_of(random.choice([0, random.randrange(8)]), 3)
    differs = random.random() < 0.5
    w.put(differs)
    if differs:
        changes = random.random() < 0.8
        w.put(changes)
        for _ in range(8 if changes else 0):
            w.optional(random.choice([None, random.randint(-63, 63)]), 6)


def vp8(random, width, height):
    """A key frame. Some are cut."""
    w = BooleanWriter()
    w.put(random.randrange(2))
    w.put(random.randrange(2))
    write_segments(random, w)
    write_filter(random, w)
    log = random.choice([0, 0, 1, 2, 3])
    w.number_of(log, 2)
    w.number_of(random.choice([random.randrange(128), random.randrange(30)]), 7)
    for _ in range(5):
        w.optional(random.choice([None, None, random.randint(-15, 15)]), 4)
    w.put(random.randrange(2))
    rate = random.choice([0, 0.02, 0.5])
    for probability in update_probabilities:
        changes = random.random() < rate
        w.put(changes, probability)
        if changes:
            w.number_of(random.choice([random.randrange(256), 255, 128, 1]), 8)
    skips = random.random() < 0.6
    w.put(skips)
    if skips:
        w.number_of(random.randrange(256), 8)
    columns, rows = (width + 15) // 16, (height + 15) // 16
    first = w.finish()[:-1] + random_bytes(random, 30 + 40 * columns * rows)
    if random.random() < 0.1:
        first = first[: random.randint(1, len(first))]
    count = 1 << log
    size = random.choice([900, 900, 300]) * columns * -(-rows // count) + 40
    partitions = [random_bytes(random, size) for _ in range(count)]
    if random.random() < 0.15:
        i = random.randrange(count)
        partitions[i] = partitions[i][: random.choice([0, 1, 2, random.randint(0, size)])]
    tag = len(first) << 5 | 1 << 4 | random.randrange(4) << 1
    sides = struct.pack("<HH", width | random.randrange(4) << 14, height | random.randrange(4) << 14)
    sizes = b"".join(uint24(len(p)) for p in partitions[:-1])
    return uint24(tag) + b"\x9d\x01\x2a" + sides + first + sizes + b"".join(partitions)


class BitWriter:
    def __init__(self):
        self.value, self.bits = 0, 0

    def put(self, value, bits):
        self.value |= (value & ((1 << bits) - 1)) << self.bits
        self.bits += bits

    def finish(self):
        return self.value.to_bytes((self.bits + 7) // 8, "little")


length_order = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]


def write_simple_code(w, *symbols):
    w.put(1, 1)
    w.put(len(symbols) - 1, 1)
    w.put(1, 1)
    for symbol in symbols:
        w.put(symbol, 8)


def random_lengths(random, symbols):
    lengths = [1, 1]
    while len(lengths) < symbols:
        longest = random.random() < 0.5
        candidates = [i for i, n in enumerate(lengths) if n < 15]
        i = max(candidates, key=lambda k: -lengths[k]) if longest else random.choice(candidates)
        n = lengths.pop(i)
        lengths += [n + 1, n + 1]
    random.shuffle(lengths)
    return lengths


def write_code(random, w, size, forbidden=()):
    """A random complete prefix code of symbols below size."""
    symbols = [s for s in range(size) if s not in forbidden]
    if random.random() < 0.35:
        write_simple_code(w, *(random.choice(symbols[:256]) for _ in range(random.choice([1, 2]))))
        return
    count = min(random.choice([2, 3, 8, 40, len(symbols), random.randint(2, len(symbols))]), len(symbols))
    lengths = [0] * size
    for symbol, n in zip(random.sample(symbols, count), random_lengths(random, count)):
        lengths[symbol] = n
    # The code of lengths has 13 words of 4 bits and 6 of 5 bits.
    w.put(0, 1)
    w.put(15, 4)
    for symbol in length_order:
        w.put(4 if symbol < 13 else 5, 3)
    w.put(0, 1)
    symbol, previous = 0, 8
    while symbol < size:
        n = lengths[symbol]
        run = next((i for i in range(symbol, size) if lengths[i] != n), size) - symbol
        if n == 0 and run >= 11:
            run = min(run, 138)
            write_length(w, 18, run - 11, 7)
        elif n == 0 and run >= 3:
            write_length(w, 17, run - 3, 3)
        elif n == previous and run >= 3 and random.random() < 0.7:
            run = min(run, 6)
            write_length(w, 16, run - 3, 2)
        else:
            run = 1
            write_length(w, n, 0, 0)
        previous = n or previous
        symbol += run


def write_length(w, symbol, extra, bits):
    word, n = (symbol, 4) if symbol < 13 else (26 + symbol - 13, 5)
    for i in reversed(range(n)):
        w.put(word >> i, 1)
    w.put(extra, bits)


def write_flat_code(w, size):
    """256 symbols of 8 bits, none behind them."""
    w.put(0, 1)
    w.put(8, 4)
    for symbol in length_order[:12]:
        w.put(symbol in (8, 18), 3)
    w.put(0, 1)
    w.put(0, 256)
    for left in range(size - 256, 0, -24):
        w.put(1, 1)
        w.put(left - 11, 7)


def write_small_image(random, w, width, height):
    """An image of a transform: random pixels, alpha 0."""
    w.put(0, 1)
    write_flat_code(w, 280)
    for _ in range(2):
        write_flat_code(w, 256)
    write_simple_code(w, 0)
    write_simple_code(w, 0)
    w.put(random.getrandbits(24 * width * height), 24 * width * height)


def write_tiles(random, w, width, height):
    """Which of some groups of codes each tile has. It returns the number of groups."""
    bits = random.randint(2, 9)
    w.put(bits - 2, 3)
    highest = random.randint(1, 3)
    w.put(0, 1)
    write_simple_code(w, 0, highest)
    for _ in range(4):
        write_simple_code(w, 0)
    choices = [random.randrange(2) for _ in range(divide(width, bits) * divide(height, bits))]
    for choice in choices:
        w.put(choice, 1)
    return highest + 1 if any(choices) else 1


def divide(size, bits):
    return (size + (1 << bits) - 1) >> bits


def vp8l(random, width, height, header=True):
    """A lossless picture, or one without a header as in ALPH. Some are cut."""
    w = BitWriter()
    if header:
        for value, bits in ((0x2F, 8), (width - 1, 14), (height - 1, 14), (random.randrange(2), 1), (0, 3)):
            w.put(value, bits)
    stored = width
    for kind in random.sample(range(4), random.choice([0, 1, 1, 2, 3, 4])):
        w.put(1, 1)
        w.put(kind, 2)
        if kind in (0, 1):
            bits = random.randint(2, 9)
            w.put(bits - 2, 3)
            write_small_image(random, w, divide(stored, bits), divide(height, bits))
        elif kind == 3:
            colours = random.choice([1, 2, 3, 4, 5, 16, 17, random.randint(1, 256)])
            w.put(colours - 1, 8)
            write_small_image(random, w, colours, 1)
            stored = divide(stored, 0 if colours > 16 else 1 if colours > 4 else 2 if colours > 2 else 3)
    w.put(0, 1)
    cache = random.choice([0, 0, random.randint(1, 11)])
    w.put(cache > 0, 1)
    if cache:
        w.put(cache, 4)
    tiled = random.random() < 0.4
    w.put(tiled, 1)
    groups = write_tiles(random, w, stored, height) if tiled else 1
    copies = random.random() < 0.2
    for _ in range(groups):
        write_code(random, w, 280 + (1 << cache if cache else 0), () if copies else range(256, 280))
        for size in (256, 256, 256, 40):
            write_code(random, w, size)
    data = w.finish() + random_bytes(random, 8 * stored * height)
    return data[: random.randint(1, len(data))] if random.random() < 0.1 else data


def alph(random, width, height):
    """The content of an ALPH chunk."""
    kind = random.randrange(4) << 2 | random.randrange(2) << 4
    if random.random() < 0.4:
        return bytes([kind]) + random.randbytes(width * height + random.choice([0, 0, 0, 5, -1]))
    return bytes([kind | 1]) + vp8l(random, width, height, header=False)


def uint24(v):
    return struct.pack("<I", v)[:3]


def chunk(name, content):
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) & 1)


def riff(*chunks):
    content = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def split(data):
    """The names and contents of the chunks of a file."""
    at = 12
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + (size & 1)


def vp8x(flags, width, height):
    return chunk(b"VP8X", bytes([flags, 0, 0, 0]) + uint24(width - 1) + uint24(height - 1))


def anmf(x, y, width, height, *chunks):
    fields = b"".join(map(uint24, (x // 2, y // 2, width - 1, height - 1, 50)))
    return chunk(b"ANMF", fields + b"\0" + b"".join(chunks))


ANIMATION, XMP, EXIF, ALPHA, ICC = 2, 4, 8, 16, 32


def file(random, most):
    """A file whose sides are at most most pixels, and more if it is an animation."""
    width, height = random.randint(1, most), random.randint(1, most)
    lossy = chunk(b"VP8 ", vp8(random, width, height))
    lossless = chunk(b"VP8L", vp8l(random, width, height))
    with_alpha = chunk(b"ALPH", alph(random, width, height)) + lossy
    kind = random.random()
    if kind < 0.3:
        return riff(lossy)
    if kind < 0.6:
        return riff(lossless)
    if kind < 0.8:
        return riff(vp8x(ALPHA, width, height), with_alpha)
    x, y = 2 * random.randrange(10), 2 * random.randrange(10)
    canvas = vp8x(ANIMATION | random.choice([0, ALPHA]), width + x + random.randrange(5), height + y + random.randrange(5))
    frame = anmf(x, y, width, height, random.choice([lossy, lossless, with_alpha]))
    return riff(canvas, chunk(b"ANIM", random.randbytes(6)), frame * random.randint(1, 2))
