"""Anybody's own images, a folder a class: ``[split/]class/[subject/]image.jpg``, the label is called ``class``.

- Where all top folders are called like splits (train, val, test, ...), they are the published split.
- A folder between class and image is the person; without one, every photo is its own subject.
- The classes are the names of the class folders, sorted: the order of torchvision's ``ImageFolder``.
"""

from __future__ import annotations

from pathlib import Path

from dlfd_ops.data.adapters.adapter import Source, SourceRecord, list_images, missing_layout, published_split
from dlfd_ops.data.problems import BadRow, Reason

LABEL = "class"


def read_image_folder(root: Path) -> Source:
    """Read the images below ``root``; one that lies at no place of this layout is refused."""
    images = list_images(root)
    if not images:
        raise missing_layout("images")
    by_split = all(published_split(path.parts[0]) and len(path.parts) > 2 for path in images)
    records: list[SourceRecord] = []
    problems: list[BadRow] = []
    for number, path in enumerate(images, start=1):
        entry = _read(path, f"image {number}", by_split=by_split)
        if isinstance(entry, BadRow):
            problems.append(entry)
        else:
            records.append(entry)
    classes = {LABEL: tuple(sorted({record.labels[LABEL] for record in records}))}
    return Source(records, classes, "the class folders", problems)


def _read(path: Path, where: str, *, by_split: bool) -> SourceRecord | BadRow:
    split = published_split(path.parts[0]) if by_split else None
    folders = path.parts[1:-1] if by_split else path.parts[:-1]
    subject = folders[1] if len(folders) > 1 else None
    if len(folders) not in (1, 2):
        return BadRow(where, Reason.UNKNOWN_LABEL, str(path), subject)
    return SourceRecord(path, subject, {LABEL: folders[0]}, split, where)
