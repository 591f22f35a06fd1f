"""The audit stage and the audit commands: the compliance report, and the check that everything agrees."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.composing import Material, compose
from dlfd_ops.audit.evidence import check_facts, version_in_use, versions
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.rendering import render
from dlfd_ops.audit.report import Report
from dlfd_ops.audit.verification import LEDGER, Finding, Verification, compare_chain, compare_files
from dlfd_ops.errors import BadInput, DlfdError
from dlfd_ops.files import write_text
from dlfd_ops.params import Params
from dlfd_ops.tracking.provenance import UNKNOWN, data_digest
from dlfd_ops.workflows.audit_files import open_ledger, read_found, read_losses, read_numbers, read_samples
from dlfd_ops.workflows.audit_registry import compare_registry
from dlfd_ops.workflows.layout import Layout

PAGE = Path("audit/report.html")
DOCUMENT = Path("audit/report.json")


def report(params: Params, root: Path = Path(), *, as_of: date | None = None) -> Report:
    """Write ``audit/report.html`` and ``audit/report.json``; the ledger is read and never appended to.

    Reads the ledger, the intake, the forget list, the manifest, the original and the unlearned weights,
    ``metrics/unlearning.json``, ``plots/losses.csv``, ``registry/version.json`` and DVC's digest of the raw data.
    What is not there yet is left out, and the report says so. MLflow is not read.

    Args:
        params: ``base.dataset``, ``prepare.root`` and ``audit`` are read.
        root: the repository.
        as_of: the date that deadlines are counted from; None takes that of the last event, which makes the report a
            function of the files alone.

    Raises:
        BadInput: there is no ledger or no event, an event lacks a fact of its kind, or a file is damaged.
        CheckFailed: a line of the ledger is no event.
    """
    layout = Layout(root)
    ledger = open_ledger(layout)
    events = ledger.events()
    check_facts(events)
    found = read_found(layout)
    raw = data_digest(root, params.prepare.root)
    material = Material(
        dataset=params.base.dataset,
        raw_path=params.prepare.root,
        raw_digest=None if raw == UNKNOWN else raw,
        events=events,
        problems=tuple(str(problem) for problem in ledger.verify()),
        files=compare_files(events, found),
        requests=found.requests or (),
        samples=read_samples(layout.forget_list),
        receipt=found.receipt,
        metrics=read_numbers(layout.metrics("unlearning")),
        losses=read_losses(layout.plot("losses.csv")),
    )
    result = compose(material, as_of=as_of or _last_date(events), due_soon_days=params.audit.due_soon_days)
    write_text(root / PAGE, render(result))
    write_text(root / DOCUMENT, result.model_dump_json(indent=2) + "\n")
    return result


def verify(root: Path = Path(), *, expected_head: str | None = None) -> Verification:
    """Compare the ledger's chain, the repository's files and the registered versions' tags with the ledger.

    Nothing is written. Versions in another store than the one in use are not checked, and named.

    Args:
        root: the repository.
        expected_head: a head of the ledger that was noted elsewhere; it must stand in the chain.

    Raises:
        BadInput: there is no ledger, or the MLflow store does not answer.
    """
    layout = Layout(root)
    ledger = open_ledger(layout)
    chain = compare_chain(ledger.verify(expected_head))
    try:
        events = _readable(ledger)
    except DlfdError as error:
        unread = () if chain.findings else (Finding(LEDGER, error.rule, error.received),)
        rest = "everything else: the ledger cannot be read to its end"
        return chain + Verification(findings=unread, not_checked=(rest,))
    found = read_found(layout)
    registered = versions(events)
    in_use = version_in_use(found.receipt, registered)
    return chain + compare_files(events, found) + compare_registry(root, registered, in_use, found.receipt)


def _readable(ledger: Ledger) -> list[Event]:
    events = ledger.events()
    check_facts(events)
    return events


def _last_date(events: Sequence[Event]) -> date:
    if not events:
        raise BadInput(
            "the ledger must hold an event to date the report by",
            received="an empty ledger",
            remedy="give the date, or file a request with `dlfd-ops request add`",
        )
    return datetime.fromisoformat(events[-1].at).date()
