"""What ``make repro`` ends with: what was asked, what came of it, and where to look."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dlfd_ops.deletion.forget_list import ForgetList, read_forget_list
from dlfd_ops.errors import DlfdError
from dlfd_ops.evaluation.results import read_metrics
from dlfd_ops.workflows.audit_files import read_receipt
from dlfd_ops.workflows.layout import Layout

ROWS = (
    ("accuracy", "test accuracy"),
    ("accuracy_retain", "accuracy, retain set"),
    ("accuracy_forget", "accuracy, forget set"),
    ("mia_auc", "attack AUC, forget against test (0.5: unknown)"),
    ("forgetting_score", "forgetting score (0 is best)"),
    ("nomus", "NoMUS (1 is best)"),
    ("loss", "test loss"),
    ("ece", "calibration error"),
)
MODELS = ("original", "parent", "unlearned", "retrained")


def summary(console: Console, root: Path = Path()) -> None:
    """Print the summary of the newest run.

    Raises:
        BadInput: the pipeline has not run, or an output is damaged.
    """
    layout = Layout(root)
    forget_list, metrics = read_forget_list(layout.forget_list), read_metrics(layout.metrics("unlearning"))
    receipt = read_receipt(layout.receipt)
    console.print(f"\n[bold]Asked to be forgotten[/bold]  {_asked(forget_list)}")
    console.print(_numbers(metrics))
    console.print(
        f"[bold]Registered[/bold]  {escape(receipt.model_name)} version {receipt.version} "
        f"(original: version {receipt.original_version}), gate {escape(receipt.gate)}"
    )
    console.print("[bold]Report[/bold]      audit/report.html")
    console.print(f"[bold]MLflow[/bold]      mlflow ui --backend-store-uri {escape(receipt.store)}", soft_wrap=True)


def _asked(forget_list: ForgetList) -> str:
    people = len(forget_list.request_ids)
    return f"{people} deletion requests, {len(forget_list)} training images, list {forget_list.digest()[:12]}"


def _numbers(metrics: dict[str, float]) -> Table:
    models = [model for model in MODELS if f"{model}.accuracy" in metrics]
    table = Table(title="Before and after")
    table.add_column("")
    for model in models:
        table.add_column(model, justify="right")
    for key, title in ROWS:
        table.add_row(title, *(_value(metrics.get(f"{model}.{key}")) for model in models))
    return table


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    try:
        summary(Console())
    except DlfdError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_status)
