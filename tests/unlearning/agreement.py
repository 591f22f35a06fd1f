"""A program: runs every method on the processes that launched it, and saves what rank 0 ends with.

With the argument ``resumed`` it runs the variants of DLFD that ask the module itself, with moving statistics: broken
off and resumed, and unbroken.

Statistics and dropout of half a batch are not those of the whole, so all methods run in evaluation mode. What decides
how a run goes on is another thing on each process: the probe's score, and for SalUn the photos that it asks which
weights are salient. Rank 0's holds.
"""

from __future__ import annotations

import copy
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.models.classifier import ARCHITECTURES, FaceClassifier, ModelCard
from dlfd_ops.training.launch import start_accelerator
from tests.unlearning.case import NAMES, Case, tiny_trunk


def make_images(count: int, *, classes: int, size: int, seed: int, labels: int) -> LabelledImages:
    """Return noise with labels."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)
    ids = tuple(f"{index}" for index in range(count))
    return LabelledImages(images, torch.randint(0, classes, (count,), generator=generator), ids, ids)


def make_classifier(*, architecture: str, classes: int, size: int, labels: int) -> FaceClassifier:
    """Return a classifier with seeded weights that look at the image."""
    torch.manual_seed(1)
    names = tuple(f"class-{index}" for index in range(classes))
    model = FaceClassifier(ModelCard(architecture, ("label",), {"label": names}, size))
    with torch.no_grad():
        model.head.weight.mul_(10)
    return model


def main(folder: Path) -> None:
    """Run all methods."""
    accelerator, case = start_accelerator(), Case(make_images, make_classifier)
    start = copy.deepcopy(case.model)
    _save(start, folder / "start.safetensors", accelerator.is_main_process)
    for name in NAMES:
        asked = case if name != "salun" or accelerator.is_main_process else _with_others_to_forget(case)
        method, file = asked.method(name, anchored={"batch_norm": "frozen"}), name.replace("/", "-")
        method.training_mode = False
        model = case.run(method, copy.deepcopy(start), folder / "checkpoints" / file)
        _save(model, folder / f"{file}.safetensors", accelerator.is_main_process)


def resumed(folder: Path) -> None:
    """Run once in two parts and once in one."""
    accelerator, case = start_accelerator(), Case(make_images, make_classifier)
    for name in ("dlfd/anchored", "dlfd/paper"):
        file = name.replace("/", "-")
        for part, breaks in (("broken", (5, -1)), ("whole", (-1,))):
            for fail_at in breaks:
                model = copy.deepcopy(case.model)
                with suppress(KeyboardInterrupt):
                    case.run(case.method(name), model, folder / f"{file}-{part}-checkpoint", fail_at=fail_at)
            _save(model, folder / f"{file}-{part}.safetensors", accelerator.is_main_process)


def _with_others_to_forget(case: Case) -> Case:
    other = copy.copy(case)
    other.resources = replace(case.resources, forget=replace(case.forget, images=255 - case.forget.images[:]))
    return other


def _save(model: nn.Module, file: Path, is_main_process: bool) -> None:
    if is_main_process:
        save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, file)


if __name__ == "__main__":
    torch.set_num_threads(1)
    ARCHITECTURES["tiny"] = tiny_trunk
    (resumed if "resumed" in sys.argv else main)(Path(sys.argv[1]))
