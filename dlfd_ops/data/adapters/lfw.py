"""Labeled Faces in the Wild as published: a folder per person, ``<Name>/<Name>_0001.jpg``.

The pictures carry no label. Gender comes from lists of file names beside the folders, as published for LFW:
a text file whose name contains ``female`` and one whose name contains ``male`` (``male_names.txt``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath

from dlfd_ops.data.adapters.adapter import Source, SourceRecord, list_images, missing_layout, read_lines
from dlfd_ops.data.problems import BadRow, Reason
from dlfd_ops.errors import BadInput

_GENDERS = ("female", "male")
_NUMBER = re.compile(r"_\d{4,}", re.ASCII)


def read_lfw(root: Path) -> Source:
    """Read LFW below ``root``; label ``gender``.

    A picture on neither list or on both takes the gender of its person's other pictures where those agree.
    """
    paths = list_images(root)
    if not any(_follows_scheme(path) for path in paths):
        raise missing_layout("a folder per person with <Name>_0001.jpg")
    listed = _read_lists(root)
    of_person = _genders_of_people(paths, listed)
    records: list[SourceRecord] = []
    problems: list[BadRow] = []
    for number, path in enumerate(paths, start=1):
        where = f"image {number} of {len(paths)} in sorted order"
        person = path.parent.name
        genders = listed.get(path.name, set())
        if len(genders) != 1:
            genders = of_person.get(person, set())
        if not _follows_scheme(path):
            problems.append(BadRow(where, Reason.MALFORMED_NAME, str(path), person or None))
        elif len(genders) != 1:
            problems.append(BadRow(where, Reason.UNKNOWN_LABEL, str(path), person))
        else:
            records.append(SourceRecord(path, person, {"gender": min(genders)}, None, where))
    return Source(records, {"gender": _GENDERS}, "the folders of people", problems)


def _follows_scheme(path: Path) -> bool:
    person = path.parent.name
    return bool(person) and path.stem.startswith(person) and bool(_NUMBER.fullmatch(path.stem.removeprefix(person)))


def _read_lists(root: Path) -> dict[str, set[str]]:
    """Return the genders that the lists name for every file name."""
    listed: dict[str, set[str]] = {}
    found: set[str] = set()
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            gender = _gender_of_list(name)
            if gender is None:
                continue
            found.add(gender)
            for line in read_lines(Path(folder) / name):
                listed.setdefault(PureWindowsPath(line.strip()).name, set()).add(gender)
    if found != set(_GENDERS):
        raise BadInput(
            "LFW's pictures carry no label: gender must come from two lists of file names below prepare.root",
            received=f"lists for: {', '.join(sorted(found)) or 'none'}",
            remedy="add female_names.txt and male_names.txt, or use prepare.source manifest_csv",
        )
    return listed


def _gender_of_list(name: str) -> str | None:
    if not name.lower().endswith(".txt"):
        return None
    return next((gender for gender in _GENDERS if gender in name.lower()), None)  # "female" holds "male": it is first


def _genders_of_people(paths: list[Path], listed: Mapping[str, set[str]]) -> dict[str, set[str]]:
    genders: dict[str, set[str]] = {}
    for path in paths:
        of_picture = listed.get(path.name, set())
        if len(of_picture) == 1:
            genders.setdefault(path.parent.name, set()).update(of_picture)
    return genders
