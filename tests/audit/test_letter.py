"""The letter to a person, and the published schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from jsonschema import Draft202012Validator

from dlfd_ops.audit.letter import write_letter
from dlfd_ops.audit.schemas import PUBLISHED, schema
from dlfd_ops.audit.statement import RequestStatement
from dlfd_ops.deletion.erasure import OUTSIDE

SCHEMAS = Path(__file__).parents[2] / "docs/schemas"
DIGEST = "d" * 64
CERTIFICATE = "req-0123456789ab.json"


def statement(model: str = "face-age", **changes: Any) -> RequestStatement:
    """Return the statement about a request that was fulfilled in time, with other members of the predicate."""
    served = f"MLflow {model} version 2"
    content = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": "models/unlearned/weights.safetensors", "digest": {"sha256": "a" * 64}},
            {"name": f"{served}: data/model.pt2", "digest": {"sha256": "b" * 64}},
            {"name": served, "digest": {"dirHash": "c" * 64}},
        ],
        "predicateType": "dlfd-ops:deletion-request/v1",
        "predicate": {
            "request": {
                "request_id": "req-0123456789ab",
                "target": "subject",
                "legal_basis": "gdpr",
                "received_at": "2026-10-05T09:00:00Z",
                "due_at": "2026-11-05",
                "fulfilled_at": "2026-10-20T11:00:00.000000Z",
                "late": False,
            },
            "model_name": model,
            "version": 2,
            "certificate_digest": "e" * 64,
            "metrics": {"original.mia_auc": 0.76, "unlearned.mia_auc": 0.531},
            "gate": {
                "passed": True,
                "rules": [{"rule": "max_overshoot", "value": -0.03, "limit": 0.1, "passed": True}],
            },
            "erasures": [],
            "ledger": {"seq": 7, "head": "f" * 64},
            **changes,
        },
    }
    return RequestStatement.model_validate_json(json.dumps(content))


ERASED: list[dict[str, Any]] = [
    {
        "at": "2026-10-21T09:00:00Z",
        "requests": 3,
        "receipt_digest": "9" * 64,
        "stores": [
            {"store": "raw data", "removed": 4, "kept": 0},
            {"store": "DVC cache", "removed": 8, "kept": 2},
        ],
        "kept": [{"ground": "kept by the policy: legal_claims", "objects": 2}],
        "not_reached": ["backups <b>"],
    }
]


def test_both_forms_say_the_same() -> None:
    """What was asked, when, what was done, what is known, how to have it checked: in the page and in the text."""
    letter = write_letter(statement(erasures=ERASED), CERTIFICATE, DIGEST)
    page = " ".join(BeautifulSoup(letter.html, "html.parser").get_text(" ").split())
    text = " ".join(letter.text.split())
    for said in (
        "5 October 2026",
        "5 November 2026",
        "20 October 2026",
        "version 2 of the model face-age",
        "76 % of the pairs",
        "53 %",
        "evidence and not proof",
        "On 21 October 2026 we deleted",
        "12 stored items in all, for this and 2 other requests together",
        "legal claims may depend on them",
        "backups <b>",
        CERTIFICATE,
        DIGEST,
        "without our software",
    ):
        assert said in page
        assert said in text
    assert max(map(len, letter.text.splitlines())) <= 80


def test_what_a_later_erasure_removed_is_not_said_to_be_kept() -> None:
    """The newest word on a store counts; what another one still keeps is told."""
    first = ERASED[0] | {
        "stores": [{"store": "raw data", "removed": 0, "kept": 4}],
        "kept": [{"ground": OUTSIDE, "objects": 4}],
    }
    second = ERASED[0] | {"at": "2026-11-02T09:00:00Z", "stores": [{"store": "raw data", "removed": 4, "kept": 0}]}
    texts = [
        " ".join(write_letter(statement(erasures=erasures), CERTIFICATE, DIGEST).text.split())
        for erasures in ([first], [first, second | {"kept": []}], [first, ERASED[0]])
    ]
    assert ["lie in a place that this process does not change" in text for text in texts] == [True, False, False]
    assert "legal claims may depend on them" in texts[2]
    assert "On 2 November 2026 we deleted more (raw data): 4 stored items" in texts[1]


def test_the_page_needs_nothing_and_runs_nothing() -> None:
    """No script, no request, no markup from outside; the same certificate gives the same bytes."""
    hostile = "<script>alert(1)</script>\"'&"
    letter = write_letter(statement(model=hostile, erasures=ERASED), CERTIFICATE, DIGEST)
    page = BeautifulSoup(letter.html, "html.parser")
    assert not page.find_all(["script", "img", "link", "iframe", "b"])
    assert not [tag for tag in page.find_all(True) if {"src", "href", "style"} & set(tag.attrs)]
    assert hostile in page.get_text()
    assert "url(" not in letter.html
    assert write_letter(statement(model=hostile, erasures=ERASED), CERTIFICATE, DIGEST) == letter


def test_what_is_not_known_is_not_claimed() -> None:
    """Without an erasure the letter says that none is recorded; without numbers it names none; lateness is admitted."""
    request = statement().predicate.request.model_dump(mode="json")
    late = statement(metrics={}, request=request | {"late": True, "target": "samples"})
    text = " ".join(write_letter(late, CERTIFICATE, DIGEST).text.split())
    assert "none is recorded for this request yet" in text
    assert "of the pairs, after" not in text
    assert "after the date above" in text
    assert "We apologise" in text
    assert "the photos that you named" in text


@pytest.mark.parametrize(("metrics", "told"), [({"forgotten.req-0123456789ab.gone": 2.0}, True), ({}, False)])
def test_what_could_not_be_forgotten_is_admitted(metrics: dict[str, float], told: bool) -> None:
    """Of photos that were gone nothing could be forgotten, and those of somebody else's request are not theirs."""
    metrics |= {MINE: 9.0, OTHERS: 4.0, "forgotten.req-ffffffffffff.gone": 7.0}
    text = " ".join(write_letter(statement(metrics=metrics), CERTIFICATE, DIGEST).text.split())
    assert ("trained with 2 further photos that we no longer have" in text) == told
    assert "7 further photos" not in text


