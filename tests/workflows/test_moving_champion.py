"""Promotion and rollback that are killed, or run at once: told once, and registry and ledger agree."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.deletion.erasure import INTENT_FILE
from dlfd_ops.errors import BadInput, CheckFailed
from dlfd_ops.workflows import champion
from dlfd_ops.workflows.audit_material import compare_parts
from dlfd_ops.workflows.promote import promote
from dlfd_ops.workflows.rollback import rollback
from tests.workflows.champions import BEN, CARL, NAME, PARAMS, Lineage, head_of, lineage, prepared, redone

__all__ = ["lineage", "prepared", "redone"]

PROMOTE = """
import sys
from pathlib import Path
from dlfd_ops.workflows.promote import promote
from tests.workflows.champions import PARAMS
promote(PARAMS, Path(sys.argv[1]), version=int(sys.argv[2]))
"""


def test_nothing_moves_while_an_erasure_is_half_done(lineage: Lineage) -> None:
    """The erasure would go on with the version that served when it began: neither command moves the alias."""
    (lineage.root / INTENT_FILE).parent.mkdir(exist_ok=True)
    (lineage.root / INTENT_FILE).touch()
    for move in (_promote, _rollback):
        with pytest.raises(BadInput, match="an erasure must be completed"):
            move(lineage.root)


def _promote(root: Path) -> None:
    promote(PARAMS, root)


def _rollback(root: Path) -> None:
    rollback(PARAMS, root)


@pytest.mark.parametrize("run", [_promote, _rollback])
@pytest.mark.parametrize("place", ["point_champion", "read_aliases", "append", "record_head"])
def test_interrupted_anywhere_the_second_run_completes_it(
    redone: Lineage, monkeypatch: pytest.MonkeyPatch, place: str, run: Callable[[Path], None]
) -> None:
    """Before and after each write: one event, and registry and ledger agree."""
    if run is _promote:
        rollback(PARAMS, redone.root)
    before = len(redone.moves())

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if place == "append":
            patch.setattr(Ledger, "append", interrupt)
        elif place == "read_aliases":  # the alias is set, and the look at it afterwards never ends
            patch.setattr("dlfd_ops.tracking.aliases.read_aliases", interrupt)
        else:
            patch.setattr(champion, place, interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(redone.root)
    moved = redone.aliases["champion"]
    if place in ("append", "read_aliases"):
        assert compare_parts(redone.root)["registry"].findings != ()
    run(redone.root)
    (event,) = redone.moves()[before:]
    assert event.data["version"] == redone.aliases["champion"]
    assert event.data["from_version"] == ({3: 5, 5: 3}[event.data["version"]])
    assert moved == event.data["version"] or place == "point_champion"
    assert head_of(redone, moved if place != "point_champion" else event.data["version"]) == event.hash
    assert compare_parts(redone.root)["registry"].findings == ()


def test_a_later_head_is_not_replaced_by_an_earlier_one(lineage: Lineage) -> None:
    """A version that was registered again since its promotion keeps the newer checkpoint."""
    promote(PARAMS, lineage.root)
    lineage.ledger.append("acknowledged", {"request_id": CARL})
    lineage.store.client.set_model_version_tag(NAME, "3", "dlfd.ledger_head", lineage.ledger.head())
    promote(PARAMS, lineage.root)
    assert head_of(lineage, 3) == lineage.ledger.head()


def test_the_loser_of_a_race_on_a_server_is_told(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine sets the alias just after us: we look again, say so, and the ledger tells nothing of us."""
    lineage.add(5, [BEN], parent=2)
    ours = MlflowClient.set_registered_model_alias

    def overtaken(client: MlflowClient, name: str, alias: str, version: str) -> None:
        ours(client, name, alias, version)
        ours(client, name, alias, "3")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", overtaken)
        with pytest.raises(CheckFailed, match="received version 3, as somebody else moved it"):
            promote(PARAMS, lineage.root, version=5)
    assert lineage.moves() == []


@pytest.mark.slow
def test_two_at_once_on_one_machine_make_one_event(lineage: Lineage) -> None:
    """One waits for the other, then finds nothing to do."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, "-c", PROMOTE, str(lineage.root), "3"]
    running = [subprocess.Popen(arguments, env=environment) for _ in range(2)]
    try:
        assert [process.wait(timeout=300) for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
    assert [event.data["version"] for event in lineage.moves()] == [3]
