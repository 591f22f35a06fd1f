"""``mlflow.models.evaluate(..., evaluators="dlfd_unlearning")``: has this classifier forgotten?"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mlflow.models.evaluation.base import EvaluationResult, ModelEvaluator

from dlfd_ops.mlflow_plugin.errors import as_mlflow_errors

if TYPE_CHECKING:
    from dlfd_ops.evaluation.report import ModelEvaluation

REQUIRED_SETTING = "set_column"
MODEL = "model"
"""How the figures name the one model that is judged."""


class UnlearningEvaluator(ModelEvaluator):
    """Measures on a classifier of any flavour, a function, or stored answers, what the pipeline measures on its own.

    The data are a DataFrame whose set column tells forget, unseen and retain samples apart. Metrics and their meaning
    are those of :func:`dlfd_ops.evaluation.report.summarise`, with the unseen set as its test set. The settings are
    :class:`dlfd_ops.mlflow_plugin.evaluator_config.EvaluatorConfig`.
    """

    @classmethod
    def can_evaluate(cls, *, model_type: str, evaluator_config: Mapping[str, Any], **kwargs: Any) -> bool:
        """Return whether this is a classifier, and the settings are meant for this evaluator.

        MLflow asks every installed evaluator when none is named: without a set column nobody asked for this one.
        """
        return model_type == "classifier" and REQUIRED_SETTING in (evaluator_config or {})

    def evaluate(
        self,
        *,
        model_type: str,
        dataset: Any,
        run_id: str,
        evaluator_config: Mapping[str, Any],
        model: Any = None,
        model_id: str | None = None,
        **kwargs: Any,
    ) -> EvaluationResult:
        """Judge the model, and log numbers and figures to the run; called by MLflow.

        Raises:
            MlflowException: the settings, the data or the model's answers are not as they must be.
        """
        from dlfd_ops.evaluation.report import summarise
        from dlfd_ops.mlflow_plugin.answers import predictions_by_set, subjects_by_set
        from dlfd_ops.mlflow_plugin.evaluator_config import read_config

        with as_mlflow_errors():
            config = read_config(evaluator_config)
            subjects = subjects_by_set(dataset, config)
            predictions = predictions_by_set(model, dataset, config)
            found = summarise(predictions, config.evaluate, seed=config.seed, subjects=subjects)
        metrics = {f"{config.prefix}/{name}": value for name, value in found.metrics.items()}
        _log_metrics(metrics, run_id, dataset, model_id)
        artifacts = _log_files(found, run_id, config.prefix)
        return EvaluationResult(metrics, artifacts, run_id)  # type: ignore[no-untyped-call]


def _log_metrics(metrics: Mapping[str, float], run_id: str, dataset: Any, model_id: str | None) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000
    about = {"model_id": model_id, "dataset_name": dataset.name, "dataset_digest": dataset.digest, "run_id": run_id}
    MlflowClient().log_batch(run_id, metrics=[Metric(key, value, now, 0, **about) for key, value in metrics.items()])


def _log_files(found: ModelEvaluation, run_id: str, prefix: str) -> dict[str, Any]:
    """Log the figures and what is drawn in them; return MLflow's objects of those that it has a kind for."""
    from mlflow import MlflowClient
    from mlflow.models.evaluation.artifacts import ImageEvaluationArtifact, JsonEvaluationArtifact

    from dlfd_ops.evaluation.figures import draw_losses, draw_roc

    kinds: dict[str, Any] = {
        "losses.png": ImageEvaluationArtifact,
        "roc.png": ImageEvaluationArtifact,
        "curves.json": JsonEvaluationArtifact,
    }
    curves, aucs = {MODEL: found.curves}, {MODEL: found.metrics["mia_auc"]}
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        draw_losses(curves, aucs, folder / "losses")
        draw_roc(curves, aucs, folder / "roc")
        (folder / "curves.json").write_text(json.dumps(found.curves.to_json()) + "\n")
        MlflowClient().log_artifacts(run_id, temporary, prefix)
        artifacts = {f"{prefix}/{name}": kind(f"runs:/{run_id}/{prefix}/{name}") for name, kind in kinds.items()}
        for name, artifact in artifacts.items():
            artifact._load(str(folder / Path(name).name))
    return artifacts
