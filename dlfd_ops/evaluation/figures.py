"""The figures of the evaluation as PNG and SVG: loss distributions and the attack's ROC, side by side by model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlfd_ops.evaluation.canvas import BLUE, GREEN, GREY, VERMILION, new_figure, save_figure
from dlfd_ops.evaluation.curves import Curves
from dlfd_ops.evaluation.membership import Losses

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALLEST_LOSS = 1e-4
"""Losses below are drawn at this one: the axis is logarithmic, and an overfitted model has losses of exactly 0."""
SMALLEST_RATE = 1e-3

_BINS = 36
_PANELS_A_ROW = 4
_SETS: dict[str, dict[str, Any]] = {
    "test": {"label": "people never seen (test)", "color": BLUE, "linestyle": "-", "alpha": 0.30},
    "forget": {"label": "people to forget", "color": VERMILION, "linestyle": "--", "alpha": 0.22},
}
_MODELS: dict[str, dict[str, Any]] = {
    "original": {"color": GREY, "linestyle": "--"},
    "parent": {"color": GREY, "linestyle": ":"},
    "unlearned": {"color": BLUE, "linestyle": "-"},
    "retrained": {"color": GREEN, "linestyle": "-."},
    "model": {"color": BLUE, "linestyle": "-"},
}
"""``model`` is one that is judged by itself."""


def draw_losses(curves: Mapping[str, Curves], aucs: Mapping[str, float], stem: Path) -> None:
    """Draw each model's losses on the forget set beside those on test, to ``stem``.png and ``stem``.svg.

    Args:
        curves: by model, in the order of the panels, at least one.
        aucs: the attack's AUC by model, written above its panel; none where nobody was to be forgotten.
        stem: path without a suffix.
    """
    columns = min(len(curves), _PANELS_A_ROW)
    rows = math.ceil(len(curves) / columns)
    with new_figure(width=1.2 + 3.5 * columns, height=0.9 + 2.8 * rows) as figure:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        edges = _loss_edges(curves)
        for panel, (model, drawn) in zip(grid.flat, curves.items(), strict=False):
            panel.set_title(_titled(model, aucs, "attack AUC"), loc="left", fontsize=11)
            for name, look in _SETS.items():
                _draw_histogram(panel, drawn.losses[name], edges, look)
            panel.set_xscale("log")
            panel.minorticks_off()
            panel.xaxis.set_major_formatter(_loss_tick)
        for panel in grid.flat[len(curves) :]:
            panel.set_visible(False)
        for panel in grid[-1]:
            panel.set_xlabel("loss of an image (nats, log scale)")
        for panel in grid[:, 0]:
            panel.set_ylabel("share of the images (%)")
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
        save_figure(figure, stem)


def draw_roc(curves: Mapping[str, Curves], aucs: Mapping[str, float], stem: Path) -> None:
    """Draw the attack's ROC of each model, linear and log-log, to ``stem``.png and ``stem``.svg.

    Args:
        curves: by model.
        aucs: the attack's AUC by model, written in the legend; none where nobody was to be forgotten.
        stem: path without a suffix.
    """
    with new_figure(width=9.2, height=4.4) as figure:
        whole, corner = figure.subplots(1, 2)
        for panel in (whole, corner):
            _draw_rates(panel, curves, aucs)
        whole.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        whole.set_title("all thresholds", loc="left", fontsize=11)
        corner.set(xscale="log", yscale="log", xlim=(SMALLEST_RATE, 1), ylim=(SMALLEST_RATE, 1), aspect="equal")
        corner.minorticks_off()
        corner.set_title("few false alarms (log scales)", loc="left", fontsize=11)
        whole.set_ylabel("people to forget, recognised\n(true-positive rate)")
        handles, labels = whole.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(handles))
        save_figure(figure, stem)


def _draw_histogram(panel: Axes, losses: Losses, edges: Losses, look: Mapping[str, Any]) -> None:
    shares = np.histogram(np.clip(losses, edges[0], edges[-1]), edges)[0] * (100 / max(losses.size, 1))
    panel.stairs(shares, edges, fill=True, color=look["color"], alpha=look["alpha"])
    panel.stairs(shares, edges, color=look["color"], linestyle=look["linestyle"], linewidth=1.6, label=look["label"])


def _loss_edges(curves: Mapping[str, Curves]) -> Losses:
    largest = max(float(values.max(initial=1.0)) for drawn in curves.values() for values in drawn.losses.values())
    return np.geomspace(SMALLEST_LOSS, max(10.0, largest), _BINS + 1)


def _loss_tick(value: float, _position: int) -> str:
    power = round(math.log10(value))
    return rf"$\leq 10^{{{power}}}$" if value <= SMALLEST_LOSS else rf"$10^{{{power}}}$"


def _titled(model: str, aucs: Mapping[str, float], what: str) -> str:
    return f"{model}: {what} {aucs[model]:.3f}" if model in aucs else model


def _draw_rates(panel: Axes, curves: Mapping[str, Curves], aucs: Mapping[str, float]) -> None:
    chance = np.geomspace(SMALLEST_RATE, 1, 2)
    panel.plot(chance, chance, color="#8A8A8A", linestyle=":", linewidth=1.4, label="guessing: AUC 0.500")
    for model, drawn in curves.items():
        label = _titled(model, aucs, "AUC")
        panel.plot(drawn.fpr, drawn.tpr, linewidth=1.8, label=label, **_MODELS[model])
    panel.set_xlabel("people never seen, taken for known\n(false-positive rate)")
