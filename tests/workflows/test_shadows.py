"""U-LiRA in the benchmark: who the shadows know, and an attack with a known answer.

The photos are noise and their labels are drawn, so that there is nothing to know about a photo that was not trained on:
who is to be forgotten and who was never seen differ in nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from pydantic import JsonValue
from torch import nn

from dlfd_ops.data.manifest import Manifest, ManifestInfo, read_manifest, write_manifest
from dlfd_ops.data.trained_on import trained_on, write_trained_on
from dlfd_ops.deletion.forget_list import ForgetList, ForgetRow, SampleCount, write_forget_list
from dlfd_ops.digest import sha256_json
from dlfd_ops.errors import Diverged
from dlfd_ops.models.classifier import ARCHITECTURES, Classifier
from dlfd_ops.params import BenchmarkSection, Params, load_params
from dlfd_ops.workflows.benchmarking.bench import Bench
from dlfd_ops.workflows.benchmarking.cells import Cell
from dlfd_ops.workflows.benchmarking.running import cell_key, run_cell
from dlfd_ops.workflows.benchmarking.shadows import shadow_metrics
from dlfd_ops.workflows.benchmarking.targets import draw_targets
from dlfd_ops.workflows.forgetting import UnlearningSets

SIZE, PHOTOS = 16, 2
PEOPLE = {"train": 60, "anchor": 10, "validation": 15, "test": 40}
FORGOTTEN = 25
PAIRS = 3
LABELS = ("age_group",)
IDLE: dict[str, JsonValue] = {"method": "fine_tune", "learning_rate": 1e-9}
AGAIN: dict[str, JsonValue] = {"method": "retrain", "learning_rate": 0.05, "epochs": 10}


def keyed(*parts: object) -> str:
    """Return 64 hex digits."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def memoriser() -> tuple[nn.Module, int]:
    """Return a trunk that learns noise by heart at once, and the width of its features."""
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 128), nn.ReLU()), 128


