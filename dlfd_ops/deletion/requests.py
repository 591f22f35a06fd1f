"""The intake: deletion requests as they were filed, pseudonymous and never edited.

What became of a request stands in the ledger (see :mod:`dlfd_ops.deletion.status`), not here.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from dlfd_ops.deletion.deadlines import POLICIES
from dlfd_ops.digest import sha256_json
from dlfd_ops.errors import BadInput
from dlfd_ops.files import read_bounded, write_text

REQUESTS_FILE = Path("deletion/requests.csv")
MAX_INTAKE_BYTES = 256 << 20
MAX_SAMPLES = 2000
"""Most samples of one request; a row then stays below the csv module's limit of a field."""

_COLUMNS = ("request_id", "key_id", "subject_key", "sample_ids", "received_at", "due_at", "legal_basis")


def _known_basis(value: str) -> str:
    if value not in POLICIES:
        raise ValueError("unknown legal basis")
    return value


def _whole_utc_second(value: datetime) -> datetime:
    if value.utcoffset() != timedelta(0) or value.microsecond:
        raise ValueError("must be a whole second of UTC")
    return value.replace(tzinfo=UTC)


_PREFIX = "req-"
RequestId = Annotated[str, Field(pattern=rf"^{_PREFIX}[0-9a-f]{{12}}$")]
KeyId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
KeyedHash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
UtcSecond = Annotated[AwareDatetime, AfterValidator(_whole_utc_second)]


class Target(BaseModel):
    """Whom or what a request is about: one subject, or one batch of samples.

    Attributes:
        key_id: public id of the secret key that the keyed hashes were made with.
        subject_key: keyed hash of the subject id, or ``None``.
        sample_ids: keyed hashes of image files, sorted, each once; empty for a subject.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key_id: KeyId
    subject_key: KeyedHash | None = None
    sample_ids: Annotated[tuple[KeyedHash, ...], Field(max_length=MAX_SAMPLES)] = ()

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.subject_key is None) == (not self.sample_ids):
            raise ValueError("either a subject or samples, not both")
        if list(self.sample_ids) != sorted(set(self.sample_ids)):
            raise ValueError("sample ids must be sorted, each once")
        return self

    @property
    def kind(self) -> str:
        """``subject`` or ``samples``."""
        return "subject" if self.subject_key is not None else "samples"


class DeletionRequest(Target):
    """One wish to be forgotten, as filed.

    Attributes:
        request_id: derived from the target, see :func:`derive_request_id`.
        received_at: moment of receipt, UTC, whole seconds.
        due_at: day by which the law wants it fulfilled, before any extension.
        legal_basis: a key of :data:`dlfd_ops.deletion.deadlines.POLICIES`.
    """

    request_id: RequestId
    received_at: UtcSecond
    due_at: date
    legal_basis: Annotated[str, AfterValidator(_known_basis)]

    @property
    def target(self) -> Target:
        """The target alone: equal for two requests about the same person or batch."""
        return Target(key_id=self.key_id, subject_key=self.subject_key, sample_ids=self.sample_ids)


@dataclass(frozen=True)
class Draft:
    """A request before it is filed: it has no id yet."""

    target: Target
    received_at: datetime
    due_at: date
    legal_basis: str


@dataclass(frozen=True)
class Filed:
    """Outcome of filing a draft: the request, and whether it had been asked before."""

    request: DeletionRequest
    repeated: bool


def derive_request_id(target: Target, round_: int) -> str:
    """Return the id of the ``round_``-th request (from 0) about ``target``.

    The same question asked twice has the same id. A further round begins when the request
    before it was withdrawn or refused.
    """
    identity: dict[str, Any] = {
        "key_id": target.key_id,
        "subject_key": target.subject_key,
        "sample_ids": list(target.sample_ids),
        "round": round_,
    }
    return f"{_PREFIX}{sha256_json(identity)[:12]}"


def file_requests(
    existing: Sequence[DeletionRequest], drafts: Iterable[Draft], closed: Collection[str]
) -> tuple[list[DeletionRequest], list[Filed]]:
    """Add drafts to the intake.

    Args:
        existing: the intake so far, in order.
        drafts: what is asked now; one that is open already is not filed again.
        closed: ids of requests that were withdrawn or refused: asking again opens a new one.

    Returns:
        The whole intake, and one outcome a draft.
    """
    requests, filed = list(existing), []
    by_target: dict[Target, list[DeletionRequest]] = {}
    for request in existing:
        by_target.setdefault(request.target, []).append(request)
    for draft in drafts:
        earlier = by_target.setdefault(draft.target, [])
        if earlier and earlier[-1].request_id not in closed:
            filed.append(Filed(earlier[-1], repeated=True))
            continue
        request = DeletionRequest(
            **draft.target.model_dump(),
            request_id=derive_request_id(draft.target, len(earlier)),
            received_at=draft.received_at,
            due_at=draft.due_at,
            legal_basis=draft.legal_basis,
        )
        earlier.append(request)
        requests.append(request)
        filed.append(Filed(request, repeated=False))
    return requests, filed


def write_requests(path: Path, requests: Iterable[DeletionRequest]) -> None:
    """Replace the intake file, in one rename."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for request in requests:
        row = request.model_dump()
        row["subject_key"] = request.subject_key or ""
        row["sample_ids"] = " ".join(request.sample_ids)
        row["received_at"] = format_utc(request.received_at)
        writer.writerow([row[column] for column in _COLUMNS])
    write_text(path, text.getvalue())


