"""U-LiRA on the model of a cell: shadow models that forgot other people, and what they say of the targets.

A shadow is trained on the retain set and on half of the targets, by the original's recipe, and then made to forget that
half by the settings that the cell chose: what happened to the model attacked, but for who was forgotten. Of each sample
it is known how confident models are that forgot it, and how confident models are that never saw it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from filelock import FileLock
from pydantic import JsonValue

from dlfd_ops.data.images import load_images
from dlfd_ops.data.manifest import Manifest
from dlfd_ops.digest import sha256_json
from dlfd_ops.errors import BadInput, Diverged
from dlfd_ops.evaluation.membership import Losses
from dlfd_ops.evaluation.people import attack_metrics
from dlfd_ops.evaluation.report import rounded
from dlfd_ops.evaluation.ulira import logit_confidence, ulira_scores
from dlfd_ops.files import write_text
from dlfd_ops.models.classifier import Classifier
from dlfd_ops.params import Params
from dlfd_ops.workflows.benchmarking.bench import Bench

FIRST_SEED = 2**31
"""Of the first shadow: beyond the seeds that ``params.yaml`` takes, so that no model attacked is its own shadow."""
ATTACK = "ulira"

_LOGGER = logging.getLogger(__name__)


def shadow_metrics(
    bench: Bench, model: Classifier, settings: Mapping[str, JsonValue] | None, seed: int
) -> dict[str, float]:
    """Return what U-LiRA finds in ``model``; nothing where ``benchmark.shadows`` is 0.

    Shadows are trained where they are missing, and serve all methods and seeds.

    Args:
        bench: the people, and where the shadows are kept.
        model: the model attacked.
        settings: of the trial that made it. Without any nothing was forgotten, and the shadows are left as they were
            trained: so are ``original`` and, as the yardstick of what the two kinds of people differ in, ``retrained``
            attacked.
        seed: of the resamples.

    Raises:
        BadInput: an image is missing, or a label does not fit.
    """
    shadows = range(2 * bench.section.shadows)
    said = {shadow: losses for shadow in shadows if (losses := _said_by(bench, shadow, settings)) is not None}
    if len(said) < len(shadows):
        _LOGGER.warning("%d of %d shadow models diverged and are left out", len(shadows) - len(said), len(shadows))
    if not said:
        return {}
    confidences = logit_confidence(np.stack(list(said.values())))
    forgot = np.stack([bench.targets.half(shadow) for shadow in said])
    try:
        scores = ulira_scores(logit_confidence(bench.losses(model, bench.targets.images)), confidences, forgot)
    except BadInput as problem:
        _LOGGER.warning("U-LiRA is left out: %s", problem)
        return {}
    members = bench.targets.members
    return rounded(attack_metrics(ATTACK, -scores[members], -scores[~members], bench.targets.subjects, seed=seed))


def _said_by(bench: Bench, shadow: int, settings: Mapping[str, JsonValue] | None) -> Losses | None:
    """Return a shadow's losses on the targets, (N,), from where they are kept; None where it diverged."""
    params, name = bench.seeded(FIRST_SEED + shadow, settings), f"shadow-{shadow}"
    half = _half(bench, shadow)
    key = sha256_json(
        [name, params.base.model_dump(), params.train.model_dump(), bench.data_digest, *half.rows["sample_id"]]
    )
    unlearned = "nothing" if settings is None else sha256_json(params.unlearn.model_dump())
    path = bench.folder(name, key) / f"said-{unlearned[:16]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            _write(path, _ask(bench, shadow, params, key, forgetting=settings is not None))
    found = json.loads(path.read_text())
    return None if found is None else np.array(found)


def _half(bench: Bench, shadow: int) -> Manifest:
    ids = bench.targets.images.sample_ids
    return bench.manifest.only([name for name, chosen in zip(ids, bench.targets.half(shadow), strict=True) if chosen])


def _ask(bench: Bench, shadow: int, params: Params, key: str, *, forgetting: bool) -> Losses | None:
    """Return what a shadow, trained where it is missing, loses on the targets; None where it diverges."""
    half = _half(bench, shadow)
    retain = bench.manifest.split("train").without(bench.forget_list.sample_ids)
    known = bench.manifest.only([*retain.rows["sample_id"], *half.rows["sample_id"]])
    try:
        model, _ = bench.trained(params, known, f"shadow-{shadow}", key)
        if forgetting:
            sets = replace(bench.sets_of(params), forget=load_images(half, params.base.labels))
            bench.unlearn(model, params, sets)
    except Diverged:
        return None
    losses = bench.losses(model, bench.targets.images)
    return losses if np.isfinite(losses).all() else None


def _write(path: Path, losses: Losses | None) -> None:
    # Without ids: in the order of the targets, which only the manifest and the key know.
    write_text(path, json.dumps(None if losses is None else losses.tolist()) + "\n", mode=0o600)
