"""The loss distributions before and after, as numbers and as the geometry of a figure.

A model that remembers a photo is less surprised by it: its loss is lower. So the figure shows, for each model,
the losses on the forgotten people beside the losses on people that no model was ever trained on; where the two
shapes coincide, the loss gives the forgotten away no more. The axis is logarithmic, because memorised losses lie
decades below the others. Drawing is left to the template: this module hands it coordinates, never markup.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from dlfd_ops.evaluation.overshoot import ks_distance

MODELS = ("original", "parent", "unlearned", "retrained")
SETS = ("forget", "test")
SMALLEST_LOSS = 1e-4
"""Losses below are drawn at this one: 0.9999 certain of the right answer."""
BINS_A_DECADE = 6

Values = NDArray[np.float64]
Losses = Mapping[str, Mapping[str, Sequence[float]]]
"""Losses in nats, by model and by set."""


class Distribution(BaseModel):
    """The losses of one set of images under one model.

    Attributes:
        set: "forget" (the forgotten people) or "test" (people never trained on).
        images: number of images.
        median: median loss, in nats.
        shares: share of the images in each bin; the shares sum to 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    set: str
    images: int
    median: float
    shares: tuple[float, ...]


class Panel(BaseModel):
    """The two distributions of one model.

    Attributes:
        model: whose losses.
        distance: Kolmogorov-Smirnov distance between the two, 0 (alike) to 1 (apart).
        distributions: in the order of :data:`SETS`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    distance: float
    distributions: tuple[Distribution, ...]


class LossFigure(BaseModel):
    """One panel a model, on shared bins.

    Attributes:
        edges: n + 1 bin edges in nats, rising by a constant factor; the outer bins take what lies beyond.
        panels: in the order of :data:`MODELS`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    edges: tuple[float, ...]
    panels: tuple[Panel, ...]


def loss_figure(losses: Losses) -> LossFigure | None:
    """Return the histograms of ``losses``, or None when no model has both sets.

    Args:
        losses: losses in nats, by model and set; other models and sets than :data:`MODELS` and :data:`SETS` are
            left out, and so is a model without both sets.
    """
    complete = {
        model: {name: np.asarray(losses[model][name], dtype=np.float64) for name in SETS}
        for model in MODELS
        if model in losses and all(len(losses[model].get(name, ())) for name in SETS)
    }
    if not complete:
        return None
    edges = _edges(np.concatenate([values for sets in complete.values() for values in sets.values()]))
    panels = tuple(
        Panel(
            model=model,
            distance=ks_distance(*sets.values()),
            distributions=tuple(_distribution(name, values, edges) for name, values in sets.items()),
        )
        for model, sets in complete.items()
    )
    return LossFigure(edges=tuple(edges.tolist()), panels=panels)


def _edges(values: Values) -> Values:
    """Return edges that fall on whole parts of a decade, so that two reports share them."""
    clipped = np.log10(np.maximum(values, SMALLEST_LOSS))
    first = math.floor(float(clipped.min()) * BINS_A_DECADE)
    last = max(math.ceil(float(clipped.max()) * BINS_A_DECADE), first + 1)
    return np.logspace(first / BINS_A_DECADE, last / BINS_A_DECADE, last - first + 1)


def _distribution(name: str, values: Values, edges: Values) -> Distribution:
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)
    return Distribution(
        set=name,
        images=len(values),
        median=float(np.median(values)),
        shares=tuple((counts / len(values)).tolist()),
    )


@dataclass(frozen=True)
class Tick:
    """A mark of the loss axis: where, and what to write there."""

    x: float
    label: str


@dataclass(frozen=True)
class DrawnPanel:
    """A panel's coordinates.

    Attributes:
        model: whose panel.
        base: y of the panel's base line.
        outlines: SVG path data of each set's histogram, by set.
        medians: x of each set's median, by set.
    """

    model: str
    base: float
    outlines: dict[str, str]
    medians: dict[str, float]


@dataclass(frozen=True)
class Drawing:
    """The geometry of the whole figure, in SVG user units."""

    width: float
    height: float
    left: float
    right: float
    axis: float
    panel_height: float
    ticks: tuple[Tick, ...]
    panels: tuple[DrawnPanel, ...]


def draw(figure: LossFigure, *, width: float = 720, panel_height: float = 104, gap: float = 34) -> Drawing:
    """Lay ``figure`` out as panels above one another on one loss axis and one scale of shares."""
    left, right = 8.0, width - 8.0
    low, high = math.log10(figure.edges[0]), math.log10(figure.edges[-1])
    tallest = max(max(part.shares) for panel in figure.panels for part in panel.distributions)

    def x_of(loss: float) -> float:
        position = (math.log10(max(loss, SMALLEST_LOSS)) - low) / (high - low)
        return round(left + min(max(position, 0.0), 1.0) * (right - left), 2)

    columns = [x_of(edge) for edge in figure.edges]
    panels = []
    for index, panel in enumerate(figure.panels):
        base = gap + panel_height + index * (panel_height + gap)
        scale = panel_height / tallest
        panels.append(
            DrawnPanel(
                model=panel.model,
                base=base,
                outlines={part.set: _outline(columns, part.shares, base, scale) for part in panel.distributions},
                medians={part.set: x_of(part.median) for part in panel.distributions},
            )
        )
    axis = panels[-1].base
    return Drawing(
        width=width,
        height=axis + 46,
        left=left,
        right=right,
        axis=axis,
        panel_height=panel_height,
        ticks=tuple(Tick(x_of(10.0**power), f"{10.0**power:g}") for power in _decades(low, high)),
        panels=tuple(panels),
    )


def _decades(low: float, high: float) -> range:
    return range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)


def _outline(columns: Sequence[float], shares: Sequence[float], base: float, scale: float) -> str:
    """Return the steps of a histogram as path data: up from the base line, along the bins, down to it."""
    steps = [f"M{columns[0]:g} {base:g}"]
    for share, end in zip(shares, columns[1:], strict=True):
        steps.append(f"V{base - share * scale:.2f}H{end:g}")
    return "".join(steps) + f"V{base:g}"
