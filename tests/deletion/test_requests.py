"""The intake file: ids, filing, reading back."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dlfd_ops.deletion.requests import (
    MAX_SAMPLES,
    DeletionRequest,
    Draft,
    Target,
    file_requests,
    read_requests,
    write_requests,
)
from dlfd_ops.errors import BadInput

KEY_ID = "ab" * 8
HASHES = st.text("0123456789abcdef", min_size=64, max_size=64)
TARGETS = st.one_of(
    st.builds(lambda subject: Target(key_id=KEY_ID, subject_key=subject), HASHES),
    st.builds(
        lambda ids: Target(key_id=KEY_ID, sample_ids=tuple(sorted(ids))), st.sets(HASHES, min_size=1, max_size=4)
    ),
)


def draft(target: Target, basis: str = "gdpr") -> Draft:
    """Return a draft received on 5 January 2026."""
    return Draft(target, datetime(2026, 1, 5, 12, tzinfo=UTC), date(2026, 2, 5), basis)


def subject(digit: str) -> Target:
    """Return the target of a subject whose key repeats one hex digit."""
    return Target(key_id=KEY_ID, subject_key=digit * 64)


@settings(deadline=None, max_examples=40)
@given(st.lists(TARGETS, max_size=6))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, targets: list[Target]) -> None:
    """Writing and reading the intake gives the same requests, in order."""
    requests, _ = file_requests([], map(draft, targets), closed=())
    path = tmp_path_factory.mktemp("intake") / "requests.csv"
    write_requests(path, requests)
    assert read_requests(path) == requests


@settings(deadline=None, max_examples=40)
@given(st.lists(TARGETS, min_size=1, max_size=6))
def test_asked_twice_is_one_request(targets: list[Target]) -> None:
    """Filing the same targets again adds nothing and returns the same ids."""
    requests, first = file_requests([], map(draft, targets), closed=())
    again, second = file_requests(requests, map(draft, targets), closed=())
    assert again == requests
    assert all(one.repeated for one in second)
    assert [one.request.request_id for one in first] == [one.request.request_id for one in second]
    assert len({request.request_id for request in requests}) == len(set(targets))


def test_asking_again_after_withdrawal_opens_a_new_request(tmp_path: Path) -> None:
    """A closed request stays closed; the same person may ask anew and gets another id."""
    requests, (first,) = file_requests([], [draft(subject("a"))], closed=())
    requests, (second,) = file_requests(requests, [draft(subject("a"), "ccpa")], closed={first.request.request_id})
    assert not second.repeated
    assert second.request.request_id != first.request.request_id
    write_requests(tmp_path / "requests.csv", requests)
    assert read_requests(tmp_path / "requests.csv") == requests


def test_the_id_depends_on_the_key() -> None:
    """The same keyed hash under another key id is another request."""
    other = Target(key_id="cd" * 8, subject_key="a" * 64)
    requests, _ = file_requests([], [draft(subject("a")), draft(other)], closed=())
    assert requests[0].request_id != requests[1].request_id


def test_a_request_of_the_most_samples_is_read_back(tmp_path: Path) -> None:
    """The largest request stays within what the csv module reads; one more sample is refused."""
    samples = tuple(f"{number:064x}" for number in range(MAX_SAMPLES))
    requests, _ = file_requests([], [draft(Target(key_id=KEY_ID, sample_ids=samples))], closed=())
    write_requests(tmp_path / "requests.csv", requests)
    assert read_requests(tmp_path / "requests.csv") == requests
    with pytest.raises(ValidationError):
        Target(key_id=KEY_ID, sample_ids=(*samples, "f" * 64))


@pytest.mark.parametrize(
    "fields",
    [
        {"subject_key": None},
        {"sample_ids": ("b" * 64,)},
        {"subject_key": "Jane Doe"},
        {"request_id": "req-1"},
        {"received_at": datetime(2026, 1, 5)},
        {"received_at": "2026-01-05T12:00:00+01:00"},
        {"legal_basis": "none"},
        {"name": "Jane Doe"},
    ],
)
def test_a_request_outside_the_format_is_refused(fields: dict[str, object]) -> None:
    """Neither or both targets, a raw name, a foreign id, a local time, an unknown basis, a further field."""
    good, _ = file_requests([], [draft(subject("a"))], closed=())
    with pytest.raises(ValidationError):
        DeletionRequest.model_validate(good[0].model_dump() | fields)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("gdpr", "none", "line 2 must have a valid legal_basis"),
        ("2026-02-05", "soon", "line 2 must have a valid due_at"),
        ("a" * 64, "b" * 64, "line 2 must have the id that belongs to its target"),
        (",gdpr", "", "line 2 must have 7 fields"),
        ("gdpr", "gdpr,more", "line 2 must have 7 fields"),
        ("due_at", "due", "line 1 must have the columns"),
        ("gdpr", '"gdpr', "must have UTF-8 CSV"),
    ],
)
def test_a_changed_intake_is_named_by_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Any change that breaks the format is bad input with the line and the remedy."""
    path = tmp_path / "requests.csv"
    write_requests(path, file_requests([], [draft(subject("a"))], closed=())[0])
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(BadInput, match=said):
        read_requests(path)


@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=400))
def test_no_bytes_make_the_reader_fail_otherwise(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Arbitrary bytes after the header are requests or bad input, never another exception."""
    path = tmp_path_factory.mktemp("fuzz") / "requests.csv"
    write_requests(path, [])
    path.write_bytes(path.read_bytes() + content)
    with contextlib.suppress(BadInput):
        assert all(isinstance(request, DeletionRequest) for request in read_requests(path))
