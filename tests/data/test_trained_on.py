"""What the original was trained on: the record holds where later data say otherwise."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlfd_ops.data.manifest import SPLITS, Manifest, ManifestInfo
from dlfd_ops.data.trained_on import LATER, TrainedOn, read_trained_on, trained_on, write_trained_on
from dlfd_ops.errors import BadInput

KEY_ID = "0" * 16
PEOPLE = st.dictionaries(
    st.integers(0, 9), st.tuples(st.integers(0, 4), st.sampled_from(SPLITS)), max_size=10
)  # photo -> (person, split of the person as far as it counts)


def data(*photos: tuple[str, str, str], key_id: str = KEY_ID) -> Manifest:
    """Return a manifest of (photo, person, split)."""
    rows = pd.DataFrame(photos, columns=["sample_id", "subject_key", "split"])
    rows.insert(1, "path", rows["sample_id"])
    rows = rows.sort_values("sample_id").reset_index(drop=True)
    return Manifest(rows, ManifestInfo("tiny", key_id, 8, {}), Path())


def splits(manifest: Manifest) -> dict[str, str]:
    """Return photo -> split."""
    return dict(zip(manifest.rows["sample_id"], manifest.rows["split"], strict=True))


FIRST = data(("a1", "a", "train"), ("a2", "a", "train"), ("b1", "b", "train"), ("t1", "t", "test"))
RECORD = trained_on(FIRST.split("train"))


def test_the_data_that_it_was_trained_on_are_as_they_are() -> None:
    """Nothing moves before a new delivery comes."""
    pd.testing.assert_frame_equal(RECORD.as_split(FIRST, {}).rows, FIRST.rows)
    assert RECORD.as_split(FIRST, {}).digest() == FIRST.digest()


def test_newcomers_are_no_training_samples() -> None:
    """A new person in train, and a further photo of a known person, stand apart; a new stranger is a stranger."""
    second = data(
        ("a1", "a", "train"),
        ("a2", "a", "train"),
        ("a3", "a", "train"),
        ("b1", "b", "train"),
        ("n1", "n", "train"),
        ("s1", "s", "anchor"),
        ("t1", "t", "test"),
    )
    found = splits(RECORD.as_split(second, {}))
    assert found == splits(FIRST) | {"a3": LATER, "n1": LATER, "s1": "anchor"}


def test_whoever_moved_to_another_split_is_known_all_the_same() -> None:
    """A row that shows a known photo under a second name makes two people one, and may redraw their split."""
    merged = data(("a1", "a", "test"), ("a2", "a", "test"), ("b1", "b", "train"), ("t1", "a", "test"))
    assert splits(RECORD.as_split(merged, {})) == {"a1": "train", "a2": "train", "b1": "train", "t1": LATER}


def test_a_person_whose_known_photos_are_gone_is_no_stranger() -> None:
    """The original saw another photo of them."""
    assert splits(RECORD.as_split(data(("b2", "b", "validation"), ("a1", "a", "anchor")), {})) == {
        "b2": LATER,
        "a1": "train",
    }


@given(before=PEOPLE, after=PEOPLE)
def test_nobody_whom_it_knows_stands_for_a_stranger(
    before: dict[int, tuple[int, str]], after: dict[int, tuple[int, str]]
) -> None:
    """Whatever comes: train is what it saw and is there, others of these people stand apart, and the rest stays."""
    first, second = (
        data(*((f"photo {photo}", f"person {who}", split) for photo, (who, split) in people.items()))
        for people in (before, after)
    )
    record = trained_on(first.split("train"))
    known = record.as_split(second, {})
    seen, people = set(record.rows["sample_id"]), set(record.rows["subject_key"])
    people |= set(second.only(seen).rows["subject_key"])
    assert set(known.split("train").rows["sample_id"]) == seen & set(second.rows["sample_id"])
    strangers = known.split("anchor", "validation", "test").rows
    assert people.isdisjoint(strangers["subject_key"])
    assert splits(second).items() >= dict(zip(strangers["sample_id"], strangers["split"], strict=True)).items()
    pd.testing.assert_frame_equal(record.as_split(known, {}).rows, known.rows)


def test_what_the_data_no_longer_have_is_told_by_the_names_of_today() -> None:
    """Photos that are gone, by the person that stands there now."""
    known = RECORD.as_split(data(("a1", "z", "test"), ("b1", "b", "train"), ("n1", "n", "train")), {"a": "z"})
    gone = RECORD.gone_from(known, {"a": "z"})
    assert gone.to_dict("records") == [{"sample_id": "a2", "subject_key": "z", "split": "train"}]
    assert RECORD.gone_from(RECORD.as_split(FIRST, {}), {}).empty


def test_a_further_photo_of_somebody_who_has_another_name_by_now_is_no_strangers() -> None:
    """The photo that it saw is gone, and the name was merged into another one."""
    assert splits(RECORD.as_split(data(("a9", "z", "test"), ("b1", "b", "train")), {"a": "z"})) == {
        "a9": LATER,
        "b1": "train",
    }


def test_photos_and_people_are_taken_out() -> None:
    """By photo and by person; who is not on the record changes nothing, not even the digest."""
    assert list(RECORD.without({"a1"}, {"b"}, FIRST).rows["sample_id"]) == ["a2"]
    assert RECORD.without({"x"}, {"y"}, FIRST).digest() == RECORD.digest()
    assert RECORD.without({"a1"}, set(), FIRST).digest() != RECORD.digest()


def test_who_was_one_with_somebody_erased_stays() -> None:
    """They shared a photo when the original was trained, and are two people by now: the other one is known still."""
    record = trained_on(data(("a1", "a", "train"), ("b1", "a", "train"), ("link", "a", "train"), ("c1", "c", "train")))
    today = data(("a1", "a", "train"), ("b1", "b", "test"), ("c1", "c", "train"))
    left = record.without({"a1"}, {"a"}, today)
    assert dict(zip(left.rows["sample_id"], left.rows["subject_key"], strict=True)) == {"b1": "b", "c1": "c"}
    assert splits(left.as_split(today, {}))["b1"] == "train"
    without_them = data(("b1", "b", "test"), ("c1", "c", "train"))
    assert left.without({"a1"}, {"a"}, without_them).digest() == left.digest()


def test_another_key_is_refused() -> None:
    """Nobody could be recognised: everybody would pass for a stranger."""
    with pytest.raises(BadInput, match=f"the data with key {'1' * 16}, the record with key {KEY_ID}"):
        RECORD.as_split(data(("a1", "a", "train"), key_id="1" * 16), {})


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Also a record of nobody."""
    for record in (RECORD, RECORD.without(set(), {"a", "b"}, FIRST)):
        write_trained_on(record, tmp_path / "record.parquet")
        found = read_trained_on(tmp_path / "record.parquet")
        assert (found.digest(), len(found), found.key_id) == (record.digest(), len(record), KEY_ID)


