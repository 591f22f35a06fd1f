"""How long the forget list takes for many requests over a large manifest.

Run it from the top of the repository::

    python benchmarks/forget_list.py                             # 10,000 requests over 1,000,000 rows
    python benchmarks/forget_list.py --rows 100000 --requests 1000 --json

It writes a manifest, the record of a training on its training split, an intake (nine tenths by person, one tenth by
photo) and a pinned parent that covers half as many requests once more, runs the stage in a process of its own, and
prints what it took, the start of the program apart: seconds by the wall clock and of the processor, and the peak
memory. Bound: 5 seconds and 2 GiB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from dlfd_ops.data.manifest import Manifest, ManifestInfo, write_manifest
from dlfd_ops.data.trained_on import trained_on, write_trained_on
from dlfd_ops.deletion.parent import Parent, write_parent
from dlfd_ops.deletion.requests import DeletionRequest, Target, derive_request_id, write_requests
from dlfd_ops.workflows.layout import Layout

PHOTOS_A_PERSON = 4
KEY_ID = "0" * 16
REPOSITORY = Path(__file__).resolve().parents[1]
STAGE = """
import json, resource, sys, time
from pathlib import Path
from dlfd_ops.params import load_params
from dlfd_ops.workflows.forget_list import forget_list
import pandas, pyarrow.parquet
started, spent = time.perf_counter(), time.process_time()
resolved = forget_list(load_params(Path(sys.argv[1])))
found = {
    "samples": len(resolved),
    "seconds": round(time.perf_counter() - started, 2),
    "processor seconds": round(time.process_time() - spent, 2),
    "peak GiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
}
print(json.dumps(found))
"""


def write_repository(folder: Path, rows: int, requests: int) -> None:
    """Write what the stage reads, with ``rows`` photos and ``requests`` open requests, into the empty ``folder``."""
    people = rows // PHOTOS_A_PERSON
    names = _hashes(people, seed=1)
    frame = pd.DataFrame({"sample_id": _hashes(rows, seed=2)})
    person = np.arange(rows) % people
    frame["path"] = "images/" + frame["sample_id"].str[:2] + "/" + frame["sample_id"] + ".png"
    frame["subject_key"] = names[person]
    frame["split"] = np.array(["train", "train", "train", "anchor", "validation", "test"])[person % 6]
    frame["age_group"] = person % 8
    frame = frame.sort_values("sample_id").reset_index(drop=True)
    info = ManifestInfo("benchmark", KEY_ID, 64, {"age_group": tuple("abcdefgh")})
    manifest = Manifest(frame, info, folder)
    write_manifest(manifest, folder / "data/prepared/manifest.parquet")
    write_trained_on(trained_on(manifest.split("train")), Layout(folder).trained_on)
    (folder / "data/prepared/aliases.csv").write_text("alias_key,subject_key\n")
    open_, covered = names[:requests], names[requests : requests + requests // 2]
    photos = frame.groupby("subject_key")["sample_id"].apply(tuple)
    asked = [
        Target(key_id=KEY_ID, sample_ids=tuple(sorted(photos[name])[:2]))
        if number % 10 == 0
        else Target(key_id=KEY_ID, subject_key=name)
        for number, name in enumerate([*open_, *covered])
    ]
    intake = [_request(target) for target in asked]
    write_requests(folder / "deletion/requests.csv", intake)
    covers = tuple(sorted(request.request_id for request in intake[requests:]))
    parent = Parent(kind="version", version=1, weights_digest="0" * 64, unlearnings=1, covers=covers)
    write_parent(folder / "deletion/parent.json", parent)


def run_stage(folder: Path) -> dict[str, float]:
    """Run the stage in ``folder``; returns the samples found, its seconds and its peak memory in GiB."""
    params = REPOSITORY / "params.yaml"
    command = [sys.executable, "-c", STAGE, str(params)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _hashes(count: int, *, seed: int) -> np.ndarray:
    content = np.random.default_rng(seed).bytes(32 * count).hex()
    return np.array([content[start : start + 64] for start in range(0, 64 * count, 64)], dtype=object)


def _request(target: Target) -> DeletionRequest:
    return DeletionRequest(
        **target.model_dump(),
        request_id=derive_request_id(target, 0),
        received_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        due_at=date(2026, 2, 28),
        legal_basis="gdpr",
    )


def main() -> None:
    """Measure the stage and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="photos in the manifest")
    parser.add_argument("--requests", type=int, default=10_000, help="open requests")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write_repository(Path(name), wanted.rows, wanted.requests)
        found = {"rows": wanted.rows, "requests": wanted.requests, **run_stage(Path(name))}
    if wanted.json:
        print(json.dumps(found))
        return
    print("\n".join(f"{name:>20}  {value:>12,}" for name, value in found.items()))


if __name__ == "__main__":
    main()
