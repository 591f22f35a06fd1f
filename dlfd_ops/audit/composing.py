"""From the ledger and the evidence beside it to the compliance report; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from dlfd_ops.audit.chain import GENESIS, Event
from dlfd_ops.audit.evidence import Receipt, Resolved, VersionEvidence, check_facts, facts, version_in_use, versions
from dlfd_ops.audit.figures import Losses, loss_figure
from dlfd_ops.audit.numbers import Metrics, gate_verdict, number_rows
from dlfd_ops.audit.report import DataVersion, ForgottenRow, LedgerState, ModelRow, Report, RequestRow, Summary
from dlfd_ops.audit.timeline import printable, timeline
from dlfd_ops.audit.verification import Verification
from dlfd_ops.deletion.deadlines import POLICIES
from dlfd_ops.deletion.requests import DeletionRequest
from dlfd_ops.deletion.status import RequestStatus, request_statuses


@dataclass(frozen=True)
class Material:
    """Everything that a report is made of.

    Attributes:
        dataset: name of the data set.
        raw_path: where the raw data lies, as the pipeline names it.
        raw_digest: DVC's digest of the raw data, where it records one.
        events: the ledger.
        problems: what does not hold in the chain, a line each.
        files: outcome of comparing the files with the ledger.
        requests: the intake.
        samples: training photos on the current forget list, by request.
        receipt: of the registration.
        metrics: ``metrics/unlearning.json``.
        losses: ``plots/losses.csv``.
    """

    dataset: str
    raw_path: str
    raw_digest: str | None
    events: Sequence[Event]
    problems: Sequence[str] = ()
    files: Verification = field(default_factory=Verification)
    requests: Sequence[DeletionRequest] = ()
    samples: Mapping[str, int] = field(default_factory=dict)
    receipt: Receipt | None = None
    metrics: Metrics = field(default_factory=dict)
    losses: Losses = field(default_factory=dict)


def compose(material: Material, *, as_of: date, due_soon_days: int) -> Report:
    """Return the report.

    Args:
        material: what it is made of.
        as_of: the date that deadlines are counted from.
        due_soon_days: an open request due within this many days is due soon.

    Raises:
        BadInput: an event of the ledger lacks a fact of its kind.
    """
    check_facts(material.events)
    registered = versions(material.events)
    in_use = version_in_use(material.receipt, registered)
    statuses = request_statuses(material.events, material.requests).values()
    rows = tuple(_request_row(status, material.samples, as_of, due_soon_days) for status in statuses)
    return Report(
        as_of=as_of,
        summary=_summary(rows, material),
        requests=rows,
        forgotten=tuple(_forgotten_row(version) for version in registered),
        data=_data_version(material),
        models=_models(registered, in_use, material.receipt),
        numbers=number_rows(material.metrics),
        seconds=dict(material.metrics.get("seconds", {})),
        gate=gate_verdict(in_use.gated) if in_use else None,
        losses=loss_figure(material.losses),
        timeline=timeline(material.events),
    )


def _request_row(status: RequestStatus, samples: Mapping[str, int], as_of: date, due_soon_days: int) -> RequestRow:
    left = status.days_left(as_of)
    policy = POLICIES.get(status.legal_basis)
    return RequestRow(
        request_id=printable(status.request_id),
        status=status.state,
        target=printable(status.target),
        legal_basis=printable(status.legal_basis),
        law=policy.law if policy else "",
        received_at=printable(status.received_at),
        due_at=status.due_at,
        closed_at=printable(status.closed_at) if status.closed_at else None,
        days_left=left,
        due_soon=left is not None and 0 <= left <= due_soon_days,
        late=status.late(as_of),
        version=None if status.version is None else f"{printable(status.model_name)} version {status.version}",
        samples=samples.get(status.request_id),
    )


def _summary(rows: Sequence[RequestRow], material: Material) -> Summary:
    states = Counter(row.status for row in rows)
    events = material.events
    return Summary(
        open=sum(row.days_left is not None for row in rows),
        due_soon=sum(row.due_soon for row in rows),
        overdue=sum(row.late and row.days_left is not None for row in rows),
        fulfilled=states["fulfilled"],
        fulfilled_late=sum(row.late and row.status == "fulfilled" for row in rows),
        refused=states["refused"],
        withdrawn=states["withdrawn"],
        ledger=LedgerState(
            events=len(events),
            head=printable(events[-1].hash) if events else GENESIS,
            holds=not material.problems,
            problems=tuple(printable(problem) for problem in material.problems),
        ),
        files_agree=not material.files.findings,
        differences=tuple(printable(finding) for finding in material.files.findings),
        not_checked=material.files.not_checked,
    )


def _forgotten_row(version: VersionEvidence) -> ForgottenRow:
    return ForgottenRow(
        version=_name(version),
        forget_list_digest=printable(version.registered.forget_list_digest),
        samples=version.resolved.forget_count if version.resolved else None,
        request_ids=tuple(printable(request_id) for request_id in version.registered.request_ids),
    )


def _data_version(material: Material) -> DataVersion:
    resolved = facts(material.events, "resolved", Resolved)
    return DataVersion(
        dataset=material.dataset,
        manifest_digest=printable(resolved[-1][1].manifest_digest) if resolved else None,
        raw_path=printable(material.raw_path),
        raw_digest=printable(material.raw_digest) if material.raw_digest else None,
    )


def _models(
    registered: Sequence[VersionEvidence], in_use: VersionEvidence | None, receipt: Receipt | None
) -> tuple[ModelRow, ...]:
    """Return the original, as the parent of the version in use, and every registered version."""
    if in_use is None:
        return ()
    original = ModelRow(
        role="original",
        model_name=printable(in_use.registered.model_name),
        version=receipt.original_version if receipt else None,
        weights_digest=printable(in_use.unlearned.parent_weights_digest) if in_use.unlearned else None,
    )
    return (original, *(_model_row(version) for version in registered))


def _model_row(version: VersionEvidence) -> ModelRow:
    registered, unlearned = version.registered, version.unlearned
    return ModelRow(
        role="unlearned",
        model_name=printable(registered.model_name),
        version=registered.version,
        run_id=printable(registered.run_id),
        registered_at=printable(version.at),
        weights_digest=printable(registered.weights_digest),
        parent_weights_digest=printable(unlearned.parent_weights_digest) if unlearned else None,
        method=printable(unlearned.method) if unlearned else None,
        params_digest=printable(unlearned.params_digest) if unlearned else None,
        git_commit=printable(unlearned.git_commit) if unlearned else None,
        gate=version.gated.passed if version.gated else None,
    )


def _name(version: VersionEvidence) -> str:
    return f"{printable(version.registered.model_name)} version {version.registered.version}"