@pytest.mark.parametrize(
    "columns",
    [
        {"sample_id": ["a", "a"], "subject_key": ["1", "1"]},
        {"sample_id": ["a", None], "subject_key": ["1", "1"]},
        {"sample_id": ["a", "b"], "subject_key": [1, 2]},
        {"sample_id": ["a", "b"]},
        {"sample_id": ["a"], "subject_key": ["1"], "name": ["n"]},
    ],
)
def test_another_table_is_refused(tmp_path: Path, columns: dict[str, list[object]]) -> None:
    """A photo twice, a gap, another type, a missing or a further column."""
    path = tmp_path / "record.parquet"
    table = pa.table(columns).replace_schema_metadata({b"dlfd_ops": b'{"key_id": "0"}'})
    pq.write_table(table, path)
    with pytest.raises(BadInput, match="must be the record of what the original was trained on"):
        read_trained_on(path)


@pytest.mark.parametrize("content", [None, b"", b"PAR1"])
def test_no_table_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A missing, empty or foreign file."""
    path = tmp_path / "record.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match="must be"):
        read_trained_on(path)


def test_a_table_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """These columns without our metadata are not ours."""
    path = tmp_path / "record.parquet"
    pq.write_table(pa.table({"sample_id": ["a"], "subject_key": ["1"]}), path)
    with pytest.raises(BadInput, match="must be the record"):
        read_trained_on(path)


def test_the_digest_does_not_depend_on_the_order() -> None:
    """It is of what is in the record."""
    assert TrainedOn(RECORD.rows[::-1], KEY_ID).digest() == RECORD.digest()
