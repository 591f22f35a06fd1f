"""A training run with everything around it: MLflow run, curve, resume checkpoint, saved model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlfd_ops.data.manifest import Manifest
from dlfd_ops.models.checkpoint import save_classifier
from dlfd_ops.models.classifier import Classifier
from dlfd_ops.params import Params
from dlfd_ops.tracking.runs import STAGE_OF, ModelKind, model_run
from dlfd_ops.training.checkpoints import ResumeCheckpoint
from dlfd_ops.training.loop import LoopSettings, Objective, run_loop
from dlfd_ops.training.observer import Observers, SilentObserver
from dlfd_ops.workflows.curves import CurveRecorder
from dlfd_ops.workflows.layout import Layout

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class StageRun:
    """What is particular to one run.

    Attributes:
        kind: which model is made; it names the MLflow run and the folder under ``models/``.
        key: digest of everything that the result depends on; a checkpoint of another key is not resumed.
        curve: CSV of the training curve.
        settings: of the loop.
    """

    kind: ModelKind
    key: str
    curve: Path
    settings: LoopSettings


def run_tracked(
    accelerator: Accelerator,
    model: Classifier,
    objective: Objective,
    run: StageRun,
    *,
    params: Params,
    manifest: Manifest,
    root: Path,
) -> float:
    """Run the loop and save the model; rank 0 alone tracks and writes.

    Returns:
        Seconds of training.
    """
    layout = Layout(root)
    private = layout.checkpoint(STAGE_OF[run.kind])
    checkpoint = ResumeCheckpoint(private, run.key)
    if not accelerator.is_main_process:
        return run_loop(accelerator, model, objective, run.settings, checkpoint=checkpoint, observer=SilentObserver())
    recorder = CurveRecorder(private / "curve.jsonl", run.key)
    with model_run(params, run.kind, manifest=manifest, root=root) as tracked:
        watched = Observers([recorder, tracked])
        seconds = run_loop(accelerator, model, objective, run.settings, checkpoint=checkpoint, observer=watched)
        save_classifier(model, layout.model(run.kind))
        recorder.write(run.curve)
        tracked.set_weights(layout.model(run.kind))
        tracked.log_metrics({"seconds": seconds})
    checkpoint.clear()
    return seconds
