"""The evaluator on classifiers of every kind, through ``mlflow.models.evaluate``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.models import EvaluationResult, Model
from sklearn.linear_model import LogisticRegression

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.evaluation.predictions import predict, score
from dlfd_ops.evaluation.report import summarise
from dlfd_ops.mlflow_plugin.answers import predictions_by_set
from dlfd_ops.mlflow_plugin.evaluator_config import EvaluatorConfig
from dlfd_ops.models.checkpoint import save_classifier
from dlfd_ops.models.classifier import FaceClassifier
from dlfd_ops.params import EvaluateSection
from dlfd_ops.tracking.packaging import package

SETS = {"retain": 50, "forget": 40, "unseen": 60}
SECTION = EvaluateSection(batch_size=16, attack_splits=10, calibration_bins=15, overshoot_alpha=0.05)
CONFIG = {"set_column": "set", "evaluate": SECTION.model_dump()}
NAMES = {
    "accuracy",
    "accuracy_forget",
    "accuracy_retain",
    "loss",
    "loss_forget",
    "ece",
    "mia_accuracy",
    "mia_auc",
    "mia_auc_error",
    "mia_tpr_at_fpr_0.01",
    "mia_tpr_at_fpr_0.001",
    "forgetting_score",
    "nomus",
    "loss_distance",
    "overshoot",
}
Frame = pd.DataFrame


@pytest.fixture(scope="module")
def frame() -> Frame:
    """Rows with a logit ``x`` for class 1, a label and a set; training rows are surer than unseen ones."""
    generator = np.random.default_rng(0)
    sets = np.repeat(list(SETS), list(SETS.values()))
    label = generator.integers(0, 2, len(sets))
    sure = np.where(sets == "unseen", 0.5, 2.0)
    x = (2 * label - 1) * sure + generator.normal(0, 0.7, len(sets))
    return Frame({"x": x, "set": sets, "label": label})


def _probabilities(rows: Frame) -> np.ndarray:
    p = 1 / (1 + np.exp(-rows["x"].to_numpy()))
    return np.stack([1 - p, p], axis=1)


evaluate: Callable[..., EvaluationResult] = mlflow.models.evaluate


def _evaluate(model: Any, data: Frame, config: dict[str, Any], **arguments: Any) -> dict[str, float]:
    result = evaluate(
        model,
        data,
        targets="label",
        model_type="classifier",
        evaluators="dlfd_unlearning",
        evaluator_config=config,
        **arguments,
    )
    return {name.removeprefix("evaluation/"): value for name, value in result.metrics.items()}


@pytest.fixture(scope="module")
def expected(frame: Frame) -> dict[str, float]:
    """What the pipeline's own evaluation says about these answers."""
    logits = torch.from_numpy(np.stack([np.zeros(len(frame)), frame["x"].to_numpy()], axis=1).astype(np.float32))
    predictions = score(logits, torch.from_numpy(frame["label"].to_numpy()))
    members = {"forget": "forget", "test": "unseen", "retain": "retain"}
    rows = {name: (frame["set"] == value).to_numpy() for name, value in members.items()}
    targets = torch.from_numpy(frame["label"].to_numpy())
    assert len(predictions) == len(frame)
    return summarise({name: score(logits[row], targets[row]) for name, row in rows.items()}, SECTION, seed=0).metrics


