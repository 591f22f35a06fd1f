"""The compliance report as a document: what an auditor reads, and the JSON beside the page.

The document is a function of the ledger, the evidence beside it and a date; it reads neither the clock nor MLflow, so
that the pipeline stage that writes it is reproducible.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dlfd_ops.audit.dossier import Dossier, RequestRow
from dlfd_ops.audit.erasures import ErasureRow
from dlfd_ops.audit.figures import LossFigure
from dlfd_ops.audit.limits import NOT_SHOWN, SHOWN, Statement
from dlfd_ops.audit.lineage import VersionNode
from dlfd_ops.audit.numbers import GateVerdict, NumberRow
from dlfd_ops.audit.promotions import PromotionRow
from dlfd_ops.audit.timeline import Entry

FORMAT: Literal["dlfd-ops/audit-report/v1"] = "dlfd-ops/audit-report/v1"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LedgerState(_Model):
    """The chain: how long it is, and where it ends.

    Attributes:
        events: number of events.
        head: hash of the last event; noted elsewhere, it anchors everything before it.
    """

    events: int
    head: str


class Agreement(_Model):
    """Whether one part of the evidence agrees with the ledger.

    Attributes:
        part: "chain" (the ledger in itself), "files", "certificates", "registry", "stores".
        checked: number of things that were compared.
        findings: what differs, a line each.
        not_checked: what could not be compared, each with the reason.
    """

    part: str
    checked: int
    findings: tuple[str, ...]
    not_checked: tuple[str, ...]

    @property
    def state(self) -> Literal["agrees", "differs", "not checked"]:
        """The outcome in a word."""
        if self.findings:
            return "differs"
        return "agrees" if self.checked else "not checked"


class Summary(_Model):
    """Counts of requests, and whether the evidence agrees with the ledger.

    Attributes:
        open: requests that somebody still has to act on.
        due_soon: open ones due within the days of ``audit.due_soon_days``.
        overdue: open ones past their due date.
        fulfilled: requests that a version forgets whose gate passed.
        fulfilled_late: of these, after their due date.
        refused: requests that were refused.
        withdrawn: requests that were withdrawn.
        ledger: the chain.
        agreement: one row a part of the evidence, the chain first.
    """

    open: int
    due_soon: int
    overdue: int
    fulfilled: int
    fulfilled_late: int
    refused: int
    withdrawn: int
    ledger: LedgerState
    agreement: tuple[Agreement, ...]

    def state(self, part: str) -> str:
        """Return the outcome of a part in a word; a part that was not looked at is not checked."""
        return next((row.state for row in self.agreement if row.part == part), "not checked")


class DataVersion(_Model):
    """The data that the newest requests were resolved in, and what of it the original knows.

    Attributes:
        dataset: name of the data set.
        manifest_digest: digest of the manifest that the requests were resolved in; None before that.
        trained_on_digest: digest of the record of what the original was trained on, as the ledger has it; None where
            it does not.
        raw_path: where the raw data lies, as the pipeline names it.
        raw_digest: DVC's digest of the raw data; None when DVC does not record one.
    """

    dataset: str
    manifest_digest: str | None
    trained_on_digest: str | None
    raw_path: str
    raw_digest: str | None


class Report(_Model):
    """The whole document.

    Attributes:
        format: name and version of this format.
        as_of: the date that deadlines are counted from.
        summary: where things stand.
        requests: every request, in order of receipt.
        details: everything about single requests: those still open, then the newest, as many as fit.
        data: the data that the newest requests were resolved in.
        lineage: the originals and every registered version; a parent stands before its children.
        promotions: every promotion and rollback, the oldest first.
        erasures: every erasure of stored data, the oldest first.
        numbers: metrics before and after.
        seconds: what the training and the unlearning took, by stage.
        gate: the decision on the version in use, which the receipt names.
        losses: the loss distributions, where the evaluation has run.
        timeline: every event of the ledger.
        shown: what a passed metric says.
        not_shown: what it does not.
    """

    format: Literal["dlfd-ops/audit-report/v1"] = FORMAT
    as_of: date
    summary: Summary
    requests: tuple[RequestRow, ...]
    details: tuple[Dossier, ...]
    data: DataVersion
    lineage: tuple[VersionNode, ...]
    promotions: tuple[PromotionRow, ...]
    erasures: tuple[ErasureRow, ...]
    numbers: tuple[NumberRow, ...]
    seconds: dict[str, float | None]
    gate: GateVerdict | None
    losses: LossFigure | None
    timeline: tuple[Entry, ...]
    shown: tuple[Statement, ...] = SHOWN
    not_shown: tuple[Statement, ...] = NOT_SHOWN
