"""Who is who: merging names by shared photos, and what a photo's rows agree on."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlfd_ops.data.subjects import Sighting, agree_labels, alias_table, merge_subjects, read_aliases, write_aliases
from dlfd_ops.errors import BadInput


def sighting(photo: str, name: str | None, label: str = "a", split: str | None = None) -> Sighting:
    """Return a row; names and photos stand for their own hashes."""
    return Sighting(photo, name, {"age": label}, split, f"name {name}" if name else f"photo {photo}")


rows = st.lists(
    st.builds(sighting, st.sampled_from("123456789"), st.none() | st.sampled_from("ABCDEFG"), split=st.none()),
    max_size=30,
)


def test_names_that_share_a_photo_are_one_person() -> None:
    """Also over a chain of names; the person has all photos and is named by the smallest hash."""
    people = merge_subjects(
        [sighting("1", "C"), sighting("1", "B"), sighting("2", "B"), sighting("2", "A"), sighting("3", "D")]
    )
    assert [(person.subject_key, person.aliases, person.sample_ids) for person in people] == [
        ("A", ("A", "B", "C"), ("1", "2")),
        ("D", ("D",), ("3",)),
    ]
    assert alias_table(people) == {"B": "A", "C": "A"}


def test_a_photo_without_a_name_is_its_own_person() -> None:
    """Until another row names it: then it is that person's."""
    people = merge_subjects([sighting("1", None), sighting("2", None), sighting("2", "A")])
    assert {person.subject_key: person.aliases for person in people} == {"1": (), "A": ("A",)}
    assert alias_table(people) == {}


def test_published_parts_are_gathered_over_all_names() -> None:
    """A person under two names in two parts stands in both."""
    (person,) = merge_subjects([sighting("1", "A", split="train"), sighting("1", "B", split="test")])
    assert person.splits == {"train", "test"}


@settings(deadline=None)
@given(rows)
def test_people_partition_names_and_photos(sightings: list[Sighting]) -> None:
    """Every photo and every name belongs to exactly one person, and rows link only people's own."""
    people = merge_subjects(sightings)
    photos = [photo for person in people for photo in person.sample_ids]
    names = [name for person in people for name in person.aliases]
    assert sorted(photos) == sorted({row.sample_id for row in sightings})
    assert sorted(names) == sorted({row.subject_key for row in sightings if row.subject_key})
    for row in sightings:
        (owner,) = [person for person in people if row.sample_id in person.sample_ids]
        assert row.subject_key is None or row.subject_key in owner.aliases


@settings(deadline=None)
@given(rows, st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(sightings: list[Sighting], generator: random.Random) -> None:
    """The same rows in another order, some twice, are the same people."""
    shuffled = sightings + sightings[:3]
    generator.shuffle(shuffled)
    assert merge_subjects(shuffled) == merge_subjects(sightings)


def test_the_majority_of_rows_labels_a_photo() -> None:
    """Ties go to the class that comes first; photos whose rows disagree are counted."""
    classes = {"age": ("young", "old")}
    labels, conflicts = agree_labels(
        [
            sighting("1", "A", "old"),
            sighting("1", "B", "old"),
            sighting("1", "C", "young"),
            sighting("2", "A", "old"),
            sighting("2", "B", "young"),
            sighting("3", "A", "old"),
            sighting("3", "B", "old"),
        ],
        classes,
    )
    assert labels == {"1": {"age": "old"}, "2": {"age": "young"}, "3": {"age": "old"}}
    assert conflicts == 2


def test_aliases_are_read_back_by_the_forget_list(tmp_path: Path) -> None:
    """What prepare writes, deletion resolves by; also where nobody was merged."""
    for table in ({"b" * 64: "a" * 64, "c" * 64: "a" * 64}, {}):
        write_aliases(table, tmp_path / "aliases.csv")
        assert read_aliases(tmp_path / "aliases.csv") == table


def test_aliases_are_read_or_empty(tmp_path: Path) -> None:
    """No file is no alias; another format is bad input."""
    path = tmp_path / "aliases.csv"
    assert read_aliases(path) == {}
    path.write_text(f"alias_key,subject_key\n{'9' * 64},{'b' * 64}\n")
    assert read_aliases(path) == {"9" * 64: "b" * 64}
    for content in ("", "a,b\n", "alias_key,subject_key\nonly one\n"):
        path.write_text(content)
        with pytest.raises(BadInput, match="run the prepare stage"):
            read_aliases(path)
