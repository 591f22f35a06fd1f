"""How a pipeline file runs its workflow: one line for a user's error, an exit status for DVC."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from dlfd_ops.errors import DlfdError
from dlfd_ops.params import Params, load_params


def run_stage(stage: Callable[[Params], object]) -> None:
    """Load ``params.yaml``, run ``stage`` with it, and exit with its status.

    Errors that a user can mend are one line on standard error; anything else is a defect and keeps its traceback.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        stage(load_params())
    except DlfdError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_status)
