"""The files that ``dlfd-ops init`` writes: this project's own pipeline, with the stages of the installed package.

``adoption/`` holds links to the project's ``dvc.yaml``, ``params.yaml`` and ``configs``; a wheel holds the files. None
is called ``dvc.yaml`` there: DVC would take it for a pipeline, also in an environment inside of a repository.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from dlfd_ops.deletion.suppression import Suppressed
from dlfd_ops.params import Params

TEMPLATES = Path(__file__).with_name("adoption")
WEIGHTS = Path("adopted/weights.safetensors")
"""Where the weights of the original lie in the pipeline's folder."""
_OWN_CODE = ("pipelines/", "dlfd_ops/")
_RUNS_THE_MODEL = ("train", "unlearn", "evaluate", "retrain")
_HEADER = "# Made by `dlfd-ops init`; yours to change. Run `dvc repro` in this folder.\n"
_IGNORED = """\
# Secrets, resume checkpoints and private reports: never in git
/.dlfd/
# The retrained model: a yardstick, kept by nobody
/models/retrained/
/plots/retraining.csv
# Left by a run that was killed
.*.tmp
"""


def template_params() -> dict[str, Any]:
    """Return the sections of this project's ``params.yaml``."""
    return _load("params.yaml")


def plan_files(folder: Path, params: Params, code: Path) -> dict[Path, bytes]:
    """Return every file of the pipeline's folder with its content.

    Args:
        folder: of the pipeline, relative to the working directory.
        params: what its ``params.yaml`` is to say.
        code: Python file of the factory, a dependency of the stages that run the model.
    """
    depends = os.path.relpath(code, folder.resolve())
    files = {
        "params.yaml": _HEADER + _dump(params.model_dump(mode="json", by_alias=True)),
        "dvc.yaml": _HEADER + _dump(_pipeline("pipeline.yaml", depends, _adopting)),
        "pipelines/benchmark/dvc.yaml": _HEADER + _dump(_pipeline("benchmark.yaml", depends, lambda stages: None)),
        "deletion/suppression.csv": ",".join(Suppressed.model_fields) + "\n",
        "metrics/retrained.json": "{}\n",
        ".gitignore": _IGNORED,
    }
    for kind in ("accelerate", "plots"):
        files |= {f"configs/{kind}/{path.name}": path.read_text() for path in sorted((TEMPLATES / kind).iterdir())}
    return {folder / name: content.encode() for name, content in files.items()}


def _pipeline(template: str, code: str, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Return a ``dvc.yaml`` of this project that runs the installed package and depends on the factory's file."""
    pipeline = _load(template)
    for name, stage in pipeline["stages"].items():
        stage["cmd"] = re.sub(r"pipelines/(\w+)\.py", r"-m dlfd_ops.workflows.stage \1", stage["cmd"])
        stage["deps"] = [path for path in stage["deps"] if not path.startswith(_OWN_CODE)]
        if name in _RUNS_THE_MODEL:
            stage["deps"].insert(0, code)
    change(pipeline["stages"])
    return pipeline


def _adopting(stages: dict[str, Any]) -> None:
    """Let the stage ``train`` take the original as it is instead of training one."""
    train = stages["train"]
    train["desc"] = "The original model, as it was trained elsewhere, checked against the data."
    train["cmd"] = "python -m dlfd_ops.workflows.stage train"
    train["deps"].insert(1, WEIGHTS.as_posix())
    del train["plots"]


def _load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((TEMPLATES / name).read_text())
    return content


def _dump(value: dict[str, Any]) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120))
