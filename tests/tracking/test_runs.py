"""MLflow runs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import mlflow.data
import pytest
from mlflow.entities import DatasetInput, Run

from dlfd_ops.data.manifest import Manifest
from dlfd_ops.errors import BadInput
from dlfd_ops.models.checkpoint import weights_digest
from dlfd_ops.params import Params, load_params
from dlfd_ops.tracking import runs
from dlfd_ops.tracking.runs import ModelRun, ensure_run, flatten, model_run
from dlfd_ops.tracking.store import open_store
from dlfd_ops.training.observer import TrainingObserver

PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def params() -> Params:
    """The shipped parameters, for a data set of their own."""
    return changed(load_params(PARAMS), {"base": {"dataset": "tiny"}})


def changed(params: Params, changes: dict[str, dict[str, Any]]) -> Params:
    """Return ``params`` with some values replaced."""
    content = params.model_dump(by_alias=True)
    for section, values in changes.items():
        content[section].update(values)
    return Params.model_validate(content)


def read(root: Path, run_id: str) -> Run:
    """Read a run from the store."""
    return open_store(root).client.get_run(run_id)


def only_dataset(run: Run) -> DatasetInput:
    """Return the one data set of a run."""
    assert run.inputs is not None
    (dataset,) = run.inputs.dataset_inputs
    return dataset


def test_run_logs_params_data_set_and_provenance(repository: Path, params: Params, manifest: Manifest) -> None:
    """A run holds base and its own section, the data set as an input, and where it comes from."""
    (repository / "data").mkdir()
    digest = "0" * 32 + ".dir"
    (repository / "data/raw.dvc").write_text(f"outs:\n- md5: {digest}\n  path: raw\n")
    with model_run(params, "original", manifest=manifest, root=repository) as run:
        pass
    found = read(repository, run.run_id)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "original"
    assert found.data.params["train.architecture"] == "resnet18"
    assert found.data.params["base.labels"] == '["age_group"]'
    assert not any(name.startswith("unlearn.") for name in found.data.params)
    assert found.data.tags["dlfd.git_commit"] == "unknown"
    assert found.data.tags["dlfd.dvc_lock_digest"] == "unknown"
    assert "mlflow.user" not in found.data.tags
    dataset = only_dataset(found)
    assert (dataset.dataset.name, dataset.dataset.digest) == ("tiny", digest)
    assert {tag.key: tag.value for tag in dataset.tags} == {"mlflow.data.context": "training"}
    assert json.loads(dataset.dataset.profile or "") == {
        "samples": 4,
        "train": 1,
        "anchor": 1,
        "validation": 1,
        "test": 1,
    }
    source = mlflow.data.get_source(dataset).to_dict()
    assert source["tags"]["dlfd.manifest_digest"] == manifest.digest()
    assert source["tags"]["dvc.path"] == "data/raw"


def test_outside_folder_of_the_data_is_not_logged(repository: Path, params: Params, manifest: Manifest) -> None:
    """A path outside of the repository may name a person, so it reaches no run."""
    elsewhere = changed(params, {"prepare": {"root": "/home/someone/faces"}})
    with model_run(elsewhere, "original", manifest=manifest, root=repository) as run:
        pass
    found = read(repository, run.run_id)
    assert "someone" not in json.dumps(found.to_dictionary())


def test_metrics_over_steps_and_epochs(repository: Path, params: Params, manifest: Manifest) -> None:
    """Every number of every step and epoch arrives, in order, also many at once."""
    with model_run(params, "unlearned", manifest=manifest, root=repository) as run:
        observer: TrainingObserver = run
        for step in range(1, 1501):
            observer.on_step(step, {"loss": 1 / step})
        observer.on_epoch(1, {"accuracy": 0.5})
        run.log_metrics({"seconds": 2.5})
    client = open_store(repository).client
    history = client.get_metric_history(run.run_id, "step/loss")
    assert [(point.step, point.value) for point in sorted(history, key=lambda point: point.step)] == [
        (step, 1 / step) for step in range(1, 1501)
    ]
    found = read(repository, run.run_id).data.metrics
    assert (found["epoch/accuracy"], found["seconds"]) == (0.5, 2.5)


def test_steps_are_not_sent_one_by_one(repository: Path, params: Params, manifest: Manifest) -> None:
    """The store is not asked at every step: nothing has arrived after a few of them."""
    with model_run(params, "original", manifest=manifest, root=repository) as run:
        run.on_step(1, {"loss": 1.0})
        assert "step/loss" not in read(repository, run.run_id).data.metrics
        run.flush()
        assert read(repository, run.run_id).data.metrics["step/loss"] == 1.0


def test_waiting_numbers_are_sent_after_a_while(
    repository: Path, params: Params, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow training shows its progress while it runs."""
    monkeypatch.setattr(runs, "FLUSH_SECONDS", -1.0)
    with model_run(params, "original", manifest=manifest, root=repository) as run:
        run.on_step(1, {"loss": 1.0})
        assert read(repository, run.run_id).data.metrics["step/loss"] == 1.0


