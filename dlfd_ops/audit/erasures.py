"""What was erased, by the ledger and the receipts beside it; pure.

The ledger's event counts objects by store; the receipt, which the event names by its digest, tells every object, and
why one was kept. Where the receipt is not at hand, what the event says must do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.facts import Erased, facts
from dlfd_ops.audit.timeline import printable
from dlfd_ops.deletion.erasure import Receipt


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoreOutcome(_Model):
    """What an erasure did in one store.

    Attributes:
        store: the place.
        removed: number of objects that are gone.
        kept: number of objects that stayed.
        grounds: why they stayed.
    """

    store: str
    removed: int
    kept: int
    grounds: tuple[str, ...]


class ErasureRow(_Model):
    """One erasure.

    Attributes:
        at: when it ended, ISO 8601, UTC.
        request_ids: the requests whose data it removed; the numbers are for all of them together.
        receipt_digest: SHA-256 of the receipt.
        stores: what it did, by store.
        not_reached: where their data may still lie.
    """

    at: str
    request_ids: tuple[str, ...]
    receipt_digest: str
    stores: tuple[StoreOutcome, ...]
    not_reached: tuple[str, ...]

    @property
    def removed(self) -> int:
        """Number of objects that are gone, in all stores."""
        return sum(store.removed for store in self.stores)

    @property
    def kept(self) -> int:
        """Number of objects that stayed, in all stores."""
        return sum(store.kept for store in self.stores)

    @property
    def grounds(self) -> tuple[str, ...]:
        """Why something stayed, each ground once."""
        return tuple(dict.fromkeys(ground for store in self.stores for ground in store.grounds))


def erasure_rows(events: Sequence[Event], receipts: Mapping[str, Receipt]) -> tuple[ErasureRow, ...]:
    """Return every erasure, the oldest first.

    Args:
        events: the ledger.
        receipts: the receipts at hand, by their SHA-256.

    Raises:
        BadInput: an event lacks a fact of its kind.
    """
    return tuple(_row(at, fact, receipts.get(fact.receipt_digest)) for at, fact in facts(events, "erased", Erased))


def _row(at: str, fact: Erased, receipt: Receipt | None) -> ErasureRow:
    return ErasureRow(
        at=printable(at),
        request_ids=tuple(map(printable, fact.request_ids)),
        receipt_digest=printable(fact.receipt_digest),
        stores=tuple(
            StoreOutcome(
                store=printable(store),
                removed=outcomes.get("removed", 0),
                kept=outcomes.get("kept", 0),
                grounds=_grounds(store, fact, receipt) if outcomes.get("kept") else (),
            )
            for store, outcomes in sorted(fact.objects.items())
        ),
        not_reached=tuple(map(printable, fact.not_reached)),
    )


def _grounds(store: str, fact: Erased, receipt: Receipt | None) -> tuple[str, ...]:
    """Return why objects of a store stayed; without a receipt all grounds of the erasure, any of which it may be."""
    if receipt is None:
        return tuple(map(printable, sorted(fact.kept)))
    found = {item.ground for item in receipt.items if item.store == store and item.outcome == "kept"}
    return tuple(map(printable, sorted(found)))
