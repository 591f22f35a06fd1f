"""What each method does as its paper says, beyond the contract of all."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dlfd_ops.models.losses import sample_losses
from dlfd_ops.unlearning.baselines.salun import largest, wrong_labels
from dlfd_ops.unlearning.baselines.scrub import error_at_proportions
from dlfd_ops.unlearning.layers import fresh_classifier, split_layers
from tests.unlearning.case import STEPS, Case, changed, weights


def gradient(loss: Tensor, model: nn.Module) -> Tensor:
    """Return the gradient of a loss with respect to all weights, as one vector."""
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(model.parameters()))])


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_neg_grad_plus_descends_and_ascends_together(share: float, case: Case) -> None:
    """Its gradient is the share of the retain gradient minus the rest of the forget gradient."""
    method, model, step = case.method("neg_grad_plus", neg_grad_plus={"retain_share": share}), case.model, case.step(0)
    model.eval()  # without batch statistics and dropout both batches are independent of each other
    retain, forget = (
        gradient(sample_losses(model(batch.images).logits, batch.targets).mean(), model)
        for batch in (step.retain, step.forget)
    )
    found = gradient(method.loss(model, step).loss, model)
    assert torch.allclose(found, share * retain - (1 - share) * forget, atol=1e-6)


def test_neg_grad_stands_still_while_the_schedule_rests(case: Case, tmp_path: Path) -> None:
    """Not even momentum and weight decay move a weight after the stop; before it they do."""
    case.found = -1.0
    before = weights(case.model)
    case.run(case.method("neg_grad"), case.model, tmp_path / "rests")
    assert changed(before, case.model) == set()
    method = case.method("neg_grad")
    case.loss(method, case.model, 0).backward()  # type: ignore[no-untyped-call]
    method.before_update(case.model)
    assert all(parameter.grad is not None for parameter in case.model.parameters())
    case.loss(method, case.model, 1, push=False)
    method.before_update(case.model)
    assert all(parameter.grad is None for parameter in case.model.parameters())


@pytest.mark.parametrize("k", [1, 3, 4])
def test_eu_k_resets_exactly_the_last_layers(k: int, case: Case) -> None:
    """They have the weights of a fresh model, all others those of the original."""
    method, before = case.method("eu_k", eu_k={"layers": k}), weights(case.model)
    method.prepare(case.model)
    last = {id(layer) for layer in split_layers(case.model, k)[1]}
    fresh = weights(fresh_classifier(case.model, seed=0))
    for path, layer in case.model.named_modules():
        for name, tensor in layer.named_parameters(recurse=False):
            expected = fresh if id(layer) in last else before
            assert torch.equal(tensor, expected[f"{path}.{name}"]), f"{path}.{name}"


@pytest.mark.parametrize("name", ["cf_k", "eu_k"])
def test_frozen_layers_keep_their_statistics(name: str, make_case: Callable[..., Case], tmp_path: Path) -> None:
    """Not even the batch norm of the frozen trunk moves; with all layers training it does."""
    case = make_case()
    before = weights(case.model)
    case.run(case.method(name), case.model, tmp_path / "3")
    assert changed(before, case.model) == {key for key in before if key.startswith(("neck", "head"))}
    case = make_case()
    case.run(case.method(name, **{name: {"layers": 5}}), case.model, tmp_path / "5")
    assert "trunk.1.running_mean" in changed(before, case.model)


def test_retraining_starts_from_fresh_weights(case: Case) -> None:
    """Nothing of the original is left but its architecture."""
    with torch.no_grad():
        for tensor in case.model.parameters():
            tensor.fill_(7)
    case.method("retrain").prepare(case.model)
    assert not changed(weights(fresh_classifier(case.model, seed=0)), case.model)


def test_the_l1_penalty_decays_to_zero(case: Case) -> None:
    """What is added to the loss falls linearly from twice the penalty times the norm; its mean is once that."""
    method, model = case.method("l1_sparse", l1_sparse={"penalty": 0.01}), case.model
    norm = sum(float(tensor.detach().abs().sum()) for tensor in model.parameters())
    added = []
    for number in (0, STEPS // 2, STEPS):
        result = method.loss(model.eval(), case.step(number))
        added.append(float(result.loss.detach() - result.metrics["retain_loss"]) / (0.01 * norm))
    assert added == pytest.approx([2, 1, 0], abs=1e-4)


def test_bad_teaching_has_the_original_for_retain_and_a_random_model_for_forget(case: Case) -> None:
    """The original itself has nothing to learn about retain, and the random model nothing about forget."""
    method = case.method("bad_teacher")
    random = fresh_classifier(case.model, seed=0)
    found = {
        name: method.loss(model, case.step(0)).metrics
        for name, model in (("original", case.resources.original), ("random", random))
    }
    with torch.no_grad():
        case.model.head.bias.add_(torch.randn(case.model.head.bias.shape))
    found["other"] = method.loss(case.model.eval(), case.step(0)).metrics
    assert float(found["original"]["retain"]) == pytest.approx(0, abs=1e-6)
    assert float(found["random"]["forget"]) == pytest.approx(0, abs=1e-6)
    assert float(found["other"]["retain"]) > 1e-3
    assert float(found["other"]["forget"]) > 1e-3


def test_unsir_learns_noise_that_the_original_gets_wrong(case: Case) -> None:
    """The loss of the noise for the labels to forget is higher than at its start."""
    method, original = case.method("unsir"), case.resources.original
    with torch.no_grad():
        for tensor in original.parameters():
            tensor.mul_(3)  # an untrained model hardly looks at the image
    labels = case.forget.targets[torch.randperm(8, generator=torch.Generator().manual_seed(0))]
    losses = []
    for _ in range(2):
        logits = original(original.denormalise(method.state()["noise"])).logits
        losses.append(float(sample_losses(logits, labels).mean()))
        method.prepare(case.model)
    assert losses[1] > losses[0] + 0.1, losses


def test_unsir_impairs_and_then_repairs(case: Case) -> None:
    """The noise has a say in the first part of the run only."""
    method, model = case.method("unsir"), case.model.eval()
    plain = sample_losses(model(case.step(0).retain.images).logits, case.step(0).retain.targets).mean()
    method.prepare(model)
    assert not torch.isclose(method.loss(model, case.step(STEPS // 2 - 1)).loss, plain)
    assert torch.isclose(method.loss(model, case.step(STEPS // 2)).loss, plain)
    short = replace(case.step(0), num_steps=1)
    assert torch.isclose(method.loss(model, short).loss, plain), "a run of one step repairs"


def test_salun_leaves_alone_what_is_frozen_already(make_case: Callable[..., Case], tmp_path: Path) -> None:
    """A layer that its owner froze takes no part in the choice, and the rest is unlearned."""
    case = make_case()
    frozen = case.model.neck[0].requires_grad_(False)
    before = weights(frozen)
    whole = weights(case.model)
    moved = changed(whole, case.run(case.method("salun"), case.model, tmp_path))
    assert "head.weight" in moved
    assert not changed(before, frozen)


def test_salun_moves_no_weight_outside_its_mask(case: Case, tmp_path: Path) -> None:
    """Neither momentum nor weight decay moves the others by a bit; half of the weights are salient, and they move."""
    method, before = case.method("salun"), weights(case.model)
    case.run(method, case.model, tmp_path)
    salient = method.state()
    total = sum(mask.numel() for mask in salient.values())
    assert sum(int(mask.sum()) for mask in salient.values()) == round(total / 2)
    for name, tensor in case.model.named_parameters():
        assert torch.equal(tensor[~salient[name]], before[name][~salient[name]]), name
    moved = sum(int((tensor != before[name]).sum()) for name, tensor in case.model.named_parameters())
    assert moved > 0.4 * total


def test_salient_weights_have_the_largest_gradients() -> None:
    """Over all tensors together, exactly the asked share, ties or not."""
    values = {"a": torch.tensor([[5.0, 1.0]]), "b": torch.tensor([3.0, 0.0, 4.0, 2.0])}
    chosen = largest(values, 0.5)
    assert chosen["a"].tolist() == [[True, False]]
    assert chosen["b"].tolist() == [True, False, True, False]
    assert sum(int(mask.sum()) for mask in largest({"a": torch.zeros(10)}, 0.3).values()) == 3


def test_wrong_labels_are_wrong() -> None:
    """Every other class comes up; of binary labels each is flipped."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(300) % 3
    wrong = wrong_labels(targets, 3, generator)
    assert not (wrong == targets).any()
    assert all(set(wrong[targets == value].tolist()) == {0, 1, 2} - {value} for value in range(3))
    assert wrong_labels(torch.tensor([[0.0, 1.0]]), 2, generator).tolist() == [[1.0, 0.0]]


