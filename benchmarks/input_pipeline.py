"""Whether reading images ever holds training up: batches from memory and from disk, against the training on them.

Run it from the top of the repository, on a machine that does nothing else::

    python benchmarks/input_pipeline.py                      # ResNet18 at 64 px, as configs/params/utkface.yaml has it
    python benchmarks/input_pipeline.py --size 96 --json

It writes prepared images of noise, which is the hardest to decode, and measures in turn, in every round: making the
batches of an epoch without using them, from memory and from disk; and an epoch of training from memory, from disk with
the next batch read meanwhile, and on one batch that lies ready on the device. The last one is what training costs
when the input costs nothing. Then each way of training runs in a process of its own, for its peak memory.
Bound: training from memory and from disk at most 1.05 and 1.10 of it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.data.pixels import Pixels, StoredPixels
from dlfd_ops.data.png import to_png
from dlfd_ops.models.checkpoint import build_classifier
from dlfd_ops.models.classifier import ModelCard, to_unit
from dlfd_ops.params import load_params
from dlfd_ops.training.batches import BatchPlan, PlannedPixels
from dlfd_ops.training.checkpoints import ResumeCheckpoint
from dlfd_ops.training.launch import start_accelerator
from dlfd_ops.training.loop import run_loop
from dlfd_ops.training.observer import SilentObserver
from dlfd_ops.training.supervised import SupervisedObjective
from dlfd_ops.workflows.fitting import loop_settings

PARAMS = Path(__file__).resolve().parents[1] / "configs/params/utkface.yaml"
CLASSES = 8


class Ready:
    """Pixels whose every row is one that lies ready on the device: what input costs when it costs nothing."""

    def __init__(self, count: int, one: torch.Tensor) -> None:
        self.shape = torch.Size((count, *one.shape))
        self._one = one

    def __getitem__(self, rows: torch.Tensor | slice, /) -> torch.Tensor:
        """Return the one image as often as it takes, without copying it."""
        assert isinstance(rows, torch.Tensor)
        return self._one.expand(len(rows), *self._one.shape)


class Bench:
    """Training and batches over images in ``folder``.

    Args:
        folder: with ``<number>.png``.
        count: how many.
        size: their side, in pixels.
    """

    def __init__(self, folder: Path, count: int, size: int) -> None:
        base, train = load_params(PARAMS).base, load_params(PARAMS).train.model_copy(update={"epochs": 1})
        self._params = load_params(PARAMS).model_copy(update={"train": train, "base": base})
        self._folder, self._count, self._size = folder, count, size
        self._plan = BatchPlan(count, train.batch_size, 0)
        self.accelerator = start_accelerator()

    def pixels(self, kind: str) -> Pixels:
        """Return the images: ``memory``, ``disk`` or ``ready``."""
        stored = StoredPixels([self._folder / f"{number}.png" for number in range(self._count)], self._size)
        if kind == "disk":
            return stored
        return stored[:] if kind == "memory" else Ready(self._count, stored[:1][0].to(self.accelerator.device))

    def read(self, pixels: Pixels) -> None:
        """Make the batches of an epoch."""
        planned = PlannedPixels(pixels, self._plan, self.accelerator.device)
        for step in range(self._plan.steps_per_epoch):
            to_unit(planned.batch(step, rank=0, num_processes=1)[0])
        self._wait()

    def train(self, pixels: Pixels) -> None:
        """Train for an epoch."""
        names = {"age_group": tuple(map(str, range(CLASSES)))}
        model = build_classifier(ModelCard(self._params.train.architecture, ("age_group",), names, self._size))
        data = LabelledImages(pixels, torch.arange(self._count) % CLASSES, ("",) * self._count, ("",) * self._count)
        device = self.accelerator.device
        objective = SupervisedObjective(data, self._plan, flip=True, device=device, rank=0, num_processes=1)
        settings = replace(loop_settings(self._params, self._plan, "epoch"), checkpoint_every=1 << 30)
        checkpoint = ResumeCheckpoint(self._folder / "checkpoint", "epoch")
        run_loop(self.accelerator, model, objective, settings, checkpoint=checkpoint, observer=SilentObserver())
        self._wait()

    def _wait(self) -> None:
        if self.accelerator.device.type == "cuda":
            torch.cuda.synchronize()


def measure(bench: Bench, rounds: int) -> dict[str, float]:
    """Return the wall-clock seconds of every job, summed over the rounds, in which the jobs take turns."""
    memory, disk, ready = (bench.pixels(kind) for kind in ("memory", "disk", "ready"))
    jobs: dict[str, Callable[[], None]] = {
        "reading from memory": lambda: bench.read(memory),
        "reading from disk": lambda: bench.read(disk),
        "training, input ready": lambda: bench.train(ready),
        "training from memory": lambda: bench.train(memory),
        "training from disk": lambda: bench.train(disk),
    }
    bench.train(ready)  # the first passes choose algorithms
    seconds = dict.fromkeys(jobs, 0.0)
    for _ in range(rounds):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            seconds[name] += time.perf_counter() - started
    return seconds


def peak_memory(kind: str, folder: Path, count: int, size: int) -> float:
    """Return the peak memory in MB of a process that trains for an epoch."""
    command = [sys.executable, __file__, "--peak-of", kind, "--folder", str(folder)]
    command += ["--images", str(count), "--size", str(size)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def write_images(folder: Path, count: int, size: int) -> None:
    """Write ``count`` prepared images of noise."""
    generator = np.random.default_rng(0)
    for number in range(count):
        pixels = generator.integers(0, 256, (size, size, 3), dtype=np.uint8)
        (folder / f"{number}.png").write_bytes(to_png(pixels))


def peak_megabytes() -> float:
    """Return the largest resident memory of this process since it was started, in megabytes (Linux)."""
    # Not getrusage: its largest value is inherited from the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1000


def main() -> None:
    """Measure, and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--size", type=int, default=64, help="side of the images, in pixels")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peak-of", choices=("memory", "disk"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.peak_of:
        bench = Bench(wanted.folder, wanted.images, wanted.size)
        bench.train(bench.pixels(wanted.peak_of))
        print(peak_megabytes())
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder, wanted.images, wanted.size)
        bench = Bench(folder, wanted.images, wanted.size)
        seconds = measure(bench, wanted.rounds)
        peaks = {kind: peak_memory(kind, folder, wanted.images, wanted.size) for kind in ("memory", "disk")}
    floor = seconds["training, input ready"]
    found = {
        "device": str(bench.accelerator.device),
        "images": wanted.images,
        **{f"{name}, images a second": round(wanted.images * wanted.rounds / value) for name, value in seconds.items()},
        "from memory / ready": round(seconds["training from memory"] / floor, 3),
        "from disk / ready": round(seconds["training from disk"] / floor, 3),
        **{f"peak memory from {kind}, MB": round(peak) for kind, peak in peaks.items()},
    }
    if wanted.json:
        print(json.dumps(found))
        return
    print("\n".join(f"{name:>44}  {value:>10}" for name, value in found.items()))


if __name__ == "__main__":
    main()
