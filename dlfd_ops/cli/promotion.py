"""``dlfd-ops promote`` and ``dlfd-ops rollback``: which version serves."""

from __future__ import annotations

from dataclasses import asdict

import click

from dlfd_ops.cli.output import echo_json, json_option
from dlfd_ops.errors import BadInput
from dlfd_ops.params import load_params

VERSION = click.IntRange(1, 2**31 - 1)


@click.command()
@click.option("--version", type=VERSION, help="Number of the version.  [default: the alias candidate]")
@click.option("--force", is_flag=True, help="Promote a version that did not pass its gate; needs --reason.")
@click.option(
    "--reason",
    metavar="TEXT",
    help="Why it is forced. It goes into the ledger for good, and with it into Git: name nobody.",
)
@json_option
def promote(version: int | None, force: bool, reason: str | None, as_json: bool) -> None:
    """Let the alias champion name a version whose gate passed.

    Who decides is recorded: DLFD_ACTOR (a role, for example), or git's user.name.
    """
    if force != (reason is not None):
        raise BadInput(
            "--force and --reason go together", received="one of them", remedy="force with a reason, or not at all"
        )
    from dlfd_ops.workflows.promote import promote as promote_version

    done = promote_version(load_params(), version=version, reason=reason)
    if as_json:
        echo_json({**asdict(done.moved), "forced": bool(done.failed), "failed_rules": done.failed})
        return
    _say(done.moved.model_name, done.moved.version, done.moved.from_version, done.moved.changed)
    for rule in done.failed:
        click.secho(f"  forced: not held: {rule}", fg="red")


@click.command()
@click.option("--to", type=VERSION, help="Number of the version.  [default: the one that served before]")
@json_option
def rollback(to: int | None, as_json: bool) -> None:
    """Let the alias champion name an earlier version.

    Refuses one that still knows a person whose request was fulfilled since.
    """
    from dlfd_ops.workflows.rollback import rollback as roll_back

    moved = roll_back(load_params(), to=to)
    if as_json:
        echo_json(asdict(moved))
        return
    _say(moved.model_name, moved.version, moved.from_version, moved.changed)


def _say(model_name: str, version: int, from_version: int | None, changed: bool) -> None:
    before = "" if from_version is None else f"; before: version {from_version}"
    click.echo(f"{model_name} version {version} {'serves now' if changed else 'serves already'}{before}")
