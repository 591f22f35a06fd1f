"""One MLflow run a model: its params, its metrics over steps, and the data set that it was made from."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunStatus

from dlfd_ops.data.manifest import SPLITS, Manifest
from dlfd_ops.digest import canonical_json, sha256_bytes
from dlfd_ops.errors import BadInput
from dlfd_ops.models.checkpoint import weights_digest
from dlfd_ops.params import Params
from dlfd_ops.tracking.provenance import data_digest, read_provenance
from dlfd_ops.tracking.store import Store, open_store

ModelKind = Literal["original", "unlearned", "retrained"]
STAGE_OF: dict[ModelKind, str] = {"original": "train", "unlearned": "unlearn", "retrained": "retrain"}
SECTION_OF: dict[ModelKind, str] = {"original": "train", "unlearned": "unlearn", "retrained": "train"}
MODEL_TAG = "dlfd.model"
WEIGHTS_TAG = "dlfd.weights_digest"
PARAMS_FILE = "params.json"
MAX_PARAM_LENGTH = 6000
PARAMS_PER_CALL = 100
METRICS_PER_CALL = 1000
FLUSH_SECONDS = 10.0


class ModelRun:
    """An open run; an observer of the training loop.

    Numbers are gathered and sent together, at the latest every ten seconds at the next call: one request a step
    would slow a training down.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self.run_id = run_id
        self._store = store
        self._pending: list[Metric] = []
        self._sent_at = time.monotonic()

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of an optimiser step; they are logged as ``step/<name>`` over steps."""
        self._take("step/", metrics, step)

    def on_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of an epoch's last step; they are logged as ``epoch/<name>`` over epochs."""
        self._take("epoch/", metrics, epoch)

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Take numbers that hold for the whole run, for example its duration in ``seconds``."""
        self._take("", metrics, 0)

    def set_weights(self, folder: Path) -> None:
        """State which weights this run made, so that ``register`` finds the run of a model.

        Args:
            folder: where the model was saved.
        """
        with self._store.answering():
            self._store.client.set_tag(self.run_id, WEIGHTS_TAG, weights_digest(folder))

    def flush(self) -> None:
        """Send what was gathered.

        Raises:
            BadInput: the store does not answer.
        """
        pending, self._pending = self._pending, []
        self._sent_at = time.monotonic()
        with self._store.answering():
            for start in range(0, len(pending), METRICS_PER_CALL):
                self._store.client.log_batch(
                    self.run_id, metrics=pending[start : start + METRICS_PER_CALL], synchronous=True
                )

    def _take(self, prefix: str, metrics: Mapping[str, float], step: int) -> None:
        now = time.time_ns() // 1_000_000
        self._pending += [Metric(prefix + name, float(value), now, step) for name, value in metrics.items()]
        if len(self._pending) >= METRICS_PER_CALL or time.monotonic() - self._sent_at > FLUSH_SECONDS:
            self.flush()


@contextmanager
def model_run(params: Params, model: ModelKind, *, manifest: Manifest, root: Path = Path()) -> Iterator[ModelRun]:
    """Open the MLflow run of a model; to be called on rank 0 only.

    The run ends as FINISHED, as KILLED when it was interrupted, and as FAILED on any other error.

    Args:
        params: the pipeline's parameters; ``base`` and the model's own section are logged.
        model: which model is made; it names the run.
        manifest: the data set that it is made from.
        root: the repository.

    Raises:
        BadInput: the store does not answer.
    """
    store = open_store(root)
    run = ModelRun(store, _create_run(store, params, model, {}))
    try:
        _log_inputs(store, run.run_id, params, model, manifest)
        yield run
        run.flush()
    except BaseException as error:
        # What went wrong is told; a store that is away as well must not hide it.
        with suppress(BadInput):
            run.flush()
            _end(store, run.run_id, RunStatus.KILLED if isinstance(error, KeyboardInterrupt) else RunStatus.FAILED)
        raise
    _end(store, run.run_id, RunStatus.FINISHED)


def ensure_run(store: Store, params: Params, model: ModelKind, folder: Path, manifest: Manifest) -> str:
    """Return the id of the newest run that made the weights in ``folder``; where there is none, one is created.

    A model that DVC restored from its cache or from a remote was made on another store, or by a run since deleted.

    Args:
        store: where to look.
        params: the pipeline's parameters.
        model: which model it is.
        folder: its checkpoint.
        manifest: the data set that it was made from.

    Raises:
        BadInput: the store does not answer.
    """
    digest = weights_digest(folder)
    experiment_id = store.experiment_id(experiment_name(params))
    condition = f"tags.`{WEIGHTS_TAG}` = '{digest}' and tags.`{MODEL_TAG}` = '{model}'"
    with store.answering():
        newest = ["attributes.start_time DESC"]
        found = store.client.search_runs([experiment_id], condition, max_results=1, order_by=newest)
    if found and found[0].info.status != RunStatus.to_string(RunStatus.RUNNING):
        return str(found[0].info.run_id)
    run_id = str(found[0].info.run_id) if found else _create_run(store, params, model, {WEIGHTS_TAG: digest})
    _log_inputs(store, run_id, params, model, manifest)
    _end(store, run_id, RunStatus.FINISHED)
    return run_id


def experiment_name(params: Params) -> str:
    """Return the name of the data set's experiment."""
    return f"dlfd-{params.base.dataset}"


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        name = f"{prefix}{key}"
        flat.update(flatten(inner, f"{name}.") if isinstance(inner, Mapping) else {name: inner})
    return flat


