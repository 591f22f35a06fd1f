"""Evidence by request: what is measured, carried over, written and read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.forgotten import (
    RequestEvidence,
    carry,
    from_metrics,
    gone_photos,
    read_forgotten,
    to_metrics,
    with_gone,
    write_forgotten,
)

SHARE = st.floats(0, 1).map(lambda value: round(value, 6))
EVIDENCE = st.dictionaries(
    st.from_regex(r"req-[0-9a-f]{12}", fullmatch=True),
    st.builds(
        RequestEvidence,
        st.integers(1, 99),
        SHARE,
        SHARE,
        SHARE,
        st.booleans(),
        st.integers(1, 9),
        st.none() | st.integers(1, 9),
    ),
    max_size=4,
)
ONE = RequestEvidence(images=3, accuracy=0.5, loss=1.25, mia_auc=0.5)


@given(EVIDENCE)
def test_the_ledger_gives_back_what_it_was_told(evidence: dict[str, RequestEvidence]) -> None:
    """Flat numbers hold all of it; a version that stands already stays."""
    assert from_metrics({**to_metrics(evidence), "unlearned.accuracy": 1.0}, version=77) == dict(
        sorted(evidence.items())
    )


def test_what_was_measured_then_was_measured_on_that_version() -> None:
    """Read for version 4, a measurement is version 4's; carried over it still is, and says that it is carried."""
    before = from_metrics(to_metrics({"a": ONE, "b": ONE}), version=4)
    assert {one.version for one in before.values()} == {4}
    after = carry({"b": ONE, "c": ONE}, before, covered=["a", "b", "z"])
    assert after["a"] == RequestEvidence(3, 0.5, 1.25, 0.5, carried=True, version=4)
    assert after["b"] == after["c"] == ONE
    assert list(after) == ["a", "b", "c"]


def test_photos_that_are_gone_stay_on_record() -> None:
    """By the request that asked for them, in the flat numbers as well; a count of none says nothing."""
    evidence = with_gone({"a": ONE, "b": ONE}, {"a": 2, "b": 0, "z": 3})
    assert evidence == {"a": RequestEvidence(3, 0.5, 1.25, 0.5, gone=2), "b": ONE}
    assert gone_photos({**to_metrics(evidence), "unlearned.gone": 9.0}) == {"a": 2}


def test_the_file_is_read_back_or_absent(tmp_path: Path) -> None:
    """No file is no evidence."""
    write_forgotten({"a": ONE}, tmp_path / "forgotten.json")
    assert read_forgotten(tmp_path / "forgotten.json") == {"a": ONE}
    assert read_forgotten(tmp_path / "absent.json") == {}


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"a": 1}',
        '{"a": {}}',
        '{"a": {"images": 0, "accuracy": 1, "loss": 1, "mia_auc": 1}}',
        '{"a": {"images": 1, "accuracy": 1, "loss": NaN, "mia_auc": 1}}',
        '{"a": {"images": 1, "accuracy": "1", "loss": 1, "mia_auc": 1}}',
        '{"a": {"images": 1, "accuracy": 1, "loss": 1, "mia_auc": 1, "name": "Jane Doe"}}',
    ],
)
def test_a_damaged_file_is_bad_input(tmp_path: Path, content: str) -> None:
    """One line with the remedy, and nothing of the content."""
    (tmp_path / "forgotten.json").write_text(content)
    with pytest.raises(BadInput) as raised:
        read_forgotten(tmp_path / "forgotten.json")
    assert "Jane" not in str(raised.value)
