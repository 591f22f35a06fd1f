"""Ten batches of deletion requests, one after the other, each unlearned from the version that the one before left.

For experiments: in production the people decide. Draws the people, and then, for each batch, does what a team does:
file it, run the pipeline, let the version serve. At the end it trains the model that none of them was ever in. In a
fresh clone, with the environment active:

    python examples/ten_requests.py --params configs/params/lfw-sequence.yaml --share 0.12

A run that was interrupted goes on where it stopped when the command is given again. The curve is in
``plots/sequence.csv``, ``.png`` and ``.svg``: accuracy on people never seen; attack AUC on all who were forgotten so
far, of the version and of the original, and on the newest alone, with standard errors; NoMUS; and the rules that the
gate found broken. A version that the gate refuses is promoted by force, with the reason on record: the curve is what is
wanted here.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from draw_requests import draw

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.files import write_bytes, write_text
from dlfd_ops.params import load_params

CURVE = Path("plots/sequence.csv")
BATCHES = Path(".dlfd/sequence")
COLUMNS = (
    "round",
    "model",
    "requests",
    "version",
    "gate",
    "failed",
    "accuracy",
    "accuracy_forget",
    "mia_auc",
    "mia_auc_error",
    "original_auc",
    "newest_auc",
    "newest_error",
    "nomus",
    "seconds",
)
PANELS = {"accuracy": "test accuracy", "mia_auc": "attack AUC (0.5: unknown)", "nomus": "NoMUS"}


def main() -> None:
    """Run what is missing of the ten rounds, then the retraining, then draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, help="parameters of the data set, copied over params.yaml at the start")
    parser.add_argument("--share", type=float, default=0.12, help="share of the people, over all rounds")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.params and not BATCHES.exists():
        shutil.copy(arguments.params, "params.yaml")
    batches = drawn_batches(arguments.share, arguments.rounds, arguments.seed)
    rows = read_rows()
    for number, batch in enumerate(batches, start=1):
        if number > last_round(rows):
            rows += one_round(number, batch)
            write_rows(rows)
        promote(rows, number)
    if not any(row["model"] == "retrained" for row in rows):
        run("dvc", "repro", "pipelines/benchmark/dvc.yaml:retrain")
        run("dvc", "repro")
        rows.append(row_of("retrained", len(batches)))
        write_rows(rows)
    figure(rows)


def drawn_batches(share: float, rounds: int, seed: int) -> list[Path]:
    """Return one private import file a round, drawn once."""
    if not BATCHES.exists():
        people = draw(Path(load_params().prepare.root), share, seed)
        for number in range(rounds):
            text = io.StringIO()
            writer = csv.DictWriter(text, list(people[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(people[number::rounds])
            write_text(BATCHES / f"{number + 1:02d}.csv", text.getvalue(), mode=0o600)
    return sorted(BATCHES.glob("*.csv"))


def one_round(number: int, batch: Path) -> list[dict[str, Any]]:
    """File a batch, run the pipeline, and return the rows of this round."""
    run("dlfd-ops", "request", "import", str(batch))
    run("dvc", "repro")
    rows = [row_of("unlearned", number)]
    return [row_of("original", 0), *rows] if number == 1 else rows


def row_of(model: str, number: int) -> dict[str, Any]:
    """Return what the last run measured of a model."""
    metrics, receipt = read("metrics/unlearning.json"), read("registry/version.json")
    stage = {"original": "train", "unlearned": "unlearn"}.get(model)
    seconds = metrics["seconds"][stage] if stage else read("metrics/retrained.json")["seconds"]["retrain"]
    own: dict[str, Any] = {}
    if model == "unlearned":
        own = {"version": receipt["version"], "gate": receipt["gate"], "failed": failed_rules()}
        newest = metrics.get("newest", metrics[model])
        own |= {"newest_auc": newest["mia_auc"], "newest_error": newest["mia_auc_error"]}
    numbers = {name: metrics[model].get(name, "") for name in COLUMNS if name in metrics[model]}
    return {
        "round": number,
        "model": model,
        "requests": len(read("metrics/forgotten.json")),
        **own,
        **numbers,
        "original_auc": metrics["original"]["mia_auc"],
        "seconds": seconds,
    }


def failed_rules() -> str:
    """Return the rules that the newest version broke, by the ledger."""
    gated = [event for event in Ledger().events() if event.kind == "gated"]
    return " ".join(rule["rule"] for rule in gated[-1].data["rules"] if not rule["passed"])


def promote(rows: list[dict[str, Any]], number: int) -> None:
    """Let the version of a round serve, unless a later one does already."""
    if number < last_round(rows):
        return
    version = next(row["version"] for row in rows if row["round"] == number and row["model"] == "unlearned")
    command = ("dlfd-ops", "promote", "--version", str(version))
    if subprocess.run(command, check=False).returncode == 1:  # noqa: S603  the project's own command
        run(*command, "--force", "--reason", "a study of many requests in a row")


def last_round(rows: list[dict[str, Any]]) -> int:
    """Return the number of the last round that is done, 0 for none."""
    return max((int(row["round"]) for row in rows), default=0)


def read_rows() -> list[dict[str, Any]]:
    """Return the rows of an earlier run."""
    if not CURVE.exists():
        return []
    with CURVE.open(newline="") as stream:
        return [{**row, "round": int(row["round"])} for row in csv.DictReader(stream)]


def write_rows(rows: list[dict[str, Any]]) -> None:
    """Write the curve."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_text(CURVE, text.getvalue())


def figure(rows: list[dict[str, Any]]) -> None:
    """Draw the curve beside the retrained model."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(1, len(PANELS), figsize=(11, 3.2), layout="constrained")
    curve = [row for row in rows if row["model"] in ("original", "unlearned")]
    retrained = next(row for row in rows if row["model"] == "retrained")
    for axis, (name, title) in zip(axes, PANELS.items(), strict=True):
        axis.plot([row["round"] for row in curve], [float(row[name]) for row in curve], marker="o", label="unlearned")
        axis.axhline(float(retrained[name]), linestyle="--", color="grey", label="retrained without all of them")
        axis.set(xlabel="round (0: the original)", title=title)
    numbers = {name: [float(row[name]) for row in curve] for name in ("round", "mia_auc", "mia_auc_error")}
    ends = zip(numbers["mia_auc"], numbers["mia_auc_error"], strict=True)
    low, high = zip(*((auc - error, auc + error) for auc, error in ends), strict=True)
    axes[1].fill_between(numbers["round"], low, high, alpha=0.15, label="± one standard error, by people")
    later = [row for row in curve if row["round"]]
    same = {"marker": ".", "color": "tab:red", "label": "original, on the same people"}
    axes[1].plot([row["round"] for row in later], [float(row["original_auc"]) for row in later], **same)
    axes[1].legend(fontsize="x-small")
    for kind in ("png", "svg"):
        content = io.BytesIO()
        drawn.savefig(content, format=kind, dpi=150)
        write_bytes(CURVE.with_suffix(f".{kind}"), content.getvalue())


def read(path: str) -> dict[str, Any]:
    """Return a JSON file's object."""
    value: dict[str, Any] = json.loads(Path(path).read_text())
    return value


def run(*command: str) -> None:
    """Run a command and stop with its status where it fails."""
    done = subprocess.run(command, check=False)  # noqa: S603  the project's own commands
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
