"""How many independent photos a set is worth, against published and drawn cases with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlfd_ops.evaluation.effective_size import (
    FEWEST_PEOPLE,
    auc_error_by_people,
    effective_size,
    intraclass_correlation,
    loss_likeness,
)
from dlfd_ops.evaluation.membership import auc_standard_error, roc

PHOTOS = st.lists(st.integers(1, 9), min_size=1, max_size=20)


def people_with(photos: list[int], prefix: str = "person") -> list[str]:
    """Return whose photo each is: ``photos[0]`` of the first person, and so on."""
    return [f"{prefix}-{person:03d}" for person, count in enumerate(photos) for _ in range(count)]


def alike(people: list[str], likeness: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return normal losses of which ``likeness`` of the variance is the person's."""
    places = np.unique(people, return_inverse=True)[1]
    own = generator.normal(size=places.max() + 1)[places]
    drawn: NDArray[np.float64] = np.sqrt(likeness) * own + np.sqrt(1 - likeness) * generator.normal(size=len(people))
    return drawn


def test_the_correlation_is_that_of_the_literature(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six targets by four judges (Shrout & Fleiss 1979, Psychological Bulletin 86:420-428): 0.17."""
    monkeypatch.setattr("dlfd_ops.evaluation.effective_size.FEWEST_PEOPLE", 6)
    ratings = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    found = intraclass_correlation(np.array(ratings, dtype=float).ravel(), people_with([4] * 6))
    assert found == pytest.approx(0.166, abs=5e-4)


@pytest.mark.parametrize("likeness", [0.0, 0.3, 0.7])
def test_the_correlation_is_found_again(likeness: float) -> None:
    """Among people with one to eight photos, in the values as in their ranks, to what so many people are good for."""
    generator = np.random.default_rng(1)
    people = people_with(list(generator.integers(1, 9, size=2000)))
    losses = alike(people, likeness, generator)
    assert intraclass_correlation(losses, people) == pytest.approx(likeness, abs=0.03)
    assert loss_likeness(losses, people) == pytest.approx(likeness, abs=0.05)


def test_the_photos_of_a_person_may_be_all_the_same() -> None:
    """Then each person counts once."""
    people = people_with([3] * FEWEST_PEOPLE)
    assert intraclass_correlation(np.repeat(np.arange(FEWEST_PEOPLE) ** 2.0, 3), people) == 1
    assert effective_size(people, 1.0) == FEWEST_PEOPLE


@pytest.mark.parametrize(
    ("photos", "spread"), [([1] * 50, 1.0), ([30], 1.0), ([1] * 50 + [2] * (FEWEST_PEOPLE - 1), 1.0), ([2] * 50, 0.0)]
)
def test_who_can_t_tell_says_nothing(photos: list[int], spread: float) -> None:
    """One photo each, too few people with more, or one value: then the photos of a person are taken to be the same."""
    values = spread * np.random.default_rng(0).normal(size=sum(photos))
    assert intraclass_correlation(values, people_with(photos)) is None
    assert effective_size(people_with([4, 4]), None) == 2


def test_a_few_people_with_most_photos_do_not_bias_it() -> None:
    """Thirty people with one photo, ten with forty: in the mean over draws it is found again."""
    generator, people = np.random.default_rng(2), people_with([1] * 30 + [40] * 10)
    found = [intraclass_correlation(alike(people, 0.5, generator), people) for _ in range(300)]
    assert np.mean([one for one in found if one is not None]) == pytest.approx(0.48, abs=0.03)


def test_it_is_read_from_ranks_as_the_attack_is() -> None:
    """Losses in any unit, however long their tail, are as alike as before."""
    generator, people = np.random.default_rng(3), people_with([5] * 200)
    losses = alike(people, 0.5, generator)
    assert loss_likeness(np.exp(4 * losses), people) == loss_likeness(losses, people)


@given(PHOTOS, st.floats(0, 1), st.floats(0, 1))
def test_the_more_alike_the_fewer(photos: list[int], one: float, other: float) -> None:
    """Between one and all photos; with one photo each, all of them."""
    people = people_with(photos)
    low, high = sorted((one, other))
    assert 1 - 1e-9 <= effective_size(people, high) <= effective_size(people, low) <= len(people)
    assert effective_size(people_with([1] * len(photos)), one) == len(photos)
    assert effective_size([], one) == 0


@pytest.mark.parametrize("photos", [[10], [10] * 8, [60, 20, 8, 5, 4, 3, 2, 2, 2, 1, 1, 1]])
def test_the_error_is_how_far_the_auc_of_people_is_off(photos: list[int]) -> None:
    """People who were forgotten scatter by it, be it one; by photos it would be half of that, or less."""
    generator = np.random.default_rng(0)
    members, unseen = people_with(photos, "member"), people_with([6] * 80, "unseen")
    aucs, errors = [], []
    for _ in range(400):
        losses = alike(unseen, 0.5, generator)
        aucs.append(roc(alike(members, 0.5, generator), losses).auc)
        errors.append(auc_error_by_people(0.5, members, unseen, loss_likeness(losses, unseen)))
    assert np.std(aucs) == pytest.approx(np.mean(errors), rel=0.12)
    assert auc_standard_error(0.5, len(members), len(unseen)) < 0.6 * np.std(aucs)