def test_numbers_and_figures_are_logged(frame: Frame, expected: dict[str, float], run_id: str, tmp_path: Path) -> None:
    """The run has the pipeline's numbers under its names, the figures, and curves that point at no row."""
    result = evaluate(
        _probabilities,
        frame,
        targets="label",
        model_type="classifier",
        evaluators="dlfd_unlearning",
        evaluator_config=CONFIG,
    )
    assert set(expected) == NAMES
    assert expected["mia_auc"] > 0.6
    assert result.metrics == pytest.approx({f"evaluation/{name}": value for name, value in expected.items()}, abs=1e-5)
    logged = mlflow.get_run(run_id).data.metrics
    assert {name: logged[name] for name in result.metrics} == result.metrics
    files = {file.path for file in mlflow.MlflowClient().list_artifacts(run_id, "evaluation")}
    assert files == {f"evaluation/{name}" for name in ("losses.png", "losses.svg", "roc.png", "roc.svg", "curves.json")}
    assert result.artifacts["evaluation/losses.png"].content.width > 300
    curves = json.loads(Path(mlflow.artifacts.download_artifacts(f"runs:/{run_id}/evaluation/curves.json")).read_text())
    assert curves["losses"]["forget"] == sorted(curves["losses"]["forget"])
    result.save(str(tmp_path / "saved"))  # type: ignore[no-untyped-call]
    assert (tmp_path / "saved/artifacts/roc.png").stat().st_size > 1000


def _as_frame(rows: Frame) -> Frame:
    return Frame(_probabilities(rows), columns=["no", "yes"]).assign(latency=0.1)


@pytest.mark.parametrize(
    ("model", "extra"),
    [
        pytest.param(lambda rows: _probabilities(rows)[:, 1], {}, id="one number a row"),
        pytest.param(lambda rows: _probabilities(rows)[:, 1:].tolist(), {}, id="a list of lists of one"),
        pytest.param(lambda rows: torch.from_numpy(_probabilities(rows)), {}, id="a tensor"),
        pytest.param(lambda rows: rows["x"].to_numpy(), {"logits": True}, id="one logit a row"),
        pytest.param(lambda rows: np.log(_probabilities(rows)) + 7, {"logits": True}, id="logits"),
        pytest.param(_as_frame, {"probability_columns": ["no", "yes"]}, id="columns of a frame"),
        pytest.param(lambda rows: _probabilities(rows)[:, ::-1], {"classes": [1, 0]}, id="classes in another order"),
    ],
)
def test_every_form_of_answer_gives_the_same_numbers(
    frame: Frame, expected: dict[str, float], run_id: str, model: Callable[[Frame], Any], extra: dict[str, Any]
) -> None:
    """However the model answers, the same knowledge gives the same numbers."""
    assert _evaluate(model, frame, CONFIG | extra) == pytest.approx(expected, abs=1e-4)


def test_stored_answers_need_no_model(frame: Frame, expected: dict[str, float], run_id: str) -> None:
    """A list in each row of the predictions column, or a column for each class."""
    answers = _probabilities(frame)
    listed = frame.assign(answer=answers.tolist())
    assert _evaluate(None, listed, CONFIG, predictions="answer") == pytest.approx(expected, abs=1e-4)
    spread = frame.assign(no=answers[:, 0], yes=answers[:, 1])
    columns = {"probability_columns": ["no", "yes"]}
    assert _evaluate(None, spread, CONFIG | columns) == pytest.approx(expected, abs=1e-4)
    with pytest.raises(MlflowException, match="must hold its answers"):
        _evaluate(None, frame, CONFIG)


def test_a_scikit_learn_model_is_asked_for_probabilities(frame: Frame, run_id: str) -> None:
    """Its pyfunc answers classes alone; the evaluator reads ``predict_proba`` and the model's own class names."""
    named = frame.assign(label=np.where(frame["label"] == 1, "yes", "no"))
    classifier = LogisticRegression().fit(named[["x"]], named["label"])
    info = mlflow.sklearn.log_model(classifier, name="classifier", pip_requirements=["scikit-learn"])
    found = _evaluate(info.model_uri, named, CONFIG)
    assert found == pytest.approx(_evaluate(lambda rows: classifier.predict_proba(rows[["x"]]), frame, CONFIG))
    assert found["accuracy_retain"] > 0.9
    on_model = mlflow.get_logged_model(info.model_id).metrics
    assert {metric.key for metric in on_model or ()} >= {"evaluation/mia_auc", "evaluation/nomus"}


