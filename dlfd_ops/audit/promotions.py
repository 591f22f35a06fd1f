"""Promotions and rollbacks in the report: who let which version serve, and what was forced past the gate."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.facts import Move, Promoted
from dlfd_ops.audit.serving import moves
from dlfd_ops.audit.timeline import printable


class PromotionRow(BaseModel):
    """One promotion or rollback.

    Attributes:
        at: ISO 8601, UTC.
        model_name: registered model.
        version: the version that served from then on.
        from_version: the one before, None for the first.
        by: who decided.
        back: whether it was a rollback.
        forced: whether the gate had not passed.
        reason: why it was forced.
        failed_rules: what the gate had found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: str
    model_name: str
    version: int
    from_version: int | None
    by: str
    back: bool
    forced: bool
    reason: str | None
    failed_rules: tuple[str, ...]


def promotion_rows(events: Sequence[Event]) -> tuple[PromotionRow, ...]:
    """Return every promotion and rollback of the ledger, the oldest first.

    Raises:
        BadInput: an event lacks a fact of its kind.
    """
    return tuple(_row(at, move) for at, move in moves(events))


def _row(at: str, move: Move) -> PromotionRow:
    forced = move if isinstance(move, Promoted) and move.forced else None
    return PromotionRow(
        at=printable(at),
        model_name=printable(move.model_name),
        version=move.version,
        from_version=move.from_version,
        by=printable(move.by),
        back=not isinstance(move, Promoted),
        forced=forced is not None,
        reason=printable(forced.reason) if forced and forced.reason else None,
        failed_rules=tuple(printable(rule) for rule in forced.failed_rules) if forced else (),
    )
