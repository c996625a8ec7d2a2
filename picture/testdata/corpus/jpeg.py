"""The kinds of JPEG files."""
import io
import struct

import numpy as np
from PIL import Image

from draw import choose_orientation, choose_size, draw, exif_body, flip_bits, kind, listed, picture, save, xmp_packet
from jpegcode import (CODINGS, change_frame, choose_coding, cjpeg, encode, encode_lossless, insert, is_frame,
                      scan_range, scan_script, segment, split, without, ycc_planes)


@kind("jpeg-sampling", "jpg", 26)
def _(r, n):
    samplings = ["1x1", "2x1", "1x2", "2x2", "4x1", "4x2", "1x4", "2x4", "4x4", "3x1", "1x3", "3x3", "3x2"]
    sampling = samplings[n % len(samplings)]
    coding = r.choice(list(CODINGS))
    if int(sampling[0]) * int(sampling[2]) > 8:
        coding, sampling = "baseline", "2x2,2x1,1x2"
    quality = r.choice((10, 50, 75, 92, 100))
    options = ["-quality", quality, "-sample", sampling, *CODINGS[coding]]
    if r.random() < 0.3:
        options += ["-restart", r.choice(("1", "2", "1B", "5B"))]
    if r.random() < 0.3 and "arithmetic" not in coding:
        options.append("-optimize")
    return cjpeg(draw(r), *options), f"{sampling}, quality {quality}, {coding}"


@kind("jpeg-mixed-factors", "jpg", 30)
def _(r, n):
    choices = [((2, 2), (1, 2), (2, 1)), ((2, 2), (2, 2), (1, 1)), ((1, 1), (2, 2), (2, 2)), ((4, 1), (2, 1), (1, 1)),
               ((2, 2), (1, 1), (1, 2)), ((2, 1), (1, 1), (2, 1)), ((1, 2), (1, 1), (1, 2)), ((2, 2), (2, 2), (2, 2)),
               ((3, 1), (1, 1), (1, 1)), ((1, 3), (1, 1), (1, 1)), ((3, 2), (1, 1), (1, 2)), ((3, 1), (2, 1), (1, 1)),
               ((4, 2), (1, 1), (1, 1)), ((2, 4), (1, 1), (1, 1)), ((1, 1), (1, 1), (2, 1))]
    factors = choices[n % len(choices)]
    restart = r.choice((0, 0, 1, 3))
    data = encode(ycc_planes(r), factors, restart=restart)
    return data, f"{' '.join(f'{h}x{v}' for h, v in factors)}, restart interval {restart}"


@kind("jpeg-scans", "jpg", 14)
def _(r, n):
    scans = r.choice(([[0], [1], [2]], [[2], [0], [1]], [[0], [1, 2]], [[1], [0, 2]]))
    factors = r.choice((((2, 2), (1, 1), (1, 1)), ((1, 1),) * 3, ((2, 1), (1, 1), (1, 1))))
    restart = r.choice((0, 2))
    if n >= 10:
        scans = scans[:r.randint(1, len(scans) - 1)]
    return encode(ycc_planes(r), factors, scans=scans, restart=restart), f"sequential, scans {scans}"


@kind("jpeg-scan-script", "jpg", 20)
def _(r, n):
    arithmetic = ["-arithmetic"] if n % 3 == 2 else []
    script = scan_script(r, 3)
    sampling = r.choice(("1x1", "2x1", "2x2"))
    data = cjpeg(draw(r), "-quality", r.choice((60, 90)), "-sample", sampling, *arithmetic, scans=script)
    return data, f"progressive, {sampling}{', arithmetic' if arithmetic else ''}, {script.count(';')} scans of its own"


@kind("jpeg-grey", "jpg", 8)
def _(r, n):
    factors = [(1, 1), (2, 2), (1, 2), (4, 1)][n % 4]
    grey = np.asarray(picture(r, "L"))
    if n < 4:
        return encode([grey], [factors], restart=r.choice((0, 2))), f"baseline with factors {factors}"
    name = list(CODINGS)[n % 4]
    return cjpeg(grey, *CODINGS[name]), name


