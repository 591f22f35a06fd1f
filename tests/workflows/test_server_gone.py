"""A real MLflow server that goes away in the middle of a registration or a promotion, and comes back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.errors import BadInput
from dlfd_ops.tracking.store import open_store
from dlfd_ops.workflows.audit_material import compare_parts
from dlfd_ops.workflows.promote import promote
from dlfd_ops.workflows.register import register
from tests.workflows.test_register import MODEL, make_repository, small_params

START_SECONDS = 400


class Server:
    """An MLflow server that can be killed and started again on the same data.

    Args:
        folder: where its database and artifacts lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        stores = ["--backend-store-uri", f"sqlite:///{self._folder}/server.db"]
        stores += ["--artifacts-destination", str(self._folder / "artifacts")]
        network = ["--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"]
        log = (self._folder / "server.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *stores, *network],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "server.log").read_text()
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.2)

    def kill(self) -> None:
        """End it without warning, with its workers."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server in use, as ``MLFLOW_TRACKING_URI`` names it; MLflow gives up on it soon.

    Three retries, as connections that a busy machine left idle for too long take one each.
    """
    (tmp_path / "server").mkdir()
    server = Server(tmp_path / "server")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    monkeypatch.setenv("DLFD_ACTOR", "model-owner")
    server.start()
    try:
        yield server
    finally:
        server.kill()


def gone_at(server: Server, method: str, run: Callable[[], object], *, answered: bool = False, call: int = 1) -> None:
    """Run something whose server is killed at a call of MLflow's client, before it or after its answer.

    It must end in one line that names the store, and the server is back afterwards.
    """
    original: Callable[..., Any] = getattr(MlflowClient, method)
    calls = 0

    def interrupted(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != call:
            return original(*arguments, **named)
        if answered:
            answer = original(*arguments, **named)
            server.kill()
            return answer
        server.kill()
        return original(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MlflowClient, method, interrupted)
        with pytest.raises(BadInput, match="the MLflow store http://127") as caught:
            run()
    assert "\n" not in str(caught.value)
    assert calls == call, repr(caught.value.__cause__)
    server.start()


@pytest.mark.slow
def test_register_and_promote_resume_to_one_version_and_one_event(server: Server, tmp_path: Path) -> None:
    """Killed in an upload, before a version, after it, before and after the alias: each runs on where it was."""
    root = make_repository(tmp_path / "repository")
    params = small_params()

    def kinds() -> list[str]:
        events = Ledger(root / "audit/ledger.jsonl").events()
        return [event.kind for event in events if event.kind in ("registered", "gated", "promoted")]

    gone_at(server, "log_model_artifacts", lambda: register(params, root))
    gone_at(server, "create_model_version", lambda: register(params, root), call=1)
    gone_at(server, "create_model_version", lambda: register(params, root), call=2, answered=True)
    assert kinds() == []
    receipt = register(params, root)
    assert (receipt.original_version, receipt.version) == (1, 2)
    store = open_store(root)
    assert len(store.client.search_model_versions(f"name = '{MODEL}'")) == 2
    assert len(store.client.search_logged_models([store.experiment_id("dlfd-tiny")])) == 2
    assert kinds() == ["registered", "gated"]

    gone_at(server, "set_registered_model_alias", lambda: promote(params, root))
    assert kinds() == ["registered", "gated"]
    gone_at(server, "set_registered_model_alias", lambda: promote(params, root), answered=True)
    assert kinds() == ["registered", "gated"]
    assert promote(params, root).moved.changed
    assert not promote(params, root).moved.changed
    assert kinds() == ["registered", "gated", "promoted"]
    assert compare_parts(root)["registry"].findings == ()
