"""What the prepare stage does with rows that can't become samples: stop, or skip, count and report."""

from __future__ import annotations

import csv
import io
import logging
from collections import Counter
from pathlib import Path
from typing import Literal

from dlfd_ops.data.problems import BadRow
from dlfd_ops.files import write_bytes

BAD_IMAGES_FILE = Path(".dlfd/bad_images.csv")
"""Which rows were refused, with their paths: private, as a path may be a raw identity."""

_LOGGER = logging.getLogger(__name__)


class Refusals:
    """The refused rows of one run.

    Args:
        on_bad_image: ``error`` stops at the first row, ``skip`` goes on.
    """

    def __init__(self, on_bad_image: Literal["error", "skip"]) -> None:
        self._stops = on_bad_image == "error"
        self._rows: list[BadRow] = []

    def add(self, row: BadRow) -> None:
        """Take note of a row.

        Raises:
            BadInput: the policy is to stop; the private file then holds the row.
        """
        self._rows.append(row)
        if self._stops:
            self._write()
            raise row.to_error()

    def counts(self) -> dict[str, int]:
        """Return the number of refused rows by reason."""
        return dict(sorted(Counter(row.reason.value for row in self._rows).items()))

    def publish(self) -> None:
        """Write the private list of this run, remove that of an earlier one, and say what was skipped."""
        if not self._rows:
            BAD_IMAGES_FILE.unlink(missing_ok=True)
            return
        self._write()
        counts = ", ".join(f"{reason} {count}" for reason, count in self.counts().items())
        _LOGGER.warning(
            "prepare skipped %d rows (%s); %s, private, holds their paths", len(self), counts, BAD_IMAGES_FILE
        )

    def __len__(self) -> int:
        return len(self._rows)

    def _write(self) -> None:
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["where", "reason", "path"])
        writer.writerows([row.where, row.reason.value, row.path] for row in self._rows)
        write_bytes(BAD_IMAGES_FILE, stream.getvalue().encode("utf-8", "backslashreplace"), mode=0o600)
