"""The forgetting probe."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.evaluation.probe import ForgettingProbe
from dlfd_ops.models.classifier import FaceClassifier, to_unit


def probe_of(forget: LabelledImages, validation: LabelledImages) -> ForgettingProbe:
    """Return a probe over all images."""
    return ForgettingProbe(forget, validation, images=100, splits=50, batch_size=16, seed=0, device=torch.device("cpu"))


def sure(model: FaceClassifier) -> FaceClassifier:
    """Return the model, made sure of everything that it says."""
    with torch.no_grad():
        model.head.weight.mul_(200)
    return model


def relabelled(model: FaceClassifier, data: LabelledImages, *, right: bool) -> LabelledImages:
    """Return the images with the labels that the model predicts, or with the others."""
    with torch.no_grad():
        predicted = model.eval()(to_unit(data.images[:])).logits.argmax(dim=1)
    targets = predicted if right else 1 - predicted
    return LabelledImages(data.images, targets, data.sample_ids, data.subject_keys)


def test_known_and_unknown_sets_are_told_apart(
    make_images: Callable[..., LabelledImages], make_classifier: Callable[..., FaceClassifier]
) -> None:
    """A model that is right on the forget set and wrong on the other scores 0.5, and the other way round -0.5."""
    model = sure(make_classifier())
    known = relabelled(model, make_images(40, seed=1), right=True)
    unknown = relabelled(model, make_images(40, seed=2), right=False)
    assert probe_of(known, unknown)(model) == pytest.approx(0.5, abs=0.05)
    assert probe_of(unknown, known)(model) == pytest.approx(-0.5, abs=0.05)


def test_a_few_hard_photos_still_have_to_be_forgotten(
    make_images: Callable[..., LabelledImages], make_classifier: Callable[..., FaceClassifier]
) -> None:
    """Of two photos that rank low nothing is sure, and with one there is no attack: both say push."""
    model = sure(make_classifier())
    hard = relabelled(model, make_images(40, seed=1), right=False)
    easy = relabelled(model, make_images(40, seed=2), right=True)
    mixed = LabelledImages(
        torch.cat([hard.images[:20], easy.images[:20]]),
        torch.cat([hard.targets[:20], easy.targets[:20]]),
        hard.sample_ids,
        hard.subject_keys,
    )
    assert probe_of(hard.first(2), mixed)(model) > 0
    assert probe_of(hard.first(1), mixed)(model) == 0.5


def test_one_set_against_itself_scores_zero(
    make_images: Callable[..., LabelledImages], make_classifier: Callable[..., FaceClassifier]
) -> None:
    """Where there is nothing to tell apart the score is near zero."""
    data = make_images(60, seed=1)
    assert abs(probe_of(data, data)(make_classifier())) < 0.15


def test_the_model_is_left_in_its_mode(
    make_images: Callable[..., LabelledImages], make_classifier: Callable[..., FaceClassifier]
) -> None:
    """Training goes on in training mode after a probe, batch-norm statistics unmoved."""
    model = make_classifier().train()
    before = model.trunk.get_buffer("bn1.running_mean").clone()
    probe_of(make_images(20, seed=1), make_images(20, seed=2))(model)
    assert all(module.training for module in model.modules())
    assert torch.equal(model.trunk.get_buffer("bn1.running_mean"), before)
