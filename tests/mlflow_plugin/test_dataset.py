"""Data under DVC as MLflow's data sets, on real repositories."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from dvc.repo import Repo
from mlflow.data.dataset_source_registry import get_dataset_source_from_json, resolve_dataset_source
from mlflow.exceptions import MlflowException

from dlfd_ops.mlflow_plugin.dataset import DvcDatasetSource, from_dvc

Git = Callable[..., str]


def _change(root: Path) -> None:
    (root / "data/raw/c.txt").write_text("third")
    with Repo(str(root)) as repo:
        repo.add([str(root / "data/raw")])


def test_a_data_set_is_pinned_and_comes_back(
    repository: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commit and DVC's digest are recorded; later, with other data in the workspace, the same files are loaded."""
    monkeypatch.chdir(repository / "data")
    commit = git(repository, "rev-parse", "HEAD")
    dataset = from_dvc("data/raw")
    assert dataset.name == "data/raw"
    assert len(dataset.digest) == 36
    assert dataset.digest.endswith(".dir")
    assert dataset.source.to_dict() == {"path": "data/raw", "repo": None, "rev": commit, "digest": dataset.digest}
    _change(repository)
    git(repository, "commit", "--quiet", "--all", "--message", "More")
    loaded = Path(dataset.source.load(str(tmp_path / "loaded")))
    assert loaded == tmp_path / "loaded/raw"
    found = {path.relative_to(loaded).as_posix(): path.read_text() for path in loaded.rglob("*") if path.is_file()}
    assert found == {"a.txt": "first", "inner/b.txt": "second"}
    assert from_dvc("data/raw").digest != dataset.digest
    assert from_dvc("data/raw", rev=commit).digest == dataset.digest


def test_mlflow_keeps_and_reads_the_source(repository: Path, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logged as an input, read back from the store, loaded: a run's data are found from the run alone."""
    monkeypatch.chdir(repository)
    mlflow.log_input(from_dvc("data/labels.csv", name="labels"), context="training")
    inputs = mlflow.get_run(run_id).inputs
    assert inputs is not None
    logged = inputs.dataset_inputs[0].dataset
    assert (logged.name, logged.source_type) == ("labels", "dvc")
    source = mlflow.data.get_source(logged)
    assert isinstance(source, DvcDatasetSource)
    assert Path(source.load()).read_text() == "image,label\n"


def test_a_uri_names_the_data(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``dvc://`` resolves from elsewhere, with a repository and a revision, and its own URI resolves to the same."""
    monkeypatch.chdir(tmp_path)
    source = resolve_dataset_source(f"dvc://data/raw?repo={repository}&rev=HEAD")
    assert isinstance(source, DvcDatasetSource)
    again = resolve_dataset_source(source.uri)
    assert again.to_dict() == source.to_dict()
    assert sorted(path.name for path in Path(again.load()).iterdir()) == ["a.txt", "inner"]


def test_lost_cache_is_fetched_from_the_remote(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the cache lost comes from the DVC remote; without both there is one line, and nothing half there."""
    monkeypatch.chdir(repository)
    source = from_dvc("data/raw").source
    with Repo(str(repository)) as repo:
        repo.push()
    shutil.rmtree(repository / ".dvc/cache")
    shutil.rmtree(repository / "data/raw")
    target = repository.parent / "elsewhere"
    assert (Path(source.load(str(target))) / "a.txt").read_text() == "first"
    shutil.rmtree(repository.parent / "remote")
    with pytest.raises(MlflowException, match="must be reachable through DVC") as caught:
        source.load(str(repository.parent / "nowhere"))
    assert "\n" not in str(caught.value)
    assert list((repository.parent / "nowhere").iterdir()) == []


def test_what_is_not_committed_is_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recording the last commit's digest for other data would be a false lineage."""
    monkeypatch.chdir(repository)
    _change(repository)
    with pytest.raises(MlflowException, match="must be committed"):
        from_dvc("data/raw")


def test_a_record_that_was_changed_is_refused(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A digest that the commit does not hold loads nothing."""
    monkeypatch.chdir(repository)
    fields = from_dvc("data/raw").source.to_dict() | {"digest": f"{'0' * 32}.dir"}
    with pytest.raises(MlflowException, match="recorded digest"):
        DvcDatasetSource.from_dict(fields).load(str(tmp_path / "loaded"))
    assert not (tmp_path / "loaded").exists()


def test_nothing_is_overwritten(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second load into one folder is refused, and the first stays."""
    monkeypatch.chdir(repository)
    source = from_dvc("data/labels.csv").source
    first = Path(source.load(str(tmp_path / "loaded")))
    first.write_text("mine")
    with pytest.raises(MlflowException, match="must not stand in the folder"):
        source.load(str(tmp_path / "loaded"))
    assert first.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"path": "data/none"}, "reachable through DVC"),
        ({"path": "notes.txt"}, "that DVC tracks as a whole"),
        ({"path": "data"}, "that DVC tracks as a whole"),
        ({"path": "data/raw", "rev": "no-such-tag"}, "reachable through DVC"),
        ({"path": "data/raw", "repo": "no/such/folder"}, "reachable through DVC"),
        ({"path": "../faces/data/raw"}, "inside the repository"),
        ({"path": "/etc/passwd"}, "inside the repository"),
        ({"path": ""}, "path"),
        ({"path": "data/raw", "repo": "https://user:secret@example.org/faces"}, "without user and password"),
        ({"path": "data/raw", "repo": "https://token@example.org/faces"}, "without user and password"),
        ({"path": "data/raw", "repo": "ext::sh -c true"}, "must be a URL or a folder"),
        ({"path": "data/raw", "repo": "--upload-pack=true"}, "must be a URL or a folder"),
    ],
)
def test_bad_names_are_one_line(
    repository: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], line: str
) -> None:
    """Unknown paths, revisions and repositories, escapes, secrets and commands: MLflow's exception with one line."""
    monkeypatch.chdir(repository)
    with pytest.raises(MlflowException, match=line) as caught:
        from_dvc(**arguments)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "token" not in str(caught.value)


@pytest.mark.parametrize("query", ["rev=a&rev=b", "branch=main"])
def test_an_unknown_question_is_refused(query: str) -> None:
    """The URI takes a repository and a revision, each once."""
    with pytest.raises(MlflowException, match="takes repo and rev"):
        DvcDatasetSource._resolve(f"dvc://data/raw?{query}")


def test_outside_of_a_repository_one_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line says how."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MlflowException, match="name it with repo="):
        from_dvc("data/raw")


@pytest.mark.parametrize(
    "source", ['{"path": "a"}', '{"path": "a", "repo": null, "rev": "HEAD", "digest": "x", "more": 1}', '{"path": 1}']
)
def test_a_source_of_another_form_is_refused(source: str) -> None:
    """What a tracking server says is checked before it is used."""
    with pytest.raises(MlflowException, match="named by path, repo, rev and digest"):
        get_dataset_source_from_json(source, "dvc")
