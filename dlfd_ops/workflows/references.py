"""Reference models for the attacks on single photos: trained like the retrained model, with other seeds."""

from __future__ import annotations

from pathlib import Path

from dlfd_ops.data.manifest import Manifest
from dlfd_ops.digest import sha256_json
from dlfd_ops.evaluation.membership import Losses
from dlfd_ops.evaluation.people import losses_of
from dlfd_ops.evaluation.predictions import predict
from dlfd_ops.evaluation.reference_attacks import REFERENCE_SETS, ReferenceLosses
from dlfd_ops.evaluation.report import EvaluationSets
from dlfd_ops.params import Params
from dlfd_ops.training.checkpoints import ResumeCheckpoint
from dlfd_ops.training.launch import start_accelerator
from dlfd_ops.training.loop import run_loop
from dlfd_ops.training.observer import SilentObserver
from dlfd_ops.workflows.fitting import start_fit
from dlfd_ops.workflows.layout import Layout


def train_references(params: Params, retain: Manifest, sets: EvaluationSets, layout: Layout) -> ReferenceLosses | None:
    """Train ``evaluate.references`` models on the retain set, one after the other, and keep what they say.

    Every process calls it. A model is another one by its seed alone, the base seed and its number, and is not kept:
    the attacks read its losses. After an interruption the models before the one at hand are trained again, to the same.

    Args:
        params: the sections ``base``, ``train`` and ``evaluate``.
        retain: the samples to train on: those of the retrained model.
        sets: what to measure them on; the retain set's images are those that they learn.
        layout: of the repository.

    Returns:
        The losses; None where no reference is asked for.

    Raises:
        BadInput: an image is missing.
    """
    numbers = range(1, params.evaluate.references + 1)
    if not numbers:
        return None
    rows = []
    for number in numbers:
        seeded = params.base.model_copy(update={"seed": params.base.seed + number})
        checkpoint = layout.checkpoint(f"reference-{number}")
        rows.append(_reference_losses(params.model_copy(update={"base": seeded}), retain, sets, checkpoint))
    return ReferenceLosses.stacked(rows)


def _reference_losses(params: Params, retain: Manifest, sets: EvaluationSets, private: Path) -> dict[str, Losses]:
    accelerator = start_accelerator()
    model, objective, settings = start_fit(params, retain, sets.retain, private.name, accelerator)
    key = sha256_json([private.name, params.base.model_dump(), params.train.model_dump(), retain.digest()])
    checkpoint = ResumeCheckpoint(private, key)
    run_loop(accelerator, model, objective, settings, checkpoint=checkpoint, observer=SilentObserver())
    checkpoint.clear()
    return {
        name: losses_of(
            predict(
                model,
                getattr(sets, name),
                batch_size=params.evaluate.batch_size,
                device=accelerator.device,
                progress=f"{private.name}: {name}" if accelerator.is_main_process else None,
            )
        )
        for name in REFERENCE_SETS
    }
