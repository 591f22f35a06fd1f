"""Tags of the DVC repository on any run."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.mlflow_plugin import context
from dlfd_ops.mlflow_plugin.context import DvcRunContext

Git = Callable[..., str]


def _received(number: int) -> dict[str, Any]:
    return {
        "request_id": f"req-{number:012x}",
        "key_id": "0" * 16,
        "legal_basis": "gdpr",
        "received_at": "2026-01-05T12:00:00Z",
        "due_at": "2026-02-05",
        "target": "subject",
    }


def test_a_run_inside_says_commit_lock_and_open_requests(
    repository: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From any folder inside; the closed request is left out, and the lock's digest is sha256sum's."""
    (repository / "dvc.lock").write_text("schema: '2.0'\n")
    ledger = Ledger(repository / "audit/ledger.jsonl")
    ledger.append_all([("received", _received(number)) for number in (2, 1, 3)])
    ledger.append("withdrawn", {"request_id": f"req-{3:012x}"})
    monkeypatch.chdir(repository / "data/raw/inner")
    provider = DvcRunContext()
    assert provider.in_context()
    assert provider.tags() == {
        "dlfd.git_commit": git(repository, "rev-parse", "HEAD"),
        "dlfd.dvc_lock_sha256": hashlib.sha256(b"schema: '2.0'\n").hexdigest(),
        "dlfd.open_request_ids": "req-000000000001,req-000000000002",
    }
    ledger.append("withdrawn", {"request_id": f"req-{1:012x}"})
    assert provider.tags()["dlfd.open_request_ids"] == "req-000000000002"


def test_nothing_personal_is_recorded(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No path, no user, no author: only digests and ids."""
    monkeypatch.chdir(repository)
    text = str(DvcRunContext().tags())
    assert not [word for word in (str(repository), repository.name, "Test", "example.org") if word in text]


def test_many_requests_fit_a_tag(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above MLflow's limit the tag states how many there are, and a digest."""
    Ledger(repository / "audit/ledger.jsonl").append_all([("received", _received(number)) for number in range(1000)])
    monkeypatch.chdir(repository)
    tag = DvcRunContext().tags()["dlfd.open_request_ids"]
    assert tag.startswith("1000 requests, sha256:")
    assert len(tag) < context.MAX_TAG_LENGTH


def test_outside_there_is_nothing_and_nothing_is_loaded(tmp_path: Path) -> None:
    """A look at the folders above, no DVC, no torch, no process of git: a run outside must not become slower."""
    code = (
        "import sys\nstarted = []\nfrom dlfd_ops.mlflow_plugin.context import DvcRunContext\n"
        "sys.addaudithook(lambda event, _: started.append(event) if event == 'subprocess.Popen' else None)\n"
        "provider = DvcRunContext()\n"
        "print(provider.in_context(), provider.tags(), started, sorted({'torch', 'dvc'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "False {} [] []\n"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b'{"seq": 1}\n', b"{}\n{}\n"])
def test_a_damaged_ledger_costs_a_tag_and_no_more(
    repository: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """What can't be read has no tag, and the others stand."""
    (repository / "audit").mkdir()
    (repository / "audit/ledger.jsonl").write_bytes(content)
    monkeypatch.chdir(repository)
    assert set(DvcRunContext().tags()) == {"dlfd.git_commit"}


def test_without_a_commit_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DVC repository without git, or with an empty one."""
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert DvcRunContext().in_context()
    assert DvcRunContext().tags() == {}


def test_a_vanished_working_directory_is_no_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder that the process stands in was removed: no error."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        assert not DvcRunContext().in_context()
        assert DvcRunContext().tags() == {}
    finally:
        monkeypatch.chdir(tmp_path)
