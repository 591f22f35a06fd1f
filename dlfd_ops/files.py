"""Writing files so that nothing is ever half written, and keeping secrets to their owner."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from dlfd_ops.errors import BadInput

_REPLACED = "old"


@contextmanager
def atomic_path(path: Path, *, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it when the block succeeds.

    The replacement is a rename, so a reader sees the old content or the new one, and a
    hard-linked cache object is never written into. On an error the temporary file goes.

    Args:
        path: the file to create or replace; its folder is created when missing.
        mode: permission bits of the new file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(mode)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replaced_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of ``out`` when the block succeeds, and goes when it does not.

    A run killed while it works leaves ``.<name>.*.tmp`` beside ``out``, and ``out`` as it was. Killed between the two
    renames of the end it leaves no ``out``: both folders lie in there, and :func:`put_back` takes the old one out.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.", suffix=".tmp") as scratch:
        folder, replaced = Path(scratch) / "new", Path(scratch) / _REPLACED
        folder.mkdir()
        yield folder
        if out.exists():
            out.rename(replaced)
        try:
            folder.rename(out)
        except OSError:
            if replaced.exists():
                replaced.rename(out)
            raise


def put_back(out: Path) -> None:
    """Put a folder back where a run was killed between the two renames of :func:`replaced_folder`.

    The caller keeps others from replacing it meanwhile.
    """
    aside = [left / _REPLACED for left in leftovers(out) if (left / _REPLACED).is_dir()]
    if aside and not out.exists():
        max(aside, key=lambda folder: folder.parent.stat().st_mtime_ns).rename(out)


def leftovers(path: Path) -> list[Path]:
    """Return what killed runs left beside ``path`` while they replaced it, file or folder: its contents, old or new."""
    temporary = re.compile(rf"\.{re.escape(path.name)}\.[^.]+\.tmp")  # no dot: those of `<name>.dvc` are not its own
    return sorted(other for other in path.parent.glob(".*.tmp") if temporary.fullmatch(other.name))


def write_bytes(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace ``path`` by ``content`` in one rename."""
    with atomic_path(path, mode=mode) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str, *, mode: int = 0o644) -> None:
    """Replace ``path`` by ``content`` (UTF-8) in one rename."""
    write_bytes(path, content.encode(), mode=mode)


@contextmanager
def locked(path: Path, *, seconds: float, rule: str) -> Iterator[None]:
    """Hold a lock file, waiting for whoever has it; its folder is created when missing.

    Args:
        path: the lock file.
        seconds: longest wait.
        rule: what only one process at a time does, for people.

    Raises:
        BadInput: another process held it all the time.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(path, timeout=seconds)
    try:
        lock.acquire()
    except Timeout as error:
        raise BadInput(
            rule,
            received=f"a lock held for over {seconds:.0f} s",
            remedy="let the other command end, then run this one again",
        ) from error
    try:
        yield
    finally:
        lock.release()


def regular_file(path: Path) -> Path:
    """Return ``path`` for a reader like pyarrow, which of a folder, be it behind a link, reads every file below it.

    Raises:
        FileNotFoundError: it is no regular file.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    return path


def read_bounded(path: Path, *, max_bytes: int, what: str) -> bytes:
    """Return the content of ``path``, refusing more than ``max_bytes``.

    Args:
        path: the file to read.
        max_bytes: largest size accepted.
        what: how to name the file in an error, for example "params.yaml".

    Raises:
        BadInput: the file is missing, is no regular file, or is too large.
    """
    try:
        if not path.is_file():
            raise BadInput(f"{what} must be a file", received="no such file", remedy="check the path")
        size = path.stat().st_size
        if size > max_bytes:
            raise BadInput(
                f"{what} may hold at most {max_bytes} bytes", received=f"{size} bytes", remedy="give a smaller file"
            )
        return path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"{what} must be readable", received=error.strerror or "an I/O error", remedy="check its permissions"
        ) from error


def parse_yaml(content: bytes) -> Any:
    """Return what a YAML document holds.

    Raises:
        ValueError: it is no YAML, is nested too deeply, or holds a date or a number that is none.
    """
    try:
        return yaml.safe_load(content)
    except RecursionError as error:
        raise ValueError("too deeply nested") from error
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        # The library's own error is for the syntax only: a wrong tag or an impossible date ends in another.
        raise ValueError(next(iter(str(error).splitlines()), "") or type(error).__name__) from error


def find_repository(start: Path) -> Path | None:
    """Return the top folder of the DVC repository that ``start`` lies in, resolved; None outside of one."""
    here = start.resolve()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), None)


def repository_top(start: Path) -> Path:
    """Return the top folder of the DVC repository that ``start`` lies in, resolved; ``start`` itself outside of one."""
    return find_repository(start) or start.resolve()


def private_folder(path: Path) -> Path:
    """Make sure that the folder exists, for its owner only, and that git sees nothing in it.

    Returns:
        The folder.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignore = path / ".gitignore"
    if not ignore.exists():
        write_text(ignore, "*\n")
    return path


def read_secret(path: Path, *, max_bytes: int) -> bytes:
    """Return the content of a file that only its owner may read.

    Raises:
        BadInput: the file is missing, too large, or may be read by others.
    """
    if path.is_file() and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
        raise BadInput(f"only its owner may read {path}", received=f"mode {mode:04o}", remedy=f"run: chmod 600 {path}")
    return read_bounded(path, max_bytes=max_bytes, what=str(path))


def create_secret(path: Path, content: str) -> None:
    """Write a secret with mode 0600 into a private folder, unless the file exists.

    Of two processes that create it at once one wins, and what it wrote is whole.

    Raises:
        BadInput: the folder can't be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=private_folder(path.parent), prefix=f".{path.name}.")  # mode 0600
        try:
            with os.fdopen(handle, "w") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            # A link fails where the name exists, so the first creator wins and its content is whole.
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(name)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(
            f"the secret key {path} must be creatable",
            received=error.strerror or "an I/O error",
            remedy="check its folder, or give the key in the environment",
        ) from error
