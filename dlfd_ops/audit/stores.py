"""Where a person's data lie, as far as the ledger, the receipts and the prepared data say; pure.

Where nothing is known the answer is the one that is worse for the operator: a store is taken to hold their data until
a receipt says that it was erased, and an erasure that kept something leaves the store holding it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dlfd_ops.audit.erasures import ErasureRow, StoreOutcome
from dlfd_ops.audit.lineage import VersionNode
from dlfd_ops.audit.timeline import count
from dlfd_ops.deletion.erasure import PREPARED, RAW

_NOWHERE_SEEN = "clones, backups and copies"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoreRow(_Model):
    """One place where a person's data may lie.

    Attributes:
        store: the place, in plain words.
        state: "holds" (it does), "may hold" (nobody looked, or nobody can), "erased" (it did), "nothing" (it does not,
            and no receipt says that it did).
        detail: what, and how we know.
    """

    store: str
    state: Literal["holds", "may hold", "erased", "nothing"]
    detail: str


class Photos(_Model):
    """A request's photos.

    Attributes:
        train: in the prepared data as it stands, and trained on.
        other: there, and not trained on.
        gone: not there any more, and trained on; None where nothing tells what was trained on.
    """

    train: int
    other: int
    gone: int | None = None


def store_rows(
    photos: Photos | None, knew: Sequence[VersionNode], raw_path: str, erasures: Sequence[ErasureRow]
) -> tuple[StoreRow, ...]:
    """Return where the data of one request lie.

    Args:
        photos: its photos in the prepared data; None where there is no prepared data.
        knew: the versions that were made knowing the person.
        raw_path: where the raw data lies.
        erasures: those of this request's data, the oldest first.
    """
    number = photos.train + photos.other if photos else None
    newest = {outcome.store: (erasure, outcome) for erasure in erasures for outcome in erasure.stores}
    rows = [
        _data_row(f"{RAW} ({raw_path})", number, newest.pop(RAW, None), _raw_detail(number), sure=False),
        _data_row(
            f"{PREPARED} (data/prepared)", number, newest.pop(PREPARED, None), _prepared_detail(number), sure=True
        ),
    ]
    if not erasures:
        detail = "every revision of the data that was ever stored; no receipt says that theirs was erased"
        rows.append(StoreRow(store="DVC cache and remotes", state="holds" if number else "may hold", detail=detail))
    rows += [_erased_row(store, *found) for store, found in newest.items()]
    rows += _weights_rows(knew)
    return (*rows, *_not_reached(erasures))


def _data_row(
    store: str, number: int | None, erased: tuple[ErasureRow, StoreOutcome] | None, detail: str, *, sure: bool
) -> StoreRow:
    """Judge raw or prepared data: photos that are there now count more than a receipt that says they are gone.

    Args:
        store: its name.
        number: of photos in the prepared data, where they are known.
        erased: the newest erasure there.
        detail: what the prepared data says.
        sure: whether no photo in the prepared data means no photo here.
    """
    if number:
        return StoreRow(store=store, state="holds", detail=detail)
    if erased is not None:
        return _erased_row(store, *erased)
    return StoreRow(store=store, state="nothing" if sure and number == 0 else "may hold", detail=detail)


def _raw_detail(number: int | None) -> str:
    return f"{count(number, 'photo')}, as the prepared data says" if number else "no photo in the prepared data"


def _prepared_detail(number: int | None) -> str:
    return "there is no prepared data here" if number is None else count(number, "photo")


def _erased_row(store: str, erasure: ErasureRow, outcome: StoreOutcome) -> StoreRow:
    others = len(erasure.request_ids) - 1
    together = f" with those of {count(others, 'other request')}" if others else ""
    detail = f"{count(outcome.removed, 'object')} removed{together} on {erasure.at[:10]}"
    if not outcome.kept:
        return StoreRow(store=store, state="erased", detail=detail)
    return StoreRow(store=store, state="holds", detail=f"{detail}; {outcome.kept} kept: {'; '.join(outcome.grounds)}")


def _weights_rows(knew: Sequence[VersionNode]) -> Iterator[StoreRow]:
    """Judge the weights that were made knowing the person, wherever the pipeline stores them."""
    if not knew:
        return
    there = [node.name for node in knew if node.place != "deleted"]
    if there:
        yield StoreRow(store="weights", state="holds", detail=f"of {', '.join(there)}, made knowing them")
    gone = sorted({node.erased_at[:10] for node in knew if node.erased_at})
    if len(there) < len(knew):
        when = f", on {', '.join(gone)}" if gone else ""
        names = ", ".join(node.name for node in knew if node.place == "deleted")
        yield StoreRow(store="weights", state="erased", detail=f"of {names}, made knowing them{when}")


def _not_reached(erasures: Sequence[ErasureRow]) -> Iterator[StoreRow]:
    if not erasures:
        yield StoreRow(store=_NOWHERE_SEEN, state="may hold", detail="nothing here can see or erase them")
    for place in dict.fromkeys(place for erasure in erasures for place in erasure.not_reached):
        yield StoreRow(store="not reached", state="may hold", detail=place)
