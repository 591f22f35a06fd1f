"""The life cycle on a team's servers: MLflow with accounts on PostgreSQL, artifacts and DVC's remote in S3.

What runs here instead of the containers is told in docs/team.md. The tests follow two clones through their life, so
they run in the order of the file.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from mlflow import MlflowClient

from dlfd_ops.deletion.forget_list import read_forget_list
from tests.pipeline.project import Project
from tests.team.conftest import MEMBERS, Team

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("team")]

MODEL = "face-age-synthetic"
SUBJECTS = ("person-00004", "person-00008")


@pytest.fixture
def client(team: Team, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """MLflow as a member sees it."""
    for name, value in team.member("member-1").items():
        monkeypatch.setenv(name, value)
    return MlflowClient()


@pytest.fixture(scope="module")
def members(team: Team, shared: Project, tmp_path_factory: pytest.TempPathFactory) -> list[Project]:
    """Two clones: Git from ``origin``, data from S3, the team's two keys by hand."""
    origin = shared.run("git", "remote", "get-url", "origin").strip()
    clones = []
    for member in MEMBERS:
        root = tmp_path_factory.mktemp(member)
        project = Project(root, team.member(member))
        project.run("git", "clone", "--quiet", "--branch", "main", origin, ".")
        project.run("git", "config", "user.name", "Test")
        project.run("git", "config", "user.email", "test@example.org")
        (root / ".dlfd").mkdir(mode=0o700)
        for key in ("key", "signing_key.pem"):
            shutil.copy(shared.root / ".dlfd" / key, root / ".dlfd" / key)
        project.run("dvc", "pull", "--quiet")
        clones.append(project)
    return clones


def versions(client: MlflowClient, model: str = MODEL) -> dict[int, dict[str, str]]:
    """Return the tags of the model's versions by their numbers."""
    return {int(version.version): version.tags for version in client.search_model_versions(f"name = '{model}'")}


def receipt(project: Project) -> dict[str, object]:
    """Return what the repository's register stage wrote."""
    content: dict[str, object] = json.loads((project.root / "registry/version.json").read_text())
    return content


def file_request(project: Project, subject: str) -> str:
    """File a person's request and return its id."""
    filed = project.run("dlfd-ops", "request", "add", "--subject", "-", "--json", stdin=f"{subject}\n")
    return str(json.loads(filed)["request_id"])


def at_once(projects: Sequence[Project], *command: str) -> None:
    """Run a command in all repositories at the same time; all must end well."""
    with ThreadPoolExecutor(len(projects)) as threads:
        for done in [threads.submit(project.run, *command) for project in projects]:
            done.result()


def test_the_life_cycle_on_the_servers(team: Team, shared: Project, client: MlflowClient) -> None:
    """Lineage stands in PostgreSQL, weights in the bucket, data in the other one; the audit agrees with all of it."""
    found = versions(client)
    assert set(found) == {1, 2}
    assert found[2]["dlfd.parent_version"] == "1"
    assert receipt(shared)["store"] == team.server
    assert not (shared.root / "mlflow.db").exists()
    s3 = boto3.client(
        "s3",
        endpoint_url=team.objects,
        aws_access_key_id=team.variables["S3_ACCESS_KEY"],
        aws_secret_access_key=team.variables["S3_SECRET_KEY"],
        region_name="us-east-1",
    )
    artifacts = {item["Key"].rpartition("/")[2] for item in s3.list_objects_v2(Bucket="artifacts")["Contents"]}
    assert {"model.pt2", "weights.safetensors", "params.json"} <= artifacts
    assert s3.list_objects_v2(Bucket="dvc", Prefix="faces/files/md5/")["KeyCount"] > 100
    shared.run("dlfd-ops", "audit", "verify")


def test_a_second_member_finds_everything(members: list[Project]) -> None:
    """From Git, S3 and the server alone: nothing to run again, and the audit agrees."""
    assert "Running stage" not in members[1].run("dvc", "repro")
    members[1].run("dlfd-ops", "audit", "verify")


