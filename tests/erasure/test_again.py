"""A second erasure, of somebody whom the first one left: nothing of an earlier state names them afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from dvc.repo import Repo

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.identity import project_key
from dlfd_ops.data.trained_on import read_trained_on
from dlfd_ops.digest import sha256_bytes
from dlfd_ops.files import write_text
from dlfd_ops.models.checkpoint import WEIGHTS
from dlfd_ops.tracking.store import open_store
from dlfd_ops.workflows.audit_files import read_found
from dlfd_ops.workflows.audit_stores import compare_stores
from dlfd_ops.workflows.erase import plan_erasure, run_erasure
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.requests import Wish, add_requests
from tests.erasure.estate import MODEL, WEIGHTS_OF, Estate, git, register_model, rows, tell_of_a_version
from tests.erasure.test_erase import records_in, yes

FORGOT_AGAIN = "weights that forgot one more"


@pytest.fixture(scope="module")
def person(estate: Estate) -> str:
    """Raw name of somebody whose data were erased after everybody else's."""
    estate.client.set_registered_model_alias(MODEL, "champion", "2")
    run_erasure(estate.params, approve=yes)
    _commit("erased")
    trained, key = set(read_trained_on(Layout().trained_on).rows["subject_key"]), project_key()
    names = sorted({row["subject_id"] for row in rows(estate.raw)} - {estate.neighbour})
    person = next(name for name in names if key.subject_key(name) in trained)
    _fulfil(estate, person)
    run_erasure(estate.params, approve=yes)
    return person


def _fulfil(estate: Estate, person: str) -> None:
    filed = add_requests([Wish("gdpr", subject=person)])[0].request.request_id
    write_text(Path("models/unlearned") / WEIGHTS, FORGOT_AGAIN)
    version, store = register_model(estate, MODEL, FORGOT_AGAIN), open_store(estate.root)
    tell_of_a_version(
        Ledger(),
        {"request_ids": sorted({*estate.request_ids, filed}), "forget_list_digest": "a" * 64},
        parent_weights=sha256_bytes(WEIGHTS_OF["unlearned"].encode()),
        weights=sha256_bytes(FORGOT_AGAIN.encode()),
        named={"model_name": MODEL, "version": version, "store": store.description},
    )
    store.client.set_registered_model_alias(MODEL, "champion", str(version))
    with Repo(".") as repo:
        repo.commit(force=True)
        for remote in ("disk", "cloud"):
            repo.push(remote=remote)
    _commit("forgot one more")


def _commit(message: str) -> None:
    git("add", "--all")
    git("commit", "--quiet", "--message", message)


def test_no_record_of_the_training_names_them(estate: Estate, person: str) -> None:
    """Neither the newest nor one of those beside weights that the first erasure took."""
    theirs, found = project_key().subject_key(person), records_in(estate)
    assert found
    assert not any(theirs in set(record.rows["subject_key"]) for record in found)


def test_nothing_is_left_to_erase_and_the_audit_agrees(estate: Estate, person: str) -> None:
    """A new plan is empty, and the receipts of both runs stand."""
    assert plan_erasure(estate.params).plan.empty
    layout, events = Layout(estate.root), Ledger().events()
    assert not compare_stores(layout, events).findings
    erased = [event.data for event in events if event.kind == "erased"]
    assert erased[1]["trained_on_before"] == erased[0]["trained_on_after"]
    assert erased[1]["trained_on_after"] == read_found(layout).trained_on
