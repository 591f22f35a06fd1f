"""How long unlearning takes: against its floor, against the released code's way, and against retraining.

Run it from the top of the repository, on a machine that does nothing else::

    python benchmarks/unlearning.py                            # UTKFace's sizes, ResNet18 at 64 px
    python benchmarks/unlearning.py --retain 640 --rounds 1    # a quick look
    OMP_NUM_THREADS=1 python benchmarks/unlearning.py --clock processor    # where others work on it, too

The images are noise, as what is computed does not depend on them: the schedule's threshold is -1, so that every step
pushes. Settings are those of ``configs/params/utkface.yaml``. Measured, in turn, in every round:

- the stage, for the default and for ``paper``: everything from the loaded parent to the unlearned model in memory, with
  probes, transport and resume checkpoints; without the start of the program and MLflow;
- its floor: the bare forward and backward passes that it must do, on images that lie ready. For ``paper`` the forget
  features, K input-gradient passes and one training pass a batch; for the default the training pass over all three
  parts of a batch, the original's answers, and its look at the people; for both the probes' forward passes;
- ``published`` with as many perturbation steps, judged after every batch, as the released code does, on all photos to
  forget and as many unseen ones;
- one epoch of training on the retain set, from which 100 epochs of retraining are extrapolated.

On a GPU also what part of the card's rate the passes reach: their floating-point operations, counted by torch's
FlopCounterMode, over the seconds and over what a large matrix product in the same format reaches there.

Bounds: stage over floor at most 1.25; ``published`` over ``paper`` at least 10; the default at most 4% of retraining.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.models.checkpoint import build_classifier
from dlfd_ops.models.classifier import Classifier, ModelCard, Precision, to_unit
from dlfd_ops.models.losses import sample_losses
from dlfd_ops.models.precision import set_precision
from dlfd_ops.params import Params, load_params
from dlfd_ops.training.batches import BatchPlan
from dlfd_ops.training.checkpoints import ResumeCheckpoint
from dlfd_ops.training.launch import start_accelerator
from dlfd_ops.training.loop import run_loop
from dlfd_ops.training.observer import SilentObserver
from dlfd_ops.training.supervised import SupervisedObjective
from dlfd_ops.unlearning.dlfd.anchored import AnchoredDlfd
from dlfd_ops.workflows.fitting import loop_settings
from dlfd_ops.workflows.forgetting import PROBE_BATCH_SIZE, UnlearningSets, build_objective

PARAMS = Path(__file__).resolve().parents[1] / "configs/params/utkface.yaml"
RETRAINING_EPOCHS = 100
CLASSES = 8


class Bench:
    """The jobs that are measured, on one original and one set of images.

    Args:
        params: of the default method.
        retain: number of retain images; the other sets are in UTKFace's proportion to it.
        folder: for checkpoints.
    """

    def __init__(self, params: Params, retain: int, folder: Path) -> None:
        self._folder = folder
        self.accelerator = start_accelerator()
        self._params = _with(params, probe=params.unlearn.probe.model_copy(update={"threshold": -1.0}))
        anchor = retain * 3 // 10
        unseen = round(params.unlearn.unseen_share * anchor)
        self.sets = UnlearningSets(
            retain=_noise(retain, params.base.image_size),
            forget=_noise(retain // 9, params.base.image_size),
            anchor=_noise(anchor - unseen, params.base.image_size),
            unseen=_noise(unseen, params.base.image_size),
            validation=_noise(anchor, params.base.image_size),
        )
        card = ModelCard(
            params.train.architecture,
            ("age_group",),
            {"age_group": tuple(map(str, range(CLASSES)))},
            params.base.image_size,
        )
        torch.manual_seed(0)
        self._original = build_classifier(card).to(self.accelerator.device).eval()

    def params_of(self, variant: str) -> Params:
        """Return the parameters of a variant of DLFD; ``published`` is probed as its authors do."""
        unlearn, steps = self._params.unlearn, self._params.unlearn.dlfd.paper.steps
        published = unlearn.dlfd.published.model_copy(update={"steps": steps})
        dlfd = unlearn.dlfd.model_copy(update={"variant": variant, "published": published})
        whole = {"every": 1, "images": len(self.sets.retain)}
        probe = unlearn.probe.model_copy(update=whole) if variant == "published" else unlearn.probe
        return _with(self._params, method="dlfd", dlfd=dlfd, probe=probe)

    def stage(self, variant: str) -> None:
        """Unlearn from a copy of the original."""
        model, params = copy.deepcopy(self._original), self.params_of(variant)
        objective, settings = build_objective(params, self.sets, model, self.accelerator)
        checkpoint = ResumeCheckpoint(self._folder, variant)
        run_loop(self.accelerator, model, objective, settings, checkpoint=checkpoint, observer=SilentObserver())
        checkpoint.clear()

    def epoch(self) -> None:
        """Train for one epoch on the retain set, as retraining does."""
        data = self.sets.retain
        train = self._params.train.model_copy(update={"epochs": 1})
        params = self._params.model_copy(update={"train": train})
        plan = BatchPlan(len(data), train.batch_size, 0)
        objective = SupervisedObjective(
            data,
            plan,
            flip=train.augmentation == "flip",
            device=self.accelerator.device,
            rank=0,
            num_processes=1,
        )
        settings, checkpoint = loop_settings(params, plan, "epoch"), ResumeCheckpoint(self._folder, "epoch")
        model = copy.deepcopy(self._original)
        run_loop(self.accelerator, model, objective, settings, checkpoint=checkpoint, observer=SilentObserver())

    def floor(self, variant: str) -> None:
        """Do the bare passes of a variant."""
        passes = _Passes(copy.deepcopy(self._original), self._params, self.accelerator.device)
        unlearn = self._params.unlearn
        steps = unlearn.epochs * BatchPlan(len(self.sets.retain), unlearn.batch_size, 0).steps_per_epoch
        probed = min(unlearn.probe.images, len(self.sets.forget), len(self.sets.validation))
        if variant == "anchored":
            passes.look(2 * len(self.sets.forget) + len(self.sets.unseen) + len(self.sets.anchor))
        for step in range(steps):
            if step % unlearn.probe.every == 0:
                passes.look(2 * probed)
            if variant == "paper":
                passes.look(unlearn.forget_batch_size)
                passes.perturb(unlearn.batch_size, unlearn.dlfd.paper.steps)
                passes.train(unlearn.batch_size)
            else:
                if step and step % unlearn.dlfd.anchored.refresh_every == 0:
                    asked = (self.sets.unseen, self.sets.forget)
                    passes.look(sum(min(len(people), AnchoredDlfd.most_asked) for people in asked))
                seen = unlearn.batch_size + unlearn.anchor_batch_size
                passes.look(seen)
                passes.train(seen + unlearn.forget_batch_size)


class _Passes:
    """Bare passes over images that lie on the device."""

    def __init__(self, model: Classifier, params: Params, device: torch.device) -> None:
        set_precision(model, params.base.precision)
        self._model = model
        largest = max(PROBE_BATCH_SIZE, params.unlearn.batch_size * 4)
        self._images = to_unit(_noise(largest, params.base.image_size).images[:].to(device))
        self._targets = torch.zeros(largest, dtype=torch.int64, device=device)
        self._optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)

    def look(self, count: int) -> None:
        """Run forward passes over ``count`` images."""
        self._model.eval()
        with torch.no_grad():
            for start in range(0, count, PROBE_BATCH_SIZE):
                self._model(self._images[: min(PROBE_BATCH_SIZE, count - start)])

    def perturb(self, count: int, steps: int) -> None:
        """Run ``steps`` passes there and back to ``count`` images."""
        self._model.eval()
        images = self._images[:count].clone().requires_grad_(True)
        for _ in range(steps):
            torch.autograd.grad(self._loss(images), images)

    def train(self, count: int) -> None:
        """Run one training pass over ``count`` images."""
        self._model.train()
        self._optimizer.zero_grad()
        self._loss(self._images[:count]).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def _loss(self, images: Tensor) -> Tensor:
        return sample_losses(self._model(images).logits, self._targets[: len(images)]).mean()


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}


def measure(bench: Bench, rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Return the seconds of every job by ``clock``, summed over the rounds, in which the jobs take turns."""
    jobs: dict[str, Callable[[], None]] = {
        "anchored": lambda: bench.stage("anchored"),
        "anchored floor": lambda: bench.floor("anchored"),
        "paper": lambda: bench.stage("paper"),
        "paper floor": lambda: bench.floor("paper"),
        "published": lambda: bench.stage("published"),
        "epoch of training": bench.epoch,
    }
    seconds = dict.fromkeys(jobs, 0.0)
    for _ in range(rounds):
        for name, job in jobs.items():
            started = clock()
            job()
            if bench.accelerator.device.type == "cuda":
                torch.cuda.synchronize()
            seconds[name] += clock() - started
    return seconds


