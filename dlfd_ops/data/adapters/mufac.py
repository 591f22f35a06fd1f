"""MUFAC, faces of Korean families with age classes, in the layout that its authors publish.

Three csv files (``custom_train_dataset.csv``, ``custom_val_dataset.csv``, ``custom_test_dataset.csv``) with the columns
family_id, person_id, age_class (a to h) and image_path, beside ``train_images/``, ``val_images/``, ``test_images/``.
The same person stands under several family names with the same photos: merging them is left to the prepare stage.
"""

from __future__ import annotations

from pathlib import Path

from dlfd_ops.data.adapters.adapter import (
    AGE_GROUPS,
    Source,
    SourceRecord,
    missing_layout,
    published_split,
    read_csv_rows,
)
from dlfd_ops.data.problems import BadRow, Reason
from dlfd_ops.errors import BadInput

_COLUMNS = ("family_id", "person_id", "age_class", "image_path")
_PARTS = ("train", "val", "test")
_AGE_CLASSES = dict(zip("abcdefgh", AGE_GROUPS, strict=True))


def read_mufac(root: Path) -> Source:
    """Read MUFAC below ``root``; label ``age_group``, a person is ``<family_id>_<person_id>`` (F0001_D)."""
    folder = _dataset_folder(root)
    records: list[SourceRecord] = []
    problems: list[BadRow] = []
    tables = {part: _table(folder, part) for part in _PARTS}
    for part, table in tables.items():
        images = folder.relative_to(root) / f"{part}_images"
        for where, row, complete in read_csv_rows(table, _COLUMNS):
            entry = _read_row(where, row, images, published_split(part), complete=complete)
            if isinstance(entry, BadRow):
                problems.append(entry)
            else:
                records.append(entry)
    read = [table.relative_to(root) for table in tables.values()]
    return Source(records, {"age_group": AGE_GROUPS}, "MUFAC's csv files", problems, read)


def _read_row(
    where: str, row: dict[str, str], images: Path, split: str | None, *, complete: bool
) -> SourceRecord | BadRow:
    family, person, age, image = (row.get(name, "") for name in _COLUMNS)
    subject = f"{family}_{person}" if family and person else None
    path = images / image
    if not complete or subject is None or not image:
        return BadRow(where, Reason.MALFORMED_ROW, str(path) if image else "", subject)
    age_group = _AGE_CLASSES.get(age.lower())
    if age_group is None:
        return BadRow(where, Reason.UNKNOWN_LABEL, str(path), subject)
    return SourceRecord(path, subject, {"age_group": age_group}, split, where)


def _dataset_folder(root: Path) -> Path:
    """Return ``root``, or the one folder in it that the archive unpacked to."""
    candidates = [root, *sorted(child for child in root.iterdir() if child.is_dir() and not child.is_symlink())]
    for candidate in candidates:
        if (candidate / "train_images").is_dir() and any(candidate.glob("*.csv")):
            return candidate
    raise missing_layout("train_images/ and csv files")


def _table(folder: Path, part: str) -> Path:
    tables = [path for path in folder.glob("*.csv") if part in path.stem.lower()]
    if len(tables) != 1:
        raise BadInput(
            f"MUFAC must have exactly one csv file whose name contains {part}",
            received=f"{len(tables)}",
            remedy=f"leave only custom_{part}_dataset.csv in prepare.root",
        )
    return tables[0]
