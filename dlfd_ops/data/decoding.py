"""Raw image files, which nobody vouches for, to small clean PNG files.

Everything here returns or raises a :class:`~dlfd_ops.data.problems.Reason`: no byte string and no path may end in
another error, take unbounded memory, or read outside of the source's root.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from dlfd_ops.data.png import to_png
from dlfd_ops.data.problems import Reason
from dlfd_ops.digest import sha256_bytes

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
"""Decoders that are tried; few, as each is code that meets hostile bytes."""

_FOLDERS_REMEMBERED = 4096
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


class RawFolder:
    """The folder of a source: gives the bytes of files below it, and of no file outside.

    Args:
        root: the folder.
        limits: see :class:`Limits`.
    """

    def __init__(self, root: Path, limits: Limits) -> None:
        self._root = os.path.realpath(root)
        self._limits = limits
        # Resolving asks the system about every part of a path, and a folder holds many images.
        self._folder = lru_cache(_FOLDERS_REMEMBERED)(self._inside)

    def read(self, path: Path, *, sha256: str | None = None) -> bytes:
        """Return the bytes of an image.

        Args:
            path: relative to the folder.
            sha256: the digest that the file must have, hex, or None.

        Raises:
            ImageRefusedError: the path escapes, or the file is missing, unreadable, empty, too large or another one.
        """
        if path.is_absolute() or ".." in path.parts or "\0" in str(path):
            raise ImageRefusedError(Reason.ESCAPES)
        try:
            content = self._read(*os.path.split(path))
        except FileNotFoundError:
            raise ImageRefusedError(Reason.MISSING) from None
        except OSError:
            raise ImageRefusedError(Reason.UNREADABLE) from None
        if not content:
            raise ImageRefusedError(Reason.EMPTY)
        if len(content) > self._limits.max_bytes:
            raise ImageRefusedError(Reason.TOO_LARGE)
        if sha256 is not None and sha256_bytes(content) != sha256:
            raise ImageRefusedError(Reason.DIGEST_MISMATCH)
        return content

    def _read(self, folder: str, name: str) -> bytes:
        """Return what a file holds, and of one that is too large a byte more than is allowed."""
        location = f"{self._folder(f'{self._root}/{folder}')}/{name}"
        status = os.lstat(location)
        if stat.S_ISLNK(status.st_mode):
            location = self._inside(location)
            status = os.lstat(location)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise ImageRefusedError(Reason.UNREADABLE)
        with Path(location).open("rb") as stream:
            return stream.read(min(status.st_size, self._limits.max_bytes) + 1)

    def _inside(self, location: str) -> str:
        """Return where a path below the folder leads to."""
        resolved = os.path.realpath(location)
        if resolved != self._root and not resolved.startswith(f"{self._root}/"):
            raise ImageRefusedError(Reason.ESCAPES)
        return resolved


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


def _decode(content: bytes, size: int, limits: Limits) -> Image.Image:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        width, height = image.size
        if width * height > limits.max_pixels:
            raise ImageRefusedError(Reason.TOO_MANY_PIXELS)
        orientation = _orientation(image)
        image.draft(None, (2 * size, 2 * size))  # a JPEG is decoded at the smallest scale that is enough
        rgb = _eight_bits(image).convert("RGB")
    side = min(rgb.size)
    left, top = (rgb.width - side) // 2, (rgb.height - side) // 2
    square = rgb.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    return square.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else square


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return 16-bit grey by its upper bytes, as 16-bit colour is decoded: a conversion would cut off at 255."""
    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged EXIF in front of a sound image: take it as upright
        return 1