def shown_id(request_id: str) -> str:
    """Return what somebody gave as a request id, short, for an error; not a name that stands in its place."""
    return f"{request_id!r:.40}" if request_id.startswith(_PREFIX) else "something that is no request id"


def read_requests(path: Path) -> list[DeletionRequest]:
    """Read and validate the intake file.

    Raises:
        BadInput: missing, too large, not in the format, or an id does not belong to its target; the line is named.
    """
    content = read_bounded(path, max_bytes=MAX_INTAKE_BYTES, what=str(path))
    requests: list[DeletionRequest] = []
    rounds: dict[Target, int] = {}
    try:
        reader = csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True)
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise _unreadable(path, 1, "the columns of the format")
        for row in reader:
            request = _parse(row, path, reader.line_num)
            target = request.target
            round_ = rounds.get(target, 0)
            if request.request_id != derive_request_id(target, round_):
                raise _unreadable(path, reader.line_num, "the id that belongs to its target")
            rounds[target] = round_ + 1
            requests.append(request)
    except (UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, len(requests) + 2, "UTF-8 CSV") from error
    return requests


def join_ids(request_ids: Iterable[str], *, max_length: int) -> str:
    """Return request ids as one text: sorted, comma separated.

    Args:
        request_ids: the ids.
        max_length: characters that the text may have; of more ids it states the number and a digest, and the ledger
            has them one by one. At least 100.
    """
    ids = sorted(request_ids)
    text = ",".join(ids)
    return text if len(text) <= max_length else f"{len(ids)} requests, sha256:{sha256_json(ids)}"


def format_utc(moment: datetime) -> str:
    """Return a moment as ``2026-01-31T12:00:00Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _parse(row: dict[str, Any], path: Path, line: int) -> DeletionRequest:
    if set(row) != set(_COLUMNS) or None in row.values():
        raise _unreadable(path, line, f"{len(_COLUMNS)} fields")
    fields = row | {"subject_key": row["subject_key"] or None, "sample_ids": tuple(row["sample_ids"].split())}
    try:
        return DeletionRequest.model_validate(fields)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"][:1]) or "target"
        raise _unreadable(path, line, f"a valid {where}") from error


def _unreadable(path: Path, line: int, rule: str) -> BadInput:
    return BadInput(
        f"{path} line {line} must have {rule}",
        received="something else",
        remedy="the intake is never edited by hand: restore it with dvc checkout",
    )
