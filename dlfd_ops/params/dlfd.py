"""The section ``unlearn.dlfd``: the variants of Distribution-Level Feature Distancing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dlfd_ops.params.section import Section


class SinkhornSection(Section):
    """Entropic optimal transport."""

    epsilon: Annotated[float, Field(gt=0, le=10)]
    """Entropic regularisation, in units of the cost (cosine distance: 0 to 2)."""
    max_iterations: Annotated[int, Field(ge=1, le=10000)]
    """Of ``paper``, in every step; the one plan of ``anchored`` has a bound of its own."""
    tolerance: Annotated[float, Field(gt=0, lt=1)]
    """Largest L1 violation of the marginals that counts as converged; of ``paper``, likewise."""


class LinearWeight(Section):
    """A weight that moves linearly over the epoch."""

    start: Annotated[float, Field(ge=0)]
    """At the first step."""
    end: Annotated[float, Field(ge=0)]
    """At the last."""


class PaperSection(Section):
    """DLFD as the paper states it: perturb retain images away from the forget features."""

    steps: Annotated[int, Field(ge=1, le=100)]
    """K, sign-gradient steps a batch."""
    step_size: Annotated[float, Field(gt=0, le=1)]
    """Size of a step, in pixel values of [0, 1]."""
    bound: Annotated[float, Field(gt=0, le=1)]
    """Largest change of a pixel, in pixel values of [0, 1]."""
    transport_weight: Annotated[float, Field(ge=0)]
    """lambda_ot of the objective."""
    classification_weight: LinearWeight
    """w(t) of the objective."""


class AnchoredSection(Section):
    """DLFD anchored on unseen people: move the predictions on the forget people onto theirs."""

    retain_weight: Annotated[float, Field(ge=0)]
    """Weight of the original's predictions on the retain set."""
    anchor_weight: Annotated[float, Field(ge=0)]
    """Weight of the original's predictions on unseen people."""
    forget_weight: Annotated[float, Field(ge=0)]
    """Weight of the transported predictions on the forget set."""
    difficulty_weight: Annotated[float, Field(ge=0)]
    """Weight of the difference in difficulty (0 to 1) beside the cosine distance, in the transport's cost."""
    refresh_every: Annotated[int, Field(ge=1)]
    """Optimiser steps after which the model in the making is asked anew about the partners."""
    parity_gain: Annotated[float, Field(ge=0, le=1)]
    """Share of the log odds that a forgotten photo is easier than a partner, by which the targets' odds of the true
    label are lowered at a refresh; 0 never lowers them."""
    batch_norm: Literal["moving", "frozen"]
    """``moving``: batch statistics in a step, running ones follow. ``frozen``: the original's statistics throughout;
    processes then agree exactly, and the learning rate must be about ten times smaller."""


class PublishedSection(Section):
    """DLFD as the released code of the paper's authors does it; the defaults are their settings for age groups."""

    steps: Annotated[int, Field(ge=1, le=100)] = 15
    """K, sign-gradient steps a batch."""
    step_size: Annotated[float, Field(gt=0, le=10)] = 0.4
    """Size of a step, in normalised pixel values (divided by the standard deviation); there is no bound."""
    transport_weight: Annotated[float, Field(ge=0)] = 3.0
    """Of the transport, which has no effect there."""
    classification_weight: LinearWeight = LinearWeight(start=0.0, end=1.0)
    """w(t) of the objective."""
    epsilon: Annotated[float, Field(gt=0, le=10)] = 0.01
    """Entropic regularisation, in units of the cosine distance (0 to 2)."""
    iterations: Annotated[int, Field(ge=1, le=10000)] = 50
    """Largest number of Sinkhorn iterations."""


class DlfdSection(Section):
    """Distribution-Level Feature Distancing."""

    variant: Literal["anchored", "paper", "published"]
    """Which recipe: ours, the paper's, or that of its authors' code."""
    features: Literal["penultimate", "logits"]
    """Where the transport measures; ``published`` always takes the logits."""
    sinkhorn: SinkhornSection
    anchored: AnchoredSection
    paper: PaperSection
    published: PublishedSection = PublishedSection()
