"""A plausible history of one unlearning, in a real ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dlfd_ops.audit.facts import Receipt
from dlfd_ops.audit.ledger import Ledger

ORIGINAL, UNLEARNED, FORGET_LIST, MANIFEST = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
RECORD = "7" * 64
STORE = "sqlite:///mlflow.db"
REQUESTS = ("req-00000000000a", "req-00000000000b")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty ledger."""
    return Ledger(tmp_path / "audit" / "ledger.jsonl")


@pytest.fixture
def history(ledger: Ledger) -> Ledger:
    """Two requests, fulfilled by version 2, whose gate passed."""
    for request_id in REQUESTS:
        ledger.append(
            "received",
            {
                "request_id": request_id,
                "key_id": "0123456789abcdef",
                "legal_basis": "gdpr",
                "received_at": "2026-10-05T09:00:00Z",
                "due_at": "2026-11-05",
                "target": "subject",
            },
        )
    named: dict[str, Any] = {"request_ids": list(REQUESTS), "forget_list_digest": FORGET_LIST}
    ledger.append("resolved", {**named, "forget_count": 24, "manifest_digest": MANIFEST, "trained_on_digest": RECORD})
    ledger.append(
        "unlearned",
        {
            **named,
            "method": "dlfd",
            "params_digest": "e" * 64,
            "parent_weights_digest": ORIGINAL,
            "weights_digest": UNLEARNED,
            "git_commit": "f" * 40,
        },
    )
    ledger.append(
        "evaluated",
        {
            "weights_digest": UNLEARNED,
            "forget_list_digest": FORGET_LIST,
            "metrics": {"original.mia_auc": 0.75, "unlearned.mia_auc": 0.53, "retrained.mia_auc": 0.5},
        },
    )
    ledger.append(
        "registered",
        {
            **named,
            "model_name": "face",
            "version": 2,
            "run_id": "run-2",
            "weights_digest": UNLEARNED,
            "store": STORE,
            "provenance": {"dlfd.git_commit": "c" * 40},
        },
    )
    rules = [{"rule": "max_accuracy_drop", "value": 0.02, "limit": 0.05, "passed": True}]
    ledger.append("gated", {"model_name": "face", "version": 2, "store": STORE, "passed": True, "rules": rules})
    return ledger


@pytest.fixture
def receipt() -> Receipt:
    """The receipt of version 2."""
    return Receipt(
        model_name="face",
        version=2,
        original_version=1,
        parent_version=1,
        run_id="run-2",
        store=STORE,
        weights_digest=UNLEARNED,
        forget_list_digest=FORGET_LIST,
        manifest_digest=MANIFEST,
        gate="passed",
    )