def shares_of_peak(bench: Bench, seconds: dict[str, float], rounds: int, precision: Precision) -> dict[str, float]:
    """Return, of a GPU, the rate of a large matrix product in 10^12 operations a second, and the jobs' shares of it.

    What a stage computes beyond its floor is not counted as work.
    """
    peak = _matrix_rate(bench.accelerator.device, getattr(torch, precision))
    # Not for ``paper``: the counter does not go with gradients of images alone.
    counted: dict[str, Callable[[], None]] = {
        "anchored": lambda: bench.floor("anchored"),
        "epoch of training": bench.epoch,
    }
    found = {"matrix product, 10^12 operations a second": round(peak / 1e12, 1)}
    for name, job in counted.items():
        with FlopCounterMode(display=False) as counter:
            job()
        found[f"{name}, share of that"] = round(rounds * counter.get_total_flops() / seconds[name] / peak, 4)
    return found


def _matrix_rate(device: torch.device, format: torch.dtype) -> float:
    """Return the operations a second of a product of two large random matrices, the best of ten."""
    side = 8192
    left, right = (torch.randn(side, side, device=device, dtype=format) for _ in range(2))
    best = 0.0
    for _ in range(10):
        torch.cuda.synchronize(device)
        started = time.perf_counter()
        left @ right
        torch.cuda.synchronize(device)
        best = max(best, 2 * side**3 / (time.perf_counter() - started))
    return best


