"""Photos that are right but rare: JPEG in inks, animations, several pages, one pixel high."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.corpus.ladders import encoded, picture

ADOBE = b"\xff\xee\x00\x0eAdobe"
LONG = 65_500  # pixels


def inks() -> Iterator[tuple[str, bytes]]:
    """Yield JPEGs of the picture in cyan, magenta, yellow and black, as printers send them."""
    smooth = picture().resize((64, 48), Image.Resampling.BOX)
    cmyk = encoded(smooth.convert("CMYK"), "JPEG", quality=95)  # Pillow inverts, as Adobe does
    yield "cmyk-adobe", cmyk
    # YCCK: luma and chroma of the inks, inverted black, and Adobe's transform 2.
    plain = np.asarray(smooth.convert("CMYK"))
    ycc = np.asarray(Image.fromarray(plain[..., :3].copy()).convert("YCbCr"))
    ycck = np.dstack([255 - ycc, plain[..., 3]])
    data = bytearray(encoded(Image.fromarray(ycck, "CMYK"), "JPEG", quality=95))
    data[data.index(ADOBE) + 15] = 2
    yield "ycck-adobe", bytes(data)


def twelve_bits() -> bytes:
    """Return a JPEG that says it has 12 bits a sample, which hardly any decoder reads."""
    data = bytearray(encoded(picture(), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    return bytes(data)


def several() -> Iterator[tuple[str, bytes, int]]:
    """Yield name, bytes and number of pictures of files that have more than one."""
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "lime", "blue")]
    more = {"save_all": True, "append_images": frames[1:]}
    yield "animation.gif", encoded(frames[0], "GIF", **more), 3
    yield "animation.webp", encoded(frames[0], "WEBP", lossless=True, **more), 3
    yield "animation.png", encoded(frames[0], "PNG", **more), 3
    yield "pages.tiff", encoded(frames[0], "TIFF", **more), 3
    yield "big-endian.tiff", big_endian(), 2
    yield "animation.avif", encoded(frames[0], "AVIF", **more), 3


def big_endian() -> bytes:
    """Return a TIFF of two grey pages of one pixel, most significant bytes first."""

    def page(at: int, following: int, level: int) -> bytes:
        rows = [(256, 3, 1 << 16), (257, 3, 1 << 16), (258, 3, 8 << 16), (259, 3, 1 << 16)]
        rows += [(262, 3, 1 << 16), (273, 4, at + 110), (277, 3, 1 << 16), (279, 4, 1)]
        body = len(rows).to_bytes(2, "big")
        for tag, kind, value in rows:
            body += tag.to_bytes(2, "big") + kind.to_bytes(2, "big") + (1).to_bytes(4, "big")
            body += value.to_bytes(4, "big")
        return (body + following.to_bytes(4, "big")).ljust(110, b"\0") + bytes([level, 0])

    return b"MM\0*\0\0\0\x08" + page(8, 120, 200) + page(120, 0, 10)


def narrow() -> Iterator[tuple[str, Image.Image]]:
    """Yield pictures of extreme shapes."""
    for size in ((1, 1), (1, 97), (97, 1), (LONG, 1), (1, LONG), (LONG, 3), (5, 3)):
        yield f"{size[0]}x{size[1]}", picture().resize(size)
