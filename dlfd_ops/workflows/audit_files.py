"""Reading what the audit compares and shows; a file that is not there yet is told from one that is damaged."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from dlfd_ops.audit import verification
from dlfd_ops.audit.facts import Receipt
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.verification import Found
from dlfd_ops.data.manifest import Manifest, read_manifest
from dlfd_ops.data.trained_on import read_trained_on
from dlfd_ops.deletion.forget_list import read_forget_list
from dlfd_ops.deletion.parent import read_parent
from dlfd_ops.deletion.requests import read_requests
from dlfd_ops.digest import sha256_file
from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.forgotten import read_forgotten, to_metrics
from dlfd_ops.evaluation.results import flatten, read_json
from dlfd_ops.files import read_bounded
from dlfd_ops.models.checkpoint import WEIGHTS
from dlfd_ops.workflows.known import read_known
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.retired import RECORD, known_digest

MAX_LOSSES_BYTES = 1 << 30
_LOSSES_COLUMNS = ["model", "set", "loss"]

Content = TypeVar("Content")


def open_ledger(layout: Layout) -> Ledger:
    """Return the ledger of the repository.

    Raises:
        BadInput: there is none.
    """
    if not layout.ledger.is_file():
        raise BadInput(
            f"{layout.ledger} must exist: an audit starts from the ledger",
            received="no such file",
            remedy="file a request with `dlfd-ops request add`, or restore the file from git",
        )
    return Ledger(layout.ledger)


def read_found(layout: Layout) -> Found:
    """Return what stands in the repository, for the comparison with the ledger."""
    damaged: dict[str, str] = {}

    def attempt(what: str, path: Path, read: Callable[[Path], Content]) -> Content | None:
        if not path.exists():
            return None
        try:
            return read(path)
        except BadInput as error:
            damaged[what] = error.received
        except OSError as error:
            damaged[what] = error.strerror or type(error).__name__
        return None

    forget_list = attempt(verification.FORGET_LIST, layout.forget_list, read_forget_list)
    original = layout.model("original")
    retired = (original / RECORD).exists()
    return Found(
        original=attempt(
            verification.ORIGINAL, original / (RECORD if retired else WEIGHTS), lambda _: known_digest(original)
        ),
        retired=retired,
        unlearned=attempt(verification.UNLEARNED, layout.root / verification.UNLEARNED, sha256_file),
        parent=attempt(verification.PARENT, layout.root / verification.PARENT, sha256_file),
        pinned=attempt(verification.PINNED, layout.parent, read_parent),
        forget_list=None if forget_list is None else forget_list.digest(),
        to_forget=None if forget_list is None else forget_list.request_ids,
        manifest=attempt(verification.MANIFEST, layout.manifest, lambda path: read_manifest(path).digest()),
        trained_on=attempt(verification.TRAINED_ON, layout.trained_on, lambda path: read_trained_on(path).digest()),
        receipt=attempt(verification.RECEIPT, layout.receipt, read_receipt),
        metrics=attempt(verification.METRICS, layout.metrics("unlearning"), lambda _: _metrics(layout)),
        requests=attempt(verification.REQUESTS, layout.root / verification.REQUESTS, read_requests),
        damaged=damaged,
    )


def read_places(layout: Layout) -> list[Manifest]:
    """Return where photos may be known: the prepared data as the original knows them, and what of it they lack.

    As far as there is any: nothing before data were prepared, and the data as they are before an original was trained.

    Raises:
        BadInput: the manifest or the record is missing or damaged, or they were made with different keys.
    """
    if not layout.manifest.exists():
        return []
    manifest = read_manifest(layout.manifest)
    if not layout.trained_on.exists():
        return [manifest]
    known = read_known(layout, manifest)
    return [known.data, replace(manifest, rows=known.gone)]


def read_receipt(path: Path) -> Receipt:
    """Read the receipt of a registration.

    Raises:
        BadInput: it is not what the register stage writes.
    """
    try:
        return Receipt.model_validate(read_json(path))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise BadInput(
            f"{path} must be a receipt of the register stage",
            received=f"{where}: {error.errors()[0]['msg']}",
            remedy="restore it from git, or run: dvc repro -f -s register",
        ) from error


def read_samples(path: Path) -> dict[str, int]:
    """Return the training photos of each request on the forget list; empty when there is no list yet."""
    if not path.exists():
        return {}
    return {request_id: count.train for request_id, count in read_forget_list(path).counts.items()}


def read_numbers(path: Path) -> dict[str, dict[str, float | None]]:
    """Return the metrics by model; empty when nothing was measured yet, None for what is not finite."""
    if not path.exists():
        return {}
    return {model: _finite(values) for model, values in read_json(path).items() if isinstance(values, Mapping)}


def read_losses(path: Path) -> dict[str, dict[str, list[float]]]:
    """Return the losses by model and set; empty when there are none yet.

    Raises:
        BadInput: no CSV with the columns of ``plots/losses.csv``, or a loss that is not finite; the line is named.
    """
    if not path.exists():
        return {}
    content = read_bounded(path, max_bytes=MAX_LOSSES_BYTES, what=str(path))
    found: dict[str, dict[str, list[float]]] = {}
    line = 1
    try:
        reader = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
        if next(reader, None) != _LOSSES_COLUMNS:
            raise ValueError("other columns")
        for line, (model, name, text) in enumerate(reader, start=2):  # noqa: B007
            found.setdefault(model, {}).setdefault(name, []).append(_loss(text))
    except (ValueError, csv.Error) as error:
        raise BadInput(
            f"{path} line {line} must hold a model, a set and a finite loss",
            received=str(error)[:80],
            remedy="run the evaluate stage again",
        ) from error
    return found


def _metrics(layout: Layout) -> dict[str, float]:
    """Return what the evaluate stage measured, by model and by request."""
    by_request = to_metrics(read_forgotten(layout.metrics("forgotten")))
    return flatten(read_json(layout.metrics("unlearning"))) | by_request


def _loss(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"a loss of {value}")
    return value


def _finite(values: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in flatten(values).items()}