def test_two_members_register_the_same_at_once(members: list[Project], client: MlflowClient) -> None:
    """On a registry that knows neither model: one original and one unlearned version, the same for both."""
    for project in members:
        project.set_params(register={"model_name": "face-raced"})
    at_once(members, "python", "pipelines/register.py")
    found = versions(client, "face-raced")
    assert sorted(tags["dlfd.method"] for tags in found.values()) == ["dlfd/anchored", "original"]
    first, second = (receipt(project) for project in members)
    assert first == second
    assert found[int(str(first["version"]))]["dlfd.parent_version"] == str(first["original_version"])
    for project in members:
        project.run("git", "checkout", "--quiet", "params.yaml", "registry", "audit")
        project.run("git", "clean", "--quiet", "--force", "-d", "audit")  # the certificates of the raced model


@pytest.fixture(scope="module")
def asked(members: list[Project]) -> list[str]:
    """The request ids of two people, one filed by each member, after both ran the pipeline at the same time."""
    filed = [file_request(project, subject) for project, subject in zip(members, SUBJECTS, strict=True)]
    at_once(members, "dvc", "repro", "register")
    return filed


def test_two_members_forget_different_people_at_once(
    members: list[Project], asked: list[str], client: MlflowClient
) -> None:
    """Each gets a version with its own requests, from the same parent; each ledger tells its own."""
    found = versions(client)
    made = [int(str(receipt(project)["version"])) for project in members]
    assert set(found) == {1, 2, *made}
    assert len(found) == 4
    for project, request_id, version in zip(members, asked, made, strict=True):
        assert request_id in found[version]["dlfd.request_ids"]
        assert found[version]["dlfd.parent_version"] == "1"
        events = [json.loads(line) for line in (project.root / "audit/ledger.jsonl").read_text().splitlines()]
        assert [event["data"]["version"] for event in events if event["kind"] == "registered"] == [2, version]
        project.run("dlfd-ops", "audit", "verify")
    passed = [number for number, tags in found.items() if tags.get("dlfd.gate") == "passed"]
    candidate = client.get_registered_model(MODEL).aliases.get("candidate")
    assert candidate == (str(max(passed)) if passed else None)


def test_who_pushes_second_repeats_the_request(members: list[Project], asked: list[str]) -> None:
    """On top of the other's state the same person has the same request id, and both are on the forget list."""
    first, second = members
    push = (("dvc", "push", "--quiet"), ("git", "add", "--all"), ("git", "commit", "--quiet", "--message", "Forget"))
    for command in (*push, ("git", "push", "--quiet", "origin", "HEAD:main")):
        first.run(*command)
    for command in (
        ("dvc", "push", "--quiet"),
        ("git", "fetch", "--quiet"),
        ("git", "reset", "--quiet", "--hard", "origin/main"),
        ("dvc", "pull", "--quiet"),
    ):
        second.run(*command)
    assert file_request(second, SUBJECTS[1]) == asked[1]
    second.run("dvc", "repro", "forget_list")
    assert set(asked) <= set(read_forget_list(second.root / "deletion/forget_list.parquet").request_ids)


def test_no_file_of_a_repository_holds_a_secret(team: Team, shared: Project) -> None:
    """Neither the pipeline nor DVC writes a password or a key of the servers anywhere."""
    wanted = [secret.encode() for secret in team.private]
    files = [path for path in shared.root.rglob("*") if path.is_file()]
    assert len(files) > 100
    for file in files:
        content = file.read_bytes()
        assert not [secret for secret in wanted if secret in content], file


def test_a_wrong_password_is_one_line(shared: Project) -> None:
    """The server that refuses is named, the account and its password are not."""
    stranger = Project(shared.root, {**shared.variables, "MLFLOW_TRACKING_PASSWORD": "not the password of anybody"})
    output = stranger.run("dlfd-ops", "audit", "verify", expect=2)
    assert output.strip().count("\n") == 0
    assert "must answer" in output
    assert "not the password" not in output
