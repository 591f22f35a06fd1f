"""The benchmark: methods side by side on one data set and one forget list, each with several seeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from dlfd_ops.digest import sha256_json
from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.benchmark_figures import Mark, draw_places, draw_scatter
from dlfd_ops.evaluation.curves import Curves
from dlfd_ops.evaluation.figures import draw_losses
from dlfd_ops.files import write_text
from dlfd_ops.params import Params, UnlearnSection
from dlfd_ops.tracking.benchmark_runs import CellRun, log_benchmark
from dlfd_ops.unlearning.registry import method_name
from dlfd_ops.workflows.benchmarking.bench import Bench
from dlfd_ops.workflows.benchmarking.cells import Cell, read_cell, stands, write_cell
from dlfd_ops.workflows.benchmarking.running import cell_key, run_cell
from dlfd_ops.workflows.benchmarking.table import Row, row_of, to_json, to_markdown

Choice = TypeVar("Choice", str, int)


def benchmark(params: Params, root: Path = Path(), *, method: str | None = None, seed: int | None = None) -> list[Row]:
    """Run the cells that are missing, then write the table and the figures of all that are there.

    A cell whose file says that it was made from the same settings and data is not run again, so that an interrupted
    benchmark goes on where it stopped. Reads ``data/prepared`` and ``deletion/forget_list.parquet``; writes
    ``metrics/benchmark/*.json``, ``metrics/benchmark.{json,md}``, ``plots/benchmark/*.{png,svg}``, and one MLflow run
    with a nested one a cell.

    Args:
        params: of the pipeline.
        root: of the repository.
        method: run the cells of this row alone.
        seed: run the cells with this seed alone.

    Returns:
        The rows of the table, in the order of ``benchmark.methods``.

    Raises:
        BadInput: an input is missing or damaged, or a method or a seed is unknown.
    """
    bench = Bench(params, root)
    methods, seeds = bench.section.methods, bench.section.seeds
    chosen = [(one, number) for number in _only(seed, seeds, "seed") for one in _only(method, methods, "method")]
    for one, number in tqdm(chosen, desc="benchmark", disable=None):
        path = bench.path(one, number)
        if not stands(path, cell_key(bench, one, number)):
            write_cell(run_cell(bench, one, number), path)
    cells = {name: _standing(bench, name) for name in methods}
    rows = [row_of(found) for found in cells.values() if found]
    _write_table(bench, rows)
    _draw(bench, rows, _of_one_seed([cell for found in cells.values() for cell in found], seeds))
    log_benchmark(params, [_as_run(cell) for found in cells.values() for cell in found], root)
    return rows


def _only(wanted: Choice | None, known: Sequence[Choice], what: str) -> Sequence[Choice]:
    if wanted is None:
        return known
    if wanted not in known:
        raise BadInput(
            f"--{what} must be one of the benchmark's",
            received=str(wanted),
            remedy=f"choose from {', '.join(map(str, known))}",
        )
    return [wanted]


def _standing(bench: Bench, method: str) -> list[Cell]:
    paths = [(bench.path(method, seed), cell_key(bench, method, seed)) for seed in bench.section.seeds]
    return [read_cell(path) for path, key in paths if stands(path, key)]


def _of_one_seed(cells: Sequence[Cell], seeds: Sequence[int]) -> dict[str, Cell]:
    """Return the cells of the first seed that there is any of, by method: panels of other originals do not compare."""
    first = min((cell.seed for cell in cells), key=seeds.index)
    return {cell.method: cell for cell in cells if cell.seed == first}


def _write_table(bench: Bench, rows: Sequence[Row]) -> None:
    write_text(bench.layout.metrics("benchmark"), json.dumps(to_json(rows), indent=2) + "\n")
    write_text(bench.layout.metrics("benchmark").with_suffix(".md"), to_markdown(rows))


def _draw(bench: Bench, rows: Sequence[Row], first: dict[str, Cell]) -> None:
    """Draw the scatter of all rows, and the losses and features of the cells of one seed."""
    marks = {row.method: _mark(row) for row in rows}
    draw_scatter(marks, row_name(bench.params.unlearn), bench.layout.plot("benchmark/scatter"))
    curves = {name: Curves.from_json(cell.curves) for name, cell in first.items()}
    aucs = {name: cell.metrics["mia_auc"] for name, cell in first.items()}
    draw_losses(curves, aucs, bench.layout.plot("benchmark/losses"))
    draw_places({name: cell.places for name, cell in first.items()}, bench.layout.plot("benchmark/features"))


def row_name(unlearn: UnlearnSection) -> str:
    """Return the name of the row that stands for the pipeline's own method, by convention: ``dlfd-anchored``."""
    return method_name(unlearn).replace("/", "-")


def _mark(row: Row) -> Mark:
    auc, right = row.metrics["mia_auc"], row.metrics["accuracy"]
    return Mark(auc.mean, auc.deviation, right.mean, right.deviation)


def _as_run(cell: Cell) -> CellRun:
    settings = {} if cell.chosen is None else cell.trials[cell.chosen].settings
    return CellRun(
        # Not the cell's own key: a cell that ran again after a change of the code is another one.
        key=sha256_json(cell.model_dump(mode="json")),
        name=f"{cell.method} seed {cell.seed}",
        params={"row": cell.method, "seed": cell.seed, **{f"unlearn.{key}": value for key, value in settings.items()}},
        metrics={**cell.metrics, "seconds": cell.seconds},
    )
