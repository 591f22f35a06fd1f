"""``dlfd-ops audit``: the compliance report, and the check that everything agrees with the ledger."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from dlfd_ops.cli.audit_show import show
from dlfd_ops.cli.output import echo_json, json_option
from dlfd_ops.params import load_params

FILE = click.Path(path_type=Path)


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
@click.option("--expected-key", metavar="ID", help="Id of a signing key that you have from the company itself.")
@click.option(
    "--certificate", type=FILE, help="Check this certificate alone, with --key; no repository is needed for that."
)
@click.option("--key", type=FILE, help="Public key (PEM) of whoever signed the certificate.")
@click.option(
    "--file",
    "files",
    type=FILE,
    multiple=True,
    help="Weight file, model.pt2, or MLflow's model folder: must be what the certificate is about. Repeat it for more.",
)
@json_option
@click.pass_context
def verify(
    ctx: click.Context,
    *,
    expected_head: str | None,
    expected_key: str | None,
    certificate: Path | None,
    key: Path | None,
    files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Compare ledger, files, certificates and MLflow; exit 1 with what differs."""
    if certificate is not None and key is not None and expected_head is None and expected_key is None:
        _verify_alone(certificate, key, files, as_json)
        return
    if certificate is not None or key is not None or files:
        raise click.UsageError("give --certificate and --key, with --file or without, and nothing expected")
    from dlfd_ops.workflows.audit import verify as compare

    outcome = compare(Path(), expected_head=expected_head, expected_key=expected_key)
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


@audit.command()
@click.option("--request", "request_id", metavar="ID", required=True, help="A request that is fulfilled.")
@json_option
def certificate(request_id: str, as_json: bool) -> None:
    """Write the signed certificate of a request and the letter to the person.

    Run again it checks what stands there, and changes it only when something new happened.
    """
    from dlfd_ops.workflows.certify import certify_request

    made = certify_request(request_id)
    _, page, text = made.files
    if as_json:
        said = made.statement.model_dump(mode="json", by_alias=True)
        echo_json({"digest": made.digest, "files": [str(file) for file in made.files], "statement": said})
        return
    click.echo(f"certificate  {made.files[0]}")
    click.echo(f"sha256       {made.digest}")
    click.echo(f"letter       {page}, {text}")


def _verify_alone(certificate: Path, key: Path, files: tuple[Path, ...], as_json: bool) -> None:
    from dlfd_ops.workflows.certificate_check import check_certificate

    checked = check_certificate(certificate, key, files)
    statement = checked.signed.statement.model_dump(mode="json", by_alias=True)
    if as_json:
        known = {"key_ids": checked.signed.key_ids, "digest": checked.signed.digest}
        echo_json({"holds": True, **known, "files": [asdict(file) for file in checked.files], "statement": statement})
        return
    click.echo(f"signature   holds, key {', '.join(checked.signed.key_ids)}")
    click.echo(f"states      {statement['predicateType']}")
    for subject in statement["subject"]:
        click.echo(f"about       {subject['name']}: {' '.join(f'{k} {v}' for k, v in subject['digest'].items())}")
    for file in checked.files:
        click.echo(f"same        {file.path} is {file.subject}")
    if not files:
        click.echo("not checked the files: none was given with --file")


audit.add_command(show)
