"""Looking into a DVC store object by object."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo

from dlfd_ops.errors import BadInput
from dlfd_ops.storage.history import read_history
from dlfd_ops.storage.repository import locked_repository


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A Git and DVC repository with a tracked folder and an empty remote."""
    root = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    Repo.init(str(root)).close()
    (tmp_path / "disk").mkdir()
    (root / ".dvc/config").write_text(
        f"[core]\n    remote = disk\n    site_cache_dir = {tmp_path}/site\n"
        f"['remote \"disk\"']\n    url = {tmp_path}/disk\n"
    )
    (root / "data").mkdir()
    for name in "ab":
        (root / "data" / name).write_text(name)
    with Repo(str(root)) as repo:
        repo.add([str(root / "data")])
        repo.push()
    return root


def commit(root: Path, message: str) -> str:
    """Commit everything; returns the commit."""
    run = ["git", "-C", str(root), "-c", "user.name=T", "-c", "user.email=t@example.org"]
    subprocess.run([*run, "add", "--all"], check=True)
    subprocess.run([*run, "commit", "-qm", message], check=True)
    return subprocess.run([*run, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def test_a_look_finds_every_object_and_what_listings_name(repository: Path) -> None:
    """Cache and remote hold the same two files and one listing."""
    with locked_repository(repository) as opened:
        for store in (opened.cache(), *opened.remotes().stores):
            contents = store.look()
            assert len(contents.objects) == 3
            listing = store.read_listing(contents.objects[contents.listings[0]][0])
            assert set(listing) == {"a", "b"}
            assert set(listing.values()) < set(contents.objects)


def test_removing_is_repeatable(repository: Path) -> None:
    """An object that is gone is no error."""
    with locked_repository(repository) as opened:
        store = opened.remotes().stores[0]
        path = next(iter(store.look().objects.values()))[0]
        store.remove([path])
        store.remove([path])
        assert len(store.look().objects) == 2


def test_a_remote_that_is_not_mounted_is_no_empty_one(repository: Path) -> None:
    """Its folder is not there: what it holds is unknown."""
    (repository.parent / "disk").rename(repository.parent / "away")
    with locked_repository(repository) as opened, pytest.raises(BadInput, match="DVC remote disk must be readable"):
        opened.remotes().stores[0].look()


def test_a_damaged_listing_is_bad_input(repository: Path) -> None:
    """It may name what is to be erased."""
    with locked_repository(repository) as opened:
        cache = opened.cache()
        contents = cache.look()
        path = Path(contents.objects[contents.listings[0]][0])
        path.chmod(0o644)
        path.write_text(json.dumps({"not": "a listing"}))
        with pytest.raises(BadInput, match="every listing"):
            cache.read_listing(str(path))


def test_a_running_stage_stops_it(repository: Path) -> None:
    """DVC lets go of its lock while a stage's command runs, and notes the process."""
    (repository / ".dvc/tmp/rwlock").write_text(json.dumps({"write": {"data": {"pid": 1, "cmd": "dvc repro"}}}))
    with pytest.raises(BadInput, match="no stage may run"), locked_repository(repository):
        pass


def test_history_tells_which_revisions_record_a_content(repository: Path) -> None:
    """Those of the pointer at the time, on whatever branch."""
    first = commit(repository, "one")
    with locked_repository(repository) as opened:
        before = opened.outputs()[opened.root / "data"]
    (repository / "data/b").unlink()
    with locked_repository(repository) as opened:
        opened.record([opened.root / "data"])
        opened.refresh()
        after = opened.outputs()[opened.root / "data"]
    second = commit(repository, "two")
    history = read_history(repository)
    assert history.recording([before]) == [first]
    assert history.recording([after]) == [second]
    assert before != after
