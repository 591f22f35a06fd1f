"""Running a classifier over labelled images: what every figure of the evaluation starts from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from tqdm import tqdm

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.data.pixels import ahead
from dlfd_ops.models.classifier import Classifier, to_unit
from dlfd_ops.models.losses import sample_losses


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says about N images, on the CPU.

    A single-label model takes one decision an image (D = 1), a multi-label model one a label (D = L).

    Attributes:
        logits: (N, C) float32.
        loss: (N,) float64 in nats: cross entropy for one label, mean binary cross entropy over several.
        confidence: (N, D) float64 probability of the decision taken: 1/C to 1 for one label, 0.5 to 1 for several.
        hits: (N, D) bool, whether a decision is right.
        features: (N, F) float32 penultimate activations, where they were asked for.
    """

    logits: Tensor
    loss: Tensor
    confidence: Tensor
    hits: Tensor
    features: Tensor | None = None

    @property
    def correct(self) -> Tensor:
        """(N,) float32 share of an image's decisions that are right; 0 or 1 for one label."""
        return self.hits.float().mean(dim=1)

    def __len__(self) -> int:
        return len(self.loss)


def predict(
    model: Classifier,
    data: LabelledImages,
    *,
    batch_size: int,
    device: torch.device | str,
    keep_features: bool = False,
    progress: str | None = None,
) -> Predictions:
    """Run ``model`` over ``data`` in evaluation mode, without gradients, and leave its modes as they were.

    Args:
        model: the classifier; it is moved to ``device``.
        data: the images; may be empty.
        batch_size: images a forward pass.
        device: where to compute.
        keep_features: whether to return the penultimate features as well.
        progress: words beside a progress bar on a terminal; none without them.
    """
    model.to(device)
    logits = torch.empty(len(data), model.card.num_outputs)
    features: list[Tensor] = []
    starts = range(0, len(data), batch_size)
    pixels = ahead(data.images, (slice(start, start + batch_size) for start in starts))
    # disable=None shows the bar on a terminal only.
    with evaluation_mode(model), torch.inference_mode():
        for start in tqdm(starts, desc=progress, leave=False, disable=None if progress else True):
            output = model(to_unit(next(pixels).to(device)))
            logits[start : start + batch_size] = output.logits.float().cpu()
            if keep_features:
                features.append(output.features.float().cpu())
    return replace(score(logits, data.targets), features=torch.cat(features) if features else None)


def score(logits: Tensor, targets: Tensor) -> Predictions:
    """Compare logits with targets.

    Args:
        logits: (N, C) float32.
        targets: (N,) int64 class indices for one label, (N, C) float32 of 0 and 1 for several.
    """
    exact = logits.double()  # an attacker ranks the samples that the model is sure of, which are ties in float32
    loss = sample_losses(exact, targets)
    if targets.ndim == 1:
        confidence, decision = exact.softmax(dim=1).max(dim=1)
        return Predictions(logits, loss, confidence.unsqueeze(1), (decision == targets).unsqueeze(1))
    probability = exact.sigmoid()
    hits = (logits > 0) == (targets > 0.5)
    return Predictions(logits, loss, torch.maximum(probability, 1 - probability), hits)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode and give each its own mode back afterwards.

    ``model.train(flag)`` would set one mode for all, and wake batch norms that unlearning keeps frozen.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
