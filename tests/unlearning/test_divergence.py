"""The divergence from a teacher: closed forms and laws."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, kl_divergence

from dlfd_ops.unlearning.divergence import divergence


@pytest.fixture(name="logits")
def two_sets_of_logits() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of a teacher and of a pupil, (6, 4) each."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 4, generator=generator) * 3, torch.randn(6, 4, generator=generator) * 3


def test_single_label_is_the_divergence_of_categorical_distributions(logits: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Mean over the samples."""
    taught, pupil = logits
    expected = kl_divergence(Categorical(logits=taught), Categorical(logits=pupil)).mean()
    assert torch.allclose(divergence(taught, pupil, multi_label=False), expected)


def test_multi_label_is_the_mean_divergence_of_bernoulli_distributions(
    logits: tuple[torch.Tensor, torch.Tensor],
) -> None:
    """Mean over samples and labels."""
    taught, pupil = logits
    expected = kl_divergence(Bernoulli(logits=taught), Bernoulli(logits=pupil)).mean()
    assert torch.allclose(divergence(taught, pupil, multi_label=True), expected)


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_teacher_itself_is_at_no_distance(multi_label: bool, logits: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Zero with no gradient at the teacher, above zero elsewhere, finite for certain predictions."""
    taught, pupil = logits
    same = taught.clone().requires_grad_(True)
    loss = divergence(taught, same, multi_label=multi_label)
    loss.backward()  # type: ignore[no-untyped-call]
    assert same.grad is not None
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    assert float(same.grad.abs().max()) == pytest.approx(0, abs=1e-6)
    assert divergence(taught, pupil, multi_label=multi_label) > 0
    assert torch.isfinite(divergence(taught * 1e3, pupil * 1e3, multi_label=multi_label))
