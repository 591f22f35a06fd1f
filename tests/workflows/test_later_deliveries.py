"""Deliveries that go on after the original was trained: what it knows is what it was trained on.

The stages run in this process, in the order of the pipeline; only the training and the parameters are small.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.cli.audit import audit
from dlfd_ops.cli.output import OneLineErrors
from dlfd_ops.data.identity import load_key
from dlfd_ops.data.manifest import Manifest, read_manifest
from dlfd_ops.data.splits import assign_splits
from dlfd_ops.data.trained_on import LATER, TrainedOn, read_trained_on
from dlfd_ops.errors import BadInput
from dlfd_ops.params import Params, Policy, load_params
from dlfd_ops.workflows.audit import verify
from dlfd_ops.workflows.audit_show import show_image, show_request, show_version
from dlfd_ops.workflows.evaluate import evaluate
from dlfd_ops.workflows.fitting import Fitted, fit
from dlfd_ops.workflows.forget_list import forget_list
from dlfd_ops.workflows.forgetting import load_unlearning_sets
from dlfd_ops.workflows.known import read_known
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.prepare import prepare
from dlfd_ops.workflows.register import register
from dlfd_ops.workflows.requests import Wish, add_requests
from dlfd_ops.workflows.retrain import retrain
from dlfd_ops.workflows.train import train
from dlfd_ops.workflows.unlearn import unlearn
from tests.workflows.people import trained_people
from tests.workflows.repositories import copied, delivered

SUBJECTS, FIRST = 36, 24
LAYOUT = Layout()
TABLE = Path("data/raw/labels.csv")


@dataclass(frozen=True)
class Deliveries:
    """A repository whose original was trained on the first delivery, and whose data are the second one.

    Attributes:
        root: the repository.
        before: the first delivery, as prepared.
        after: the second: further people, a known photo under a second name, and one photo of a trained person less.
        record: of what the original was trained on.
        lost: that photo.
        robbed: raw name of that person.
        merged: raw name of the person who has a second name now.
    """

    root: Path
    before: Manifest
    after: Manifest
    record: TrainedOn
    lost: Path
    robbed: str
    merged: str


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deliveries]:
    """Train on the first delivery, then prepare the second; tests work on copies."""
    root = tmp_path_factory.mktemp("repository")
    with delivered(root, SUBJECTS):
        everybody = _read()
        known = {f"person-{number:05d}" for number in range(FIRST)}
        _write([row for row in everybody if row["subject_id"] in known])
        prepare(load_params())
        before = read_manifest(LAYOUT.manifest)
        train(load_params())
        robbed, merged = trained_people(FIRST)[:2]
        lost = next(row for row in everybody if row["subject_id"] == robbed)
        linking = next(row for row in everybody if row["subject_id"] == merged)
        second = {**linking, "subject_id": _name_that_moves()}
        _write([row for row in [*everybody, second] if row["image"] != lost["image"]])
        prepare(load_params())
        after = read_manifest(LAYOUT.manifest)
        record, photo = read_trained_on(LAYOUT.trained_on), root / "data/raw" / lost["image"]
        yield Deliveries(root, before, after, record, photo, robbed, merged)


@pytest.fixture
def deliveries(template: Deliveries, tmp_path: Path) -> Iterator[Deliveries]:
    """A copy to work in."""
    with copied(template.root, tmp_path / "copy"):
        yield template


def _read() -> list[dict[str, str]]:
    with TABLE.open(newline="") as stream:
        return list(csv.DictReader(stream))


def _write(rows: list[dict[str, str]]) -> None:
    with TABLE.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _name_that_moves() -> str:
    """Return a second name by which a person is drawn into the test split."""
    params = load_params()
    names = [f"a-{number}" for number in range(100)]
    drawn = assign_splits([f"name {name}" for name in names], params.prepare.splits.model_dump(), params.base.seed)
    return next(name for name in names if drawn[f"name {name}"] == "test")


def _key(name: str) -> str:
    return load_key().subject_key(name)


def _splits_of(manifest: Manifest, name: str) -> set[str]:
    rows = manifest.rows
    return set(rows.loc[rows["subject_key"] == _key(name), "split"])


def ask(name: str) -> str:
    """File a request and return its id."""
    return add_requests([Wish("gdpr", subject=name)])[0].request.request_id


def newcomer(after: Manifest, split: str) -> str:
    """Return the raw name of somebody of the second delivery alone."""
    names = (f"person-{number:05d}" for number in range(FIRST, SUBJECTS))
    return next(name for name in names if _splits_of(after, name) == {split})


def test_the_record_is_of_the_first_delivery(template: Deliveries) -> None:
    """It stands beside the weights, and the second delivery differs from it in every way that this module is about."""
    assert set(template.record.rows["sample_id"]) == set(template.before.split("train").rows["sample_id"])
    train = set(template.after.split("train").rows["sample_id"])
    recorded = set(template.record.rows["sample_id"])
    moved = set(template.after.only(recorded).rows["split"]) - {"train"}
    assert (bool(train - recorded), moved, len(recorded - set(template.after.rows["sample_id"]))) == (True, {"test"}, 1)


def test_the_run_of_the_original_names_the_whole_data_set(template: Deliveries) -> None:
    """Its input is the manifest of that day, all splits of it, and not the samples that it learned from alone."""
    client = MlflowClient(f"sqlite:///{template.root / 'mlflow.db'}")
    experiments = [one.experiment_id for one in client.search_experiments()]
    (run,) = client.search_runs(experiments, "tags.`dlfd.model` = 'original'")
    (found,) = run.inputs.dataset_inputs if run.inputs else []
    assert json.loads(found.dataset.source)["tags"]["dlfd.manifest_digest"] == template.before.digest()
    assert json.loads(found.dataset.profile or "")["samples"] == len(template.before)


def test_a_newcomer_was_never_trained_on(deliveries: Deliveries) -> None:
    """Whoever came later is nobody to forget, though the newest manifest draws them into train."""
    request_id = ask(newcomer(deliveries.after, "train"))
    with pytest.raises(BadInput, match=f"1 about people that the model never trained on, {request_id} first"):
        forget_list(load_params())


def test_nobody_learns_from_newcomers(deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unlearning and the retrained model go by the first delivery, and the evaluation judges both on it."""
    asked = trained_people(FIRST)[3]
    ask(asked)
    resolved = forget_list(load_params())
    known = read_known(LAYOUT, deliveries.after).data
    sets = load_unlearning_sets(load_params(), known, resolved)
    there = set(deliveries.record.rows["sample_id"]) & set(deliveries.after.rows["sample_id"])
    assert set(sets.retain.sample_ids) == there - set(resolved.sample_ids)
    later = set(known.split(LATER).rows["sample_id"])
    strangers = {*sets.anchor.sample_ids, *sets.unseen.sample_ids, *sets.validation.sample_ids}
    assert later
    assert later.isdisjoint(strangers)
    unlearn(load_params())
    learned_from: list[set[str]] = []

    def noting(params: Params, samples: Manifest, *rest: Any, manifest: Manifest) -> Fitted:
        learned_from.append(set(samples.rows["sample_id"]))
        return fit(params, samples, *rest, manifest=manifest)

    monkeypatch.setattr("dlfd_ops.workflows.retrain.fit", noting)
    retrain(load_params())
    metrics = evaluate(load_params())
    assert {"original", "unlearned", "retrained"} <= metrics.keys()
    assert learned_from == [set(sets.retain.sample_ids)]
    register(load_params())
    assert verify().findings == ()


