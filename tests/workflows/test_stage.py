"""How a stage ends: a user's error and a failure of the machine are one line."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import yaml

from dlfd_ops.errors import BadInput
from dlfd_ops.models.checkpoint import save_weights
from dlfd_ops.params import Params
from dlfd_ops.workflows.stage import run_stage

REPOSITORY = Path(__file__).resolve().parents[2]


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file grow beyond a kilobyte inside the block."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stage that can't write says so and exits with 2."""
    monkeypatch.chdir(REPOSITORY)

    def stage(params: Params) -> None:
        with full_disk():
            (tmp_path / "file").write_bytes(bytes(5000))

    with pytest.raises(SystemExit) as ended:
        run_stage(stage)
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "error: files must be readable and writable; received File too large; check the disk\n"
    )


def test_what_a_stage_says_is_heard(tmp_path: Path) -> None:
    """Also where a library that its workflow imports has set up the root logger for itself, as MLflow's does."""
    code = (
        "import logging, dlfd_ops.workflows.register\n"
        "from dlfd_ops.workflows.stage import run_stage\n"
        "run_stage(lambda params: logging.getLogger('dlfd_ops.workflows.register').info('gate passed'))"
    )
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stderr.splitlines()[-1] == "gate passed"


def test_a_stage_that_is_stopped_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and the status that a shell gives to an interrupted command."""
    monkeypatch.chdir(REPOSITORY)

    def stage(params: Params) -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run_stage(stage)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted; run it again to go on\n"


def test_weights_that_do_not_fit_on_the_disk_are_bad_input(tmp_path: Path) -> None:
    """Safetensors' own error becomes ours, and nothing half written stays."""
    with full_disk(), pytest.raises(BadInput, match="must be writable"):
        save_weights({"weight": torch.zeros(5000)}, tmp_path / "weights.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("pipeline", "stage"),
    [("dvc.yaml", "train"), ("dvc.yaml", "unlearn"), ("pipelines/benchmark/dvc.yaml", "retrain")],
)
def test_a_launched_stage_tells_an_error_once(pipeline: str, stage: str, tmp_path: Path) -> None:
    """The launcher does not add a traceback of its own to the one line of a user's error."""
    for name in ("pipelines", "configs"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    params["train"]["epochs"] = 0
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    command = yaml.safe_load((REPOSITORY / pipeline).read_text())["stages"][stage]["cmd"].replace("\\$", "$")
    done = subprocess.run(
        command,
        shell=True,
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode != 0
    (line,) = (line for line in done.stderr.splitlines() if line)
    assert line.startswith("error: ")
    assert "train.epochs" in line
