"""Training a classifier from scratch: the same for the original and for the retrained model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dlfd_ops.data.images import LabelledImages, load_images
from dlfd_ops.data.manifest import Manifest
from dlfd_ops.digest import sha256_json
from dlfd_ops.models.checkpoint import build_classifier
from dlfd_ops.models.classifier import Classifier, Factory, ModelCard
from dlfd_ops.models.wrapped import check_classifier
from dlfd_ops.params import Params
from dlfd_ops.tracking.runs import ModelKind
from dlfd_ops.training.batches import BatchPlan
from dlfd_ops.training.launch import start_accelerator
from dlfd_ops.training.loop import LoopSettings
from dlfd_ops.training.supervised import SupervisedObjective
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.running import StageRun, run_tracked

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class Fitted:
    """A trained classifier, on every process.

    Attributes:
        model: in place, on the accelerator's device.
        device: of the accelerator.
        seconds: of training.
        is_main_process: whether this process writes.
    """

    model: Classifier
    device: torch.device
    seconds: float
    is_main_process: bool


def fit(params: Params, samples: Manifest, kind: ModelKind, curve: str, root: Path, *, manifest: Manifest) -> Fitted:
    """Train a classifier on all rows of ``samples`` and save it under ``models/<kind>``.

    Args:
        params: the sections ``base`` and ``train``.
        samples: what to train on.
        kind: ``original`` or ``retrained``.
        curve: file under ``plots/`` for the training curve.
        root: of the repository.
        manifest: the whole data set, which the run names as its input.

    Raises:
        BadInput: an image is missing, or a label does not fit.
    """
    layout, accelerator = Layout(root), start_accelerator()
    data = load_images(samples, params.base.labels)
    model, objective, settings = start_fit(params, samples, data, kind, accelerator)
    key = sha256_json([kind, params.base.model_dump(), params.train.model_dump(), samples.digest()])
    run = StageRun(kind=kind, key=key, curve=layout.plot(curve), settings=settings)
    seconds = run_tracked(accelerator, model, objective, run, params=params, manifest=manifest, root=root)
    return Fitted(model, accelerator.device, seconds, accelerator.is_main_process)


def start_fit(
    params: Params, manifest: Manifest, data: LabelledImages, title: str, accelerator: Accelerator
) -> tuple[Classifier, SupervisedObjective, LoopSettings]:
    """Return a fresh classifier, the objective that trains it on ``data``, and how long and how fast.

    Args:
        params: the sections ``base`` and ``train``.
        manifest: knows the classes and the image size.
        data: the samples to train on.
        title: beside the progress bar.
        accelerator: of this process.

    Raises:
        BadInput: the model does not take images of this size, or has other outputs than there are classes.
    """
    torch.manual_seed(params.base.seed)
    model = build_classifier(card_of(params, manifest))
    check_classifier(model)
    plan = BatchPlan(len(data), params.train.batch_size, params.base.seed)
    objective = SupervisedObjective(
        data,
        plan,
        flip=params.train.augmentation == "flip",
        device=accelerator.device,
        rank=accelerator.process_index,
        num_processes=accelerator.num_processes,
    )
    return model, objective, loop_settings(params, plan, title)


def card_of(params: Params, manifest: Manifest) -> ModelCard:
    """Return the card of the classifier that ``params`` asks for on this data."""
    labels, given = params.base.labels, params.train.factory
    own = {} if given is None else {"mean": given.mean, "std": given.std}
    return ModelCard(
        architecture=params.train.architecture,
        labels=labels,
        classes={label: manifest.info.classes[label] for label in labels},
        image_size=manifest.info.image_size,
        factory=None if given is None else Factory(given.layer, given.side, given.arguments, given.origin),
        **own,
    )


def loop_settings(params: Params, plan: BatchPlan, title: str) -> LoopSettings:
    """Return the loop's settings of the section ``train``."""
    train = params.train
    return LoopSettings(
        title=title,
        num_steps=train.epochs * plan.steps_per_epoch,
        steps_per_epoch=plan.steps_per_epoch,
        learning_rate=train.learning_rate,
        momentum=train.momentum,
        weight_decay=train.weight_decay,
        gradient_clip=None,
        checkpoint_every=train.checkpoint_every * plan.steps_per_epoch,
        seed=params.base.seed,
        precision=params.base.precision,
    )


def recipe_digest(params: Params) -> str:
    """Return the digest of how a model is trained: the sections ``base`` and ``train``, but for when it is saved."""
    return sha256_json([params.base.model_dump(), params.train.model_dump(exclude={"checkpoint_every"})])
