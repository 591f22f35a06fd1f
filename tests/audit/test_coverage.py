"""Which requests a model has forgotten, by the ledger alone."""

from __future__ import annotations

from typing import Any

import pytest

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.coverage import Coverage, check_coverage, compare_coverage
from dlfd_ops.audit.evidence import versions
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.verification import Found
from dlfd_ops.deletion.parent import Parent
from dlfd_ops.errors import CheckFailed

ANNA, BEN, CARL = (f"req-00000000000{letter}" for letter in "abc")
ORIGINAL, FIRST, SECOND = ("0" * 63 + digit for digit in "123")


@pytest.fixture
def events(ledger: Ledger) -> list[Event]:
    """Anna's data were erased before the training; the first unlearning forgot Ben, the second Carl."""
    gone = ("erased", erasure(ANNA))
    return ledger.append_all([gone, *version(2, [BEN], [ANNA, BEN]), *version(3, [CARL], [ANNA, BEN, CARL])])


def version(number: int, asked: list[str], forgotten: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """Return the events of an unlearning of the version before."""
    weights, parent, listed = ("0" * 63 + str(one) for one in (number, number - 1, number + 4))
    named = {"request_ids": asked, "forget_list_digest": listed}
    run = {"method": "dlfd", "params_digest": "e" * 64, "git_commit": "f" * 40, "parent_weights_digest": parent}
    made = {"model_name": "face", "version": number, "run_id": f"run-{number}", "store": "s", "provenance": {}}
    return [
        ("resolved", {**named, "forget_count": 1, "manifest_digest": "d" * 64, "trained_on_digest": "d" * 64}),
        ("unlearned", {**named, **run, "weights_digest": weights}),
        ("registered", {**named, **made, "weights_digest": weights, "request_ids": forgotten}),
    ]


def erasure(request_id: str) -> dict[str, Any]:
    """Return the event of an erasure."""
    moved = ("manifest_before", "manifest_after", "trained_on_before", "trained_on_after")
    digests = dict.fromkeys(("plan_digest", "receipt_digest", *moved), "d" * 64)
    counts: dict[str, Any] = {
        "objects": {},
        "kept": {},
        "weights": {},
        "unreadable_revisions": 0,
        "not_reached": [],
        "suppression_digest": "7" * 64,
    }
    return {"request_ids": [request_id], **digests, **counts}


def test_a_version_covers_its_list_and_its_parent(events: list[Event]) -> None:
    """What a lineage forgot is explained from version to version, down to an original that never knew them."""
    coverage = Coverage.of(events)
    assert [coverage.unexplained(one) for one in versions(events)] == [[], []]
    assert [set(coverage.covered(weights)) for weights in (ORIGINAL, FIRST, SECOND)] == [
        {ANNA},
        {ANNA, BEN},
        {ANNA, BEN, CARL},
    ]
    assert compare_coverage(events, Found()).findings == ()


def test_a_request_from_nowhere_is_named(ledger: Ledger) -> None:
    """A version that is registered for more than was asked of it differs, with the request that nothing explains."""
    events = ledger.append_all([*version(2, [ANNA], [ANNA, BEN])])
    (finding,) = compare_coverage(events, Found()).findings
    assert finding.what == "audit/ledger.jsonl registration of face version 2"
    assert finding.found == BEN


def test_weights_that_were_never_registered_cover_nobody(ledger: Ledger) -> None:
    """An unlearning under way has not been accepted for anybody yet."""
    events = ledger.append_all([("erased", erasure(ANNA)), *version(2, [BEN], [BEN])[:2]])
    assert set(Coverage.of(events).covered(FIRST)) == set()


def test_a_pin_is_held_to_what_its_weights_forgot(events: list[Event]) -> None:
    """A parent may cover less than its weights have forgotten, and no request more; only closed ones are left out."""
    for covers in ([ANNA], [ANNA, BEN]):
        check_coverage(events, Found(pinned=pin(2, covers)))
    with pytest.raises(CheckFailed, match=f"json covers: .*{CARL}"):
        check_coverage(events, Found(pinned=pin(2, [ANNA, BEN, CARL])))
    with pytest.raises(CheckFailed, match=f"json excluded: .*{CARL}"):
        check_coverage(events, Found(pinned=pin(2, [ANNA]).excluding([CARL])))


def test_an_original_that_was_kept_still_knows_whom_versions_had_to_forget(events: list[Event], ledger: Ledger) -> None:
    """Ben's data are gone, too, but the original was trained on them."""
    ledger.append("erased", erasure(BEN))
    assert set(Coverage.of(ledger.events()).covered(ORIGINAL)) == {ANNA}


def test_a_list_is_held_to_the_requests_that_it_was_resolved_from(events: list[Event]) -> None:
    """Its rows have a digest; who is counted beside them has not."""
    listed = "0" * 63 + "6"
    check_coverage(events, Found(forget_list=listed, to_forget=(BEN,)))
    with pytest.raises(CheckFailed, match=f"parquet requests: .*{CARL}"):
        check_coverage(events, Found(forget_list=listed, to_forget=(BEN, CARL)))


def pin(number: int, covers: list[str]) -> Parent:
    """Return the pin of a version."""
    weights = "0" * 63 + str(number)
    return Parent(kind="version", version=number, weights_digest=weights, unlearnings=1, covers=tuple(covers))
