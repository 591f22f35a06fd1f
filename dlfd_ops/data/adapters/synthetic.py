"""The invented faces of :mod:`dlfd_ops.data.synthetic_faces`: the embedded default, which holds no real person.

``python -m dlfd_ops.data.synthetic_faces --root data/raw --subjects 260 --seed 0`` writes them.
"""

from __future__ import annotations

from pathlib import Path

from dlfd_ops.data.adapters.adapter import Source, SourceRecord, read_csv_rows
from dlfd_ops.data.problems import BadRow, Reason
from dlfd_ops.data.synthetic_faces.dataset import CLASSES, LABELS


def read_synthetic(root: Path) -> Source:
    """Read the data set that the generator wrote into ``root``."""
    records: list[SourceRecord] = []
    problems: list[BadRow] = []
    for where, row, complete in read_csv_rows(root / LABELS, ("image", "subject_id", *CLASSES)):
        image, subject = row.get("image", ""), row.get("subject_id") or None
        if not complete or not image or subject is None:
            problems.append(BadRow(where, Reason.MALFORMED_ROW, image, subject))
            continue
        labels = {label: row[label] for label in CLASSES}
        unknown = [label for label, name in labels.items() if name not in CLASSES[label]]
        if unknown:
            problems.append(BadRow(f"{where}, column {unknown[0]}", Reason.UNKNOWN_LABEL, image, subject))
        else:
            records.append(SourceRecord(Path(image), subject, labels, None, where))
    return Source(records, CLASSES, LABELS, problems, [Path(LABELS)])
