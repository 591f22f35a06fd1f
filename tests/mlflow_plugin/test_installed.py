"""The plugin as MLflow finds it: the wheel in a fresh environment, and nothing but MLflow's public functions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mlflow_plugin.fresh import Environment, build_wheel, install, new_environment

IMPORT = """
import sys, warnings
warnings.simplefilter("error", UserWarning)
import mlflow
heavy = {"torch", "dvc", "matplotlib", "git", "dlfd_ops.params", "dlfd_ops.tracking"} & set(sys.modules)
print(mlflow.__version__, "dlfd_ops.mlflow_plugin.context" in sys.modules, sorted(heavy))
"""
BROKEN = """
import sys
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("dlfd_ops.") and not name.startswith("dlfd_ops.mlflow_plugin"):
            raise RuntimeError("broken on purpose")
sys.meta_path.insert(0, Broken())
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
with mlflow.start_run() as run:
    mlflow.log_metric("loss", 1.0)
    data = mlflow.data.from_numpy(__import__("numpy").zeros((2, 2)))
    result = mlflow.models.evaluate(
        lambda rows: rows["x"].to_numpy(),
        __import__("pandas").DataFrame({"x": [0, 1, 1, 0], "label": [0, 1, 0, 0]}),
        targets="label", model_type="classifier", evaluator_config={"log_model_explainability": False},
    )
print([tag for tag in mlflow.get_run(run.info.run_id).data.tags if tag.startswith("dlfd")])
"""
USE = """
import json, os, sys
import mlflow, numpy as np, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
generator = np.random.default_rng(0)
sets = np.repeat(["forget", "unseen"], 40)
label = generator.integers(0, 2, 80)
margin = (2 * label - 1) * np.where(sets == "forget", 2.0, 0.5) + generator.normal(0, 0.7, 80)
rows = pd.DataFrame({"x": margin, "set": sets, "label": label})
data = mlflow.data.from_pandas(rows, source="dvc://data/raw", targets="label")
with mlflow.start_run() as run:
    mlflow.log_input(mlflow.data.from_dvc("data/raw"), context="training")
    result = mlflow.models.evaluate(
        lambda part: 1 / (1 + np.exp(-part["x"].to_numpy())), data, model_type="classifier",
        evaluators="dlfd_unlearning", evaluator_config={"set_column": "set"},
    )
run = mlflow.get_run(run.info.run_id)
inputs = [inputs.dataset for inputs in run.inputs.dataset_inputs]
print(json.dumps({
    "metrics": run.data.metrics,
    "artifacts": sorted(result.artifacts),
    "tags": {name: value for name, value in run.data.tags.items() if name.startswith("dlfd.")},
    "sources": [source.source_type for source in inputs],
    "loaded": sorted(os.listdir(mlflow.data.get_source(inputs[0]).load())),
}))
"""
COST = """
import importlib, sys, time
import mlflow
loaded = [name for name in sys.modules if name.startswith("dlfd_ops")]
def milliseconds():
    for name in loaded:
        del sys.modules[name]
    start = time.process_time()
    for name in loaded:
        importlib.import_module(name)
    return 1000 * (time.process_time() - start)
assert "dlfd_ops.mlflow_plugin.dataset" in loaded
print(min(milliseconds() for _ in range(5)))
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel installed."""
    folder = tmp_path_factory.mktemp("fresh")
    environment = new_environment(folder / "environment")
    install(environment, build_wheel(folder / "built"))
    return environment


@pytest.mark.slow
def test_mlflow_finds_and_uses_all_of_it(
    fresh: Environment, repository: Path, tmp_path: Path, git: Callable[..., str]
) -> None:
    """Evaluator, run context, data set source and constructor, together in one run inside a DVC repository."""
    found = json.loads(fresh.run(USE, f"sqlite:///{tmp_path / 'mlflow.db'}", cwd=repository).splitlines()[-1])
    assert 0.5 < found["metrics"]["evaluation/mia_auc"] <= 1
    assert found["artifacts"] == [f"evaluation/{name}" for name in ("curves.json", "losses.png", "roc.png")]
    assert found["tags"] == {"dlfd.git_commit": git(repository, "rev-parse", "HEAD")}
    assert found["sources"] == ["dvc", "dvc"]
    assert found["loaded"] == ["a.txt", "inner"]


@pytest.mark.slow
def test_import_mlflow_loads_nothing_heavy(fresh: Environment, tmp_path: Path) -> None:
    """The plugin is found, without a warning, and neither torch nor DVC is loaded."""
    assert fresh.run(IMPORT, cwd=tmp_path).split(maxsplit=1)[1].strip() == "True []"


@pytest.mark.slow
def test_an_error_of_ours_breaks_nothing_of_mlflow(fresh: Environment, repository: Path, tmp_path: Path) -> None:
    """With every other module of ours raising RuntimeError: import, runs, data sets and evaluations work."""
    assert fresh.run(BROKEN, f"sqlite:///{tmp_path / 'mlflow.db'}", cwd=repository).splitlines()[-1] == "[]"


@pytest.mark.slow
def test_import_mlflow_stays_fast(fresh: Environment, tmp_path: Path) -> None:
    """What MLflow loads of ours at its start takes under 20 ms of processor time, beside seconds of its own."""
    assert float(fresh.run(COST, cwd=tmp_path)) < 20
