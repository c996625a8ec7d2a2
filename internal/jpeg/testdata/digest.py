"""Says what Pillow decodes a JPEG to."""
import hashlib
import io
import os

from PIL import Image, ImageFile


def line(folder, name, scale, keep):
    """A line of a digests.tsv: file, scale, whether cut files are kept (LOAD_TRUNCATED_IMAGES), width,
    height, and the first 16 digits of the SHA-256 of the RGB bytes. Instead of the last three there is
    "refused", or "nothing" if Pillow keeps the file, but has decoded no row of it. The line is empty if
    Pillow does not have the scale, as for pictures of a few pixels."""
    with open(os.path.join(folder, name), "rb") as file:
        data = file.read()
    ImageFile.LOAD_TRUNCATED_IMAGES = keep
    result = "refused"
    try:
        image = Image.open(io.BytesIO(data))
        width, height = image.size
        if scale > 1:
            image.draft(image.mode, (max(1, width // scale), max(1, height // scale)))
            if image.decoderconfig[0] != scale:
                return ""
        pixels = image.convert("RGB").tobytes()
        if keep and len(set(pixels)) == 1 and pixels[0] in (0, 255):
            return f"{name}\t{scale}\ttrue\tnothing\n"
        result = "%d\t%d\t%s" % (*image.size, hashlib.sha256(pixels).hexdigest()[:16])
    except (OSError, SyntaxError):
        pass
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    return f"{name}\t{scale}\t{str(keep).lower()}\t{result}\n"
