"""What stands in ``models/original`` once its weights are erased: a record instead of a model.

The original knew everybody. Once a version serves that was made from it, no unlearning starts from the original any
more; the evaluation alone still looks at it, for the accuracy that the versions are held against. That number can be
kept without the weights. What the original said about single people can't, and is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dlfd_ops.data.manifest import Manifest
from dlfd_ops.deletion.requests import KeyedHash
from dlfd_ops.digest import sha256_set
from dlfd_ops.errors import BadInput
from dlfd_ops.files import read_bounded, write_text
from dlfd_ops.models.checkpoint import WEIGHTS, weights_digest

RECORD = "erased.json"
KEPT_METRICS = ("accuracy", "accuracy_validation", "loss", "ece")
"""The numbers that are about people whom no model is trained on, and about nobody who may be forgotten."""
MAX_RECORD_BYTES = 1 << 20


class Retired(BaseModel):
    """A model whose weights are gone.

    Attributes:
        weights_digest: SHA-256 that its weight file had.
        metrics: its numbers as they were last measured, see :data:`KEPT_METRICS`.
        measured_on: digest of the test photos of that measurement, see :func:`photos_digest`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights_digest: KeyedHash
    metrics: dict[str, Annotated[float, Field(allow_inf_nan=False)]]
    measured_on: KeyedHash


def retire(folder: Path, metrics: Mapping[str, float], manifest: Manifest) -> None:
    """Put a record in the place of a model's weights; its card stays. A folder that is retired already stays so.

    The record comes first: killed before the weights are gone, the next run finds both and completes it.

    Args:
        folder: of the model.
        metrics: its numbers, as the evaluation measured them on ``manifest``.
        manifest: the data.
    """
    if not (folder / WEIGHTS).exists():
        return
    kept = {name: metrics[name] for name in KEPT_METRICS if name in metrics}
    record = Retired(weights_digest=weights_digest(folder), metrics=kept, measured_on=photos_digest(manifest))
    write_text(folder / RECORD, record.model_dump_json(indent=2) + "\n")
    (folder / WEIGHTS).unlink()


def read_retired(folder: Path) -> Retired | None:
    """Return the record of a model whose weights are gone, or None where there is no record.

    Raises:
        BadInput: the record is damaged, or weights lie beside it.
    """
    path = folder / RECORD
    if not path.exists():
        return None
    if (folder / WEIGHTS).exists():
        raise BadInput(
            f"{folder} must hold weights, or the record of erased ones",
            received="both",
            remedy="remove the weights: they were erased",
        )
    try:
        return Retired.model_validate_json(read_bounded(path, max_bytes=MAX_RECORD_BYTES, what=str(path)))
    except ValidationError as error:
        raise BadInput(
            f"{path} must be the record of a model whose weights are erased",
            received=f"a {'.'.join(map(str, error.errors()[0]['loc'][:2])) or 'file'} that breaks the format",
            remedy="restore it with dvc checkout",
        ) from error


def known_digest(folder: Path) -> str:
    """Return the SHA-256 of a model's weights, also where they are erased.

    Raises:
        BadInput: the record is damaged.
        OSError: there are neither weights nor a record.
    """
    record = read_retired(folder)
    return weights_digest(folder) if record is None else record.weights_digest


def photos_digest(manifest: Manifest) -> str:
    """Return a digest of the test photos: which they are, by their keyed hashes."""
    return sha256_set(manifest.split("test").rows["sample_id"])
