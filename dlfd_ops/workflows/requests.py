"""The life of a deletion request up to the pipeline: filing it, deciding on it, looking at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.identity import SecretKey, project_key
from dlfd_ops.deletion.deadlines import due_date, extended_due_date, last_day_to_extend
from dlfd_ops.deletion.requests import MAX_SAMPLES, Draft, Filed, Target, file_requests
from dlfd_ops.deletion.status import RequestStatus, events_of, request_statuses
from dlfd_ops.errors import BadInput
from dlfd_ops.files import read_bounded
from dlfd_ops.workflows.intake import Intake, open_intake, read_intake, status_of

MAX_SUBJECT_CHARACTERS = 1024
MAX_SAMPLE_FILE_BYTES = 64 << 20
EARLIEST_YEAR = 2000
"""No law of the policy table is older."""

EXTENSION_REASONS = ("complexity", "number_of_requests")
REFUSAL_REASONS = (
    "not_in_data",
    "never_trained_on",
    "identity_not_verified",
    "manifestly_unfounded",
    "excessive",
    "legal_obligation",
    "legal_claims",
    "freedom_of_expression",
    "public_interest",
    "other",
)
"""Reasons are codes, not free text: the ledger goes into git, where no name may stand."""

_FURTHEST_AHEAD = timedelta(hours=14)
"""A naive local date may be ahead of UTC by this much."""


@dataclass(frozen=True)
class Wish:
    """What somebody asks, in the clear; it lives in memory only.

    Attributes:
        legal_basis: a key of the policy table.
        subject: raw subject id, or ``None``.
        sample_files: image files as they lie in the raw data; empty for a subject.
        received: moment of receipt (naive: UTC); ``None`` is now.
        due: due date, for the legal basis ``manual`` only.
        where: how to name this wish in an error, for example "line 7"; never an identity.
    """

    legal_basis: str
    subject: str | None = None
    sample_files: tuple[Path, ...] = ()
    received: datetime | None = None
    due: date | None = None
    where: str = "the request"


def add_requests(wishes: Sequence[Wish]) -> list[Filed]:
    """File wishes, all or none; one that is open already is reported as repeated.

    A new one pins the version that serves as the parent of the next unlearning.

    Returns:
        One outcome a wish, in order.

    Raises:
        BadInput: not in a DVC repository, a wish breaks a rule, the key is not the one of this repository, or no parent
            can be pinned.
    """
    with open_intake() as intake:
        terms = [_terms(wish) for wish in wishes]
        key = project_key()
        drafts = [
            Draft(_target(wish, key), received, due, wish.legal_basis)
            for wish, (received, due) in zip(wishes, terms, strict=True)
        ]
        requests, filed = file_requests(intake.requests, drafts, intake.closed)
        if not all(one.repeated for one in filed):
            intake.pin(requests)
        intake.settle(requests)
        return filed


def settle() -> None:
    """Track the intake and the pinned parent as they stand, as every command that changes them does."""
    with open_intake() as intake:
        intake.settle()


def list_requests() -> list[RequestStatus]:
    """Return the status of every request, in order of receipt."""
    return list(request_statuses(Ledger().trusted(), read_intake()).values())


def show_request(request_id: str) -> tuple[RequestStatus, list[Event]]:
    """Return the status of one request and the events that concern it.

    Raises:
        BadInput: there is no such request.
    """
    events = Ledger().trusted()
    return status_of(request_id, request_statuses(events, read_intake())), events_of(request_id, events)


def acknowledge(request_id: str) -> RequestStatus:
    """Record that the person was told that the request arrived."""
    return _decide(request_id, "acknowledged", {})


def refuse(request_id: str, reason: str) -> RequestStatus:
    """Record that the request is refused, with one of :data:`REFUSAL_REASONS`; the forget list leaves it out."""
    _check_reason(reason, REFUSAL_REASONS)
    return _decide(request_id, "refused", {"reason": reason})


def withdraw(request_id: str) -> RequestStatus:
    """Record that the person took the request back; the forget list leaves it out."""
    return _decide(request_id, "withdrawn", {})


def extend(request_id: str, reason: str, due: date | None = None) -> RequestStatus:
    """Record that the due date was extended, within the first period (see :func:`last_day_to_extend`).

    Args:
        request_id: which request.
        reason: one of :data:`EXTENSION_REASONS`.
        due: the new due date; ``None`` takes the longest that the law allows.
    """
    _check_reason(reason, EXTENSION_REASONS)
    with open_intake() as intake:
        status = intake.status(request_id)
        again = {"request_id": request_id, "due_at": status.due_at.isoformat(), "reason": reason}
        if due in (None, status.due_at) and _recorded(intake, "extended", again):
            intake.settle()
            return status
        _check_open(status)
        received = datetime.fromisoformat(status.received_at).date()
        last = last_day_to_extend(status.legal_basis, received, status.due_at)
        if datetime.now(UTC).date() > last:
            raise BadInput(
                "an extension must be recorded within the first period",
                received=f"{request_id}, whose first period ended on {last}",
                remedy="fulfil the request",
            )
        until = extended_due_date(status.legal_basis, received, status.due_at, due)
        intake.settle(decision=("extended", again | {"due_at": until.isoformat()}))
        return intake.status(request_id)


def _decide(request_id: str, kind: str, facts: Mapping[str, str]) -> RequestStatus:
    with open_intake() as intake:
        status = intake.status(request_id)
        data = {"request_id": request_id, **facts}
        if not _recorded(intake, kind, data):
            _check_open(status)
        intake.settle(decision=(kind, data))
        return intake.status(request_id)


def _recorded(intake: Intake, kind: str, data: Mapping[str, Any]) -> bool:
    return any(event.kind == kind and event.data == data for event in intake.ledger.events())


def _check_open(status: RequestStatus) -> None:
    if not status.open:
        raise BadInput(
            "a decision is possible while a request is open",
            received=f"{status.request_id}, which is {status.state}",
            remedy="if the person asks anew, file a new request",
        )


def _check_reason(reason: str, known: Sequence[str]) -> None:
    if reason not in known:
        raise BadInput(
            f"the reason must be one of {', '.join(known)}", received="another one", remedy="choose from the list"
        )


def _terms(wish: Wish) -> tuple[datetime, date]:
    """Check all of a wish that can be checked without the key; return receipt (whole UTC second) and due date."""
    if (wish.subject is None) == (not wish.sample_files):
        raise BadInput(
            f"{wish.where} must name either a subject or sample files",
            received="both" if wish.sample_files else "neither",
            remedy="give one of the two",
        )
    if wish.subject is not None and not (wish.subject.strip() and len(wish.subject) <= MAX_SUBJECT_CHARACTERS):
        raise BadInput(
            f"the subject of {wish.where} must have 1 to {MAX_SUBJECT_CHARACTERS} characters, not only white space",
            received=f"{len(wish.subject)} characters",
            remedy="give the subject id as it stands in the raw data",
        )
    if len(wish.sample_files) > MAX_SAMPLES:
        raise BadInput(
            f"{wish.where} may name at most {MAX_SAMPLES} sample files",
            received=str(len(wish.sample_files)),
            remedy="split it into several requests",
        )
    for _ in _contents(wish):
        pass
    received = _received(wish)
    try:
        return received, due_date(wish.legal_basis, received.date(), wish.due)
    except BadInput as error:
        raise BadInput(f"{wish.where}: {error.rule}", received=error.received, remedy=error.remedy) from error


def _received(wish: Wish) -> datetime:
    now = datetime.now(UTC)
    received = wish.received or now
    plausible = EARLIEST_YEAR <= received.year <= now.year + 1  # the conversion below overflows at the calendar's ends
    if plausible:
        received = received.replace(tzinfo=UTC) if received.tzinfo is None else received.astimezone(UTC)
        received = received.replace(microsecond=0)  # afterwards: an offset may hold some itself
    if not plausible or received > now + _FURTHEST_AHEAD:
        raise BadInput(
            f"{wish.where} must have been received by now, and since {EARLIEST_YEAR}",
            received=received.date().isoformat(),
            remedy="correct the date",
        )
    return received


def _target(wish: Wish, key: SecretKey) -> Target:
    if wish.subject is not None:
        return Target(key_id=key.key_id, subject_key=key.subject_key(wish.subject))
    return Target(key_id=key.key_id, sample_ids=tuple(sorted({key.sample_id(content) for content in _contents(wish)})))


def _contents(wish: Wish) -> Iterator[bytes]:
    for number, path in enumerate(wish.sample_files, start=1):
        what = f"sample file {number} of {wish.where}"
        content = read_bounded(path, max_bytes=MAX_SAMPLE_FILE_BYTES, what=what)
        if not content:
            raise BadInput(
                f"{what} must be an image file as it lies in the raw data",
                received="an empty file",
                remedy="give that one",
            )
        yield content
