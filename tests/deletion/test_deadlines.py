"""Deadlines: calendar arithmetic and the policy table."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlfd_ops.deletion.deadlines import POLICIES, Period, add_months, due_date, extended_due_date
from dlfd_ops.errors import BadInput

DATES = st.dates(date(2000, 1, 1), date(2200, 1, 1))


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2028, 1, 31), 1, date(2028, 2, 29)),
        (date(2026, 3, 31), 1, date(2026, 4, 30)),
        (date(2026, 12, 31), 1, date(2027, 1, 31)),
        (date(2026, 11, 30), 3, date(2027, 2, 28)),
        (date(2026, 11, 15), 1, date(2026, 12, 15)),
    ],
)
def test_a_month_ends_on_the_same_day_or_the_last_one(start: date, months: int, end: date) -> None:
    """A month ends on the day of the same number, or on the last day of a shorter month, over the year's end too."""
    assert add_months(start, months) == end


@given(DATES, st.integers(0, 36))
def test_months_keep_the_day_unless_the_month_is_too_short(start: date, months: int) -> None:
    """The result lies in the right month; a changed day number is the last day of its month."""
    end = add_months(start, months)
    assert (end.year * 12 + end.month) - (start.year * 12 + start.month) == months
    assert end.day == start.day or (end + timedelta(days=1)).day == 1


@given(DATES, DATES, st.integers(0, 36))
def test_a_later_receipt_is_never_due_earlier(first: date, second: date, months: int) -> None:
    """A period is monotone in its start."""
    earlier, later = sorted((first, second))
    assert Period(months=months, days=5).after(earlier) <= Period(months=months, days=5).after(later)


@pytest.mark.parametrize(
    ("basis", "due", "longest"),
    [
        ("gdpr", date(2026, 2, 28), date(2026, 4, 30)),
        ("uk_gdpr", date(2026, 2, 28), date(2026, 4, 30)),
        ("ccpa", date(2026, 3, 17), date(2026, 5, 1)),
        ("vcdpa", date(2026, 3, 17), date(2026, 5, 1)),
        ("lgpd", date(2026, 2, 15), None),
        ("pipa", date(2026, 2, 10), None),
    ],
)
def test_each_law_has_its_period(basis: str, due: date, longest: date | None) -> None:
    """Received on 31 January 2026: the due date and the end of the longest extension, law by law."""
    received = date(2026, 1, 31)
    assert due_date(basis, received) == due
    if longest is None:
        with pytest.raises(BadInput, match="names no extension"):
            extended_due_date(basis, received, due)
    else:
        assert extended_due_date(basis, received, due) == longest


def test_the_table_covers_every_case_of_the_tests() -> None:
    """A law added to the table needs its dates in the test above."""
    assert set(POLICIES) == {"gdpr", "uk_gdpr", "ccpa", "vcdpa", "lgpd", "pipa", "manual"}


def test_a_manual_request_says_when_it_is_due() -> None:
    """Manual wants a date from the day of receipt on; the others want none."""
    received = date(2026, 1, 31)
    assert due_date("manual", received, date(2026, 1, 31)) == received
    with pytest.raises(BadInput, match="no due date"):
        due_date("manual", received)
    with pytest.raises(BadInput, match="day of receipt or later"):
        due_date("manual", received, date(2026, 1, 30))
    with pytest.raises(BadInput, match="follows from the law"):
        due_date("gdpr", received, date(2026, 2, 1))
    with pytest.raises(BadInput, match="must be one of gdpr"):
        due_date("none", received)


def test_an_extension_lies_between_the_due_date_and_the_legal_limit() -> None:
    """Neither the current date nor one after the limit is an extension; manual has no limit but needs a date."""
    received, due = date(2026, 1, 31), date(2026, 2, 28)
    assert extended_due_date("gdpr", received, due, date(2026, 3, 1)) == date(2026, 3, 1)
    for wrong in (due, date(2026, 5, 1)):
        with pytest.raises(BadInput, match="must end after 2026-02-28 and by 2026-04-30"):
            extended_due_date("gdpr", received, due, wrong)
    assert extended_due_date("manual", received, due, date(2030, 1, 1)) == date(2030, 1, 1)
    with pytest.raises(BadInput, match="must name its date"):
        extended_due_date("manual", received, due)
