"""Erasing in somebody else's repository: Git and DVC at the top, the pipeline in a folder, the photos in another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from dvc.repo import Repo

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.verification import ORIGINAL, compare_files
from dlfd_ops.cli import main
from dlfd_ops.deletion.erasure import FOREIGN, SHARED, Receipt
from dlfd_ops.errors import BadInput
from dlfd_ops.files import write_text
from dlfd_ops.params import Params
from dlfd_ops.workflows.audit_files import read_found
from dlfd_ops.workflows.audit_stores import compare_stores
from dlfd_ops.workflows.erase import plan_erasure, run_erasure
from dlfd_ops.workflows.erasure.planning import ADOPTED
from dlfd_ops.workflows.erasure.steps import STEPS, retire_original
from dlfd_ops.workflows.layout import Layout
from tests.erasure.estate import MODEL, STORES, WEIGHTS_OF, Estate, git, rows

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
    """After the erasure, which was killed when the weights of the original were gone."""
    run_erasure(served.params, approve=lambda planned: None, steps=STEPS[: STEPS.index(retire_original) + 1])
    done = CliRunner().invoke(main, ["erase", "run", "--yes"])
    assert done.exit_code == 0, done.output
    assert "dvc.lock ../data/faces.dvc adopted && git commit" in done.output
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
        models = [(item.object, item.outcome) for item in plan.items if (item.kind, item.store) == ("model", store)]
        # Folder and weights of two originals and a trial, and older adopted weights; the newest are the original's own.
        assert sum(outcome == "remove" for _, outcome in models) == 7
    assert ADOPTED in plan.not_reached
    assert len(plan.unreadable_revisions) == 4


@pytest.mark.parametrize("file", ["../theirs.safetensors", "data/prepared/manifest.parquet"])
def test_adopted_weights_that_are_not_the_pipelines_own_stop_it(served: Estate, file: str) -> None:
    """A file of theirs outside of the folder, or one within a folder that a stage writes, is not ours to remove."""
    content = served.params.model_dump(by_alias=True)
    content["train"]["factory"]["weights"] = file
    with pytest.raises(BadInput, match="must be the pipeline's own"):
        plan_erasure(Params.model_validate(content))


def test_no_store_holds_a_photo_or_its_digest_afterwards(erased: Estate) -> None:
    """Neither repository nor cache, remotes, MLflow or site cache; everybody else is still there."""
    assert erased.residue() == []
    assert not {row["subject_id"] for row in rows(erased.raw)} & {*erased.subjects}
    assert not (erased.repository / ".dvc/tmp/exps/run.json").exists()


def test_the_adopted_weights_are_gone_and_the_audit_agrees(erased: Estate) -> None:
    """With their pointer; the ledger calls them removed everywhere, so the original's record is no difference."""
    assert [path.name for path in Path("adopted").iterdir()] == [".gitignore"]
    layout, events = Layout(erased.root), Ledger().events()
    data = next(event.data for event in events if event.kind == "erased")
    assert set(data["weights"].values()) == {"removed"}
    assert compare_stores(layout, events).findings == ()
    # A copy that stays elsewhere, of theirs or of another project, makes no difference to that.
    kept = {**data, "weights": dict.fromkeys(data["weights"], "kept")}
    beside = [replace(event, data=kept) if event.kind == "erased" else event for event in events]
    for told in (events, beside):
        assert ORIGINAL not in {finding.what for finding in compare_files(told, read_found(layout)).findings}
    write_text(Path("adopted/weights.safetensors"), WEIGHTS_OF["original"])
    found = {finding.what for finding in compare_stores(layout, events).findings}
    Path("adopted/weights.safetensors").unlink()
    assert found == {"adopted/weights.safetensors"}


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
