"""Where a model comes from: the commit, the DVC lock of the stages before it, the data set's DVC digest.

What is not known is stated as :data:`UNKNOWN`; nothing is guessed. DVC's files are read as YAML: DVC itself is
not needed for it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlfd_ops.digest import sha256_json
from dlfd_ops.errors import BadInput
from dlfd_ops.files import parse_yaml, read_bounded

# GitPython raises at import where git is not installed, unless told to wait until it is used.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
from git import Git
from git.exc import GitError

UNKNOWN = "unknown"
LOCK_FILE = "dvc.lock"
MAX_LOCK_BYTES = 256 << 20
UPSTREAM: dict[str, tuple[str, ...]] = {
    "train": ("prepare",),
    "retrain": ("prepare", "train", "forget_list"),
    "unlearn": ("prepare", "train", "forget_list"),
    "register": ("prepare", "train", "forget_list", "unlearn", "evaluate"),
}
"""Stages of ``dvc.yaml`` that feed each of these stages."""
# A running pipeline rewrites these, so they always differ from the commit; their content is covered by dvc.lock.
GENERATED = (
    "dvc.lock",
    "pipelines/benchmark/dvc.lock",
    "audit/",
    "data/",
    "deletion/",
    "metrics/",
    "models/",
    "plots/",
    "registry/",
)


@dataclass(frozen=True)
class Provenance:
    """What a run or a version was made from.

    Attributes:
        git_commit: 40 hex digits, or ``unknown`` outside of a git repository.
        git_dirty: ``true`` when a tracked file that the pipeline does not write itself differs from the commit,
            ``false`` when none does, or ``unknown``.
        dvc_lock_digest: SHA-256 over the entries of the stages upstream, or ``unknown`` without a ``dvc.lock``.
    """

    git_commit: str
    git_dirty: str
    dvc_lock_digest: str

    def tags(self) -> dict[str, str]:
        """Return the facts as MLflow tags."""
        return {
            "dlfd.git_commit": self.git_commit,
            "dlfd.git_dirty": self.git_dirty,
            "dlfd.dvc_lock_digest": self.dvc_lock_digest,
        }


def read_provenance(root: Path, stage: str) -> Provenance:
    """Return where the result of ``stage`` comes from.

    Args:
        root: the repository.
        stage: a key of :data:`UPSTREAM`.

    Raises:
        BadInput: ``dvc.lock`` is damaged.
    """
    commit, dirty = _git_state(root)
    return Provenance(commit, dirty, lock_digest(root, UPSTREAM[stage]))


def lock_digest(root: Path, stages: tuple[str, ...]) -> str:
    """Return a digest of what DVC recorded for ``stages``: params, and the digest of every dependency and output.

    It depends neither on the order of the file nor on stages below, so it is the same before and after the stage
    that asks has ended.

    Raises:
        BadInput: ``dvc.lock`` is damaged.
    """
    recorded = _lock_stages(root)
    if recorded is None:
        return UNKNOWN
    return sha256_json({name: _entry(recorded[name]) for name in stages if name in recorded})


def data_digest(root: Path, source: str) -> str:
    """Return DVC's digest of the data set at ``source``: ``<md5>.dir`` for a folder, at most 36 characters.

    It stands in ``<source>.dvc`` where the data was added to DVC, otherwise in ``dvc.lock`` as a dependency of the
    prepare stage; without either, the outputs of that stage stand for the data.

    Args:
        root: the repository.
        source: ``prepare.root``, relative to the repository.

    Raises:
        BadInput: a file of DVC is damaged.
    """
    pointer = root / f"{source.rstrip('/')}.dvc"
    if pointer.is_file():
        return _digests(_read_yaml(pointer, str(pointer.name)).get("outs"))[0][1]
    prepare = (_lock_stages(root) or {}).get("prepare", {})
    wanted = os.path.normpath(source)
    dependencies = [digest for path, digest in _digests(prepare.get("deps")) if os.path.normpath(path) == wanted]
    outputs = [digest for _, digest in _digests(prepare.get("outs")) if digest.endswith(".dir")]
    return next(iter(dependencies + outputs), UNKNOWN)


def git_user(root: Path) -> str | None:
    """Return the name that git commits with, or None where none is set; never the address."""
    try:
        return str(Git(root).config("--get", "user.name")) or None
    except (GitError, OSError):
        return None


def _git_state(root: Path) -> tuple[str, str]:
    try:
        git = Git(root)
        commit = str(git.rev_parse("--verify", "HEAD"))
        # The whole of the Git repository, also where the pipeline lies in a folder of somebody else's.
        here = str(git.rev_parse("--show-prefix"))
        changed = str(git.diff("HEAD", "--name-only", "-z")).split("\0")
        generated = tuple(f"{here}{path}" for path in GENERATED)
        return commit, str(any(path and not path.startswith(generated) for path in changed)).lower()
    except (GitError, OSError):
        return UNKNOWN, UNKNOWN


def _lock_stages(root: Path) -> dict[str, Any] | None:
    path = root / LOCK_FILE
    if not path.is_file():
        return None
    stages = _read_yaml(path, LOCK_FILE).get("stages")
    if not isinstance(stages, dict) or not all(isinstance(stage, dict) for stage in stages.values()):
        raise _damaged(LOCK_FILE, "no mapping of stages")
    return stages


def _entry(stage: dict[str, Any]) -> dict[str, Any]:
    return {
        "params": stage.get("params", {}),
        "deps": sorted(_digests(stage.get("deps"))),
        "outs": sorted(_digests(stage.get("outs"))),
    }


def _digests(entries: Any) -> list[tuple[str, str]]:
    # An output that DVC does not cache and a dependency outside of a hash has no md5: it then stands as unknown.
    try:
        return [(str(entry["path"]), str(entry.get("md5", UNKNOWN))) for entry in entries or []]
    except (TypeError, KeyError, AttributeError) as error:
        raise _damaged("a file of DVC", "an entry without a path") from error


def _read_yaml(path: Path, what: str) -> dict[str, Any]:
    try:
        content = parse_yaml(read_bounded(path, max_bytes=MAX_LOCK_BYTES, what=what))
    except ValueError as error:
        raise _damaged(what, "no YAML") from error
    if not isinstance(content, dict):
        raise _damaged(what, "no mapping")
    return content


def _damaged(what: str, received: str) -> BadInput:
    return BadInput(f"{what} must be as DVC writes it", received=received, remedy="restore it from git")
