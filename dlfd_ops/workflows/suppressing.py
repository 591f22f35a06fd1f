"""What the prepare stage does with the suppression list: leave out what stands on it, report what looks like it."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from dlfd_ops.data.adapters import SourceRecord
from dlfd_ops.data.conversion import image_path
from dlfd_ops.data.identity import SecretKey
from dlfd_ops.data.subjects import Subject
from dlfd_ops.deletion.perceptual import near_pairs, perceptual_hash, unmask
from dlfd_ops.deletion.suppression import Suppressed, check_same_key, read_suppression, without_suppressed
from dlfd_ops.files import write_bytes

NEAR_FILE = Path(".dlfd/near_suppressed.csv")
"""Which images look like suppressed ones, with their paths: private, as a path may be a raw identity."""

_LOGGER = logging.getLogger(__name__)


class Suppression:
    """The suppression list, applied to one delivery.

    Args:
        key: of this repository.

    Raises:
        BadInput: the list is missing or damaged, or was made with another key: nobody on it could be recognised.
    """

    def __init__(self, key: SecretKey) -> None:
        self._key = key
        self._entries: Sequence[Suppressed] = read_suppression()
        check_same_key(self._entries, key)

    @property
    def request_ids(self) -> tuple[str, ...]:
        """The requests on the list, sorted."""
        return tuple(sorted({entry.request_id for entry in self._entries}))

    def leave_out(self, subjects: Sequence[Subject], images: Path) -> list[Subject]:
        """Return the people and photos that may stay, and remove the prepared images of the others from ``images``."""
        kept = without_suppressed(subjects, self._entries)
        gone = _samples(subjects) - _samples(kept)
        for sample_id in gone:
            (images / image_path(sample_id)).unlink()
        if gone:
            people = sum(not gone.isdisjoint(subject.sample_ids) for subject in subjects)
            _LOGGER.warning("prepare left out %d images of %d people on the suppression list", len(gone), people)
        return kept

    def report_near(self, subjects: Sequence[Subject], images: Path, origins: Mapping[str, SourceRecord]) -> int:
        """Write down, for a person to decide, which kept images look like suppressed ones; nothing is dropped.

        Args:
            subjects: the people who stayed.
            images: folder of the prepared images.
            origins: sample id -> its row in the source.

        Returns:
            How many images.
        """
        suspects = [entry for entry in self._entries if entry.perceptual]
        kept = sorted(_samples(subjects)) if suspects else []
        known = [unmask(self._key, entry.keyed_hash, entry.perceptual) for entry in suspects]
        pairs = near_pairs([perceptual_hash(images / image_path(sample_id)) for sample_id in kept], known)
        if not pairs:
            NEAR_FILE.unlink(missing_ok=True)
            return 0
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["where", "path", "sample_id", "request_id", "differing_bits"])
        for image, suspect, distance in pairs:
            origin = origins[kept[image]]
            writer.writerow([origin.where, origin.path, kept[image], suspects[suspect].request_id, distance])
        write_bytes(NEAR_FILE, stream.getvalue().encode("utf-8", "backslashreplace"), mode=0o600)
        count = len({image for image, _, _ in pairs})
        _LOGGER.warning("%d kept images look like suppressed ones: a person must decide, see %s", count, NEAR_FILE)
        return count


def _samples(subjects: Sequence[Subject]) -> set[str]:
    return {sample_id for subject in subjects for sample_id in subject.sample_ids}
