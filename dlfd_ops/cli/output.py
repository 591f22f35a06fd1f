"""What the commands share: errors in one line, and JSON or text."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

import click

from dlfd_ops.errors import BadInput, DlfdError, machine_failure

Command = TypeVar("Command", bound=Callable[..., Any])


class OneLineErrors(click.Group):
    """A group whose errors are one line on standard error and the exit status of the outside contract."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line; a failure of the machine (permissions, a full disk) is told like bad input."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            status = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except DlfdError as error:
            _fail(error)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "dlfd-ops"
            _fail(BadInput("the command line must be valid", received=_said(error), remedy=f"see {command} --help"))
        except click.Abort:
            click.echo("error: interrupted; run the command again", err=True)
            sys.exit(1)
        except OSError as error:
            _fail(machine_failure(error))
        sys.exit(status if isinstance(status, int) else 0)


def json_option(command: Command) -> Command:
    """Add ``--json`` to a command."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(command)


def echo_json(value: Any) -> None:
    """Print ``value`` as indented JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _fail(error: DlfdError) -> NoReturn:
    click.echo(f"error: {error}", err=True)
    sys.exit(error.exit_status)


def _said(error: click.UsageError) -> str:
    """Return what click says, without arguments that may be half of somebody's name."""
    message = error.format_message()
    return "arguments that no option takes (quote a value with spaces)" if "extra argument" in message else message
