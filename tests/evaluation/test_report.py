"""One model's report: every metric, known values, stated values on the edges."""

from __future__ import annotations

import math

import pytest
import torch

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.predictions import Predictions, score
from dlfd_ops.evaluation.report import EvaluationSets, ModelEvaluation, judge_model, summarise
from dlfd_ops.models.classifier import FaceClassifier, ModelCard
from dlfd_ops.params import EvaluateSection

SECTION = EvaluateSection(batch_size=32, attack_splits=10, calibration_bins=15, overshoot_alpha=0.05)
NAMES = {
    "accuracy",
    "accuracy_retain",
    "accuracy_forget",
    "accuracy_validation",
    "loss",
    "loss_forget",
    "ece",
    "mia_accuracy",
    "mia_auc",
    "mia_auc_error",
    "mia_tpr_at_fpr_0.01",
    "mia_tpr_at_fpr_0.001",
    "mia_auc_validation",
    "forgetting_score",
    "nomus",
    "loss_distance",
    "overshoot",
}


def _sure(count: int, probability: float) -> Predictions:
    """Images of class 0, predicted with about ``probability`` for it."""
    jitter = torch.linspace(-0.05, 0.05, count)
    margin = math.log(probability / (1 - probability)) + jitter
    return score(torch.stack([margin, torch.zeros(count)], dim=1), torch.zeros(count, dtype=torch.int64))


def _summary(*, forget: Predictions, unseen: float = 0.6) -> ModelEvaluation:
    sets = {"retain": _sure(90, 0.999), "forget": forget, "validation": _sure(70, unseen), "test": _sure(80, unseen)}
    return summarise(sets, SECTION, seed=0)


def test_names_are_those_of_the_contract() -> None:
    """No metric more, none fewer, all finite."""
    metrics = _summary(forget=_sure(60, 0.9)).metrics
    assert set(metrics) == NAMES
    assert all(math.isfinite(value) for value in metrics.values())


def test_a_model_that_remembers() -> None:
    """Forget losses far below unseen ones: a perfect attack, forgetting score 0.5, no overshoot."""
    metrics = _summary(forget=_sure(60, 0.99)).metrics
    assert metrics["mia_auc"] == metrics["mia_auc_validation"] == metrics["mia_tpr_at_fpr_0.001"] == 1
    assert metrics["forgetting_score"] == pytest.approx(0.5, abs=0.02)
    assert metrics["nomus"] == pytest.approx(0.5, abs=0.02)
    assert metrics["loss_distance"] == 1
    assert metrics["overshoot"] == 0
    assert metrics["loss"] == pytest.approx(-math.log(0.6), abs=0.01)
    assert metrics["ece"] == pytest.approx(0.4, abs=0.01)


def test_a_model_that_has_forgotten() -> None:
    """Forget losses like unseen ones: an AUC of one half, no overshoot."""
    metrics = _summary(forget=_sure(80, 0.6)).metrics
    assert metrics["mia_auc"] == pytest.approx(0.5)
    assert metrics["mia_accuracy"] == pytest.approx(0.5, abs=0.1)
    assert metrics["loss_distance"] == 0
    assert metrics["overshoot"] == 0


def test_a_model_that_overshoots() -> None:
    """Forget losses above unseen ones: an AUC of 0, as far from forgotten as remembering, and flagged."""
    metrics = _summary(forget=_sure(60, 0.2)).metrics
    assert metrics["mia_auc"] == 0
    assert metrics["overshoot"] == 1
    assert metrics["forgetting_score"] == pytest.approx(0.5, abs=0.02)
    assert metrics["accuracy_forget"] == 0


