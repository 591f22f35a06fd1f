"""The sections ``unlearn.<method>`` of the methods that DLFD is compared with; all have defaults."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dlfd_ops.params.section import Section


class NegGradPlusSection(Section):
    """NegGrad+: descent on the retain set and ascent on the forget set together."""

    retain_share: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Weight of the descent; one minus it is that of the ascent."""


class LastLayersSection(Section):
    """CF-k or EU-k: train the last layers only."""

    layers: Annotated[int, Field(ge=1, le=10000)] = 3
    """k: how many layers train, counted from the output; a layer is a module with parameters of its own. 3 is the whole
    head of our classifiers."""


class UnsirSection(Section):
    """UNSIR: noise that maximises the error, impair, repair."""

    noise_images: Annotated[int, Field(ge=1, le=65536)] = 256
    """Largest number of noise images learnt."""
    noise_steps: Annotated[int, Field(ge=0, le=10000)] = 40
    """Adam steps that learn the noise."""
    noise_rate: Annotated[float, Field(gt=0, le=10)] = 0.1
    """Learning rate of these, in normalised pixel values."""
    noise_penalty: Annotated[float, Field(ge=0)] = 0.1
    """Weight of the noise's Euclidean norm, against its loss in nats."""
    impair_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the run that impairs; the rest repairs."""


class ScrubSection(Section):
    """SCRUB with rewind: away from the original on the forget set, toward it on the retain set, in turns."""

    rounds: Annotated[int, Field(ge=1, le=100)] = 5
    """Rounds of the run; the model at the end of each is a candidate for the rewind."""
    max_rounds: Annotated[int, Field(ge=0, le=100)] = 3
    """Rounds, the first ones, that begin with a max phase."""
    max_share: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Share of such a round's steps that belong to its max phase."""
    divergence_weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the divergence from the original on the retain set."""
    classification_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the loss on the retain set."""


class SalunSection(Section):
    """SalUn: wrong labels for the forget set, taught to the salient weights only."""

    salient_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the weights that may move: those with the largest gradient of the forget loss."""
    retain_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the loss on the retain set."""


class L1SparseSection(Section):
    """l1-sparse: fine-tuning under a penalty on the weights' absolute values."""

    penalty: Annotated[float, Field(ge=0, le=1)] = 5e-4
    """Mean weight of the l1 norm over the run, in nats; it falls linearly from twice that to zero."""
