"""The forgetting probe: what steers the dynamic schedule while a model unlearns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.evaluation.membership import attack_accuracy, roc
from dlfd_ops.evaluation.nomus import forgetting_score
from dlfd_ops.evaluation.predictions import predict
from dlfd_ops.models.classifier import Classifier


class ForgettingProbe:
    """Measures the signed forgetting score of a model, forget set against validation set; test is never looked at.

    Args:
        forget: the forget set.
        validation: people that no model and no unlearning trains on.
        images: largest number taken from each, drawn once with the seed.
        splits: of the membership attack.
        batch_size: images a forward pass.
        seed: of the draw and of the attack.
        device: where to compute.
    """

    def __init__(
        self,
        forget: LabelledImages,
        validation: LabelledImages,
        *,
        images: int,
        splits: int,
        batch_size: int,
        seed: int,
        device: torch.device,
    ) -> None:
        size = min(images, len(forget), len(validation))
        self._forget = draw_images(forget, size, seed, device)
        self._validation = draw_images(validation, size, seed, device)
        self._splits = splits
        self._batch_size = batch_size
        self._seed = seed
        self._device = device

    def __call__(self, model: nn.Module) -> float:
        """Return the forgetting score of ``model``, which is left in its modes: -0.5 to 0.5, 0 is best.

        It is negative where the forget set is the harder one, so that pushing on would only lead further away.
        """
        assert isinstance(model, Classifier)
        losses = [
            predict(model, data, batch_size=self._batch_size, device=self._device).loss.numpy().astype(np.float64)
            for data in (self._forget, self._validation)
        ]
        score = forgetting_score(attack_accuracy(*losses, splits=self._splits, seed=self._seed))
        return score if roc(*losses).auc >= 0.5 else -score


def draw_images(data: LabelledImages, size: int, seed: int, device: torch.device) -> LabelledImages:
    """Return ``size`` images drawn with the seed, on the device."""
    chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))[:size]
    return replace(
        data,
        images=data.images[chosen].to(device),
        targets=data.targets[chosen],
        sample_ids=tuple(data.sample_ids[index] for index in chosen),
        subject_keys=tuple(data.subject_keys[index] for index in chosen),
    )
