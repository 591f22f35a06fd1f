"""The benchmark on a tiny repository: resumable cells, a table, figures, nested runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from dlfd_ops.cli import main
from dlfd_ops.data.manifest import read_manifest
from dlfd_ops.deletion.forget_list import ForgetList, write_forget_list
from dlfd_ops.errors import BadInput
from dlfd_ops.params import load_params
from dlfd_ops.workflows.benchmark import benchmark
from dlfd_ops.workflows.benchmarking.bench import Bench
from dlfd_ops.workflows.benchmarking.cells import read_cell
from dlfd_ops.workflows.forget_list import forget_list
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.prepare import prepare
from dlfd_ops.workflows.requests import Wish, add_requests
from dlfd_ops.workflows.train import train
from tests.pipeline.project import REPOSITORY
from tests.workflows.people import trained_people
from tests.workflows.repositories import delivered

METHODS = ("original", "retrained", "fine_tune", "dlfd-anchored")
CELLS = Path("metrics/benchmark")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("benchmark")]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository with a forget list of three people, in which the benchmark ran once."""
    root = tmp_path_factory.mktemp("repository")
    with delivered(root, 24):
        shutil.copytree(REPOSITORY / "pipelines", root / "pipelines")
        prepare(load_params())
        train(load_params())
        add_requests([Wish("gdpr", subject=name) for name in trained_people(24)[:3]])
        forget_list(load_params())
        benchmark(load_params())
        yield root


def test_every_method_has_a_row_and_every_seed_a_cell(repository: Path) -> None:
    """Table, JSON and Markdown name all methods, with mean and spread over both seeds."""
    assert {path.stem for path in CELLS.iterdir()} == {f"{name}-{seed}" for name in METHODS for seed in (0, 1)}
    table = json.loads(Path("metrics/benchmark.json").read_text())
    assert tuple(table) == METHODS
    for name in METHODS:
        values = [read_cell(CELLS / f"{name}-{seed}.json").metrics["accuracy"] for seed in (0, 1)]
        assert table[name]["accuracy"] == pytest.approx(sum(values) / 2, abs=1e-6)
        assert table[name]["seeds"] == 2
    assert all(f"| {name} |" in Path("metrics/benchmark.md").read_text() for name in METHODS)


def test_the_best_trial_on_validation_is_the_one_reported(repository: Path) -> None:
    """No trial has a better NoMUS on the validation people than the chosen one; yardsticks have no trials."""
    cell = read_cell(CELLS / "fine_tune-0.json")
    assert len(cell.trials) == 2
    assert cell.chosen is not None
    assert cell.trials[cell.chosen].nomus == max(trial.nomus for trial in cell.trials)
    assert cell.metrics["accuracy_validation"] == pytest.approx(cell.trials[cell.chosen].metrics["accuracy"], abs=1e-5)
    assert read_cell(CELLS / "retrained-0.json").trials == ()


def test_models_that_never_saw_the_forget_set_serve_as_references(repository: Path) -> None:
    """The per-sample attacks are there for every row, also for the retrained model, which is not its own reference."""
    for name in METHODS:
        metrics = read_cell(CELLS / f"{name}-1.json").metrics
        assert 0 <= metrics["calibrated_auc"] <= 1
        assert 0 <= metrics["rmia_auc"] <= 1
    assert read_cell(CELLS / "retrained-1.json").metrics["calibrated_auc"] != 0.5


def test_figures_are_drawn(repository: Path) -> None:
    """Scatter, losses and features, as PNG and SVG."""
    names = {path.name for path in Path("plots/benchmark").iterdir()}
    assert names == {f"{stem}.{suffix}" for stem in ("scatter", "losses", "features") for suffix in ("png", "svg")}


def test_a_second_run_runs_and_logs_only_what_is_missing(repository: Path) -> None:
    """Only a cell that is missing, damaged or of other settings runs again; what ran again is a run of its own."""
    before = {path: path.stat().st_mtime_ns for path in CELLS.iterdir()}
    runs = count_runs()
    damaged = CELLS / "fine_tune-1.json"
    damaged.write_text("{}")
    benchmark(load_params())
    changed = {path for path in CELLS.iterdir() if path.stat().st_mtime_ns != before[path]}
    assert changed == {damaged}
    assert count_runs() == runs + 1
    benchmark(load_params())
    assert count_runs() == runs + 1


def test_cells_are_nested_runs(repository: Path) -> None:
    """One run of the benchmark holds one a cell, with the settings that were chosen."""
    client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    experiment = client.get_experiment_by_name("dlfd-synthetic")
    assert experiment is not None
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`dlfd.benchmark` != ''")
    nested = client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert {(run.data.params["row"], run.data.params["seed"]) for run in nested} == {
        (name, str(seed)) for name in METHODS for seed in (0, 1)
    }
    assert all(run.info.status == "FINISHED" and "nomus" in run.data.metrics for run in nested)


def test_dvc_knows_every_cell_by_name(repository: Path) -> None:
    """The matrix of the stage is methods by seeds; plain ``dvc repro`` knows nothing of it."""
    listed = subprocess.run(
        ["dvc", "stage", "list", "--name-only", "pipelines/benchmark/dvc.yaml"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert all(f"benchmark@{name}-{seed}" in listed for name in METHODS for seed in (0, 1))


def test_an_unknown_method_or_seed_is_named(repository: Path) -> None:
    """One line with what there is to choose from, exit status 2."""
    done = CliRunner().invoke(main, ["benchmark", "--method", "magic"])
    assert done.exit_code == 2
    assert "fine_tune" in done.stderr
    with pytest.raises(BadInput, match="choose from 0, 1"):
        benchmark(load_params(), seed=7)


def test_nobody_to_forget_is_refused(repository: Path) -> None:
    """Without anybody to forget there is nothing to compare."""
    path = Layout().forget_list
    full = path.read_bytes()
    write_forget_list(path, ForgetList((), {}))
    with pytest.raises(BadInput, match="needs a forget list"):
        benchmark(load_params())
    path.write_bytes(full)


def count_runs() -> int:
    """Return the number of runs in the store."""
    client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    return len(client.search_runs([one.experiment_id for one in client.search_experiments()]))


def test_the_people_are_the_pipelines(repository: Path) -> None:
    """The forget set of every cell is the forget list's."""
    photos = len(read_manifest(Layout().manifest).split("train").rows)
    assert 0 < len(read_cell(CELLS / "original-0.json").places["forget"]) < photos


def test_a_trial_may_cut_the_anchor_people_anew(repository: Path) -> None:
    """It gets the unseen people that it asked for; trials with one cut share the images."""
    bench = Bench(load_params(), Path())
    shipped, larger = (bench.seeded(0, trial) for trial in ({}, {"unseen_share": 0.75}))
    few, more = bench.sets_of(shipped), bench.sets_of(larger)
    assert len(few.unseen) < len(more.unseen)
    assert bench.sets_of(larger) is more
