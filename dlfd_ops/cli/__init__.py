"""The command line: one thin command per workflow.

Exit status: 0 done; 1 a check did not hold; 2 bad input. Errors and warnings are one line each, on standard error.
"""

from __future__ import annotations

import logging

import click

from dlfd_ops import __version__
from dlfd_ops.cli.audit import audit
from dlfd_ops.cli.benchmark import benchmark
from dlfd_ops.cli.erase import erase
from dlfd_ops.cli.init import init
from dlfd_ops.cli.key import key
from dlfd_ops.cli.output import OneLineErrors
from dlfd_ops.cli.promotion import promote, rollback
from dlfd_ops.cli.request import request


@click.group(cls=OneLineErrors)
@click.version_option(__version__, prog_name="dlfd-ops")
def main() -> None:
    """Make a face model forget the people who ask for it, and prove it."""
    # Before MLflow is loaded: some of it sets the root logger to errors only, where nobody has configured it.
    logging.basicConfig(level=logging.WARNING, format="warning: %(message)s")


main.add_command(init)
main.add_command(request)
main.add_command(key)
main.add_command(audit)
main.add_command(erase)
main.add_command(promote)
main.add_command(rollback)
main.add_command(benchmark)
