"""The report as one self-contained page: no network, no script, inline styles and figures.

Everything is escaped on its way into the page; the templates mark nothing as safe, and the page's own content policy
would refuse a script or a request that slipped in.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from dlfd_ops.audit.deadlines_figure import draw_deadlines
from dlfd_ops.audit.figures import SMALLEST_LOSS, draw
from dlfd_ops.audit.lineage_figure import draw_lineage
from dlfd_ops.audit.report import Report
from dlfd_ops.audit.timeline import count, short

NEWEST_EVENTS = 500
"""Most events that the page tells; the JSON beside it has all."""
ABSENT = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_STATUS_MARKS = {"fulfilled": "good", "refused": "quiet", "withdrawn": "quiet"}


def render(report: Report) -> str:
    """Return the report as an HTML page; the same report gives the same bytes."""
    environment = Environment(
        loader=PackageLoader("dlfd_ops.audit"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "amount": amount,
        "change": change,
        "between": between,
        "count": count,
        "day": day,
        "duration": duration,
        "mark": mark,
        "minute": minute,
        "short": short,
        "truth": truth,
    }
    return environment.get_template("report.html.j2").render(
        report=report,
        drawing=draw(report.losses) if report.losses else None,
        deadlines=draw_deadlines(report.requests, report.as_of),
        drawing_lineage=draw_lineage(report.lineage),
        absent=ABSENT,
        smallest=f"{SMALLEST_LOSS:g}",
        newest=NEWEST_EVENTS,
    )


def amount(value: float | None) -> str:
    """Return a metric with three decimals, or a dash."""
    return ABSENT if value is None else f"{value:.3f}".replace("-", _MINUS)


def change(value: float | None) -> str:
    """Return a difference with its sign and three decimals, or a dash."""
    return ABSENT if value is None else f"{value:+.3f}".replace("-", _MINUS)


def between(ends: tuple[float, float] | None) -> str:
    """Return an interval with three decimals, or nothing."""
    return "" if ends is None else f"{amount(ends[0])} to {amount(ends[1])}"


def truth(value: float | None) -> str:
    """Return a metric that is 0 or 1 as "no" or "yes", or a dash."""
    return ABSENT if value is None else "yes" if value else "no"


def duration(seconds: float) -> str:
    """Return a time as people say it: "41 s", "12 min"."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def day(value: date | str) -> str:
    """Return a date as "20 Nov 2026"; a text that is no date stays as it is."""
    found = value if isinstance(value, date) else _moment(value)
    return found if isinstance(found, str) else f"{found.day} {found:%b %Y}"


def minute(value: str) -> str:
    """Return an ISO 8601 moment as "20 Nov 2026, 21:38"; a text that is none stays as it is."""
    found = _moment(value)
    return found if isinstance(found, str) else f"{found.day} {found:%b %Y, %H:%M}"


def mark(status: str) -> str:
    """Return how a request's status is marked: good, quiet or plain."""
    return _STATUS_MARKS.get(status, "plain")


def _moment(value: str) -> datetime | str:
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except ValueError:
        return value
