"""A team's servers: what ``deploy/compose.yaml`` runs, without its containers, once for all tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
import requests

from tests.pipeline.project import Project, create_project
from tests.team.composed import DEPLOY, make_variables, read_service
from tests.team.servers import free_port, object_store, postgres, running

MEMBERS = {"member-1": "first members password", "member-2": "second members password"}


@dataclass(frozen=True)
class Team:
    """The running set-up.

    Attributes:
        server: address of MLflow.
        objects: address of the S3 endpoint.
        variables: of the ``.env`` file.
        database_port: of PostgreSQL.
        private: everything that may stand in no file of a member's repository.
    """

    server: str
    objects: str
    variables: Mapping[str, str] = field(repr=False)
    database_port: int

    @property
    def private(self) -> list[str]:
        """The secrets of the set-up."""
        secrets = [value for name, value in self.variables.items() if name.endswith(("PASSWORD", "_KEY"))]
        return [*secrets, *MEMBERS.values()]

    def member(self, name: str) -> dict[str, str]:
        """Return the environment variables of a member."""
        return {
            "MLFLOW_TRACKING_URI": self.server,
            "MLFLOW_TRACKING_USERNAME": name,
            "MLFLOW_TRACKING_PASSWORD": MEMBERS[name],
            "AWS_ACCESS_KEY_ID": self.variables["S3_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": self.variables["S3_SECRET_KEY"],
            # Half a minute is the right patience for a person, and none for a machine that runs two suites.
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "120",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "5",
        }


@pytest.fixture(scope="session")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """PostgreSQL, an S3 endpoint, and the MLflow server with two accounts."""
    folder = tmp_path_factory.mktemp("team")
    variables = make_variables(folder / "deploy")
    port = free_port()
    with ExitStack() as servers:
        database_port = servers.enter_context(postgres("mlflow", variables["POSTGRES_PASSWORD"], "mlflow"))
        objects = f"http://127.0.0.1:{servers.enter_context(object_store(folder / 's3.log'))}"
        places = {
            "http://s3:7070": objects,
            "/opt/mlflow": str(DEPLOY / "mlflow"),
            "--host=0.0.0.0": "--host=127.0.0.1",
            "--port=5000": f"--port={port}",
        }
        buckets, mlflow = (read_service(name, variables, places) for name in ("buckets", "mlflow"))
        for _ in range(2):
            _run(buckets.command, buckets.environment)
        environment = {**os.environ, **mlflow.environment, "PGHOST": "127.0.0.1", "PGPORT": str(database_port)}
        server = f"http://127.0.0.1:{port}"
        servers.enter_context(
            running(mlflow.command, folder / "mlflow.log", ready=lambda: _healthy(server), environment=environment)
        )
        for name, password in MEMBERS.items():
            _create_account(server, variables["MLFLOW_ADMIN_PASSWORD"], name, password)
        yield Team(server, objects, variables, database_port)


@pytest.fixture(scope="session")
def shared(team: Team, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The first member's repository after its first request, pushed for the others: Git to ``origin``, data to S3."""
    root = tmp_path_factory.mktemp("first")
    project = create_project(root, remote="s3://dvc/faces", variables=team.member("member-1"))
    origin = tmp_path_factory.mktemp("origin")
    project.run("dvc", "remote", "modify", "store", "endpointurl", team.objects)
    project.run("python", "-m", "dlfd_ops.data.synthetic_faces", "--root", "data/raw", "--subjects", "24")
    project.run("dvc", "add", "--quiet", "data/raw")
    project.run("dlfd-ops", "request", "add", "--subject", "-", stdin="person-00000\n")
    project.run("dvc", "repro")
    for command in (
        ("dvc", "push", "--quiet"),
        ("git", "init", "--quiet", "--bare", str(origin)),
        ("git", "remote", "add", "origin", str(origin)),
        ("git", "add", "--all"),
        ("git", "commit", "--quiet", "--message", "Forget a person"),
        ("git", "push", "--quiet", "origin", "HEAD:main"),
    ):
        project.run(*command)
    return project


def _run(command: list[str], environment: Mapping[str, str]) -> None:
    subprocess.run(command, env={**os.environ, **environment}, check=True, timeout=120)


def _healthy(server: str) -> bool:
    try:
        return requests.get(f"{server}/health", timeout=5).ok
    except requests.ConnectionError:
        return False


def _create_account(server: str, admin_password: str, name: str, password: str) -> None:
    answer = requests.post(
        f"{server}/api/2.0/mlflow/users/create",
        json={"username": name, "password": password},
        auth=("admin", admin_password),
        timeout=30,
    )
    answer.raise_for_status()
