"""The benchmark in MLflow: one run, and a nested one for each of its cells."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunStatus
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from dlfd_ops.digest import canonical_json, sha256_json
from dlfd_ops.params import Params
from dlfd_ops.tracking.runs import experiment_name
from dlfd_ops.tracking.store import Store, open_store

BENCHMARK_TAG, CELL_TAG = "dlfd.benchmark", "dlfd.cell"
RUN_NAME = "benchmark"


@dataclass(frozen=True)
class CellRun:
    """What is logged of one cell.

    Attributes:
        key: digest of the cell; it is logged once.
        name: of the run.
        params: method, seed and the settings that validation chose.
        metrics: of the test people.
    """

    key: str
    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]


def log_benchmark(params: Params, cells: Sequence[CellRun], root: Path = Path()) -> None:
    """Log the cells that the store does not hold yet, under the run of this benchmark.

    Args:
        params: their sections ``base`` and ``benchmark`` say which benchmark it is.
        cells: what stands.
        root: of the repository.

    Raises:
        BadInput: the store does not answer.
    """
    store = open_store(root)
    digest = sha256_json([params.base.model_dump(), params.benchmark.model_dump()])
    with store.lock("benchmark"):
        parent = _find(store, params, BENCHMARK_TAG, digest) or _create(
            store, params, RUN_NAME, {BENCHMARK_TAG: digest}
        )
        for cell in cells:
            if _find(store, params, CELL_TAG, cell.key) is None:
                _log(store, params, cell, parent)
        with store.answering():
            store.client.set_terminated(parent, RunStatus.to_string(RunStatus.FINISHED))


def _log(store: Store, params: Params, cell: CellRun, parent: str) -> None:
    run_id = _create(store, params, cell.name, {MLFLOW_PARENT_RUN_ID: parent})
    now = time.time_ns() // 1_000_000
    texts = {name: value if isinstance(value, str) else canonical_json(value) for name, value in cell.params.items()}
    logged = [Param(name, text) for name, text in texts.items()]
    with store.answering():
        metrics = [Metric(name, value, now, 0) for name, value in cell.metrics.items()]
        store.client.log_batch(run_id, metrics=metrics, params=logged, synchronous=True)
        store.client.set_terminated(run_id, RunStatus.to_string(RunStatus.FINISHED))
        # Last, so that a run that broke off is not taken for a whole one.
        store.client.set_tag(run_id, CELL_TAG, cell.key)


def _find(store: Store, params: Params, tag: str, value: str) -> str | None:
    experiment_id = store.experiment_id(experiment_name(params))
    with store.answering():
        found = store.client.search_runs([experiment_id], f"tags.`{tag}` = '{value}'", max_results=1)
    return str(found[0].info.run_id) if found else None


def _create(store: Store, params: Params, name: str, tags: Mapping[str, str]) -> str:
    experiment_id = store.experiment_id(experiment_name(params))
    with store.answering():
        return str(store.client.create_run(experiment_id, run_name=name, tags=dict(tags)).info.run_id)