OTHERS, MINE = "forgotten.req-ffffffffffff.images", "forgotten.req-0123456789ab.images"


@pytest.mark.parametrize("target", ["subject", "samples"])
@pytest.mark.parametrize(
    ("measured", "said"),
    [
        ({OTHERS: 4.0, MINE: 9.0}, "forgets what it had learned from"),
        ({OTHERS: 4.0}, "the model had not been trained with"),
        ({}, "forgets what it may have learned from"),
    ],
    ids=["trained on", "never trained on", "not told"],
)
def test_nobody_is_told_of_learning_that_the_records_do_not_show(
    measured: dict[str, float], said: str, target: str
) -> None:
    """A request without a training photo has no numbers of its own: its letter claims no forgetting and no test."""
    request = statement().predicate.request.model_dump(mode="json") | {"target": target}
    metrics = {"original.mia_auc": 0.76, "unlearned.mia_auc": 0.531, **measured}
    text = " ".join(write_letter(statement(metrics=metrics, request=request), CERTIFICATE, DIGEST).text.split())
    assert said in text
    assert ("76 % of the pairs" in text) == (said != "the model had not been trained with")
    assert "evidence and not proof" in text


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_schema_is_that_of_the_code(name: str) -> None:
    """A schema that drifted is written anew with: python -m dlfd_ops.audit.schemas docs/schemas."""
    assert (SCHEMAS / name).read_text() == schema(PUBLISHED[name])
    Draft202012Validator.check_schema(json.loads((SCHEMAS / name).read_text()))


def test_the_schema_accepts_what_is_signed_and_nothing_else() -> None:
    """A statement validates; one with a member more, one less, or another digest does not."""
    validator = Draft202012Validator(json.loads((SCHEMAS / "deletion-request-v1.schema.json").read_text()))
    said = json.loads(statement(erasures=ERASED).canonical())
    assert validator.is_valid(said)
    assert not validator.is_valid(said | {"more": 1})
    assert not validator.is_valid({key: value for key, value in said.items() if key != "predicate"})
    assert not validator.is_valid(said | {"subject": said["subject"][:2]})
    said["predicate"]["ledger"]["head"] = "x"
    assert not validator.is_valid(said)
