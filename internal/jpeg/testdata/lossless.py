"""A small encoder of lossless JPEG (ITU-T T.81, annex H) of 8 bits with Huffman coding, for the
fixtures: cjpeg 2.1.5 does not write this process.
"""
import struct

import numpy as np


def differences(plane, predictor, shift, restart_rows):
    """The differences of a plane from its predictions, modulo 2¹⁶ as signed numbers."""
    x = plane.astype(np.int64) >> shift
    above = np.vstack([x[:1], x[:-1]])
    left = np.hstack([above[:, :1], x[:, :-1]])
    upper_left = np.hstack([above[:, :1], above[:, :-1]])
    predictions = [None, left, above, upper_left, left + above - upper_left, left + (above - upper_left >> 1),
                   above + (left - upper_left >> 1), left + above >> 1]
    prediction = predictions[predictor].copy()
    prediction[:, 0] = above[:, 0]
    first = np.arange(len(x)) % (restart_rows or len(x)) == 0
    prediction[first, 1:] = x[first, :-1]
    prediction[first, 0] = 1 << (7 - shift)
    return (x - prediction + 32768) % 65536 - 32768


def segment(marker, body):
    return bytes([0xff, marker]) + struct.pack(">H", len(body) + 2) + bytes(body)


# Code lengths of the sizes of differences: size 0 has 3 bits, and so on. Size 16 is 32768.
LENGTHS = {0: 3, 1: 3, 2: 2, 3: 3, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7, 9: 8, 10: 9, 11: 10, 12: 11, 13: 12, 14: 13, 15: 14,
           16: 15}


def table():
    """The Huffman table's segment, and the codes as strings of bits."""
    order = sorted(LENGTHS, key=lambda size: (LENGTHS[size], size))
    counts = [list(LENGTHS.values()).count(length) for length in range(1, 17)]
    codes, code, length = {}, 0, 0
    for size in order:
        code <<= LENGTHS[size] - length
        length = LENGTHS[size]
        codes[size] = format(code, f"0{length}b")
        code += 1
    return segment(0xc4, bytes([0]) + bytes(counts) + bytes(order)), codes


def code_difference(codes, d):
    size = int(abs(d)).bit_length()
    if size == 16:
        return codes[16]
    if size == 0:
        return codes[0]
    return codes[size] + format(d if d > 0 else d + (1 << size) - 1, f"0{size}b")


def pack(bits):
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0") if bits else b""


def scan(planes, factors, predictor, shift, restart_rows, codes):
    """Entropy-coded data of one scan. planes have whole units' rows and columns only where they are
    interleaved."""
    coded = [np.vectorize(lambda d: code_difference(codes, int(d)), otypes=[object])(d) for d in planes]
    if len(planes) == 1:
        rows = ["".join(row) for row in coded[0]]
    else:
        rows = []
        for y in range(len(coded[0]) // factors[0][1]):
            row = []
            for x in range(coded[0].shape[1] // factors[0][0]):
                for plane, (h, v) in zip(coded, factors):
                    row += plane[y * v:(y + 1) * v, x * h:(x + 1) * h].ravel().tolist()
            rows.append("".join(row))
    step = restart_rows or len(rows)
    parts = [pack("".join(rows[y:y + step])) for y in range(0, len(rows), step)]
    out = parts[0]
    for i, part in enumerate(parts[1:]):
        out += bytes([0xff, 0xd0 + i % 8]) + part
    return out


def encode(planes, width, height, factors=None, predictor=1, shift=0, restart_rows=0, interleaved=True, ids=None,
           markers=b"", precision=8):
    """A file of planes, whose sampling factors are (h, v) pairs. restart_rows counts rows of units."""
    factors = factors or [(1, 1)] * len(planes)
    ids = ids or list(range(1, len(planes) + 1))
    most_h, most_v = max(h for h, _ in factors), max(v for _, v in factors)
    units = -(-width // most_h), -(-height // most_v)
    dht, codes = table()
    frame = struct.pack(">BHHB", precision, height, width, len(planes))
    frame += b"".join(bytes([i, h << 4 | v, 0]) for i, (h, v) in zip(ids, factors))
    out = b"\xff\xd8" + markers + segment(0xc3, frame) + dht
    lone = len(planes) == 1
    groups = [range(len(planes))] if interleaved else [[i] for i in range(len(planes))]
    for group in groups:
        lone = len(group) == 1
        coded = []
        for i in group:
            h, v = factors[i]
            period = restart_rows if lone else restart_rows * v
            d = differences(planes[i], predictor, shift, period)
            if not lone:
                d = np.pad(d, ((0, units[1] * v - d.shape[0]), (0, units[0] * h - d.shape[1])))
            coded.append(d)
        across = coded[0].shape[1] if lone else units[0]
        if restart_rows:
            out += segment(0xdd, struct.pack(">H", restart_rows * across))
        header = bytes([len(group)]) + b"".join(bytes([ids[i], 0]) for i in group) + bytes([predictor, 0, shift])
        out += segment(0xda, header)
        out += scan(coded, [factors[i] for i in group], predictor, shift, restart_rows, codes)
    return out + b"\xff\xd9"
