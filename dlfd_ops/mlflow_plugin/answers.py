"""From what any classifier answers to the predictions that the evaluation reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.predictions import Predictions, score
from dlfd_ops.mlflow_plugin.evaluator_config import EvaluatorConfig

Matrix = NDArray[np.float64]
SUM_TOLERANCE = 1e-3
"""Largest distance of a row's sum of probabilities from 1."""
_TINY = float(np.finfo(np.float32).tiny)


def predictions_by_set(model: Any, data: Any, config: EvaluatorConfig) -> dict[str, Predictions]:
    """Return the predictions of every set that the data hold: "forget", "test" (unseen), perhaps "retain".

    Args:
        model: MLflow's model; None where the data hold the answers.
        data: MLflow's evaluation data set.
        config: the settings.

    Raises:
        BadInput: the data or the answers are not as the settings say; the line tells what to change.
    """
    members = _members(data.features_data, config)
    classifier = _sklearn_classifier(model)
    if model is None:
        answers = _stored(data, config)
    else:
        predict = model.predict if classifier is None else classifier.predict_proba
        answers = _asked(predict, data.features_data, config)
    answers = _two_columns(answers, config)
    facts = _facts(model)
    multi_label = config.multi_label or facts.get("output_activation") == "sigmoid"
    logits = answers if config.logits else _to_logits(answers, multi_label=multi_label)
    if multi_label:
        targets = _label_targets(data.labels_data, logits.shape)
    else:
        classes = config.classes or _said_classes(classifier, facts, data.labels_data)
        targets = _class_targets(data.labels_data, classes, logits.shape[1])
    scores = torch.from_numpy(logits.astype(np.float32))
    return {name: score(scores[rows], targets[rows]) for name, rows in members.items()}


def subjects_by_set(data: Any, config: EvaluatorConfig) -> dict[str, tuple[str, ...]] | None:
    """Return of the sets "forget" and "test" the subject of each row, in order; None where no column tells them.

    Args:
        data: MLflow's evaluation data set.
        config: the settings.

    Raises:
        BadInput: the column is not there, or a row has no subject.
    """
    if config.subject_column is None:
        return None
    members = _members(data.features_data, config)
    if config.subject_column not in data.features_data.columns:
        raise _wrong(f"the data must have the subject column {config.subject_column!r}", "data without it")
    subjects = data.features_data[config.subject_column]
    if subjects.isna().any():
        raise _wrong("every row must have its subject", f"{int(subjects.isna().sum())} rows without one")
    return {name: tuple(subjects[members[name]].astype(str)) for name in ("forget", "test")}


def _members(features: Any, config: EvaluatorConfig) -> dict[str, NDArray[np.bool_]]:
    """Return which rows belong to each set that has any."""
    if not isinstance(features, pd.DataFrame) or config.set_column not in features.columns:
        raise _wrong(f"the data must be a DataFrame with the set column {config.set_column!r}", "data without it")
    column = features[config.set_column]
    members = {name: column.eq(value).fillna(False).to_numpy(dtype=bool) for name, value in config.sets.items()}
    others = len(column) - sum(int(rows.sum()) for rows in members.values())
    if others:
        values = ", ".join(repr(value) for value in config.sets.values())
        raise _wrong(f"every row's set must be one of {values}", f"{others} of {len(column)} rows of another")
    for name in ("forget", "test"):
        if not members[name].any():
            raise _wrong(f"the data must have rows of the set {config.sets[name]!r}", "none")
    return {name: rows for name, rows in members.items() if rows.any()}


def _sklearn_classifier(model: Any) -> Any:
    """Return the model behind MLflow's when it follows scikit-learn: its pyfunc would answer classes alone."""
    try:
        raw = model.get_raw_model()
    except (AttributeError, NotImplementedError):
        return None
    return raw if hasattr(raw, "predict_proba") and hasattr(raw, "classes_") else None


def _facts(model: Any) -> Mapping[str, Any]:
    """Return what a model of this package says about itself; nothing of any other."""
    metadata = getattr(getattr(model, "metadata", None), "metadata", None) or {}
    facts: Mapping[str, Any] = metadata.get("dlfd", {})
    return facts


def _stored(data: Any, config: EvaluatorConfig) -> Matrix:
    if config.probability_columns is None and not data.has_predictions:
        raise _wrong("without a model the data must hold its answers", "neither predictions nor probability_columns")
    stored = data.features_data if config.probability_columns else data.predictions_data
    return _matrix(stored, config, len(data.features_data))