def test_scrub_alternates(case: Case) -> None:
    """The first rounds begin with steps on the forget set, all others are on the retain set."""
    settings = {"rounds": 5, "max_rounds": 3, "max_share": 0.5}
    method, phases = case.method("scrub", scrub=settings), []
    for number in range(STEPS):
        torch.manual_seed(0)
        metrics = method.loss(case.model.train(), case.step(number)).metrics
        phases.append("max" if "forget" in metrics else "min")
    assert phases == ["max", "min"] * 3 + ["min"] * 4


@pytest.mark.parametrize("rounds", [STEPS, STEPS * 2])
def test_a_round_of_scrub_that_is_one_step_short_repairs(rounds: int, case: Case) -> None:
    """However few steps there are for a round, its last one is on the retain set."""
    method = case.method("scrub", scrub={"rounds": rounds, "max_rounds": rounds})
    assert all("retain" in method.loss(case.model.train(), case.step(number)).metrics for number in range(STEPS))


def test_scrub_moves_away_on_forget_and_toward_on_retain(case: Case) -> None:
    """The max phase is minus the divergence from the original, the min phase the divergence and the loss, weighted."""
    settings = {"rounds": 5, "max_share": 0.5, "divergence_weight": 2.0, "classification_weight": 3.0}
    method = case.method("scrub", scrub=settings)
    with torch.no_grad():
        case.model.head.bias.add_(torch.randn(case.model.head.bias.shape))
    away, near = (method.loss(case.model.eval(), case.step(number)) for number in (0, 1))
    assert float(away.loss.detach()) == pytest.approx(-float(away.metrics["forget"]))
    assert float(away.loss.detach()) < 0
    assert float(near.loss.detach()) == pytest.approx(
        2 * float(near.metrics["retain"]) + 3 * float(near.metrics["retain_loss"]), rel=1e-5
    )