def test_a_model_of_this_package_is_judged_as_in_the_pipeline(
    make_images: Callable[..., LabelledImages],
    make_classifier: Callable[..., FaceClassifier],
    run_id: str,
    tmp_path: Path,
) -> None:
    """Two binary labels, images in a column, activation from the model's own metadata: the pipeline's numbers."""
    classifier = make_classifier(labels=2, size=32).eval()
    save_classifier(classifier, tmp_path / "checkpoint")
    package(tmp_path / "checkpoint", tmp_path / "model", Model())
    data = make_images(30, labels=2)
    sets = ["forget"] * 10 + ["unseen"] * 12 + ["retain"] * 8
    images = (data.images[:].float() / 255).flatten(1).numpy()
    rows = Frame({"image": list(images), "set": sets, "label": data.targets.tolist()})
    predictions = predict(classifier, data, batch_size=16, device="cpu")
    members = {"forget": slice(0, 10), "test": slice(10, 22), "retain": slice(22, 30)}
    parts = {name: score(predictions.logits[part], data.targets[part]) for name, part in members.items()}
    expected = summarise(parts, SECTION, seed=0).metrics
    assert _evaluate(str(tmp_path / "model"), rows, CONFIG) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"set_column": "set", "sets": 1}, "sets: Extra inputs are not permitted"),
        ({"set_column": "set", "forget": "unseen"}, "three different values"),
        ({"set_column": "set", "evaluate": {"attack_splits": 3}}, "Field required"),
        ({"set_column": "set", "prefix": "../escape"}, "prefix: String should match"),
        ({"set_column": "none"}, "set column 'none'"),
        ({"set_column": "set", "unseen": "test"}, "60 of 150 rows of another"),
        ({"set_column": "set", "retain": "kept"}, "50 of 150 rows of another"),
        ({"set_column": "set", "classes": ["a", "b", "c"]}, "received 3 for 2 columns"),
        ({"set_column": "set", "classes": ["no", "yes"]}, "every target must be one of the classes"),
        ({"set_column": "set", "probability_columns": ["no"]}, "must name columns of the answer"),
        ({"set_column": "set", "multi_label": True}, "a list of 0 and 1"),
    ],
)
def test_bad_settings_are_one_line(frame: Frame, run_id: str, config: dict[str, Any], line: str) -> None:
    """What is wrong, in MLflow's exception; nothing is logged."""
    with pytest.raises(MlflowException, match=line) as caught:
        _evaluate(_probabilities, frame, config)
    assert "\n" not in str(caught.value)
    assert mlflow.get_run(run_id).data.metrics == {}


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (lambda rows: rows["label" if "label" in rows else "x"].to_numpy() > 0, "probability for every class"),
        (lambda rows: (rows["x"].to_numpy() > 0).astype(float), "0 and 1 alone"),
        (lambda rows: np.array(["yes"] * len(rows)), "probability for every class"),
        (lambda rows: 5 * _probabilities(rows), "logits"),
        (lambda rows: _probabilities(rows) / 2, "sum to 1"),
        (lambda rows: _probabilities(rows) * math.nan, "every answer must be finite"),
        (lambda rows: _probabilities(rows)[1:], "for 16 rows"),
        (lambda rows: [[0.5], [0.1, 0.9]], "probability for every class"),
        (lambda rows: np.full((len(rows), 1 + len(rows) // 2), 2 / (2 + len(rows))), "several numbers"),
    ],
)
def test_answers_that_are_no_probabilities_are_one_line(
    frame: Frame, run_id: str, model: Callable[[Frame], Any], line: str
) -> None:
    """Labels, logits, NaN, too few rows: refused, not turned into a number."""
    with pytest.raises(MlflowException, match=line) as caught:
        _evaluate(model, frame, CONFIG)
    assert "\n" not in str(caught.value)


def test_a_missing_set_is_refused(frame: Frame, run_id: str) -> None:
    """Without forget or unseen rows there is nothing to compare; retain rows may be absent."""
    for absent in ("forget", "unseen"):
        with pytest.raises(MlflowException, match=f"rows of the set '{absent}'"):
            _evaluate(_probabilities, frame[frame["set"] != absent], CONFIG)
    found = _evaluate(_probabilities, frame[frame["set"] != "retain"], CONFIG)
    assert set(found) == NAMES - {"accuracy_retain"}


def test_the_model_never_sees_the_set(frame: Frame, run_id: str) -> None:
    """The set column would tell it what to forget."""
    seen: set[str] = set()

    def model(rows: Frame) -> np.ndarray:
        seen.update(rows.columns)
        return _probabilities(rows)

    _evaluate(model, frame, CONFIG)
    assert seen == {"x"}


def test_subjects_bring_intervals_and_the_attack_on_people(
    frame: Frame, expected: dict[str, float], run_id: str
) -> None:
    """A column with the person of each row adds numbers, widens one error, and stays hidden from the model."""
    data = frame.assign(person=[f"p{index // 2}" for index in range(len(frame))])
    seen: list[str] = []

    def model(rows: Frame) -> np.ndarray:
        seen.extend(rows.columns)
        return _probabilities(rows)

    metrics = _evaluate(model, data, {**CONFIG, "subject_column": "person"})
    assert metrics["mia_auc_error"] > expected["mia_auc_error"]
    same = {name: value for name, value in expected.items() if name != "mia_auc_error"}
    assert {name: metrics[name] for name in same} == pytest.approx(same)
    assert set(seen) == {"x"}
    assert metrics["mia_auc_low"] < metrics["mia_auc"] < metrics["mia_auc_high"]
    assert metrics["mia_subject_auc"] > metrics["mia_auc"]
    with pytest.raises(MlflowException, match="must have the subject column 'person'"):
        _evaluate(_probabilities, frame, {**CONFIG, "subject_column": "person"})


def test_who_did_not_ask_is_not_served(frame: Frame, run_id: str) -> None:
    """With no evaluator named MLflow asks all: other people's evaluations go on as if this one were not there."""
    rows = frame.drop(columns="set")
    result = evaluate(
        lambda data: (data["x"] > 0).astype(int).to_numpy(),
        rows,
        targets="label",
        model_type="classifier",
        evaluator_config={"log_model_explainability": False},
    )
    assert "accuracy_score" in result.metrics
    assert not [name for name in result.metrics if name.startswith("evaluation/")]


@settings(max_examples=30)
@given(st.permutations(range(12)), st.permutations(range(3)), st.integers(1, 12))
def test_order_and_batches_do_not_matter(rows: list[int], columns: list[int], batch: int) -> None:
    """The same rows in any order, the classes in any order of columns, any batch size: the same losses in each set."""
    generator = np.random.default_rng(1)
    answers = generator.dirichlet([1, 1, 1], 12)
    data = Frame({"a": answers[:, 0], "b": answers[:, 1], "c": answers[:, 2]})
    data["set"] = ["forget", "unseen", "retain"] * 4
    labels = np.array(["one", "two", "three"] * 4, dtype=object)

    def losses(order: list[int], shown: list[int], size: int) -> dict[str, np.ndarray]:
        section = SECTION.model_copy(update={"batch_size": size})
        names = tuple(["one", "two", "three"][column] for column in shown)
        config = EvaluatorConfig(set_column="set", classes=names, evaluate=section)
        model = SimpleNamespace(predict=lambda part: part[["a", "b", "c"]].to_numpy()[:, shown])
        asked = SimpleNamespace(features_data=data.iloc[order], labels_data=labels[order])
        found = predictions_by_set(model, asked, config)
        return {name: np.sort(predictions.loss.numpy()) for name, predictions in found.items()}

    expected = losses(list(range(12)), [0, 1, 2], 12)
    for name, values in losses(rows, columns, batch).items():
        assert values == pytest.approx(expected[name], abs=1e-6)
