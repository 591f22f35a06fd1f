"""Any ``nn.Module`` behind the classifier's interface, with the features taken at one of its layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dlfd_ops.errors import BadInput
from dlfd_ops.models.classifier import Classifier, Factory, ModelCard, Output


class WrappedClassifier(Classifier):
    """Somebody else's module as a classifier.

    The module takes normalised (B, 3, S, S) images and returns (B, C) logits, or a mapping or an object that holds
    them as ``logits``. The features are what one layer takes or gives: (B, D) as it is, the mean over places
    of a (B, D, H, W) map, the mean over tokens of a (B, T, D) sequence.

    Args:
        inner: the module.
        card: with its factory.

    Raises:
        BadInput: the module has no layer of that name.
    """

    def __init__(self, inner: nn.Module, card: ModelCard) -> None:
        super().__init__(card)
        assert card.factory is not None
        self._factory: Factory = card.factory
        self.inner = inner
        self._layer()

    @property
    def core(self) -> nn.Module:
        """The wrapped module: its checkpoint has the names that its owner's code uses."""
        return self.inner

    def logits(self, images: Tensor) -> Tensor:
        """Return (B, C) logits for (B, 3, S, S) images in [0, 1]."""
        with self._computing():
            return _logits(self.inner(self.normalise(images))).float()

    def forward(self, images: Tensor) -> Output:
        """Return features and logits for (B, 3, S, S) images in [0, 1].

        Raises:
            BadInput: the module returns something else than logits, or the layer does not run exactly once.
        """
        with self._recording() as seen:
            logits = self.logits(images)
        if len(seen) != 1:
            raise BadInput(
                "the layer of train.factory.layer must run once in a forward pass",
                received=f"{self._factory.layer}, which ran {len(seen)} times",
                remedy="name another layer",
            )
        return Output(_pooled(seen[0], self._factory.layer).float(), logits)

    @contextmanager
    def _recording(self) -> Iterator[list[Any]]:
        """Yield a list of what the layer takes or gives inside the block."""
        seen: list[Any] = []

        def record(_: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
            seen.append(output if self._factory.side == "output" else next(iter(arguments), None))

        # For one pass only: a hook that stayed would be copied, exported and seen by other threads.
        handle = self._layer().register_forward_hook(record)
        try:
            yield seen
        finally:
            handle.remove()

    def _layer(self) -> nn.Module:
        layers: dict[str, nn.Module] = dict(self.inner.named_modules())
        layers.pop("", None)
        if self._factory.layer not in layers:
            raise BadInput(
                "train.factory.layer must name a layer of the model",
                received=f"{self._factory.layer!r:.80}",
                remedy=f"choose from named_modules(); the last ones are {', '.join(list(layers)[-5:]) or 'none'}",
            )
        return layers[self._factory.layer]


def check_classifier(model: Classifier) -> None:
    """Run two images of noise through ``model`` and check what comes out; its modes stay as they were.

    Raises:
        BadInput: the model fails on images of its card, or features or logits have another shape than the card says.
    """
    card = model.card
    images = torch.rand(2, 3, card.image_size, card.image_size, generator=torch.Generator().manual_seed(0))
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            output = model(images)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(
            f"the model must take (B, 3, {card.image_size}, {card.image_size}) images",
            received=f"{type(error).__name__}: {error}"[:160],
            remedy="correct base.image_size, or let the factory return a module that takes such images",
        ) from error
    finally:
        for module, training in modes:
            module.training = training
    _check_shape("logits", output.logits, card.num_outputs, f"one output for each of {', '.join(card.output_names)}")
    _check_shape("features", output.features, None, "one row an image")


def default_layer(inner: nn.Module, num_outputs: int) -> str | None:
    """Return the last linear layer with ``num_outputs`` outputs: what goes into it are the penultimate features."""
    fitting = [
        name
        for name, layer in inner.named_modules()
        if name and isinstance(layer, nn.Linear) and layer.out_features == num_outputs
    ]
    return fitting[-1] if fitting else None


def _check_shape(what: str, found: Tensor, width: int | None, rule: str) -> None:
    if found.dim() != 2 or len(found) != 2 or (width is not None and found.shape[1] != width):
        shape = ", ".join(map(str, found.shape))
        raise BadInput(
            f"the model's {what} must have {rule}",
            received=f"shape ({shape}) for 2 images",
            remedy="correct the factory and its arguments, base.labels, or train.factory.layer",
        )
    if not torch.isfinite(found).all():
        raise BadInput(
            f"the model's {what} must be finite",
            received="NaN or an infinity",
            remedy="check weights and normalisation",
        )


def _logits(output: Any) -> Tensor:
    found = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
    if not isinstance(found, Tensor):
        raise BadInput(
            "the model must return its logits: a tensor, or logits in a mapping or an object",
            received=f"a {type(output).__name__}",
            remedy="let the factory return a module whose forward returns the logits",
        )
    return found


def _pooled(found: Any, layer: str) -> Tensor:
    if not isinstance(found, Tensor) or found.dim() not in (2, 3, 4):
        received = f"{found.dim()} dimensions" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise BadInput(
            "the layer of train.factory.layer must take or give a tensor of 2, 3 or 4 dimensions",
            received=f"{received} at {layer}",
            remedy="name another layer",
        )
    if found.dim() == 2:
        return found
    return found.mean(dim=1) if found.dim() == 3 else found.mean(dim=(2, 3))
