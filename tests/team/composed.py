"""``deploy/compose.yaml`` read as Compose reads it, so that the tests run the very commands that are shipped."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
# ${NAME}, ${NAME:-default} and ${NAME:?message}: the forms that the file uses.
INTERPOLATION = re.compile(r"\$\{(?P<name>\w+)(?:(?P<kind>:[-?])(?P<rest>[^}]*))?\}")


@dataclass(frozen=True)
class Service:
    """What a service of the set-up runs.

    Attributes:
        command: program and arguments.
        environment: its variables.
    """

    command: list[str]
    environment: dict[str, str]


def load_compose() -> dict[str, Any]:
    """Return the file as it stands, with its YAML anchors resolved."""
    content: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return content


def make_variables(folder: Path) -> dict[str, str]:
    """Return the variables that ``make-env`` writes, made by it in the new ``folder``."""
    folder.mkdir()
    for name in ("make-env", ".env.example"):
        (folder / name).write_bytes((DEPLOY / name).read_bytes())
    subprocess.run(["sh", "make-env"], cwd=folder, check=True)
    lines = [line for line in (folder / ".env").read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def read_service(name: str, variables: Mapping[str, str], places: Mapping[str, str]) -> Service:
    """Return a service as it runs on this machine instead of in its container.

    Args:
        name: of the service.
        variables: of the ``.env`` file.
        places: what to put instead of names that only mean something between the containers.
    """
    service = load_compose()["services"][name]

    def here(text: str) -> str:
        for inside, outside in places.items():
            text = text.replace(inside, outside)
        return text

    return Service(
        command=[here(word) for word in service["command"]],
        environment={key: here(interpolate(value, variables)) for key, value in service["environment"].items()},
    )


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Return ``text`` with its variables put in.

    Raises:
        KeyError: a variable that must be set is not.
    """

    def value(found: re.Match[str]) -> str:
        given = variables.get(found["name"], "")
        if given or found["kind"] is None:
            return given
        if found["kind"] == ":-":
            return found["rest"]
        raise KeyError(found["name"])

    return INTERPOLATION.sub(value, text)
