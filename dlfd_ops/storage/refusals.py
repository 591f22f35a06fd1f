"""What DVC refuses, said as bad input with its remedy, and what killed commands of DVC left behind."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dlfd_ops.errors import BadInput

_DVC = ("dvc", "dvc_data", "dvc_objects", "scmrepo")
_PROCESS = re.compile(r'"pid":\s*(\d{1,10})\s*,')  # the comma: half a number is another one


@contextmanager
def refusals(part: str) -> Iterator[None]:
    """Turn what DVC or one of its libraries refuses within the block into bad input.

    Which kind of refusal is said, and not its text: that names paths, and a folder of photos may be named by a person.

    Args:
        part: what it must be able to do, for people.

    Raises:
        BadInput: DVC refuses.
    """
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _DVC:
            raise
        raise BadInput(
            f"DVC must be able to {part}",
            received=type(error).__name__,
            remedy="let a running dvc command end; where dvc status names a file, restore that file from git; then run "
            "this command again: it completes what is missing",
        ) from error


@contextmanager
def unreadable_files() -> Iterator[None]:
    """Turn what DVC's own parsers let through within the block into bad input; their text may quote the file.

    Raises:
        BadInput: DVC can't read one of its files.
    """
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(
            "DVC must be able to read its files in this repository",
            received=type(error).__name__,
            remedy="see dvc status, restore that file from git, then run this again: it completes what is missing",
        ) from error


def forget_killed_stages(folder: Path) -> bool:
    """Remove the notes of commands that were killed: DVC writes them in place, and refuses to read half of them.

    DVC lets go of its lock while a stage's command runs; what that reads and writes is noted beside the lock.

    Args:
        folder: for DVC's temporary files. The lock in it is held.

    Returns:
        Whether a process that is noted there is alive; its notes stay.
    """
    notes = folder / "rwlock"
    text = notes.read_text(errors="replace") if notes.exists() else ""
    if any(_alive(int(process)) for process in _PROCESS.findall(text)):
        return True
    notes.unlink(missing_ok=True)
    return False


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return process != os.getpid()
