"""Relearn time: nothing for who knows, more for who does not, and the model is left alone."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.evaluation.relearning import relearn_steps
from dlfd_ops.models.classifier import FaceClassifier, to_unit
from dlfd_ops.params import RelearnSection

SECTION = RelearnSection(accuracy=0.9, max_steps=12, batch_size=20, learning_rate=0.05)


def _labels_of(model: FaceClassifier, data: LabelledImages, *, right: bool) -> LabelledImages:
    """Return the images with the labels that the model gives them, or with the others."""
    with torch.no_grad():
        said = model.eval()(to_unit(data.images[:])).logits.argmax(dim=1)
    return LabelledImages(data.images, said if right else 1 - said, data.sample_ids, data.subject_keys)


def test_what_is_known_needs_no_step_and_what_is_not_needs_some(
    make_images: Callable[..., LabelledImages], make_classifier: Callable[..., FaceClassifier]
) -> None:
    """A model is asked for its own answers, and for the opposite of them."""
    model, images = make_classifier(size=32), make_images(20, seed=1)
    known = relearn_steps(model, _labels_of(model, images, right=True), SECTION, seed=0, device="cpu")
    unknown = relearn_steps(model, _labels_of(model, images, right=False), SECTION, seed=0, device="cpu")
    assert known == 0 < unknown <= SECTION.max_steps


def test_what_does_not_come_back_counts_as_the_limit(
    make_images: Callable[..., LabelledImages], make_classifier: Callable[..., FaceClassifier]
) -> None:
    """A rate that moves nothing ends after ``max_steps``."""
    model, images = make_classifier(), make_images(20, seed=1)
    still = SECTION.model_copy(update={"learning_rate": 1e-12, "max_steps": 2})
    assert relearn_steps(model, _labels_of(model, images, right=False), still, seed=0, device="cpu") == 2


def test_the_model_is_left_as_it_was(
    make_images: Callable[..., LabelledImages], make_classifier: Callable[..., FaceClassifier]
) -> None:
    """A copy learns: weights, statistics and the random state stay, and the same seed takes the same steps."""
    model = make_classifier()
    data = _labels_of(model, make_images(20, seed=1), right=False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    steps = [relearn_steps(model, data, SECTION, seed=0, device="cpu") for _ in range(2)]
    assert torch.equal(torch.rand(3), expected)
    assert steps[0] == steps[1]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
