"""Prepared images as pixels: decoded into memory where they fit, read from disk batch by batch where they do not.

Both give the same pixels, so how much memory there is decides no result. It is a matter of the machine, and so an
environment variable, like the launch profile.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dlfd_ops.errors import BadInput

MEMORY_ENVIRONMENT = "DLFD_IMAGE_MEGABYTES"
"""Environment variable: megabytes of decoded images that a process holds, over all of its sets."""
DEFAULT_MEGABYTES = 4096
_MAX_THREADS = 8


class Pixels(Protocol):
    """(N, 3, S, S) uint8 images; a tensor is one."""

    @property
    def shape(self) -> torch.Size:
        """(N, 3, S, S)."""

    def __getitem__(self, rows: Tensor | slice, /) -> Tensor:
        """Return the images of some rows, (B, 3, S, S) uint8."""


class StoredPixels:
    """Images that stay on disk and are decoded whenever they are asked for.

    Args:
        files: prepared images, square RGB.
        size: their side, in pixels.
    """

    def __init__(self, files: Sequence[Path], size: int) -> None:
        self._files = files
        self.shape = torch.Size((len(files), 3, size, size))

    def __getitem__(self, rows: Tensor | slice, /) -> Tensor:
        """Return the images of some rows, (B, 3, S, S) uint8, on the CPU.

        Raises:
            BadInput: one is missing, no image, or has another size.
        """
        return torch.from_numpy(self.decode(self._files[rows] if isinstance(rows, slice) else self._some(rows)))

    def decode(self, files: Sequence[Path]) -> NDArray[np.uint8]:
        """Return the images of some files, (B, 3, S, S); raises as indexing does."""
        pixels = np.empty((len(files), *self.shape[1:]), dtype=np.uint8)

        def read(place: int) -> None:
            pixels[place] = _read_prepared(files[place], self.shape[-1])

        # Pillow leaves the interpreter's lock while it decodes. Short-lived threads: no state between two batches.
        with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as threads:
            for _ in threads.map(read, range(len(files))):
                pass
        return pixels

    def _some(self, rows: Tensor) -> list[Path]:
        return [self._files[row] for row in rows.tolist()]


def read_pixels(files: Sequence[Path], size: int) -> Pixels:
    """Return the images of ``files``: decoded now where the memory that is left for images holds them, else stored.

    Args:
        files: prepared images, square RGB.
        size: their side, in pixels.

    Raises:
        BadInput: :data:`MEMORY_ENVIRONMENT` is no number, or an image that is decoded now is missing or broken.
    """
    stored = StoredPixels(files, size)
    if not _MEMORY.has_room(len(files) * 3 * size * size):
        return stored
    decoded = stored.decode(files)
    _MEMORY.hold(decoded)
    return torch.from_numpy(decoded)


def ahead(pixels: Pixels, parts: Iterable[Tensor | slice]) -> Iterator[Tensor]:
    """Yield the images of each part; while one is worked on, a thread reads the next."""
    if isinstance(pixels, Tensor):
        yield from (pixels[part] for part in parts)
        return
    with ThreadPoolExecutor(1) as thread:
        waiting: Future[Tensor] | None = None
        for part in parts:
            reading = thread.submit(pixels.__getitem__, part)
            if waiting is not None:
                yield waiting.result()
            waiting = reading
        if waiting is not None:
            yield waiting.result()


class _Memory:
    """What this process holds of decoded images."""

    def __init__(self) -> None:
        self._bytes = 0

    def has_room(self, wanted: int) -> bool:
        """Whether ``wanted`` more bytes fit."""
        return self._bytes + wanted <= _limit()

    def hold(self, pixels: NDArray[np.uint8]) -> None:
        """Count an array as held until nothing refers to it any more."""
        self._bytes += pixels.nbytes
        weakref.finalize(pixels, self._release, pixels.nbytes)

    def _release(self, count: int) -> None:
        self._bytes -= count


_MEMORY = _Memory()


def _limit() -> int:
    text = os.environ.get(MEMORY_ENVIRONMENT, str(DEFAULT_MEGABYTES))
    if not (text.isascii() and text.isdigit()):
        raise BadInput(
            f"{MEMORY_ENVIRONMENT} must be a whole number of megabytes",
            received=f"{text!r:.40}",
            remedy="0 reads every batch from disk",
        )
    return int(text) * 1_000_000


def _read_prepared(path: Path, size: int) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            if image.size != (size, size):
                raise BadInput(
                    f"a prepared image must be {size} x {size} pixels",
                    received=f"{image.size[0]} x {image.size[1]}",
                    remedy="run the prepare stage again",
                )
            return np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    except OSError as error:
        raise BadInput(
            "every prepared image of the manifest must be readable",
            received=f"{path.name[:12]}...: {type(error).__name__}",
            remedy="run the prepare stage, or dvc checkout",
        ) from error
