"""Judging request by request: what the newest few photos may say about a version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dlfd_ops.deletion.forget_list import ForgetList, ForgetRow, SampleCount
from dlfd_ops.deletion.parent import Parent, write_parent
from dlfd_ops.evaluation.forgotten import FORGOTTEN_FILE, RequestEvidence, write_forgotten
from dlfd_ops.evaluation.gate import Facts, decide
from dlfd_ops.evaluation.membership import auc_standard_error
from dlfd_ops.evaluation.predictions import Predictions
from dlfd_ops.params import Policy
from dlfd_ops.workflows.judging import judge_forgotten
from dlfd_ops.workflows.layout import Layout

EARLIER, STRANGERS = 40, 400
LIMITS = ("max_attack_auc_excess", "max_overshoot")


def predicted(loss: Tensor) -> Predictions:
    """Return predictions of which only the losses matter."""
    rows = len(loss)
    return Predictions(torch.zeros(rows, 2), loss, torch.ones(rows, 1), torch.ones(rows, 1, dtype=torch.bool))


def failed_rules(root: Path, policy: Policy, newest: Tensor, strangers: Tensor, *, each: int = 1) -> set[str]:
    """Return which of the rules on the attack fail for the newest photos of a request, with ``each`` of a person."""
    rows = [ForgetRow(f"{number:064x}", ("req-000000000001",)) for number in range(EARLIER)]
    asked = [ForgetRow(f"{EARLIER + number:064x}", ("req-000000000002",)) for number in range(len(newest))]
    forget_list = ForgetList(tuple(asked), {"req-000000000002": SampleCount(len(asked), 0)}, tuple(rows))
    losses = {"forget": torch.cat([strangers[:EARLIER], newest]), "test": strangers}
    predictions = {name: predicted(loss) for name, loss in losses.items()}
    people = {name: [f"{name}-{place // each}" for place in range(len(loss))] for name, loss in losses.items()}
    judged = judge_forgotten(Layout(root), forget_list, predictions, forget_list.cumulative_ids, people).newest
    assert judged is not None
    metrics = {"unlearned.mia_auc": 0.5} | {f"newest.{name}": value for name, value in judged.items()}
    decision = decide(metrics, Facts(evidence="signed", left_out=0, unlearnings=2), policy)
    return {rule.rule for rule in decision.rules if rule.rule in LIMITS and not rule.passed}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose parent has forgotten somebody already."""
    write_parent(tmp_path / "deletion/parent.json", Parent())
    return tmp_path


@pytest.fixture
def policy() -> Policy:
    """The two rules on the attack, as shipped; the others are off."""
    others = ("max_accuracy_drop", "max_attack_auc_error", "min_nomus", "max_sequential_unlearnings", "min_evidence")
    limits = dict.fromkeys(LIMITS, 0.10)
    return Policy.model_validate({**dict.fromkeys(others), **limits, "require_complete": False})


@pytest.mark.parametrize("photos", [1, 2, 3, 10])
def test_photos_that_are_forgotten_hardly_ever_fail_a_version(photos: int, repository: Path, policy: Policy) -> None:
    """However few they are: losses drawn as a stranger's are refused in at most one of twenty requests."""
    generator = torch.Generator().manual_seed(photos)
    draws = torch.randn(200, STRANGERS + photos, generator=generator)
    refused = [bool(failed_rules(repository, policy, draw[STRANGERS:], draw[:STRANGERS])) for draw in draws]
    assert np.mean(refused) <= 0.05


def test_a_person_who_is_forgotten_hardly_ever_fails_a_version(repository: Path, policy: Policy) -> None:
    """Ten photos of one person, half of whose loss is hers: she may be an easy one, and the next a hard one."""
    generator = torch.Generator().manual_seed(0)
    own = torch.randn(200, STRANGERS // 10 + 1, generator=generator).repeat_interleave(10, dim=1)
    draws = own + torch.randn(own.shape, generator=generator)
    refused = [bool(failed_rules(repository, policy, draw[-10:], draw[:-10], each=10)) for draw in draws]
    assert np.mean(refused) <= 0.05


@pytest.mark.parametrize(("photos", "loss", "rule"), [(3, -9, LIMITS[0]), (3, 9, LIMITS[1]), (10, -1.5, LIMITS[0])])
def test_photos_that_are_surely_known_fail_it(
    photos: int, loss: float, rule: str, repository: Path, policy: Policy
) -> None:
    """Three photos that are all easier than every stranger's, or harder; ten that are most unlike theirs."""
    strangers = torch.randn(STRANGERS, generator=torch.Generator().manual_seed(0))
    assert failed_rules(repository, policy, torch.full((photos,), loss), strangers) == {rule}


def test_photos_that_were_gone_are_told_of_ever_after(tmp_path: Path) -> None:
    """A version that a policy let pass in spite of them knows them still, and so does whatever comes of it."""
    before, now = "req-000000000001", "req-000000000002"
    write_parent(
        tmp_path / "deletion/parent.json",
        Parent(kind="version", version=2, weights_digest="a" * 64, covers=(before,), unlearnings=1),
    )
    rows = [ForgetRow(f"{number:064x}", (one,)) for number, one in enumerate((before, now))]
    forget_list = ForgetList((rows[1],), {now: SampleCount(1, 0, gone=3)}, (rows[0],))
    layout = Layout(tmp_path)
    write_forgotten({before: RequestEvidence(1, 1.0, 0.1, 0.5, gone=2)}, layout.parent_model / FORGOTTEN_FILE)
    predictions = {"forget": predicted(torch.tensor([1.0, 2.0])), "test": predicted(torch.arange(4.0))}
    people = {"forget": ("a", "b"), "test": ("c", "d", "e", "f")}
    judged = judge_forgotten(layout, forget_list, predictions, forget_list.cumulative_ids, people)
    assert {one: evidence.gone for one, evidence in judged.by_request.items()} == {before: 2, now: 3}


def test_the_newest_count_by_people(repository: Path) -> None:
    """Four photos of one person, against ten strangers with two equal ones each: one against ten."""
    earlier, now = ForgetRow("0" * 64, ("req-000000000001",)), "req-000000000002"
    asked = tuple(ForgetRow(f"{number:064x}", (now,)) for number in range(1, 5))
    forget_list = ForgetList(asked, {now: SampleCount(4, 0)}, (earlier,))
    losses = {"forget": torch.linspace(0, 5, 5), "test": torch.linspace(1, 4, 10).repeat_interleave(2)}
    people = {"forget": ("a", "b", "b", "b", "b"), "test": tuple(f"c{place // 2}" for place in range(20))}
    predictions = {name: predicted(one) for name, one in losses.items()}
    order = tuple(sorted(forget_list.cumulative_ids))
    judged = judge_forgotten(Layout(repository), forget_list, predictions, order, people).newest
    assert judged is not None
    assert judged["mia_auc_error"] == pytest.approx(auc_standard_error(0.5, 1, 10))
