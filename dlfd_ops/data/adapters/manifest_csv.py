"""Anybody's own data: images in a folder and a ``manifest.csv`` beside them.

Columns: ``image`` (path relative to the folder); optional ``subject_id`` (empty: the photo is its own subject),
``split`` (train, validation, test) and ``sha256`` (of the image file, checked). Every other column is a label where it

- has a name of lower-case letters, digits and underscores that is not used otherwise,
- has 2 to 1,000 distinct values, and on average at least two rows a value.

Other columns (a constant, a free text, an identifier) are left out. The classes of a label are its distinct values,
sorted as numbers where all are integers, else as text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from dlfd_ops.data.adapters.adapter import Source, SourceRecord, missing_layout, published_split, read_csv_rows
from dlfd_ops.data.manifest import FIXED_COLUMNS
from dlfd_ops.data.problems import BadRow, Reason
from dlfd_ops.errors import BadInput

MIN_CLASSES = 2
MAX_CLASSES = 1000
MIN_ROWS_A_CLASS = 2
_NOT_LABELS = {"image", "subject_id", "split", "sha256", *FIXED_COLUMNS}
_LABEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)


def read_manifest_csv(root: Path, columns: Mapping[str, str] | None = None) -> Source:
    """Read ``manifest.csv``, or the only csv file, in ``root``.

    Args:
        root: folder of the table, and what its image paths are relative to.
        columns: the table's own names of ``image``, ``subject_id``, ``split`` and ``sha256``, where they are others.
    """
    table = _find_table(root)
    own = dict(columns or {})
    names = {theirs: ours for ours, theirs in own.items()}
    rows: list[tuple[str, dict[str, str]]] = []
    problems: list[BadRow] = []
    for where, cells, complete in read_csv_rows(table, (own.get("image", "image"), *own.values())):
        row = {names.get(name, name): cell for name, cell in cells.items() if name in names or name not in own}
        if not complete or not row.get("image"):
            problems.append(BadRow(where, Reason.MALFORMED_ROW, row.get("image", ""), row.get("subject_id") or None))
        else:
            rows.append((where, row))
    classes = _find_classes([row for _, row in rows])
    records: list[SourceRecord] = []
    for where, row in rows:
        unlabelled = [label for label in classes if not row[label]]
        if unlabelled:
            place, subject = f"{where}, column {unlabelled[0]}", row.get("subject_id") or None
            problems.append(BadRow(place, Reason.UNKNOWN_LABEL, row["image"], subject))
        else:
            records.append(_record(where, row, classes))
    return Source(records, classes, table.name, problems, [table.relative_to(root)])


def _record(where: str, row: Mapping[str, str], classes: Mapping[str, tuple[str, ...]]) -> SourceRecord:
    return SourceRecord(
        path=Path(row["image"]),
        subject=row.get("subject_id") or None,
        labels={label: row[label] for label in classes},
        split=published_split(row.get("split", "")),
        where=where,
        sha256=row.get("sha256", "").lower() or None,
    )


def _find_table(root: Path) -> Path:
    preferred = root / "manifest.csv"
    tables = [preferred] if preferred.is_file() else sorted(root.glob("*.csv"))
    if not tables:
        raise missing_layout("manifest.csv")
    if len(tables) > 1:
        raise BadInput(
            "prepare.root must hold manifest.csv or a single csv file",
            received=f"{len(tables)} csv files and no manifest.csv",
            remedy="name the right one manifest.csv",
        )
    return tables[0]


def _find_classes(rows: Sequence[Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return the classes of every column that is a label by the rule of this module."""
    columns = rows[0] if rows else {}
    candidates = [name for name in columns if name not in _NOT_LABELS and _LABEL_NAME.fullmatch(name)]
    values = {name: {row[name] for row in rows} - {""} for name in candidates}
    return {
        name: _sorted_classes(found)
        for name, found in values.items()
        if MIN_CLASSES <= len(found) <= MAX_CLASSES and MIN_ROWS_A_CLASS * len(found) <= len(rows)
    }


def _sorted_classes(values: set[str]) -> tuple[str, ...]:
    if all(_INTEGER.fullmatch(value) for value in values):
        return tuple(sorted(values, key=lambda value: (int(value), value)))
    return tuple(sorted(values))
