"""An erasure that is killed without warning, at any moment, is completed by running the command again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

import pytest

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.deletion.erasure import INTENT_FILE
from tests.erasure.estate import MODEL, REPOSITORY, Estate

KILLS = 4
DEADLINE_SECONDS = 300


def start() -> subprocess.Popen[bytes]:
    """Start the command in the working directory."""
    return subprocess.Popen(
        [sys.executable, "-c", "from dlfd_ops.cli import main; main()", "erase", "run", "--yes"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def intent() -> int | None:
    """Return what changes whenever a run writes its intent."""
    return INTENT_FILE.stat().st_ino if INTENT_FILE.exists() else None


def kill_at_work(delay: float) -> None:
    """Start the command and kill it ``delay`` seconds after it began to work, or let it end."""
    before, running = intent(), start()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while running.poll() is None and intent() == before:
        assert time.monotonic() < deadline, "nothing happened within the deadline"
        time.sleep(0.01)
    time.sleep(delay)
    running.kill()
    running.communicate()


@pytest.mark.slow
def test_killed_at_any_moment_the_next_run_completes_it(estate: Estate) -> None:
    """After the last run no store holds a photo, and the ledger tells of one erasure."""
    estate.client.set_registered_model_alias(MODEL, "champion", "2")
    delays = random.Random(0)
    for _ in range(KILLS):
        kill_at_work(delays.uniform(0, 4))
        if not INTENT_FILE.exists():
            break
    last = start()
    _, error = last.communicate(timeout=DEADLINE_SECONDS)
    assert last.returncode == 0, error.decode()
    assert not INTENT_FILE.exists()
    assert estate.residue() == []
    assert [event.kind for event in Ledger().events()].count("erased") == 1
