"""Statistics of batch norm."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.models.classifier import to_unit
from dlfd_ops.unlearning.batch_norm import recompute_batch_norm
from tests.unlearning.case import Case, changed, weights


def layer_of(case: Case) -> nn.BatchNorm2d:
    """Return the one layer of batch norm that the tiny trunk has."""
    layer = case.model.trunk.get_submodule("1")
    assert isinstance(layer, nn.BatchNorm2d)
    return layer


def test_recomputed_statistics_are_those_of_the_samples(case: Case) -> None:
    """Mean and variance of what the first layer gives for all of them, whatever stood there; no weight moves."""
    before, layer = weights(case.model), layer_of(case)
    momentum = layer.momentum
    recompute_batch_norm(case.model, case.retain, torch.device("cpu"))
    with torch.no_grad():
        given = case.model.trunk.get_submodule("0")(case.model.normalise(to_unit(case.retain.images[:])))
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert torch.allclose(layer.running_mean, given.mean(dim=(0, 2, 3)), atol=1e-5)
    assert torch.allclose(layer.running_var, given.var(dim=(0, 2, 3)), rtol=1e-4)
    assert changed(before, case.model) <= {name for name in before if "running" in name or "num_batches" in name}
    assert (layer.momentum, layer.training) == (momentum, False)


def test_a_rest_of_one_image_is_no_batch_of_its_own(make_case: Callable[..., Case]) -> None:
    """257 samples are two batches of about one size: of a single one there is no variance."""
    case = make_case()
    images, targets = case.retain.images[:1].repeat(257, 1, 1, 1), case.retain.targets[:1].repeat(257)
    many = LabelledImages(images, targets, case.retain.sample_ids[:1] * 257, case.retain.subject_keys[:1] * 257)
    recompute_batch_norm(case.model, many, torch.device("cpu"))
    assert layer_of(case).num_batches_tracked == 2
