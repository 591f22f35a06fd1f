"""A forged ledger: whoever may write the file can make a chain hold around anything."""

from __future__ import annotations

import shutil
import subprocess
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pytest
from click.testing import CliRunner
from dvc.repo import Repo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlfd_ops.audit.chain import GENESIS, Event
from dlfd_ops.audit.keyring import SIGNING_KEY_FILE, Keyring
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.cli import main
from dlfd_ops.digest import canonical_json, sha256_json
from tests.audit.conftest import REQUESTS
from tests.conftest import REPOSITORY

COMMANDS = (
    ["request", "list"],
    ["request", "show", REQUESTS[0]],
    ["audit", "report"],
    ["audit", "certificate", "--request", REQUESTS[0]],
    ["key", "rotate"],
)
FORGED: st.SearchStrategy[Any] = st.sampled_from(
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-15T00:00:00Z",
        "9999-12-31",
        "2026-01-05",
        "[/red]",
        "a\nb",
        "\u2028<b>",
        1767614400,
        -1,
        2**70,
        0.5,
        None,
        True,
        [],
        [REQUESTS[0]],
        [{}],
        {},
    ]
)


@pytest.fixture
def repository(history: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The ledger in a repository with a key in use, as the working directory."""
    root = history.path.parents[1]
    monkeypatch.chdir(root)
    subprocess.run(["git", "init", "-q"], check=True)
    Repo.init(str(root)).close()
    Keyring(root, history).signing_key()
    shutil.copy(REPOSITORY / "params.yaml", root)
    return history


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_no_command_ends_in_a_traceback(repository: Ledger, data: st.DataObject) -> None:
    """One fact of one event is exchanged or left out, and every hash is as it should be."""
    events = repository.events()
    known = {path: path.read_bytes() for path in (repository.path, SIGNING_KEY_FILE)}
    victim = data.draw(st.integers(0, len(events) - 1))
    key = data.draw(st.sampled_from(["at", *events[victim].data]))
    value = data.draw(FORGED | st.just("absent"))
    for command in COMMANDS:
        repository.path.write_bytes(_rechained(events, victim, key, value))
        result = CliRunner().invoke(main, command)
        problem = result.exception
        assert problem is None or isinstance(problem, SystemExit), "".join(traceback.format_exception(problem))
        assert result.exit_code in (0, 1, 2)
    for path, content in known.items():
        path.write_bytes(content)


def _rechained(events: Sequence[Event], victim: int, key: str, value: object) -> bytes:
    lines, previous = [], GENESIS
    for number, event in enumerate(events):
        body = asdict(event) | {"previous": previous}
        del body["hash"]
        if number == victim and key == "at":
            body["at"] = str(value)
        elif number == victim:
            body["data"] = {**event.data, key: value}
            if value == "absent":
                del body["data"][key]
        previous = sha256_json(body)
        lines.append(canonical_json(body | {"hash": previous}).encode() + b"\n")
    return b"".join(lines)
