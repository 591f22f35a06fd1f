"""What the tests of the methods share: a tiny model, its frozen original, the sets, and a run of the real loop."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.models.classifier import Classifier, FaceClassifier, to_unit
from dlfd_ops.params import UnlearnSection, load_params
from dlfd_ops.training.batches import BatchPlan
from dlfd_ops.training.checkpoints import ResumeCheckpoint
from dlfd_ops.training.launch import start_accelerator
from dlfd_ops.training.loop import LoopSettings, StepLoss, run_loop
from dlfd_ops.training.observer import SilentObserver
from dlfd_ops.unlearning.dlfd.schedule import DynamicForgetting
from dlfd_ops.unlearning.method import Batch, Resources, UnlearningMethod, UnlearningStep
from dlfd_ops.unlearning.objective import Source, UnlearningObjective
from dlfd_ops.unlearning.registry import DLFD_VARIANTS, METHODS, build_method

SHIPPED = load_params(Path(__file__).parents[2] / "params.yaml").unlearn
NAMES = [*(f"dlfd/{variant}" for variant in DLFD_VARIANTS), *(name for name in METHODS if name != "dlfd")]
STEPS = 10
SETTINGS = LoopSettings(
    title="test",
    num_steps=STEPS,
    steps_per_epoch=STEPS,
    learning_rate=0.05,
    momentum=0.9,
    weight_decay=1e-2,
    gradient_clip=1.0,
    checkpoint_every=2,
    seed=0,
    precision="float32",
)


def settings_of(name: str, **sections: Mapping[str, object]) -> UnlearnSection:
    """Return the shipped settings with another method, as small as a test allows.

    Args:
        name: as in ``NAMES``.
        sections: changed keys of the sections under ``unlearn``, or of ``unlearn.dlfd.anchored``.
    """
    method, _, variant = name.partition("/")
    few = {"steps": 2}
    dlfd = SHIPPED.dlfd.model_copy(
        update={
            "variant": variant or "anchored",
            "anchored": SHIPPED.dlfd.anchored.model_copy(update={"refresh_every": 4, **sections.pop("anchored", {})}),
            "paper": SHIPPED.dlfd.paper.model_copy(update=few),
            "published": SHIPPED.dlfd.published.model_copy(update=few),
        }
    )
    changed = {key: getattr(SHIPPED, key).model_copy(update=values) for key, values in sections.items()}
    return SHIPPED.model_copy(update={"method": method, "dlfd": dlfd, **changed})


def tiny_trunk() -> tuple[nn.Module, int]:
    """Return a trunk with all that matters in one (convolution, batch norm), and the width of its features."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ), 8


def flat_trunk() -> tuple[nn.Module, int]:
    """Return a trunk whose last map is one pixel wide, as that of a small image is: batch norm wants two of them."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()), 8


class PowerCut(UnlearningObjective):
    """Fails at a step, as a killed process would."""

    fail_at = -1

    def step_loss(self, model: nn.Module, step: int) -> StepLoss:
        """Raise at the step, else go on."""
        if step == self.fail_at:
            raise KeyboardInterrupt
        return super().step_loss(model, step)


class Case:
    """A model, its frozen original, and the sets.

    Attributes:
        probes: how often the probe has run.
        found: what it finds.

    Args:
        make_images: fixture.
        make_classifier: fixture.
        labels: of the model.
        architecture: of the model.
        photos: to forget.
    """

    def __init__(
        self,
        make_images: Callable[..., LabelledImages],
        make_classifier: Callable[..., FaceClassifier],
        labels: int = 1,
        *,
        architecture: str = "tiny",
        photos: int = 8,
    ) -> None:
        classes = 2 if labels > 1 else 3
        shape = {"labels": labels, "classes": classes, "size": 16}
        self.model = make_classifier(architecture=architecture, **shape)
        original = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.retain, self.forget, self.anchor, self.unseen = (
            make_images(count, seed=seed, **shape) for count, seed in ((40, 1), (photos, 2), (20, 3), (12, 4))
        )
        self.resources = Resources(original, self.forget, self.anchor, self.unseen, torch.device("cpu"), seed=0)
        self.probes = 0
        self.found = 0.3
        self._rank = 0

    def method(self, name: str, **sections: Mapping[str, object]) -> UnlearningMethod:
        """Return a method by its name, with changed settings."""
        return build_method(settings_of(name, **sections), self.resources)

    def step(self, number: int, *, push: bool = True) -> UnlearningStep:
        """Return one step of a run."""
        retain, forget, anchor = (
            Batch(to_unit(data.images[:8]), data.targets[:8], torch.arange(8))
            for data in (self.retain, self.forget, self.anchor)
        )
        return UnlearningStep(retain, forget, anchor, step=number, num_steps=STEPS, push=push)

    def loss(self, method: UnlearningMethod, model: nn.Module, number: int, *, push: bool = True) -> torch.Tensor:
        """Return the loss of one step, dropout drawn alike."""
        torch.manual_seed(number)
        model.train(method.training_mode)
        return method.loss(model, self.step(number, push=push)).loss

    def run(self, method: UnlearningMethod, model: Classifier, checkpoint: Path, *, fail_at: int = -1) -> Classifier:
        """Run the loop over ``model`` in place; resumes from ``checkpoint``, and breaks off at step ``fail_at``."""
        accelerator = start_accelerator()
        self._rank = accelerator.process_index
        objective = PowerCut(
            method,
            retain=self._source(self.retain, 8),
            forget=self._source(self.forget, 4),
            anchor=self._source(self.anchor, 4),
            probe=self._probe,
            schedule=DynamicForgetting(threshold=0.1, every=4),
            num_steps=STEPS,
            rank=accelerator.process_index,
            num_processes=accelerator.num_processes,
        )
        objective.fail_at = fail_at
        run_loop(
            accelerator,
            model,
            objective,
            SETTINGS,
            checkpoint=ResumeCheckpoint(checkpoint, "key"),
            observer=SilentObserver(),
        )
        return model

    def _probe(self, model: nn.Module) -> float:
        self.probes += 1
        model.eval()
        # On the other side of the threshold everywhere but on rank 0, whose word holds.
        return self.found if self._rank == 0 else 0.0

    def _source(self, data: LabelledImages, size: int) -> Source:
        return Source.on(torch.device("cpu"), data, BatchPlan(len(data), size, 0))


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of all parameters and buffers."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(before: dict[str, torch.Tensor], model: nn.Module) -> set[str]:
    """Return the names of the parameters and buffers that are not the same bytes any more."""
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
