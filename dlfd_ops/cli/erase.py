"""``dlfd-ops erase``: remove the data of the people whom the model has forgotten."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlfd_ops.cli.output import echo_json, json_option
from dlfd_ops.errors import BadInput, CheckFailed
from dlfd_ops.files import read_bounded
from dlfd_ops.params import Params, load_params

if TYPE_CHECKING:
    from dlfd_ops.workflows.erase import Planned

MAX_PLAN_BYTES = 1 << 30
COMMIT = "git add -A {} && git commit"
_CHANGED = ("data", "deletion", "audit", "models", "dvc.yaml", "dvc.lock")
_DIGEST_DIGITS = 64


@click.group()
def erase() -> None:
    """Remove the data of fulfilled requests from every store that can be reached."""


@erase.command()
@json_option
def plan(as_json: bool) -> None:
    """Show what `erase run` would remove, keep and not reach; change nothing."""
    from dlfd_ops.workflows.erase import plan_erasure

    planned = plan_erasure(load_params())
    if as_json:
        echo_json(_document(planned))
    else:
        _show(planned)


@erase.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--plan", "reviewed", metavar="FILE|DIGEST", help="The plan that was reviewed; another one is refused.")
@json_option
def run(yes: bool, reviewed: str | None, as_json: bool) -> None:
    """Carry out the plan, or complete one that was interrupted."""
    from dlfd_ops.workflows.erase import run_erasure

    def approve(planned: Planned) -> None:
        if not as_json:
            _show(planned)
        if not yes and not _confirmed(err=as_json):
            raise CheckFailed(
                "an erasure needs a yes",
                received="none; nothing was removed",
                remedy="run it when sure; where nobody answers, with --yes",
            )

    params = load_params()
    done = run_erasure(params, approve=approve, expected=_digest(reviewed) if reviewed else None)
    if as_json:
        echo_json({"plan_digest": done.plan.digest(), "receipt": done.receipt})
    elif done.receipt is None:
        click.echo("nothing to erase")
    else:
        click.echo(f"receipt  {done.receipt}")
        click.echo(f"now commit what changed, and push it: {COMMIT.format(shlex.join(_changed(params)))}")


def _confirmed(*, err: bool) -> bool:
    try:
        return click.confirm("What is removed can't be brought back. Go on?", err=err)
    except click.Abort:
        return False


def _changed(params: Params) -> tuple[str, ...]:
    """Return what an erasure changes and Git tracks; the raw data may stand outside of the pipeline's folder."""
    pointer, factory = Path(f"{params.prepare.root.rstrip('/')}.dvc"), params.train.factory
    also = [] if pointer.is_relative_to("data") or not pointer.exists() else [pointer]
    if factory is not None and factory.weights is not None:
        also.append(Path(factory.weights).parent)
    return (*_CHANGED, *map(str, also))


def _document(planned: Planned) -> dict[str, object]:
    from dlfd_ops.deletion.erasure import count

    plan = planned.plan
    return {
        "plan_digest": plan.digest(),
        "interrupted": planned.interrupted,
        "counts": count(plan.items),
        **plan.model_dump(mode="json"),
    }


def _show(planned: Planned) -> None:
    from dlfd_ops.audit.timeline import count
    from dlfd_ops.deletion.erasure import count_by_kind

    plan = planned.plan
    if planned.interrupted:
        click.echo("an erasure was interrupted; run completes it")
    click.echo(f"requests  {len(plan.request_ids)}: {', '.join(plan.request_ids)}")
    for (outcome, store, kind, ground), number in count_by_kind(plan.items):
        click.echo(f"{outcome:8}  {number} {kind}, {store}" + (f" ({ground})" if ground else ""))
    if plan.merged_names:
        also = count(plan.merged_names, "name")
        click.echo(
            f"also      {also} that nobody asked about: names that share a photo are one person, and go together"
        )
    if plan.unreadable_revisions:
        newest = plan.unreadable_revisions[0][:12]
        click.echo(f"revisions {len(plan.unreadable_revisions)} can no longer be checked out with DVC, newest {newest}")
    for place in plan.not_reached:
        click.echo(f"not reached  {place}")
    click.echo(f"plan      {plan.digest()}")


def _digest(reviewed: str) -> str:
    """Return the digest that was given, or that of the plan in a file."""
    if len(reviewed) == _DIGEST_DIGITS and set(reviewed) <= set("0123456789abcdef"):
        return reviewed
    from dlfd_ops.deletion.erasure import Plan

    content = read_bounded(Path(reviewed), max_bytes=MAX_PLAN_BYTES, what="the reviewed plan")
    try:
        document = json.loads(content)
        stated = str(document["plan_digest"])
        found = Plan.model_validate_json(json.dumps({name: document[name] for name in Plan.model_fields}))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(
            "--plan must name a file of `dlfd-ops erase plan --json`, or give the plan's digest",
            received="something else",
            remedy="make it with: dlfd-ops erase plan --json > plan.json",
        ) from error
    if found.digest() != stated:  # what was read through may be another list than the one that the digest is of
        raise BadInput(
            f"{reviewed} must be the plan that its digest is of",
            received=f"plan {found.digest()[:16]}..., stated {stated[:16]:.16}...",
            remedy="make it again with: dlfd-ops erase plan --json > plan.json",
        )
    return stated
