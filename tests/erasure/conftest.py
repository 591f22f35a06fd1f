"""A repository whose requests are fulfilled: real Git, DVC with a local and an S3 remote, and a real MLflow store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from moto.server import ThreadedMotoServer

from tests.erasure.estate import Estate, built

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
        # What another module's server was given lives on in this process.
        requests.post(f"{address}/moto-api/reset", timeout=30).raise_for_status()
        boto3.client("s3", endpoint_url=address).create_bucket(Bucket=BUCKET)
        yield address
    server.stop()


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory, bucket: str) -> Iterator[Estate]:
    """The repository, as the working directory."""
    with built(tmp_path_factory.mktemp("estate"), bucket, BUCKET) as estate:
        yield estate


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory, bucket: str) -> Iterator[Estate]:
    """A repository as ``dlfd-ops init`` leaves it: the pipeline in a folder, which is the working directory."""
    with built(tmp_path_factory.mktemp("adopted"), bucket, BUCKET, adopting=True) as estate:
        yield estate
