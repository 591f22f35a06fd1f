"""The deadlines as the geometry of a figure: one row a request, from its receipt to its answer, against its due date.

Drawing is left to the template: this module hands it coordinates and words, never markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from dlfd_ops.audit.dossier import RequestRow
from dlfd_ops.deletion.deadlines import add_months

MAX_ROWS = 30
"""Most requests drawn: those still open, then the newest."""
LABEL_WIDTH = 150.0
ROW_HEIGHT = 26.0
MAX_TICKS = 8


@dataclass(frozen=True)
class DeadlineRow:
    """One request.

    Attributes:
        label: its id.
        y: middle of its row.
        start: x of the receipt.
        end: x of the answer, or of the report's date while it is open.
        due: x of the due date.
        state: how it stands: answered in time, open, open past its due date, or answered late.
        told: the row in words.
    """

    label: str
    y: float
    start: float
    end: float
    due: float
    state: Literal["good", "open", "overdue", "late"]
    told: str


@dataclass(frozen=True)
class Month:
    """A mark of the time axis: the first day of a month."""

    x: float
    label: str


@dataclass(frozen=True)
class DeadlineDrawing:
    """The geometry of the whole figure, in SVG user units.

    Attributes:
        width: of the figure.
        height: of the figure.
        axis: y of the time axis.
        today: x of the report's date.
        rows: the requests drawn.
        months: marks of the axis.
        left_out: number of requests that are not drawn.
    """

    width: float
    height: float
    axis: float
    today: float
    rows: tuple[DeadlineRow, ...]
    months: tuple[Month, ...]
    left_out: int


def draw_deadlines(requests: Sequence[RequestRow], as_of: date, *, width: float = 720) -> DeadlineDrawing | None:
    """Lay the requests out on one time axis, or return None when there are none."""
    ranked = sorted(enumerate(requests), key=lambda item: (item[1].days_left is None, -item[0]))
    shown = [request for _, request in sorted(ranked[:MAX_ROWS])]
    if not shown:
        return None
    spans = [(_received(request), _end(request, as_of), request.due_at) for request in shown]
    first, last = min(span[0] for span in spans), max(as_of, *(max(span) for span in spans))
    scale = (width - LABEL_WIDTH - 16) / max((last - first).days, 1)

    def x_of(day: date) -> float:
        return round(LABEL_WIDTH + (max(day, first) - first).days * scale, 2)

    axis = 14 + ROW_HEIGHT * len(shown)
    rows = tuple(
        DeadlineRow(
            label=request.request_id,
            y=14 + ROW_HEIGHT * (index + 0.5),
            start=x_of(start),
            end=x_of(max(end, start)),
            due=x_of(due),
            state=_state(request),
            told=_told(request),
        )
        for index, (request, (start, end, due)) in enumerate(zip(shown, spans, strict=True))
    )
    months = tuple(Month(x_of(day), f"{day:%b %Y}") for day in _months(first, last))
    return DeadlineDrawing(width, axis + 40, axis, x_of(as_of), rows, months, len(requests) - len(shown))


def _state(request: RequestRow) -> Literal["good", "open", "overdue", "late"]:
    if request.days_left is None:
        return "late" if request.late else "good"
    return "overdue" if request.late else "open"


def _received(request: RequestRow) -> date:
    return _day(request.received_at) or request.due_at


def _end(request: RequestRow, as_of: date) -> date:
    return (_day(request.closed_at) if request.closed_at else None) or as_of


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def _told(request: RequestRow) -> str:
    answer = f"{request.status} {request.closed_at[:10]}" if request.closed_at else request.status
    return f"received {request.received_at[:10]}, due {request.due_at}, {answer}{', late' if request.late else ''}"


def _months(first: date, last: date) -> list[date]:
    """Return the first days of at most :data:`MAX_TICKS` months between two days, evenly apart."""
    start = add_months(first.replace(day=1), 1 if first.day > 1 else 0)
    count = (last.year - start.year) * 12 + last.month - start.month + 1
    step = max(1, -(-count // MAX_TICKS))
    return [add_months(start, offset) for offset in range(0, max(count, 0), step)]
