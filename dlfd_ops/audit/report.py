"""The compliance report as a document: what an auditor reads, and the JSON beside the page.

The document is a function of the ledger, the evidence beside it and a date; it reads neither the clock nor MLflow, so
that the pipeline stage that writes it is reproducible.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dlfd_ops.audit.figures import LossFigure
from dlfd_ops.audit.limits import NOT_SHOWN, SHOWN, Statement
from dlfd_ops.audit.numbers import GateVerdict, NumberRow
from dlfd_ops.audit.timeline import Entry

FORMAT: Literal["dlfd-ops/audit-report/v1"] = "dlfd-ops/audit-report/v1"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LedgerState(_Model):
    """The chain: how long it is, where it ends, whether it holds.

    Attributes:
        events: number of events.
        head: hash of the last event; noted elsewhere, it anchors everything before it.
        holds: whether every line follows from the one before.
        problems: what does not hold, a line each.
    """

    events: int
    head: str
    holds: bool
    problems: tuple[str, ...]


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
        files_agree: whether the repository's files are those that the ledger names.
        differences: what differs, a line each.
        not_checked: what the ledger says nothing about yet.
    """

    open: int
    due_soon: int
    overdue: int
    fulfilled: int
    fulfilled_late: int
    refused: int
    withdrawn: int
    ledger: LedgerState
    files_agree: bool
    differences: tuple[str, ...]
    not_checked: tuple[str, ...]


class RequestRow(_Model):
    """One request.

    Attributes:
        request_id: its pseudonymous id.
        status: how far it came, see :mod:`dlfd_ops.deletion.status`.
        target: "subject" or "samples".
        legal_basis: key of the policy table.
        law: the provision behind it.
        received_at: ISO 8601, UTC.
        due_at: effective due date.
        closed_at: when it was fulfilled, refused or withdrawn; None while open.
        days_left: from the report's date to the due date, negative when overdue; None once closed.
        due_soon: whether it is open and due within the days of ``audit.due_soon_days``.
        late: whether the due date passed unanswered.
        version: the version that forgets it, as "name version n"; None before registration.
        samples: training photos on the current forget list; None when it is on none.
    """

    request_id: str
    status: str
    target: str
    legal_basis: str
    law: str
    received_at: str
    due_at: date
    closed_at: str | None
    days_left: int | None
    due_soon: bool
    late: bool
    version: str | None
    samples: int | None


class ForgottenRow(_Model):
    """One forget list that a version was unlearned from."""

    version: str
    forget_list_digest: str
    samples: int | None
    request_ids: tuple[str, ...]


class DataVersion(_Model):
    """The data that the models were made from, before anything was forgotten.

    Attributes:
        dataset: name of the data set.
        manifest_digest: digest of the manifest that the requests were resolved in; None before that.
        raw_path: where the raw data lies, as the pipeline names it.
        raw_digest: DVC's digest of the raw data; None when DVC does not record one.
    """

    dataset: str
    manifest_digest: str | None
    raw_path: str
    raw_digest: str | None


class ModelRow(_Model):
    """One model before or after unlearning; None where the ledger does not say.

    Attributes:
        role: "original" or "unlearned".
        model_name: registered model.
        version: version in MLflow.
        run_id: MLflow run that registered it.
        registered_at: ISO 8601, UTC.
        weights_digest: SHA-256 of its weight file.
        parent_weights_digest: SHA-256 of the weights that it was unlearned from.
        method: unlearning method.
        params_digest: digest of the method's parameters.
        git_commit: commit of the code.
        gate: whether its gate passed.
    """

    role: Literal["original", "unlearned"]
    model_name: str | None
    version: int | None
    run_id: str | None = None
    registered_at: str | None = None
    weights_digest: str | None
    parent_weights_digest: str | None = None
    method: str | None = None
    params_digest: str | None = None
    git_commit: str | None = None
    gate: bool | None = None


class Report(_Model):
    """The whole document.

    Attributes:
        format: name and version of this format.
        as_of: the date that deadlines are counted from.
        summary: where things stand.
        requests: every request, in order of receipt.
        forgotten: one row a registered version, the oldest first.
        data: the data before.
        models: the original, then every registered version, the oldest first.
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
    forgotten: tuple[ForgottenRow, ...]
    data: DataVersion
    models: tuple[ModelRow, ...]
    numbers: tuple[NumberRow, ...]
    seconds: dict[str, float | None]
    gate: GateVerdict | None
    losses: LossFigure | None
    timeline: tuple[Entry, ...]
    shown: tuple[Statement, ...] = SHOWN
    not_shown: tuple[Statement, ...] = NOT_SHOWN
