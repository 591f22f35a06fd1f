"""Finding and removing the files of models that MLflow's records no longer tell of."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from dlfd_ops.files import write_text
from dlfd_ops.tracking.removal import ERASED_TAG, has_artifacts, remove_model, stored_models
from dlfd_ops.tracking.store import Store, open_store

EXPERIMENT, NAME, ANOTHER = "dlfd-tiny", "face", "another-project"


@pytest.fixture
def store(repository: Path) -> Store:
    """A store with a version of a model."""
    return open_store(repository)


def log(store: Store, tmp_path: Path, *, registered: bool, name: str = NAME) -> str:
    """Log a model with weights, as a version of a model of this name or alone; return its id."""
    model = store.client.create_logged_model(store.experiment_id(EXPERIMENT), name=NAME)
    write_text(tmp_path / "model/weights.safetensors", "weights")
    store.client.log_model_artifacts(str(model.model_id), str(tmp_path / "model"))
    if registered:
        store.client.create_registered_model(name)
        with store.as_default():
            store.client.create_model_version(name, source=str(model.model_uri), model_id=str(model.model_id))
    return str(model.model_id)


@pytest.mark.parametrize("registered", [True, False], ids=["version", "alone"])
@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "deleted by hand"])
def test_the_weights_are_found_and_removed(store: Store, tmp_path: Path, registered: bool, recorded: bool) -> None:
    """Deleting a logged model by hand leaves its files: they are found all the same, and go; its version says so."""
    model_id = log(store, tmp_path, registered=registered)
    if not recorded:
        store.client.delete_logged_model(model_id)
    assert [(one.model_id, one.version) for one in stored_models(store, EXPERIMENT, NAME)] == [
        (model_id, 1 if registered else None)
    ]
    assert not registered or has_artifacts(store, NAME, 1)
    for _ in range(2):
        remove_model(store, EXPERIMENT, NAME, model_id, "note")
        assert stored_models(store, EXPERIMENT, NAME) == []
        assert not list((tmp_path / "mlartifacts").rglob("weights.safetensors"))
    if registered:
        assert not has_artifacts(store, NAME, 1)
        assert store.client.get_model_version(NAME, "1").tags[ERASED_TAG] == "note"


def test_models_of_other_experiments_stay(store: Store, tmp_path: Path) -> None:
    """The embedded store keeps the files of every experiment below one root."""
    log(store, tmp_path, registered=False)
    store.experiment_id("another")
    assert stored_models(store, "another", NAME) == []


def test_a_model_of_another_registered_model_is_told_from_one_without_a_version(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every page of the registry is read: what stands for nobody here may stand for somebody elsewhere."""
    monkeypatch.setattr(
        store.client, "search_model_versions", partial(store.client.search_model_versions, max_results=1)
    )
    alone = log(store, tmp_path, registered=False)
    theirs = log(store, tmp_path, registered=True, name=ANOTHER)
    ours = log(store, tmp_path, registered=True)
    found = {one.model_id: (one.version, one.foreign) for one in stored_models(store, EXPERIMENT, NAME)}
    assert found == {alone: (None, False), theirs: (None, True), ours: (1, False)}


@pytest.mark.parametrize("copied", [True, False], ids=["copied", "registered by its place"])
def test_a_copy_in_another_registered_model_counts(store: Store, tmp_path: Path, copied: bool) -> None:
    """Neither names the logged model: where its files lie tells."""
    model_id = log(store, tmp_path, registered=True)
    with store.as_default():
        if copied:
            store.client.copy_model_version(f"models:/{NAME}/1", ANOTHER)
        else:
            store.client.create_registered_model(ANOTHER)
            place = str(store.client.get_logged_model(model_id).artifact_location)
            store.client.create_model_version(ANOTHER, source=place)
    (found,) = stored_models(store, EXPERIMENT, NAME)
    assert (found.model_id, found.version, found.foreign) == (model_id, 1, True)


def test_the_alias_of_a_copy_is_an_alias_of_the_model(store: Store, tmp_path: Path) -> None:
    """The copy bears a number that the ledger does not know: the model is the first of its versions."""
    log(store, tmp_path, registered=True)
    with store.as_default():
        store.client.copy_model_version(f"models:/{NAME}/1", NAME)
    store.client.set_registered_model_alias(NAME, "champion", "2")
    (found,) = stored_models(store, EXPERIMENT, NAME)
    assert (found.version, found.aliases, found.foreign) == (1, ("champion",), False)
