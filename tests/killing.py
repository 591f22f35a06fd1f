"""Killing an action at one of its writes: the same moments in every run, which a clock does not give.

For a process that runs nothing else: the action runs in a fork of it, so that what takes long to import is there.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

KILLED = 9
"""Exit status of an action that was killed."""


def attempt(action: Callable[[], object], fatal: Callable[[str], bool]) -> int:
    """Run ``action`` and kill it at a write; return its exit status.

    A write is a file opened for writing (dead at once: it stays as it was, or empty where opening empties it), a name
    moved or a name removed (dead before it happens).

    Args:
        action: what to run; its process ends with it.
        fatal: whether to die at a write to this path; asked at every write.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.addaudithook(lambda event, arguments: _die(event, arguments, fatal))
    status = 1
    try:
        action()
        status = 0
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _die(event: str, arguments: tuple[object, ...], fatal: Callable[[str], bool]) -> None:
    if event not in ("open", "os.rename", "os.remove"):
        return
    flags = arguments[2] if event == "open" else os.O_WRONLY
    path = str(arguments[1] if event == "os.rename" else arguments[0])
    if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR) or not fatal(path):
        return
    if event == "open" and flags & os.O_TRUNC and Path(path).exists():
        os.truncate(path, 0)
    os._exit(KILLED)
