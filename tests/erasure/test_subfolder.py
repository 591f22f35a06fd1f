"""Erasing in somebody else's repository: Git and DVC at the top, the pipeline in a folder, the photos in another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from dvc.repo import Repo

from dlfd_ops.cli import main
from dlfd_ops.deletion.erasure import FOREIGN, SHARED, Receipt
from dlfd_ops.workflows.erase import plan_erasure
from tests.erasure.estate import MODEL, STORES, Estate, git, rows

THEIRS = {"train": {"cmd": "python -m theirs", "deps": ["data/faces"], "outs": ["theirs.json"]}}


@pytest.fixture(scope="module")
def served(adopted: Estate) -> Estate:
    """With a stage of theirs that read the photos, and the version that forgot in use."""
    (adopted.repository / "dvc.yaml").write_text(yaml.safe_dump({"stages": THEIRS}))
    (adopted.repository / "theirs.json").write_text("{}")
    with Repo(str(adopted.repository)) as repo:
        repo.commit("train", force=True)
    git("add", "--all")
    git("commit", "--quiet", "--message", "Theirs")
    leftover = adopted.repository / ".dvc/tmp/exps/run.json"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("of an experiment")
    adopted.client.set_registered_model_alias(MODEL, "champion", "2")
    return adopted


@pytest.fixture(scope="module")
def erased(served: Estate) -> Estate:
    """After the erasure."""
    done = CliRunner().invoke(main, ["erase", "run", "--yes"])
    assert done.exit_code == 0, done.output
    assert "dvc.lock ../data/faces.dvc && git commit" in done.output
    return served


def test_the_plan_finds_every_photo_in_every_store(served: Estate) -> None:
    """The raw data are in the repository, so they go, and so do models of older revisions; Git is read from the top."""
    plan = plan_erasure(served.params).plan
    assert plan.digest() == plan_erasure(served.params).plan.digest()
    assert {item.ground for item in plan.items if item.outcome == "keep"} == {SHARED, FOREIGN}
    assert sum((item.kind, item.store) == ("photo", "raw data") for item in plan.items) == len(served.photos) - 1
    for store in STORES:
        photos = {item.object for item in plan.items if (item.kind, item.store) == ("photo", store)}
        assert len(photos) == len(served.photos)
    assert len(plan.unreadable_revisions) == 4


def test_no_store_holds_a_photo_or_its_digest_afterwards(erased: Estate) -> None:
    """Neither repository nor cache, remotes, MLflow or site cache; everybody else is still there."""
    assert erased.residue() == []
    assert not {row["subject_id"] for row in rows(erased.raw)} & {*erased.subjects}
    assert not (erased.repository / ".dvc/tmp/exps/run.json").exists()


def test_nothing_of_the_pipeline_runs_again_and_their_stage_is_told(erased: Estate) -> None:
    """Their own model was trained on the photos: that its data changed is true, and theirs to act on."""
    with Repo(str(erased.repository)) as repo:
        assert list(repo.status()) == ["../dvc.yaml:train"]
        assert repo.reproduce() == []
        for remote in ("disk", "cloud"):
            repo.push(remote=remote)
            assert repo.status(cloud=True, remote=remote) == {}
    assert not Path("ran.log").exists()


def test_a_second_run_finds_nothing(erased: Estate) -> None:
    """And the receipt has every store."""
    result = CliRunner().invoke(main, ["erase", "run", "--json"])
    assert (result.exit_code, json.loads(result.stdout)["receipt"]) == (0, None)
    receipt = Receipt.model_validate_json(next(Path("audit/receipts").iterdir()).read_text())
    assert {item.store for item in receipt.items} >= {*STORES, "raw data", "prepared data", "this working tree"}
