"""``dlfd-ops benchmark``: methods side by side."""

from __future__ import annotations

import click
from rich import box
from rich.console import Console
from rich.table import Table

from dlfd_ops.cli.output import echo_json, json_option
from dlfd_ops.params import load_params

_TABLE_WIDTH = 180


@click.command()
@click.option("--method", help="Run the cells of this row alone.")
@click.option("--seed", type=int, help="Run the cells with this seed alone.")
@json_option
def benchmark(method: str | None, seed: int | None, as_json: bool) -> None:
    """Compare unlearning methods on the prepared data and the forget list.

    Runs what the section benchmark of params.yaml asks for and is not there yet, then prints the table.
    """
    from dlfd_ops.workflows.benchmark import benchmark as run_benchmark
    from dlfd_ops.workflows.benchmarking.table import COLUMNS, cell_text, to_json

    rows = run_benchmark(load_params(), method=method, seed=seed)
    if as_json:
        echo_json(to_json(rows))
        return
    shown = [name for name in COLUMNS if any(name in row.metrics for row in rows)]
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("method", no_wrap=True)
    table.add_column("seeds", justify="right")
    for name in shown:
        widest = max(len(word) for word in COLUMNS[name].split())
        table.add_column(COLUMNS[name], justify="right", min_width=widest)
    for row in rows:
        table.add_row(row.method, str(row.seeds), *(cell_text(row, name) for name in shown))
    Console(width=_TABLE_WIDTH).print(table)
