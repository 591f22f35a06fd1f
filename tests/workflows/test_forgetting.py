"""Who takes part in an unlearning, and who does not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dlfd_ops.data.manifest import Manifest, read_manifest
from dlfd_ops.data.synthetic_faces.dataset import Recipe, generate
from dlfd_ops.deletion.forget_list import ForgetList, ForgetRow, SampleCount
from dlfd_ops.deletion.suppression import append_suppressed
from dlfd_ops.errors import BadInput
from dlfd_ops.models.checkpoint import build_classifier
from dlfd_ops.params import Params, load_params
from dlfd_ops.training.launch import start_accelerator
from dlfd_ops.workflows.fitting import card_of
from dlfd_ops.workflows.forgetting import build_objective, load_unlearning_sets
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.prepare import prepare
from tests.pipeline.project import REPOSITORY, TINY, Project


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Params]:
    """Prepared images of 24 people, and the parameters."""
    root = tmp_path_factory.mktemp("repository")
    (root / "params.yaml").write_bytes((REPOSITORY / "params.yaml").read_bytes())
    Project(root).set_params(**TINY)
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DLFD_SECRET_KEY", raising=False)
        os.chdir(root)
        generate(Path("data/raw"), Recipe(subjects=24))
        append_suppressed([])
        prepare(load_params())
        yield load_params()
        os.chdir(before)


def asking(manifest: Manifest, *splits: str) -> ForgetList:
    """Return the forget list of the first person of the training split and of each of ``splits``."""
    first = {split: set(_first_person(manifest, split)) for split in ("train", *splits)}
    rows = tuple(ForgetRow(sample, ("DR-1",)) for sample in sorted(first.pop("train")))
    held_out = tuple(sorted(set().union(*first.values())))
    return ForgetList(rows, {"DR-1": SampleCount(len(rows), len(held_out))}, held_out=held_out)


def _first_person(manifest: Manifest, split: str) -> list[str]:
    rows = manifest.split(split).rows
    return list(rows["sample_id"][rows["subject_key"] == rows["subject_key"].iloc[0]])


def test_who_asked_to_be_forgotten_is_no_example_of_a_stranger(params: Params) -> None:
    """Their photos in the anchor and validation splits are left out; everybody else takes part as before."""
    manifest = read_manifest(Layout().manifest)
    wanted = asking(manifest, "anchor", "validation")
    sets = load_unlearning_sets(params, manifest, wanted)
    strangers = {*sets.anchor.sample_ids, *sets.unseen.sample_ids, *sets.validation.sample_ids}
    assert strangers.isdisjoint(wanted.held_out)
    assert strangers | set(wanted.held_out) == set(manifest.split("anchor", "validation").rows["sample_id"])
    assert set(sets.forget.sample_ids) == set(wanted.sample_ids)
    assert set(sets.retain.sample_ids).isdisjoint(wanted.sample_ids)


@pytest.mark.parametrize("split", ["anchor", "validation"])
def test_a_split_of_nobody_but_those_who_asked_is_refused(params: Params, split: str) -> None:
    """One line says which split is used up; nothing is measured against nobody."""
    manifest = read_manifest(Layout().manifest)
    everybody = tuple(sorted(manifest.split(split).rows["sample_id"]))
    wanted = replace(asking(manifest), held_out=everybody)
    with pytest.raises(BadInput, match=f"the {split} split must hold"):
        load_unlearning_sets(params, manifest, wanted)


@pytest.mark.parametrize("batch_size", [1, 64])
def test_photos_that_no_batch_draws_are_warned_of(
    params: Params, batch_size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A run too short for the forget list says how many of its photos it leaves out, and a long enough one nothing."""
    manifest = read_manifest(Layout().manifest)
    unlearn = params.unlearn.model_copy(update={"batch_size": 256, "forget_batch_size": batch_size})
    params = params.model_copy(update={"unlearn": unlearn})
    sets = load_unlearning_sets(params, manifest, asking(manifest))
    build_objective(params, sets, build_classifier(card_of(params, manifest)), start_accelerator())
    assert len(sets.forget) > 1
    assert (f"only 1 of {len(sets.forget)} photos to forget" in caplog.text) == (batch_size == 1)
