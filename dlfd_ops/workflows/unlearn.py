"""The unlearn stage: the parent forgets the samples on the forget list."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.images import LabelledImages, load_images
from dlfd_ops.data.manifest import Manifest, read_manifest
from dlfd_ops.deletion.forget_list import ForgetList, read_forget_list
from dlfd_ops.digest import sha256_json
from dlfd_ops.evaluation.probe import ForgettingProbe
from dlfd_ops.files import replaced_folder, write_text
from dlfd_ops.models.checkpoint import CARD, WEIGHTS, load_classifier, weights_digest
from dlfd_ops.models.classifier import Classifier
from dlfd_ops.params import Params
from dlfd_ops.tracking.provenance import read_provenance
from dlfd_ops.training.batches import BatchPlan
from dlfd_ops.training.launch import start_accelerator
from dlfd_ops.training.loop import LoopSettings
from dlfd_ops.unlearning.dlfd.schedule import DynamicForgetting
from dlfd_ops.unlearning.method import Resources
from dlfd_ops.unlearning.objective import Source, UnlearningObjective
from dlfd_ops.unlearning.registry import build_method, method_name
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.running import StageRun, run_tracked
from dlfd_ops.workflows.start import read_start

if TYPE_CHECKING:
    from accelerate import Accelerator

KEPT = "none"
"""What stands for the method where there was nothing new to forget."""
PROBE_SPLITS = 10
PROBE_BATCH_SIZE = 256


def unlearn(params: Params, root: Path = Path()) -> None:
    """Unlearn the forget list; writes ``models/unlearned`` and ``metrics/unlearn.json``, and tells the ledger.

    Starts from the pinned parent. With nothing new to forget, the parent itself is the result.

    Raises:
        BadInput: an input is missing or damaged, or the parent is not the pinned one.
    """
    layout, accelerator = Layout(root), start_accelerator()
    manifest, forget_list = read_manifest(layout.manifest), read_forget_list(layout.forget_list)
    start = read_start(layout)
    parent = load_classifier(start.folder)
    if not forget_list.rows:
        if accelerator.is_main_process:
            _keep_parent(layout, start.folder)
        return
    objective, plan = build_objective(params, manifest, forget_list, parent, accelerator)
    run = StageRun(
        kind="unlearned",
        key=sha256_json(
            [
                params.base.model_dump(),
                params.unlearn.model_dump(),
                manifest.digest(),
                forget_list.digest(),
                start.digest,
            ]
        ),
        curve=layout.plot("unlearning.csv"),
        settings=_loop_settings(params, plan),
    )
    seconds = run_tracked(accelerator, parent, objective, run, params=params, manifest=manifest, root=root)
    if accelerator.is_main_process:
        write_text(layout.metrics("unlearn"), _numbers(params, seconds))
        _tell_ledger(params, layout, forget_list, start.digest)


def build_objective(
    params: Params, manifest: Manifest, forget_list: ForgetList, parent: Classifier, accelerator: Accelerator
) -> tuple[UnlearningObjective, BatchPlan]:
    """Return the objective of the section ``unlearn`` and the plan of its retain batches.

    Args:
        params: the sections ``base`` and ``unlearn``.
        manifest: all samples.
        forget_list: what to forget.
        parent: where to start from; a frozen copy of it is kept as the original.
        accelerator: of this process.

    Raises:
        BadInput: an image is missing, or a label does not fit.
    """
    settings, labels, device = params.unlearn, params.base.labels, accelerator.device
    train = manifest.split("train")
    forget = load_images(train.only(forget_list.sample_ids), labels)
    retain = load_images(train.without(forget_list.cumulative_ids), labels)
    original = copy.deepcopy(parent).to(device).eval().requires_grad_(False)
    anchor = load_images(manifest.split("anchor"), labels)
    resources = Resources(original=original, forget=forget, anchor=anchor, device=device, seed=params.base.seed)
    plan = BatchPlan(len(retain), settings.batch_size, params.base.seed)
    objective = UnlearningObjective(
        build_method(settings, resources),
        retain=Source.on(device, retain, plan),
        forget=Source.on(device, forget, BatchPlan(len(forget), settings.forget_batch_size, params.base.seed + 1)),
        anchor=Source.on(device, anchor, BatchPlan(len(anchor), settings.anchor_batch_size, params.base.seed + 2)),
        probe=_probe(params, forget, load_images(manifest.split("validation"), labels), accelerator),
        schedule=DynamicForgetting(threshold=settings.probe.threshold, every=settings.probe.every),
        num_steps=settings.epochs * plan.steps_per_epoch,
        rank=accelerator.process_index,
        num_processes=accelerator.num_processes,
    )
    return objective, plan


def _probe(
    params: Params, forget: LabelledImages, validation: LabelledImages, accelerator: Accelerator
) -> ForgettingProbe:
    return ForgettingProbe(
        forget,
        validation,
        images=params.unlearn.probe.images,
        splits=PROBE_SPLITS,
        batch_size=PROBE_BATCH_SIZE,
        seed=params.base.seed,
        device=accelerator.device,
    )


def _keep_parent(layout: Layout, start: Path) -> None:
    with replaced_folder(layout.model("unlearned")) as folder:
        for name in (WEIGHTS, CARD):
            shutil.copyfile(start / name, folder / name)
    write_text(layout.metrics("unlearn"), json.dumps({"method": KEPT, "seconds": 0.0}) + "\n")
    write_text(layout.plot("unlearning.csv"), "step\n")


def _loop_settings(params: Params, plan: BatchPlan) -> LoopSettings:
    settings = params.unlearn
    return LoopSettings(
        title=method_name(settings),
        num_steps=settings.epochs * plan.steps_per_epoch,
        steps_per_epoch=plan.steps_per_epoch,
        learning_rate=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        gradient_clip=settings.gradient_clip,
        checkpoint_every=settings.checkpoint_every,
        seed=params.base.seed,
    )


def _numbers(params: Params, seconds: float) -> str:
    return json.dumps({"method": method_name(params.unlearn), "seconds": round(seconds, 3)}) + "\n"


def _tell_ledger(params: Params, layout: Layout, forget_list: ForgetList, parent_digest: str) -> None:
    Ledger(layout.ledger).append(
        "unlearned",
        {
            "request_ids": list(forget_list.request_ids),
            "forget_list_digest": forget_list.digest(),
            "method": method_name(params.unlearn),
            "params_digest": sha256_json(params.unlearn.model_dump()),
            "parent_weights_digest": parent_digest,
            "weights_digest": weights_digest(layout.model("unlearned")),
            "git_commit": read_provenance(layout.root, "unlearn").git_commit,
        },
    )
