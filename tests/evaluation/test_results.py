"""The evaluation's files: nested for DVC, flat for the gate, damaged ones refused."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.curves import curves_of
from dlfd_ops.evaluation.membership import roc
from dlfd_ops.evaluation.reference_attacks import ReferenceLosses
from dlfd_ops.evaluation.report import ModelEvaluation
from dlfd_ops.evaluation.results import (
    RetrainedRecord,
    flatten,
    read_metrics,
    read_retrained,
    read_seconds,
    write_metrics,
    write_retrained,
)


def _record() -> RetrainedRecord:
    losses = np.array([0.1, 0.5, 0.9])
    curves = curves_of({"forget": losses, "test": losses}, roc(losses, losses))
    return RetrainedRecord(
        ModelEvaluation({"accuracy": 0.4, "mia_auc": 0.5}, curves), 12.5, "f" * 64, "d" * 64, "5" * 64
    )


def test_metrics_come_back_with_dotted_names(tmp_path: Path) -> None:
    """What is written by model is read as ``<model>.<metric>``; a dot inside a name survives."""
    path = tmp_path / "metrics/unlearning.json"
    write_metrics({"original": {"accuracy": 0.5, "mia_tpr_at_fpr_0.01": 0.1}, "seconds": {"train": 3.0}}, path)
    assert read_metrics(path) == {
        "original.accuracy": 0.5,
        "original.mia_tpr_at_fpr_0.01": 0.1,
        "seconds.train": 3.0,
    }


def test_flattening_keeps_numbers_only() -> None:
    """Words and lists are no metrics; NaN is handed on for the gate to refuse."""
    flat = flatten({"a": {"b": 1, "c": "words", "d": [1.0]}, "e": math.nan, "f": True})
    assert set(flat) == {"a.b", "e", "f"}
    assert math.isnan(flat["e"])


def test_retrained_record_round_trip(tmp_path: Path) -> None:
    """The record comes back as it was, and a person can read its first line of numbers."""
    path = tmp_path / "metrics/retrained.json"
    write_retrained(_record(), path)
    record = read_retrained(path)
    assert record is not None
    assert record.evaluation.metrics == {"accuracy": 0.4, "mia_auc": 0.5}
    assert record.evaluation.curves.losses["test"].tolist() == [0.1, 0.5, 0.9]
    assert (record.seconds, record.forget_list_digest, record.manifest_digest) == (12.5, "f" * 64, "d" * 64)
    assert record.settings_digest == "5" * 64
    assert path.read_text().splitlines()[1] == '  "retrained": {"accuracy": 0.4, "mia_auc": 0.5},'


def test_references_come_back_in_order_and_name_nobody(tmp_path: Path) -> None:
    """Row by row, with six digits; a record without them has none."""
    path = tmp_path / "retrained.json"
    references = ReferenceLosses(np.array([[0.25, 3.0]]), np.array([[1 / 3]]), np.array([[1e-7, 40.0, 2.0]]))
    write_retrained(replace(_record(), references=references), path)
    record = read_retrained(path)
    assert record is not None
    assert record.references is not None
    assert record.references.to_json() == {"forget": [[0.25, 3.0]], "validation": [[0.333333]], "test": [[1e-7, 40, 2]]}
    assert len(record.references) == 1
    write_retrained(_record(), path)
    record = read_retrained(path)
    assert record is not None
    assert record.references is None


@pytest.mark.parametrize(
    "references",
    [
        "{}",
        "[]",
        '{"forget": [[1]], "validation": [[1]], "test": [[1], [2]]}',
        '{"forget": [[1], [1, 2]], "validation": [[1], [1]], "test": [[1], [2]]}',
        '{"forget": [[NaN]], "validation": [[1]], "test": [[1]]}',
        '{"forget": ["a"], "validation": [[1]], "test": [[1]]}',
    ],
)
def test_damaged_references_are_one_clear_error(tmp_path: Path, references: str) -> None:
    """Ragged, unequal, or no numbers."""
    path = tmp_path / "retrained.json"
    write_retrained(_record(), path)
    path.write_text(path.read_text().rstrip()[:-1] + f', "references": {references}}}')
    with pytest.raises(BadInput, match=r"retrained\.json must"):
        read_retrained(path)


def test_placeholder_means_nothing_was_retrained(tmp_path: Path) -> None:
    """The committed ``{}`` is no record and no error."""
    path = tmp_path / "retrained.json"
    path.write_text("{}\n")
    assert read_retrained(path) is None


@pytest.mark.parametrize(
    "content",
    ['{"retrained": {}}', '{"retrained": 3}', "[]", "not json", '{"retrained": {"accuracy": "good"}}', "[" * 9],
)
def test_damaged_retrained_file_is_one_clear_error(tmp_path: Path, content: str) -> None:
    """Anything between placeholder and record names the file and the remedy."""
    path = tmp_path / "retrained.json"
    path.write_text(content)
    with pytest.raises(BadInput, match=r"retrained\.json must"):
        read_retrained(path)


def test_seconds_must_be_there(tmp_path: Path) -> None:
    """A stage's metrics without its time are refused, a missing file too."""
    path = tmp_path / "train.json"
    path.write_text('{"seconds": 4, "accuracy_train": 0.9}')
    assert read_seconds(path) == 4
    path.write_text('{"accuracy_train": 0.9}')
    with pytest.raises(BadInput, match="seconds"):
        read_seconds(path)
    with pytest.raises(BadInput, match="must be a file"):
        read_seconds(tmp_path / "absent.json")
