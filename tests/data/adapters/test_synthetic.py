"""The adapter of the invented faces: it reads what the generator writes, and refuses rows one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlfd_ops.data.adapters.adapter import AGE_GROUPS
from dlfd_ops.data.adapters.synthetic import read_synthetic
from dlfd_ops.data.problems import Reason
from dlfd_ops.data.synthetic_faces.dataset import CLASSES, LABELS, Recipe, generate, shots
from dlfd_ops.errors import BadInput

TINY = Recipe(subjects=3, seed=5, size=16)
HEADER = ",".join(["image", "subject_id", *CLASSES])
GOOD = "images/000000.png,person-00001,20-30,fear,male,yes,no"


def _table(root: Path, *rows: str) -> Path:
    (root / LABELS).write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return root


def test_it_reads_what_the_generator_writes(tmp_path: Path) -> None:
    """One record an image, with its subject and labels; the classes are the generator's; no split is published."""
    generate(tmp_path, TINY)
    source = read_synthetic(tmp_path)
    drawn = shots(TINY)
    assert [(record.subject, record.labels) for record in source.records] == [(s.subject, s.labels) for s in drawn]
    assert all((tmp_path / record.path).is_file() for record in source.records)
    assert {record.split for record in source.records} == {None}
    assert source.classes == CLASSES
    assert list(source.problems) == []


def test_its_age_groups_are_those_of_the_other_sources() -> None:
    """A model of one source can be read with another's classes."""
    assert CLASSES["age_group"] == AGE_GROUPS


def test_a_bad_row_is_reported_and_the_others_are_kept(tmp_path: Path) -> None:
    """An unknown label, a missing name and a short row are problems with their line; none names a person."""
    bad = [GOOD.replace("fear", "boredom"), GOOD.replace("person-00001", ""), "images/000003.png,person-00001"]
    source = read_synthetic(_table(tmp_path, GOOD, *bad))
    assert len(source.records) == 1
    assert [(problem.where, problem.reason) for problem in source.problems] == [
        ("labels.csv line 3, column emotion", Reason.UNKNOWN_LABEL),
        ("labels.csv line 4", Reason.MALFORMED_ROW),
        ("labels.csv line 5", Reason.MALFORMED_ROW),
    ]
    assert all("person" not in problem.where for problem in source.problems)
    assert [problem.subject for problem in source.problems] == ["person-00001", None, "person-00001"]


def test_a_folder_without_the_table_is_refused(tmp_path: Path) -> None:
    """Nothing generated yet: the error says what is missing."""
    with pytest.raises(BadInput, match=LABELS):
        read_synthetic(tmp_path)


def test_a_table_without_a_label_is_refused(tmp_path: Path) -> None:
    """A column of the labels must be there."""
    (tmp_path / LABELS).write_text("image,subject_id\n", encoding="utf-8")
    with pytest.raises(BadInput, match="age_group"):
        read_synthetic(tmp_path)