def write_noise(root: Path) -> None:
    """Write a manifest of noise, and the forget list."""
    generator, rows = np.random.default_rng(0), []
    for split, people in PEOPLE.items():
        for number in range(people * PHOTOS):
            sample, path = keyed(split, number), Path("images") / f"{keyed(split, number)}.png"
            (root / "data/prepared/images").mkdir(parents=True, exist_ok=True)
            pixels = generator.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "data/prepared" / path)
            label = int(generator.integers(2))
            rows.append((sample, str(path), keyed("person", split, number // PHOTOS), split, label))
    frame = pd.DataFrame(rows, columns=["sample_id", "path", "subject_key", "split", *LABELS])
    info = ManifestInfo("noise", "0" * 16, SIZE, {"age_group": ("young", "old")})
    frame = frame.sort_values("sample_id").reset_index(drop=True)
    manifest = Manifest(frame, info, root)
    write_manifest(manifest, root / "data/prepared/manifest.parquet")
    write_trained_on(trained_on(manifest.split("train")), root / "models/original/trained_on.parquet")
    ids = sorted(keyed("train", number) for number in range(FORGOTTEN * PHOTOS))
    listed = tuple(ForgetRow(sample, ("req-0123456789ab",)) for sample in ids)
    counts = {"req-0123456789ab": SampleCount(len(ids), other=0)}
    write_forget_list(root / "deletion/forget_list.parquet", ForgetList(listed, counts))


def settings(shadows: int) -> Params:
    """Return parameters of small trainings."""
    shipped = load_params(Path(__file__).parents[2] / "params.yaml")
    base = shipped.base.model_copy(update={"image_size": SIZE, "labels": LABELS})
    train = shipped.train.model_copy(update={"architecture": "memoriser", "learning_rate": 0.05, "epochs": 10})
    methods = ("original", "retrained", "idle")
    section = BenchmarkSection(seeds=(0,), methods=methods, trials={"idle": (IDLE,)}, shadows=shadows)
    return shipped.model_copy(update={"base": base, "train": train, "benchmark": section})


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A benchmark with shadows on noise."""
    root = tmp_path_factory.mktemp("noise")
    write_noise(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "memoriser", memoriser)
        yield Bench(settings(PAIRS), root)


@pytest.fixture(scope="module")
def cell(bench: Bench) -> Cell:
    """The cell of a method that does nothing."""
    return run_cell(bench, "idle", 0)


def attacked(bench: Bench, kind: str, seed: int, trial: Mapping[str, JsonValue] | None) -> dict[str, float]:
    """Return what U-LiRA finds in a model of the benchmark, after it has unlearned where a trial is given."""
    model, _ = bench.model(kind, seed)
    if trial is not None:
        params = bench.seeded(seed, trial)
        bench.unlearn(model, params, bench.sets_of(params))
    return shadow_metrics(bench, model, trial, seed)


def test_what_was_not_forgotten_is_found(bench: Bench, cell: Cell) -> None:
    """The original knows everybody, and so does a model that only pretends to forget."""
    for metrics in (attacked(bench, "original", 0, None), cell.metrics):
        assert metrics["ulira_auc_low"] > 0.9
        assert metrics["ulira_subject_auc"] > metrics["ulira_auc_low"]
        assert metrics["ulira_tpr_at_fpr_0.01"] > 0.3


@pytest.mark.parametrize(("kind", "trial"), [("retrained", None), ("original", AGAIN)])
def test_who_was_never_there_is_not_found(bench: Bench, kind: str, trial: Mapping[str, JsonValue] | None) -> None:
    """A model that was trained without them gives nobody away, and neither does forgetting by training anew."""
    found = [attacked(bench, kind, seed, trial)["ulira_auc"] for seed in range(3)]
    # 50 photos of 25 people on either side: one AUC has a standard error of about 0.06.
    assert abs(np.mean(found) - 0.5) < 0.1


def test_shadows_are_trained_once(bench: Bench, cell: Cell) -> None:
    """Two a pair, for all rows; what each said is kept, and a cell that runs again trains and unlearns none."""
    folders = sorted((bench.root / ".dlfd/checkpoints/benchmark").glob("shadow-*"))
    assert len(folders) == 2 * PAIRS
    assert all(list(folder.glob("said-*.json")) for folder in folders)
    before = {path: path.stat().st_mtime_ns for folder in folders for path in folder.glob("*.[js]*")}
    assert run_cell(bench, "idle", 0).metrics == cell.metrics
    assert {path: path.stat().st_mtime_ns for folder in folders for path in folder.glob("*.[js]*")} == before


def test_a_shadow_that_diverged_is_left_out(bench: Bench) -> None:
    """One of three pairs may fail; of two pairs too little is left to compare, and there is no number."""
    attacked(bench, "original", 0, None)
    for path in (bench.root / ".dlfd/checkpoints/benchmark").glob("shadow-0-*/said-nothing.json"):
        path.write_text("null\n")
    assert attacked(bench, "original", 0, None)["ulira_auc"] > 0.9
    assert attacked(Bench(settings(2), bench.root), "original", 0, None) == {}


def test_a_trial_that_diverges_is_the_worst_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not judged by the weights that it had by then, and the other trials go on."""
    unlearn = Bench.unlearn

    def ruined(self: Bench, model: Classifier, params: Params, sets: UnlearningSets) -> None:
        if params.unlearn.learning_rate == 10:
            raise Diverged("a trial must stay finite", received="a loss of nan", remedy="lower its rate")
        unlearn(self, model, params, sets)

    monkeypatch.setattr(Bench, "unlearn", ruined)
    section = bench.section.model_copy(update={"trials": {"idle": ({**IDLE, "learning_rate": 10}, IDLE)}, "shadows": 0})
    cell = run_cell(Bench(bench.params.model_copy(update={"benchmark": section}), bench.root), "idle", 0)
    assert [trial.metrics == {} for trial in cell.trials] == [True, False]
    assert cell.chosen == 1


def test_shadows_that_diverge_in_training_leave_no_number(bench: Bench) -> None:
    """At an impossible rate none is left, and the cell goes on without the attack."""
    train = bench.params.train.model_copy(update={"learning_rate": 1e30})
    fast = Bench(bench.params.model_copy(update={"train": train}), bench.root)
    assert shadow_metrics(fast, bench.model("original", 0)[0], None, 0) == {}


def test_a_cell_without_shadows_stays_what_it_was(bench: Bench) -> None:
    """Its key has no word of them, so that a benchmark from before there were any goes on; with them it is another."""
    off = Bench(settings(0), bench.root)
    params = off.params
    sections = [params.base.model_dump(), params.train.model_dump(), params.evaluate.model_dump()]
    assert cell_key(off, "original", 0) == sha256_json(["original", *sections, [], [0], off.data_digest])
    assert len({cell_key(Bench(settings(pairs), bench.root), "original", 0) for pairs in (0, 2, 3)}) == 3


def test_targets_are_the_forgotten_and_as_many_unseen(bench: Bench) -> None:
    """Whole people of the test split, at least as many photos."""
    subjects, manifest = bench.targets.subjects, bench.manifest
    assert len(subjects["forget"]) == len(subjects["test"]) == FORGOTTEN * PHOTOS
    test = manifest.split("test").rows
    assert set(subjects["test"]) < set(test["subject_key"])
    assert pd.Series(subjects["test"]).value_counts().eq(PHOTOS).all()
    few = draw_targets(manifest, manifest.split("train").rows["sample_id"], LABELS)
    assert len(few.subjects["test"]) == len(test)


def test_the_shadows_of_a_pair_share_the_people(bench: Bench) -> None:
    """One forgot each photo and the other never saw it; a person's photos stay together; the pairs differ."""
    targets = bench.targets
    halves = np.stack([targets.half(shadow) for shadow in range(2 * PAIRS)])
    assert (halves[0::2] ^ halves[1::2]).all()
    people = np.array(targets.images.subject_keys)
    for person in set(people):
        assert (halves[:, people == person].std(axis=1) == 0).all()
    assert len(np.unique(halves, axis=0)) == 2 * PAIRS
    for half in halves:
        assert abs(int(half.sum()) - FORGOTTEN * PHOTOS) <= PHOTOS
        assert abs(int(half[targets.members].sum()) - int(half[~targets.members].sum())) <= PHOTOS


def test_one_person_can_be_asked_about(bench: Bench) -> None:
    """With one to forget and one unseen, each shadow knew one of the two."""
    manifest = read_manifest(bench.layout.manifest)
    targets = draw_targets(manifest, [keyed("train", number) for number in range(PHOTOS)], LABELS)
    assert len(targets.members) == 2 * PHOTOS
    for shadow in range(4):
        half = targets.half(shadow)
        assert half.sum() == PHOTOS
        assert len(set(targets.members[half])) == 1


def test_the_targets_do_not_depend_on_the_order(bench: Bench) -> None:
    """Who is in a half follows from the people, so that every process trains the same shadow."""
    targets = bench.targets
    order = torch.randperm(len(targets.members), generator=torch.Generator().manual_seed(0)).tolist()
    images = replace(targets.images, subject_keys=tuple(targets.images.subject_keys[place] for place in order))
    turned = replace(targets, images=images, members=targets.members[order])
    assert np.array_equal(turned.half(1), targets.half(1)[order])
