"""Which DVC repository a run was started in: commit, lock file, open deletion requests.

For runs of any tool and any script, not only for those of the pipeline. MLflow asks at the start of every run, so
outside of a DVC repository this costs a look at the folders above, and it never raises: a run without a tag is better
than no run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from mlflow.tracking.context.abstract_context import RunContextProvider

MAX_TAG_LENGTH = 8000
"""Characters that MLflow keeps of a run's tag."""
GIT_SECONDS = 5

_LOGGER = logging.getLogger(__name__)


class DvcRunContext(RunContextProvider):
    """Tags a run that is started inside a DVC repository.

    ``dlfd.git_commit``: the commit that is checked out. ``dlfd.dvc_lock_sha256``: SHA-256 of ``dvc.lock`` as
    ``sha256sum`` prints it. ``dlfd.open_request_ids``: pseudonymous ids of the deletion requests that somebody still
    has to act on, comma separated; above 8,000 characters their number and a digest. What is not there, or can't be
    read, has no tag. No path, no user and no name is recorded.
    """

    def in_context(self) -> bool:
        """Return whether the working directory lies in a DVC repository."""
        return _repository() is not None

    def tags(self) -> dict[str, str]:
        """Return the tags that can be told."""
        root = _repository()
        found = {name: _value(read, root) for name, read in _READERS.items()} if root else {}
        return {name: value for name, value in found.items() if value}


def _repository() -> Path | None:
    try:
        from dlfd_ops.files import find_repository

        return find_repository(Path.cwd())
    except Exception as error:
        _LOGGER.debug("no DVC repository can be looked for: %s", type(error).__name__)
        return None


def _value(read: Callable[[Path], str], root: Path) -> str:
    try:
        return read(root)
    except Exception as error:
        _LOGGER.debug("%s is left out: %s", read.__name__, type(error).__name__)
        return ""


def _commit(root: Path) -> str:
    from git import Git

    return str(Git(root).rev_parse("--verify", "HEAD", kill_after_timeout=GIT_SECONDS))


def _lock_digest(root: Path) -> str:
    from dlfd_ops.digest import sha256_file

    return sha256_file(root / "dvc.lock")


def _open_requests(root: Path) -> str:
    from dlfd_ops.audit.ledger import LEDGER_FILE

    path = root / LEDGER_FILE
    state = path.stat()
    return _open_requests_of(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1)
def _open_requests_of(path: Path, _modified: int, _size: int) -> str:
    # Read once for every state of the file: a search over parameters starts hundreds of runs.
    from dlfd_ops.audit.ledger import Ledger
    from dlfd_ops.deletion.requests import join_ids
    from dlfd_ops.deletion.status import request_statuses

    statuses = request_statuses(Ledger(path).events())
    return join_ids([status.request_id for status in statuses.values() if status.open], max_length=MAX_TAG_LENGTH)


_READERS: dict[str, Callable[[Path], str]] = {
    "dlfd.git_commit": _commit,
    "dlfd.dvc_lock_sha256": _lock_digest,
    "dlfd.open_request_ids": _open_requests,
}
