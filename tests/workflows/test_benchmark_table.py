"""The table of the benchmark: means, spreads, and what is missing."""

from __future__ import annotations

import pytest

from dlfd_ops.workflows.benchmarking.cells import Cell
from dlfd_ops.workflows.benchmarking.table import row_of, to_json, to_markdown


def cell(method: str, seed: int, **metrics: float) -> Cell:
    """Return a cell with these metrics."""
    return Cell(
        key="k",
        method=method,
        seed=seed,
        trials=(),
        chosen=None,
        metrics=metrics,
        seconds=10.0 * (seed + 1),
        curves={},
        places={},
    )


def test_mean_and_sample_deviation() -> None:
    """Two seeds of 0.5 and 0.7: mean 0.6, sample deviation sqrt(0.02)."""
    row = row_of([cell("scrub", 0, accuracy=0.5), cell("scrub", 1, accuracy=0.7)])
    assert row.metrics["accuracy"].mean == pytest.approx(0.6)
    assert row.metrics["accuracy"].deviation == pytest.approx(0.02**0.5)
    assert row.metrics["seconds"].mean == pytest.approx(15.0)


def test_one_seed_has_no_spread() -> None:
    """A single cell is its own mean, and nothing is said of a spread that nobody measured."""
    row = row_of([cell("scrub", 0, accuracy=0.5)])
    assert str(row.metrics["accuracy"]) == "0.500"
    assert "accuracy_deviation" not in to_json([row])["scrub"]


def test_only_what_every_seed_has_is_averaged() -> None:
    """A metric that one seed lacks would be a mean over other models than the rest of the row."""
    row = row_of([cell("scrub", 0, accuracy=0.5, rmia_auc=0.6), cell("scrub", 1, accuracy=0.7)])
    assert "rmia_auc" not in row.metrics


def test_markdown_marks_what_was_not_measured() -> None:
    """Rows of different evidence share one table; a dash stands for a missing number."""
    both = [cell("b", seed, accuracy=0.25) for seed in (0, 1)]
    rows = [row_of([cell("a", 0, accuracy=0.5, rmia_auc=0.6)]), row_of(both)]
    head, _, first, second = to_markdown(rows).splitlines()
    assert head == "| method | seeds | accuracy | RMIA AUC | seconds |"
    assert first == "| a | 1 | 0.500 | 0.600 | 10 |"
    assert second == "| b | 2 | 0.250 ± 0.000 | - | 15 |"


def test_json_holds_mean_and_deviation() -> None:
    """Machines read both under flat names."""
    table = to_json([row_of([cell("a", 0, accuracy=0.5), cell("a", 1, accuracy=0.7)])])
    assert table["a"]["seeds"] == 2
    assert table["a"]["accuracy"] == 0.6
    assert table["a"]["accuracy_deviation"] == pytest.approx(0.141421, abs=1e-6)