def test_diverged_training_is_logged(repository: Path, params: Params, manifest: Manifest) -> None:
    """A loss that is not a number is a number that was measured."""
    with model_run(params, "original", manifest=manifest, root=repository) as run:
        run.on_step(1, {"loss": math.nan})
    assert math.isnan(read(repository, run.run_id).data.metrics["step/loss"])


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_broken_run_ends_with_its_status_and_numbers(
    repository: Path, params: Params, manifest: Manifest, error: type[BaseException], status: str
) -> None:
    """An error is passed on; the run says how it ended and keeps what was measured."""
    opened: list[ModelRun] = []

    def train() -> None:
        with model_run(params, "original", manifest=manifest, root=repository) as run:
            opened.append(run)
            run.on_step(1, {"loss": 1.0})
            raise error

    with pytest.raises(error):
        train()
    found = read(repository, opened[0].run_id)
    assert found.info.status == status
    assert found.data.metrics["step/loss"] == 1.0


def test_damaged_lock_leaves_no_running_run(repository: Path, params: Params, manifest: Manifest) -> None:
    """A run that cannot be described never stays as running."""
    (repository / "data").mkdir()
    (repository / "data/raw.dvc").write_text("- no mapping\n")
    with pytest.raises(BadInput), model_run(params, "original", manifest=manifest, root=repository):
        pass
    store = open_store(repository)
    found = store.client.search_runs([store.experiment_id("dlfd-tiny")])
    assert [run.info.status for run in found] == ["FAILED"]


def test_long_param_is_not_cut(repository: Path, params: Params, manifest: Manifest) -> None:
    """A value that does not fit is named by its digest, and stands in full in params.json."""
    labels = tuple(f"attribute_{number:0>40}" for number in range(30))
    wide = changed(params, {"base": {"labels": labels}})
    runs_limit = runs.MAX_PARAM_LENGTH
    assert len(json.dumps(labels)) < runs_limit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "MAX_PARAM_LENGTH", 500)
        with model_run(wide, "original", manifest=manifest, root=repository) as run:
            pass
    store = open_store(repository)
    assert read(repository, run.run_id).data.params["base.labels"].startswith("sha256:")
    folder = repository / "downloaded"
    folder.mkdir()
    file = store.client.download_artifacts(run.run_id, "params.json", str(folder))
    assert tuple(json.loads(Path(file).read_text())["base"]["labels"]) == labels


def test_register_finds_the_run_of_the_weights(
    repository: Path, params: Params, manifest: Manifest, checkpoint: Path
) -> None:
    """The run that stated the weights is the run of the model; a run of another model is not."""
    with model_run(params, "original", manifest=manifest, root=repository) as run:
        run.set_weights(checkpoint)
    with model_run(params, "retrained", manifest=manifest, root=repository) as other:
        other.set_weights(checkpoint)
    store = open_store(repository)
    assert ensure_run(store, params, "original", checkpoint, manifest) == run.run_id


def test_missing_run_is_made_once(repository: Path, params: Params, manifest: Manifest, checkpoint: Path) -> None:
    """Weights that no run of this store made get one run, with params and data set, that has ended."""
    store = open_store(repository)
    run_id = ensure_run(store, params, "original", checkpoint, manifest)
    assert ensure_run(store, params, "original", checkpoint, manifest) == run_id
    found = read(repository, run_id)
    assert found.info.status == "FINISHED"
    assert found.data.tags["dlfd.weights_digest"] == weights_digest(checkpoint)
    assert found.data.params["train.architecture"] == "resnet18"
    assert only_dataset(found).dataset.name == "tiny"


def test_flatten_joins_nested_names() -> None:
    """Nested sections become dotted names; an empty section leaves nothing."""
    assert flatten({"a": {"b": {"c": 1}, "d": [1]}, "e": {}}) == {"a.b.c": 1, "a.d": [1]}
