"""Which revisions of the repository record which contents, read from Git without checking anything out."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

# GitPython raises at import where git is not installed, unless told to wait until it is used.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
from git import Blob, Repo
from git.exc import GitError

EXPERIMENTS = "refs/exps"
POINTERS = ("*.dvc", "dvc.lock", "**/dvc.lock")
"""Files in which DVC records contents."""
_RECORDED = re.compile(rb"\b[0-9a-f]{32}(?:\.dir\b)?")


@dataclass(frozen=True)
class History:
    """What the revisions record.

    Attributes:
        commits: commit -> ids of the contents that its pointers record; every branch, tag, stash and experiment.
        experiments: reference of DVC's experiments -> commit.
        pointers: path of a pointer -> ids of the contents that any revision of it records.
    """

    commits: dict[str, frozenset[str]]
    experiments: dict[str, str]
    pointers: dict[Path, set[str]]

    @property
    def recorded(self) -> frozenset[str]:
        """Every content that some revision records."""
        return frozenset().union(*self.commits.values())

    def recording(self, oids: Collection[str]) -> list[str]:
        """Return the commits that record one of these contents, the newest first."""
        wanted = frozenset(oids)
        return [commit for commit, recorded in self.commits.items() if recorded & wanted]


def read_history(root: Path) -> History:
    """Read every revision of the repository around ``root``; one without Git, or without a commit, has none."""
    try:
        repo = Repo(root, search_parent_directories=True)
    except GitError:
        return History({}, {}, {})
    with repo:
        commits = dict.fromkeys(repo.git.rev_list("--all", "--reflog").split(), frozenset[str]())
        pointers: dict[Path, set[str]] = {}
        recorded: dict[str, frozenset[str]] = {}
        for commit, path, blob in _pointer_blobs(repo, list(commits)):
            if blob not in recorded:
                recorded[blob] = _recorded(repo, blob)
            commits[commit] |= recorded[blob]
            pointers.setdefault(Path(str(repo.working_dir), path), set()).update(recorded[blob])
        references = repo.git.for_each_ref("--format=%(refname) %(objectname)", EXPERIMENTS)
        return History(commits, dict(line.split() for line in references.splitlines()), pointers)


def was_committed(root: Path, names: Iterable[str]) -> bool:
    """Return whether any revision of the repository around ``root`` has one of these paths, from its top folder."""
    try:
        repo = Repo(root, search_parent_directories=True)
    except GitError:
        return False
    with repo:
        top = [f":(top){name}" for name in names]
        return bool(repo.git.log("--all", "--reflog", "--max-count=1", "--format=%H", "--", *top))


def remove_references(root: Path, references: Iterable[str]) -> None:
    """Remove references of DVC's experiments from the repository around ``root``; one that is gone is no error."""
    with Repo(root, search_parent_directories=True) as repo:
        for reference in references:
            repo.git.update_ref("-d", reference)


def _pointer_blobs(repo: Repo, commits: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return the pointer files of each commit: commit, path, and the id of the content."""
    changed = repo.git.log("--all", "--reflog", "-m", "--name-only", "--format=", "-z", "--", *POINTERS)
    paths = sorted(set(filter(None, changed.replace("\n", "\0").split("\0"))))
    asked = [(commit, path) for commit in commits for path in paths]
    if not asked:
        return []
    with TemporaryFile() as questions:
        questions.write("".join(f"{commit}:{path}\n" for commit, path in asked).encode("utf-8", "surrogateescape"))
        questions.seek(0)
        answered = repo.git.cat_file("--batch-check=%(objectname) %(objecttype)", istream=questions)
    answers = answered.split("\n")  # by line feeds alone: a path may hold what Python takes for another end of a line
    found = zip(asked, answers, strict=True)
    return [(commit, path, answer.split()[0]) for (commit, path), answer in found if answer.endswith(" blob")]


def _recorded(repo: Repo, blob: str) -> frozenset[str]:
    content: bytes = Blob(repo, bytes.fromhex(blob)).data_stream.read()
    return frozenset(oid.decode() for oid in _RECORDED.findall(content))
