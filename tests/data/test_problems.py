"""Why a row is refused, in words for the user."""

from __future__ import annotations

import pytest

from dlfd_ops.data.problems import BadRow, Reason


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_makes_an_error_without_the_file_name(reason: Reason) -> None:
    """The error says the place, the rule, the reason and the remedy, and not the path, which may name a person."""
    row = BadRow("manifest.csv line 7", reason, "Jane_Roe/Jane_Roe_0001.jpg", "Jane Roe")
    message = str(row.to_error())
    assert "manifest.csv line 7" in message
    assert reason.value in message
    assert "on_bad_image" in message
    assert "Jane" not in message
    assert "\n" not in message
    assert "Jane Roe" not in repr(row)
