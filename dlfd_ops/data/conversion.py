"""All images of a source through :mod:`dlfd_ops.data.decoding`, in parallel and in bounded memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dlfd_ops.data.adapters.adapter import SourceRecord
from dlfd_ops.data.decoding import ImageRefusedError, Limits, RawFolder, own_pixel_limit, to_clean_png
from dlfd_ops.data.identity import SecretKey
from dlfd_ops.data.problems import Reason
from dlfd_ops.digest import sha256_bytes

_BATCH = 1024
_SHARE = 32  # images that a thread takes at a time: handing over each costs as much as hashing it
_MAX_THREADS = 8  # each may hold one decoded image of prepare.max_megapixels


@dataclass(frozen=True)
class Converted:
    """An image whose PNG stands in the target folder.

    Attributes:
        sample_id: keyed hash of the file's bytes.
        content_digest: plain SHA-256 of the file's bytes; never leaves the prepare stage.
    """

    sample_id: str
    content_digest: str


class ImageConverter:
    """Writes the images of a source as ``<2 hex>/<sample_id>.png``; equal files are decoded once.

    Args:
        root: folder of the source.
        target: folder to make for the PNG files.
        size: side of the PNG files, in pixels.
        limits: what one image may cost.
        key: names the files.
    """

    def __init__(self, root: Path, target: Path, size: int, limits: Limits, key: SecretKey) -> None:
        self._source = RawFolder(root, limits)
        self._target = target
        self._size = size
        self._limits = limits
        self._key = key
        self._outcomes: dict[str, Reason | None] = {}
        self._locks = {f"{prefix:02x}": threading.Lock() for prefix in range(256)}
        for prefix in self._locks:
            (target / prefix).mkdir(parents=True)

    def convert(self, records: Sequence[SourceRecord]) -> Iterator[Converted | Reason]:
        """Yield the outcome of every record, in order.

        Pillow and zlib leave the interpreter's lock while they work, so threads use all cores.
        """
        threads = min(_MAX_THREADS, os.cpu_count() or 1)
        with own_pixel_limit(), ThreadPoolExecutor(threads) as executor:
            for start in range(0, len(records), _BATCH):
                batch = records[start : start + _BATCH]
                shares = [batch[first : first + _SHARE] for first in range(0, len(batch), _SHARE)]
                for outcomes in executor.map(self._convert_share, shares):
                    yield from outcomes

    def _convert_share(self, records: Sequence[SourceRecord]) -> list[Converted | Reason]:
        return [self._convert_one(record) for record in records]

    def _convert_one(self, record: SourceRecord) -> Converted | Reason:
        try:
            content = self._source.read(record.path, sha256=record.sha256)
        except ImageRefusedError as refusal:
            return refusal.reason
        sample_id = self._key.sample_id(content)
        with self._locks[sample_id[:2]]:  # equal files meet at the same lock, others hardly ever
            if sample_id not in self._outcomes:
                self._outcomes[sample_id] = self._write(sample_id, content)
            refused = self._outcomes[sample_id]
        return refused or Converted(sample_id, sha256_bytes(content))

    def _write(self, sample_id: str, content: bytes) -> Reason | None:
        try:
            png = to_clean_png(content, self._size, self._limits)
        except ImageRefusedError as refusal:
            return refusal.reason
        Path(f"{self._target}/{image_path(sample_id)}").write_bytes(png)
        return None


def image_path(sample_id: str) -> str:
    """Return the place of a sample's PNG below the folder of images, with a slash whatever the system."""
    return f"{sample_id[:2]}/{sample_id}.png"
