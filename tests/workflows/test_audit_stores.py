"""What MLflow holds of versions whose weights are erased."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlfd_ops.audit.evidence import versions
from dlfd_ops.audit.facts import Receipt
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.deletion.erasure import SHARED
from dlfd_ops.files import write_text
from dlfd_ops.tracking.store import Store, open_store
from dlfd_ops.workflows.audit_stores import compare_erased_models

ORIGINAL, NAMES = "a" * 64, ("face", "other")


def register(store: Store, folder: Path, name: str) -> None:
    """Register version 1 of a model, an original, with a file."""
    model = store.client.create_logged_model(store.experiment_id("dlfd-tiny"), name=name)
    write_text(folder / name / "weights.safetensors", name)
    store.client.log_model_artifacts(str(model.model_id), str(folder / name))
    store.client.create_registered_model(name)
    with store.as_default():
        store.client.create_model_version(name, source=str(model.model_uri), model_id=str(model.model_id))


def history(root: Path, description: str) -> Ledger:
    """Return the ledger of an unlearned version of two models, and of the erasure of the first one's original."""
    ledger = Ledger(root / "audit/ledger.jsonl")
    for number, name in enumerate(NAMES):
        ledger.append(
            "registered",
            {
                "model_name": name,
                "version": 2,
                "run_id": name,
                "weights_digest": f"{number}" * 64,
                "forget_list_digest": "c" * 64,
                "request_ids": ["req-00000000000a"],
                "store": description,
                "provenance": {},
            },
        )
    ledger.append(
        "erased",
        {
            "request_ids": ["req-00000000000a"],
            "plan_digest": "8" * 64,
            "receipt_digest": "9" * 64,
            "manifest_before": "d" * 64,
            "manifest_after": "e" * 64,
            "trained_on_before": "d" * 64,
            "trained_on_after": "e" * 64,
            "objects": {},
            "kept": {SHARED: 1},
            "weights": {ORIGINAL: "removed"},
            "unreadable_revisions": 0,
            "suppression_digest": "7" * 64,
            "not_reached": [],
        },
    )
    return ledger


def test_the_original_is_that_of_the_receipts_model_and_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1 of another model, or in another store, is another original, which nobody erased."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = open_store(tmp_path)
    for name in NAMES:
        register(store, tmp_path / "made", name)
    events = history(tmp_path, store.description).events()
    receipt = Receipt(
        model_name=NAMES[0],
        version=2,
        original_version=1,
        parent_version=1,
        run_id="run",
        store=store.description,
        weights_digest="0" * 64,
        forget_list_digest="c" * 64,
        manifest_digest="d" * 64,
        gate="passed",
    )
    found = compare_erased_models(tmp_path, events, versions(events), receipt, ORIGINAL)
    assert [finding.what for finding in found.findings] == ["MLflow face version 1, its files"]
    elsewhere = receipt.model_copy(update={"store": "https://mlflow.example.org"})
    assert compare_erased_models(tmp_path, events, versions(events), elsewhere, ORIGINAL).findings == ()
