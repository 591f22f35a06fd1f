"""What is known about one request and about one image, and the figure of the deadlines."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlfd_ops.audit.composing import MAX_DETAILS, Material, compose, dossiers, request_rows, version_nodes
from dlfd_ops.audit.deadlines_figure import MAX_ROWS, MAX_TICKS, draw_deadlines
from dlfd_ops.audit.dossier import Dossier, RequestRow, image_answer
from dlfd_ops.audit.facts import Receipt, check_facts
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.rendering import render
from dlfd_ops.audit.stores import Photos
from dlfd_ops.deletion.erasure import SHARED
from tests.audit.conftest import MANIFEST, ORIGINAL, RECORD, REQUESTS, STORE, UNLEARNED

TODAY = date(2026, 11, 20)
SAMPLE = "5" * 64


@pytest.fixture
def material(history: Ledger, receipt: Receipt) -> Material:
    """The history of two fulfilled requests, and where its versions are."""
    return Material(
        dataset="synthetic",
        raw_path="data/raw",
        raw_digest=None,
        events=history.events(),
        receipt=receipt,
        samples={REQUESTS[0]: 12, REQUESTS[1]: 0},
        photos={REQUESTS[0]: Photos(train=12, other=0)},
        places={("face", 1): "archived", ("face", 2): "serving"},
    )


def about(material: Material, request_id: str) -> Dossier:
    """Return the dossier of a request."""
    rows = request_rows(material, as_of=TODAY, due_soon_days=7)
    return dossiers(material, [rows[request_id]], version_nodes(material))[0]


def test_a_dossier_answers_the_auditor(material: Material) -> None:
    """Who knew the person, who forgot them, on what evidence, where their photos lie, and what happened."""
    found = about(material, REQUESTS[0])
    assert [(ref.version, ref.place) for ref in found.knew] == [(1, "archived")]
    assert [(ref.version, ref.place) for ref in found.forgot] == [(2, "serving")]
    assert (found.learned, found.gate, found.attack_auc) == (True, True, 0.53)
    assert {row.store: row.state for row in found.stores} == {
        "raw data (data/raw)": "holds",
        "prepared data (data/prepared)": "holds",
        "DVC cache and remotes": "holds",
        "weights": "holds",
        "clones, backups and copies": "may hold",
    }
    kinds = ["received", "resolved", "unlearned", "registered", "gated"]
    assert [entry.kind for entry in found.history] == kinds


def test_nobody_knew_whom_no_photo_was_trained_on(material: Material) -> None:
    """A request without a training photo has no version that knew the person."""
    found = about(material, REQUESTS[1])
    assert (found.learned, found.knew) == (False, ())
    assert "weights" not in {row.store for row in found.stores}


def test_where_nothing_is_known_the_worse_is_assumed(material: Material) -> None:
    """Without forget list, prepared data and registry the versions count as knowing, and the stores as holding."""
    found = about(replace(material, samples={}, photos=None, places={}), REQUESTS[1])
    assert (found.learned, [ref.place for ref in found.knew]) == (None, ["registered"])
    assert {row.state for row in found.stores} == {"holds", "may hold"}


def test_a_deleted_version_holds_nothing_any_more(material: Material) -> None:
    """Once every version that knew the person is gone, their weights count as erased."""
    gone = about(replace(material, places={("face", 1): "deleted", ("face", 2): "serving"}), REQUESTS[0])
    assert {row.store: row.state for row in gone.stores}["weights"] == "erased"


def erased(**changes: Any) -> dict[str, Any]:
    """Return what the ledger says of an erasure of both requests."""
    return {
        "request_ids": list(REQUESTS),
        "plan_digest": "8" * 64,
        "receipt_digest": "9" * 64,
        "manifest_before": MANIFEST,
        "manifest_after": "e" * 64,
        "trained_on_before": RECORD,
        "trained_on_after": "c" * 64,
        "objects": {
            "raw data": {"removed": 12},
            "prepared data": {"removed": 12},
            "DVC cache": {"removed": 24, "kept": 1},
            "DVC remote disk": {"removed": 24},
        },
        "kept": {SHARED: 1},
        "weights": {ORIGINAL: "removed"},
        "unreadable_revisions": 2,
        "suppression_digest": "7" * 64,
        "not_reached": ["backups", "clones"],
        **changes,
    }


def test_an_erasure_is_told_store_by_store(material: Material, history: Ledger) -> None:
    """What was reached, what was kept and why, what was not reached, and when; weights by the version that had them."""
    at = history.append("erased", erased()).at
    after = replace(material, events=history.events(), photos={}, places={("face", 2): "serving"})
    found = about(after, REQUESTS[0])
    rows = {row.store: row for row in found.stores}
    assert [row.state for row in found.stores] == [
        "erased",
        "erased",
        "holds",
        "erased",
        "erased",
        "may hold",
        "may hold",
    ]
    assert rows["raw data (data/raw)"].detail == f"12 objects removed with those of 1 other request on {at[:10]}"
    assert SHARED in rows["DVC cache"].detail
    assert [row.detail for row in found.stores if row.store == "not reached"] == ["backups", "clones"]
    assert [(ref.version, ref.place, ref.erased_at) for ref in found.knew] == [(1, "deleted", at)]
    assert [(one.removed, one.kept) for one in found.erasures] == [(72, 1)]
    page = render(compose(after, as_of=TODAY, due_soon_days=7))
    assert SHARED in page
    assert "What was erased" in page


def test_photos_that_are_back_count_more_than_a_receipt(material: Material, history: Ledger) -> None:
    """The prepared data says that they are there again: no receipt from before makes it say otherwise."""
    history.append("erased", erased())
    found = about(replace(material, events=history.events()), REQUESTS[0])
    assert [row.state for row in found.stores][:2] == ["holds", "holds"]


def test_weights_that_were_kept_are_not_called_erased(material: Material, history: Ledger) -> None:
    """A policy that keeps the original leaves it where it is, in the dossier too."""
    history.append("erased", erased(weights={ORIGINAL: "kept"}))
    found = about(replace(material, events=history.events()), REQUESTS[0])
    assert [(ref.place, ref.erased_at) for ref in found.knew] == [("archived", None)]
    assert {row.store: row.state for row in found.stores}["weights"] == "holds"


def test_a_report_without_the_registry_knows_what_serves(material: Material, history: Ledger) -> None:
    """The last promotion or rollback says it."""
    moved = {"model_name": "face", "store": STORE, "version": 2, "from_version": None, "by": "team"}
    history.append("promoted", {**moved, "forced": False, "reason": None, "failed_rules": []})
    nodes = version_nodes(replace(material, events=history.events(), places={}))
    assert [(node.version, node.place) for node in nodes] == [(1, "registered"), (2, "serving")]


def test_a_measurement_of_nobody_replaces_none(material: Material, history: Ledger) -> None:
    """After an erasure the same weights are measured on an empty list: what was measured on the person stands."""
    nobody = {"weights_digest": UNLEARNED, "forget_list_digest": "0" * 64, "metrics": {"unlearned.mia_auc": 0.5}}
    history.append("evaluated", nobody)
    events = replace(material, events=history.events(), metrics={"unlearned": {"mia_auc": 0.5}})
    assert about(events, REQUESTS[0]).attack_auc == 0.53
    numbers = compose(events, as_of=TODAY, due_soon_days=7).numbers
    assert [(row.original, row.unlearned) for row in numbers if row.metric == "mia_auc"] == [(0.75, 0.53)]


def test_numbers_losses_and_durations_are_of_one_measurement(material: Material, history: Ledger) -> None:
    """Where the numbers come from the ledger, the newest files are about somebody else: none of them is shown."""
    losses = {"unlearned": {"forget": [0.4, 1.2], "test": [0.6, 1.1]}}
    newest = replace(material, metrics={"seconds": {"unlearn": 40.0}}, losses=losses)
    shown = compose(newest, as_of=TODAY, due_soon_days=7)
    assert (shown.seconds, shown.losses is None) == ({"unlearn": 40.0}, False)
    nobody = {"weights_digest": UNLEARNED, "forget_list_digest": "0" * 64, "metrics": {"unlearned.mia_auc": 0.5}}
    history.append("evaluated", nobody)
    after = compose(replace(newest, events=history.events()), as_of=TODAY, due_soon_days=7)
    assert (after.seconds, after.losses) == ({}, None)


def test_an_erasure_of_an_older_ledger_is_read(material: Material, history: Ledger) -> None:
    """Before grounds and weights were told, the event had neither: the report and the certificates do without."""
    event = history.append("erased", erased())
    older = replace(event, data={name: value for name, value in event.data.items() if name not in ("kept", "weights")})
    events = [*history.events()[:-1], older]
    found = about(replace(material, events=events), REQUESTS[0])
    assert [(one.removed, one.kept, one.grounds) for one in found.erasures] == [(72, 1, ())]
    check_facts(events)


def test_a_report_goes_into_as_many_requests_as_fit(ledger: Ledger) -> None:
    """Open requests come before closed ones, the newest before older ones; their order stays that of receipt."""
    count = MAX_DETAILS + 5
    filed = {"key_id": "0" * 16, "legal_basis": "gdpr", "received_at": "2026-10-05T09:00:00Z", "due_at": "2026-11-05"}
    ids = [f"req-{number:012x}" for number in range(count)]
    ledger.append_all([("received", {**filed, "request_id": one, "target": "subject"}) for one in ids])
    ledger.append_all([("withdrawn", {"request_id": one}) for one in ids[3:13]])
    report = compose(Material("synthetic", "data/raw", None, ledger.events()), as_of=TODAY, due_soon_days=7)
    assert [one.request.request_id for one in report.details] == [*ids[:3], *ids[8:]]
    assert len(report.requests) == count


@pytest.mark.parametrize(
    ("covering", "split", "trained", "suppressed", "verdict"),
    [
        ([REQUESTS[0]], "train", True, False, "forgotten"),
        ([REQUESTS[0]], None, False, True, "forgotten"),
        ([], "train", True, False, "in the data"),
        ([], "later", False, False, "in the data"),
        ([], None, True, False, "in the model"),
        ([], None, False, False, "unknown"),
        ([], None, False, True, "suppressed"),
        (["req-ffffffffffff"], "train", True, False, "in the data"),
    ],
)
def test_an_image_is_found_among_what_was_forgotten(
    material: Material, covering: list[str], split: str | None, trained: bool, suppressed: bool, verdict: str
) -> None:
    """By the requests that cover it, else by where its keyed hash stands."""
    rows = request_rows(material, as_of=TODAY, due_soon_days=7)
    nodes = version_nodes(material)
    answer = image_answer(
        SAMPLE, split=split, trained=trained, suppressed=suppressed, covering=covering, requests=rows, nodes=nodes
    )
    assert answer.verdict == verdict
    assert [ref.version for ref in answer.forgot] == ([2] if verdict == "forgotten" else [])


def test_an_image_of_an_open_request_is_asked_for(material: Material) -> None:
    """It is not forgotten before a version passed its gate; a withdrawn request asks for nothing."""
    early = replace(material, events=material.events[:2])
    rows = request_rows(early, as_of=TODAY, due_soon_days=7)
    withdrawn = {REQUESTS[0]: rows[REQUESTS[0]].model_copy(update={"status": "withdrawn"})}
    for known, verdict in ((rows, "asked"), (withdrawn, "in the data")):
        answer = image_answer(
            SAMPLE, split="train", trained=True, suppressed=False, covering=[REQUESTS[0]], requests=known, nodes=()
        )
        assert answer.verdict == verdict


DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1))


@st.composite
def rows(draw: st.DrawFn) -> RequestRow:
    """A request with any dates, sensible or not."""
    closed = draw(st.none() | DAYS)
    return RequestRow(
        request_id="req-000000000000",
        status="fulfilled" if closed else "received",
        target="subject",
        legal_basis="gdpr",
        law="",
        received_at=f"{draw(DAYS)}T00:00:00Z",
        due_at=draw(DAYS),
        closed_at=f"{closed}T00:00:00Z" if closed else None,
        days_left=None if closed else 3,
        due_soon=False,
        late=draw(st.booleans()),
        version=None,
        samples=None,
    )


@settings(max_examples=25)
@given(st.lists(rows(), min_size=1, max_size=MAX_ROWS + 3), DAYS)
def test_the_deadlines_stay_inside_their_frame(requests: list[RequestRow], as_of: date) -> None:
    """Whatever the dates are, every coordinate lies inside, and neither rows nor marks are too many."""
    drawing = draw_deadlines(requests, as_of)
    assert drawing is not None
    assert len(drawing.rows) + drawing.left_out == len(requests)
    assert len(drawing.rows) <= MAX_ROWS
    assert len(drawing.months) <= MAX_TICKS
    across = [drawing.today, *(month.x for month in drawing.months)]
    for row in drawing.rows:
        across += [row.start, row.end, row.due]
        assert 0 < row.y < drawing.axis < drawing.height
        assert row.start <= row.end
    assert all(0 <= x <= drawing.width for x in across)


def test_a_late_request_without_an_answer_has_no_cross() -> None:
    """The cross marks a late answer; who still waits past the due date is overdue."""
    row: dict[str, Any] = {
        "request_id": REQUESTS[0],
        "target": "subject",
        "legal_basis": "gdpr",
        "law": "",
        "received_at": "2026-01-01T00:00:00Z",
        "due_at": date(2026, 2, 1),
        "due_soon": False,
        "late": True,
        "version": None,
        "samples": None,
    }
    waiting = RequestRow(**row, status="received", closed_at=None, days_left=-9)
    answered = RequestRow(**row, status="fulfilled", closed_at="2026-03-01T00:00:00Z", days_left=None)
    drawing = draw_deadlines((waiting, answered), TODAY)
    assert drawing is not None
    assert [drawn.state for drawn in drawing.rows] == ["overdue", "late"]


def test_without_requests_there_are_no_deadlines() -> None:
    """Nothing asked, nothing drawn."""
    assert draw_deadlines((), TODAY) is None
