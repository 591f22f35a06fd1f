"""The forget_list stage: what it reads, writes and records."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from dvc.repo import Repo

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.identity import load_or_create_key
from dlfd_ops.data.manifest import Manifest, ManifestInfo, read_manifest, write_manifest
from dlfd_ops.data.trained_on import read_trained_on, trained_on, write_trained_on
from dlfd_ops.deletion.forget_list import read_forget_list
from dlfd_ops.errors import BadInput
from dlfd_ops.params import load_params
from dlfd_ops.workflows.forget_list import forget_list
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.requests import Wish, add_requests, withdraw

PROJECT = Path(__file__).parents[2]
PARAMS = load_params(PROJECT / "params.yaml")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC repository with ten people of one training photo each, and one more known by another name."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    Repo.init(str(tmp_path)).close()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DLFD_SECRET_KEY", raising=False)
    key = load_or_create_key()
    rows = pd.DataFrame(
        {
            "sample_id": [key.sample_id(bytes([number])) for number in range(10)],
            "path": "p",
            "subject_key": [key.subject_key(f"person {number}") for number in range(10)],
            "split": "train",
            "gender": 0,
        }
    )
    info = ManifestInfo("toy", key.key_id, 64, {"gender": ("f", "m")})
    manifest, layout = Manifest(rows, info, Path()), Layout()
    write_manifest(manifest, layout.manifest)
    write_trained_on(trained_on(manifest), layout.trained_on)
    layout.aliases.write_text(f"alias_key,subject_key\n{key.subject_key('alias')},{key.subject_key('person 3')}\n")
    return tmp_path


def ask(*names: str) -> list[str]:
    """File one request a name and return the ids."""
    return [filed.request.request_id for filed in add_requests([Wish("gdpr", subject=name) for name in names])]


def test_open_requests_become_the_forget_list(repository: Path) -> None:
    """Aliases are followed, withdrawn requests are left out, and the ledger says what was resolved."""
    kept, other, gone = ask("person 1", "alias", "person 2")
    withdraw(gone)
    resolved = forget_list(PARAMS)
    key = load_or_create_key()
    assert set(resolved.sample_ids) == {key.sample_id(b"\x01"), key.sample_id(b"\x03")}
    assert read_forget_list(Layout().forget_list) == resolved
    event = Ledger().events()[-1]
    assert (event.kind, event.data) == (
        "resolved",
        {
            "request_ids": sorted([kept, other]),
            "forget_list_digest": resolved.digest(),
            "forget_count": 2,
            "manifest_digest": read_manifest(Layout().manifest).digest(),
            "trained_on_digest": read_trained_on(Layout().trained_on).digest(),
        },
    )


def test_running_it_again_changes_nothing(repository: Path) -> None:
    """The same inputs give the same bytes and no second event."""
    ask("person 1")
    forget_list(PARAMS)
    before = (Layout().forget_list.read_bytes(), Ledger().head())
    forget_list(PARAMS)
    assert (Layout().forget_list.read_bytes(), Ledger().head()) == before


def test_a_request_for_nobody_fails_closed(repository: Path) -> None:
    """It is named, the others wait, and nothing is written or recorded."""
    _, unknown = ask("person 1", "nobody")
    with pytest.raises(BadInput, match=f"{unknown}, whose subject is not in the manifest"):
        forget_list(PARAMS)
    assert not Layout().forget_list.exists()
    assert "resolved" not in [event.kind for event in Ledger().events()]


def test_the_limit_of_the_parameters_holds(repository: Path) -> None:
    """More than forget_list.max_share of the training samples is refused."""
    ask(*(f"person {number}" for number in range(6)))
    with pytest.raises(BadInput, match="received 6 of 10"):
        forget_list(PARAMS)


def test_the_stage_reports_bad_input_in_one_line(repository: Path) -> None:
    """The pipeline file ends with status 2 and one line when every request was withdrawn."""
    withdraw(ask("person 1")[0])
    Path("params.yaml").write_bytes((PROJECT / "params.yaml").read_bytes())
    done = subprocess.run(
        [sys.executable, str(PROJECT / "pipelines/forget_list.py")],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "file one with `dlfd-ops request add`" in done.stderr
