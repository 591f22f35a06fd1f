"""The figures of the benchmark: utility against forgetting, and where each model puts the forgotten."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlfd_ops.evaluation.canvas import BLUE, GREEN, GREY, VERMILION, new_figure, save_figure
from dlfd_ops.evaluation.membership import CHANCE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = Sequence[tuple[float, float]]

_PANELS_A_ROW = 4
_SPECIAL: dict[str, dict[str, Any]] = {
    "original": {"color": GREY, "marker": "s", "markersize": 8},
    "retrained": {"color": GREEN, "marker": "*", "markersize": 14},
}


@dataclass(frozen=True)
class Mark:
    """One method in the scatter: mean and standard deviation over the seeds.

    Attributes:
        auc: of the membership attack.
        auc_deviation: of it; None for one seed.
        accuracy: on test.
        accuracy_deviation: likewise.
    """

    auc: float
    auc_deviation: float | None
    accuracy: float
    accuracy_deviation: float | None


def draw_scatter(marks: Mapping[str, Mark], highlighted: str, stem: Path) -> None:
    """Draw test accuracy over the attack's AUC, a point a method, to ``stem``.png and ``stem``.svg.

    The names stand in a column beside the panel, in the order of the accuracy: good methods lie close together.

    Args:
        marks: by method; ``original`` and ``retrained`` have signs of their own.
        highlighted: the method that the pipeline uses.
        stem: path without a suffix.
    """
    with new_figure(width=9.6, height=5.2) as figure:
        panel = figure.subplots()
        panel.axvline(CHANCE, color="#8A8A8A", linestyle=":", linewidth=1.4)
        for method, mark in marks.items():
            own = BLUE if method == highlighted else VERMILION
            look = _SPECIAL.get(method, {"color": own, "marker": "o", "markersize": 7})
            panel.errorbar(
                mark.auc,
                mark.accuracy,
                xerr=mark.auc_deviation,
                yerr=mark.accuracy_deviation,
                elinewidth=0.8,
                capsize=2,
                **look,
            )
        for place, method in enumerate(sorted(marks, key=lambda name: marks[name].accuracy), start=1):
            panel.annotate(
                method,
                (marks[method].auc, marks[method].accuracy),
                xytext=(1.04, place / (len(marks) + 1)),
                textcoords="axes fraction",
                va="center",
                fontsize=9,
                arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "relpos": (0, 0.5)},
            )
        panel.set_xlabel("attack AUC, forget against test (0.5: unknown)")
        panel.set_ylabel("test accuracy")
        save_figure(figure, stem)


def draw_places(places: Mapping[str, Mapping[str, Points]], stem: Path) -> None:
    """Draw forget and test samples in the plane of each model's features, to ``stem``.png and ``stem``.svg.

    Args:
        places: by method, for "test" and "forget" the (N, 2) points.
        stem: path without a suffix.
    """
    columns = min(len(places), _PANELS_A_ROW)
    rows = math.ceil(len(places) / columns)
    with new_figure(width=3.1 * columns, height=0.6 + 2.9 * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False)
        for panel, (method, drawn) in zip(grid.flat, places.items(), strict=False):
            _draw_plane(panel, drawn)
            panel.set_title(method, loc="left", fontsize=11)
        for panel in grid.flat[len(places) :]:
            panel.set_visible(False)
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
        save_figure(figure, stem)


def _draw_plane(panel: Axes, drawn: Mapping[str, Points]) -> None:
    looks: dict[str, dict[str, Any]] = {
        "test": {"label": "people never seen (test)", "color": BLUE, "marker": "o"},
        "forget": {"label": "people to forget", "color": VERMILION, "marker": "x"},
    }
    for name, look in looks.items():
        x, y = zip(*drawn[name], strict=True)
        panel.scatter(x, y, s=9, alpha=0.45, linewidths=0.8, **look)
    panel.set_xticks([])
    panel.set_yticks([])