def summary(seconds: dict[str, float], retain: int, rounds: int) -> dict[str, Any]:
    """Return the ratios that are bounded, and the images a second behind them."""
    retraining = RETRAINING_EPOCHS * seconds["epoch of training"]
    return {
        "anchored / floor": round(seconds["anchored"] / seconds["anchored floor"], 3),
        "paper / floor": round(seconds["paper"] / seconds["paper floor"], 3),
        "published / paper": round(seconds["published"] / seconds["paper"], 2),
        "published / anchored": round(seconds["published"] / seconds["anchored"], 2),
        **{f"{name} / retraining": round(seconds[name] / retraining, 4) for name in ("anchored", "paper", "published")},
        **{
            f"{name}, retain images a second": round(rounds * retain / seconds[name], 1)
            for name in ("anchored", "paper", "published", "epoch of training")
        },
    }


def _with(params: Params, **changes: object) -> Params:
    return params.model_copy(update={"unlearn": params.unlearn.model_copy(update=changes)})


def _noise(count: int, size: int) -> LabelledImages:
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)
    ids = tuple(map(str, range(count)))
    return LabelledImages(images, torch.arange(count) % CLASSES, ids, ids)


def main() -> None:
    """Measure, and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--retain", type=int, default=4288, help="retain images")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), help="instead of the params file's")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    params = load_params(PARAMS)
    if wanted.precision:
        base = params.base.model_copy(update={"precision": wanted.precision})
        params = params.model_copy(update={"base": base})
    with tempfile.TemporaryDirectory() as name:
        Bench(params, 64, Path(name)).stage("anchored")  # the first passes import libraries and choose algorithms
        bench = Bench(params, wanted.retain, Path(name))
        seconds = measure(bench, wanted.rounds, CLOCKS[wanted.clock])
    found = {
        "device": str(bench.accelerator.device),
        "threads": torch.get_num_threads(),
        "clock": wanted.clock,
        "precision": params.base.precision,
        **summary(seconds, wanted.retain, wanted.rounds),
    }
    if bench.accelerator.device.type == "cuda":
        found |= {"card": torch.cuda.get_device_name(bench.accelerator.device)}
        found |= shares_of_peak(bench, seconds, wanted.rounds, params.base.precision)
    if wanted.json:
        print(json.dumps({**found, "seconds": {name: round(value, 2) for name, value in seconds.items()}}))
        return
    print("\n".join(f"{name:>44}  {value:>10}" for name, value in found.items()))


if __name__ == "__main__":
    main()
