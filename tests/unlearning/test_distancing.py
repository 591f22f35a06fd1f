"""The perturbation of retain images."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlfd_ops.unlearning.dlfd.distancing import distance_features


@given(
    steps=st.integers(1, 6),
    step_size=st.floats(0.001, 0.5),
    bound=st.floats(0.001, 0.5),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_bounds_hold(steps: int, step_size: float, bound: float, seed: int) -> None:
    """Pixels stay in [0, 1] and within the bound of the clean image."""
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    perturbed = distance_features(
        images, lambda x: (x * x.flip(0)).sum(), steps=steps, step_size=step_size, bound=bound
    )
    assert perturbed.min() >= 0
    assert perturbed.max() <= 1
    assert (perturbed - images).abs().max() <= bound + 1e-6
    assert not perturbed.requires_grad


def test_gain_grows() -> None:
    """Every step climbs: for a linear gain the result is the corner of the box."""
    images = torch.full((1, 3, 2, 2), 0.5)
    weights = torch.tensor([1.0, -1.0, 2.0]).view(1, 3, 1, 1)
    perturbed = distance_features(images, lambda x: (weights * x).sum(), steps=3, step_size=0.1, bound=0.2)
    assert torch.allclose(perturbed, images + 0.2 * weights.sign(), atol=1e-6)


def test_the_clean_images_are_left_alone() -> None:
    """The input is not written into and takes no gradient."""
    images = torch.full((1, 3, 2, 2), 0.5)
    before = images.clone()
    distance_features(images, lambda x: x.sum(), steps=2, step_size=0.1, bound=0.2)
    assert torch.equal(images, before)
    assert not images.requires_grad
