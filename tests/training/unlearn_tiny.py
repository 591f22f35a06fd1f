"""A tiny unlearning, started by torchrun: what test_distributed.py compares."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.models.classifier import FaceClassifier, ModelCard
from dlfd_ops.params import load_params
from dlfd_ops.training.batches import BatchPlan
from dlfd_ops.training.checkpoints import ResumeCheckpoint
from dlfd_ops.training.launch import start_accelerator
from dlfd_ops.training.loop import LoopSettings, run_loop
from dlfd_ops.training.observer import SilentObserver
from dlfd_ops.unlearning.dlfd.schedule import DynamicForgetting
from dlfd_ops.unlearning.method import Resources
from dlfd_ops.unlearning.objective import Source, UnlearningObjective
from dlfd_ops.unlearning.registry import build_method

STEPS = 4


def images(count: int, seed: int) -> LabelledImages:
    """Return noise with labels."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), generator=generator).to(torch.uint8)
    ids = tuple(map(str, range(count)))
    return LabelledImages(pixels, torch.randint(0, 3, (count,), generator=generator), ids, ids)


def classifier() -> FaceClassifier:
    """Return a classifier with seeded weights."""
    torch.manual_seed(0)
    return FaceClassifier(ModelCard("resnet18", ("label",), {"label": ("a", "b", "c")}, 32))


def main(out: Path) -> None:
    """Unlearn for a few steps and save the weights, once a process that may write."""
    torch.set_num_threads(1)
    accelerator = start_accelerator()
    settings = load_params(Path(__file__).parents[2] / "params.yaml").unlearn
    frozen = settings.dlfd.anchored.model_copy(update={"batch_norm": "frozen"})
    settings = settings.model_copy(update={"dlfd": settings.dlfd.model_copy(update={"anchored": frozen})})
    resources = Resources(classifier().eval().requires_grad_(False), images(40, 3), accelerator.device, 0)
    objective = UnlearningObjective(
        build_method(settings, resources),
        retain=Source.on(accelerator.device, images(64, 1), BatchPlan(64, 16, 0)),
        forget=Source.on(accelerator.device, images(32, 2), BatchPlan(32, 8, 1)),
        probe=lambda model: 0.5,
        schedule=DynamicForgetting(threshold=0.02, every=2),
        num_steps=STEPS,
        rank=accelerator.process_index,
        num_processes=accelerator.num_processes,
    )
    loop = LoopSettings("tiny", STEPS, STEPS, 0.01, 0.9, 5e-4, 5.0, 2, 0)
    model = classifier()
    checkpoint = ResumeCheckpoint(out / "checkpoint", "k")
    run_loop(accelerator, model, objective, loop, checkpoint=checkpoint, observer=SilentObserver())
    if accelerator.is_main_process:
        checkpoint.clear()
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, out / "rank-0.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