def _asked(predict: Callable[[Any], Any], features: pd.DataFrame, config: EvaluatorConfig) -> Matrix:
    unasked = [config.set_column, *([config.subject_column] if config.subject_column in features.columns else [])]
    inputs = features.drop(columns=unasked)
    size = config.evaluate.batch_size
    # MLflow reads the row numbered 0 of every frame that holds tensors.
    batches = [inputs.iloc[start : start + size].reset_index(drop=True) for start in range(0, len(inputs), size)]
    parts = [_matrix(predict(batch), config, len(batch)) for batch in batches]
    if len({part.shape[1:] for part in parts}) > 1:
        raise _wrong("the model must answer every row with the same number of columns", "several numbers")
    return np.concatenate(parts)


def _matrix(answer: Any, config: EvaluatorConfig, rows: int) -> Matrix:
    """Return (N, C) or (N,) numbers from an array, a tensor, a frame, or a list or column of vectors."""
    if config.probability_columns is not None:
        missing = [name for name in config.probability_columns if name not in getattr(answer, "columns", ())]
        if missing:
            raise _wrong("probability_columns must name columns of the answer", f"{len(missing)} that it does not have")
        answer = answer[list(config.probability_columns)]
    try:
        array = np.asarray(answer)
        array = np.asarray(array.tolist()) if array.dtype == object else array
    except ValueError:
        array = np.empty(0, dtype=object)
    if array.dtype.kind != "f" or array.ndim not in (1, 2) or len(array) != rows:
        raise _wrong(
            "the model must answer each row with a probability for every class",
            f"an array of {array.dtype} of the shape {array.shape} for {rows} rows",
        )
    if not np.isfinite(array).all():
        raise _wrong("every answer must be finite", f"{int((~np.isfinite(array)).sum())} that are not")
    return array.astype(np.float64)


def _two_columns(answers: Matrix, config: EvaluatorConfig) -> Matrix:
    """Return (N, C): one number a row is about the second of two classes."""
    matrix = answers if answers.ndim == 2 else answers[:, np.newaxis]
    if matrix.shape[1] > 1 or config.multi_label:
        return matrix
    if not config.logits and np.isin(matrix, (0, 1)).all():
        raise _wrong("the model must answer each row with a probability for every class", "0 and 1 alone")
    return np.hstack([np.zeros_like(matrix) if config.logits else 1 - matrix, matrix])


def _to_logits(probabilities: Matrix, *, multi_label: bool) -> Matrix:
    """Return logits whose softmax (sigmoid for several labels) are the probabilities."""
    totals = probabilities.sum(axis=1)
    outside = bool((probabilities < -SUM_TOLERANCE).any() or (probabilities > 1 + SUM_TOLERANCE).any())
    if outside or (not multi_label and float(np.abs(totals - 1).max()) > SUM_TOLERANCE):
        raise _wrong(
            "probabilities must lie in [0, 1], and sum to 1 for a single label", "others (logits? set 'logits': true)"
        )
    log = np.log(np.clip(probabilities, _TINY, 1))
    return log - np.log(np.clip(1 - probabilities, _TINY, 1)) if multi_label else log


def _said_classes(classifier: Any, facts: Mapping[str, Any], labels: Any) -> Sequence[Any] | None:
    if classifier is not None:
        return list(np.asarray(classifier.classes_).tolist())
    # Labels of a model of this package are names, or already the numbers of its outputs.
    return facts.get("outputs") if all(isinstance(label, str) for label in labels.tolist()) else None


def _class_targets(labels: Any, classes: Sequence[Any] | None, count: int) -> Tensor:
    """Return (N,) column numbers."""
    column_of = {label: column for column, label in enumerate(range(count) if classes is None else classes)}
    if len(column_of) != count:
        raise _wrong("there must be one class a column of the probabilities", f"{len(column_of)} for {count} columns")
    columns = [column_of.get(label, -1) for label in labels.tolist()]
    if -1 in columns:
        rule = "every target must be one of the classes" if classes else f"targets must be columns, 0 to {count - 1}"
        raise _wrong(rule, f"{columns.count(-1)} of {len(columns)} that are not (set 'classes' in the columns' order)")
    return torch.tensor(columns, dtype=torch.int64)


def _label_targets(labels: Any, shape: tuple[int, ...]) -> Tensor:
    """Return (N, C) targets of 0 and 1."""
    try:
        array = np.asarray(labels.tolist(), dtype=np.float32)
    except (TypeError, ValueError):
        array = np.empty(0, dtype=np.float32)
    if array.shape != shape or not np.isin(array, (0, 1)).all():
        raise _wrong("every target must be a list of 0 and 1, one a label", f"others, for {shape[1]} labels")
    return torch.from_numpy(array)


def _wrong(rule: str, received: str) -> BadInput:
    return BadInput(rule, received=received, remedy="change the data or evaluator_config (docs/plugin.md)")
