"""What is known with people, features and references: names, known answers, and networks that saw or did not see."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor, nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.intervals import is_interval_end
from dlfd_ops.evaluation.meanings import MEANINGS
from dlfd_ops.evaluation.membership import auc_standard_error
from dlfd_ops.evaluation.people import losses_of
from dlfd_ops.evaluation.predictions import Predictions, predict, score
from dlfd_ops.evaluation.reference_attacks import ReferenceLosses
from dlfd_ops.evaluation.report import EvaluationSets, judge_model, summarise
from dlfd_ops.models.classifier import Classifier, ModelCard, Output, to_unit
from dlfd_ops.params import EvaluateSection

SECTION = EvaluateSection(batch_size=32, attack_splits=10, calibration_bins=15, overshoot_alpha=0.05)
SIZE = 16
PHOTOS = 4
PEOPLE = 150
OF_ATTACK = ("auc", "subject_auc", "tpr_at_fpr_0.01", "tpr_at_fpr_0.001")
KNOWN_BY_PEOPLE = {"mia_subject_auc", "loss_likeness", *(f"confidence_{name}" for name in OF_ATTACK)}
KNOWN_BY_REFERENCES = {f"{attack}_{name}" for attack in ("calibrated", "rmia") for name in OF_ATTACK}


def _of_losses(losses: torch.Tensor) -> Predictions:
    """Predictions of class 0 with these losses."""
    probability = torch.exp(-losses)
    logits = torch.stack([torch.log(probability), torch.log1p(-probability)], dim=1)
    return score(logits, torch.zeros(len(losses), dtype=torch.int64))


def _world(*, gap: float, seed: int = 0) -> tuple[dict[str, Predictions], ReferenceLosses, dict[str, list[str]]]:
    """Difficulty spread over 0.5 to 6.5 nats; the model judged is ``gap`` nats below on the forget set, noise 0.3."""
    generator = torch.Generator().manual_seed(seed)
    difficulty = {
        name: 0.5 + 6 * torch.rand(PHOTOS * PEOPLE, generator=generator) for name in ("forget", "test", "validation")
    }
    said = {
        name: values + 2 + 0.3 * torch.randn(len(values), generator=generator) for name, values in difficulty.items()
    }
    said["forget"] = said["forget"] - gap
    known = {name: np.tile(values.numpy().astype(np.float64), (2, 1)) for name, values in difficulty.items()}
    people = {name: [f"{name}{index // PHOTOS}" for index in range(PHOTOS * PEOPLE)] for name in ("forget", "test")}
    return {name: _of_losses(values) for name, values in said.items()}, ReferenceLosses(**known), people


def _points(metrics: dict[str, float]) -> set[str]:
    return {name for name in metrics if not is_interval_end(name)}


def test_names_are_those_of_the_contract() -> None:
    """Each kind of knowledge adds its metrics and no other, each with a meaning, and every AUC has its interval."""
    predictions, references, people = _world(gap=0.2)
    bare = summarise(predictions, SECTION, seed=0).metrics
    with_people = summarise(predictions, SECTION, seed=0, subjects=people).metrics
    with_all = summarise(predictions, SECTION, seed=0, subjects=people, references=references).metrics
    assert _points(with_people) - set(bare) == KNOWN_BY_PEOPLE
    assert _points(with_all) - _points(with_people) == KNOWN_BY_REFERENCES
    assert {name for name in bare if with_all[name] != bare[name]} <= {"mia_auc_error"}
    assert with_all["mia_auc_error"] >= bare["mia_auc_error"]
    assert _points(with_all) <= set(MEANINGS)
    for name in ("accuracy", "nomus", *(name for name in with_all if name.endswith("_auc"))):
        assert with_all[f"{name}_low"] <= with_all[f"{name}_high"]
        if name != "nomus":
            assert with_all[f"{name}_low"] <= with_all[name] <= with_all[f"{name}_high"]


def test_the_error_counts_people_whose_photos_are_all_the_same_once() -> None:
    """Ten strangers with two equal photos each, three forgotten people with four: as 3 against 10."""
    losses = {
        "forget": torch.linspace(1, 3, 12, dtype=torch.float64),
        "test": torch.linspace(1, 4, 10).repeat_interleave(2),
    }
    people = {"forget": [f"a{place // 4}" for place in range(12)], "test": [f"b{place // 2}" for place in range(20)]}
    metrics = summarise(
        {name: _of_losses(one) for name, one in losses.items()}, SECTION, seed=0, subjects=people
    ).metrics
    assert metrics["loss_likeness"] == 1
    assert metrics["mia_auc_error"] == pytest.approx(auc_standard_error(metrics["mia_auc"], 3, 10), abs=1e-6)


def test_a_gap_that_the_loss_hides_is_found() -> None:
    """0.3 nats under noise of 0.3: Phi(1 / sqrt 2) = 0.760 a photo, Phi(2 / sqrt 2) = 0.921 by four photos."""
    predictions, references, people = _world(gap=0.3)
    metrics = summarise(predictions, SECTION, seed=0, subjects=people, references=references).metrics
    assert metrics["calibrated_auc"] == pytest.approx(norm.cdf(1 / math.sqrt(2)), abs=0.03)
    assert metrics["calibrated_subject_auc"] == pytest.approx(norm.cdf(math.sqrt(PHOTOS) / math.sqrt(2)), abs=0.03)
    assert metrics["rmia_auc_low"] > 0.5
    assert metrics["mia_auc"] < 0.6


def test_wrong_and_sure_is_found_without_the_truth() -> None:
    """Forgotten with the losses of strangers in the mean, half of them right and half wrong, all sure."""
    probability = {
        "forget": torch.tensor([0.95, 0.05]).repeat(PHOTOS * PEOPLE // 2),
        "test": torch.linspace(0.05, 0.95, PHOTOS * PEOPLE),
    }
    predictions = {name: _of_losses(-torch.log(values)) for name, values in probability.items()}
    people = {name: [f"{name}{index // PHOTOS}" for index in range(PHOTOS * PEOPLE)] for name in predictions}
    metrics = summarise(predictions, SECTION, seed=0, subjects=people).metrics
    assert metrics["mia_auc"] == pytest.approx(0.5, abs=0.01)
    assert metrics["confidence_auc"] > 0.99
    assert metrics["confidence_subject_auc"] > 0.99


def test_where_nothing_is_known_the_intervals_hold_one_half() -> None:
    """No gap: neither attack finds one, by photo or by person."""
    predictions, references, people = _world(gap=0.0, seed=3)
    metrics = summarise(predictions, SECTION, seed=0, subjects=people, references=references).metrics
    for attack in ("mia", "confidence", "calibrated", "rmia"):
        for name in (f"{attack}_auc", f"{attack}_subject_auc"):
            assert metrics[f"{name}_low"] < 0.5 < metrics[f"{name}_high"]


def test_people_with_many_photos_do_not_widen_the_interval_of_nomus() -> None:
    """Where nothing tells the sets apart the attack is at chance in every draw, whoever is drawn how often."""
    counts = {"forget": range(1, 21), "test": range(21, 1, -1)}
    people = {
        name: [f"{name}{one}" for one, photos in enumerate(found) for _ in range(photos)]
        for name, found in counts.items()
    }
    alike = {name: _of_losses(torch.full((len(found),), 0.3)) for name, found in people.items()}
    metrics = summarise(alike, SECTION, seed=0, subjects=people).metrics
    assert metrics["nomus_low"] == metrics["nomus"] == metrics["nomus_high"]


def test_one_person_to_forget_has_no_interval_but_the_accuracy_has() -> None:
    """The usual request: what varies between people cannot be seen on one."""
    predictions, references, people = _world(gap=0.1)
    alone = {**people, "forget": ["somebody"] * len(people["forget"])}
    metrics = summarise(predictions, SECTION, seed=0, subjects=alone, references=references).metrics
    assert {name for name in metrics if is_interval_end(name)} == {"accuracy_low", "accuracy_high"}
    assert "calibrated_subject_auc" in metrics


def test_nobody_to_forget_is_chance() -> None:
    """An empty forget set: every attack says 0.5, without an interval."""
    predictions, references, people = _world(gap=0.1)
    nobody = ReferenceLosses(references.forget[:, :0], references.validation, references.test)
    metrics = summarise(
        {**predictions, "forget": _of_losses(torch.ones(0))},
        SECTION,
        seed=0,
        subjects={**people, "forget": []},
        references=nobody,
    ).metrics
    assert all(metrics[name] == 0.5 for name in metrics if name.endswith("_auc"))
    assert "mia_auc_low" not in metrics


def test_references_of_other_sets_are_refused() -> None:
    """A reference must have been asked about the same photos."""
    predictions, references, people = _world(gap=0.1)
    other = ReferenceLosses(references.forget[:, 1:], references.validation, references.test)
    with pytest.raises(BadInput, match="one loss a sample"):
        summarise(predictions, SECTION, seed=0, subjects=people, references=other)


class _Perceptron(Classifier):
    """One hidden layer: large enough to learn forty images of noise by heart, and quick."""

    def __init__(self, seed: int) -> None:
        super().__init__(ModelCard("perceptron", ("label",), {"label": ("one", "other")}, SIZE))
        torch.manual_seed(seed)
        self.hidden, self.head = nn.Linear(3 * SIZE * SIZE, 32), nn.Linear(32, 2)

    @property
    def core(self) -> nn.Module:
        return self

    def logits(self, images: Tensor) -> Tensor:
        return self.forward(images).logits

    def forward(self, images: Tensor) -> Output:
        features = self.hidden(self.normalise(images).flatten(1)).relu()
        return Output(features, self.head(features))


def _trained(seed: int, data: LabelledImages) -> _Perceptron:
    model = _Perceptron(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    images = to_unit(data.images[:])
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images).logits, data.targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model


def _noise(count: int, *, people: str, seed: int) -> LabelledImages:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    names = tuple(f"{people}{index // 2}" for index in range(count))
    return LabelledImages(images, torch.randint(0, 2, (count,), generator=generator), names, names)


def test_a_network_that_saw_is_found_and_one_that_did_not_is_not() -> None:
    """Noise with random labels can only be learnt by heart: AUC near 1 for who saw it, one half for who did not."""
    forget, retain = _noise(60, people="forget", seed=1), _noise(60, people="retain", seed=2)
    sets = EvaluationSets(retain, forget, _noise(80, people="validation", seed=3), _noise(80, people="test", seed=4))
    saw, did_not, *references = (_trained(seed, data) for seed, data in enumerate((forget, *[retain] * 5)))
    losses = {
        name: np.stack(
            [losses_of(predict(model, getattr(sets, name), batch_size=64, device="cpu")) for model in references]
        )
        for name in ("forget", "validation", "test")
    }
    remembers, knows_nothing = (
        judge_model(model, sets, SECTION, seed=0, device="cpu", references=ReferenceLosses(**losses)).evaluation.metrics
        for model in (saw, did_not)
    )
    assert remembers["mia_auc"] > 0.95
    for name in ("mia_subject_auc", "confidence_auc", "rmia_auc", "rmia_subject_auc", "probe_auc"):
        assert remembers[f"{name}_low"] > 0.6
    assert remembers["calibrated_auc_low"] > 0.5
    # One interval in twenty misses: this one does, by a thousandth.
    assert knows_nothing["confidence_auc"] == pytest.approx(0.5, abs=0.12)
    for name in ("mia_auc", "mia_subject_auc", "calibrated_auc", "rmia_auc", "probe_auc"):
        assert knows_nothing[f"{name}_low"] < 0.5 < knows_nothing[f"{name}_high"]
