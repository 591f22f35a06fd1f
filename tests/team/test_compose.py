"""``deploy/``: what can be checked of it without starting a container."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.team.composed import DEPLOY, INTERPOLATION, interpolate, load_compose, make_variables

SERVICES: dict[str, dict[str, Any]] = load_compose()["services"]
PINNED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+[\w.-]*")
REPOSITORY = DEPLOY.parent


def test_the_file_follows_the_specification_of_compose() -> None:
    """Against the published JSON schema: no unknown key, no value of another kind."""
    program = Path(sys.executable).with_name("check-jsonschema")
    subprocess.run([program, "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml"], check=True)


def test_compose_itself_accepts_the_file(tmp_path: Path) -> None:
    """``docker compose config`` resolves every variable and reference; skipped where there is no Compose."""
    if shutil.which("docker") is None or subprocess.run(["docker", "compose", "version"], check=False).returncode:
        pytest.skip("needs docker compose")
    make_variables(tmp_path / "deploy")
    files = ["--env-file", str(tmp_path / "deploy/.env"), "--file", str(DEPLOY / "compose.yaml")]
    subprocess.run(["docker", "compose", *files, "config", "--quiet"], check=True)


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    """Every image names a version: what starts next year is what starts today."""
    assert PINNED.fullmatch(SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_only(name: str) -> None:
    """Nothing is reached from another machine, and the database from no process outside of the containers."""
    ports = SERVICES[name].get("ports", [])
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert name in {"mlflow", "s3"} or not ports
    assert name in {"mlflow", "s3"} or SERVICES[name]["networks"] == ["inside"]
    assert "privileged" not in SERVICES[name]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_tells_whether_it_is_healthy(name: str) -> None:
    """Whoever depends on it waits for that; the one that only makes buckets ends instead."""
    assert "test" in SERVICES[name]["healthcheck"] or SERVICES[name]["restart"] == "on-failure"


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_stands_in_the_file(name: str) -> None:
    """Passwords and keys are variables that must be set, and no command line carries one."""
    service = SERVICES[name]
    for variable, value in service["environment"].items():
        if re.search(r"PASSWORD|SECRET|_KEY(_ID)?$", variable):
            assert INTERPOLATION.fullmatch(value)
            with pytest.raises(KeyError):
                interpolate(value, {})
    assert not any(INTERPOLATION.search(word) for word in service.get("command", []))


def test_secrets_are_random_and_private(tmp_path: Path) -> None:
    """``make-env`` fills in every empty value, differently each time, readable by nobody else."""
    first, second = (make_variables(tmp_path / name) for name in ("first", "second"))
    example = dict(line.split("=", 1) for line in (DEPLOY / ".env.example").read_text().splitlines() if "=" in line)
    assert first.keys() == example.keys()
    for name, value in example.items():
        assert first[name] == value if value else len(first[name]) == 48
        assert bool(value) == (first[name] == second[name])
    assert stat.S_IMODE((tmp_path / "first/.env").stat().st_mode) == 0o600


def test_secrets_are_never_overwritten(tmp_path: Path) -> None:
    """A second run fails, leaves the file as it is, and nothing beside it."""
    folder = tmp_path / "deploy"
    made = make_variables(folder)
    again = subprocess.run(["sh", "make-env"], cwd=folder, capture_output=True, check=False)
    assert again.returncode != 0
    assert sorted(path.name for path in folder.iterdir()) == [".env", ".env.example", "make-env"]
    assert all(f"{name}={value}" in (folder / ".env").read_text() for name, value in made.items())


def test_git_ignores_the_secrets() -> None:
    """``deploy/.env`` and what a killed ``make-env`` leaves are ignored, the example is not."""
    ignored = ["git", "check-ignore", "--quiet", "--no-index"]
    if shutil.which("git") is None or not (REPOSITORY / ".git").exists():
        pytest.skip("needs the Git repository")
    for name, expected in ((".env", 0), (".env.aB3xYz", 0), (".env.example", 1)):
        done = subprocess.run([*ignored, f"deploy/{name}"], cwd=REPOSITORY, check=False)
        assert done.returncode == expected, name


def test_the_server_runs_the_versions_of_the_lock() -> None:
    """Every package of the MLflow image has the version that the tests run; the image's tag names MLflow's."""
    lock = pins(REPOSITORY / "requirements.lock")
    server = pins(DEPLOY / "mlflow/requirements.txt")
    assert server.items() <= lock.items()
    assert SERVICES["mlflow"]["image"].endswith(f":{server['mlflow']}")


def pins(path: Path) -> dict[str, str]:
    """Return the pinned versions by package."""
    lines = (line.split(";")[0].strip() for line in path.read_text().splitlines() if "==" in line)
    return dict(line.split("==") for line in lines)
