"""The figures: real images, the same bytes for the same numbers, every model drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from dlfd_ops.evaluation.curves import Curves, curves_of
from dlfd_ops.evaluation.figures import draw_losses, draw_roc
from dlfd_ops.evaluation.membership import roc


class Draw(Protocol):
    """One of the two figures."""

    __name__: str

    def __call__(self, curves: Mapping[str, Curves], aucs: Mapping[str, float], stem: Path, /) -> None:
        """Draw it."""


FIGURES = pytest.mark.parametrize("draw", [draw_losses, draw_roc])


def _curves(mean: float, *, forget: int = 200) -> Curves:
    generator = np.random.default_rng(0)
    losses = {"forget": np.exp(generator.normal(mean, 1, forget)), "test": np.exp(generator.normal(0, 1, 200))}
    losses["forget"][: forget // 10] = 0.0
    return curves_of(losses, roc(losses["forget"], losses["test"]))


def _models(*names: str) -> tuple[dict[str, Curves], dict[str, float]]:
    return {name: _curves(mean) for mean, name in enumerate(names, start=-2)}, dict.fromkeys(names, 0.5)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both figures, of two models and of three."""
    folder = tmp_path_factory.mktemp("drawn")
    for draw in (draw_losses, draw_roc):
        draw(*_models("original", "unlearned"), folder / f"{draw.__name__}-two")
        draw(*_models("original", "unlearned", "retrained"), folder / f"{draw.__name__}-three")
    return folder


@FIGURES
def test_same_numbers_same_bytes(draw: Draw, drawn: Path, tmp_path: Path) -> None:
    """Neither the clock nor the user's own style gets into a figure."""
    with mpl.rc_context({"font.size": 22, "axes.facecolor": "black", "svg.hashsalt": None}):
        draw(*_models("original", "unlearned"), tmp_path / "again")
    for suffix in ("png", "svg"):
        assert (drawn / f"{draw.__name__}-two.{suffix}").read_bytes() == (tmp_path / f"again.{suffix}").read_bytes()
    assert "dc:date" not in (tmp_path / "again.svg").read_text()


@FIGURES
def test_background_is_light_and_size_is_readable(draw: Draw, drawn: Path) -> None:
    """A PNG on white, wide enough to read in a report."""
    with Image.open(drawn / f"{draw.__name__}-two.png") as image:
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        assert image.width > 1000


@FIGURES
def test_the_retrained_model_changes_the_figure(draw: Draw, drawn: Path) -> None:
    """A third model is drawn, not dropped: the shapes differ, not only the numbers in the words."""
    two, three = ((drawn / f"{draw.__name__}-{count}.svg").read_text() for count in ("two", "three"))
    assert three.count("<path") > two.count("<path")


@FIGURES
def test_an_empty_forget_set_is_drawn(draw: Draw, tmp_path: Path) -> None:
    """Nothing to forget leaves a figure, not a division by zero."""
    with np.errstate(all="raise"):
        draw({"original": _curves(0, forget=0)}, {"original": 0.5}, tmp_path / "figure")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_names_with_dots_keep_them(tmp_path: Path) -> None:
    """The suffix is added to the stem, not put in place of a part of it."""
    draw_roc(*_models("original"), tmp_path / "roc.v1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["roc.v1.png", "roc.v1.svg"]
