"""The curve of a training run as CSV, complete even when the run was interrupted and resumed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path

from dlfd_ops.files import write_text


class CurveRecorder:
    """Keeps the metrics of every logged step beside the resume checkpoint, and writes them as CSV at the end.

    A step that runs again after a resume replaces its older row.

    Args:
        journal: private file that survives an interruption.
        key: digest of the run's inputs; rows of another key are dropped.
    """

    def __init__(self, journal: Path, key: str) -> None:
        self._journal = journal
        self._key = key
        self._rows: dict[int, dict[str, float]] = {}
        content = journal.read_text() if journal.exists() else ""
        for line in content.splitlines():
            self._take(line)
        if content and not content.endswith("\n"):
            # The torn line of a killed run must not swallow the next one.
            with journal.open("a") as stream:
                stream.write("\n")

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep the metrics of a step."""
        self._rows[step] = dict(metrics)
        self._journal.parent.mkdir(parents=True, exist_ok=True)
        with self._journal.open("a") as stream:
            stream.write(json.dumps({"key": self._key, "step": step, "metrics": dict(metrics)}) + "\n")

    def on_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Epochs end at steps, which are kept already."""

    def write(self, path: Path) -> None:
        """Write the rows in the order of their steps: ``step`` and one column a metric, empty where one is missing."""
        names = sorted({name for row in self._rows.values() for name in row})
        text = io.StringIO()
        writer = csv.DictWriter(text, ["step", *names], lineterminator="\n")
        writer.writeheader()
        for step in sorted(self._rows):
            writer.writerow({"step": step, **{name: f"{value:.6g}" for name, value in self._rows[step].items()}})
        write_text(path, text.getvalue())

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
            if entry["key"] == self._key:
                self._rows[entry["step"]] = entry["metrics"]
        except (ValueError, KeyError, TypeError):
            return  # the last line of a killed run may be torn; its step runs again
