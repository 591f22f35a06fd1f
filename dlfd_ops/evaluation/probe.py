"""The forgetting probe: what steers the dynamic schedule while a model unlearns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.evaluation.membership import (
    CHANCE,
    FEWEST_ATTACKED,
    SURE,
    Losses,
    attack_accuracy,
    auc_standard_error,
    roc,
)
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
        self._forget = draw_images(forget, images, seed, device)
        self._validation = draw_images(validation, images, seed, device)
        self._splits = splits
        self._batch_size = batch_size
        self._seed = seed
        self._device = device

    def __call__(self, model: nn.Module) -> float:
        """Return the forgetting score of ``model``, which is left in its modes: -0.5 to 0.5, 0 is best.

        It is negative where the forget set is surely the harder one, so that pushing on would only lead further away.
        A set too small for the attack scores 0.5: nothing says yet that it is forgotten.
        """
        assert isinstance(model, Classifier)
        forget, validation = (
            predict(model, data, batch_size=self._batch_size, device=self._device).loss.numpy().astype(np.float64)
            for data in (self._forget, self._validation)
        )
        if min(forget.size, validation.size) < FEWEST_ATTACKED:
            return 0.5
        score = forgetting_score(attack_accuracy(forget, validation, splits=self._splits, seed=self._seed))
        return -score if _surely_harder(forget, validation) else score


def _surely_harder(forget: Losses, validation: Losses) -> bool:
    """Return whether forget losses lie above, in rank by two standard errors and in the mean.

    A few hard photos rank low while the model still knows them: a rank alone must not keep them from being forgotten.
    """
    margin = SURE * auc_standard_error(CHANCE, forget.size, validation.size)
    return roc(forget, validation).auc < CHANCE - margin and bool(forget.mean() > validation.mean())


def draw_images(data: LabelledImages, size: int, seed: int, device: torch.device) -> LabelledImages:
    """Return ``size`` images drawn with the seed, on the device; all of them where there are not more."""
    chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))[:size]
    drawn = data.rows(chosen)
    return replace(drawn, images=drawn.images[:].to(device))
