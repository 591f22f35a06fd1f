"""Which version serves and which may, by the ledger alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.promotions import promotion_rows
from dlfd_ops.audit.serving import Serving
from dlfd_ops.audit.timeline import timeline
from tests.audit.conftest import REQUESTS, STORE

MODEL = "face"


def promoted(version: int, before: int | None, **forced: object) -> tuple[str, dict[str, object]]:
    """Return a promotion as the command records it."""
    plain: dict[str, object] = {"forced": False, "reason": None, "failed_rules": []}
    return "promoted", {**rolled_back(version, before)[1], **plain, **forced}


def rolled_back(version: int, before: int | None) -> tuple[str, dict[str, object]]:
    """Return a rollback as the command records it."""
    named = {"model_name": MODEL, "store": STORE, "by": "model-owner"}
    return "rolled_back", {**named, "version": version, "from_version": before}


def serving(ledger: Ledger) -> Serving:
    """Return what the ledger says about the model of the tests."""
    return Serving.of(ledger.events(), MODEL, STORE)


def test_a_version_covers_what_it_and_its_parents_forgot(history: Ledger) -> None:
    """A third version, unlearned from the second, names its own request only and covers all three."""
    unlearned, registered = (event.data for event in history.events() if event.kind in ("unlearned", "registered"))
    later = {"request_ids": ["req-00000000000c"], "weights_digest": "3" * 64, "forget_list_digest": "4" * 64}
    received = {**history.events()[0].data, "request_id": "req-00000000000c"}
    history.append("received", received)
    history.append("unlearned", unlearned | later | {"parent_weights_digest": unlearned["weights_digest"]})
    history.append("registered", registered | later | {"version": 3})
    assert serving(history).newest_safe() == 2
    assert serving(history).still_knows(2) == ()
    history.append("gated", {"model_name": MODEL, "version": 3, "store": STORE, "passed": True, "rules": []})
    found = serving(history)
    assert found.covers == {2: set(REQUESTS), 3: {*REQUESTS, "req-00000000000c"}}
    assert found.still_knows(2) == ("req-00000000000c",)
    assert found.still_knows(1) == (*REQUESTS, "req-00000000000c")
    assert found.newest_safe() == 3


def test_lineage_in_a_circle_ends(history: Ledger) -> None:
    """A hostile ledger in which two models come out of each other is read all the same."""
    unlearned = next(event.data for event in history.events() if event.kind == "unlearned")
    history.append("unlearned", unlearned | {"parent_weights_digest": unlearned["weights_digest"]})
    assert serving(history).covers == {2: set(REQUESTS)}


def test_another_store_is_another_champion(history: Ledger) -> None:
    """What serves there says nothing about here."""
    kind, data = promoted(2, None)
    history.append(kind, data | {"store": "http://elsewhere"})
    assert serving(history).champion is None
    history.append(kind, data)
    assert serving(history).champion == 2


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.integers(2, 5)), max_size=12))
def test_every_change_is_told_and_no_repetition(steps: list[tuple[bool, int]]) -> None:
    """Whatever is promoted and rolled back: an event a change, and the last one says what serves."""
    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "audit/ledger.jsonl")
        serves, told = None, []
        for back, version in steps:
            if version == serves:
                continue  # the commands tell nothing then
            kind, data = (rolled_back if back else promoted)(version, serves)
            for _ in range(2):
                ledger.append(kind, data)
            told.append((kind, version))
            serves = version
        events = ledger.events()
        assert [(event.kind, event.data["version"]) for event in events] == told
        found = Serving.of(events, MODEL, STORE)
        assert found.champion == serves
        assert len(set(found.history)) == len(found.history)
        assert found.history[-1:] == (() if serves is None else (serves,))


def test_heads_since_the_last_move_begin_with_its_own(ledger: Ledger) -> None:
    """Events before it and moves in another store do not count, later events do."""
    assert serving(ledger).heads == ()
    kind, elsewhere = promoted(2, None)
    for event in (promoted(2, None), promoted(3, 2), (kind, elsewhere | {"store": "http://elsewhere"})):
        ledger.append(*event)
    assert serving(ledger).heads == tuple(event.hash for event in ledger.events()[1:])


def test_a_rollback_takes_back_what_came_after(ledger: Ledger) -> None:
    """2, 3, 4, back to 2: then there is nothing before it."""
    for event in (promoted(2, None), promoted(3, 2), promoted(4, 3)):
        ledger.append(*event)
    assert serving(ledger).history == (2, 3, 4)
    ledger.append(*rolled_back(2, 4))
    assert serving(ledger).history == (2,)


def test_a_hostile_ledger_is_told_in_plain_text(ledger: Ledger) -> None:
    """Control characters of a reason, a name or a rule reach neither page nor terminal."""
    ledger.append(*promoted(2, 1, forced=True, reason="\x1b[31m<b>", failed_rules=["a\x07"], by="x\x00"))
    (row,), (entry,) = promotion_rows(ledger.events()), timeline(ledger.events())
    assert row.forced
    texts = [row.reason or "", row.by, *row.failed_rules, entry.title, entry.detail]
    assert all(text.isprintable() for text in texts)
    assert "by force" in entry.title


def test_a_verdict_counts_in_its_own_store(history: Ledger) -> None:
    """Numbers begin at 1 again on a team's server: what passes there says nothing of the version of that number here.

    A verdict from before they named the store is on the last version of that number.
    """
    registered, verdict = (
        next(event.data for event in history.events() if event.kind == kind) for kind in ("registered", "gated")
    )
    history.append("gated", verdict | {"passed": False})
    history.append("registered", registered | {"store": "https://mlflow", "run_id": "run-9", "request_ids": []})
    history.append("gated", verdict | {"store": "https://mlflow"})
    assert serving(history).passed == frozenset()
    assert Serving.of(history.events(), MODEL, "https://mlflow").passed == {2}
    without = [
        replace(event, data={key: value for key, value in event.data.items() if key != "store"})
        if event.kind == "gated"
        else event
        for event in history.events()
    ]
    assert Serving.of(without, MODEL, STORE).passed == frozenset()
    assert Serving.of(without, MODEL, "https://mlflow").passed == {2}
