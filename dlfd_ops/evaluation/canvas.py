"""The canvas of all figures: one style, colours that everybody tells apart, the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dlfd_ops.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#5F5F5F"
"""Told apart by people who see few colours (Okabe & Ito 2008); no line relies on colour alone."""

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


@contextmanager
def new_figure(*, width: float, height: float) -> Iterator[Figure]:
    """Yield an empty figure of this size, in inches."""
    # Figure without pyplot: no global state, no display. The style starts from the defaults, so that a user's own
    # matplotlibrc changes no bytes.
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", _STYLE]):
        yield Figure(figsize=(width, height), facecolor="white", layout="constrained")


def save_figure(figure: Figure, stem: Path) -> None:
    """Write ``stem``.png and ``stem``.svg, each in one rename."""
    undated: dict[str, dict[str, None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
    for suffix, metadata in undated.items():
        with atomic_path(stem.with_name(f"{stem.name}.{suffix}")) as temporary:
            figure.savefig(temporary, format=suffix, dpi=150, metadata=metadata)
