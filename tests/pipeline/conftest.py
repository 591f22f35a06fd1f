"""Repositories as users have them: the project's files under Git and DVC, with a local remote."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.pipeline.project import Project, create_project


@pytest.fixture(scope="module")
def new_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Project]:
    """Return a maker of fresh repositories with tiny settings and no data."""

    def make() -> Project:
        return create_project(tmp_path_factory.mktemp("project"), remote=str(tmp_path_factory.mktemp("remote")))

    return make
