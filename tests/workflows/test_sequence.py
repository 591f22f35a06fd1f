"""Requests that keep coming: each unlearning starts from the version that serves, and nobody comes back.

The stages run in this process, in the order of the pipeline; only the training and the parameters are small.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from dlfd_ops.audit.facts import Receipt
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.identity import load_key
from dlfd_ops.deletion.forget_list import read_forget_list
from dlfd_ops.deletion.parent import Parent, read_parent, write_parent
from dlfd_ops.deletion.suppression import append_suppressed, suppress_sample, suppress_subject
from dlfd_ops.digest import sha256_bytes
from dlfd_ops.errors import BadInput
from dlfd_ops.files import write_bytes
from dlfd_ops.models.checkpoint import WEIGHTS, weights_digest
from dlfd_ops.params import Params, load_params
from dlfd_ops.workflows.audit import report, verify
from dlfd_ops.workflows.evaluate import evaluate
from dlfd_ops.workflows.forget_list import forget_list
from dlfd_ops.workflows.intake import open_intake
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.prepare import prepare
from dlfd_ops.workflows.promote import promote
from dlfd_ops.workflows.register import register
from dlfd_ops.workflows.requests import Wish, acknowledge, add_requests, list_requests, withdraw
from dlfd_ops.workflows.start import read_start
from dlfd_ops.workflows.train import train
from dlfd_ops.workflows.unlearn import unlearn
from tests.pipeline.project import Project
from tests.workflows.people import trained_people
from tests.workflows.repositories import copied, delivered

SUBJECTS = 24
LENIENT = {
    "max_accuracy_drop": 1.0,
    "max_attack_auc_excess": 0.5,
    "max_overshoot": 0.5,
    "max_attack_auc_error": 0.5,
    "max_sequential_unlearnings": 2,
}
LAYOUT = Layout()


@dataclass(frozen=True)
class Round:
    """What one round of the pipeline left: copies, as the next one overwrites the files."""

    parent: Parent
    receipt: Receipt
    tags: dict[str, str]
    metrics: dict[str, Any]
    forgotten: dict[str, Any]
    start: str


@dataclass(frozen=True)
class Story:
    """A repository in which two requests were fulfilled one upon the other, then the first person's data erased."""

    root: Path
    asked: list[str]
    rounds: list[Round]


def client() -> MlflowClient:
    """Return MLflow's own client on the repository's store."""
    return MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")


def pass_through(params: Params) -> Round:
    """Run the stages after training once and return what they left."""
    prepare(params)
    forget_list(params)
    parent = read_parent(LAYOUT.parent)
    start = weights_digest(LAYOUT.model("original" if parent.kind == "original" else "parent"))
    unlearn(params)
    metrics = evaluate(params)
    receipt = register(params)
    report(params)
    return Round(
        parent=parent,
        receipt=receipt,
        tags=dict(client().get_model_version(receipt.model_name, str(receipt.version)).tags),
        metrics=metrics,
        forgotten=json.loads(LAYOUT.metrics("forgotten").read_text()),
        start=start,
    )


