"""What stands in the repository against what the ledger says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.facts import Receipt
from dlfd_ops.audit.findings import MISSING, Finding, compare_digest, compare_version
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.verification import TRAINED_ON, Found, compare_chain, compare_files
from dlfd_ops.deletion.requests import DeletionRequest
from dlfd_ops.deletion.status import received_data
from tests.audit.conftest import ORIGINAL, RECORD, REQUESTS, UNLEARNED
from tests.audit.test_dossier import erased

WEIGHTS = "models/unlearned/weights.safetensors"
NUMBERS = {"original.mia_auc": 0.75, "unlearned.mia_auc": 0.53, "retrained.mia_auc": 0.5}


@pytest.fixture
def requests() -> list[DeletionRequest]:
    """The intake that the history was received from."""
    return [
        DeletionRequest.model_validate(
            {
                "request_id": request_id,
                "key_id": "0123456789abcdef",
                "subject_key": request_id[-1] * 64,
                "received_at": "2026-10-05T09:00:00Z",
                "due_at": "2026-11-05",
                "legal_basis": "gdpr",
            }
        )
        for request_id in ("req-00000000000a", "req-00000000000b")
    ]


@pytest.fixture
def found(receipt: Receipt, requests: list[DeletionRequest]) -> Found:
    """A repository in which nothing was changed."""
    return Found(
        original="a" * 64,
        unlearned="b" * 64,
        forget_list="c" * 64,
        manifest="d" * 64,
        trained_on=RECORD,
        receipt=receipt,
        metrics={**NUMBERS, "seconds.unlearn": 3.5},
        requests=requests,
    )


def test_an_untouched_repository_agrees(history: Ledger, found: Found) -> None:
    """Nothing differs, and every file was compared."""
    outcome = compare_files(history.events(), found)
    assert outcome.findings == ()
    assert outcome.not_checked == ()
    assert len(outcome.checked) == 8


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"original": "0" * 64}, "models/original/weights.safetensors"),
        ({"unlearned": "0" * 64}, WEIGHTS),
        ({"unlearned": None}, WEIGHTS),
        ({"forget_list": "0" * 64}, "deletion/forget_list.parquet"),
        ({"manifest": "0" * 64}, "data/prepared/manifest.parquet"),
        ({"trained_on": "0" * 64}, "models/original/trained_on.parquet"),
        ({"trained_on": None}, "models/original/trained_on.parquet"),
        (
            {"metrics": {**NUMBERS, "unlearned.mia_auc": 0.5}},
            "metrics/unlearning.json unlearned.mia_auc",
        ),
        ({"metrics": {**NUMBERS, "unlearned.rmia_auc": 0.5}}, "metrics/unlearning.json unlearned.rmia_auc"),
        ({"metrics": None}, "metrics/unlearning.json"),
        ({"receipt": None}, "registry/version.json"),
        ({"requests": None}, "deletion/requests.csv req-00000000000a"),
        ({"damaged": {WEIGHTS: "an I/O error"}}, WEIGHTS),
    ],
)
def test_one_change_is_found_and_named(history: Ledger, found: Found, change: dict[str, Any], what: str) -> None:
    """A file that was changed, lost or damaged is the first finding, with both sides."""
    findings = compare_files(history.events(), replace(found, **change)).findings
    assert findings[0].what == what
    assert findings[0].expected != findings[0].found
    assert len({finding.what.split(" ")[0] for finding in findings}) == 1


@pytest.mark.parametrize("field", ["run_id", "weights_digest", "forget_list_digest", "manifest_digest", "gate"])
def test_every_field_of_the_receipt_counts(history: Ledger, found: Found, receipt: Receipt, field: str) -> None:
    """A receipt that was edited differs in that field alone."""
    edited = replace(found, receipt=receipt.model_copy(update={field: "edited"}))
    findings = compare_files(history.events(), edited).findings
    assert [finding.what for finding in findings] == [f"registry/version.json {field}"]
    assert findings[0].found == "edited"


def test_a_receipt_of_an_unknown_version_is_found(history: Ledger, found: Found, receipt: Receipt) -> None:
    """A version that the ledger never saw is no version."""
    edited = replace(found, receipt=receipt.model_copy(update={"version": 9}))
    assert Finding("registry/version.json version", "2", "9") in compare_files(history.events(), edited).findings


def test_an_edited_intake_is_found(history: Ledger, found: Found, requests: list[DeletionRequest]) -> None:
    """A request whose row differs from what was received is named, and one that was never received too."""
    edited = [requests[0].model_copy(update={"legal_basis": "ccpa"}), requests[1]]
    findings = compare_files(history.events(), replace(found, requests=edited)).findings
    assert findings == (Finding("deletion/requests.csv req-00000000000a legal_basis", "gdpr", "ccpa"),)
    extra = [*requests, requests[0].model_copy(update={"request_id": "req-00000000000c"})]
    findings = compare_files(history.events(), replace(found, requests=extra)).findings
    assert [finding.what for finding in findings] == ["deletion/requests.csv req-00000000000c"]


def test_a_run_under_way_agrees(history: Ledger, found: Found) -> None:
    """A newer forget list that waits for its unlearning is no difference; another list still is."""
    history.append(
        "resolved",
        {"request_ids": ["req-00000000000a"], "forget_list_digest": "1" * 64, "forget_count": 12}
        | {"manifest_digest": "2" * 64, "trained_on_digest": RECORD},
    )
    events = history.events()
    assert compare_files(events, replace(found, forget_list="1" * 64, manifest="2" * 64)).findings == ()
    assert compare_files(events, found).findings == ()
    assert len(compare_files(events, replace(found, forget_list="3" * 64)).findings) == 1


def test_an_older_measurement_of_the_same_model_agrees(history: Ledger, found: Found) -> None:
    """Measuring again with other settings and going back is no difference."""
    history.append(
        "evaluated",
        {"weights_digest": "b" * 64, "forget_list_digest": "c" * 64, "metrics": {"unlearned.mia_auc": 0.54}},
    )
    assert compare_files(history.events(), found).findings == ()


def test_a_silent_rollback_is_found(history: Ledger, found: Found, ledger: Ledger) -> None:
    """A receipt of an older version is found when a person whom a later one forgot is known again."""
    third = {"request_ids": ["req-00000000000a", "req-00000000000b", "req-00000000000c"]}
    _register_again(history, third)
    findings = compare_files(history.events(), found).findings
    assert [finding.found for finding in findings] == ["version 2, which still knows req-00000000000c"]


@pytest.mark.parametrize("kind", ["withdrawn", "refused"])
def test_going_back_after_a_request_was_closed_agrees(history: Ledger, found: Found, kind: str) -> None:
    """The older version may be in use again when the request that made the newer one was closed."""
    third = {"request_ids": ["req-00000000000a", "req-00000000000b", "req-00000000000c"]}
    _register_again(history, third)
    reason = {"reason": "other"} if kind == "refused" else {}
    history.append(kind, {"request_id": "req-00000000000c", **reason})
    assert compare_files(history.events(), found).findings == ()


def test_an_empty_ledger_leaves_everything_unchecked(ledger: Ledger) -> None:
    """Where nothing was recorded nothing differs, and that it was not checked is said."""
    outcome = compare_files(ledger.events(), Found())
    assert outcome.findings == ()
    assert len(outcome.not_checked) == 7


def test_a_photo_taken_out_of_the_record_is_found(history: Ledger, found: Found) -> None:
    """A version goes by the record of its parent; whoever drops a photo from it drops it from every later list."""
    _unlearn_again(history, trained_on_digest="6" * 64)
    findings = compare_files(history.events(), replace(found, trained_on="6" * 64)).findings
    assert (
        Finding(f"{TRAINED_ON} of version 3", f"{RECORD}, as version 2 that it was unlearned from", "6" * 64)
        in findings
    )


def test_an_erasure_and_a_fresh_original_change_the_record(history: Ledger, found: Found) -> None:
    """The people of an erasure are taken out; another original was trained on others."""
    history.append("erased", erased(trained_on_before=RECORD, trained_on_after="6" * 64))
    _unlearn_again(history, trained_on_digest="6" * 64)
    _unlearn_again(history, trained_on_digest="5" * 64, parent="4" * 64, version=4)
    events = history.events()
    assert TRAINED_ON not in {finding.what.split()[0] for finding in _about(events, found, "6" * 64)}
    assert TRAINED_ON in {finding.what for finding in _about(events, found, RECORD)}


def test_an_original_that_was_adopted_again_may_have_another_record(history: Ledger, found: Found) -> None:
    """The same weights on other data, before a version serves: its training is not frozen yet."""
    _unlearn_again(history, trained_on_digest="6" * 64, parent=ORIGINAL)
    assert TRAINED_ON not in {finding.what.split()[0] for finding in _about(history.events(), found, "6" * 64)}


def test_a_ledger_from_before_the_record_agrees(history: Ledger, found: Found) -> None:
    """It names no digest of it, and says so."""
    events = [
        replace(event, data={name: value for name, value in event.data.items() if name != "trained_on_digest"})
        for event in history.events()
    ]
    outcome = compare_files(events, found)
    assert outcome.findings == ()
    assert outcome.not_checked == (f"{TRAINED_ON}: the ledger names no digest of it yet",)


def test_an_absent_thing_is_not_the_expected_one() -> None:
    """What is expected and missing differs."""
    assert compare_digest("it", ["x"], None).findings == (Finding("it", "x", MISSING),)


def test_a_version_is_compared_tag_by_tag() -> None:
    """A changed tag, a removed tag and a missing version differ; a further tag does not."""
    expected = {"dlfd.method": "dlfd", "dlfd.gate": "passed"}
    assert compare_version("v2", expected, {**expected, "team": "privacy"}).findings == ()
    changed = compare_version("v2", expected, {"dlfd.method": "none"}).findings
    assert changed == (
        Finding("v2 dlfd.method", "dlfd", "none"),
        Finding("v2 dlfd.gate", "passed", MISSING),
    )
    assert [finding.found for finding in compare_version("v2", expected, None).findings] == [MISSING]


def test_a_finding_is_one_printable_line(history: Ledger, found: Found, receipt: Receipt) -> None:
    """Whatever a tampered file holds, the line about it stays one line."""
    hostile = receipt.model_copy(update={"run_id": "x\n\x1b[31mall agree\udc80"})
    (finding,) = compare_files(history.events(), replace(found, receipt=hostile)).findings
    assert str(finding).isprintable()
    assert str(finding).encode()


def test_a_changed_line_is_named(history: Ledger) -> None:
    """The chain's problems become findings that name the line."""
    lines = history.path.read_text().splitlines(keepends=True)
    lines[0] = lines[0].replace("gdpr", "ccpa")
    history.path.write_text("".join(lines))
    (finding,) = compare_chain(history.verify()).findings
    assert finding.what.startswith("audit/ledger.jsonl line 1 ")


