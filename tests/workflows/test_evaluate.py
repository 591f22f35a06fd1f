"""The evaluate stage on a tiny repository: files, keys, ledger, what it refuses, and DVC reading its outputs."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.manifest import Manifest, ManifestInfo, read_manifest, write_manifest
from dlfd_ops.data.trained_on import trained_on, write_trained_on
from dlfd_ops.deletion.forget_list import ForgetList, ForgetRow, SampleCount, read_forget_list, write_forget_list
from dlfd_ops.deletion.parent import Parent, write_parent
from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.forgotten import read_forgotten, to_metrics
from dlfd_ops.evaluation.intervals import is_interval_end
from dlfd_ops.evaluation.report import ModelEvaluation, judge_model
from dlfd_ops.evaluation.results import RetrainedRecord, flatten, read_metrics, write_retrained
from dlfd_ops.models.checkpoint import save_classifier, weights_digest
from dlfd_ops.models.classifier import FaceClassifier, ModelCard
from dlfd_ops.params import Params, RelearnSection, load_params
from dlfd_ops.workflows.evaluate import Metrics, evaluate, load_sets, settings_digest
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.references import train_references

SIZE = 16
CLASSES: dict[str, tuple[str, ...]] = {"age_group": ("young", "old")}
COUNTS = {"train": 20, "anchor": 2, "validation": 6, "test": 10}
NUM_FORGET = 6
MODELS = {"original", "unlearned", "retrained"}
REPOSITORY = Path(__file__).parents[2]
OUTPUTS = ["losses.csv", "losses.png", "losses.svg", "roc.csv", "roc.png", "roc.svg"]


@dataclass(frozen=True)
class Tiny:
    """A repository after the unlearn stage, and the parameters that fit it."""

    root: Path
    params: Params

    @property
    def forget_list(self) -> ForgetList:
        """As the stage reads it."""
        return read_forget_list(self.root / "deletion/forget_list.parquet")

    def judge(self, seed: int) -> ModelEvaluation:
        """Evaluate another model, as the retrain stage does."""
        manifest = read_manifest(self.root / "data/prepared/manifest.parquet")
        sets = load_sets(manifest, self.forget_list.sample_ids, self.params.base.labels)
        return judge_model(_model(seed), sets, self.params.evaluate, seed=0, device="cpu").evaluation

    def write_record(self, forget_list_digest: str) -> RetrainedRecord:
        """Write ``metrics/retrained.json`` for a forget list."""
        manifest = read_manifest(self.root / "data/prepared/manifest.parquet")
        record = RetrainedRecord(
            self.judge(seed=9), 7.0, forget_list_digest, manifest.digest(), settings_digest(self.params)
        )
        write_retrained(record, self.root / "metrics/retrained.json")
        return record


def _model(seed: int, size: int = SIZE) -> FaceClassifier:
    torch.manual_seed(seed)
    return FaceClassifier(ModelCard("resnet18", ("age_group",), CLASSES, size)).eval()


def _keyed(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _write_faces(prepared: Path) -> Manifest:
    generator = np.random.default_rng(0)
    rows = []
    for split, count in COUNTS.items():
        for number in range(count):
            sample = _keyed(split, number)
            path = Path("images") / sample[:2] / f"{sample}.png"
            (prepared / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)).save(prepared / path)
            rows.append((sample, str(path), _keyed("subject", split, number), split, number % 2))
    frame = pd.DataFrame(rows, columns=["sample_id", "path", "subject_key", "split", "age_group"])
    frame = frame.sort_values("sample_id").reset_index(drop=True)
    manifest = Manifest(frame, ManifestInfo("tiny", "0" * 16, SIZE, CLASSES), prepared)
    write_manifest(manifest, prepared / "manifest.parquet")
    return manifest


def _forget(root: Path, sample_ids: list[str]) -> None:
    request = "req-0123456789ab"
    rows = tuple(ForgetRow(sample, (request,)) for sample in sorted(sample_ids))
    write_forget_list(
        root / "deletion/forget_list.parquet", ForgetList(rows, {request: SampleCount(len(rows), other=0)})
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The repository as the unlearn stage leaves it; tests work on copies."""
    root = tmp_path_factory.mktemp("template") / "repository"
    manifest = _write_faces(root / "data/prepared")
    _forget(root, list(manifest.split("train").rows["sample_id"])[:NUM_FORGET])
    write_trained_on(trained_on(manifest.split("train")), root / "models/original/trained_on.parquet")
    for seed, name in enumerate(("original", "unlearned")):
        save_classifier(_model(seed), root / "models" / name)
    write_parent(root / "deletion/parent.json", Parent())
    (root / "metrics").mkdir()
    (root / "metrics/train.json").write_text('{"seconds": 3.5}')
    (root / "metrics/unlearn.json").write_text('{"seconds": 1.25, "method": "dlfd"}')
    (root / "metrics/retrained.json").write_text("{}\n")
    params = load_params(REPOSITORY / "params.yaml")
    base = params.base.model_copy(update={"labels": ("age_group",), "image_size": SIZE, "seed": 0})
    return Tiny(root, params.model_copy(update={"base": base}))