def test_whoever_moved_to_another_split_is_forgotten(deliveries: Deliveries) -> None:
    """Under either name: what the original saw of them is on the list, and of the test people they are none."""
    names = (deliveries.merged, _name_that_moves())
    assert set().union(*(_splits_of(deliveries.after, name) for name in names)) == {"test"}
    ask(deliveries.merged)
    resolved = forget_list(load_params())
    rows = deliveries.record.rows
    theirs = set(rows.loc[rows["subject_key"] == _key(deliveries.merged), "sample_id"])
    assert set(resolved.sample_ids) == theirs
    unlearn(load_params())
    evaluate(load_params())
    (found,) = json.loads(LAYOUT.metrics("forgotten").read_text()).values()
    assert found["images"] == len(theirs)


def test_a_photo_that_is_gone_is_not_forgotten(deliveries: Deliveries, caplog: pytest.LogCaptureFixture) -> None:
    """The stage warns and the gate fails: the model knows a photo that nobody can show it any more."""
    request_id = ask(deliveries.robbed)
    resolved = forget_list(load_params())
    assert resolved.counts[request_id].gone == 1
    assert f"{request_id}: the data no longer have 1 photo that the original was trained on" in caplog.text
    unlearn(load_params())
    evaluate(load_params())
    assert register(load_params()).gate == "failed"
    (gated,) = [event.data for event in Ledger().events() if event.kind == "gated"]
    (complete,) = [rule for rule in gated["rules"] if rule["rule"] == "require_complete"]
    assert (complete["value"], complete["passed"]) == (1.0, False)
    assert json.loads(LAYOUT.metrics("forgotten").read_text())[request_id]["gone"] == 1
    assert show_version(load_params(), 2).node.gone == {request_id: 1}


