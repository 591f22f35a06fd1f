"""What stands in the place of an original whose weights are erased, and what it is still good for."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlfd_ops.data.manifest import read_manifest
from dlfd_ops.deletion.parent import Parent, write_parent
from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.gate import accuracy_drop
from dlfd_ops.evaluation.results import flatten
from dlfd_ops.models.checkpoint import WEIGHTS, save_classifier, weights_digest
from dlfd_ops.workflows.evaluate import evaluate
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.retired import known_digest, read_retired, retire
from dlfd_ops.workflows.start import read_start
from tests.workflows.test_evaluate import Tiny, _copy, _model, template

__all__ = ["template"]
METRICS = {"accuracy": 0.75, "accuracy_retain": 0.9, "mia_auc": 0.8, "loss": 0.6, "ece": 0.1}


@pytest.fixture
def tiny(template: Tiny, tmp_path: Path) -> Tiny:
    """A repository whose original's weights are erased, and whose parent is version 2."""
    tiny = _copy(template, tmp_path / "repository")
    layout = Layout(tiny.root)
    retire(layout.model("original"), METRICS, read_manifest(layout.manifest))
    save_classifier(_model(5), layout.parent_model)
    digest = weights_digest(layout.parent_model)
    parent = Parent(kind="version", version=2, weights_digest=digest, unlearnings=1, covers=("req-ffffffffffff",))
    write_parent(layout.parent, parent)
    return tiny


def test_the_record_keeps_what_is_about_nobody_who_was_trained_on(template: Tiny, tmp_path: Path) -> None:
    """The digest of the weights and the numbers of strangers stay; retiring twice changes nothing."""
    tiny = _copy(template, tmp_path / "repository")
    folder, manifest = Layout(tiny.root).model("original"), read_manifest(Layout(tiny.root).manifest)
    digest = weights_digest(folder)
    for _ in range(2):
        retire(folder, METRICS, manifest)
        retired = read_retired(folder)
        assert retired is not None
        assert (retired.weights_digest, retired.metrics) == (digest, {"accuracy": 0.75, "loss": 0.6, "ece": 0.1})
    assert known_digest(folder) == digest
    assert {path.name for path in folder.iterdir()} == {"erased.json", "model.json", "trained_on.parquet"}


def test_killed_between_the_record_and_the_weights_it_is_completed(
    template: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes the half for a model; the next run leaves the record alone."""
    unlink = Path.unlink

    def killed(path: Path, *, missing_ok: bool = False) -> None:
        if path.name == WEIGHTS:
            raise KeyboardInterrupt
        unlink(path, missing_ok=missing_ok)

    tiny = _copy(template, tmp_path / "repository")
    folder, manifest = Layout(tiny.root).model("original"), read_manifest(Layout(tiny.root).manifest)
    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        retire(folder, METRICS, manifest)
    monkeypatch.undo()
    with pytest.raises(BadInput, match="or the record of erased ones"):
        read_retired(folder)
    retire(folder, METRICS, manifest)
    assert read_retired(folder) is not None
    assert {path.name for path in folder.iterdir()} == {"erased.json", "model.json", "trained_on.parquet"}


def test_the_evaluation_compares_with_the_record_and_with_the_parent(tiny: Tiny) -> None:
    """The original's accuracy is the recorded one; the attack before is the one on the model that was changed."""
    metrics = evaluate(tiny.params, tiny.root)
    assert metrics["original"] == {"accuracy": 0.75, "loss": 0.6, "ece": 0.1}
    assert {"mia_auc", "accuracy_forget"} <= metrics["parent"].keys()
    assert list(metrics)[:3] == ["original", "parent", "unlearned"]
    models = {line.split(",")[0] for line in (tiny.root / "plots/losses.csv").read_text().splitlines()[1:]}
    assert models == {"parent", "unlearned"}


def test_other_test_people_are_told(tiny: Tiny, caplog: pytest.LogCaptureFixture) -> None:
    """A recorded number of other photos still stands, with a warning, where an older pin knows no better."""
    _measured_on_others(tiny)
    assert "accuracy_drop" not in evaluate(tiny.params, tiny.root)["parent"]
    assert "other test photos" in caplog.text


def test_what_the_parent_had_lost_counts_where_the_test_people_are_others(tiny: Tiny) -> None:
    """Then the gate adds what is lost against the parent, both measured on the photos of today."""
    layout = Layout(tiny.root)
    parent = read_start(layout).parent
    write_parent(layout.parent, parent.model_copy(update={"accuracy_drop": 0.02}))
    assert "accuracy_drop" not in evaluate(tiny.params, tiny.root)["parent"], "the photos are the same"
    _measured_on_others(tiny)
    metrics = evaluate(tiny.params, tiny.root)
    lost = metrics["parent"]["accuracy"] - metrics["unlearned"]["accuracy"]
    assert accuracy_drop(flatten(metrics)) == pytest.approx(0.02 + lost)
    assert accuracy_drop(flatten(metrics)) != pytest.approx(0.75 - metrics["unlearned"]["accuracy"])


def _measured_on_others(tiny: Tiny) -> None:
    path = tiny.root / "models/original/erased.json"
    record = path.read_text()
    path.unlink()  # a link to the template's
    path.write_text(record.replace(record.split('"measured_on": "')[1][:64], "0" * 64))


def test_nothing_starts_from_weights_that_are_gone(tiny: Tiny) -> None:
    """An original without weights is refused as the start; weights beside the record are refused by everybody."""
    layout = Layout(tiny.root)
    write_parent(layout.parent, Parent())
    with pytest.raises(BadInput, match="weights that are there"):
        read_start(layout)
    save_classifier(_model(0), layout.model("original"))
    with pytest.raises(BadInput, match="or the record of erased ones"):
        known_digest(layout.model("original"))
