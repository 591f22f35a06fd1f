"""Raw image files, which nobody vouches for, to small clean PNG files.

Everything here returns or raises a :class:`~dlfd_ops.data.problems.Reason`: no byte string and no path may end in
another error, take unbounded memory, or read outside of the source's root.
"""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dlfd_ops.data.png import to_png
from dlfd_ops.data.problems import Reason
from dlfd_ops.digest import sha256_bytes

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
"""Decoders that are tried; few, as each is code that meets hostile bytes."""

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageRefusedError(Exception):
    """An image file can't be used; becomes a counted problem of its row."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """What one image may cost.

    Attributes:
        max_bytes: largest file read, in bytes.
        max_pixels: largest image decoded, in pixels.
    """

    max_bytes: int
    max_pixels: int


def read_raw(root: Path, path: Path, limits: Limits, *, sha256: str | None = None) -> bytes:
    """Return the bytes of the image at ``path`` below ``root``.

    Args:
        root: the source's folder, already resolved (``Path.resolve``).
        path: relative to ``root``.
        limits: see :class:`Limits`.
        sha256: the digest that the file must have, hex, or None.

    Raises:
        ImageRefusedError: the path escapes, or the file is missing, unreadable, empty, too large or another one.
    """
    location = _resolve_inside(root, path)
    try:
        status = location.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise ImageRefusedError(Reason.UNREADABLE)
        with location.open("rb") as stream:
            content = stream.read(limits.max_bytes + 1)
    except FileNotFoundError:
        raise ImageRefusedError(Reason.MISSING) from None
    except OSError:
        raise ImageRefusedError(Reason.UNREADABLE) from None
    if not content:
        raise ImageRefusedError(Reason.EMPTY)
    if len(content) > limits.max_bytes:
        raise ImageRefusedError(Reason.TOO_LARGE)
    if sha256 is not None and sha256_bytes(content) != sha256:
        raise ImageRefusedError(Reason.DIGEST_MISMATCH)
    return content


def to_clean_png(content: bytes, size: int, limits: Limits) -> bytes:
    """Decode an image file and encode it again as a square RGB PNG that carries nothing but pixels.

    The image is turned upright by its EXIF orientation, cut to its central square and resized (bicubic).
    Transparency is dropped, of an animation the first frame is taken.

    Args:
        content: the file's bytes.
        size: side of the result, in pixels.
        limits: see :class:`Limits`; the pixels are counted before any is decoded.

    Raises:
        ImageRefusedError: too many pixels, or no whole image in one of :data:`FORMATS`.
    """
    try:
        return to_png(np.asarray(_decode(content, size, limits)))
    except ImageRefusedError:
        raise
    except Image.DecompressionBombError:
        raise ImageRefusedError(Reason.TOO_MANY_PIXELS) from None
    except Exception:  # decoders meet damaged bytes with nearly any exception class
        raise ImageRefusedError(Reason.UNDECODABLE) from None


@contextmanager
def own_pixel_limit() -> Iterator[None]:
    """Switch Pillow's own limit on pixels off: :class:`Limits` replaces it, and may be higher or lower.

    The limit is global to the process, so this is for the one caller that runs the threads.
    """
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _resolve_inside(root: Path, path: Path) -> Path:
    if path.is_absolute() or ".." in path.parts or "\0" in str(path):
        raise ImageRefusedError(Reason.ESCAPES)
    try:
        location = (root / path).resolve()
    except (OSError, RuntimeError):  # a loop of symbolic links, a name too long
        raise ImageRefusedError(Reason.UNREADABLE) from None
    if not location.is_relative_to(root):
        raise ImageRefusedError(Reason.ESCAPES)
    return location


def _decode(content: bytes, size: int, limits: Limits) -> Image.Image:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        width, height = image.size
        if width * height > limits.max_pixels:
            raise ImageRefusedError(Reason.TOO_MANY_PIXELS)
        orientation = _orientation(image)
        image.draft(None, (2 * size, 2 * size))  # a JPEG is decoded at the smallest scale that is enough
        rgb = image.convert("RGB")
    side = min(rgb.size)
    left, top = (rgb.width - side) // 2, (rgb.height - side) // 2
    square = rgb.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    return square.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else square


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged EXIF in front of a sound image: take it as upright
        return 1
