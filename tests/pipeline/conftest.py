"""Repositories as users have them: the project's files under Git and DVC, with a local remote."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.pipeline.project import COPIED, REPOSITORY, TINY, Project


@pytest.fixture(scope="module")
def new_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Project]:
    """Return a maker of fresh repositories with tiny settings and no data."""

    def make() -> Project:
        root = tmp_path_factory.mktemp("project")
        for name in COPIED:
            source, target = REPOSITORY / name, root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        (root / ".gitignore").write_text("__pycache__/\n/.dlfd/\n/mlflow.db*\n/mlruns/\n/mlartifacts/\n")
        project = Project(root)
        project.set_params(**TINY)
        for command in (
            ("git", "init", "--quiet"),
            ("git", "config", "user.name", "Test"),
            ("git", "config", "user.email", "test@example.org"),
            ("dvc", "init", "--quiet"),
            ("dvc", "remote", "add", "--default", "store", str(tmp_path_factory.mktemp("remote"))),
            ("git", "add", "--all"),
            ("git", "commit", "--quiet", "--message", "Start"),
        ):
            project.run(*command)
        return project

    return make
