"""A repository whose requests are fulfilled: real Git, DVC with a local and an S3 remote, and a real MLflow store."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from tests.erasure.estate import Estate, build

BUCKET = "faces"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The address of an S3 endpoint on this machine, with one bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        import boto3

        address = f"http://{host}:{port}"
        boto3.client("s3", endpoint_url=address).create_bucket(Bucket=BUCKET)
        yield address
    server.stop()


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory, bucket: str) -> Iterator[Estate]:
    """The repository, as the working directory."""
    top = tmp_path_factory.mktemp("estate")
    root = top / "repository"
    root.mkdir()
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("DLFD_SECRET_KEY", raising=False)
        for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
            patch.setenv(f"{name}_NAME", "Test")
            patch.setenv(f"{name}_EMAIL", "test@example.org")
        patch.chdir(root)
        yield build(top, root, bucket, BUCKET)