def test_an_overshoot_is_sure_of_people_and_not_of_photos() -> None:
    """Ten photos each of four hard people among forty: their photos are many, and the people may well be chance."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(40):
        people = torch.randn(44, generator=generator).repeat_interleave(10)
        photos = people + 0.1 * torch.randn(440, generator=generator)
        logits, right = torch.stack([photos, torch.zeros(440)], dim=1), torch.zeros(440, dtype=torch.int64)
        sets = {"forget": score(logits[:40], right[:40]), "test": score(logits[40:], right[40:])}
        names = [f"person {number // 10}" for number in range(440)]
        subjects = {"forget": names[:40], "test": names[40:]}
        found.append([summarise(sets, SECTION, seed=0, subjects=one).metrics["overshoot"] for one in (None, subjects)])
    by_photo, by_person = (sum(flags) for flags in zip(*found, strict=True))
    assert by_photo > 8
    assert by_person <= 5


def test_of_an_empty_forget_set_there_is_nothing_to_say() -> None:
    """Nobody to recognise: chance would read as a perfect result, and is left out like all else about them."""
    metrics = _summary(forget=_sure(0, 0.5)).metrics
    assert set(metrics) == {"accuracy", "accuracy_retain", "accuracy_validation", "loss", "ece"}


def test_several_labels_are_reported_alike() -> None:
    """A multi-label model has the same metrics; calibration reads each label's decision."""
    generator = torch.Generator().manual_seed(0)
    targets = (torch.rand(50, 3, generator=generator) > 0.5).float()
    predictions = score(4 * targets - 2, targets)
    metrics = summarise(dict.fromkeys(("retain", "forget", "validation", "test"), predictions), SECTION, seed=0).metrics
    assert set(metrics) == NAMES
    assert metrics["accuracy"] == 1
    assert metrics["ece"] == pytest.approx(1 - 1 / (1 + math.exp(-2)), abs=1e-5)


@pytest.mark.parametrize("name", ["forget", "test", "validation"])
def test_a_diverged_model_is_refused(name: str) -> None:
    """NaN logits end in one clear error, not in a metric."""
    sets = {key: _sure(20, 0.6) for key in ("retain", "forget", "validation", "test")}
    sets[name] = score(torch.full((20, 2), math.nan), torch.zeros(20, dtype=torch.int64))
    with pytest.raises(BadInput, match="every loss must be finite"):
        summarise(sets, SECTION, seed=0)


@pytest.mark.parametrize("name", ["retain", "validation", "test"])
def test_a_set_that_must_not_be_empty_is_refused(name: str) -> None:
    """Without retain, validation or test images there is no report."""
    sets = {key: _sure(20, 0.6) for key in ("retain", "forget", "validation", "test")}
    sets[name] = _sure(0, 0.6)
    with pytest.raises(BadInput, match="empty set"):
        summarise(sets, SECTION, seed=0)


def _noise(count: int, generator: torch.Generator) -> LabelledImages:
    images = torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return LabelledImages(images, torch.randint(0, 2, (count,), generator=generator), ("",) * count, ("",) * count)


def test_a_network_that_says_nothing_gives_nothing_away() -> None:
    """All sets go through the network: with equal logits every loss is log 2, and the attack is chance exactly."""
    generator = torch.Generator().manual_seed(0)
    sets = EvaluationSets(*(_noise(count, generator) for count in (10, 12, 14, 16)))
    model = FaceClassifier(ModelCard("resnet18", ("gender",), {"gender": ("one", "other")}, 16))
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.zeros_(model.head.bias)
    found = judge_model(model, sets, SECTION, seed=0, device="cpu").evaluation
    share = {name: float((data.targets == 0).float().mean()) for name, data in vars(sets).items()}
    assert found.metrics["loss"] == found.metrics["loss_forget"] == pytest.approx(math.log(2), abs=1e-6)
    assert found.metrics["mia_auc"] == found.metrics["mia_accuracy"] == 0.5
    assert found.metrics["accuracy_forget"] == pytest.approx(share["forget"], abs=1e-6)
    assert found.metrics["accuracy_retain"] == pytest.approx(share["retain"], abs=1e-6)
    assert found.metrics["ece"] == pytest.approx(abs(0.5 - share["test"]), abs=1e-6)
    assert {name: len(values) for name, values in found.curves.losses.items()} == {"forget": 12, "test": 16}