@kind("jpeg-colours", "jpg", 24)
def _(r, n):
    """Colour spaces, by Adobe's segment and by the components' ids."""
    adobe = [None, 0, 1, 2, 3][n % 5]
    more = b"" if adobe is None else segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, adobe))
    jfif = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0") if r.random() < 0.3 else b""
    channels = 4 if n % 2 else 3
    ids = r.choice(([1, 2, 3, 4], [82, 71, 66, 75], [0, 1, 2, 3], [67, 77, 89, 75]))[:channels]
    pixels = draw(r, channels=channels)
    factors = r.choice((((1, 1),) * 4, ((2, 2), (1, 1), (1, 1), (2, 2)), ((2, 1), (1, 1), (1, 1), (2, 1))))
    data = encode([pixels[:, :, i] for i in range(channels)], factors[:channels], ids, more=jfif + more)
    return data, f"{channels} components, ids {ids}, Adobe {adobe}, {'JFIF' if jfif else 'no JFIF'}"


@kind("jpeg-cmyk", "jpg", 8)
def _(r, n):
    options = dict(quality=r.choice((70, 90)), progressive=n % 2 == 0)
    if n < 4:
        return save(picture(r, "CMYK"), "JPEG", **options), f"CMYK by Pillow, {listed(options)}"
    data = save(picture(r, "CMYK"), "JPEG", **options)
    return data.replace(b"Adobe\0\x64\0\0\0\0\0", b"Adobe\0\x64\0\0\0\0\2"), f"YCCK, {listed(options)}"


@kind("jpeg-equal-ids", "jpg", 6)
def _(r, n):
    ids = [[1, 1, 1], [1, 2, 2], [0, 0, 1], [1, 1, 2], [5, 5, 5], [2, 2, 2]][n]
    return encode(ycc_planes(r), [(r.choice((1, 2)), 1), (1, 1), (1, 1)], ids), f"ids {ids}"


@kind("jpeg-lossless", "jpg", 20)
def _(r, n):
    predictor, channels = n % 7 + 1, 3 if n % 4 else 1
    transform, restart_rows = r.choice((0, 0, 0, 1, 3)), r.choice((0, 0, 1, 4))
    ids = r.choice(([82, 71, 66], [1, 2, 3]))[:channels]
    more = segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, r.choice((0, 0, 1)))) if r.random() < 0.5 else b""
    data = encode_lossless(draw(r, channels=channels), predictor, transform, restart_rows, ids, more)
    what = (f"predictor {predictor}, {channels} components, point transform {transform}, "
            f"restart every {restart_rows} rows")
    if n >= 17:
        return flip_bits(r, data, *scan_range(data), 2), what + ", 2 bits flipped"
    return data, what + f", ids {ids}{', Adobe' if more else ''}"


@kind("jpeg-arithmetic-conditioning", "jpg", 6)
def _(r, n):
    """Data that were coded with other conditioning values than the file gives, which no decoder can tell."""
    data = cjpeg(draw(r, (r.randint(16, 40), r.randint(16, 40))), "-arithmetic", *(["-progressive"] if n % 2 else []))
    upper = r.randint(0, 5)
    values = bytes([r.randrange(2), upper << 4 | r.randint(0, upper), 0x10 | r.randrange(2), r.randint(1, 63)])
    if n == 5:
        values = b"\0\x12\x10\0"
    scan = next(i for i, part in enumerate(split(data)) if part[1] == 0xDA)
    return insert(data, scan, segment(0xCC, values)), f"{'progressive' if n % 2 else 'sequential'}, {values.hex(' ')}"


@kind("jpeg-no-tables", "jpg", 6)
def _(r, n):
    image = picture(r, "L" if n == 3 else "RGB")
    data = save(image, "JPEG", quality=r.choice((50, 85)), subsampling=r.choice((0, 1, 2)))
    if n == 4:
        return without(data, 0xDB), "no quantization tables"
    if n == 5:
        return without(cjpeg(np.asarray(image), "-progressive"), 0xC4), "progressive without Huffman tables"
    return without(data, 0xC4), "no Huffman tables"


