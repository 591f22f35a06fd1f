"""The audit stage and the audit commands: the compliance report, and the check that everything agrees."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

from dlfd_ops.audit.chain import GENESIS, Event
from dlfd_ops.audit.composing import compose
from dlfd_ops.audit.findings import Verification
from dlfd_ops.audit.rendering import render
from dlfd_ops.audit.report import Report
from dlfd_ops.errors import BadInput
from dlfd_ops.files import write_text
from dlfd_ops.params import Params
from dlfd_ops.workflows.audit_material import compare_parts, gather

PAGE = Path("audit/report.html")
DOCUMENT = Path("audit/report.json")


def report(params: Params, root: Path = Path(), *, as_of: date | None = None, ask_registry: bool = False) -> Report:
    """Write ``audit/report.html`` and ``audit/report.json``; the ledger is read and never appended to.

    What is not there yet is left out, and the report says so; see :func:`gather` for what is read.

    Args:
        params: ``base.dataset``, ``prepare.root`` and ``audit`` are read.
        root: the repository.
        as_of: the date that deadlines are counted from; None takes that of the last event, which makes the report a
            function of the files alone.
        ask_registry: whether to look up in MLflow where the versions are now, and compare their tags.

    Raises:
        BadInput: there is no ledger or no event, an event lacks a fact of its kind, or a file is damaged.
        CheckFailed: a line of the ledger is no event.
    """
    material = gather(params, root, ask_registry=ask_registry)
    day = as_of or _last_date(material.events)
    result = compose(material, as_of=day, due_soon_days=params.audit.due_soon_days)
    write_text(root / PAGE, render(result))
    write_text(root / DOCUMENT, result.model_dump_json(indent=2) + "\n")
    return result


def verify(root: Path = Path(), *, expected_head: str | None = None, expected_key: str | None = None) -> Verification:
    """Compare the ledger's chain, files, keys, certificates and the registered versions with the ledger.

    Nothing is written. Versions in another store than the one in use are not checked, and named.

    Args:
        root: the repository.
        expected_head: a head of the ledger that was noted elsewhere; it must stand in the chain.
        expected_key: id of a signing key that was had from the company; the key in use must follow from it.

    Raises:
        BadInput: there is no ledger, the expected head or key is no hash, or the MLflow store does not answer.
    """
    for name, value in (("head", expected_head), ("key", expected_key)):
        if value is not None and not re.fullmatch("[0-9a-f]{64}", value):
            raise BadInput(
                f"the expected {name} must be a hash of 64 lower-case hex digits",
                received=f"{len(value)} characters",
                remedy="copy it from where it was noted",
            )
    if expected_head == GENESIS:
        raise BadInput(
            "the expected head must be that of a ledger with an event",
            received="the head of an empty ledger, which every ledger goes on from",
            remedy="note the head that `dlfd-ops audit verify` or the report shows, and give that one",
        )
    parts = compare_parts(root, expected_head=expected_head, expected_key=expected_key)
    return sum(parts.values(), Verification())


def _last_date(events: Sequence[Event]) -> date:
    if not events:
        raise BadInput(
            "the ledger must hold an event to date the report by",
            received="an empty ledger",
            remedy="give the date, or file a request with `dlfd-ops request add`",
        )
    return datetime.fromisoformat(events[-1].at).date()