def test_scrub_rewinds_to_the_model_with_the_right_forget_error(make_case: Callable[..., Case]) -> None:
    """The model is chosen whose forget error is closest to the last one's on unseen people."""
    case = make_case()
    method, model = case.method("scrub", scrub={"rounds": 3}), case.model
    biases = torch.eye(3) * 100  # each model answers with one class, whatever it sees
    rounds = []
    for answer in range(3):
        method.loss(model, case.step(STEPS - 1 if answer == 2 else answer * 4))
        with torch.no_grad():
            model.head.bias.copy_(biases[answer])
        rounds.append(copy.deepcopy(model))
    shares = [float((case.forget.targets != answer).float().mean()) for answer in range(3)]
    unseen = torch.tensor([float(label != 2) for label in case.anchor.targets])
    wanted = error_at_proportions(unseen, case.anchor.targets, like=case.forget.targets)
    distances = [abs(share - wanted) for share in shares]
    chosen = max(index for index in range(3) if distances[index] == min(distances))
    method.finish(model)
    assert not changed(weights(rounds[chosen]), model)


def test_scrub_can_rewind_to_an_early_round(make_case: Callable[..., Case]) -> None:
    """Where the last model has forgotten more than it errs on unseen people, an earlier one is the result."""
    case = make_case()
    case.forget.targets[:] = torch.tensor([0, 1, 2, 2, 0, 1, 2, 2])
    case.unseen.targets[:] = 0
    method, model = case.method("scrub", scrub={"rounds": 2}), case.model
    method.loss(model, case.step(0))
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([0.0, 0.0, 100.0]))
    early = copy.deepcopy(model)
    method.loss(model, case.step(STEPS - 1))
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([100.0, 0.0, 0.0]))
    method.finish(model)
    assert not changed(weights(early), model)


def test_the_error_is_taken_at_the_proportions_of_the_labels() -> None:
    """A closed form, labels that nobody has, and several binary labels."""
    errors, labels = torch.tensor([1.0, 0.0, 0.0, 1.0]), torch.tensor([0, 1, 1, 2])
    assert error_at_proportions(errors, labels, like=torch.tensor([0, 1, 1, 1])) == pytest.approx(0.25)
    assert error_at_proportions(errors, labels, like=torch.tensor([0, 1, 9, 9])) == pytest.approx(0.5)
    assert error_at_proportions(errors, labels, like=torch.tensor([9])) == pytest.approx(0.5)
    bits = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    assert error_at_proportions(torch.tensor([1.0, 0.0]), bits, like=bits[:1]) == pytest.approx(1.0)