def serve(receipt: Receipt) -> None:
    """Let a version serve, on somebody's word where its gate did not pass: the models are tiny."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLFD_ACTOR", "model-owner")
        promote(load_params(), version=receipt.version, reason="The story goes on.")


def erase(name: str, request_id: str) -> None:
    """Remove a person's data as an erasure does: off the raw data, onto the suppression list, parent pinned again."""
    key, raw = load_key(), Path("data/raw")
    with (raw / "labels.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    entries = [suppress_subject(key.key_id, key.subject_key(name), request_id)]
    for row in rows:
        if row["subject_id"] == name:
            entries.append(suppress_sample(key, key.sample_id((raw / row["image"]).read_bytes()), request_id))
            (raw / row["image"]).unlink()
    with (raw / "labels.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(row for row in rows if row["subject_id"] != name)
    append_suppressed(entries)
    pin_again()


def pin_again() -> None:
    """Pin the parent, as filing a request and erasing do."""
    with open_intake() as intake:
        intake.pin()
        intake.settle()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Ask, unlearn, promote; ask again, unlearn, promote; erase the first person and run once more."""
    root = tmp_path_factory.mktemp("repository")
    with delivered(root, SUBJECTS):
        Project(root).set_params(register={"policy": LENIENT})
        params = load_params()
        prepare(params)
        train(params)
        first, second = trained_people(SUBJECTS)[:2]
        asked = [ask(first)]
        rounds = [pass_through(params)]
        serve(rounds[0].receipt)
        asked.append(ask(second))
        rounds.append(pass_through(params))
        serve(rounds[1].receipt)
        erase(first, asked[0])
        rounds.append(pass_through(params))
        yield Story(root, asked, rounds)


def ask(name: str) -> str:
    """File a request and return its id."""
    return add_requests([Wish("gdpr", subject=name)])[0].request.request_id


def test_the_first_request_starts_from_the_original(story: Story) -> None:
    """Without a version nothing is pinned but the original, and DVC tracks a note in the place of weights."""
    assert story.rounds[0].parent == Parent()
    assert story.rounds[0].tags["dlfd.parent_version"] == "1"


def test_the_next_request_starts_from_the_champion(story: Story) -> None:
    """Version, weights and covered requests are pinned; the unlearning starts from those very weights."""
    first, second = story.rounds[:2]
    pinned = second.parent
    assert (pinned.kind, pinned.version, pinned.unlearnings) == ("version", first.receipt.version, 1)
    assert pinned.weights_digest == first.receipt.weights_digest == second.start
    assert pinned.covers == (story.asked[0],)
    lost = first.metrics["original"]["accuracy"] - first.metrics["unlearned"]["accuracy"]
    assert pinned.accuracy_drop == pytest.approx(lost, abs=1e-6)
    assert second.receipt.parent_version == first.receipt.version
    unlearned = [event.data for event in Ledger().events() if event.kind == "unlearned"]
    assert unlearned[1]["parent_weights_digest"] == first.receipt.weights_digest
    assert unlearned[1]["request_ids"] == [story.asked[1]]


def test_a_version_names_all_that_it_has_forgotten(story: Story) -> None:
    """Tags and ledger are cumulative; the stage's own list holds what is new."""
    second = story.rounds[1]
    assert second.tags["dlfd.request_ids"] == ",".join(sorted(story.asked))
    assert second.tags["dlfd.unlearnings"] == "2"
    registered = [event.data for event in Ledger().events() if event.kind == "registered"]
    assert registered[-1]["request_ids"] == sorted(story.asked)
    assert {status.state for status in list_requests()} == {"fulfilled"}


def test_what_was_forgotten_before_is_measured_again(story: Story) -> None:
    """While the photos are there, every request is measured on the new model, and the newest ones by themselves."""
    second = story.rounds[1]
    assert set(second.forgotten) == set(story.asked)
    assert not any(one["carried"] for one in second.forgotten.values())
    assert second.metrics["newest"]["images"] == second.forgotten[story.asked[1]]["images"]
    assert "newest" not in story.rounds[0].metrics


def test_after_an_erasure_the_pipeline_stands_on_what_it_has(story: Story) -> None:
    """Nothing new to forget: the champion is the result, no version is added, and the lost evidence is carried."""
    second, third = story.rounds[1:]
    assert third.parent.version == second.receipt.version
    assert third.receipt == second.receipt
    assert weights_digest(LAYOUT.model("unlearned")) == second.receipt.weights_digest
    gone, kept = (third.forgotten[request_id] for request_id in story.asked)
    assert gone == second.forgotten[story.asked[0]] | {"carried": True, "version": second.receipt.version}
    assert not kept["carried"]
    assert read_forget_list(LAYOUT.forget_list).request_ids == ()


def test_training_is_frozen_once_a_version_serves(story: Story) -> None:
    """A changed raw folder must not retrain the accepted original."""
    assert yaml.safe_load(Path("dvc.yaml").read_text())["stages"]["train"]["frozen"] is True


def test_the_audit_follows_the_chain(story: Story) -> None:
    """Files, weights, tags and ledger agree at the end, with the original at the root of the lineage."""
    outcome = verify()
    assert not outcome.findings, outcome.findings


def test_a_request_after_the_erasure_needs_no_erased_data(story: Story, tmp_path: Path) -> None:
    """The list holds the new person, the parent covers the erased one, and a withdrawal changes the list only."""
    with copied(story.root, tmp_path / "copy"):
        request_id = ask(trained_people(SUBJECTS)[2])
        assert forget_list(load_params()).request_ids == (request_id,)
        assert read_parent(LAYOUT.parent).version == story.rounds[1].receipt.version
        withdraw(request_id)
        assert forget_list(load_params()).request_ids == ()


def test_the_record_must_be_of_the_parents_own_original(story: Story, tmp_path: Path) -> None:
    """Another original lies there, trained on others: what the version that serves knows, its record does not say."""
    with copied(story.root, tmp_path / "copy"):
        ask(trained_people(SUBJECTS)[2])
        assert read_parent(LAYOUT.parent).original == weights_digest(LAYOUT.model("original"))
        write_bytes(LAYOUT.model("original") / WEIGHTS, b"of another training")
        forget_list(load_params())
        with pytest.raises(BadInput, match="received version 3, of another original than the one in models/original"):
            unlearn(load_params())


def test_a_request_that_was_killed_within_its_pin_is_filed_by_asking_again(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The champion's weights lie there and the older pin still stands: others refuse, the same request repairs it."""
    folder = tmp_path / "copy"
    shutil.copytree(story.root, folder, symlinks=True)
    monkeypatch.chdir(folder)
    waiting = ask(trained_people(SUBJECTS)[2])
    older = read_parent(LAYOUT.parent).model_copy(update={"version": 2, "weights_digest": sha256_bytes(b"older")})
    write_parent(LAYOUT.parent, older)
    write_bytes(LAYOUT.parent_model / WEIGHTS, b"older")
    acknowledge(waiting)
    with monkeypatch.context() as patch:
        patch.setattr("dlfd_ops.workflows.intake.write_parent", _killed)
        with pytest.raises(KeyboardInterrupt):
            ask(trained_people(SUBJECTS)[3])
    with pytest.raises(BadInput, match=f"{story.rounds[1].receipt.weights_digest[:12]}.* run the request add"):
        withdraw(waiting)
    ask(trained_people(SUBJECTS)[3])
    withdraw(waiting)
    assert read_start(LAYOUT).digest == story.rounds[1].receipt.weights_digest


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_nothing_starts_from_a_model_that_knows_the_erased(story: Story, tmp_path: Path) -> None:
    """With the alias gone, or moved to a version of somebody else, the erased person is not learned again."""
    with copied(story.root, tmp_path / "copy"):
        name = story.rounds[0].receipt.model_name
        client().delete_registered_model_alias(name, "champion")
        pin_again()
        assert read_parent(LAYOUT.parent).version == story.rounds[1].receipt.version
        client().copy_model_version(f"models:/{name}/1", "another")
        foreign = client().create_model_version(name, source=str(client().get_model_version(name, "2").source))
        client().set_registered_model_alias(name, "champion", foreign.version)
        with pytest.raises(BadInput, match="the champion must be a version that the ledger registered"):
            pin_again()
