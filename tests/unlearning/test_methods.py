"""The contract of every unlearning method."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.errors import BadInput
from dlfd_ops.models.classifier import FaceClassifier, to_unit
from dlfd_ops.params import UnlearnSection, load_params
from dlfd_ops.unlearning.dlfd.anchored import AnchoredDlfd
from dlfd_ops.unlearning.method import Batch, Resources, UnlearningMethod, UnlearningStep
from dlfd_ops.unlearning.registry import DLFD_VARIANTS, METHODS, build_method, method_name

SHIPPED = load_params(Path(__file__).parents[2] / "params.yaml").unlearn
NAMES = [*(f"dlfd/{variant}" for variant in DLFD_VARIANTS), *(name for name in METHODS if name != "dlfd")]


def settings_of(name: str) -> UnlearnSection:
    """Return the shipped settings with another method, as small as a test allows."""
    method, _, variant = name.partition("/")
    dlfd = SHIPPED.dlfd.model_copy(
        update={
            "variant": variant or "anchored",
            "paper": SHIPPED.dlfd.paper.model_copy(update={"steps": 2}),
        }
    )
    return SHIPPED.model_copy(update={"method": method, "dlfd": dlfd})


class Case:
    """A model, its frozen original, and one step's batches."""

    def __init__(
        self,
        make_images: Callable[..., LabelledImages],
        make_classifier: Callable[..., FaceClassifier],
        labels: int = 1,
    ) -> None:
        self.model = make_classifier(labels=labels)
        original = make_classifier(labels=labels).eval().requires_grad_(False)
        self.retain = make_images(8, seed=1, labels=labels)
        self.forget = make_images(8, seed=2, labels=labels)
        self.anchor = make_images(20, seed=3, labels=labels)
        self.resources = Resources(original, self.forget, self.anchor, torch.device("cpu"), seed=0)

    def step(self, number: int, *, push: bool = True) -> UnlearningStep:
        """Return one step."""
        retain, forget, anchor = (
            Batch(to_unit(data.images[:8]), data.targets[:8], torch.arange(8))
            for data in (self.retain, self.forget, self.anchor)
        )
        return UnlearningStep(retain, forget, anchor, step=number, progress=number / 4, push=push)

    def run(self, method: UnlearningMethod, model: nn.Module, number: int, *, push: bool = True) -> torch.Tensor:
        """Return the loss of one step, dropout drawn alike."""
        torch.manual_seed(number)
        model.train(method.training_mode)
        return method.loss(model, self.step(number, push=push)).loss


@pytest.fixture(params=[1, 3], ids=["single-label", "multi-label"])
def case(
    request: pytest.FixtureRequest,
    make_images: Callable[..., LabelledImages],
    make_classifier: Callable[..., FaceClassifier],
) -> Case:
    """A single-label and a multi-label case."""
    return Case(make_images, make_classifier, labels=request.param)


@pytest.mark.parametrize("name", NAMES)
def test_loss_is_finite_and_reaches_the_weights(name: str, case: Case) -> None:
    """A step under the push gives a finite scalar whose gradient moves some weight, and leaves the original alone."""
    method = build_method(settings_of(name), case.resources)
    before = [tensor.clone() for tensor in case.resources.original.state_dict().values()]
    loss = case.run(method, case.model, 0)
    assert loss.shape == ()
    assert torch.isfinite(loss)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad.abs().sum() for p in case.model.parameters() if p.grad is not None]
    assert sum(gradients) > 0
    after = case.resources.original.state_dict().values()
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_without_a_push_the_forget_batch_has_no_say(name: str, case: Case) -> None:
    """Below the threshold of the dynamic schedule a method repairs: other forget images change nothing."""
    losses = []
    for images in (case.forget.images, 255 - case.forget.images):
        case.forget = LabelledImages(images, case.forget.targets, case.forget.sample_ids, case.forget.subject_keys)
        method = build_method(settings_of(name), case.resources)
        losses.append(float(case.run(method, case.model, 0, push=False).detach()))
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_restored_method_goes_on_alike(name: str, case: Case) -> None:
    """A method restored between two refreshes gives the same loss as the one that went on."""
    method = build_method(settings_of(name), case.resources)
    case.run(method, case.model, 0)
    restored = build_method(settings_of(name), case.resources)
    restored.restore(method.state())
    twin = copy.deepcopy(case.model)
    assert torch.equal(case.run(method, case.model, 1), case.run(restored, twin, 1))


def test_an_unknown_method_is_bad_input(case: Case) -> None:
    """The message lists the known names."""
    with pytest.raises(BadInput, match="fine_tune"):
        build_method(SHIPPED.model_copy(update={"method": "magic"}), case.resources)


def test_names_carry_the_variant() -> None:
    """Tags say which DLFD it was."""
    assert [method_name(settings_of(name)) for name in NAMES] == NAMES


def test_anchored_forgetting_takes_over_the_answers_for_unseen_people(
    make_images: Callable[..., LabelledImages], make_classifier: Callable[..., FaceClassifier]
) -> None:
    """A few steps bring the answers for the forget set nearer to the original's answers for their partners."""
    forget, anchor = make_images(16, seed=2), make_images(32, seed=3)
    original = make_classifier(seed=1).eval()
    dlfd = settings_of("dlfd/anchored").dlfd
    only_forget = {"retain_weight": 0.0, "anchor_weight": 0.0, "forget_weight": 1.0, "batch_norm": "frozen"}
    dlfd = dlfd.model_copy(update={"anchored": dlfd.anchored.model_copy(update=only_forget)})
    method = AnchoredDlfd(dlfd, Resources(original, forget, anchor, torch.device("cpu"), seed=0))
    model = make_classifier(seed=5).eval()
    batch = Batch(to_unit(forget.images), forget.targets, torch.arange(16))
    step = UnlearningStep(batch, batch, batch, step=0, progress=0, push=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    distances = []
    for _ in range(5):
        loss = method.loss(model, step).loss
        distances.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert distances[-1] < distances[0]