@kind("jpeg-early-eoi", "jpg", 28)
def _(r, n):
    data, what = choose_coding(r, n, restarts=n % 5 == 4)
    start, end = scan_range(data)
    at = r.randint(start, end - 1)
    return data[:at] + b"\xff\xd9", f"{what}, EOI after {100 * at // len(data)} %"


@kind("jpeg-cut", "jpg", 24)
def _(r, n):
    data, what = choose_coding(r, n, restarts=n % 5 == 4)
    start, end = scan_range(data)
    if n == 0:
        # Pillow reads one of twenty such files: those of which its buffer of bits happens to hold the end.
        while can_read(data[:end]):
            data, what = choose_coding(r, n)
            start, end = scan_range(data)
    at = [end, end + 1, r.randint(4, start), start][n] if n < 4 else r.randint(start, end - 1)
    return data[:at], f"{what}, cut after {at} of {len(data)} bytes"


def can_read(data):
    """Reports whether Pillow reads a file."""
    try:
        Image.open(io.BytesIO(data)).load()
        return True
    except OSError:
        return False


@kind("jpeg-flipped-bits", "jpg", 60)
def _(r, n):
    data, what = choose_coding(r, n, restarts=n % 3 == 2)
    count = r.choice((1, 1, 2, 5))
    return flip_bits(r, data, *scan_range(data), count), f"{what}, {count} bits of the scans flipped"


@kind("jpeg-flipped-tables", "jpg", 20)
def _(r, n):
    data, what = choose_coding(r, n)
    parts = split(data)
    marker = [0xC4, 0xDB, 0xDA][n % 3]
    i = r.choice([i for i, part in enumerate(parts) if part[1] == marker] or [1])
    header = 2 + struct.unpack(">H", parts[i][2:4])[0]
    parts[i] = flip_bits(r, parts[i], 4, header, 1)
    return b"".join(parts), f"{what}, a bit of segment {parts[i][1]:02X} flipped"


