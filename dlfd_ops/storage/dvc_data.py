"""Data under DVC at one commit, in this repository or another: named, pinned, fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from dlfd_ops.errors import BadInput
from dlfd_ops.files import find_repository

MAX_LENGTH = 2048
"""Characters of a path or of a repository's URL."""
# Git has transports that run commands (`ext::`) and options that look like URLs.
_FORBIDDEN_REPOSITORY = re.compile(r"^-|::")


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or not path.isprintable():
        raise ValueError("must be a path inside the repository")
    return str(PurePosixPath(path))


def _without_secrets(repository: str) -> str:
    if _FORBIDDEN_REPOSITORY.search(repository) or not repository.isprintable():
        raise ValueError("must be a URL or a folder")
    parts = urlsplit(repository)
    if parts.password or (parts.scheme in ("http", "https") and "@" in parts.netloc):
        raise ValueError("must be a URL without user and password: they would be recorded")
    return repository


class DvcData(BaseModel):
    """A file or folder that DVC tracks, at one commit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[str, Field(min_length=1, max_length=MAX_LENGTH), AfterValidator(_inside)]
    """Relative to the top of the repository."""
    repo: Annotated[str, Field(min_length=1, max_length=MAX_LENGTH), AfterValidator(_without_secrets)] | None
    """URL or folder; ``None`` is the repository around the working directory."""
    rev: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    """The commit."""
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")]
    """DVC's digest of the content."""

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Check fields that come from outside.

        Raises:
            BadInput: a field is missing, unknown, or not of its form.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            found = error.errors()[0]
            raise BadInput(
                "data under DVC are named by path, repo, rev and digest",
                received=f"{'.'.join(map(str, found['loc']))}: {found['msg']}"[:200],
                remedy="name them as dvc://<path>?repo=<url>&rev=<revision>",
            ) from error

    def to_location(self) -> str:
        """Return ``<path>?repo=<url>&rev=<commit>``; see :func:`parse_location`."""
        asked = {"repo": self.repo, "rev": self.rev}
        return f"{quote(self.path)}?{urlencode({name: value for name, value in asked.items() if value})}"


def parse_location(location: str) -> tuple[str, str | None, str | None]:
    """Return path, repository and revision of ``<path>?repo=<url>&rev=<revision>``, percent-encoded.

    Raises:
        BadInput: something else is asked than ``repo`` and ``rev``, or one of them twice.
    """
    path, _, query = location.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    asked = dict(pairs)
    if len(asked) != len(pairs) or not asked.keys() <= {"repo", "rev"}:
        raise BadInput(
            "a location under DVC takes repo and rev, each once",
            received=", ".join(name for name, _ in pairs)[:120],
            remedy="name the data as dvc://<path>?repo=<url>&rev=<revision>",
        )
    return unquote(path), asked.get("repo") or None, asked.get("rev") or None


def pin(path: str, repo: str | None = None, rev: str | None = None) -> DvcData:
    """Return the data at a revision, with the commit and DVC's digest; nothing is downloaded.

    Without a repository and a revision the data are those of the working directory, so these must be committed.
    Whether the files still are what DVC recorded is not looked at: that is ``dvc status``.

    Args:
        path: a file or folder that DVC tracks, relative to the top of the repository.
        repo: URL or folder of the repository; ``None`` is the one around the working directory.
        rev: a Git revision; ``None`` is what is committed.

    Raises:
        BadInput: there is no such repository, revision or tracked path, or what is tracked is not committed.
    """
    # The form is checked before anything is opened; commit and digest follow.
    asked = DvcData.from_fields({"path": path, "repo": repo, "rev": "0" * 40, "digest": "0" * 32})
    commit, digest = _recorded(asked, rev or "HEAD")
    if rev is None and repo is None and _recorded(asked, None)[1] != digest:
        raise BadInput(
            f"{asked.path} must be committed as DVC tracks it now",
            received="another digest in the last commit",
            remedy="commit the .dvc file or dvc.lock, or name a revision",
        )
    return DvcData.from_fields({**asked.model_dump(), "rev": commit, "digest": digest})


def fetch(data: DvcData, folder: Path) -> Path:
    """Download the data into ``folder``, named as in the repository, in one rename.

    Args:
        data: what to fetch.
        folder: is created when missing; must not hold something of that name.

    Raises:
        BadInput: the data cannot be reached, are not those recorded, or stand there already.
    """
    target = folder / PurePosixPath(data.path).name
    if target.exists():
        raise BadInput(f"{target.name} must not stand in the folder", received="one", remedy="give another folder")
    if _recorded(data, data.rev)[1] != data.digest:
        raise BadInput(
            f"{data.path} must have the recorded digest at the recorded commit",
            received="another one",
            remedy="the record was changed, or it is another repository: look where it comes from",
        )
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".fetching-") as temporary, _opened(data, data.rev) as files:
        partial = Path(temporary) / target.name
        files.get(f"/{data.path}", str(partial), recursive=data.digest.endswith(".dir"))
        partial.rename(target)
    return target


def _recorded(data: DvcData, rev: str | None) -> tuple[str, str]:
    """Return the commit and DVC's digest at ``rev``; ``None`` is the working directory, which has no commit."""
    with _opened(data, rev) as files:
        digest = files.info(f"/{data.path}").get("dvc_info", {}).get("md5")
        commit = str(files.repo.get_rev()) if rev else ""
    if digest is None:
        raise BadInput(
            f"{data.path} must be a file or folder that DVC tracks as a whole",
            received="one that it does not",
            remedy="name an output of dvc add or of a stage",
        )
    return commit, str(digest)


@contextmanager
def _opened(data: DvcData, rev: str | None) -> Iterator[Any]:
    """Open the repository at ``rev``, and turn what DVC raises inside the block into one line."""
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexError

    if data.repo is None and find_repository(Path.cwd()) is None:
        raise BadInput(
            "data under DVC stand in a DVC repository",
            received="a working directory outside of one, and no repo",
            remedy="change into the repository, or name it with repo=",
        )
    try:
        with closing(DVCFileSystem(url=data.repo, rev=rev)) as files:
            yield files
    except (DvcException, DataIndexError, OSError) as error:
        raise BadInput(
            f"{data.path} must be reachable through DVC",
            received=f"{type(error).__name__} at the revision asked for",
            remedy="check the path, the revision and the access to the repository and its DVC remote",
        ) from error