def _create_run(store: Store, params: Params, model: ModelKind, tags: Mapping[str, str]) -> str:
    """Create the run of ``model`` in the data set's experiment; the name of whoever runs it is not recorded."""
    stage = STAGE_OF[model]
    provenance = read_provenance(store.root, stage)
    all_tags = {
        MODEL_TAG: model,
        "mlflow.source.name": f"pipelines/{stage}.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": provenance.git_commit,
        **provenance.tags(),
        **tags,
    }
    experiment_id = store.experiment_id(experiment_name(params))
    with store.answering():
        return str(store.client.create_run(experiment_id, run_name=model, tags=all_tags).info.run_id)


def _log_inputs(store: Store, run_id: str, params: Params, model: ModelKind, manifest: Manifest) -> None:
    _log_params(store, run_id, {key: params.model_dump()[key] for key in ("base", SECTION_OF[model])})
    dataset = _dataset_input(params.base.dataset, params.prepare.root, manifest, store.root)
    with store.answering():
        store.client.log_inputs(run_id, [dataset])


def _log_params(store: Store, run_id: str, sections: Mapping[str, Any]) -> None:
    """Log the sections; a value that MLflow would cut is replaced by its digest, and the file holds all of them."""
    params = []
    for name, value in flatten(sections).items():
        text = value if isinstance(value, str) else canonical_json(value)
        if len(text) > MAX_PARAM_LENGTH:
            text = f"sha256:{sha256_bytes(text.encode())} (in {PARAMS_FILE})"
        params.append(Param(name, text))
    with store.answering():
        for start in range(0, len(params), PARAMS_PER_CALL):
            store.client.log_batch(run_id, params=params[start : start + PARAMS_PER_CALL], synchronous=True)
        store.client.log_text(run_id, json.dumps(sections, indent=2) + "\n", PARAMS_FILE)


def _dataset_input(name: str, source: str, manifest: Manifest, root: Path) -> DatasetInput:
    inside = not Path(source).is_absolute() and ".." not in Path(source).parts
    digest = data_digest(root, source)
    origin = CodeDatasetSource(
        {
            "dvc.path": source if inside else "outside of the repository",
            "dvc.digest": digest,
            "dlfd.manifest_digest": manifest.digest(),
        }
    )
    counts = {split: len(manifest.split(split)) for split in SPLITS}
    dataset = Dataset(
        name=name,
        digest=digest,
        source_type="code",
        source=origin.to_json(),
        profile=canonical_json({"samples": len(manifest), **counts}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _end(store: Store, run_id: str, status: int) -> None:
    with store.answering():
        store.client.set_terminated(run_id, RunStatus.to_string(status))
