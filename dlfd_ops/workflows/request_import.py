"""Filing many requests at once from a CSV file."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime
from pathlib import Path

from dlfd_ops.deletion.deadlines import POLICIES
from dlfd_ops.deletion.requests import Filed
from dlfd_ops.errors import BadInput
from dlfd_ops.files import read_bounded
from dlfd_ops.workflows.requests import Wish, add_requests

MAX_IMPORT_BYTES = 16 << 20

_TARGETS = {"subject_id", "sample_file"}
_REQUIRED = {"legal_basis", "received_at"}
_OPTIONAL = {"due_at"}


def import_requests(path: Path) -> list[Filed]:
    """File every row of a CSV file, all or none.

    Columns: ``subject_id`` and/or ``sample_file`` (one of them filled in each row; a path relative to the working
    directory), ``legal_basis``, ``received_at``, and ``due_at`` for the basis ``manual``.

    Raises:
        BadInput: a row breaks a rule; it is named by its line number, and its content is never repeated.
    """
    return add_requests(read_wishes(path))


def read_wishes(path: Path) -> list[Wish]:
    """Read and validate the rows of an import file.

    Raises:
        BadInput: not UTF-8 CSV of at most :data:`MAX_IMPORT_BYTES`, other columns, no rows, or a bad row.
    """
    content = read_bounded(path, max_bytes=MAX_IMPORT_BYTES, what="the import file")
    wishes: list[Wish] = []
    line = 1
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        _check_columns(reader.fieldnames)
        for row in reader:
            line = reader.line_num
            wishes.append(_wish(row, f"line {line}"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _bad(f"the import file after line {line}", "UTF-8 CSV", "something else") from error
    if not wishes:
        raise _bad("the import file", "at least one row", "none")
    return wishes


def _check_columns(columns: object) -> None:
    names = list(columns) if isinstance(columns, list | tuple) else []
    known = set(names)
    complete = known >= _REQUIRED and known & _TARGETS and not known - _REQUIRED - _TARGETS - _OPTIONAL
    if not complete or len(known) != len(names):
        raise _bad(
            "the first line of the import file",
            "the columns subject_id or sample_file (or both), legal_basis, received_at and, if needed, due_at",
            "other columns",
        )


def _wish(row: dict[str, str], where: str) -> Wish:
    if None in row or None in row.values():
        raise _bad(where, "one field for each column", "more or fewer")
    if row["legal_basis"] not in POLICIES:
        raise _bad(where, f"a legal basis of {', '.join(POLICIES)}", "another")
    subject, sample = row.get("subject_id", ""), row.get("sample_file", "")
    try:
        received = datetime.fromisoformat(row["received_at"])
        due = date.fromisoformat(row["due_at"]) if row.get("due_at") else None
    except ValueError as error:
        raise _bad(where, "dates such as 2026-01-31 or 2026-01-31T12:00:00+01:00", "something else") from error
    return Wish(
        legal_basis=row["legal_basis"],
        subject=subject or None,
        sample_files=(Path(sample),) if sample else (),
        received=received,
        due=due,
        where=where,
    )


def _bad(where: str, rule: str, received: str) -> BadInput:
    return BadInput(f"{where} must have {rule}", received=received, remedy="correct it; nothing was filed")
