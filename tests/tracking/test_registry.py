"""The registry: every version once, complete from its first moment."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import pytest
from mlflow.entities import LoggedModelOutput, LoggedModelStatus

from dlfd_ops.errors import CheckFailed
from dlfd_ops.models.checkpoint import load_classifier, weights_digest
from dlfd_ops.tracking.logged_models import LoggedModels
from dlfd_ops.tracking.registry import Entry, Registry, join_ids, registration_key
from dlfd_ops.tracking.store import Store, open_store
from dlfd_ops.tracking.versions import KEY_TAG, read_version

MODEL = "face-tiny"
KEY = registration_key(MODEL, method="original", weights_digest="0" * 64, forget_list_digest="", requests="")
# Registers the checkpoint in argv[2] in the repository argv[1]; argv[3] names where to be killed.
REGISTER = """
import os, sys
from pathlib import Path
import mlflow
from mlflow import MlflowClient
from dlfd_ops.tracking.registry import Entry, Registry
from dlfd_ops.tracking.store import open_store
root, checkpoint, point, key = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
setattr(MlflowClient, point, lambda *_, **__: os._exit(9))
store = open_store(root)
experiment = store.experiment_id("dlfd-tiny")
with store.lock("register"):
    run_id = store.client.create_run(experiment).info.run_id
    entry = Entry(checkpoint, run_id, {"dlfd.gate": "passed"}, "text", {"accuracy": 0.5}, key)
    print(Registry(store, experiment, "face-tiny").register(entry).version)
"""


@pytest.fixture
def store(repository: Path) -> Store:
    """The store of a fresh repository."""
    return open_store(repository)


@pytest.fixture
def registry(store: Store) -> Registry:
    """A registered model without versions."""
    return Registry(store, store.experiment_id("dlfd-tiny"), MODEL)


@pytest.fixture
def entry(store: Store, checkpoint: Path) -> Entry:
    """The checkpoint, ready to be registered."""
    run_id = store.client.create_run(store.experiment_id("dlfd-tiny")).info.run_id
    return Entry(checkpoint, run_id, {"dlfd.method": "original"}, "**text**", {"accuracy": 0.5}, KEY)


def version_without_model(store: Store, number: int, gate: str, tags: Mapping[str, str] | None = None) -> None:
    """Create a version that only stands in the registry: enough for tags and aliases."""
    if number == 1:
        store.client.create_registered_model(MODEL)
    all_tags = {"dlfd.gate": gate, **(tags or {})}
    created = store.client.create_model_version(MODEL, source="file:///nothing", tags=all_tags)
    assert int(created.version) == number


def looked_too_early(asker: type, question: str, answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next ``question`` get the ``answer`` of a moment ago, before the other machine wrote."""
    ask, answers = getattr(asker, question), [answer]
    monkeypatch.setattr(asker, question, lambda *given: answers.pop() if answers else ask(*given))


def aliases(store: Store) -> dict[str, str]:
    """Return the aliases of the model."""
    return {name: str(version) for name, version in store.client.get_registered_model(MODEL).aliases.items()}


def test_version_is_registered_once_and_complete(registry: Registry, entry: Entry, store: Store) -> None:
    """A version carries tags, text, run, numbers and the weights; asked again, it is the same one."""
    version = registry.register(entry)
    assert (version.version, version.run_id, version.description) == (1, entry.run_id, "**text**")
    assert version.tags == {"dlfd.method": "original", "dlfd.registration_key": KEY}
    assert registry.register(entry) == version
    (model,) = store.client.search_logged_models([store.experiment_id("dlfd-tiny")])
    assert model.source_run_id == entry.run_id
    assert store.client.get_run(entry.run_id).data.metrics == {"evaluation/accuracy": 0.5}
    measured = store.client.get_logged_model(model.model_id).metrics or []
    assert [metric.key for metric in measured] == ["evaluation/accuracy"]
    outputs = store.client.get_run(entry.run_id).outputs
    assert outputs is not None
    assert [output.model_id for output in outputs.model_outputs] == [model.model_id]


def test_version_is_loaded_by_its_name(registry: Registry, entry: Entry, store: Store, tmp_path: Path) -> None:
    """The registry's address leads to the model that serves, and to the checkpoint that can be unlearned from."""
    version = registry.register(entry)
    folder = tmp_path / "downloaded"
    with store.as_default():
        mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{MODEL}/{version.version}", dst_path=str(folder))
    assert mlflow.pyfunc.load_model(str(folder)).metadata.metadata["dlfd"]["labels"] == ["gender"]
    assert weights_digest(folder / "checkpoint") == weights_digest(entry.checkpoint)
    load_classifier(folder / "checkpoint")


