"""The figures of the evaluation as PNG and SVG: loss distributions and the attack's ROC, side by side by model.

The same numbers give the same bytes. Colours are told apart by people who see few of them (Okabe & Ito 2008), and no
line relies on colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlfd_ops.evaluation.curves import Curves
from dlfd_ops.evaluation.membership import Losses
from dlfd_ops.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#5F5F5F"
SMALLEST_LOSS = 1e-4
"""Losses below are drawn at this one: the axis is logarithmic, and an overfitted model has losses of exactly 0."""
SMALLEST_RATE = 1e-3

_BINS = 36
_STYLE = {
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "legend.frameon": False,
    "svg.hashsalt": "dlfd-ops",
}
_SETS: dict[str, dict[str, Any]] = {
    "test": {"label": "people never seen (test)", "color": BLUE, "linestyle": "-", "alpha": 0.30},
    "forget": {"label": "people to forget", "color": VERMILION, "linestyle": "--", "alpha": 0.22},
}
_MODELS: dict[str, dict[str, Any]] = {
    "original": {"color": GREY, "linestyle": "--"},
    "unlearned": {"color": BLUE, "linestyle": "-"},
    "retrained": {"color": GREEN, "linestyle": "-."},
    "model": {"color": BLUE, "linestyle": "-"},
}
"""``model`` is one that is judged by itself."""


def draw_losses(curves: Mapping[str, Curves], aucs: Mapping[str, float], stem: Path) -> None:
    """Draw each model's losses on the forget set beside those on test, to ``stem``.png and ``stem``.svg.

    Args:
        curves: by model, in the order of the panels; 1 to 3 models.
        aucs: the attack's AUC by model, written above its panel.
        stem: path without a suffix.
    """
    with _figure(width=1.2 + 3.5 * len(curves), height=3.7) as figure:
        panels = figure.subplots(1, len(curves), sharex=True, sharey=True, squeeze=False)[0]
        edges = _loss_edges(curves)
        for panel, (model, drawn) in zip(panels, curves.items(), strict=True):
            panel.set_title(f"{model}: attack AUC {aucs[model]:.3f}", loc="left", fontsize=11)
            for name, look in _SETS.items():
                _draw_histogram(panel, drawn.losses[name], edges, look)
            panel.set_xscale("log")
            panel.minorticks_off()
            panel.set_xlabel("loss of an image (nats, log scale)")
            panel.xaxis.set_major_formatter(_loss_tick)
        panels[0].set_ylabel("share of the images (%)")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
        _save(figure, stem)


def draw_roc(curves: Mapping[str, Curves], aucs: Mapping[str, float], stem: Path) -> None:
    """Draw the attack's ROC of each model, linear and log-log, to ``stem``.png and ``stem``.svg.

    Args:
        curves: by model.
        aucs: the attack's AUC by model, written in the legend.
        stem: path without a suffix.
    """
    with _figure(width=9.2, height=4.4) as figure:
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
        _save(figure, stem)


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


def _draw_rates(panel: Axes, curves: Mapping[str, Curves], aucs: Mapping[str, float]) -> None:
    chance = np.geomspace(SMALLEST_RATE, 1, 2)
    panel.plot(chance, chance, color="#8A8A8A", linestyle=":", linewidth=1.4, label="guessing: AUC 0.500")
    for model, drawn in curves.items():
        label = f"{model}: AUC {aucs[model]:.3f}"
        panel.plot(drawn.fpr, drawn.tpr, linewidth=1.8, label=label, **_MODELS[model])
    panel.set_xlabel("people never seen, taken for known\n(false-positive rate)")


@contextmanager
def _figure(*, width: float, height: float) -> Iterator[Figure]:
    # Figure without pyplot: no global state, no display. The style starts from the defaults, so that a user's own
    # matplotlibrc changes no bytes.
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", _STYLE]):
        yield Figure(figsize=(width, height), facecolor="white", layout="constrained")


def _save(figure: Figure, stem: Path) -> None:
    undated: dict[str, dict[str, None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
    for suffix, metadata in undated.items():
        with atomic_path(stem.with_name(f"{stem.name}.{suffix}")) as temporary:
            figure.savefig(temporary, format=suffix, dpi=150, metadata=metadata)
