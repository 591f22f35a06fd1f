"""How long ``dlfd-ops audit verify`` takes on a long ledger.

Run it from the top of the repository::

    python benchmarks/ledger.py                  # 100,000 events
    python benchmarks/ledger.py --events 1000000

It writes the history of a busy company into a temporary folder (five decisions and steps a request, a version for
every 50 requests) with the intake that belongs to it, runs the command there in a process of its own, and prints the
processor seconds that it took, beside those on a short ledger: what is left then is the start of the program. The
events have to take under 5 seconds.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from dlfd_ops.audit.chain import GENESIS
from dlfd_ops.deletion.requests import DeletionRequest, Target, derive_request_id, write_requests
from dlfd_ops.deletion.status import received_data
from dlfd_ops.digest import canonical_json, sha256_json

REQUESTS_A_VERSION = 50
STORE = "https://mlflow.example.org"


def history(count: int) -> Iterator[tuple[str, dict[str, Any], DeletionRequest | None]]:
    """Yield at least ``count`` events: kind, data, and the request that a ``received`` event files."""
    number = version = told = 0
    while told < count:
        batch = [_request(number + offset) for offset in range(REQUESTS_A_VERSION)]
        number, version = number + len(batch), version + 1
        for request in batch:
            yield "received", received_data(request), request
            yield "acknowledged", {"request_id": request.request_id}, None
            yield "extended", _extension(request), None
        yield from ((kind, data, None) for kind, data in _version(version, [request.request_id for request in batch]))
        told += 3 * len(batch) + 5


def _request(number: int) -> DeletionRequest:
    target = Target(key_id="0" * 16, subject_key=f"{number:064x}")
    return DeletionRequest(
        **target.model_dump(),
        request_id=derive_request_id(target, 0),
        received_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        due_at=date(2026, 2, 28),
        legal_basis="gdpr",
    )


def _extension(request: DeletionRequest) -> dict[str, str]:
    return {"request_id": request.request_id, "due_at": "2026-04-30", "reason": "complexity"}


def _version(number: int, request_ids: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    named = {"request_ids": request_ids, "forget_list_digest": sha256_json(["list", number])}
    weights = sha256_json(["weights", number])
    version = {"model_name": "face", "version": number}
    yield "resolved", {**named, "forget_count": 1000, "manifest_digest": sha256_json("manifest")}
    made = {"method": "dlfd/anchored", "params_digest": sha256_json("params"), "git_commit": "c" * 40}
    parent = sha256_json(["weights", number - 1])
    yield "unlearned", {**named, **made, "parent_weights_digest": parent, "weights_digest": weights}
    metrics = {"original.mia_auc": 0.75, "unlearned.mia_auc": 0.53}
    digests = {"weights_digest": weights, "forget_list_digest": named["forget_list_digest"]}
    yield "evaluated", {**digests, "metrics": metrics}
    registered = {**named, **version, "weights_digest": weights, "run_id": sha256_json(number)[:32]}
    yield "registered", {**registered, "store": STORE, "provenance": {"dlfd.git_commit": "c" * 40}}
    yield "gated", {**version, "passed": True, "rules": []}


def write(folder: Path, count: int) -> int:
    """Write ledger and intake, and return the number of events."""
    ledger, requests = folder / "audit" / "ledger.jsonl", []
    ledger.parent.mkdir(parents=True)
    previous, seq = GENESIS, 0
    with ledger.open("w", encoding="utf-8") as stream:
        for seq, (kind, data, request) in enumerate(history(count), start=1):
            at = "2026-02-01T12:00:00.000000Z"
            body = {"seq": seq, "at": at, "kind": kind, "data": data, "previous": previous}
            previous = sha256_json(body)
            stream.write(canonical_json({**body, "hash": previous}) + "\n")
            requests += [request] if request else []
    write_requests(folder / "deletion" / "requests.csv", requests)
    return seq


def verify_seconds(folder: Path) -> float:
    """Return the processor seconds of ``dlfd-ops audit verify`` in ``folder``, in a process of its own.

    The models and the registered versions that the ledger names are not there, which the command has to say; ledger
    and intake must agree.
    """
    code = "import sys; from dlfd_ops.cli import main; sys.exit(main(['audit', 'verify', '--json']))"
    before = _spent()
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    seconds = _spent() - before
    broken = [one for one in json.loads(done.stdout)["findings"] if one["what"].startswith(("audit/", "deletion/req"))]
    assert not broken, broken[0]
    return seconds


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure the command on a short and on a long ledger, and print both and the difference as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    seconds, events = {}, 0
    with tempfile.TemporaryDirectory() as name:
        for size, count in (("short", 1), ("long", parser.parse_args().events)):
            events = write(Path(name) / size, count)
            seconds[size] = round(verify_seconds(Path(name) / size), 2)
    print(json.dumps({"events": events, **seconds, "for the events": round(seconds["long"] - seconds["short"], 2)}))


if __name__ == "__main__":
    main()