def test_a_run_whose_registration_broke_off_registers_its_model_again(
    registry: Registry, entry: Entry, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upload failed after the model was named as the run's output: the same run names it once and goes on."""

    def break_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "log_model_artifacts", break_off)
        with pytest.raises(KeyboardInterrupt):
            registry.register(entry)
    assert registry.register(entry).version == 1
    outputs = store.client.get_run(entry.run_id).outputs
    assert outputs is not None
    assert len(outputs.model_outputs) == 1


@pytest.mark.slow
@pytest.mark.parametrize("point", ["finalize_logged_model", "create_model_version"])
def test_killed_registration_is_taken_up_again(
    registry: Registry, entry: Entry, store: Store, repository: Path, point: str
) -> None:
    """Wherever a registration was killed, the next one leaves one version and one logged model."""
    arguments = [str(repository), str(entry.checkpoint), point, KEY]
    killed = subprocess.run([sys.executable, "-c", REGISTER, *arguments], capture_output=True, check=False)
    assert killed.returncode == 9
    assert registry.find(KEY) is None
    assert registry.register(entry).version == 1
    (model,) = store.client.search_logged_models([store.experiment_id("dlfd-tiny")])
    assert str(model.status) == "READY"


def plant(store: Store, served: bytes, key: str = KEY, ready: bool = True) -> str:
    """Put a logged model under a registration key, as anybody can who may write to the store; return its id."""
    model = store.client.create_logged_model(store.experiment_id("dlfd-tiny"), name=MODEL, tags={KEY_TAG: key})
    with TemporaryDirectory() as folder:
        (Path(folder) / "data").mkdir()
        (Path(folder) / "data/model.pth").write_bytes(served)
        store.client.log_model_artifacts(model.model_id, folder)
    if ready:
        store.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    return str(model.model_id)


@pytest.mark.parametrize("ready", [True, False])
def test_a_planted_logged_model_is_not_registered(
    registry: Registry, entry: Entry, store: Store, ready: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Complete or not: the version gets a model that is packaged here, and the log names the other one."""
    caplog.set_level(logging.WARNING, "dlfd_ops")
    planted = plant(store, b"the original", ready=ready)
    version = registry.register(entry)
    source = str(store.client.get_model_version(MODEL, str(version.version)).source)
    assert planted not in source
    assert planted in caplog.text
    assert registry.register(entry) == version, "the same model is packaged again, and compared file by file"


def test_a_logged_model_that_was_changed_after_a_kill_is_not_registered(
    registry: Registry, entry: Entry, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between ready and its version nothing named its content yet."""

    def break_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "create_model_version", break_off)
        with pytest.raises(KeyboardInterrupt):
            registry.register(entry)
    (model,) = store.client.search_logged_models([store.experiment_id("dlfd-tiny")])
    served = Path(str(model.artifact_location).removeprefix("file://")) / "data/model.pt2"
    served.write_bytes(b"the original")
    version = registry.register(entry)
    assert str(model.model_id) not in str(store.client.get_model_version(MODEL, str(version.version)).source)


def test_a_planted_version_is_refused_and_not_loaded(registry: Registry, entry: Entry, store: Store) -> None:
    """Unless somebody vouches for it; once it is deleted, the registration goes on."""
    store.client.create_registered_model(MODEL)
    planted = f"models:/{plant(store, b'the original', key='')}"
    with store.as_default():
        store.client.create_model_version(MODEL, source=planted, tags={KEY_TAG: KEY})
    with pytest.raises(CheckFailed, match="version 1, which differs") as raised:
        registry.register(entry)
    assert "\n" not in str(raised.value)
    assert registry.register(entry, lambda version: version.version == 1).version == 1
    store.client.delete_model_version(MODEL, "1")
    assert registry.register(entry).tags["dlfd.method"] == "original"


def test_a_version_without_files_is_refused(registry: Registry, entry: Entry, store: Store) -> None:
    """It only stands in the registry."""
    version_without_model(store, 1, "passed", {KEY_TAG: KEY})
    with pytest.raises(CheckFailed, match="version 1, which differs"):
        registry.register(entry)


def test_candidate_is_the_newest_that_passed(registry: Registry, store: Store) -> None:
    """A version whose gate failed is passed over."""
    for number, gate in enumerate(["passed", "passed", "failed"], start=1):
        version_without_model(store, number, gate)
    assert registry.point_candidate() == 2
    assert aliases(store) == {"candidate": "2"}


def test_without_a_passed_version_there_is_no_candidate(registry: Registry, store: Store) -> None:
    """The alias goes when the only version behind it no longer passes."""
    version_without_model(store, 1, "passed")
    registry.point_candidate()
    version = read_version(store, MODEL, 1)
    assert version is not None
    registry.record_gate(version, "failed", "text")
    assert registry.point_candidate() is None
    assert aliases(store) == {}
    changed = read_version(store, MODEL, 1)
    assert changed is not None
    assert (changed.tags["dlfd.gate"], changed.description) == ("failed", "text")


