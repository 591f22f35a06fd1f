"""CelebA in torchvision's layout; with its identity file also the source of MUCAC's three binary attributes.

A folder ``celeba/`` (or ``prepare.root`` itself) with ``img_align_celeba/``, ``list_attr_celeba.txt``,
``identity_CelebA.txt`` and, where the published parts are wanted, ``list_eval_partition.txt``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dlfd_ops.data.adapters.adapter import Source, SourceRecord, missing_layout, read_lines
from dlfd_ops.data.problems import BadRow, Reason
from dlfd_ops.errors import BadInput

_ATTRIBUTES = "list_attr_celeba.txt"
_IDENTITIES = "identity_CelebA.txt"
_PARTITION = "list_eval_partition.txt"
_SPLIT_OF_PART = {"0": "train", "1": "validation", "2": "test"}
_CLASSES = {
    "gender": ("female", "male"),
    "age": ("old", "young"),
    "expression": ("not_smiling", "smiling"),
}
_COLUMN_OF = {"gender": "Male", "age": "Young", "expression": "Smiling"}
_CLASS_OF_CELL = {"-1": 0, "1": 1}
_HEADER_LINES = 2
_PAIR_CELLS = 2


def read_celeba(root: Path) -> Source:
    """Read CelebA below ``root``; labels ``gender``, ``age`` and ``expression``, all binary."""
    folder = root / "celeba" if (root / "celeba").is_dir() else root
    identities = _read_pairs(folder / _IDENTITIES)
    parts = _read_pairs(folder / _PARTITION) if (folder / _PARTITION).is_file() else {}
    lines = read_lines(folder / _ATTRIBUTES)
    columns = _columns(lines)
    images = (folder / "img_align_celeba").relative_to(root)
    records: list[SourceRecord] = []
    problems: list[BadRow] = []
    for number, line in enumerate(lines[_HEADER_LINES:], start=_HEADER_LINES + 1):
        where, cells = f"{_ATTRIBUTES} line {number}", line.split()
        if not cells:
            continue
        path, subject = images / cells[0], identities.get(cells[0])
        labels = _labels(cells[1:], columns)
        if len(cells) != len(columns) + 1 or subject is None:
            problems.append(BadRow(where, Reason.MALFORMED_ROW, str(path), subject))
        elif labels is None:
            problems.append(BadRow(where, Reason.UNKNOWN_LABEL, str(path), subject))
        else:
            split = _SPLIT_OF_PART.get(parts.get(cells[0], ""))
            records.append(SourceRecord(path, subject, labels, split, where))
    return Source(records, _CLASSES, _ATTRIBUTES, problems, [(folder / _ATTRIBUTES).relative_to(root)])


def _columns(lines: list[str]) -> dict[str, int]:
    """Return the place of every attribute, from the second line of the file; the first holds the number of rows."""
    names = lines[1].split() if len(lines) >= _HEADER_LINES else []
    columns = {name: place for place, name in enumerate(names)}
    missing = [name for name in _COLUMN_OF.values() if name not in columns]
    if missing:
        raise BadInput(
            f"{_ATTRIBUTES} must name the attributes {', '.join(_COLUMN_OF.values())} in its second line",
            received=f"no {', '.join(missing)}",
            remedy="restore the published file",
        )
    return columns


def _labels(cells: list[str], columns: Mapping[str, int]) -> dict[str, str] | None:
    labels: dict[str, str] = {}
    for label, column in _COLUMN_OF.items():
        place = columns[column]
        index = _CLASS_OF_CELL.get(cells[place]) if place < len(cells) else None
        if index is None:
            return None
        labels[label] = _CLASSES[label][index]
    return labels


def _read_pairs(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise missing_layout(path.name)
    pairs = (line.split() for line in read_lines(path))
    return {pair[0]: pair[1] for pair in pairs if len(pair) == _PAIR_CELLS}