@kind("jpeg-restart-markers", "jpg", 35)
def _(r, n):
    data, what = choose_coding(r, n // 7, size=(r.randint(48, 80), r.randint(32, 48)), restarts=True)
    start, end = scan_range(data)
    marks = [i for i in range(start, end) if data[i] == 0xFF and 0xD0 <= data[i + 1] <= 0xD7]
    i = r.choice(marks[:-1])
    following = marks[marks.index(i) + 1]
    match n % 7:
        case 0:
            return data[:i] + data[i + 2:], what + ", a marker lost"
        case 1:
            return data[:i] + data[i:i + 2] + data[i:], what + ", a marker twice"
        case 2:
            return data[:i] + data[following:], what + ", an interval lost with its marker"
        case 3:
            number = r.randrange(8)
            return data[:i + 1] + bytes([0xD0 + number]) + data[i + 2:], f"{what}, a marker renumbered to {number}"
        case 4:
            at = r.randint(start, end)
            return data[:at] + bytes([0xFF, 0xD0 + r.randrange(8)]) + data[at:], what + ", a surplus marker"
        case 5:
            junk = bytes(r.choice((0, 1, 0x55, 0xFF)) for _ in range(r.randint(1, 6)))
            return data[:i] + junk + data[i:], what + ", stray bytes before a marker"
    return data[:i] + data[i + 2:following] + data[i:i + 2] + data[following:], what + ", a marker misplaced"


@kind("jpeg-missing-scans", "jpg", 30)
def _(r, n):
    arithmetic = ["-arithmetic"] if n % 4 == 3 else []
    grey = r.random() < 0.15
    pixels = np.asarray(picture(r, "L" if grey else "RGB", (r.randint(16, 64), r.randint(16, 48))))
    script = None if n % 2 else scan_script(r, 1 if grey else 3)
    sampling = "1x1" if grey else r.choice(("1x1", "2x1", "2x2"))
    progressive = [] if script else ["-progressive"]
    quality = r.choice((50, 75, 90))
    data = cjpeg(pixels, "-quality", quality, "-sample", sampling, *progressive, *arithmetic, scans=script)
    parts = split(data)
    scans = [i for i, part in enumerate(parts) if part[1] == 0xDA]
    what = f"{sampling}{', arithmetic' if arithmetic else ''}"
    kept = r.randint(1, len(scans) - 1) if len(scans) > 1 else 1
    if n % 5 == 4:
        lost = r.choice(scans)
        return b"".join(parts[:lost] + parts[lost + 1:]), f"{what}, scan {scans.index(lost) + 1} of {len(scans)} lost"
    end = scans[kept] if len(scans) > 1 else scans[0] + 1
    return b"".join(parts[:end]) + b"\xff\xd9", f"{what}, {kept} of {len(scans)} scans"


@kind("jpeg-taller", "jpg", 12)
def _(r, n):
    data, what = choose_coding(r, n, restarts=n % 3 == 2)
    more = r.choice((1, 8, 9, 40))

    def change(frame):
        frame[5:7] = struct.pack(">H", struct.unpack(">H", frame[5:7])[0] + more)
    return change_frame(data, change), f"{what}, header says {more} rows more"


@kind("jpeg-wider", "jpg", 8)
def _(r, n):
    data, what = choose_coding(r, n, restarts=n % 3 == 2)
    side, more = r.choice((5, 7)), r.choice((-9, -1, 5, 16))

    def change(frame):
        frame[side:side + 2] = struct.pack(">H", struct.unpack(">H", frame[side:side + 2])[0] + more)
    return change_frame(data, change), f"{what}, header says {more} {'rows' if side == 5 else 'columns'} more"


@kind("jpeg-frame-header", "jpg", 16)
def _(r, n):
    data, what = choose_coding(r, 0)
    changes = [(5, b"\0\0", "height 0"), (7, b"\0\0", "width 0"), (4, b"\x0c", "12 bits"), (4, b"\x10", "16 bits"),
               (1, b"\xc1", "SOF1"), (1, b"\xc2", "SOF2 over baseline data"), (1, b"\xc5", "SOF5"),
               (1, b"\xc6", "SOF6"), (1, b"\xc7", "SOF7"), (1, b"\xc9", "SOF9 over Huffman data"),
               (1, b"\xcb", "SOF11"), (1, b"\xcd", "SOF13"),
               (11, b"\x00", "factors 0"), (11, b"\x51", "factors 5x1"), (12, b"\x03", "missing quantization table"),
               (9, b"\x02", "2 components with the length of 3")]
    at, value, says = changes[n]

    def change(frame):
        frame[at:at + len(value)] = value
    return change_frame(data, change), f"{what}, {says}"


@kind("jpeg-segments", "jpg", 40)
def _(r, n):
    """Oddities between the segments."""
    data, what = choose_coding(r, n // 20)
    junk = bytes(r.choice((0, 1, 0x41, 0xD8)) for _ in range(r.randint(1, 5)))
    frame = next(i for i, part in enumerate(split(data)) if is_frame(part))
    match n % 20:
        case 0:
            return insert(data, 1, b"\xff\xe0\0\0"), what + ", APP0 of length 0"
        case 1:
            return insert(data, 2, b"\xff\xe0\0\1"), what + ", APP0 of length 1"
        case 2:
            return insert(data, 2, b"\xff\xed\0\0"), what + ", APP13 of length 0"
        case 3:
            return insert(data, 2, b"\xff\xe5\0\1"), what + ", APP5 of length 1"
        case 4:
            return insert(data, 2, b"\xff" * r.randint(1, 9)), what + ", fill bytes before a marker"
        case 5:
            return insert(data, 2, junk), what + ", stray bytes before a marker"
        case 6:
            return insert(data, frame, junk), what + ", stray bytes before the frame"
        case 7:
            return data + junk * 20, what + ", bytes after EOI"
        case 8:
            return insert(data, 2, segment(0xFE, b"a comment") * 3), what + ", comments"
        case 9:
            return insert(data, 2, b"\xff\x01\xff\xd3"), what + ", TEM and RST3 among the segments"
        case 10:
            return insert(data, 2, b"\xff\xfe\0\0"), what + ", comment of length 0"
        case 11:
            return insert(data, 1, b"\xff\xd8"), what + ", SOI twice"
        case 12:
            return data.replace(b"\xff\xdb", b"\xff\xdb\0\2\xff\xdb", 1), what + ", an empty DQT"
        case 13:
            return insert(data, frame, segment(0xDD, b"\0\0")), what + ", restart interval 0"
        case 14:
            return insert(data, frame, segment(0xDD, b"\0")), what + ", DRI of length 3"
        case 15:
            return insert(data, frame, segment(0xF0, b"abc")), what + ", JPG0 among the segments"
        case 16:
            part = next(part for part in split(data) if is_frame(part))
            return insert(data, frame, part), what + ", the frame header twice"
        case 17:
            return junk + data, what + ", bytes before SOI"
        case 18:
            return without(data, 0xE0), what + ", no JFIF"
    scan = next(i for i, part in enumerate(split(data)) if part[1] == 0xDA)
    return insert(data, scan, b"\xff\x02" + junk), what + ", a reserved marker before the scan"


@kind("jpeg-sides", "jpg", 5)
def _(r, n):
    width, height = [(65500, 2), (2, 65500), (16385, 3), (3, 20000), (1, 1)][n]
    data = save(Image.fromarray(np.resize(draw(r, (64, 5), 1)[:, :, 0], (height, width))), "JPEG", quality=30)
    return data, f"{width} x {height}"


@kind("jpeg-mpo", "jpg", 3)
def _(r, n):
    size = choose_size(r)
    data = save(picture(r, size=size), "MPO", save_all=True, append_images=[picture(r, size=size)])
    if n == 2:
        return data[:-200], "two pictures (MPO), the second is cut"
    return data, "two pictures (MPO)"


@kind("jpeg-broken-exif", "jpg", 16)
def _(r, n):
    data, _ = choose_coding(r, 0, size=(r.randint(9, 30), r.randint(9, 30)))
    order, orientation = r.choice("<>"), r.randint(2, 8)
    body = exif_body(orientation, order, before=(0x10F,))
    variants = [(body[:r.randint(9, len(body) - 1)], "cut"), (b"XX" + body[2:], "unknown byte order"),
                (body[:2] + b"\7\7" + body[4:], "another number than 42"), (b"", "empty"), (body[:6], "6 bytes"),
                (body[:4] + struct.pack(order + "I", 5000) + body[8:], "the directory is beyond the end"),
                (body[:8] + struct.pack(order + "H", 900) + body[10:], "900 entries"),
                (body[:-4] + b"\xff\xff\xff\xff", "the next directory is beyond the end")]
    broken, what = variants[n % 8]
    more = segment(0xE1, b"Exif\0\0" + broken)
    if n >= 8:
        more += segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp_packet(orientation % 8 + 1, "attribute"))
    return insert(data, 1, more), f"EXIF with orientation {orientation}: {what}{', and XMP' if n >= 8 else ''}"


@kind("jpeg-orientation", "jpg", 80)
def _(r, n):
    exif, xmp, what = choose_orientation(r, n)
    data, _ = choose_coding(r, n, size=(r.randint(9, 30), r.randint(9, 30)), codings=["baseline", "progressive"])
    parts = split(data)
    jfif = parts[1] if r.random() < 0.7 else b""
    more, prefix, between = b"", b"Exif\0\0", b""
    if n >= 64:
        match n % 6:
            case 0:
                prefix, what = b"Exif\0\0Exif\0\0", what + ', "Exif" twice'
            case 1:
                between, what = bytes(r.randint(1, 4)), what + ", zero bytes before APP1"
            case 2:
                between, what = b"\xff\xff", what + ", fill bytes before APP1"
            case 3:
                prefix, what = b"Exif\0", what + ', "Exif" with one zero byte only'
            case 4:
                between, what = segment(0xE1, b"Exif\0\0" + exif_body(3)), what + ", after another EXIF"
            case 5:
                between, what = segment(0xED, b"Photoshop 3.0\0"), what + ", after APP13"
    if exif:
        more += between + segment(0xE1, prefix + exif)
    if xmp:
        more += segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp)
    return parts[0] + jfif + more + b"".join(parts[2:]), what
