"""The contract of every unlearning method."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.errors import BadInput
from dlfd_ops.params import UnlearnSection
from dlfd_ops.training.loop import StepLoss
from dlfd_ops.unlearning.method import UnlearningStep
from dlfd_ops.unlearning.registry import METHODS, build_method, method_name
from tests.unlearning.case import NAMES, SHIPPED, STEPS, Case, changed, settings_of, weights

DYNAMIC = ["dlfd/anchored", "dlfd/paper", "dlfd/published", "neg_grad", "neg_grad_plus"]


@pytest.mark.parametrize("name", NAMES)
def test_loss_is_finite_and_reaches_the_weights(name: str, case: Case) -> None:
    """A step under the push gives a finite scalar whose gradient moves some weight, and leaves the original alone."""
    method = case.method(name)
    before = weights(case.resources.original)
    method.prepare(case.model)
    loss = case.loss(method, case.model, 1)
    assert loss.shape == ()
    assert torch.isfinite(loss)
    loss.backward()  # type: ignore[no-untyped-call]
    assert sum(p.grad.abs().sum() for p in case.model.parameters() if p.grad is not None) > 0
    assert not changed(before, case.resources.original)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_moves_what_the_method_trains_and_nothing_else(name: str, case: Case, tmp_path: Path) -> None:
    """After a run of the loop, frozen layers are the same bytes, and every layer that trains has moved."""
    method, before = case.method(name), weights(case.model)
    frozen = {id(layer) for layer in method.frozen(case.model)}
    case.run(method, case.model, tmp_path)
    for path, layer in case.model.named_modules():
        for tensor_name, tensor in layer.named_parameters(recurse=False):
            moved = not torch.equal(tensor, before[f"{path}.{tensor_name}"])
            assert moved == (id(layer) not in frozen), f"{path}.{tensor_name}"
            assert torch.isfinite(tensor).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_run_ends_where_an_unbroken_one_does(name: str, case: Case, tmp_path: Path) -> None:
    """Killed between two checkpoints, a new process with other initial weights ends with the same bytes."""
    start = copy.deepcopy(case.model)
    unbroken = case.run(case.method(name), copy.deepcopy(start), tmp_path / "unbroken")
    with pytest.raises(KeyboardInterrupt):
        case.run(case.method(name), copy.deepcopy(start), tmp_path / "cut", fail_at=STEPS - 3)
    other = copy.deepcopy(start)
    with torch.no_grad():
        for tensor in other.parameters():
            tensor.fill_(7)
    resumed = case.run(case.method(name), other, tmp_path / "cut")
    assert not changed(weights(unbroken), resumed)


@pytest.mark.parametrize("name", NAMES)
def test_only_a_method_that_asks_for_the_probe_pays_for_it(name: str, case: Case, tmp_path: Path) -> None:
    """The probe runs at its steps for a method that looks at the push, and never for another."""
    case.run(case.method(name), case.model, tmp_path)
    assert case.probes == (3 if name in DYNAMIC else 0)


@pytest.mark.parametrize("name", NAMES)
def test_one_photo_can_be_forgotten(name: str, make_case: Callable[..., Case], tmp_path: Path) -> None:
    """Also by a network over whose last map batch norm has no statistics of one photo."""
    case = make_case(architecture="flat", photos=1)
    case.run(case.method(name), case.model, tmp_path)
    assert all(tensor.isfinite().all() for tensor in weights(case.model).values())


@pytest.mark.parametrize("name", DYNAMIC)
def test_without_a_push_the_forget_batch_has_no_say(name: str, case: Case) -> None:
    """Below the threshold of the dynamic schedule a method repairs: other forget images change nothing."""
    losses = []
    for images in (case.forget.images[:], 255 - case.forget.images[:]):
        case.forget = LabelledImages(images, case.forget.targets, case.forget.sample_ids, case.forget.subject_keys)
        losses.append(float(case.loss(case.method(name), case.model, 1, push=False).detach()))
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


@pytest.mark.parametrize("name", DYNAMIC)
def test_who_is_harder_than_strangers_already_is_not_pushed_on(
    name: str, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The push rests on the far side of parity; the paper's score, and the released code's, has no sign."""
    method, pushes = case.method(name), set()
    loss = method.loss

    def watched(model: nn.Module, step: UnlearningStep) -> StepLoss:
        pushes.add(step.push)
        return loss(model, step)

    monkeypatch.setattr(method, "loss", watched)
    case.found = -0.3
    case.run(method, case.model, tmp_path)
    assert pushes == {name in {"dlfd/paper", "dlfd/published"}}


@pytest.mark.parametrize("name", NAMES)
def test_a_method_says_what_it_is(name: str, case: Case) -> None:
    """The docstring of its class gives the source, the objective, and where it departs."""
    text = inspect.getdoc(type(case.method(name))) or ""
    assert "arXiv" in text or name in {"retrain", "dlfd/anchored"}
    assert "bjective" in text or "minimise" in text or "increase" in text


def test_an_unknown_method_is_bad_input(case: Case) -> None:
    """The message lists the known names."""
    with pytest.raises(BadInput, match="fine_tune"):
        build_method(SHIPPED.model_copy(update={"method": "magic"}), case.resources)


def test_the_params_know_every_method() -> None:
    """The names that ``unlearn.method`` takes are those of the registry."""
    accepted = UnlearnSection.model_json_schema()["properties"]["method"]["enum"]
    assert sorted(accepted) == sorted(METHODS)


def test_names_carry_the_variant() -> None:
    """Tags say which DLFD it was."""
    assert [method_name(settings_of(name)) for name in NAMES] == NAMES


@pytest.mark.parametrize("name", ["salun", "dlfd/published"])
def test_a_layer_that_the_forward_pass_leaves_out_is_no_obstacle(name: str, case: Case) -> None:
    """Models that are adopted may carry one, such as an auxiliary head."""
    case.model.register_module("auxiliary", nn.Linear(2, 2))
    method = case.method(name)
    method.prepare(case.model)
    assert torch.isfinite(case.loss(method, case.model, 1))
