"""What an adapter is, what it returns, and the reading that several adapters share."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from dlfd_ops.data.problems import BadRow
from dlfd_ops.errors import BadInput

AGE_GROUPS = ("0-6", "7-12", "13-19", "20-30", "31-45", "46-55", "56-66", "67+")
"""The age classes of MUFAC, in years; other sources of ages use them too."""

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".avif"}
)
"""Files that a folder source lists; the ones that can't be decoded are then reported instead of overlooked."""

_PUBLISHED_SPLITS = {
    "train": "train",
    "training": "train",
    "anchor": "anchor",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class SourceRecord:
    """One image of a source.

    Attributes:
        path: relative to the source's root; not yet checked.
        subject: the raw name of the person, or None where the photo is its own subject.
        labels: class name of every label.
        split: the published part as one of ``manifest.SPLITS``, or None where none is published.
        where: the row's place ("manifest.csv line 7"); safe to print: names no file of an image and no person.
        sha256: digest that the source states for the file, lower-case hex, or None.
    """

    path: Path
    subject: str | None
    labels: Mapping[str, str]
    split: str | None
    where: str
    sha256: str | None = None


@dataclass(frozen=True)
class Source:
    """All that an adapter knows about its source.

    Attributes:
        records: the usable rows, in the source's order.
        classes: class names of every label, in the order of their indices.
        files: what the records were read from, for messages ("manifest.csv").
        problems: the rows that the adapter had to refuse.
        tables: the files whose lines ``where`` names, relative to the root; their names differ.
    """

    records: Sequence[SourceRecord]
    classes: Mapping[str, tuple[str, ...]]
    files: str
    problems: Sequence[BadRow] = ()
    tables: Sequence[Path] = ()

    @property
    def rows(self) -> list[SourceRecord | BadRow]:
        """All rows, the refused ones too: what was never used is somebody's data all the same."""
        return [*self.records, *self.problems]


class Adapter(Protocol):
    """Turns a source's published layout into records; opens no image."""

    def __call__(self, root: Path, /) -> Source:
        """Read the source under ``root``.

        Raises:
            BadInput: the layout itself is not there or not readable. A bad row is no error: it is in ``problems``.
        """
        ...


def published_split(name: str) -> str | None:
    """Return the split that a source calls ``name`` (train, val, ...), or None where the name is none."""
    return _PUBLISHED_SPLITS.get(name.strip().lower())


def list_images(root: Path) -> list[Path]:
    """Return the images below ``root``, relative to it, sorted; hidden files and folders are left out.

    Raises:
        BadInput: a folder is a symbolic link or can't be read, so its images would be missed.
    """
    found: list[Path] = []
    for folder, subfolders, names in os.walk(root, onerror=_unreadable_folder):
        here = Path(folder)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        if any((here / name).is_symlink() for name in subfolders):
            raise BadInput(
                "the folders of a source must be real folders",
                received="a symbolic link to a folder",
                remedy="copy the folder into prepare.root",
            )
        relative = here.relative_to(root)
        found += [relative / name for name in names if _is_image(name)]
    return sorted(found)


def read_csv_rows(path: Path, required: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str], bool]]:
    """Yield ``(where, row, complete)`` for every row of a csv file with a header.

    An incomplete row has more or fewer cells than the header; it then holds those that stand below a name. Cells are
    stripped of surrounding white space.

    Raises:
        BadInput: the file is missing, no UTF-8, no csv, or lacks a required column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path.name, header, required)
            for cells in reader:
                if not cells:
                    continue
                row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
                yield f"{path.name} line {reader.line_num}", row, len(cells) == len(header)
    except FileNotFoundError:
        raise missing_layout(path.name) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(
            f"{path.name} must be a readable UTF-8 csv file",
            received=type(error).__name__,
            remedy="write it again as UTF-8, with a header and quoted cells",
        ) from error


def read_lines(path: Path) -> list[str]:
    """Return the lines of a published list file.

    Raises:
        BadInput: the file is missing or no UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise missing_layout(path.name) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{path.name} must be readable UTF-8 text", received=type(error).__name__, remedy="restore the file"
        ) from error


def missing_layout(what: str) -> BadInput:
    """Return the error for a source that lacks a part of its published layout."""
    return BadInput(
        "prepare.root must hold the source's published layout",
        received=f"a folder without {what}",
        remedy="point prepare.root at the data set, or choose the prepare.source that fits it",
    )


def _check_header(name: str, header: list[str], required: tuple[str, ...]) -> None:
    repeated = {column for column in header if header.count(column) > 1}
    missing = [column for column in required if column not in header]
    if repeated or missing:
        # Numbers alone: where the header is missing, these are a row's cells.
        what = f"{len(repeated)} columns of one name" if repeated else f"no column {', '.join(missing)}"
        raise BadInput(
            f"{name} must have a header with the columns {', '.join(dict.fromkeys(required))}, each once",
            received=what,
            remedy="correct the header",
        )


def _is_image(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES


def _unreadable_folder(error: OSError) -> NoReturn:
    raise BadInput(
        "every folder of a source must be readable",
        received=error.strerror or "an I/O error",
        remedy="check the permissions below prepare.root",
    ) from error
