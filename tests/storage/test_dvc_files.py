"""Adding files to a real DVC repository."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from dlfd_ops.errors import BadInput
from dlfd_ops.storage.dvc_files import freeze, require_repository, track

PROJECT = Path(__file__).parents[2]
FILE = Path("deletion/requests.csv")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A fresh git and DVC repository with one file."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    Repo.init(str(tmp_path)).close()
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_text("one\n")
    return tmp_path


def test_a_tracked_file_comes_back_on_checkout(repository: Path) -> None:
    """Its content is in the cache, git ignores it, and a second call with new content tracks that."""
    track([FILE], repository)
    replacement = repository / "new"
    replacement.write_text("two\n")
    replacement.replace(repository / FILE)
    track([FILE], repository)
    (repository / FILE).unlink()
    with Repo(str(repository)) as repo:
        repo.checkout([str(repository / FILE)])
        assert repo.status() == {}
    assert (repository / FILE).read_text() == "two\n"
    assert (repository / "deletion/.gitignore").read_text() == "/requests.csv\n"


def test_the_file_itself_is_never_touched(repository: Path) -> None:
    """It stays the same file: at no moment is it missing, so that a killed run cannot lose it."""
    before = (repository / FILE).stat()
    track([FILE], repository)
    after = (repository / FILE).stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_nlink) == (before.st_ino, before.st_mtime_ns, 1)


@pytest.mark.parametrize("notes", ["", '{"write": {"/a": {"pid": 1'])
def test_what_a_killed_run_left_half_written_is_mended(repository: Path, notes: str) -> None:
    """An empty pointer, or a lock file of DVC that is empty or cut off, does not stop the next run."""
    track([FILE], repository)
    pointer = (repository / "deletion/requests.csv.dvc").read_text()
    (repository / "deletion/requests.csv.dvc").write_text("")
    (repository / ".dvc/tmp/rwlock").write_text(notes)
    track([FILE], repository)
    assert (repository / "deletion/requests.csv.dvc").read_text() == pointer


def test_dvc_never_sees_the_command_line(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC notes the command line in its lock file: what it notes holds no argument, and ours are back afterwards."""
    seen: list[bytes] = []

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        lock = repository / ".dvc/tmp/rwlock"
        if watching and event == "open" and arguments[0] == str(repository / FILE):
            seen.append(lock.read_bytes())

    monkeypatch.setattr(sys, "argv", ["dlfd-ops", "request", "add", "--subject", "Jane Doe"])
    watching = True
    sys.addaudithook(watch)
    track([FILE], repository)
    watching = False
    assert any(b'"cmd": "dlfd-ops"' in content for content in seen)
    assert not any(b"Jane" in content for content in seen)
    assert sys.argv[-1] == "Jane Doe"


def test_a_folder_without_dvc_is_bad_input(tmp_path: Path) -> None:
    """The message says where the command must run."""
    with pytest.raises(BadInput, match="run `dvc init`"):
        require_repository(tmp_path)
    with pytest.raises(BadInput, match="run `dvc init`"):
        track([FILE], tmp_path)


def test_the_folder_above_a_pipeline_is_not_its_own(repository: Path) -> None:
    """A request that is filed there would be answered by nobody; the folder that `init` made is named."""
    (repository / "dvc.yaml").unlink(missing_ok=True)
    below = repository / "privacy/dlfd"
    below.mkdir(parents=True)
    (below / "dvc.yaml").write_text("stages:\n  train:\n    cmd: a\n")
    (below / "params.yaml").touch()
    require_repository(repository)
    (below / "dvc.yaml").write_text("stages:\n  forget_list:\n    cmd: a\n")
    require_repository(below)
    with pytest.raises(BadInput, match="a folder above it; change to privacy/dlfd"):
        require_repository(repository)


def test_what_dvc_refuses_is_bad_input(repository: Path) -> None:
    """A missing file is told in one line with the remedy."""
    with pytest.raises(BadInput, match="DVC must be able to add") as caught:
        track([Path("deletion/missing.csv")], repository)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["stages:\n  train:\n    cmd: a\n  other:\n    cmd: b # train:\n", None])
def test_freezing_adds_one_line(tmp_path: Path, text: str | None) -> None:
    """Comments, order and variables stay, only once, and DVC reads it; another stage is none of its business."""
    (tmp_path / "dvc.yaml").write_text(text or (PROJECT / "dvc.yaml").read_text())
    before = (tmp_path / "dvc.yaml").read_text()
    assert freeze("train", tmp_path)
    assert not freeze("train", tmp_path)
    assert not freeze("absent", tmp_path)
    after = (tmp_path / "dvc.yaml").read_text()
    assert after.replace("    frozen: true\n", "", 1) == before
    assert yaml.safe_load(after)["stages"]["train"]["frozen"] is True


@pytest.mark.parametrize("text", ["", "stages: [train]\n", "stages: {train: {cmd: a}}\n", ":\n  - ]"])
def test_a_pipeline_of_another_layout_is_not_touched(tmp_path: Path, text: str) -> None:
    """One line says what to write by hand."""
    (tmp_path / "dvc.yaml").write_text(text)
    with pytest.raises(BadInput, match="frozen: true"):
        freeze("train", tmp_path)
    assert (tmp_path / "dvc.yaml").read_text() == text