def test_the_intake_is_compared_by_what_was_received(requests: list[DeletionRequest], history: Ledger) -> None:
    """The fixture's intake is the one of the history: else the tests above compare nothing."""
    received = [event.data for event in history.events() if event.kind == "received"]
    assert received == [received_data(request) for request in requests]


def _about(events: Sequence[Event], found: Found, record: str) -> tuple[Finding, ...]:
    return compare_files(events, replace(found, trained_on=record)).findings


def _unlearn_again(history: Ledger, *, trained_on_digest: str, parent: str = UNLEARNED, version: int = 3) -> None:
    listed = {"request_ids": list(REQUESTS), "forget_list_digest": str(version) * 64}
    data = {"forget_count": 12, "manifest_digest": "e" * 64, "trained_on_digest": trained_on_digest}
    made = {"method": "dlfd", "params_digest": "e" * 64, "git_commit": "f" * 40}
    weights = {"parent_weights_digest": parent, "weights_digest": f"{version}9" * 32}
    history.append("resolved", listed | data)
    history.append("unlearned", listed | made | weights)
    _register_again(history, listed | {"version": version, "weights_digest": weights["weights_digest"]})


def _register_again(history: Ledger, changes: dict[str, Any]) -> None:
    history.append(
        "registered",
        {
            "model_name": "face",
            "version": 3,
            "run_id": "run-3",
            "weights_digest": "9" * 64,
            "forget_list_digest": "8" * 64,
            "store": "sqlite:///mlflow.db",
            "provenance": {"dlfd.git_commit": "c" * 40},
            **changes,
        },
    )
