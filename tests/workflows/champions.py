"""A repository with a lineage of certified versions, in a real ledger and a real store; each model is a few bytes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from dlfd_ops.audit.certificates import Issuer, version_certificate
from dlfd_ops.audit.certifying import SERVED_FILE, Registration, end_of, model_statement
from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.evidence import versions
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.files import write_bytes
from dlfd_ops.params import Params, load_params
from dlfd_ops.tracking.aliases import read_aliases
from dlfd_ops.tracking.registry import Registry, registration_key
from dlfd_ops.tracking.serving import served_model
from dlfd_ops.tracking.store import Store, open_store
from dlfd_ops.tracking.versions import read_version, record_certificate
from dlfd_ops.workflows.promote import promote

PARAMS: Params = load_params(Path(__file__).parents[2] / "params.yaml")
NAME = PARAMS.register_.model_name
ANNA, BEN, CARL = (f"req-00000000000{letter}" for letter in "abc")
FAILED = "max_accuracy_drop 0.08 (limit 0.05)"


@dataclass(frozen=True)
class Lineage:
    """One repository.

    Attributes:
        root: its top folder.
    """

    root: Path

    @property
    def store(self) -> Store:
        """The store in use."""
        return open_store(self.root)

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        return Ledger(self.root / "audit/ledger.jsonl")

    @property
    def aliases(self) -> dict[str, int]:
        """What the registry says."""
        return read_aliases(self.store, NAME) or {}

    def moves(self) -> list[Event]:
        """Return the promotions and rollbacks of the ledger."""
        return [event for event in self.ledger.events() if event.kind in ("promoted", "rolled_back")]

    def point(self, alias: str, version: int) -> None:
        """Move an alias as somebody does in MLflow's own pages."""
        self.store.client.set_registered_model_alias(NAME, alias, str(version))

    def add(self, number: int, requests: Sequence[str], *, parent: int, passed: bool = True) -> None:
        """Register a version that was unlearned from another one, and judge it."""
        weights, forget_list = f"{number:064x}", f"{number + 100:064x}"
        named = {"model_name": NAME, "version": number}
        made = {"request_ids": list(requests), "forget_list_digest": forget_list, "weights_digest": weights}
        rule = {"rule": "max_accuracy_drop", "value": 0.02 if passed else 0.08, "limit": 0.05, "passed": passed}
        store = self.store
        run_id = store.client.create_run(store.experiment_id("dlfd-test")).info.run_id
        method = {"method": "dlfd", "params_digest": "e" * 64, "git_commit": "f" * 40}
        registered = {**named, **made, "run_id": run_id, "store": store.description, "provenance": {}}
        listed = {"request_ids": list(requests), "forget_list_digest": forget_list}
        measured = {"weights_digest": weights, "forget_list_digest": forget_list}
        self.ledger.append_all(
            [
                *(("received", _received(request_id)) for request_id in requests),
                ("resolved", {**listed, "forget_count": 1, "manifest_digest": "d" * 64, "trained_on_digest": "d" * 64}),
                ("unlearned", {**made, **method, "parent_weights_digest": f"{parent:064x}"}),
                ("evaluated", {**measured, "metrics": {"unlearned.mia_auc": 0.5}}),
                ("registered", registered),
                ("gated", {**named, "store": store.description, "passed": passed, "rules": [rule]}),
            ]
        )
        tags = {
            "dlfd.method": "dlfd",
            "dlfd.request_ids": ",".join(requests),
            "dlfd.forget_list_digest": forget_list,
            "dlfd.forget_count": "1",
            "dlfd.manifest_digest": "d" * 64,
            "dlfd.weights_digest": weights,
            "dlfd.gate": "passed" if passed else "failed",
            "dlfd.registration_key": registration_key(
                NAME, method="dlfd", weights_digest=weights, forget_list_digest=forget_list, requests=",".join(requests)
            ),
        }
        model = self.root / "artifacts" / str(number)
        write_bytes(model / SERVED_FILE, b"a model")
        created = store.client.create_model_version(NAME, source=model.resolve().as_uri(), run_id=run_id, tags=tags)
        assert int(created.version) == number
        Registry(store, "0", NAME).point_candidate()
        self._certify(number, parent)

    def _certify(self, number: int, parent: int) -> None:
        events = self.ledger.events()
        version = versions(events)[-1]
        served, registered = served_model(self.store, NAME, number, SERVED_FILE), read_version(self.store, NAME, number)
        assert served is not None
        assert registered is not None
        registration = Registration(served.file, served.folder, None, parent, "3" * 64)
        statement = model_statement(events, version, registration, end_of(events))
        _, digest = Issuer(self.root, self.ledger).issue(version_certificate(NAME, number), statement, [])
        record_certificate(self.store, registered, digest)


def make_lineage(root: Path) -> Lineage:
    """Register the original as version 1, and unlearned from it, one from the other: 2 (Anna), 3 (Ben), 4 (failed)."""
    lineage = Lineage(root)
    client = lineage.store.client
    client.create_registered_model(NAME)
    client.create_model_version(NAME, source="file:///nothing", tags={"dlfd.method": "original"})
    lineage.add(2, [ANNA], parent=1)
    lineage.add(3, [BEN], parent=2)
    lineage.add(4, [CARL], parent=3, passed=False)
    return lineage


def _received(request_id: str) -> dict[str, str]:
    return {
        "request_id": request_id,
        "key_id": "0123456789abcdef",
        "legal_basis": "gdpr",
        "received_at": "2026-10-05T09:00:00Z",
        "due_at": "2026-11-05",
        "target": "subject",
    }


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The repository that every test gets a copy of."""
    root = tmp_path_factory.mktemp("lineage")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        make_lineage(root)
        yield root


@pytest.fixture
def lineage(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lineage:
    """Versions 1 (original), 2, 3 (candidate) and 4 (failed); nothing serves yet."""
    monkeypatch.setenv("DLFD_ACTOR", "model-owner")
    return Lineage(Path(shutil.copytree(prepared, tmp_path / "repository")))


@pytest.fixture
def redone(lineage: Lineage) -> Lineage:
    """A further version 5 that covers what 3 does; 3, then 5 was promoted."""
    lineage.add(5, [BEN], parent=2)
    promote(PARAMS, lineage.root, version=3)
    promote(PARAMS, lineage.root)
    return lineage


def head_of(lineage: Lineage, version: int) -> str:
    """Return the head of the ledger that a version carries."""
    return lineage.store.client.get_model_version(NAME, str(version)).tags["dlfd.ledger_head"]
