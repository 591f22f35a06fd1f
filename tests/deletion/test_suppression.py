"""The suppression list: what goes in comes out, nothing is lost, and strangers learn nothing from it."""

from __future__ import annotations

import io
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dlfd_ops.data.identity import SecretKey
from dlfd_ops.data.subjects import Subject
from dlfd_ops.deletion.perceptual import NEAR_BITS, mask, near_pairs, perceptual_hash, unmask
from dlfd_ops.deletion.suppression import (
    Suppressed,
    append_suppressed,
    check_same_key,
    read_suppression,
    suppress_sample,
    suppress_subject,
    without_suppressed,
)
from dlfd_ops.errors import BadInput

KEY, OTHER_KEY = SecretKey(b"k" * 32), SecretKey(b"o" * 32)
REQUEST, OTHER_REQUEST = "req-0123456789ab", "req-ba9876543210"
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
ENTRIES = st.lists(
    st.builds(
        lambda hash_, request: suppress_sample(KEY, hash_, request),
        st.sampled_from([digit * 64 for digit in "0123456"]),
        st.sampled_from([REQUEST, OTHER_REQUEST]),
    )
    | st.builds(lambda hash_: suppress_subject(KEY.key_id, hash_, REQUEST), HEX),
    max_size=8,
)


def sample(name: str) -> str:
    """Return a sample id."""
    return KEY.sample_id(name.encode())


def person(*names: str, photos: tuple[str, ...]) -> Subject:
    """Return a person under all their names."""
    keys = tuple(sorted(KEY.subject_key(name) for name in names))
    return Subject(keys[0], keys, tuple(sorted(map(sample, photos))), frozenset(), names[0])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the list lies in a repository."""
    return tmp_path / "deletion/suppression.csv"


@settings(max_examples=25)  # each example writes files durably
@given(first=ENTRIES, second=ENTRIES)
def test_appending_adds_each_entry_once_in_any_order(
    first: list[Suppressed], second: list[Suppressed], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The file depends on the set of entries only, and the number of new ones is told."""
    root = tmp_path_factory.mktemp("list")
    one, other = root / "a/suppression.csv", root / "b/suppression.csv"
    added = append_suppressed(first, one) + append_suppressed(second, one)
    append_suppressed([*reversed(second), *first, *first], other)
    assert one.read_bytes() == other.read_bytes()
    assert set(read_suppression(one)) == {*first, *second}
    assert added == len(read_suppression(one))


def test_a_missing_list_is_an_error_and_an_empty_one_is_made(path: Path) -> None:
    """A list that was lost must not look like one on which nobody stands."""
    with pytest.raises(BadInput):
        read_suppression(path)
    append_suppressed([], path)
    assert read_suppression(path) == ()


def _append(path: Path, number: int) -> None:
    append_suppressed([suppress_sample(KEY, sample(f"{number}"), REQUEST)], path)


def test_nothing_is_lost_when_two_add_at_once(path: Path) -> None:
    """Eight processes that add an entry each leave eight entries."""
    context = multiprocessing.get_context("fork")
    started = [context.Process(target=_append, args=(path, number)) for number in range(8)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert {entry.keyed_hash for entry in read_suppression(path)} == {sample(f"{number}") for number in range(8)}


HEADER = "kind,keyed_hash,perceptual,request_id,key_id\n"
ROW = f"sample,{'a' * 64},,{REQUEST},{KEY.key_id}\n"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", 1),
        ("kind,hash\n", 1),
        (HEADER + ROW + ROW, 3),
        (HEADER + ROW.replace("sample", "person"), 2),
        (HEADER + ROW.replace("a" * 64, "Jane Doe"), 2),
        (HEADER + ROW + "subject\n", 3),
        (HEADER + ROW.replace("\n", ",more\n"), 2),
        (HEADER + f"subject,{'a' * 64},{'b' * 64},{REQUEST},{KEY.key_id}\n", 2),
        (HEADER + '"', 1),
        (HEADER + "\0\n", 2),
    ],
)
def test_a_damaged_list_is_refused_by_line(path: Path, content: str, line: int) -> None:
    """One line names the place and nothing of the content."""
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(BadInput) as raised:
        read_suppression(path)
    assert f"line {line} " in str(raised.value)
    assert "Jane" not in str(raised.value)


def test_entries_of_another_key_are_refused() -> None:
    """They could not be recognised: both ids are named."""
    entry = suppress_subject(OTHER_KEY.key_id, "a" * 64, REQUEST)
    with pytest.raises(BadInput, match=f"{OTHER_KEY.key_id}.*{KEY.key_id}"):
        check_same_key([entry], KEY)


def test_a_person_goes_with_every_name_and_photo() -> None:
    """By any name of theirs, and by a photo that went with them, delivered under another name."""
    entries = [
        suppress_subject(KEY.key_id, KEY.subject_key("ann"), REQUEST),
        suppress_sample(KEY, sample("ann 1"), REQUEST),
    ]
    known = person("ann", "anna", photos=("ann 2",))
    renamed = person("zoe", photos=("ann 1", "ann 3"))
    stranger = person("bob", photos=("bob 1",))
    assert without_suppressed([known, renamed, stranger], entries) == [stranger]


def test_a_photo_asked_for_alone_goes_alone() -> None:
    """Its person keeps the other photos, key and place; a person without a photo is no person."""
    entries = [suppress_sample(KEY, sample(name), OTHER_REQUEST) for name in ("ann 1", "bob 1")]
    entries.append(suppress_subject(KEY.key_id, KEY.subject_key("cleo"), REQUEST))
    ann = person("ann", photos=("ann 1", "ann 2"))
    kept = without_suppressed([ann, person("bob", photos=("bob 1",))], entries)
    assert [(one.subject_key, one.sample_ids) for one in kept] == [(ann.subject_key, (sample("ann 2"),))]


def photo(seed: int) -> Image.Image:
    """Return smooth content of its own for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC)


def test_another_encoding_is_near_and_another_photo_is_not(tmp_path: Path) -> None:
    """JPEG at quality 60 stays within the limit; forty other images lie outside of it."""
    hashes = []
    for seed in range(40):
        photo(seed).save(tmp_path / "image.png")
        hashes.append(perceptual_hash(tmp_path / "image.png"))
    encoded = io.BytesIO()
    photo(7).save(encoded, "JPEG", quality=60)
    Image.open(encoded).save(tmp_path / "again.png")
    pairs = near_pairs(hashes, [perceptual_hash(tmp_path / "again.png")])
    assert [(image, other) for image, other, _ in pairs] == [(7, 0)]
    assert 0 <= pairs[0][2] <= NEAR_BITS
    assert near_pairs([], hashes) == near_pairs(hashes, []) == []


@given(content=st.binary(min_size=32, max_size=32), samples=st.tuples(HEX, HEX).filter(lambda two: two[0] != two[1]))
def test_a_masked_hash_needs_the_key(content: bytes, samples: tuple[str, str]) -> None:
    """It comes back with the key, not with another, and one content looks different on every sample."""
    masked = mask(KEY, samples[0], content)
    assert unmask(KEY, samples[0], masked) == content
    assert unmask(OTHER_KEY, samples[0], masked) != content
    assert mask(KEY, samples[1], content) != masked
