"""A server, or a proxy before it, that refuses to take or give the files of a model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dlfd_ops.errors import BadInput
from dlfd_ops.tracking.serving import download_checkpoint, served_model
from dlfd_ops.tracking.store import Store, open_store

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
PAGE = b"<html><body>nginx\nsays no</body></html>"


@contextmanager
def server(status: int) -> Iterator[str]:
    """Run an HTTP server that answers everything about artifacts with ``status``; yields its address."""

    class Refusal(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)

        do_GET = do_PUT = answer  # noqa: N815  the names that http.server looks for

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def with_version(repository: Path, address: str) -> Store:
    """Return the repository's store with version 1 of ``face``, whose files lie behind ``address``."""
    store = open_store(repository)
    store.client.create_registered_model("face")
    store.client.create_model_version("face", source=f"{address}{ARTIFACTS}/face")
    return store


READERS: list[Callable[[Store, Path], object]] = [
    lambda store, _: served_model(store, "face", 1, "model.pt2"),
    lambda store, folder: download_checkpoint(store, "face", 1, folder),
]


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(401, "credentials"), (403, "an account"), (413, "larger files"), (418, "what stands before")],
)
def test_a_refused_upload_is_one_line(status: int, remedy: str, repository: Path) -> None:
    """It names the status and what to do, and holds nothing of the page that the proxy sent along."""
    (repository / "model.pt2").write_bytes(b"weights")
    store = open_store(repository)
    with server(status) as address:
        experiment = store.client.create_experiment("proxied", artifact_location=f"{address}{ARTIFACTS}")
        run = store.client.create_run(experiment)
        with pytest.raises(BadInput) as raised, store.answering():
            store.client.log_artifact(run.info.run_id, str(repository / "model.pt2"))
    assert f"received HTTP {status}" in str(raised.value)
    assert remedy in str(raised.value)
    assert "nginx" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("read", READERS, ids=["served", "checkpoint"])
def test_files_that_may_not_be_read_are_not_taken_for_missing(
    read: Callable[[Store, Path], object], repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An auditor without the right to read must not report that the model is gone."""
    with server(403) as address:
        store = with_version(repository, address)
        with pytest.raises(BadInput, match="must take and give artifacts; received HTTP 403 Forbidden"):
            read(store, tmp_path_factory.mktemp("download"))


def test_files_that_are_not_there_are_missing(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """404 is no refusal."""
    with server(404) as address:
        store = with_version(repository, address)
        assert served_model(store, "face", 1, "model.pt2") is None
        with pytest.raises(BadInput, match="must hold its checkpoint"):
            download_checkpoint(store, "face", 1, tmp_path_factory.mktemp("download"))
