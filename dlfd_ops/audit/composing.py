"""From the ledger and the evidence beside it to the compliance report; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from dlfd_ops.audit.chain import GENESIS, Event
from dlfd_ops.audit.dossier import Dossier, RequestRow, dossier
from dlfd_ops.audit.erasures import erasure_rows
from dlfd_ops.audit.evidence import VersionEvidence, trained_requests, version_in_use, versions, weights_gone
from dlfd_ops.audit.facts import Evaluated, Receipt, Resolved, check_facts, facts
from dlfd_ops.audit.figures import Losses, loss_figure
from dlfd_ops.audit.findings import Verification
from dlfd_ops.audit.lineage import Place, Places, VersionNode, lineage
from dlfd_ops.audit.numbers import Metrics, gate_verdict, number_rows
from dlfd_ops.audit.promotions import promotion_rows
from dlfd_ops.audit.report import Agreement, DataVersion, LedgerState, Report, Summary
from dlfd_ops.audit.serving import moves
from dlfd_ops.audit.stores import Photos
from dlfd_ops.audit.timeline import printable, timeline
from dlfd_ops.deletion import erasure
from dlfd_ops.deletion.deadlines import POLICIES
from dlfd_ops.deletion.requests import DeletionRequest
from dlfd_ops.deletion.status import RequestStatus, histories, request_statuses

MAX_DETAILS = 200
"""Most requests that a report goes into one by one; ``dlfd-ops audit show --request ID`` does for any."""


@dataclass(frozen=True)
class Material:
    """Everything that a report is made of.

    Attributes:
        dataset: name of the data set.
        raw_path: where the raw data lies, as the pipeline names it.
        raw_digest: DVC's digest of the raw data, where it records one.
        events: the ledger.
        parts: outcome of comparing each part of the evidence with the ledger, the chain first.
        requests: the intake.
        samples: training photos on the current forget list, by request.
        photos: photos in the prepared data, by request; None where there is no prepared data.
        places: where the registered versions are now; empty where the registry was not asked.
        receipt: of the registration.
        metrics: ``metrics/unlearning.json``.
        losses: ``plots/losses.csv``.
        receipts: of the erasures, by their SHA-256.
    """

    dataset: str
    raw_path: str
    raw_digest: str | None
    events: Sequence[Event]
    parts: Mapping[str, Verification] = field(default_factory=dict)
    requests: Sequence[DeletionRequest] = ()
    samples: Mapping[str, int] = field(default_factory=dict)
    photos: Mapping[str, Photos] | None = None
    places: Places = field(default_factory=dict)
    receipt: Receipt | None = None
    metrics: Metrics = field(default_factory=dict)
    losses: Losses = field(default_factory=dict)
    receipts: Mapping[str, erasure.Receipt] = field(default_factory=dict)


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
    in_use = version_in_use(material.receipt, versions(material.events))
    rows = request_rows(material, as_of=as_of, due_soon_days=due_soon_days)
    nodes = version_nodes(material)
    metrics, losses = _measured(material, in_use)
    return Report(
        as_of=as_of,
        summary=_summary(tuple(rows.values()), material),
        requests=tuple(rows.values()),
        details=dossiers(material, _worth_details(rows), nodes),
        data=_data_version(material),
        lineage=nodes,
        promotions=promotion_rows(material.events),
        erasures=erasure_rows(material.events, material.receipts),
        numbers=number_rows(metrics),
        seconds=dict(metrics.get("seconds", {})),
        gate=gate_verdict(in_use.gated) if in_use else None,
        losses=loss_figure(losses),
        timeline=timeline(material.events),
    )


def request_rows(material: Material, *, as_of: date, due_soon_days: int) -> dict[str, RequestRow]:
    """Return every request by its id, in order of receipt; see :func:`compose`."""
    statuses = request_statuses(material.events, material.requests).values()
    rows = (_request_row(status, material.samples, as_of, due_soon_days) for status in statuses)
    return {row.request_id: row for row in rows}


def version_nodes(material: Material) -> tuple[VersionNode, ...]:
    """Return the lineage of every version."""
    registered = versions(material.events)
    places = _places_by_ledger(material.events) | dict(material.places)
    return lineage(registered, material.receipt, places, weights_gone(material.events))


def _places_by_ledger(events: Sequence[Event]) -> dict[tuple[str, int], Place]:
    """Return which version serves by the last promotion or rollback of its model."""
    last = {(move.model_name, move.store): move.version for _, move in moves(events)}
    return {(model_name, version): "serving" for (model_name, _), version in last.items()}


def dossiers(material: Material, rows: Sequence[RequestRow], nodes: Sequence[VersionNode]) -> tuple[Dossier, ...]:
    """Return everything about some requests.

    Args:
        material: see :func:`compose`.
        rows: the requests.
        nodes: every version, see :func:`version_nodes`.
    """
    concerned = histories(material.events)
    nothing, trained = Photos(train=0, other=0), trained_requests(versions(material.events))
    erased = erasure_rows(material.events, material.receipts)
    return tuple(
        dossier(
            row,
            nodes=nodes,
            history=timeline(concerned.get(row.request_id, ())),
            photos=None if material.photos is None else material.photos.get(row.request_id, nothing),
            trained=trained.get(row.request_id),
            raw_path=printable(material.raw_path),
            erasures=erased,
        )
        for row in rows
    )


def _measured(material: Material, in_use: VersionEvidence | None) -> tuple[Metrics, Losses]:
    """Return the numbers and the losses to show: the newest, unless they are about others than the version forgot.

    After an erasure the same weights are measured again, on nobody: the numbers of the verdict say more then. The
    ledger holds these numbers, and neither losses nor how long anything took.
    """
    if in_use is None or in_use.evaluated is None:
        return material.metrics, material.losses
    version = in_use.registered
    lists = [
        fact.forget_list_digest
        for _, fact in facts(material.events, "evaluated", Evaluated)
        if fact.weights_digest == version.weights_digest
    ]
    if lists[-1:] == [version.forget_list_digest]:
        return material.metrics, material.losses
    nested: dict[str, dict[str, float | None]] = {}
    for name, value in in_use.evaluated.metrics.items():
        model, _, metric = name.partition(".")
        nested.setdefault(model, {})[metric] = value
    return nested, {}


def _worth_details(rows: Mapping[str, RequestRow]) -> tuple[RequestRow, ...]:
    """Choose the open requests, then the newest, and keep them in order of receipt."""
    ranked = sorted(enumerate(rows.values()), key=lambda item: (item[1].days_left is None, -item[0]))
    return tuple(row for _, row in sorted(ranked[:MAX_DETAILS], key=lambda item: item[0]))


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
        ledger=LedgerState(events=len(events), head=printable(events[-1].hash) if events else GENESIS),
        agreement=tuple(_agreement(part, outcome) for part, outcome in material.parts.items()),
    )


def _agreement(part: str, outcome: Verification) -> Agreement:
    return Agreement(
        part=part,
        checked=len(outcome.checked),
        findings=tuple(printable(finding) for finding in outcome.findings),
        not_checked=tuple(printable(line) for line in outcome.not_checked),
    )


def _data_version(material: Material) -> DataVersion:
    resolved = [fact for _, fact in facts(material.events, "resolved", Resolved)]
    newest = resolved[-1] if resolved else None
    return DataVersion(
        dataset=material.dataset,
        manifest_digest=printable(newest.manifest_digest) if newest else None,
        trained_on_digest=printable(newest.trained_on_digest) if newest and newest.trained_on_digest else None,
        raw_path=printable(material.raw_path),
        raw_digest=printable(material.raw_digest) if material.raw_digest else None,
    )
