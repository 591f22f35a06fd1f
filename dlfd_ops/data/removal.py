"""Taking samples out of a source: which raw files are theirs, and which rows of its tables tell about them.

A table is any ``.csv`` or ``.txt`` file of the source. A row belongs to a photo when a cell holds the photo's path, or
the end of it ("000001.jpg" for "img_align_celeba/000001.jpg"), or when the source's adapter read the photo from it.
A line of a ``.txt`` file is cut at white space; as a path may hold some, the whole line is compared first.
A row that the adapter refused is somebody's all the same. Where no file is called exactly as a row says, its other
spellings in Unicode count: archives of macOS take accented letters apart.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from dlfd_ops.data.adapters import Source, SourceRecord
from dlfd_ops.data.adapters.adapter import IMAGE_SUFFIXES
from dlfd_ops.data.identity import SecretKey, composed
from dlfd_ops.data.problems import BadRow
from dlfd_ops.errors import BadInput
from dlfd_ops.files import atomic_path, read_bounded

MAX_TABLE_BYTES = 1 << 30
TABLE_SUFFIXES = frozenset({".csv", ".txt"})
_LONGEST_PATH = 4096
"""In characters; a longer line is not tried as a path, of which every end would be compared."""
_ROW_OF_RECORD = re.compile(r"(?P<table>.+) line (?P<line>\d+)(?:, column .+)?")
_TEMPORARY = re.compile(r"\..+\.tmp")


@dataclass(frozen=True)
class RawFile:
    """A raw photo.

    Attributes:
        path: relative to the source's root.
        sample_id: keyed hash of its bytes.
        md5: of its bytes, 32 hex digits, as DVC names it.
    """

    path: str
    sample_id: str
    md5: str


def rows_naming(source: Source, key: SecretKey, subject_keys: Collection[str]) -> list[SourceRecord | BadRow]:
    """Return the rows that name one of the given people, those that the adapter refused too.

    Args:
        source: what the adapter reads.
        key: that the keyed hashes were made with.
        subject_keys: keyed hashes of people.
    """
    return [row for row in source.rows if row.subject is not None and key.subject_key(row.subject) in subject_keys]


def find_photos(
    root: Path, key: SecretKey, *, sample_ids: Collection[str], named: Iterable[SourceRecord | BadRow]
) -> list[RawFile]:
    """Return the files of a source that show the given samples or that the given rows are about, sorted by path.

    Every file is read, whatever it is called: a photo that the source's tables do not name is found too.

    Args:
        root: folder of the source.
        key: that the keyed hashes were made with.
        sample_ids: keyed hashes of files.
        named: the rows that name the people to erase, see :func:`rows_naming`.
    """
    paths, theirs = list_files(root), {_photo_of(row) for row in named}
    respelled = {composed(path) for path in theirs.difference(paths)}
    found = []
    for path in paths:
        content = (root / path).read_bytes()
        sample_id = key.sample_id(content)
        if path in theirs or composed(path) in respelled or sample_id in sample_ids:
            found.append(RawFile(path, sample_id, hashlib.md5(content, usedforsecurity=False).hexdigest()))
    return found


def tables_without(
    root: Path,
    photos: Collection[str],
    source: Source,
    others: Collection[str],
    named: Iterable[SourceRecord | BadRow] = (),
) -> dict[str, str]:
    """Return the new text of every table that has rows about the given photos or people, by path below ``root``.

    Args:
        root: folder of the source.
        photos: paths of the photos that go, relative to ``root``.
        source: what the adapter reads there.
        others: paths of the photos that stay.
        named: the rows that name the people to erase, be it that no photo belongs to them.

    Raises:
        BadInput: a row may be about a photo that goes and about one that stays, or a table is no csv.
    """
    names = _Names(photos, others)
    told_rows = _places([*named, *(row for row in source.rows if _photo_of(row) in names.going)], source.tables)
    changed = {}
    for path in list_files(root):
        if Path(path).suffix.lower() not in TABLE_SUFFIXES:
            continue
        text = _read(root / path)
        told = told_rows.get(path, set())
        shorter = "".join(row.lines for row in _rows(path, text) if row.number not in told and not names.gone(row))
        if shorter != text:
            changed[path] = shorter
    return changed


def remove_photos(root: Path, photos: Iterable[str], tables: Mapping[str, str]) -> None:
    """Rewrite the tables, then remove the photos and the folders that they leave empty; can be repeated."""
    for name, text in tables.items():
        with atomic_path(root / name, mode=(root / name).stat().st_mode & 0o777) as temporary:
            temporary.write_bytes(text.encode("utf-8", "surrogateescape"))
    for photo in photos:
        path = root / photo
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == root or not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()


def find_leftovers(root: Path) -> list[Path]:
    """Return temporary files of tables that a killed run left below ``root``."""
    return [root / path for path in list_files(root) if _TEMPORARY.fullmatch(Path(path).name)]


class _Row(NamedTuple):
    """A row of a table: number of its last line, its lines, its cells, and its whole line where that may be a path."""

    number: int
    lines: str
    cells: list[str]
    whole: str = ""


class _Names:
    """The ways in which a table may name a photo."""

    def __init__(self, going: Collection[str], staying: Collection[str]) -> None:
        self.going, self._staying = set(going), set(staying)
        self._ends_going = {composed(end) for path in self.going for end in _ends(path)}
        self._ends_staying = {composed(end) for path in self._staying for end in _ends(path)}

    def gone(self, row: _Row) -> bool:
        """Return whether a row is about a photo that goes."""
        verdicts = (self._is_gone(end) for end in _ends(_path(row.whole)))
        whole = next((verdict for verdict in verdicts if verdict is not None), None)
        return any(self._is_gone(_path(cell)) for cell in row.cells) if whole is None else whole

    def _is_gone(self, name: str) -> bool | None:
        """Tell a photo that goes from one that stays; None for what names neither."""
        if name in self.going or name in self._staying:
            return name in self.going
        name = composed(name)
        if name in self._ends_going and name in self._ends_staying:
            raise BadInput(
                "a row of the source's tables must tell which photo it is about",
                received="a row that fits a photo to erase and one to keep",
                remedy="write paths relative to prepare.root into the table",
            )
        return name in self._ends_going or (False if name in self._ends_staying else None)


def _path(cell: str) -> str:
    name = cell.removeprefix("\ufeff").strip().replace("\\", "/")
    return str(PurePosixPath(name)) if name else ""


def _ends(path: str) -> Iterator[str]:
    parts = PurePosixPath(path).parts
    return ("/".join(parts[start:]) for start in range(len(parts)))


def _photo_of(row: SourceRecord | BadRow) -> str:
    return Path(row.path).as_posix()


def _places(told: Iterable[SourceRecord | BadRow], tables: Iterable[Path]) -> dict[str, set[int]]:
    """Return the last lines of the rows that the adapter read, by the path of its table: others may be called alike."""
    paths = {table.name: table.as_posix() for table in tables}
    rows: dict[str, set[int]] = {}
    for row in told:
        place = _ROW_OF_RECORD.fullmatch(row.where)
        if place and place["table"] in paths:
            rows.setdefault(paths[place["table"]], set()).add(int(place["line"]))
    return rows


def _rows(path: str, text: str) -> Iterator[_Row]:
    """Yield every row of a table; lines are told apart as the adapters do it, so that their numbers agree."""
    if Path(path).suffix.lower() == ".txt":
        lines = text.splitlines(keepends=True)
        return (
            _Row(number, line, line.split(), line if len(line) <= _LONGEST_PATH else "")
            for number, line in enumerate(lines, start=1)
        )
    return _csv_rows(path, list(io.StringIO(text, newline="")))


def _csv_rows(path: str, lines: list[str]) -> Iterator[_Row]:
    """Yield every row; a quoted cell may span lines, and one that is never closed would swallow the rows after it."""
    reader, start = csv.reader(lines, strict=True), 0
    try:
        for cells in reader:
            yield _Row(reader.line_num, "".join(lines[start : reader.line_num]), cells)
            start = reader.line_num
    except csv.Error as error:
        raise BadInput(
            f"every row of the source's table {path} must be readable: it may tell about the people to erase",
            received=f"{error}, after line {start}",
            remedy="close its quotes and separate its cells by commas, or take it out of prepare.root",
        ) from error


def _read(path: Path) -> str:
    return read_bounded(path, max_bytes=MAX_TABLE_BYTES, what="a table of the source").decode(
        "utf-8", "surrogateescape"
    )


def list_files(root: Path) -> list[str]:
    """Return all files below ``root``, relative to it, sorted; linked folders are not followed."""
    found = [Path(folder) / name for folder, _, names in os.walk(root) for name in names]
    return sorted(path.relative_to(root).as_posix() for path in found if path.is_file())


def is_photo(path: str) -> bool:
    """Return whether a file is a photo by its name."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES
