"""The cells as a table: mean and spread over the seeds, by method."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dlfd_ops.workflows.benchmarking.cells import Cell

COLUMNS = {
    "accuracy": "accuracy",
    "accuracy_retain": "retain",
    "accuracy_forget": "forget",
    "mia_auc": "attack AUC",
    "confidence_auc": "confidence AUC",
    "calibrated_auc": "calibrated AUC",
    "rmia_auc": "RMIA AUC",
    "ulira_auc": "U-LiRA AUC",
    "probe_auc": "probe AUC",
    "nomus": "NoMUS",
    "loss_distance": "KS",
    "loss": "test loss",
    "ece": "ECE",
    "seconds": "seconds",
}
"""Metrics of the table and their headings, in order."""


@dataclass(frozen=True)
class Spread:
    """A metric over the seeds.

    Attributes:
        mean: over the seeds.
        deviation: sample standard deviation; None where there is one seed.
    """

    mean: float
    deviation: float | None

    def __str__(self) -> str:
        return f"{self.mean:.3f}" if self.deviation is None else f"{self.mean:.3f} ± {self.deviation:.3f}"


@dataclass(frozen=True)
class Row:
    """One method of the table.

    Attributes:
        method: its name.
        seeds: how many cells it is the mean of.
        metrics: by name; those that every one of its cells has.
    """

    method: str
    seeds: int
    metrics: dict[str, Spread]


def row_of(cells: Sequence[Cell]) -> Row:
    """Return the row of one method's cells, at least one."""
    numbers = [{**cell.metrics, "seconds": cell.seconds} for cell in cells]
    shared = set.intersection(*(set(found) for found in numbers))
    spreads = {name: _spread([found[name] for found in numbers]) for name in sorted(shared)}
    return Row(cells[0].method, len(cells), spreads)


def to_markdown(rows: Sequence[Row]) -> str:
    """Return the table for people: how many seeds, mean ± deviation, a dash for what was not measured."""
    shown = [name for name in COLUMNS if any(name in row.metrics for row in rows)]
    head = ["method", "seeds", *(COLUMNS[name] for name in shown)]
    lines = [head, ["---"] * len(head)]
    lines += [[row.method, str(row.seeds), *(cell_text(row, name) for name in shown)] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_json(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Return the table for machines: method -> ``seeds``, metric, and ``<metric>_deviation``."""
    return {
        row.method: {"seeds": row.seeds}
        | {name: round(spread.mean, 6) for name, spread in row.metrics.items()}
        | {
            f"{name}_deviation": round(spread.deviation, 6)
            for name, spread in row.metrics.items()
            if spread.deviation is not None
        }
        for row in rows
    }


def cell_text(row: Row, name: str) -> str:
    """Return a metric of a row as people read it."""
    spread = row.metrics.get(name)
    if spread is None:
        return "-"
    return f"{spread.mean:.0f}" if name == "seconds" else str(spread)


def _spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)
