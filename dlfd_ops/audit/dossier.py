"""Everything the audit can say about one request, and about one image file in hand; pure.

Where nothing is known the answer is the one that is worse for the operator: a version is taken to know a person until
the ledger says that it forgot them. Where their data lie is told by :mod:`dlfd_ops.audit.stores`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dlfd_ops.audit.erasures import ErasureRow
from dlfd_ops.audit.lineage import VersionNode, forgetting
from dlfd_ops.audit.stores import Photos, StoreRow, store_rows
from dlfd_ops.audit.timeline import Entry


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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


class VersionRef(_Model):
    """A version, as a dossier names it.

    Attributes:
        name: as people say it.
        model_name: registered model.
        version: number in MLflow.
        place: where it is now.
        erased_at: when its weights were erased, ISO 8601, UTC; None where they were not.
    """

    name: str
    model_name: str
    version: int | None
    place: str
    erased_at: str | None


class Dossier(_Model):
    """One request, from its receipt to where the data lie now.

    Attributes:
        request: deadlines and status.
        learned: whether any photo of theirs was trained on; None where that is not recorded any more.
        knew: every version that was made knowing them, or could not forget all of their photos.
        forgot: every version that has forgotten them.
        attack_auc: of the membership attack, on the version that answers the request; None before.
        gate: whether the gate passed that version; None before.
        gone: their photos that the data no longer had, so that the newest version that forgot them still knows them.
        erasures: what was erased of their data, the oldest first.
        stores: where their data lie.
        history: the events that concern the request, the oldest first.
    """

    request: RequestRow
    learned: bool | None
    knew: tuple[VersionRef, ...]
    forgot: tuple[VersionRef, ...]
    attack_auc: float | None
    gate: bool | None
    gone: int
    erasures: tuple[ErasureRow, ...]
    stores: tuple[StoreRow, ...]
    history: tuple[Entry, ...]


def dossier(
    request: RequestRow,
    *,
    nodes: Sequence[VersionNode],
    history: Iterable[Entry],
    photos: Photos | None,
    trained: bool | None,
    raw_path: str,
    erasures: Iterable[ErasureRow] = (),
) -> Dossier:
    """Return what is known about a request.

    Args:
        request: deadlines and status.
        nodes: every version.
        history: the events that concern it.
        photos: its photos in the prepared data; None where there is no prepared data.
        trained: whether photos of it were trained on, as the ledger tells; None where it does not.
        raw_path: where the raw data lies.
        erasures: every erasure.
    """
    mine = tuple(erasure for erasure in erasures if request.request_id in erasure.request_ids)
    learned = _learned(request, photos, trained, erased=bool(mine))
    has_forgotten = forgetting(nodes, (request.request_id,))
    forgot = tuple(node for node, answer in zip(nodes, has_forgotten, strict=True) if answer)
    knows = [not answer or request.request_id in node.gone for node, answer in zip(nodes, has_forgotten, strict=True)]
    knew = tuple(node for node, answer in zip(nodes, knows, strict=True) if answer and learned is not False)
    answer = next((node for node in forgot if _answers(node, request)), None)
    return Dossier(
        request=request,
        learned=learned,
        knew=tuple(map(_ref, knew)),
        forgot=tuple(map(_ref, forgot)),
        attack_auc=answer.attack_auc if answer else None,
        gate=answer.gate if answer else None,
        gone=forgot[-1].gone.get(request.request_id, 0) if forgot else 0,
        erasures=mine,
        stores=store_rows(photos, knew, raw_path, mine),
        history=tuple(history),
    )


def _learned(request: RequestRow, photos: Photos | None, trained: bool | None, *, erased: bool) -> bool | None:
    """Say whether they were trained on: the forget list knows, else the ledger, else data and record of the training.

    An erasure takes them out of both.
    """
    if request.samples is not None:
        return request.samples > 0
    if trained is not None or photos is None:
        return trained
    if photos.train or photos.gone:
        return True
    return False if photos.other or (photos.gone == 0 and not erased) else None


def _answers(node: VersionNode, request: RequestRow) -> bool:
    return node.version is not None and request.version == f"{node.model_name} version {node.version}"


def _ref(node: VersionNode) -> VersionRef:
    return VersionRef(
        name=node.name,
        model_name=node.model_name,
        version=node.version,
        place=node.place,
        erased_at=node.erased_at,
    )


ImageVerdict = Literal["forgotten", "perhaps known", "asked", "suppressed", "in the data", "in the model", "unknown"]


class ImageAnswer(_Model):
    """What is known about an image file, by the keyed hash of its bytes.

    Attributes:
        sample_id: the keyed hash.
        verdict: "forgotten" (a fulfilled request covers it), "perhaps known" (so it does, but photos of that request
            were gone when it was fulfilled, and this one is not there), "asked" (an open request covers it),
            "suppressed" (it stands on the suppression list, and no request here explains it), "in the data" (nobody
            asked), "in the model" (nobody asked, and the data no longer have it, but the original was trained on it),
            "unknown" (these bytes are not in the data, and were never asked about).
        split: of the data as the original knows them that it is in; None when it is not in them.
        trained: whether the original was trained on it; None where that is erased with it.
        suppressed: whether it stands on the suppression list.
        requests: the requests that cover it.
        forgot: every version that has forgotten it.
    """

    sample_id: str
    verdict: ImageVerdict
    split: str | None
    trained: bool | None
    suppressed: bool
    requests: tuple[RequestRow, ...]
    forgot: tuple[VersionRef, ...]


def image_answer(
    sample_id: str,
    *,
    split: str | None,
    trained: bool | None,
    suppressed: bool,
    covering: Iterable[str],
    requests: Mapping[str, RequestRow],
    nodes: Sequence[VersionNode],
) -> ImageAnswer:
    """Return what is known about an image.

    Args:
        sample_id: keyed hash of its bytes.
        split: see :class:`ImageAnswer`.
        trained: see :class:`ImageAnswer`.
        suppressed: see :class:`ImageAnswer`.
        covering: ids of the requests that name it, or its person.
        requests: every request, by id.
        nodes: every version.
    """
    asked = tuple(requests[request_id] for request_id in sorted(set(covering)) if request_id in requests)
    fulfilled = {request.request_id for request in asked if request.status == "fulfilled"}
    open_ = any(request.status not in ("refused", "withdrawn") for request in asked)
    verdict: ImageVerdict = "in the data" if split is not None else "in the model" if trained else "unknown"
    if fulfilled:
        lost = trained and split is None and any(fulfilled.intersection(node.gone) for node in nodes)
        verdict = "perhaps known" if lost else "forgotten"
    elif open_:
        verdict = "asked"
    elif suppressed:
        verdict = "suppressed"
    return ImageAnswer(
        sample_id=sample_id,
        verdict=verdict,
        split=split,
        trained=trained,
        suppressed=suppressed,
        requests=asked,
        forgot=tuple(_ref(node) for node, yes in zip(nodes, forgetting(nodes, fulfilled), strict=True) if yes),
    )
