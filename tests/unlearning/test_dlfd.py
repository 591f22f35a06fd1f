"""The variants of DLFD: what each does that the others do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from dlfd_ops.models.classifier import to_unit
from dlfd_ops.unlearning.dlfd.anchored import AnchoredDlfd
from dlfd_ops.unlearning.dlfd.paper import PaperDlfd
from dlfd_ops.unlearning.dlfd.published import PublishedDlfd
from tests.unlearning.case import Case, settings_of


def test_anchored_forgetting_takes_over_the_answers_for_unseen_people(make_case: Callable[..., Case]) -> None:
    """A few steps bring the answers for the forget set nearer to the original's answers for their partners."""
    case = make_case()
    dlfd = settings_of("dlfd/anchored").dlfd
    only_forget = {"retain_weight": 0.0, "anchor_weight": 0.0, "forget_weight": 1.0, "batch_norm": "frozen"}
    dlfd = dlfd.model_copy(update={"anchored": dlfd.anchored.model_copy(update=only_forget)})
    method = AnchoredDlfd(dlfd, case.resources)
    model = make_case().model.eval()
    with torch.no_grad():
        model.head.weight.mul_(-3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    distances = []
    for number in range(5):
        loss = method.loss(model, case.step(number)).loss
        distances.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert distances[-1] < distances[0]


def test_anchored_targets_follow_the_model(make_case: Callable[..., Case]) -> None:
    """At a refresh each target is what the model in the making says of some unseen person; between two they stand."""
    case = make_case()
    method = case.method("dlfd/anchored", anchored={"parity_gain": 0.0})
    at_first = method.state()["targets"].clone()
    with torch.no_grad():
        case.model.head.bias.add_(torch.tensor([1.0, 0.0, -1.0]))
    case.loss(method, case.model, 1)
    assert torch.equal(method.state()["targets"], at_first)
    with torch.no_grad():
        said = case.model.eval()(to_unit(case.unseen.images[:])).logits
    case.loss(method, case.model, 8)
    followed = method.state()["targets"]
    assert not torch.allclose(followed, at_first)
    assert (torch.cdist(followed, said).min(dim=1).values < 1e-4).all()


def test_anchored_targets_lead_while_the_forgotten_are_easier_than_strangers(make_case: Callable[..., Case]) -> None:
    """And fall back where they are harder; every refresh adds to it."""
    for right, sign in ((True, 1), (False, -1)):
        case = make_case()
        with torch.no_grad():
            case.model.head.weight.mul_(50)
            said = case.model.eval()(to_unit(case.forget.images[:])).logits
        known = replace(case.forget, targets=said.argmax(dim=1) if right else said.argmin(dim=1))
        case.resources = replace(case.resources, forget=known)
        method = case.method("dlfd/anchored", anchored={"parity_gain": 0.2})
        led = []
        for number in (4, 8):
            case.loss(method, case.model, number)
            led.append(sign * float(method.state()["lowered"]))
        assert 0 < led[0] < led[1]


def test_anchored_targets_lead_no_further_while_nothing_is_pushed(make_case: Callable[..., Case]) -> None:
    """Nor ever further than a bound, whatever the model does: here it is sure of the forgotten, and rightly so."""
    case = make_case()
    with torch.no_grad():
        case.model.head.weight.mul_(50)
        said = case.model.eval()(to_unit(case.forget.images[:])).logits
    case.resources = replace(case.resources, forget=replace(case.forget, targets=said.argmax(dim=1)))
    method = case.method("dlfd/anchored", anchored={"parity_gain": 0.15})
    led = []
    for number, push in ((4, False), (8, True), (12, True), (16, True), (20, True), (24, True)):
        case.loss(method, case.model, number, push=push)
        led.append(float(method.state()["lowered"]))
    assert led[0] == 0 < led[1] < led[2]
    assert led[-1] == AnchoredDlfd.farthest_lead


def test_a_class_without_unseen_people_does_not_lead(make_case: Callable[..., Case]) -> None:
    """Its photos are wrong on the labels of their partners: that they are easier than these says nothing."""
    case = make_case()
    nobody = replace(case.unseen, targets=torch.full_like(case.unseen.targets, 2))
    known = replace(case.forget, targets=torch.zeros_like(case.forget.targets))
    case.resources = replace(case.resources, forget=known, unseen=nobody)
    method = case.method("dlfd/anchored", anchored={"parity_gain": 1.0})
    case.loss(method, case.model, 4)
    assert float(method.state()["lowered"]) == 0.0


def test_what_a_refresh_costs_has_a_bound(make_case: Callable[..., Case], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of larger sets it looks at a few, and every photo to forget still has a target."""
    monkeypatch.setattr(AnchoredDlfd, "most_asked", 3)
    case = make_case()
    method, asked = case.method("dlfd/anchored"), []
    with case.model.register_forward_hook(lambda module, images, output: asked.append(len(images[0]))):
        case.loss(method, case.model, 8)
    batch = 24
    assert sorted(asked) == [3, 3, batch]
    assert len(method.state()["targets"]) == len(case.forget)
    assert method.state()["partners"].max() < 3


def test_anchored_targets_follow_the_model_while_nothing_is_forgotten(make_case: Callable[..., Case]) -> None:
    """A push that goes on after a rest aims at where strangers are by then."""
    case = make_case()
    method = case.method("dlfd/anchored")
    at_first = method.state()["targets"].clone()
    with torch.no_grad():
        case.model.head.bias.add_(1.0)
    case.loss(method, case.model, 8, push=False)
    assert not torch.allclose(method.state()["targets"], at_first)


@pytest.mark.parametrize(("variant", "matters"), [("paper", True), ("published", False)])
def test_the_transport_reaches_the_perturbation_in_the_paper_only(
    variant: str, matters: bool, make_case: Callable[..., Case]
) -> None:
    """Another transport weight leads to another perturbed batch as the paper states it, not in the released code."""
    losses = []
    for weight in (0.0, 100.0):
        case = make_case()
        dlfd = settings_of(f"dlfd/{variant}").dlfd
        section = getattr(dlfd, variant).model_copy(update={"transport_weight": weight})
        method_of = {"paper": PaperDlfd, "published": PublishedDlfd}[variant]
        method = method_of(dlfd.model_copy(update={variant: section}), case.resources)
        losses.append(case.loss(method, case.model, 5).detach())
    assert (losses[0] != losses[1]) == matters


def test_published_makes_images_easier(make_case: Callable[..., Case]) -> None:
    """Its perturbation lowers the loss of the batch that it clamps, which is the opposite of distancing."""
    losses = []
    for step_size in (1e-9, 0.4):
        case = make_case()
        dlfd = settings_of("dlfd/published").dlfd
        section = dlfd.published.model_copy(update={"step_size": step_size})
        method = PublishedDlfd(dlfd.model_copy(update={"published": section}), case.resources)
        losses.append(float(case.loss(method, case.model, 5).detach()))
    assert losses[1] < losses[0]


def test_published_never_returns_to_training_mode(make_case: Callable[..., Case]) -> None:
    """The first step is in training mode, all others are not."""
    case = make_case()
    method, modes = case.method("dlfd/published"), []
    for number in range(3):
        case.loss(method, case.model, number)
        modes.append(case.model.training)
    assert modes == [True, False, False]


def test_published_cuts_off_what_is_darker_than_the_mean(make_case: Callable[..., Case]) -> None:
    """Two batches that differ only below the mean colour are the same to it while it pushes, not when it repairs."""
    method_losses: dict[bool, list[float]] = {True: [], False: []}
    for darkness in (0, 60):
        case = make_case()
        case.retain.images[:].fill_(darkness)
        method = case.method("dlfd/published")
        for push, losses in method_losses.items():
            losses.append(float(case.loss(method, case.model.eval(), 1, push=push).detach()))
    assert method_losses[True][0] == method_losses[True][1]
    assert method_losses[False][0] != method_losses[False][1]
