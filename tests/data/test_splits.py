"""The laws of the splits: nobody in two, shares up to chance, nothing but seed and subject decides."""

from __future__ import annotations

import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dlfd_ops.data.manifest import SPLITS
from dlfd_ops.data.splits import assign_published_splits, assign_splits
from dlfd_ops.errors import BadInput

SHARES = {"train": 0.7, "anchor": 0.1, "validation": 0.1, "test": 0.1}


@st.composite
def shares(draw: st.DrawFn) -> dict[str, float]:
    """Four shares of at least 5% that sum to one."""
    weights = [draw(st.integers(5, 100)) for _ in SPLITS]
    assume(min(weights) / sum(weights) >= 0.05)
    return {split: weight / sum(weights) for split, weight in zip(SPLITS, weights, strict=True)}


@settings(deadline=None, max_examples=30)
@given(shares(), st.integers(400, 800), st.integers(0, 2**31 - 1))
def test_shares_hold_up_to_chance(parts: dict[str, float], number: int, seed: int) -> None:
    """Everybody has one split, and no split is off its share by more than five standard deviations."""
    subjects = [f"subject {index}" for index in range(number)]
    assigned = assign_splits(subjects, parts, seed)
    assert sorted(assigned) == sorted(subjects)
    for split in SPLITS:
        spread = (number * parts[split] * (1 - parts[split])) ** 0.5
        assert abs(list(assigned.values()).count(split) - parts[split] * number) <= 5 * spread + 1


@settings(deadline=None)
@given(st.integers(0, 1000), st.randoms(use_true_random=False))
def test_erasing_people_moves_nobody_else(seed: int, generator: random.Random) -> None:
    """Whoever stays keeps the split, whoever else goes."""
    subjects = [str(index) for index in range(200)]
    staying = [subject for subject in subjects if generator.random() < 0.7]
    before, after = assign_splits(subjects, SHARES, seed), assign_splits(staying, SHARES, seed)
    assert after == {subject: before[subject] for subject in staying}


@settings(deadline=None)
@given(st.sets(st.text(max_size=5), max_size=50), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(subjects: set[str], generator: random.Random) -> None:
    """The same subjects in any order, some twice, get the same splits."""
    subjects |= {str(index) for index in range(100)}  # of whom each split gets some: an empty one is refused
    shuffled = sorted(subjects) + sorted(subjects)[:5]
    generator.shuffle(shuffled)
    assert assign_splits(shuffled, SHARES, 3) == assign_splits(subjects, SHARES, 3)


def test_the_seed_decides() -> None:
    """The same seed repeats the draw, another one changes it."""
    subjects = [str(index) for index in range(100)]
    assert assign_splits(subjects, SHARES, 1) == assign_splits(subjects, SHARES, 1)
    assert assign_splits(subjects, SHARES, 1) != assign_splits(subjects, SHARES, 2)


def test_an_empty_split_is_refused() -> None:
    """Two subjects can't fill four splits; the error says which stay empty."""
    with pytest.raises(BadInput, match="validation"):
        assign_splits(["a", "b"], SHARES, 1)


@settings(deadline=None)
@given(st.integers(150, 300), st.integers(0, 1000))
def test_published_parts_hold(number: int, seed: int) -> None:
    """Train people are train or anchor, others stay in their first part."""
    generator = random.Random(seed)
    parts_of = [frozenset({"train"})] * 3 + [frozenset({"validation"}), frozenset({"test"})]
    parts_of += [frozenset({"train", "test"}), frozenset({"validation", "test"})]
    published = {str(index): parts_of[index % 7] for index in range(number)}
    items = list(published.items())
    generator.shuffle(items)
    assigned = assign_published_splits(published, SHARES, seed)
    assert assigned == assign_published_splits(dict(items), SHARES, seed)
    for subject, parts in published.items():
        if "train" in parts:
            assert assigned[subject] in {"train", "anchor"}
        else:
            assert assigned[subject] == ("validation" if "validation" in parts else "test")
    assert "anchor" in assigned.values()


def test_an_unpublished_validation_part_is_drawn_from_train() -> None:
    """RAF-DB publishes train and test only: validation and anchor take their shares of the train people."""
    published = {str(index): frozenset({"train" if index < 900 else "test"}) for index in range(1000)}
    assigned = assign_published_splits(published, SHARES, 0)
    sizes = {split: list(assigned.values()).count(split) for split in SPLITS}
    assert sizes == pytest.approx({"train": 700, "anchor": 100, "validation": 100, "test": 100}, abs=40)
    assert all(assigned[str(index)] == "test" for index in range(900, 1000))


@pytest.mark.parametrize("held_out", [("validation", "test"), ("test",)])
def test_what_an_original_has_seen_stays_in_train(held_out: tuple[str, ...]) -> None:
    """For a model that was trained elsewhere, everybody of train stays there: anchor people are held-out ones."""
    parts = ("train", "train", *held_out)
    published = {str(index): frozenset({parts[index % len(parts)]}) for index in range(400)}
    assigned = assign_published_splits(published, SHARES, 0, draw_from="held_out")
    assert set(assigned.values()) == set(SPLITS)
    for subject, part in published.items():
        assert (assigned[subject] == "train") == (part == {"train"})
        assert part != {"test"} or "validation" not in held_out or assigned[subject] == "test"


def test_a_source_without_train_people_is_refused() -> None:
    """Nothing to train on, nothing to draw the anchor from."""
    with pytest.raises(BadInput, match="train"):
        assign_published_splits({"a": frozenset({"test"}), "b": frozenset({"validation"})}, SHARES, 0)