def test_unchanged_gate_writes_nothing(registry: Registry, store: Store) -> None:
    """A decision that stands already does not touch the version."""
    version_without_model(store, 1, "passed")
    before = store.client.get_model_version(MODEL, "1").last_updated_timestamp
    version = read_version(store, MODEL, 1)
    assert version is not None
    registry.record_gate(version, "passed", version.description)
    assert store.client.get_model_version(MODEL, "1").last_updated_timestamp == before


def test_the_oldest_of_two_equal_versions_counts(registry: Registry, store: Store) -> None:
    """Where two machines raced on one server, both go on with the same version."""
    store.client.create_registered_model(MODEL)
    for _ in range(2):
        store.client.create_model_version(MODEL, source="file:///nothing", tags={"dlfd.registration_key": KEY})
    found = registry.find(KEY)
    assert found is not None
    assert found.version == 1


def test_the_younger_of_two_machines_takes_its_version_back(
    registry: Registry, entry: Entry, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looked before the other's version was there finds it afterwards, and one version is left."""
    first = registry.register(entry)
    looked_too_early(Registry, "find", None, monkeypatch)
    assert registry.register(entry) == first
    assert [int(found.version) for found in store.client.search_model_versions(f"name = '{MODEL}'")] == [1]


def test_two_machines_complete_one_logged_model(
    registry: Registry, entry: Entry, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever began a second one leaves it and goes on with the older."""
    experiment = store.experiment_id("dlfd-tiny")
    older = store.client.create_logged_model(experiment, name=MODEL, tags={"dlfd.registration_key": KEY})
    looked_too_early(LoggedModels, "_with_key", [], monkeypatch)
    registry.register(entry)
    (model,) = store.client.search_logged_models([experiment])
    assert (model.model_id, str(model.status)) == (older.model_id, "READY")


def test_two_machines_name_one_output_of_the_run(
    registry: Registry, entry: Entry, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is refused, as the other machine was faster, finds the model named and goes on."""
    experiment = store.experiment_id("dlfd-tiny")
    begun = store.client.create_logged_model(experiment, name=MODEL, tags={"dlfd.registration_key": KEY})
    store.client.log_outputs(entry.run_id, [LoggedModelOutput(begun.model_id, step=0)])
    looked_too_early(LoggedModels, "_is_linked", False, monkeypatch)
    assert registry.register(entry).version == 1
    outputs = store.client.get_run(entry.run_id).outputs
    assert outputs is not None
    assert [output.model_id for output in outputs.model_outputs] == [begun.model_id]


def test_candidate_follows_a_version_registered_meanwhile(
    registry: Registry, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older answer about the versions does not stay behind as the alias."""
    for number in (1, 2):
        version_without_model(store, number, "passed")
    looked_too_early(Registry, "_newest_passed", 1, monkeypatch)
    assert registry.point_candidate() == 2
    assert aliases(store) == {"candidate": "2"}


def test_candidate_is_no_duplicate(registry: Registry, store: Store) -> None:
    """A duplicate whose maker was killed before taking it back is newer, and counts for nothing."""
    for number, key in enumerate([KEY, "1" * 64, KEY], start=1):
        version_without_model(store, number, "passed", {"dlfd.registration_key": key})
    assert registry.point_candidate() == 2


def test_missing_version_is_none(store: Store) -> None:
    """A version that the store does not have is an answer, not an error."""
    assert read_version(store, MODEL, 7) is None


def test_every_part_of_the_key_counts() -> None:
    """Another model, method, weights, forget list or request makes another version."""
    parts = {"method": "dlfd", "weights_digest": "a", "forget_list_digest": "b", "requests": "c"}
    keys = {registration_key(MODEL, **parts), registration_key("other", **parts)}
    keys |= {registration_key(MODEL, **{**parts, name: "x"}) for name in parts}
    assert len(keys) == 6


def test_few_requests_are_named_and_too_many_counted() -> None:
    """A tag that would not fit is replaced by the number and a digest, never cut."""
    assert join_ids(("req-b", "req-a")) == "req-a,req-b"
    many = tuple(f"req-{number:012x}" for number in range(6000))
    assert join_ids(many).startswith("6000 requests, sha256:")
    assert join_ids(many) != join_ids((*many[:-1], "req-other"))


def test_entry_of_another_key_is_another_version(registry: Registry, entry: Entry) -> None:
    """The same weights that answer further requests are a further version."""
    registry.register(entry)
    assert registry.register(replace(entry, key="1" * 64)).version == 2
