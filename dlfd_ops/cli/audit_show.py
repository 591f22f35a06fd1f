"""``dlfd-ops audit show``: the auditor's questions, answered on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlfd_ops.cli.output import echo_json, json_option
from dlfd_ops.data.trained_on import LATER
from dlfd_ops.errors import BadInput
from dlfd_ops.params import load_params

if TYPE_CHECKING:
    from dlfd_ops.audit.dossier import Dossier, ImageAnswer, RequestRow, VersionRef
    from dlfd_ops.audit.erasures import ErasureRow
    from dlfd_ops.audit.lineage import VersionNode
    from dlfd_ops.audit.report import Report
    from dlfd_ops.workflows.audit_show import VersionAnswer

LAST_EVENTS = 20
"""Events of the timeline that the terminal shows; JSON and the page have more."""
_VERDICTS = {
    "forgotten": "forgotten: a fulfilled request covers it",
    "perhaps known": "perhaps still known: a fulfilled request covers it, but photos of it were gone before they could "
    "be forgotten",
    "asked": "asked to be forgotten, and not fulfilled yet",
    "suppressed": "on the suppression list; no request here explains it",
    "in the data": "in the data, and no open or fulfilled request covers it",
    "in the model": "no longer in the data, and no open or fulfilled request covers it; the original was trained on it",
    "unknown": "unknown: these very bytes are not in the data, and no request answers for them; a re-saved copy "
    "is another file",
}
_TRAINED = {True: "yes", False: "no", None: "not recorded, or not any more"}
_SPLITS = {LATER: "set aside: not trained on, and no stranger's"}


@click.command()
@click.option("--request", "request_id", metavar="ID", help="Everything about one deletion request.")
@click.option("--version", type=click.IntRange(min=1), help="What a model version has forgotten, and its lineage.")
@click.option(
    "--image", type=click.Path(path_type=Path), metavar="FILE", help="Is this image file among what was forgotten?"
)
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Date that deadlines are counted from; today (UTC) by default."
)
@json_option
def show(
    request_id: str | None, version: int | None, image: Path | None, as_of: datetime | None, as_json: bool
) -> None:
    """Answer an auditor's question: about a request, a version, an image file, or, without an option, overall.

    Reads the repository and the MLflow store, and changes no evidence.
    """
    if sum(option is not None for option in (request_id, version, image)) > 1:
        raise BadInput(
            "one question at a time", received="several of --request, --version, --image", remedy="give one of them"
        )
    from dlfd_ops.workflows import audit_show

    params, day = load_params(), (as_of or datetime.now(UTC)).date()
    if request_id is not None:
        dossier = audit_show.show_request(params, request_id, as_of=day)
        _answer(as_json, dossier.model_dump(mode="json"), _request_lines(dossier))
    elif version is not None:
        found = audit_show.show_version(params, version)
        _answer(as_json, _version_json(found), _version_lines(found))
    elif image is not None:
        answer = audit_show.show_image(params, image, as_of=day)
        _answer(as_json, answer.model_dump(mode="json"), _image_lines(answer))
    else:
        report = audit_show.show_everything(params, as_of=day)
        _answer(as_json, report.model_dump(mode="json"), _overall_lines(report))


def _answer(as_json: bool, document: Any, lines: Iterable[str]) -> None:
    if as_json:
        echo_json(document)
        return
    for line in lines:
        click.echo(line)


def _request_lines(dossier: Dossier) -> list[str]:
    request = dossier.request
    learned = {True: "", False: "  (no photo of theirs was ever trained on)", None: "  (as far as is recorded)"}
    lines = [
        request.request_id,
        *_deadline_lines(request),
        f"  knew them     {_versions(dossier.knew)}{learned[dossier.learned]}",
        f"  not known to  {_versions(dossier.forgot)}",
        f"  evidence      {_evidence(dossier)}",
        "  their data",
        *(f"    {row.state:<9} {row.store}: {row.detail}" for row in dossier.stores),
        "  history",
    ]
    return lines + [f"    {entry.at[:19]}Z  {entry.title}{_detail(entry.detail)}" for entry in dossier.history]


def _deadline_lines(request: RequestRow) -> list[str]:
    answered = f"{request.closed_at[:10]}, {'late' if request.late else 'in time'}" if request.closed_at else "not yet"
    if request.closed_at and request.status == "withdrawn":
        answered = request.closed_at[:10]
    left = f"  ({_days(request.days_left)})" if request.days_left is not None else ""
    return [
        f"  status        {request.status}{f', by {request.version}' if request.version else ''}",
        f"  received      {request.received_at}",
        f"  due           {request.due_at}{left}  {request.law}",
        f"  done          {answered}",
    ]


def _evidence(dossier: Dossier) -> str:
    if dossier.gate is None:
        return "none yet: no version has come before the gate"
    attack = "" if dossier.attack_auc is None else f"; attack AUC {dossier.attack_auc:.3f}, 0.5 is a coin toss"
    gone = f"; could not forget {dossier.gone} of theirs, which were gone" if dossier.gone else ""
    return f"the gate {'passed' if dossier.gate else 'failed'}{attack}{gone}"


def _version_json(found: VersionAnswer) -> dict[str, Any]:
    nodes = [node.model_dump(mode="json", exclude={"parent"}) for node in found.lineage]
    return {"version": nodes[0], "forgotten": list(found.forgotten), "lineage": nodes}


def _version_lines(found: VersionAnswer) -> list[str]:
    node = found.node
    lines = [
        f"{node.model_name} {node.name}",
        f"  now           {_place(node)}",
        f"  gate          {'not decided' if node.gate is None else 'passed' if node.gate else 'failed'}",
        f"  weights       {node.weights_digest or 'not recorded'}",
        f"  forgotten     {len(found.forgotten)} requests, {node.samples or 0} training photos on its own list",
        *(f"    {request_id}" for request_id in found.forgotten),
        "  lineage, back to the original",
    ]
    lines += [f"    {_lineage_line(one)}" for one in found.lineage]
    gone = [f"    {photos} of {request_id}" for request_id, photos in sorted(node.gone.items())]
    return lines + (["  could not forget photos that were gone", *gone] if gone else [])


def _lineage_line(node: VersionNode) -> str:
    if node.role == "original":
        trained = f"without those of {len(node.forgets)} requests" if node.forgets else "on everybody"
        return f"{node.name:<14} {node.place:<10} an original, trained {trained}"
    made = f"{node.registered_at[:10]}  {node.method or 'unknown method'}" if node.registered_at else ""
    return f"{node.name:<14} {node.place:<10} {made}, {len(node.forgets)} requests more than its parent"


def _image_lines(answer: ImageAnswer) -> list[str]:
    lines = [
        _VERDICTS[answer.verdict],
        f"  keyed hash    {answer.sample_id}",
        f"  in the data   {f'yes, {_SPLITS.get(answer.split, answer.split)}' if answer.split else 'no'}",
        f"  trained on    {_TRAINED[answer.trained]}",
        f"  suppressed    {'yes' if answer.suppressed else 'no'}",
        f"  forgotten by  {_versions(answer.forgot)}",
    ]
    return lines + [f"  request       {row.request_id}  {row.status}" for row in answer.requests]


def _overall_lines(report: Report) -> list[str]:
    summary = report.summary
    lines = [
        f"{summary.open} open, {summary.overdue} overdue, {summary.fulfilled} fulfilled"
        f" ({summary.fulfilled_late} late), {summary.refused} refused, {summary.withdrawn} withdrawn",
        "",
        "Does it agree with the ledger?",
    ]
    for row in summary.agreement:
        lines.append(f"  {row.part:<13} {row.state}, {row.checked} checked")
        lines += [f"    differs      {line}" for line in row.findings]
        lines += [f"    not checked  {line}" for line in row.not_checked]
    lines += ["", "Versions", *(f"  {_lineage_line(node)}" for node in report.lineage)]
    lines += ["", "Erasures", *(line for row in report.erasures for line in _erasure_lines(row))]
    lines += ["", "Open requests", *(f"  {_open_line(row)}" for row in report.requests if row.days_left is not None)]
    lines += ["", f"Timeline, the last {min(LAST_EVENTS, len(report.timeline))} of {len(report.timeline)} events"]
    return lines + [f"  {entry.at[:19]}Z  {entry.title}" for entry in report.timeline[-LAST_EVENTS:]]


def _erasure_lines(row: ErasureRow) -> list[str]:
    kept = f", {row.kept} kept ({'; '.join(row.grounds)})" if row.kept else ""
    return [
        f"  {row.at[:19]}Z  data of {len(row.request_ids)} requests: {row.removed} objects removed{kept}",
        *(f"    not reached  {place}" for place in row.not_reached),
    ]


def _open_line(row: RequestRow) -> str:
    return f"{row.request_id}  {row.status:<12} due {row.due_at}  {_days(row.days_left or 0)}"


def _versions(refs: Sequence[VersionRef]) -> str:
    return ", ".join(f"{ref.name} ({_place(ref)})" for ref in refs) or "none"


def _place(version: VersionRef | VersionNode) -> str:
    return f"{version.place}, weights erased {version.erased_at[:10]}" if version.erased_at else version.place


def _days(left: int) -> str:
    return f"{-left} days late" if left < 0 else f"{left} days left"


def _detail(text: str) -> str:
    return f": {text}" if text else ""
