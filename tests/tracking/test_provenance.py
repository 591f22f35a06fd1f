"""Where a model comes from."""

from __future__ import annotations

import copy
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from git import Repo

from dlfd_ops.errors import BadInput
from dlfd_ops.tracking.provenance import UNKNOWN, UPSTREAM, data_digest, lock_digest, read_provenance

MD5 = "0123456789abcdef0123456789abcdef"
LOCK: dict[str, Any] = {
    "schema": "2.0",
    "stages": {
        "prepare": {
            "cmd": "python pipelines/prepare.py",
            "deps": [
                {"path": "../faces/utkface", "hash": "md5", "md5": f"{MD5}.dir", "size": 12, "nfiles": 3},
                {"path": "dlfd_ops/data", "hash": "md5", "md5": "b" * 32 + ".dir", "size": 1},
            ],
            "params": {"params.yaml": {"prepare.source": "utkface"}},
            "outs": [{"path": "data/prepared", "hash": "md5", "md5": "c" * 32 + ".dir"}],
        },
        "train": {"cmd": "x", "outs": [{"path": "models/original", "hash": "md5", "md5": "d" * 32 + ".dir"}]},
        "register": {"cmd": "x", "outs": [{"path": "registry/version.json", "md5": "e" * 32}]},
    },
}


def write_lock(root: Path, lock: dict[str, Any]) -> None:
    """Write ``dvc.lock``."""
    (root / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    """A git repository with one commit of a code file and a generated file."""
    (tmp_path / "code.py").write_text("a = 1\n")
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    with Repo.init(tmp_path) as repository:
        repository.index.add(["code.py", "dvc.lock"])
        repository.index.commit("Begin")
    return tmp_path


def test_commit_is_that_of_the_head(committed: Path) -> None:
    """The commit is the one that git names, and an untouched tree is clean."""
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=committed,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    found = read_provenance(committed, "register")
    assert (found.git_commit, found.git_dirty) == (head, "false")


def test_changed_code_is_dirty(committed: Path) -> None:
    """A change of a tracked file is stated."""
    (committed / "code.py").write_text("a = 2\n")
    assert read_provenance(committed, "register").git_dirty == "true"


def test_what_the_pipeline_writes_is_not_dirty(committed: Path) -> None:
    """A running pipeline always changes dvc.lock; that says nothing about the code."""
    write_lock(committed, LOCK)
    assert read_provenance(committed, "register").git_dirty == "false"


def test_project_in_a_subfolder_of_a_repository(committed: Path) -> None:
    """Generated files are recognised relative to the project, not to the top of the git repository."""
    project = committed / "project"
    project.mkdir()
    (project / "dvc.lock").write_text("schema: '2.0'\n")
    with Repo(committed) as repository:
        repository.index.add(["project/dvc.lock"])
        repository.index.commit("Add a project")
    write_lock(project, LOCK)
    assert read_provenance(project, "register").git_dirty == "false"


def test_without_git_and_dvc_everything_is_stated_as_unknown(tmp_path: Path) -> None:
    """Outside of any repository nothing is guessed."""
    found = read_provenance(tmp_path, "register")
    assert found.tags() == {
        "dlfd.git_commit": UNKNOWN,
        "dlfd.git_dirty": UNKNOWN,
        "dlfd.dvc_lock_digest": UNKNOWN,
    }
    assert data_digest(tmp_path, "data/raw") == UNKNOWN


def test_repository_without_a_commit_is_unknown(tmp_path: Path) -> None:
    """A repository that holds no commit yet has no commit to name."""
    Repo.init(tmp_path).close()
    assert read_provenance(tmp_path, "train").git_commit == UNKNOWN


def test_lock_digest_ignores_order_and_stages_below(tmp_path: Path) -> None:
    """The digest is the same before and after register ends, however the file is ordered."""
    write_lock(tmp_path, LOCK)
    before = lock_digest(tmp_path, UPSTREAM["register"])
    other = copy.deepcopy(LOCK)
    other["stages"] = dict(reversed(other["stages"].items()))
    other["stages"]["prepare"]["deps"].reverse()
    del other["stages"]["register"]
    write_lock(tmp_path, other)
    assert lock_digest(tmp_path, UPSTREAM["register"]) == before


@pytest.mark.parametrize("change", ["params", "deps", "outs"])
def test_lock_digest_covers_params_dependencies_and_outputs(tmp_path: Path, change: str) -> None:
    """Whatever DVC recorded upstream changes the digest."""
    write_lock(tmp_path, LOCK)
    before = lock_digest(tmp_path, UPSTREAM["register"])
    other = copy.deepcopy(LOCK)
    if change == "params":
        other["stages"]["prepare"]["params"]["params.yaml"]["prepare.source"] = "lfw"
    else:
        other["stages"]["prepare"][change][0]["md5"] = "f" * 32
    write_lock(tmp_path, other)
    assert lock_digest(tmp_path, UPSTREAM["register"]) != before


def test_lock_digest_of_train_does_not_depend_on_train(tmp_path: Path) -> None:
    """A stage's run is known by what came before it: an old entry of the stage itself is left out."""
    write_lock(tmp_path, LOCK)
    before = lock_digest(tmp_path, UPSTREAM["train"])
    other = copy.deepcopy(LOCK)
    del other["stages"]["train"]
    write_lock(tmp_path, other)
    assert lock_digest(tmp_path, UPSTREAM["train"]) == before


def test_data_digest_comes_from_the_pointer_file(tmp_path: Path) -> None:
    """Data that were added to DVC are known by their .dvc file."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/raw.dvc").write_text(f"outs:\n- md5: {MD5}.dir\n  size: 1\n  path: raw\n")
    write_lock(tmp_path, LOCK)
    assert data_digest(tmp_path, "data/raw/") == f"{MD5}.dir"


def test_data_digest_comes_from_the_dependency_of_prepare(tmp_path: Path) -> None:
    """A data set outside of the repository is known as a dependency of the prepare stage."""
    write_lock(tmp_path, LOCK)
    assert data_digest(tmp_path, "../faces/./utkface/") == f"{MD5}.dir"


def test_data_digest_falls_back_on_the_prepared_images(tmp_path: Path) -> None:
    """Without either, what prepare wrote stands for the data."""
    write_lock(tmp_path, LOCK)
    assert data_digest(tmp_path, "somewhere/else") == "c" * 32 + ".dir"


@pytest.mark.parametrize(
    "content",
    [
        "[1, 2",
        "- a\n- b\n",
        "stages: 7\n",
        "stages: {prepare: 3}\n",
        "stages: {prepare: {deps: [1]}}\n",
        "\x00",
        "\xff",
    ],
)
def test_damaged_lock_is_bad_input(tmp_path: Path, content: str) -> None:
    """A dvc.lock that DVC did not write is an error in one line."""
    (tmp_path / "dvc.lock").write_bytes(content.encode("latin-1"))
    with pytest.raises(BadInput, match=r"as DVC writes it"):
        lock_digest(tmp_path, UPSTREAM["register"])