def test_what_a_loose_policy_lets_pass_is_told(deliveries: Deliveries) -> None:
    """Of the request, of the version, and of the very photo: it was asked for, and the model may know it still."""
    request_id, params = ask(deliveries.robbed), load_params()
    rules = dict.fromkeys(Policy.model_fields) | {"require_complete": False}
    loose = params.model_copy(
        update={"register_": params.register_.model_copy(update={"policy": Policy.model_validate(rules)})}
    )
    forget_list(params)
    unlearn(params)
    evaluate(params)
    assert register(loose).gate == "passed"
    assert "could not forget 1 of theirs, which were gone" in _shown("--request", request_id)
    assert f"1 of {request_id}" in _shown("--version", "2")
    assert [ref.version for ref in show_request(params, request_id, as_of=date(2026, 11, 28)).knew] == [1, 2]
    assert show_image(params, deliveries.lost, as_of=date(2026, 11, 28)).verdict == "perhaps known"
    still_there = next(row["image"] for row in _read() if row["subject_id"] == deliveries.robbed)
    assert show_image(params, Path("data/raw") / still_there, as_of=date(2026, 11, 28)).verdict == "forgotten"


def _shown(*question: str) -> str:
    return CliRunner().invoke(OneLineErrors(commands={"audit": audit}), ["audit", "show", *question]).stdout


def test_somebody_of_whom_nothing_is_left_is_known_all_the_same(deliveries: Deliveries) -> None:
    """A person whose data were removed by hand: the model knows them, and the stage does not say otherwise."""
    asked = trained_people(FIRST)[3]
    photos = sum(deliveries.record.rows["subject_key"] == _key(asked))
    request_id = ask(asked)
    _write([row for row in _read() if row["subject_id"] != asked])
    prepare(load_params())
    with pytest.raises(BadInput, match=f"{request_id}: nothing of it, and the original was trained on {photos} photos"):
        forget_list(load_params())


def test_a_new_photo_does_not_stand_for_those_that_are_gone(deliveries: Deliveries) -> None:
    """Whose known photos were all saved anew is known all the same, and nobody is advised to say otherwise."""
    asked = trained_people(FIRST)[3]
    request_id = ask(asked)
    for row in _read():
        if row["subject_id"] == asked:
            path = Path("data/raw") / row["image"]
            content = path.read_bytes()
            path.unlink()
            path.write_bytes(content + b"saved anew")
    prepare(load_params())
    with pytest.raises(BadInput, match=f"{request_id}: nothing of it, and the original was trained on"):
        forget_list(load_params())


def test_an_image_in_hand_is_known_though_the_data_lost_it(deliveries: Deliveries) -> None:
    """An auditor is told that the original was trained on it, and of a newcomer's that it was not."""
    ask(trained_people(FIRST)[3])
    answer = show_image(load_params(), deliveries.lost, as_of=date(2026, 11, 20))
    assert (answer.verdict, answer.split, answer.trained) == ("in the model", None, True)
    request_id = ask(deliveries.robbed)
    answer = show_image(load_params(), deliveries.lost, as_of=date(2026, 11, 20))
    assert (answer.verdict, [row.request_id for row in answer.requests]) == ("asked", [request_id])
    theirs = newcomer(deliveries.after, "train")
    image = next(row["image"] for row in _read() if row["subject_id"] == theirs)
    answer = show_image(load_params(), Path("data/raw") / image, as_of=date(2026, 11, 20))
    assert (answer.verdict, answer.split, answer.trained) == ("in the data", LATER, False)


@pytest.mark.parametrize("content", [None, b"not a table"])
def test_without_the_record_nothing_is_forgotten(deliveries: Deliveries, content: bytes | None) -> None:
    """One line says what is missing; no stage falls back on the newest manifest."""
    ask(trained_people(FIRST)[3])
    LAYOUT.trained_on.unlink()
    if content is not None:
        LAYOUT.trained_on.write_bytes(content)
    with pytest.raises(BadInput, match=r"trained_on.parquet must be"):
        forget_list(load_params())


def test_data_whose_classes_changed_order_are_refused(deliveries: Deliveries) -> None:
    """A delivery may bring a new class before the others: unlearning on it would invert the labels."""
    ask(trained_people(FIRST)[3])
    forget_list(load_params())
    card = LAYOUT.model("original") / "model.json"
    content = json.loads(card.read_text())
    content["classes"] = {label: names[::-1] for label, names in content["classes"].items()}
    card.unlink()
    card.write_text(json.dumps(content))
    with pytest.raises(BadInput, match=r"the data must have the classes of age_group that .* was trained on"):
        unlearn(load_params())
