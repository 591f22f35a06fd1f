"""One unlearning run, wherever its sets come from: the same for the stage and for the benchmark."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlfd_ops.data.images import LabelledImages, load_images
from dlfd_ops.data.manifest import Manifest
from dlfd_ops.deletion.forget_list import ForgetList
from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.probe import ForgettingProbe
from dlfd_ops.models.classifier import Classifier
from dlfd_ops.models.precision import set_precision
from dlfd_ops.params import Params
from dlfd_ops.training.batches import BatchPlan
from dlfd_ops.training.loop import LoopSettings
from dlfd_ops.unlearning.dlfd.schedule import DynamicForgetting
from dlfd_ops.unlearning.method import Resources
from dlfd_ops.unlearning.objective import Source, UnlearningObjective
from dlfd_ops.unlearning.registry import build_method, method_name

if TYPE_CHECKING:
    from accelerate import Accelerator

PROBE_SPLITS = 50
PROBE_BATCH_SIZE = 256

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class UnlearningSets:
    """The people of one unlearning.

    Attributes:
        retain: training samples that stay.
        forget: training samples that go.
        anchor: people that the original never trained on, for the steps of the method to use.
        unseen: more of them, whom no step sees.
        validation: people that no model trains on; the probe measures on them.
    """

    retain: LabelledImages
    forget: LabelledImages
    anchor: LabelledImages
    unseen: LabelledImages
    validation: LabelledImages


def load_unlearning_sets(params: Params, manifest: Manifest, forget_list: ForgetList) -> UnlearningSets:
    """Read the images of everybody who takes part in an unlearning.

    Of the people of the forget list none takes part but to be forgotten, in whichever split their other photos are.

    Args:
        params: the sections ``base`` and ``unlearn``.
        manifest: all samples; ``train`` is what the original was trained on.
        forget_list: who goes, and who went before.

    Raises:
        BadInput: an image is missing, a label does not fit, there are fewer than two anchor people, or there is no
            validation sample.
    """
    labels, train = params.base.labels, manifest.split("train")
    strangers = manifest.without(forget_list.held_out)
    anchor, validation = strangers.split("anchor"), strangers.split("validation")
    if not len(validation):
        raise BadInput(
            "the validation split must hold somebody who did not ask to be forgotten",
            received="nobody",
            remedy="give prepare.splits.validation a larger share",
        )
    unseen = _unseen_ids(anchor, params.unlearn.unseen_share)
    return UnlearningSets(
        retain=load_images(train.without(forget_list.cumulative_ids), labels),
        forget=load_images(train.only(forget_list.sample_ids), labels),
        anchor=load_images(anchor.without(unseen), labels),
        unseen=load_images(anchor.only(unseen), labels),
        validation=load_images(validation, labels),
    )


def build_objective(
    params: Params, sets: UnlearningSets, parent: Classifier, accelerator: Accelerator
) -> tuple[UnlearningObjective, LoopSettings]:
    """Return the objective of the section ``unlearn``, and how long and how fast it is minimised.

    Args:
        params: the sections ``base`` and ``unlearn``.
        sets: who stays and who goes.
        parent: where to start from; a frozen copy of it is kept as the original.
        accelerator: of this process.

    Raises:
        BadInput: the device lacks the number format of ``base.precision``.
    """
    settings, seed, device = params.unlearn, params.base.seed, accelerator.device
    original = copy.deepcopy(parent).to(device).eval().requires_grad_(False)
    set_precision(original, params.base.precision)
    resources = Resources(
        original=original, forget=sets.forget, anchor=sets.anchor, unseen=sets.unseen, device=device, seed=seed
    )
    plan = BatchPlan(len(sets.retain), settings.batch_size, seed)
    loop = _loop_settings(params, plan)
    _warn_of_undrawn(loop.num_steps * settings.forget_batch_size, len(sets.forget))
    objective = UnlearningObjective(
        build_method(settings, resources),
        retain=Source.on(device, sets.retain, plan),
        forget=Source.on(device, sets.forget, BatchPlan(len(sets.forget), settings.forget_batch_size, seed + 1)),
        anchor=Source.on(device, sets.anchor, BatchPlan(len(sets.anchor), settings.anchor_batch_size, seed + 2)),
        probe=_probe(params, sets, accelerator),
        schedule=DynamicForgetting(threshold=settings.probe.threshold, every=settings.probe.every),
        num_steps=loop.num_steps,
        rank=accelerator.process_index,
        num_processes=accelerator.num_processes,
    )
    return objective, loop


def _warn_of_undrawn(drawn: int, to_forget: int) -> None:
    if drawn < to_forget:
        _LOGGER.warning(
            "only %d of %d photos to forget are drawn in unlearn.epochs; raise it, or unlearn.forget_batch_size",
            drawn,
            to_forget,
        )


def _unseen_ids(anchor: Manifest, share: float) -> set[str]:
    """Return the samples of a share of the people: at least of one of them, and not of all."""
    # In the order of keyed hashes, which is as good as drawn.
    people = sorted(set(anchor.rows["subject_key"]))
    if len(people) < 2:
        raise BadInput(
            "the anchor split must hold at least two people who did not ask to be forgotten",
            received=f"{len(people)}",
            remedy="give prepare.splits.anchor a larger share, and another split a smaller one",
        )
    chosen = set(people[: min(max(1, round(share * len(people))), len(people) - 1)])
    return set(anchor.rows["sample_id"][anchor.rows["subject_key"].isin(chosen)])


def _probe(params: Params, sets: UnlearningSets, accelerator: Accelerator) -> ForgettingProbe:
    return ForgettingProbe(
        sets.forget,
        sets.validation,
        images=params.unlearn.probe.images,
        splits=PROBE_SPLITS,
        batch_size=PROBE_BATCH_SIZE,
        seed=params.base.seed,
        device=accelerator.device,
    )


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
        precision=params.base.precision,
    )
