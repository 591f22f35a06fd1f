"""Rollback on a real ledger and a real store: an earlier version serves again, unless it forgot too few."""

from __future__ import annotations

import pytest

from dlfd_ops.errors import BadInput, CheckFailed
from dlfd_ops.workflows import champion
from dlfd_ops.workflows.audit_material import compare_parts
from dlfd_ops.workflows.promote import promote
from dlfd_ops.workflows.rollback import rollback
from tests.workflows.champions import BEN, CARL, NAME, PARAMS, Lineage, head_of, lineage, prepared, redone

__all__ = ["lineage", "prepared", "redone"]


def test_a_verdict_that_nobody_certified_is_not_rolled_back_to(redone: Lineage) -> None:
    """Going back asks for no less than going forward."""
    judged = next(e.data for e in reversed(redone.ledger.events()) if e.kind == "gated" and e.data["version"] == 3)
    redone.ledger.append("gated", {**judged, "rules": []})
    with pytest.raises(CheckFailed, match=r"certificate of version 3 .* must say what the ledger says"):
        rollback(PARAMS, redone.root)
    assert redone.aliases["champion"] == 5


def test_a_rollback_to_a_version_that_still_knows_somebody_is_refused(lineage: Lineage) -> None:
    """Exit status 1, the request and the newest safe version; the alias stays."""
    promote(PARAMS, lineage.root)
    with pytest.raises(CheckFailed, match=f"received {BEN}; the newest version that is safe is 3, which serves"):
        rollback(PARAMS, lineage.root, to=2)
    assert lineage.aliases["champion"] == 3
    assert len(lineage.moves()) == 1


def test_promoted_rolled_back_and_promoted_again_is_told_each_time(redone: Lineage) -> None:
    """Back goes to the version that served before; the same decision taken again is another event."""
    moved = rollback(PARAMS, redone.root)
    assert (moved.version, moved.from_version) == (3, 5)
    assert not rollback(PARAMS, redone.root, to=3).changed
    promote(PARAMS, redone.root)
    assert [(event.kind, event.data["from_version"], event.data["version"]) for event in redone.moves()] == [
        ("promoted", None, 3),
        ("promoted", 3, 5),
        ("rolled_back", 5, 3),
        ("promoted", 3, 5),
    ]
    assert compare_parts(redone.root)["registry"].findings == ()


def test_there_must_be_something_to_go_back_to(lineage: Lineage) -> None:
    """With nothing serving, with one version only, and forwards, there is no way back."""
    with pytest.raises(CheckFailed, match="must have served before"):
        rollback(PARAMS, lineage.root)
    with pytest.raises(BadInput, match="must serve, to go back"):
        rollback(PARAMS, lineage.root, to=2)
    promote(PARAMS, lineage.root, version=3)
    with pytest.raises(CheckFailed, match="must have served before"):
        rollback(PARAMS, lineage.root)
    with pytest.raises(BadInput, match="must lead to an earlier version"):
        rollback(PARAMS, lineage.root, to=4)


def test_a_rollback_to_a_version_that_failed_is_refused(lineage: Lineage) -> None:
    """It covers everybody, but it takes a person to let it serve again."""
    lineage.add(5, [CARL], parent=3)
    promote(PARAMS, lineage.root, version=4, reason="urgent")
    promote(PARAMS, lineage.root, version=5)
    with pytest.raises(CheckFailed, match="must pass its gate to serve again"):
        rollback(PARAMS, lineage.root)


@pytest.mark.parametrize("registered_again", [False, True])
def test_two_rollbacks_in_a_row_go_back_two_versions(redone: Lineage, *, registered_again: bool) -> None:
    """The first one is complete, also where later events followed and the version carries the head of one of them."""
    redone.add(6, [BEN], parent=2)
    promote(PARAMS, redone.root)
    assert rollback(PARAMS, redone.root).version == 5
    redone.ledger.append("acknowledged", {"request_id": CARL})
    if registered_again:
        redone.store.client.set_model_version_tag(NAME, "5", "dlfd.ledger_head", redone.ledger.head())
    assert rollback(PARAMS, redone.root).version == 3
    with pytest.raises(CheckFailed, match="must have served before"):
        rollback(PARAMS, redone.root)


def test_a_rollback_is_completed_before_another_one_begins(redone: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store goes away at the last write, and the ledger grows before the command runs again; that tells nothing."""
    redone.add(6, [BEN], parent=2)
    promote(PARAMS, redone.root)

    def gone(*_: object) -> None:
        raise BadInput("the store must answer", received="nothing", remedy="start it")

    with monkeypatch.context() as patch:
        patch.setattr(champion, "record_head", gone)
        with pytest.raises(BadInput, match="must answer"):
            rollback(PARAMS, redone.root)
    told = redone.moves()[-1]
    redone.ledger.append("acknowledged", {"request_id": CARL})
    completed = rollback(PARAMS, redone.root)
    assert (completed.version, completed.from_version, completed.changed) == (5, 6, False)
    assert (redone.aliases["champion"], redone.moves()[-1], head_of(redone, 5)) == (5, told, told.hash)
    assert rollback(PARAMS, redone.root).version == 3


def test_a_rollback_does_not_guess_where_registry_and_ledger_differ(lineage: Lineage) -> None:
    """Somebody moved the alias by hand: the version must be named."""
    lineage.add(5, [BEN], parent=2)
    lineage.add(6, [BEN], parent=2)
    for version in (3, 5):
        promote(PARAMS, lineage.root, version=version)
    lineage.point("champion", 6)
    with pytest.raises(CheckFailed, match="version 6 in the registry, version 5 in the ledger"):
        rollback(PARAMS, lineage.root)
    assert rollback(PARAMS, lineage.root, to=3).from_version == 6
