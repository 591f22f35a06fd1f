"""The audit stage and the audit commands: the compliance report, and the check that everything agrees."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

from dlfd_ops.audit.chain import GENESIS, Event
from dlfd_ops.audit.composing import Material, compose
from dlfd_ops.audit.evidence import check_facts, version_in_use, versions
from dlfd_ops.audit.rendering import render
from dlfd_ops.audit.report import Report
from dlfd_ops.audit.verification import LEDGER, Finding, Verification, compare_chain, compare_files
from dlfd_ops.errors import BadInput
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
        BadInput: there is no ledger, the expected head is no hash, or the MLflow store does not answer.
    """
    return sum(verify_parts(root, expected_head=expected_head).values(), Verification())


def verify_parts(root: Path = Path(), *, expected_head: str | None = None) -> dict[str, Verification]:
    """Compare as :func:`verify` does, and return the outcome by what was compared: chain, files, registry.

    Where the chain cannot be read to its end there is nothing to compare the rest with.
    """
    layout = Layout(root)
    chain = open_ledger(layout).read(_head(expected_head))
    parts = {"chain": compare_chain(chain.problems)}
    unread = Verification(not_checked=("everything else: the ledger cannot be read to its end",))
    if not chain.whole:
        return parts | {"files": unread}
    try:
        check_facts(chain.events)
    except BadInput as error:
        return parts | {"files": unread + Verification(findings=(Finding(LEDGER, error.rule, error.received),))}
    found = read_found(layout)
    registered = versions(chain.events)
    in_use = version_in_use(found.receipt, registered)
    heads = {GENESIS, *(event.hash for event in chain.events)}
    parts["files"] = compare_files(chain.events, found)
    parts["registry"] = compare_registry(root, registered, in_use, found.receipt, heads)
    return parts


def _head(text: str | None) -> str | None:
    if text is None or re.fullmatch("[0-9a-f]{64}", text):
        return text
    raise BadInput(
        "the expected head must be a hash of 64 lower-case hex digits",
        received=f"{len(text)} characters",
        remedy="copy it from where it was noted",
    )


def _last_date(events: Sequence[Event]) -> date:
    if not events:
        raise BadInput(
            "the ledger must hold an event to date the report by",
            received="an empty ledger",
            remedy="give the date, or file a request with `dlfd-ops request add`",
        )
    return datetime.fromisoformat(events[-1].at).date()
