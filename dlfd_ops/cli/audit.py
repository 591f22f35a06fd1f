"""``dlfd-ops audit``: the compliance report, and the check that everything agrees with the ledger."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from dlfd_ops.cli.audit_show import show
from dlfd_ops.cli.output import echo_json, json_option
from dlfd_ops.params import load_params


@click.group()
def audit() -> None:
    """Report what was forgotten, and check it."""


@audit.command()
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Date that deadlines are counted from; today (UTC) by default.",
)
@json_option
def report(as_of: datetime | None, as_json: bool) -> None:
    """Write audit/report.html and audit/report.json, with where the versions are now in MLflow."""
    from dlfd_ops.workflows.audit import DOCUMENT, PAGE
    from dlfd_ops.workflows.audit import report as write_report

    written = write_report(load_params(), as_of=(as_of or datetime.now(UTC)).date(), ask_registry=True)
    if as_json:
        echo_json(written.model_dump(mode="json"))
        return
    summary = written.summary
    click.echo(f"{summary.open} open, {summary.overdue} overdue, {summary.fulfilled} fulfilled")
    click.echo(f"chain   {'holds' if summary.state('chain') == 'agrees' else 'BROKEN'}, {summary.ledger.events} events")
    click.echo(f"head    {summary.ledger.head}")
    click.echo(f"page    {PAGE}")
    click.echo(f"data    {DOCUMENT}")


@audit.command()
@click.option("--expected-head", metavar="HASH", help="A head of the ledger that was noted elsewhere earlier.")
@json_option
@click.pass_context
def verify(ctx: click.Context, expected_head: str | None, as_json: bool) -> None:
    """Compare the ledger, the files and the MLflow tags; exit 1 with what differs."""
    from dlfd_ops.workflows.audit import verify as compare

    outcome = compare(Path(), expected_head=expected_head)
    if as_json:
        echo_json({"holds": not outcome.findings, **asdict(outcome)})
    else:
        for finding in outcome.findings:
            click.echo(f"differs      {finding}")
        for line in outcome.not_checked:
            click.echo(f"not checked  {line}")
        verdict = f"{len(outcome.findings)} differ" if outcome.findings else "all agree with the ledger"
        click.echo(f"{len(outcome.checked)} checked: {verdict}")
    ctx.exit(1 if outcome.findings else 0)


audit.add_command(show)