def _copy(template: Tiny, root: Path) -> Tiny:
    # Hard links are enough: everything is written by rename.
    shutil.copytree(template.root, root, copy_function=os.link)
    return Tiny(root, template.params)


@pytest.fixture
def tiny(template: Tiny, tmp_path: Path) -> Tiny:
    """A repository that is a test's own."""
    return _copy(template, tmp_path / "repository")


@dataclass(frozen=True)
class Judged(Tiny):
    """A repository after the evaluate stage, with a retrained model.

    Attributes:
        record: the retrained model's.
        metrics: what the stage returned.
    """

    record: RetrainedRecord
    metrics: Metrics


@pytest.fixture(scope="module")
def judged(template: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """A repository that the tests only read, or run the stage on again."""
    tiny = _copy(template, tmp_path_factory.mktemp("judged") / "repository")
    record = tiny.write_record(tiny.forget_list.digest())
    return Judged(tiny.root, tiny.params, record, evaluate(tiny.params, tiny.root))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_writes_metrics_and_plots_of_every_model(judged: Judged) -> None:
    """Every metric stands for every model, beside the seconds; all figures and their numbers are there."""
    flat = read_metrics(judged.root / "metrics/unlearning.json")
    assert flat == flatten(judged.metrics)
    assert set(judged.metrics) == {"original", "unlearned", "retrained", "retrain_gap", "seconds"}
    assert len({frozenset(judged.metrics[name]) for name in MODELS}) == 1
    compared = {name for name in judged.metrics["unlearned"] if not is_interval_end(name)}
    assert set(judged.metrics["retrain_gap"]) == compared != set(judged.metrics["unlearned"])
    assert {"original.accuracy", "unlearned.mia_tpr_at_fpr_0.001", "unlearned.nomus"} <= set(flat)
    assert (flat["seconds.train"], flat["seconds.unlearn"]) == (3.5, 1.25)
    assert sorted(path.name for path in (judged.root / "plots").iterdir()) == OUTPUTS


def test_plot_numbers_cover_every_image_and_name_none(judged: Judged) -> None:
    """One loss an image of forget and test set; no sample, no subject, and an order that tells nothing."""
    losses = _rows(judged.root / "plots/losses.csv")
    for model in MODELS:
        for name, count in (("forget", NUM_FORGET), ("test", COUNTS["test"])):
            values = [float(row["loss"]) for row in losses if (row["model"], row["set"]) == (model, name)]
            assert len(values) == count
            assert values == sorted(values)
    rows = read_manifest(judged.root / "data/prepared/manifest.parquet").rows
    for output in (
        "plots/losses.csv",
        "plots/roc.csv",
        "plots/losses.svg",
        "metrics/unlearning.json",
        "metrics/evaluated.json",
    ):
        text = (judged.root / output).read_text()
        assert not any(key[:12] in text for key in (*rows["sample_id"], *rows["subject_key"]))


def test_the_retrained_model_is_compared_and_drawn(judged: Judged) -> None:
    """With a record for this forget list: its metrics, the gap, and its curves."""
    metrics = judged.metrics
    assert metrics["retrained"] == judged.record.evaluation.metrics
    gap = metrics["unlearned"]["loss"] - metrics["retrained"]["loss"]
    assert gap != 0
    assert metrics["retrain_gap"]["loss"] == pytest.approx(gap, abs=1e-6)
    assert {row["model"] for row in _rows(judged.root / "plots/losses.csv")} == MODELS
    assert {row["model"] for row in _rows(judged.root / "plots/roc.csv")} == MODELS


def test_running_again_changes_nothing_and_is_recorded_once(judged: Judged) -> None:
    """Same bytes; one event, with the weights and the forget list that it was made on."""
    plots = {name: (judged.root / "plots" / name).read_bytes() for name in OUTPUTS}
    assert evaluate(judged.params, judged.root) == judged.metrics
    assert {name: (judged.root / "plots" / name).read_bytes() for name in OUTPUTS} == plots
    event, key = Ledger(judged.root / "audit/ledger.jsonl").events()
    assert (event.kind, key.kind) == ("evaluated", "signing_key")
    assert event.data["weights_digest"] == weights_digest(judged.root / "models/unlearned")
    assert event.data["forget_list_digest"] == judged.forget_list.digest()
    models = flatten({name: values for name, values in judged.metrics.items() if name != "seconds"})
    by_request = to_metrics(read_forgotten(judged.root / "metrics/forgotten.json"))
    assert by_request["forgotten.req-0123456789ab.images"] == NUM_FORGET
    assert event.data["metrics"] == models | by_request


def test_a_record_of_another_forget_list_is_left_aside_with_a_warning(
    tiny: Tiny, caplog: pytest.LogCaptureFixture
) -> None:
    """A stale oracle answers another question: it reaches neither the metrics nor the gate."""
    tiny.write_record("0" * 64)
    assert set(evaluate(tiny.params, tiny.root)) == {"original", "unlearned", "seconds"}
    assert "another forget list" in caplog.text


def test_a_record_of_other_settings_is_left_aside_with_a_warning(
    judged: Judged, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A model trained otherwise, or judged otherwise, is no yardstick, though data and forget list are the same."""
    tiny = _copy(judged, tmp_path / "repository")
    train = tiny.params.train.model_copy(update={"epochs": tiny.params.train.epochs + 1})
    assert "retrained" not in evaluate(tiny.params.model_copy(update={"train": train}), tiny.root)
    assert "other settings" in caplog.text


def test_references_of_the_record_attack_every_model_alike(judged: Judged, tmp_path: Path) -> None:
    """Trained by the retrain stage, read from its file: the same metrics of all three models, and a gap."""
    tiny = _copy(judged, tmp_path / "repository")
    params = tiny.params.model_copy(
        update={
            "train": tiny.params.train.model_copy(update={"epochs": 1}),
            "evaluate": tiny.params.evaluate.model_copy(update={"references": 2}),
        }
    )
    manifest = read_manifest(tiny.root / "data/prepared/manifest.parquet")
    sets = load_sets(manifest, tiny.forget_list.sample_ids, params.base.labels)
    retain = manifest.split("train").without(tiny.forget_list.sample_ids)
    references = train_references(params, retain, sets, Layout(tiny.root))
    assert references is not None
    assert (references.forget.shape, references.test.shape) == ((2, NUM_FORGET), (2, COUNTS["test"]))
    assert not np.allclose(references.test[0], references.test[1])
    assert not (tiny.root / ".dlfd/checkpoints/reference-1").exists()
    found = judge_model(_model(9), sets, params.evaluate, seed=0, device="cpu", references=references)
    record = replace(
        judged.record, evaluation=found.evaluation, references=references, settings_digest=settings_digest(params)
    )
    write_retrained(record, tiny.root / "metrics/retrained.json")
    metrics = evaluate(params, tiny.root)
    assert len({frozenset(metrics[name]) for name in MODELS}) == 1
    assert {"rmia_auc", "calibrated_auc_low", "rmia_tpr_at_fpr_0.001"} <= set(metrics["unlearned"])
    assert "calibrated_auc" in metrics["retrain_gap"]


def test_references_that_are_asked_for_and_missing_are_said(tiny: Tiny, caplog: pytest.LogCaptureFixture) -> None:
    """Without a record there is none: a warning, and no metric that would pretend."""
    wanted = tiny.params.evaluate.model_copy(update={"references": 1})
    metrics = evaluate(tiny.params.model_copy(update={"evaluate": wanted}), tiny.root)
    assert "asks for 1 reference models and there are 0" in caplog.text
    assert "rmia_auc" not in metrics["unlearned"]


def test_relearn_time_is_measured_where_it_is_asked_for(tiny: Tiny) -> None:
    """Off by default; a number of steps of each model otherwise."""
    relearn = RelearnSection(accuracy=1.0, max_steps=2, batch_size=4, learning_rate=0.01)
    section = tiny.params.evaluate.model_copy(update={"relearn": relearn})
    metrics = evaluate(tiny.params.model_copy(update={"evaluate": section}), tiny.root)
    assert all(0 <= metrics[name]["relearn_steps"] <= 2 for name in ("original", "unlearned"))
    assert tiny.params.evaluate.relearn is None


def test_of_an_empty_forget_list_there_is_nothing_to_say(tiny: Tiny) -> None:
    """Nobody to forget: the stage ends well, and has no number that would read as a perfect result."""
    _forget(tiny.root, [])
    metrics = evaluate(tiny.params, tiny.root)
    assert not {"mia_auc", "nomus", "forgetting_score", "accuracy_forget"} & metrics["unlearned"].keys()
    assert metrics["unlearned"]["accuracy"] > 0


def test_a_sample_to_forget_that_was_never_trained_on_is_refused(tiny: Tiny) -> None:
    """The forget list must fit the manifest."""
    _forget(tiny.root, [_keyed("train", 0), _keyed("test", 0), _keyed("nobody", 0)])
    with pytest.raises(BadInput, match="trained on, and be there; received 2 of 3"):
        evaluate(tiny.params, tiny.root)


def test_a_model_of_another_size_is_refused(tiny: Tiny) -> None:
    """A model that was trained on other images is named."""
    save_classifier(_model(0, size=32), tiny.root / "models/unlearned")
    with pytest.raises(BadInput, match="models/unlearned must predict"):
        evaluate(tiny.params, tiny.root)


def test_a_diverged_model_is_refused_and_leaves_no_metrics(tiny: Tiny) -> None:
    """NaN weights end in one line, and nothing stands there that a gate could read."""
    model = _model(1)
    torch.nn.init.constant_(model.head.weight, float("nan"))
    save_classifier(model, tiny.root / "models/unlearned")
    with pytest.raises(BadInput, match="every loss must be finite"):
        evaluate(tiny.params, tiny.root)
    assert not (tiny.root / "metrics/unlearning.json").exists()
    assert not (tiny.root / "audit/ledger.jsonl").exists()


@pytest.mark.parametrize(
    "missing",
    [
        "data/prepared/manifest.parquet",
        "deletion/forget_list.parquet",
        "models/original/weights.safetensors",
        "models/unlearned/model.json",
        "metrics/train.json",
        "metrics/unlearn.json",
        "metrics/retrained.json",
    ],
)
def test_a_missing_input_is_one_clear_error(tiny: Tiny, missing: str) -> None:
    """Each input is asked for by name."""
    (tiny.root / missing).unlink()
    with pytest.raises(BadInput, match=Path(missing).name):
        evaluate(tiny.params, tiny.root)


def _dvc(root: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def test_dvc_shows_metrics_and_plots(judged: Judged, tmp_path: Path) -> None:
    """A real DVC repository reads the metrics under the contract's names, and both plots with their templates."""
    root = tmp_path / "dvc"
    for folder in (judged.root / "metrics", judged.root / "plots", REPOSITORY / "configs/plots"):
        shutil.copytree(folder, root / folder.relative_to(REPOSITORY if "configs" in folder.parts else judged.root))
    (root / "dvc.yaml").write_text(
        "metrics: [metrics/unlearning.json]\n"
        "plots:\n"
        "- Losses: {template: configs/plots/losses.json, x: loss, y: {plots/losses.csv: loss}}\n"
        "- ROC: {template: configs/plots/roc.json, x: fpr, y: {plots/roc.csv: tpr}}\n"
    )
    _dvc(root, "init", "--no-scm", "--quiet")
    shown = json.loads(_dvc(root, "metrics", "show", "--json"))
    assert flatten(shown[""]["data"]["metrics/unlearning.json"]["data"]) == flatten(judged.metrics)
    plots = json.loads(_dvc(root, "plots", "show", "--json", "--split"))["data"]
    assert {name: _data_rows(shown) for name, (shown,) in plots.items()} == {
        "Losses": _rows(root / "plots/losses.csv"),
        "ROC": _rows(root / "plots/roc.csv"),
    }


def _data_rows(plot: dict[str, Any]) -> list[dict[str, str]]:
    """What DVC puts into the place of a template's data, without the revision that it adds."""
    drawn = plot["anchor_definitions"]["<DVC_METRIC_DATA>"]
    assert "<DVC_METRIC_DATA>" in json.dumps(plot["content"])
    return [{key: value for key, value in row.items() if key not in {"rev", "field", "filename"}} for row in drawn]
