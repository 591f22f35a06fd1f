"""How long ``dvc repro`` takes where no request came in and nothing else changed.

Run it from the top of the repository::

    python benchmarks/noop_repro.py                   # 10,000 photos
    python benchmarks/noop_repro.py --photos 100000

It makes a repository with the shipped ``dvc.yaml`` in a temporary folder: as many raw and as many prepared files as
there are photos, models of a ResNet-18's size, small files for the rest, all recorded as if the stages had run. Then it
runs the command there and checks that no stage runs. Wall and processor seconds are the least of five runs: what else
the machine does only adds. Start of Python included; it has to take under 3 seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
COPIED = ("dlfd_ops", "pipelines", "configs", "dvc.yaml", "params.yaml", ".dvcignore", "metrics", "deletion")
RUNS = 5
PHOTO_BYTES = 100
MODEL_BYTES = 45_000_000
DVC = str(Path(sys.executable).with_name("dvc"))


def make(root: Path, photos: int) -> None:
    """Fill ``root`` with a repository in which every stage is up to date."""
    for name in COPIED:
        source, target = REPOSITORY / name, root / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    for folder in ("data/raw/images", "data/prepared/images"):
        for number in range(photos):
            write(root / folder / f"{number % 256:02x}" / f"{number}.png", PHOTO_BYTES)
    for model in ("original", "unlearned", "parent"):
        write(root / "models" / model / "weights.safetensors", MODEL_BYTES)
        write(root / "models" / model / "model.json", PHOTO_BYTES)
    stages = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    for path in paths_of(stages):
        if not (root / path).exists():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text("{}\n")  # DVC reads what is called metrics
    for command in (
        ("git", "init", "--quiet"),
        (DVC, "init", "--quiet"),
        (DVC, "add", "--quiet", "data/raw", "deletion/requests.csv", "deletion/parent.json", "models/parent"),
        (DVC, "commit", "--quiet", "--force", *stages),
    ):
        subprocess.run(command, cwd=root, check=True, env=environment())


def paths_of(stages: dict[str, dict[str, list[str | dict[str, object]]]]) -> list[str]:
    """Return every path that a stage names; ``${...}`` is the raw data."""
    found: list[str] = []
    for stage in stages.values():
        for section in ("deps", "outs", "metrics", "plots"):
            found += [entry if isinstance(entry, str) else next(iter(entry)) for entry in stage.get(section, [])]
    return [path for path in found if "${" not in path]


def write(path: Path, size: int) -> None:
    """Write a file of random bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))


def environment() -> dict[str, str]:
    """Return an environment in which DVC speaks to nobody."""
    return {**os.environ, "DVC_NO_ANALYTICS": "true", "DVC_SITE_CACHE_DIR": ".dvc/site"}


def measure(root: Path) -> dict[str, float]:
    """Return the least wall and processor seconds of a run in which no stage runs."""
    walls, processors = [], []
    for _ in range(RUNS):
        before, spent = time.perf_counter(), _spent()
        done = subprocess.run([DVC, "repro"], cwd=root, capture_output=True, text=True, check=True, env=environment())
        walls.append(time.perf_counter() - before)
        processors.append(_spent() - spent)
        assert "Running stage" not in done.stdout, done.stdout
    return {"wall": round(min(walls), 2), "processor": round(min(processors), 2)}


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Make the repository, measure, and print the seconds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=10_000)
    photos = parser.parse_args().photos
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), photos)
        print(json.dumps({"photos": photos, **measure(Path(name))}))


if __name__ == "__main__":
    main()
