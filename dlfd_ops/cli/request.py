"""``dlfd-ops request``: the intake of deletion requests."""

from __future__ import annotations

import os
import sys
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from dlfd_ops.cli.output import echo_json, json_option
from dlfd_ops.deletion.deadlines import POLICIES, policy_of
from dlfd_ops.deletion.status import RequestStatus
from dlfd_ops.errors import BadInput
from dlfd_ops.workflows.request_import import import_requests
from dlfd_ops.workflows.requests import (
    EXTENSION_REASONS,
    REFUSAL_REASONS,
    Wish,
    acknowledge,
    add_requests,
    extend,
    list_requests,
    refuse,
    show_request,
    withdraw,
)

_TABLE_WIDTH = 100
_MAX_INPUT_BYTES = 1 << 16


class _Moment(click.ParamType[datetime]):
    """An ISO 8601 date or date and time."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse ``value``; what is no date is not repeated, it may have slipped in from another option."""
        try:
            return datetime.fromisoformat(str(value))
        except ValueError:
            self.fail("give a date such as 2026-01-31 or 2026-01-31T12:00:00+01:00", param, ctx)


MOMENT = _Moment()


def _as_of_option(command: Any) -> Any:
    return click.option("--as-of", type=MOMENT, help="Count days left from this date instead of today (UTC).")(command)


@click.group()
def request() -> None:
    """File deletion requests and follow them."""


@request.command()
@click.option("--subject", metavar="ID", help="Subject id as in the raw data; - reads it from standard input.")
@click.option(
    "--sample-file",
    "sample_files",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="An image file of the raw data; repeat it for a batch.",
)
@click.option("--legal-basis", type=click.Choice(list(POLICIES)), default="gdpr", show_default=True)
@click.option("--received", type=MOMENT, help="When it was received; UTC unless it says otherwise.  [default: now]")
@click.option("--due", type=MOMENT, help="Due date, for --legal-basis manual only.")
@json_option
def add(
    *,
    subject: str | None,
    sample_files: tuple[Path, ...],
    legal_basis: str,
    received: datetime | None,
    due: datetime | None,
    as_json: bool,
) -> None:
    """File the request of one person, or about one batch of images.

    Asked twice is one request: the second time it says so and changes nothing.
    """
    wish = Wish(
        legal_basis=legal_basis,
        subject=_from_standard_input() if subject == "-" else subject,
        sample_files=sample_files,
        received=received,
        due=due.date() if due else None,
    )
    filed = add_requests([wish])[0]
    status, _ = show_request(filed.request.request_id)
    if as_json:
        echo_json({**_fields(status, _today()), "repeated": filed.repeated})
        return
    click.echo(f"{status.request_id}  {'had been filed before' if filed.repeated else 'filed'}")
    _echo_status(status, _today())


@request.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def import_(file: Path, as_json: bool) -> None:
    """File every row of a CSV file, all or none (format: docs/requests.md)."""
    filed = import_requests(file)
    rows = [{"request_id": one.request.request_id, "repeated": one.repeated} for one in filed]
    if as_json:
        echo_json({"requests": rows})
        return
    repeated = sum(one.repeated for one in filed)
    click.echo(f"{len(filed) - repeated} requests filed, {repeated} had been filed before")


@request.command("list")
@_as_of_option
@json_option
def list_(as_of: datetime | None, as_json: bool) -> None:
    """List every request with its status and the days left."""
    day = as_of.date() if as_of else _today()
    statuses = list_requests()
    if as_json:
        echo_json({"as_of": day.isoformat(), "requests": [_fields(status, day) for status in statuses]})
        return
    table = Table("request", "status", "legal basis", "received", "due", "days left", "late", box=box.SIMPLE_HEAD)
    for status in statuses:
        fields = _fields(status, day)
        table.add_row(
            status.request_id,
            status.state,
            status.legal_basis,
            status.received_at[:10],
            fields["due_at"],
            "" if fields["days_left"] is None else str(fields["days_left"]),
            "late" if fields["late"] else "",
            style="bold red" if fields["late"] and status.open else None,
        )
    console = Console(markup=False)
    console.width = max(console.width, _TABLE_WIDTH)
    console.print(table)
    counts = Counter(status.state for status in statuses)
    console.print(", ".join(f"{count} {state}" for state, count in counts.items()) or "no requests")


