"""Laws of parity by rank, and of targets that are lower in the odds of what is true."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from dlfd_ops.unlearning.dlfd.parity import log_odds_of_easier, with_lower_odds

LOSSES = st.lists(st.floats(0, 5), min_size=1, max_size=20).map(torch.tensor)
SHIFTS = st.floats(-3, 3)


@given(losses=LOSSES, others=LOSSES)
def test_the_odds_are_those_of_the_area_under_the_curve(losses: torch.Tensor, others: torch.Tensor) -> None:
    """Ties count half, as in scikit-learn's AUC, which is computed by other means."""
    truth = [1] * len(losses) + [0] * len(others)
    easier = roc_auc_score(truth, -torch.cat([losses, others])) * len(losses)
    odds = (easier + 0.5) / (len(losses) - easier + 0.5)
    assert log_odds_of_easier(losses, others) == pytest.approx(math.log(odds), abs=1e-6)


@given(losses=LOSSES)
def test_a_set_is_at_parity_with_itself(losses: torch.Tensor) -> None:
    """Neither is the easier one."""
    assert log_odds_of_easier(losses, losses) == pytest.approx(0.0, abs=1e-6)


def test_few_photos_are_sure_of_little() -> None:
    """One that is easier than everybody says less than many that are, and none says infinity."""
    one, many = (log_odds_of_easier(torch.zeros(count), torch.ones(9)) for count in (1, 100))
    assert one == pytest.approx(math.log(3))
    assert one < many < math.inf


@given(shift=SHIFTS, seed=st.integers(0, 1000))
def test_the_odds_of_the_class_fall_and_those_among_the_others_stay(shift: float, seed: int) -> None:
    """Of one label: the true class against all others together, and two others against each other."""
    generator = torch.Generator().manual_seed(seed)
    logits, targets = torch.randn(6, 4, generator=generator), torch.randint(0, 4, (6,), generator=generator)
    before, after = logits.double().softmax(dim=1), with_lower_odds(logits, targets, shift).double().softmax(dim=1)
    true = torch.nn.functional.one_hot(targets, 4).bool()
    assert torch.allclose(after[true].logit(), before[true].logit() - shift, atol=1e-4)
    others_before, others_after = (said[~true].view(6, 3) for said in (before, after))
    assert torch.allclose(others_after / others_after[:, :1], others_before / others_before[:, :1], atol=1e-4)


@given(shift=SHIFTS)
def test_each_of_several_labels_falls(shift: float) -> None:
    """A label that is true becomes less likely, one that is not more, by the same odds."""
    logits, targets = torch.tensor([[0.3, -1.2]]), torch.tensor([[1.0, 0.0]])
    assert torch.allclose(with_lower_odds(logits, targets, shift), logits + shift * torch.tensor([[-1.0, 1.0]]))
