"""The status of a request, derived from events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest

from dlfd_ops.deletion.requests import Draft, Target, file_requests
from dlfd_ops.deletion.status import RequestStatus, events_of, received_data, request_statuses

REQUEST = file_requests(
    [],
    [
        Draft(
            Target(key_id="ab" * 8, subject_key="a" * 64), datetime(2026, 1, 31, tzinfo=UTC), date(2026, 2, 28), "gdpr"
        )
    ],
    closed=(),
)[0][0]
ID = REQUEST.request_id


@dataclass(frozen=True)
class Happened:
    """An event as the ledger has it."""

    kind: str
    data: dict[str, Any]
    at: str = "2026-02-10T09:00:00.000000Z"


RECEIVED = Happened("received", received_data(REQUEST))
ACKNOWLEDGED = Happened("acknowledged", {"request_id": ID})
EXTENDED = Happened("extended", {"request_id": ID, "due_at": "2026-04-30", "reason": "complexity"})
RESOLVED = Happened("resolved", {"request_ids": [ID]})
UNLEARNED = Happened("unlearned", {"request_ids": [ID]})
EVALUATED = Happened("evaluated", {"weights_digest": "d" * 64})
REGISTERED = Happened("registered", {"request_ids": [ID], "model_name": "m", "version": 2})
GATED = Happened("gated", {"model_name": "m", "version": 2, "passed": True})
FAILED = Happened("gated", {"model_name": "m", "version": 2, "passed": False})
OTHER_GATED = Happened("gated", {"model_name": "m", "version": 3, "passed": True})
REFUSED = Happened("refused", {"request_id": ID, "reason": "other"})
WITHDRAWN = Happened("withdrawn", {"request_id": ID})


def status(*events: Happened) -> RequestStatus:
    """Return the request's status after ``events``."""
    return request_statuses(events)[ID]


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([RECEIVED], "received"),
        ([RECEIVED, ACKNOWLEDGED], "acknowledged"),
        ([RECEIVED, ACKNOWLEDGED, EXTENDED], "extended"),
        ([RECEIVED, EXTENDED, ACKNOWLEDGED], "extended"),
        ([RECEIVED, RESOLVED], "resolved"),
        ([RECEIVED, RESOLVED, EXTENDED], "resolved"),
        ([RECEIVED, RESOLVED, UNLEARNED, EVALUATED], "unlearned"),
        ([RECEIVED, RESOLVED, UNLEARNED, RESOLVED], "unlearned"),
        ([RECEIVED, RESOLVED, UNLEARNED, REGISTERED], "registered"),
        ([RECEIVED, REGISTERED, FAILED], "registered"),
        ([RECEIVED, REGISTERED, OTHER_GATED], "registered"),
        ([RECEIVED, REGISTERED, FAILED, GATED], "fulfilled"),
        ([RECEIVED, REGISTERED, GATED, RESOLVED, FAILED], "fulfilled"),
        ([RECEIVED, REFUSED], "refused"),
        ([RECEIVED, WITHDRAWN, REGISTERED, GATED], "withdrawn"),
        ([RECEIVED, REGISTERED, GATED, WITHDRAWN], "fulfilled"),
    ],
)
def test_events_lead_to_a_state(events: list[Happened], state: str) -> None:
    """The furthest step counts, the first closing event wins, and only a passed gate of its own version fulfils."""
    assert status(*events).state == state


def test_fulfilment_names_the_version_and_the_time() -> None:
    """A fulfilled request says by which version, and when its gate passed."""
    done = status(RECEIVED, REGISTERED, GATED)
    assert (done.model_name, done.version, done.closed_at) == ("m", 2, GATED.at)


def test_an_extension_moves_the_due_date() -> None:
    """The effective due date is that of the last extension; days left are counted from the day given."""
    assert status(RECEIVED).days_left(date(2026, 2, 27)) == 1
    assert status(RECEIVED).days_left(date(2026, 3, 2)) == -2
    assert status(RECEIVED, EXTENDED).due_at == date(2026, 4, 30)
    assert status(RECEIVED, REGISTERED, GATED).days_left(date(2026, 2, 1)) is None


@pytest.mark.parametrize(
    ("events", "as_of", "late"),
    [
        ([RECEIVED], date(2026, 2, 28), False),
        ([RECEIVED], date(2026, 3, 1), True),
        ([RECEIVED, EXTENDED], date(2026, 3, 1), False),
        ([RECEIVED, REGISTERED, GATED], date(2027, 1, 1), False),
        ([RECEIVED, REGISTERED, Happened("gated", GATED.data, "2026-03-01T00:00:00Z")], date(2026, 3, 1), True),
        ([RECEIVED, Happened("refused", REFUSED.data, "2026-02-28T23:59:59Z")], date(2027, 1, 1), False),
        ([RECEIVED, Happened("refused", REFUSED.data, "2026-03-01T00:00:00Z")], date(2027, 1, 1), True),
        ([RECEIVED, Happened("withdrawn", WITHDRAWN.data, "2026-12-01T00:00:00Z")], date(2027, 1, 1), False),
    ],
)
def test_late_is_after_the_due_date(events: list[Happened], as_of: date, late: bool) -> None:
    """The due date itself is in time; an answer stops the clock; a withdrawn request is never late."""
    assert status(*events).late(as_of) is late


def test_the_intake_counts_before_its_event_is_written() -> None:
    """A request that only the intake knows is received, and has the same fields as from its event."""
    assert request_statuses([], [REQUEST])[ID] == status(RECEIVED)


def test_events_of_other_requests_do_not_matter() -> None:
    """An event of an unknown request is ignored."""
    other = Happened("withdrawn", {"request_id": "req-000000000000"})
    assert request_statuses([RECEIVED, other]) == {ID: status(RECEIVED)}


def test_the_history_holds_what_concerns_the_request() -> None:
    """Its own events, lists that name it, and the gate of its version; nothing else."""
    other = Happened("received", {"request_id": "req-000000000000"})
    events = [RECEIVED, other, RESOLVED, EVALUATED, REGISTERED, OTHER_GATED, GATED]
    assert events_of(ID, events) == [RECEIVED, RESOLVED, REGISTERED, GATED]
