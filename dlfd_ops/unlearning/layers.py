"""The last k layers of any module, and fresh weights for them.

A layer is a module with parameters of its own: a convolution, a batch norm, a linear layer. Layers are counted in the
order of ``modules()``, which is the order in which the code of the model creates them, the last one being the output.
In the classifiers of this package the last three are the head; the fourth is the trunk's last layer.
"""

from __future__ import annotations

import torch
from torch import nn

from dlfd_ops.errors import BadInput
from dlfd_ops.models.checkpoint import build_classifier
from dlfd_ops.models.classifier import Classifier


def split_layers(model: nn.Module, k: int) -> tuple[list[nn.Module], list[nn.Module]]:
    """Return the modules before the last ``k`` layers, and those from there on, each in the order of ``modules()``.

    A module that holds others stands before them, so it is in the first part where they are divided; what counts there
    is what it holds itself.

    Raises:
        BadInput: the model has fewer layers.
    """
    modules = list(model.modules())
    layers = [place for place, module in enumerate(modules) if any(True for _ in module.parameters(recurse=False))]
    if k > len(layers):
        raise BadInput(
            "a method can train at most all layers of the model",
            received=f"{k} of {len(layers)}",
            remedy="lower unlearn.cf_k.layers or unlearn.eu_k.layers",
        )
    return modules[: layers[-k]], modules[layers[-k] :]


def fresh_classifier(like: Classifier, *, seed: int) -> Classifier:
    """Return a classifier of the same architecture, device and precision with fresh weights, frozen, for evaluation.

    The weights depend on the seed alone; the global generators are left as they were.
    """
    with torch.random.fork_rng(devices=[]):
        # Away from the seed itself: an original trained with it started from those very weights.
        torch.default_generator.manual_seed(seed * 1_000_003 + 1)
        model = build_classifier(like.card)
    model.precision = like.precision
    return model.to(like.get_buffer("mean").device).eval().requires_grad_(False)


def reset_layers(layers: list[nn.Module], fresh: list[nn.Module]) -> None:
    """Copy the weights and statistics of ``fresh`` modules into ``layers``, one by one."""
    for layer, new in zip(layers, fresh, strict=True):
        layer.load_state_dict(new.state_dict())
