"""How many images a second the prepare stage takes.

Run it from the top of the repository, with a folder of small JPEG files such as 96 px faces::

    TMPDIR=/dev/shm python benchmarks/prepare.py ../shared/faces/utkface/images      # 10,000 images
    python benchmarks/prepare.py ../shared/faces/utkface/images --images 2000 --json

It fills a source with copies of these files, each different in a byte after the end of the picture, so that no two are
one sample, runs the stage in a process of its own (read, hash, decode, resize, encode, subjects, splits, manifest),
and prints what it took, the start of the program apart. Bound: 2,000 images a second on two cores. Without ``TMPDIR``
the disk's file system takes part, which on ext4 is slow for some minutes after many files were deleted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
STAGE = """
import json, resource, time
from dlfd_ops.params import load_params
from dlfd_ops.workflows.prepare import prepare
import pandas, pyarrow.parquet, scipy.sparse.csgraph
started, spent = time.perf_counter(), time.process_time()
report = prepare(load_params())
seconds, spent = time.perf_counter() - started, time.process_time() - spent
found = {
    "images": report.kept,
    "images a second": round(report.kept / seconds),
    "seconds": round(seconds, 2),
    "processor seconds": round(spent, 2),
    "images a processor second": round(report.kept / spent),
    "peak GiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
}
print(json.dumps(found))
"""


def write_repository(folder: Path, faces: Path, images: int, size: int) -> None:
    """Write a source of ``images`` different files and the parameters of the stage into the empty ``folder``."""
    files = sorted(faces.rglob("*.jpg"))
    assert files, f"no *.jpg below {faces}"
    raw = folder / "data/raw"
    raw.mkdir(parents=True)
    rows = ["image,subject_id,age_group"]
    for number, file in enumerate(islice(cycle(files), images)):
        (raw / f"{number:06d}.jpg").write_bytes(file.read_bytes() + number.to_bytes(4, "big"))
        rows.append(f"{number:06d}.jpg,person-{number // 4},{number % 8}")
    (raw / "manifest.csv").write_text("\n".join(rows) + "\n")
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    params["base"]["image_size"] = size
    params["prepare"].update(source="manifest_csv", root="data/raw")
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "deletion").mkdir()
    (folder / "deletion/suppression.csv").write_bytes((REPOSITORY / "deletion/suppression.csv").read_bytes())


def run_stage(folder: Path) -> dict[str, float]:
    """Run the stage in ``folder``, and return what it took."""
    command = [sys.executable, "-c", STAGE]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure the stage and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faces", type=Path, help="folder of JPEG files")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=96, help="side of the prepared images, in pixels")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write_repository(Path(name), wanted.faces, wanted.images, wanted.size)
        found = {"cores": os.cpu_count(), **run_stage(Path(name))}
    if wanted.json:
        print(json.dumps(found))
        return
    print("\n".join(f"{name:>26}  {value:>10,}" for name, value in found.items()))


if __name__ == "__main__":
    main()
