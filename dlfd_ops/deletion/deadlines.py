"""When a deletion request is due, by the law that it stands on.

A period runs from the day of receipt, which is not counted itself. A month ends on the day
of the same number, or on the last day of a month that has no such day. A due date that falls
on a weekend or a holiday is kept: several laws would move it to the next working day, and
the earlier date is the safe one.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, timedelta

from dlfd_ops.errors import BadInput


@dataclass(frozen=True)
class Period:
    """A span of calendar months and days; both are at least 0."""

    months: int = 0
    days: int = 0

    def after(self, start: date) -> date:
        """Return the last day of the period that starts on ``start``."""
        return add_months(start, self.months) + timedelta(days=self.days)


@dataclass(frozen=True)
class Policy:
    """What a law gives the company.

    Attributes:
        law: the provision, for people.
        respond: time to fulfil the request, counted from receipt; ``None``: the date is set by hand.
        extended: time with the longest extension, counted from receipt as well; ``None``: the law names none.
    """

    law: str
    respond: Period | None
    extended: Period | None


POLICIES: dict[str, Policy] = {
    "gdpr": Policy("Regulation (EU) 2016/679, Art. 12(3)", Period(months=1), Period(months=3)),
    "uk_gdpr": Policy("UK GDPR, Art. 12(3)", Period(months=1), Period(months=3)),
    "ccpa": Policy("California Civil Code 1798.130(a)(2)(A)", Period(days=45), Period(days=90)),
    "vcdpa": Policy("Code of Virginia 59.1-577(B)(1)", Period(days=45), Period(days=90)),
    "lgpd": Policy("Lei 13.709/2018, Art. 19(II), applied to erasure by analogy", Period(days=15), None),
    "pipa": Policy("PIPA (Korea), Art. 36, and Enforcement Decree, Art. 43(3)", Period(days=10), None),
    "manual": Policy("a date set by the privacy team", None, None),
}
"""Legal basis of a request -> its policy."""


def add_months(start: date, months: int) -> date:
    """Return the same day ``months`` later, or the last day of a month that is too short for it."""
    years, month = divmod(start.month - 1 + months, 12)
    year = start.year + years
    return date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1]))


def due_date(legal_basis: str, received: date, by_hand: date | None = None) -> date:
    """Return the day by which a request must be fulfilled.

    Args:
        legal_basis: a key of :data:`POLICIES`.
        received: day of receipt, UTC.
        by_hand: the date for ``manual``, and only for it.

    Raises:
        BadInput: an unknown basis, ``manual`` without a date, another basis with one, or a date before receipt.
    """
    respond = policy_of(legal_basis).respond
    if respond is not None:
        if by_hand is not None:
            raise BadInput(
                f"the due date of a {legal_basis} request follows from the law",
                received=f"a due date of {by_hand}",
                remedy="leave it out, or use the legal basis manual",
            )
        return respond.after(received)
    if by_hand is None:
        raise BadInput(
            "a manual request must say when it is due", received="no due date", remedy="give --due YYYY-MM-DD"
        )
    if by_hand < received:
        raise BadInput(
            "a request is due on the day of receipt or later",
            received=f"due {by_hand}, received {received}",
            remedy="correct one of the two dates",
        )
    return by_hand


def last_day_to_extend(legal_basis: str, received: date, current: date) -> date:
    """Return the day by which an extension must be recorded: the laws want the person told within the first period.

    An earlier extension does not prolong it. A date set by the privacy team may be moved until it is reached.

    Args:
        legal_basis: a key of :data:`POLICIES`.
        received: day of receipt, UTC.
        current: the due date so far.

    Raises:
        BadInput: the basis is not in :data:`POLICIES`.
    """
    return current if policy_of(legal_basis).respond is None else due_date(legal_basis, received)


def extended_due_date(legal_basis: str, received: date, current: date, wanted: date | None = None) -> date:
    """Return the due date after an extension.

    Args:
        legal_basis: a key of :data:`POLICIES`.
        received: day of receipt, UTC.
        current: the due date so far.
        wanted: the new date; ``None`` takes the longest that the law allows.

    Raises:
        BadInput: the law allows no extension, the date is no later than ``current``, or later than the law allows.
    """
    longest = _longest(legal_basis, received)
    if wanted is None and legal_basis == "manual":
        raise BadInput("a manual extension must name its date", received="no date", remedy="give --due YYYY-MM-DD")
    chosen = wanted or longest
    if not current < chosen <= longest:
        raise BadInput(
            f"an extension must end after {current} and by {longest}",
            received=str(chosen),
            remedy="give another --due, or fulfil the request",
        )
    return chosen


def policy_of(legal_basis: str) -> Policy:
    """Return the policy of a legal basis.

    Raises:
        BadInput: the basis is not in :data:`POLICIES`.
    """
    if legal_basis not in POLICIES:
        raise BadInput(
            f"the legal basis must be one of {', '.join(POLICIES)}",
            received=f"{legal_basis!r:.40}",
            remedy="choose from the list, or use manual with a due date",
        )
    return POLICIES[legal_basis]


def _longest(legal_basis: str, received: date) -> date:
    if legal_basis == "manual":
        return date.max
    extended = policy_of(legal_basis).extended
    if extended is None:
        raise BadInput(
            "a request can be extended where its law allows it",
            received=f"legal basis {legal_basis}, which names no extension",
            remedy="fulfil it by its due date",
        )
    return extended.after(received)
