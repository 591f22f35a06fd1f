"""An erasure that is killed without warning, at any of its writes, is completed by running the command again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.deletion.erasure import INTENT_FILE
from tests.erasure.estate import MODEL, REPOSITORY, Estate
from tests.killing import KILLED

KILLED_EVERYWHERE = """
import json, os, re, sys
from pathlib import Path
import dlfd_ops.workflows.erasure
from dlfd_ops.cli import main
from tests.killing import KILLED, attempt

top, log = sys.argv[1], Path(sys.argv[2])
# Photos, objects in caches, remotes and MLflow, what a folder that is removed holds: one after the other, all alike.
ALIKE = (".png", "files/md5/", "/runs/", "mlartifacts/", ".db")
PASSING = (".dvc/tmp/", ".tmp")
log.touch()
stream = os.open(log, os.O_WRONLY | os.O_APPEND)

def kind_of(path):
    return re.sub("req-[0-9a-f]{12}", "req", path)

def fatal(path):
    lock = path.endswith(".lock") and not path.endswith("dvc.lock")
    inside = path.startswith(top) or "/" in path[1:] and path[0] != "/"
    if lock or not inside or kind_of(path) in died or any(part in path for part in ALIKE + PASSING):
        return False
    os.write(stream, kind_of(path).encode() + b"\\n")
    return True

def erase():
    main(["erase", "run", "--yes"])

ended, died = [], []
while not ended or ended[-1] == KILLED:
    ended.append(attempt(erase, fatal))
    died = log.read_text().splitlines()
print(json.dumps([ended, died]))
"""


@pytest.mark.slow
def test_killed_at_each_of_its_writes_the_next_run_goes_on(estate: Estate, tmp_path: Path) -> None:
    """Every run dies at the first file that none has died at before, and the last one finds none.

    No store holds a photo then, and the ledger tells of one erasure.
    """
    estate.client.set_registered_model_alias(MODEL, "champion", "2")
    done = subprocess.run(
        [sys.executable, "-c", KILLED_EVERYWHERE, str(estate.top), str(tmp_path / "died.txt")],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    (*killed, last), died = json.loads(done.stdout.splitlines()[-1])
    assert last == 0, done.stderr
    assert set(killed) == {KILLED}
    assert {"suppression.csv", "dvc.lock", "raw.dvc", "ledger.jsonl"} <= {Path(path).name for path in died}
    assert not INTENT_FILE.exists()
    assert estate.residue() == []
    assert [event.kind for event in Ledger().events()].count("erased") == 1
