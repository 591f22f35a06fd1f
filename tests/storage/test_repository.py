"""Recording in a real DVC repository that data were taken out, and what a killed command leaves of it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from dlfd_ops.errors import BadInput
from dlfd_ops.files import write_text
from dlfd_ops.storage.history import read_history, was_committed
from dlfd_ops.storage.refusals import refusals
from dlfd_ops.storage.repository import locked_repository

NOBODY = 2**22 + 1
"""Beyond the highest process id that Linux gives."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a tracked file, and a stage that copies it."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "raw.txt").write_text("everybody\n")
    (tmp_path / "copy.txt").write_text("everybody\n")
    stage = {"cmd": "cp raw.txt copy.txt", "deps": ["raw.txt"], "outs": ["copy.txt"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"copy": stage}}))
    with Repo.init(str(tmp_path)) as repo:
        repo.add(["raw.txt"])
        repo.commit(force=True)
    return tmp_path


def take_out(root: Path) -> None:
    """Write both files without somebody, and record it."""
    for name in ("raw.txt", "copy.txt"):
        write_text(root / name, "others\n")
    with locked_repository(root) as repository:
        before = repository.recorded_dependencies([root / "raw.txt"])
        repository.record([root / "raw.txt", root / "copy.txt"])
        repository.accept(before, root)


def test_what_was_taken_out_is_recorded(repository: Path) -> None:
    """DVC has nothing to run again, and nothing but the pointers is left beside them."""
    files = {path.name for path in repository.iterdir()}
    take_out(repository)
    with Repo(str(repository)) as repo:
        assert repo.status() == {}
    assert {path.name for path in repository.iterdir()} == files


@pytest.mark.parametrize("name", ["raw.txt.dvc", "dvc.lock"])
def test_a_pointer_is_replaced_and_never_written_into(repository: Path, name: str) -> None:
    """Killed at any moment, a run leaves the old pointer or the new one."""
    pointer, kept = repository / name, repository / "kept"
    before = pointer.read_text()
    os.link(pointer, kept)
    take_out(repository)
    assert kept.read_text() == before
    assert pointer.read_text() != before


def test_what_a_killed_run_left_beside_a_pointer_goes(repository: Path) -> None:
    """It records what was there before."""
    files = {path.name for path in repository.iterdir()}
    for name in ("raw.txt.dvc", "dvc.lock"):
        (repository / f".{name}.killed.tmp").write_bytes((repository / name).read_bytes())
    take_out(repository)
    assert {path.name for path in repository.iterdir()} == files


@pytest.mark.parametrize(
    "content",
    [b"schema: '2.0'\nstages:\n  copy:\n    cm", b"schema: '2.0'\nstages:\n  copy: {cmd: 2020-99-99}\n", b"\xff"],
    ids=["cut off", "an impossible date", "no text"],
)
def test_a_pointer_that_cannot_be_read_is_bad_input(repository: Path, content: bytes) -> None:
    """As a killed ``dvc repro`` leaves it; the message names the remedy."""
    (repository / "dvc.lock").write_bytes(content)
    with pytest.raises(BadInput, match="restore that file from git") as caught:
        take_out(repository)
    assert "\n" not in str(caught.value)


def test_a_pointer_keeps_its_mode_and_stays_a_link(repository: Path) -> None:
    """What others may do with it is not ours to change."""
    (repository / "dvc.lock").rename(repository / "elsewhere.lock")
    (repository / "dvc.lock").symlink_to("elsewhere.lock")
    (repository / "elsewhere.lock").chmod(0o664)
    take_out(repository)
    assert (repository / "dvc.lock").is_symlink()
    assert stat.S_IMODE((repository / "elsewhere.lock").stat().st_mode) == 0o664


@pytest.mark.parametrize(
    "notes",
    [
        "",
        f'{{"write": {{"/a": {{"pid": {NOBODY}',
        '{"write": {"/a": {"pid": 1',
        '{"pid": 1' + "0" * 5000 + ', "cmd": ""}',
        "\udcff",
    ],
    ids=["nothing", "half", "half a number", "no process's", "no text"],
)
def test_what_a_killed_command_noted_does_not_stop_the_next(repository: Path, notes: str) -> None:
    """Nothing at all, half of it, half a number, one that no process has, or no text."""
    (repository / ".dvc/tmp/rwlock").write_text(notes, errors="surrogateescape")
    take_out(repository)


def test_a_stage_that_runs_stops_it(repository: Path) -> None:
    """Its notes stay."""
    note = {"write": {"/a": {"pid": os.getppid(), "cmd": "dvc repro"}}}
    (repository / ".dvc/tmp/rwlock").write_text(json.dumps(note))
    with pytest.raises(BadInput, match="no stage may run"):
        take_out(repository)
    assert json.loads((repository / ".dvc/tmp/rwlock").read_text()) == note


def test_a_folder_that_dvc_refuses_is_told_without_its_name(repository: Path) -> None:
    """DVC's own text names the path, and the folder of a person's photos may be named by the person."""
    folder = repository / "photos" / "Jane_Doe"
    folder.mkdir(parents=True)
    (folder / ".dvcignore").touch()
    with (
        pytest.raises(BadInput, match="received IgnoreInCollectedDirError") as caught,
        refusals("track the photos"),
        Repo(str(repository)) as repo,
    ):
        repo.add([str(repository / "photos")])
    assert "Jane" not in str(caught.value)


def test_a_store_that_was_committed_is_found(repository: Path) -> None:
    """In any revision, though the file is gone since."""
    run = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    (repository / "mlflow.db").touch()
    for command in (["add", "."], ["commit", "-qm", "x"], ["rm", "-q", "mlflow.db"], ["commit", "-qm", "y"]):
        assert not was_committed(repository, ("mlartifacts",))
        subprocess.run([*run, *command], cwd=repository, check=True)
    assert was_committed(repository, ("mlflow.db", "mlartifacts"))


def test_a_pointer_named_with_another_end_of_line_is_read(repository: Path) -> None:
    """Python takes more characters for ends of lines than git does."""
    (repository / "photo\u2028s.dvc").write_text((repository / "raw.txt.dvc").read_text())
    for command in (["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=repository, check=True)
    history = read_history(repository)
    assert repository / "photo\u2028s.dvc" in history.pointers
