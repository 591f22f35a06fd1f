"""The evaluation's files: ``metrics/{unlearning,evaluated,retrained}.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.curves import Curves
from dlfd_ops.evaluation.reference_attacks import ReferenceLosses
from dlfd_ops.files import read_bounded, write_text

if TYPE_CHECKING:
    from dlfd_ops.evaluation.report import ModelEvaluation

MAX_METRICS_BYTES = 16 << 20


@dataclass(frozen=True, eq=False)
class RetrainedRecord:
    """What the retrain stage leaves for ``evaluate`` and the gate.

    Attributes:
        evaluation: the retrained model's.
        seconds: wall time of the retraining.
        forget_list_digest: the forget list that it was trained without.
        manifest_digest: the data that it was trained on.
        settings_digest: how it was trained and judged: the sections ``base``, ``train`` and ``evaluate``.
        references: what models trained like it, with other seeds, say of the sets, in the manifest's row order; no
            sample is named, so that nothing of a person stays in Git when the manifest is gone.
    """

    evaluation: ModelEvaluation
    seconds: float
    forget_list_digest: str
    manifest_digest: str
    settings_digest: str
    references: ReferenceLosses | None = None


@dataclass(frozen=True)
class Evaluated:
    """What ``metrics/unlearning.json`` was measured on.

    Attributes:
        weights_digest: of the unlearned model.
        forget_list_digest: of the samples attacked.
        manifest_digest: of the data.
    """

    weights_digest: str
    forget_list_digest: str
    manifest_digest: str


def write_evaluated(evaluated: Evaluated, path: Path) -> None:
    """Write ``metrics/evaluated.json``; a file of its own, as ``dvc metrics show`` is for numbers."""
    write_text(path, json.dumps(asdict(evaluated), indent=2) + "\n")


def read_evaluated(path: Path) -> Evaluated | None:
    """Read ``metrics/evaluated.json``; None where there is none.

    Raises:
        BadInput: the file is not what :func:`write_evaluated` wrote.
    """
    if not path.exists():
        return None
    try:
        return Evaluated(**{name: str(value) for name, value in read_json(path).items()})
    except TypeError as error:
        raise BadInput(
            f"{path} must name the weights, the forget list and the manifest",
            received="other keys",
            remedy="run the evaluate stage again",
        ) from error


def write_metrics(metrics: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Write metrics nested by model; ``dvc metrics show`` prints them as ``<model>.<metric>``."""
    write_text(path, json.dumps(metrics, indent=2) + "\n")


def read_metrics(path: Path) -> dict[str, float]:
    """Read nested metrics as flat ``<model>.<metric>`` names; what is not a number is left out.

    NaN and infinities come through, for the gate to refuse.

    Raises:
        BadInput: the file is missing or holds no JSON object.
    """
    return flatten(read_json(path))


def flatten(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return nested metrics with dotted names, as DVC names them; what is not a number is left out."""
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}."))
        elif isinstance(value, (int, float)):
            flat[f"{prefix}{name}"] = float(value)
    return flat


def write_retrained(record: RetrainedRecord, path: Path) -> None:
    """Write ``metrics/retrained.json``: one line a section, so that the curves stay off the screen in a diff."""
    sections: dict[str, Any] = {
        "retrained": record.evaluation.metrics,
        "seconds": {"retrain": record.seconds},
        "forget_list_digest": record.forget_list_digest,
        "manifest_digest": record.manifest_digest,
        "settings_digest": record.settings_digest,
        "curves": record.evaluation.curves.to_json(),
    }
    if record.references is not None:
        sections["references"] = record.references.to_json()
    lines = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in sections.items())
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read_retrained(path: Path) -> RetrainedRecord | None:
    """Read ``metrics/retrained.json``; None for the placeholder ``{}`` of a repository that retrained nothing.

    Raises:
        BadInput: the file is missing, or is neither the placeholder nor what :func:`write_retrained` wrote.
    """
    value = read_json(path)
    if not value:
        return None
    from dlfd_ops.evaluation.report import ModelEvaluation  # loads torch, which who reads plain numbers can do without

    try:
        metrics = {str(name): float(number) for name, number in value["retrained"].items()}
        return RetrainedRecord(
            ModelEvaluation(metrics, Curves.from_json(value["curves"])),
            float(value["seconds"]["retrain"]),
            str(value["forget_list_digest"]),
            str(value["manifest_digest"]),
            str(value["settings_digest"]),
            ReferenceLosses.from_json(value["references"]) if "references" in value else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(
            f"{path} must be what the retrain stage writes, or {{}}",
            received=f"{type(error).__name__}: {error}"[:120],
            remedy="run the retrain stage again, or put {} into it",
        ) from error


def read_seconds(path: Path) -> float | None:
    """Read ``seconds`` of a stage's metrics; None where they say null: the model was trained elsewhere.

    Raises:
        BadInput: the file is missing, holds no JSON object, or no number of seconds.
    """
    metrics = read_json(path)
    seconds = flatten(metrics).get("seconds")
    if seconds is None and ("seconds" not in metrics or metrics["seconds"] is not None):
        raise BadInput(f"{path} must hold the stage's seconds", received="none", remedy="run its stage again")
    return seconds


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        BadInput: the file is missing, too large, or holds something else.
    """
    content = read_bounded(path, max_bytes=MAX_METRICS_BYTES, what=str(path))
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _no_object(path, type(error).__name__) from error
    if not isinstance(value, dict):
        raise _no_object(path, f"a JSON {type(value).__name__}")
    return value


def _no_object(path: Path, received: str) -> BadInput:
    return BadInput(f"{path} must hold one JSON object", received=received, remedy="run its stage again")
