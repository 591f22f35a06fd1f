"""What is known about each forgotten request: measured on this model, or carried over from an earlier version.

A request whose photos are gone can't be measured again. Its last measurement stands, marked as carried, with the
version that it was taken on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.membership import roc
from dlfd_ops.evaluation.results import read_json
from dlfd_ops.files import write_text

if TYPE_CHECKING:
    from dlfd_ops.evaluation.predictions import Predictions

FORGOTTEN_FILE = "forgotten.json"
PREFIX = "forgotten."
_DECIMALS = 6


@dataclass(frozen=True)
class RequestEvidence:
    """One request's evidence.

    Attributes:
        images: training photos that it was measured on, at least 1.
        accuracy: share of right decisions on them.
        loss: mean loss on them, in nats.
        mia_auc: of the membership attack, these photos against the test set; of few photos it says little.
        carried: whether it was taken on an earlier version, as the photos are gone.
        version: that earlier version, from 1; ``None`` where it was measured on the model at hand.
        gone: further photos that the model was trained on and that the data no longer had, so that it could not be made
            to forget them, at least 1; ``None`` for none.
    """

    images: int
    accuracy: float
    loss: float
    mia_auc: float
    carried: bool = False
    version: int | None = None
    gone: int | None = None


def measure(
    predictions: Predictions, test: Predictions, sample_ids: Sequence[str], asked: Mapping[str, Sequence[str]]
) -> dict[str, RequestEvidence]:
    """Measure every request whose photos are there.

    Args:
        predictions: of the model on all forgotten photos.
        test: of the model on the test set.
        sample_ids: the photos of ``predictions``, in order.
        asked: request id -> its photos, all among ``sample_ids``.
    """
    place = {sample_id: index for index, sample_id in enumerate(sample_ids)}
    losses, hits = predictions.loss.numpy().astype(np.float64), predictions.correct.numpy()
    unseen = test.loss.numpy().astype(np.float64)
    found = {}
    for request_id, samples in asked.items():
        rows = np.array([place[sample_id] for sample_id in samples])
        found[request_id] = RequestEvidence(
            images=len(rows),
            accuracy=round(float(hits[rows].mean()), _DECIMALS),
            loss=round(float(losses[rows].mean()), _DECIMALS),
            mia_auc=round(roc(losses[rows], unseen).auc, _DECIMALS),
        )
    return found


def carry(
    measured: Mapping[str, RequestEvidence], before: Mapping[str, RequestEvidence], covered: Sequence[str]
) -> dict[str, RequestEvidence]:
    """Return the evidence of all requests: what was measured now, and the parent's for the covered that are gone."""
    carried = {
        request_id: replace(before[request_id], carried=True)
        for request_id in covered
        if request_id in before and request_id not in measured
    }
    return dict(sorted({**carried, **measured}.items()))


def with_gone(evidence: Mapping[str, RequestEvidence], gone: Mapping[str, int | None]) -> dict[str, RequestEvidence]:
    """Return the evidence of each request with how many of its photos were gone; none of those that are not named."""
    return {request_id: replace(one, gone=gone.get(request_id) or None) for request_id, one in evidence.items()}


def gone_photos(metrics: Mapping[str, float | None]) -> dict[str, int]:
    """Return request id -> its photos that were gone, from what :func:`to_metrics` made flat; only where there are."""
    ending = ".gone"
    return {
        name.removeprefix(PREFIX).removesuffix(ending): int(value)
        for name, value in metrics.items()
        if name.startswith(PREFIX) and name.endswith(ending) and value and math.isfinite(value)
    }


def to_metrics(evidence: Mapping[str, RequestEvidence]) -> dict[str, float]:
    """Return the evidence as flat numbers, as the ledger records them."""
    return {
        f"{PREFIX}{request_id}.{name}": float(value)
        for request_id, one in evidence.items()
        for name, value in _fields(one).items()
    }


def from_metrics(metrics: Mapping[str, float | None], version: int) -> dict[str, RequestEvidence]:
    """Return the evidence that :func:`to_metrics` made flat; what was measured then was measured on ``version``.

    Raises:
        BadInput: a number is missing or out of its range.
    """
    found: dict[str, dict[str, float | None]] = {}
    for name, value in metrics.items():
        if name.startswith(PREFIX):
            request_id, field = name.removeprefix(PREFIX).split(".", 1)
            found.setdefault(request_id, {})[field] = value
    return _validated({one: {"version": version, **values} for one, values in found.items()}, "the ledger's evidence")


def requests_measured(metrics: Mapping[str, float | None]) -> frozenset[str]:
    """Return the requests that flat numbers hold evidence of; those without a training photo have none."""
    return frozenset(name.removeprefix(PREFIX).split(".", 1)[0] for name in metrics if name.startswith(PREFIX))


def write_forgotten(evidence: Mapping[str, RequestEvidence], path: Path) -> None:
    """Write the evidence by request, in one rename."""
    content = {request_id: _fields(one) for request_id, one in evidence.items()}
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def read_forgotten(path: Path) -> dict[str, RequestEvidence]:
    """Read the evidence by request; none where there is no such file.

    Raises:
        BadInput: the file is damaged.
    """
    return _validated(read_json(path), str(path)) if path.exists() else {}


def _fields(evidence: RequestEvidence) -> dict[str, Any]:
    return {name: value for name, value in asdict(evidence).items() if value is not None}


def _validated(value: Mapping[str, Any], where: str) -> dict[str, RequestEvidence]:
    try:
        return {request_id: _parse(value[request_id]) for request_id in sorted(value)}
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadInput(
            f"{where} must state what was measured of each request",
            received=type(error).__name__,
            remedy="restore it with dvc checkout, or run the evaluate stage again",
        ) from error


def _parse(fields: Mapping[str, Any]) -> RequestEvidence:
    counts = {name: int(fields[name]) for name in ("version", "gone") if fields.get(name) is not None}
    evidence = RequestEvidence(
        **{
            **fields,
            "images": int(fields.get("images", 0)),
            "carried": bool(fields.get("carried", False)),
            **counts,
        }
    )
    numbers = (evidence.accuracy, evidence.loss, evidence.mia_auc)
    counts_hold = min(evidence.images, 1 if evidence.gone is None else evidence.gone) >= 1
    if not (counts_hold and all(map(math.isfinite, numbers))):
        raise ValueError("a number is missing or out of its range")
    return evidence
