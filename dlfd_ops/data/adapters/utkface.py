"""UTKFace as published: labels in the names, ``[age]_[gender]_[race]_[date&time].jpg``.

The aligned version ends in ``.jpg.chip.jpg``. A few published names lack a label; they are refused, not guessed.
No identities are published, so each photo is its own subject.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from pathlib import Path

from dlfd_ops.data.adapters.adapter import AGE_GROUPS, Source, SourceRecord, list_images, missing_layout
from dlfd_ops.data.problems import BadRow, Reason

_NAME = re.compile(r"(\d{1,3})_(\d+)_(\d+)_\d{8,}", re.ASCII)
_GENDERS = ("male", "female")
_RACES = ("white", "black", "asian", "indian", "others")
_OLDEST = (6, 12, 19, 30, 45, 55, 66)
_MAX_AGE = 130


def read_utkface(root: Path) -> Source:
    """Read UTKFace from all folders below ``root``; labels ``age_group``, ``gender`` and ``race``."""
    paths = list_images(root)
    if not any(_NAME.match(path.name) for path in paths):
        raise missing_layout("images named [age]_[gender]_[race]_[date&time].jpg")
    records: list[SourceRecord] = []
    problems: list[BadRow] = []
    for number, path in enumerate(paths, start=1):
        where = f"image {number} of {len(paths)} in sorted order"
        labels = _labels(path.name)
        if isinstance(labels, Reason):
            problems.append(BadRow(where, labels, str(path)))
        else:
            records.append(SourceRecord(path, None, labels, None, where))
    classes = {"age_group": AGE_GROUPS, "gender": _GENDERS, "race": _RACES}
    return Source(records, classes, "the names of the images", problems)


def _labels(name: str) -> dict[str, str] | Reason:
    match = _NAME.match(name)
    if match is None:
        return Reason.MALFORMED_NAME
    age, gender, race = (int(group) for group in match.groups())
    if age > _MAX_AGE or gender >= len(_GENDERS) or race >= len(_RACES):
        return Reason.UNKNOWN_LABEL
    return {"age_group": AGE_GROUPS[bisect_left(_OLDEST, age)], "gender": _GENDERS[gender], "race": _RACES[race]}