@request.command()
@click.argument("request_id")
@_as_of_option
@json_option
def show(request_id: str, as_of: datetime | None, as_json: bool) -> None:
    """Show one request and what happened to it."""
    day = as_of.date() if as_of else _today()
    status, events = show_request(request_id)
    history = [{"seq": event.seq, "at": event.at, "kind": event.kind} for event in events]
    if as_json:
        echo_json({**_fields(status, day), "as_of": day.isoformat(), "history": history})
        return
    click.echo(status.request_id)
    _echo_status(status, day)
    for event in events:
        click.echo(f"  {event.at[:19]}Z  {event.kind}")


@request.command("acknowledge")
@click.argument("request_id")
@json_option
def acknowledge_(request_id: str, as_json: bool) -> None:
    """Record that the person was told that the request arrived."""
    _report(acknowledge(request_id), as_json)


@request.command("extend")
@click.argument("request_id")
@click.option("--reason", type=click.Choice(EXTENSION_REASONS), required=True)
@click.option("--due", type=MOMENT, help="New due date.  [default: the latest that the law allows]")
@json_option
def extend_(request_id: str, reason: str, due: datetime | None, as_json: bool) -> None:
    """Record that the person was told of a later due date."""
    _report(extend(request_id, reason, due.date() if due else None), as_json)


@request.command("refuse")
@click.argument("request_id")
@click.option("--reason", type=click.Choice(REFUSAL_REASONS), required=True)
@json_option
def refuse_(request_id: str, reason: str, as_json: bool) -> None:
    """Record that the request is refused; the forget list leaves it out."""
    _report(refuse(request_id, reason), as_json)


@request.command("withdraw")
@click.argument("request_id")
@json_option
def withdraw_(request_id: str, as_json: bool) -> None:
    """Record that the person took the request back; the forget list leaves it out."""
    _report(withdraw(request_id), as_json)


def _report(status: RequestStatus, as_json: bool) -> None:
    if as_json:
        echo_json(_fields(status, _today()))
        return
    click.echo(status.request_id)
    _echo_status(status, _today())


def _echo_status(status: RequestStatus, day: date) -> None:
    fields = _fields(status, day)
    left = "" if fields["days_left"] is None else f" ({fields['days_left']} days left)"
    click.echo(f"  status       {status.state}{', late' if fields['late'] else ''}")
    click.echo(f"  legal basis  {status.legal_basis}: {policy_of(status.legal_basis).law}")
    click.echo(f"  received     {status.received_at}")
    click.echo(f"  due          {status.due_at}{left}")


def _fields(status: RequestStatus, day: date) -> dict[str, Any]:
    return {
        "request_id": status.request_id,
        "status": status.state,
        "legal_basis": status.legal_basis,
        "target": status.target,
        "received_at": status.received_at,
        "due_at": status.due_at.isoformat(),
        "days_left": status.days_left(day),
        "late": status.late(day),
        "closed_at": status.closed_at,
        "model_name": status.model_name,
        "version": status.version,
    }


def _from_standard_input() -> str:
    # Decoded as the shell's arguments are, so that both ways of giving an id agree.
    # Python has no standard input where the shell closed it.
    lines = os.fsdecode(sys.stdin.buffer.read(_MAX_INPUT_BYTES)).splitlines() if sys.stdin else []
    if len(lines) != 1:
        raise BadInput(
            "standard input must hold one line, the subject id", received=f"{len(lines)} lines", remedy="give one"
        )
    return lines[0]


def _today() -> date:
    return datetime.now(UTC).date()
