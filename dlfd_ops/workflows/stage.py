"""How a pipeline file runs its workflow: one line for a user's error, an exit status for DVC.

A repository that only has the package installed runs a stage as ``python -m dlfd_ops.workflows.stage NAME``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from importlib import import_module
from typing import NoReturn

from dlfd_ops.errors import DlfdError, machine_failure
from dlfd_ops.params import Params, load_params

FUNCTIONS = {"audit": "report"}
"""Workflows whose function is not called like the stage."""
INTERRUPTED = 130
"""Exit status of a stage that was stopped from the keyboard: 128 and the signal's number, as shells have it."""


def run_stage(stage: Callable[[Params], object]) -> None:
    """Load ``params.yaml``, run ``stage`` with it, and exit with its status.

    Errors that a user can mend are one line on standard error; anything else is a defect and keeps its traceback.
    """
    # By force: a library that a workflow imports may have set up the root logger for itself, and silenced this package.
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    try:
        stage(load_params())
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; run it again to go on\n")
        sys.exit(INTERRUPTED)
    except DlfdError as error:
        _fail(error)
    except OSError as error:
        _fail(machine_failure(error))


def _fail(error: DlfdError) -> NoReturn:
    sys.stderr.write(f"error: {error}\n")
    sys.exit(error.exit_status)


if __name__ == "__main__":
    (_name,) = sys.argv[1:]
    run_stage(getattr(import_module(f"dlfd_ops.workflows.{_name}"), FUNCTIONS.get(_name, _name)))
