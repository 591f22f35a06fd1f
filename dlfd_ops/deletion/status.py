"""What became of each request, derived from the events of the ledger and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal, Protocol, TypeVar

from dlfd_ops.deletion.requests import DeletionRequest, format_utc

State = Literal[
    "received", "acknowledged", "extended", "resolved", "unlearned", "registered", "fulfilled", "refused", "withdrawn"
]
CLOSED: frozenset[State] = frozenset({"fulfilled", "refused", "withdrawn"})
"""States that nothing follows."""

_PROGRESS: tuple[State, ...] = (
    "received",
    "acknowledged",
    "extended",
    "resolved",
    "unlearned",
    "registered",
    "fulfilled",
)
_Version = tuple[str, int, str | None]
"""Model, number and store; a verdict from before verdicts named the store is on the last version of that number."""


class LedgerEvent(Protocol):
    """What this module needs of an event."""

    @property
    def at(self) -> str:
        """When it was recorded: ISO 8601, UTC."""
        ...

    @property
    def kind(self) -> str:
        """What happened."""
        ...

    @property
    def data(self) -> Mapping[str, Any]:
        """The facts of this kind of event."""
        ...


AnyEvent = TypeVar("AnyEvent", bound=LedgerEvent)


@dataclass(frozen=True)
class RequestStatus:
    """Where one request stands.

    Attributes:
        request_id: which request.
        state: how far it came; ``registered`` is a version whose gate did not pass (yet).
        legal_basis: a key of the policy table.
        target: ``subject`` or ``samples``.
        received_at: ISO 8601, UTC.
        due_at: the effective due date, an extension included.
        closed_at: when it was fulfilled, refused or withdrawn (ISO 8601, UTC); ``None`` while open.
        model_name: registered model of ``version``.
        version: the version that fulfils it, or would once its gate passes; ``None`` before registration.
    """

    request_id: str
    state: State
    legal_basis: str
    target: str
    received_at: str
    due_at: date
    closed_at: str | None = None
    model_name: str | None = None
    version: int | None = None

    @property
    def open(self) -> bool:
        """Whether somebody still has to act."""
        return self.state not in CLOSED

    def days_left(self, as_of: date) -> int | None:
        """Return the days from ``as_of`` to the due date, negative when overdue; ``None`` once closed."""
        return (self.due_at - as_of).days if self.open else None

    def late(self, as_of: date) -> bool:
        """Return whether the due date passed unanswered: by ``as_of``, or by the answer where there is one.

        A withdrawn request is never late.
        """
        if self.state == "withdrawn":
            return False
        answered = datetime.fromisoformat(self.closed_at).date() if self.closed_at else as_of
        return answered > self.due_at


def request_statuses(
    events: Iterable[LedgerEvent], requests: Sequence[DeletionRequest] = ()
) -> dict[str, RequestStatus]:
    """Return the status of every request, by id, in order of receipt into the ledger.

    Args:
        events: the ledger, in order.
        requests: the intake; a request whose ``received`` event is not written yet counts as received.
    """
    statuses: dict[str, RequestStatus] = {}
    versions: dict[_Version, Sequence[str]] = {}
    for event in events:
        if event.kind == "received":
            statuses.setdefault(event.data["request_id"], _received(event.data))
            continue
        _note_version(event, versions)
        for request_id in _concerned(event, versions):
            if request_id in statuses:
                statuses[request_id] = _advance(statuses[request_id], event)
    for request in requests:
        statuses.setdefault(request.request_id, _received(received_data(request)))
    return statuses


def events_of(request_id: str, events: Iterable[AnyEvent]) -> list[AnyEvent]:
    """Return the events that concern one request, in order."""
    return histories(events).get(request_id, [])


def histories(events: Iterable[AnyEvent]) -> dict[str, list[AnyEvent]]:
    """Return for every request the events that concern it, in order."""
    found: dict[str, list[AnyEvent]] = {}
    versions: dict[_Version, Sequence[str]] = {}
    for event in events:
        _note_version(event, versions)
        for request_id in _concerned(event, versions):
            found.setdefault(request_id, []).append(event)
    return found


def received_data(request: DeletionRequest) -> dict[str, Any]:
    """Return the data of the ``received`` event of a request."""
    return {
        "request_id": request.request_id,
        "key_id": request.key_id,
        "legal_basis": request.legal_basis,
        "received_at": format_utc(request.received_at),
        "due_at": request.due_at.isoformat(),
        "target": request.kind,
    }


def _received(data: Mapping[str, Any]) -> RequestStatus:
    return RequestStatus(
        request_id=data["request_id"],
        state="received",
        legal_basis=data["legal_basis"],
        target=data["target"],
        received_at=data["received_at"],
        due_at=date.fromisoformat(data["due_at"]),
    )


def _concerned(event: LedgerEvent, versions: Mapping[_Version, Sequence[str]]) -> Sequence[str]:
    if event.kind in ("gated", "promoted", "rolled_back"):
        return versions.get(_version(event.data), ())
    if "request_id" in event.data:
        return (event.data["request_id"],)
    several: Sequence[str] = event.data.get("request_ids", ())
    return several


def _note_version(event: LedgerEvent, versions: dict[_Version, Sequence[str]]) -> None:
    if event.kind == "registered":
        model_name, version, store = _version(event.data)
        versions[model_name, version, store] = versions[model_name, version, None] = event.data["request_ids"]


def _version(data: Mapping[str, Any]) -> _Version:
    return data["model_name"], data["version"], data.get("store")


def _advance(status: RequestStatus, event: LedgerEvent) -> RequestStatus:
    """Apply one event: a closed request stays as it is, an open one never goes back."""
    if not status.open:
        return status
    data = event.data
    match event.kind:
        case "refused" | "withdrawn" as closed:
            return replace(status, state=closed, closed_at=event.at)
        case "registered":
            status = replace(status, model_name=data["model_name"], version=data["version"])
        case "gated":
            fulfilled = {"state": "fulfilled", "closed_at": event.at, "version": data["version"]}
            return replace(status, **fulfilled, model_name=data["model_name"]) if data["passed"] else status
        case "extended":
            status = replace(status, due_at=date.fromisoformat(data["due_at"]))
    return _at_least(status, event.kind)


def _at_least(status: RequestStatus, kind: str) -> RequestStatus:
    reached = [state for state in _PROGRESS if state in (status.state, kind)]
    return replace(status, state=reached[-1])
