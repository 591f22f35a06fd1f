"""Laws of the transport plan between the people to forget and unseen people."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlfd_ops.unlearning.dlfd import partners
from dlfd_ops.unlearning.dlfd.partners import Seen, draw_partners, rank_share, strangers_stood_for

SEEDS = st.integers(min_value=0, max_value=10_000)


def seen(count: int, seed: int, labels: torch.Tensor | None = None) -> Seen:
    """Return how a model sees ``count`` random samples."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, 4, generator=generator)
    losses = torch.rand(count, generator=generator)
    return Seen(features, rank_share(losses), torch.zeros(count, dtype=torch.int64) if labels is None else labels)


def draw(
    forget: Seen, unseen: Seen, *, weights: torch.Tensor | None = None, weight: float = 1.0, epsilon: float = 0.05
) -> torch.Tensor:
    """Return the partners, drawn with a fixed seed; an unseen sample stands for one stranger unless told otherwise."""
    return draw_partners(
        forget,
        unseen,
        weights=torch.ones(len(unseen)) if weights is None else weights,
        difficulty_weight=weight,
        epsilon=epsilon,
        generator=torch.Generator().manual_seed(0),
    )


def hard_ones(strangers: Seen) -> torch.Tensor:
    """Return rows of which three quarters are among the hardest quarter."""
    order = strangers.difficulty.argsort()
    return torch.cat([order[-len(order) // 4 :: 3], order[: -len(order) // 4 : 27]])


@given(values=st.lists(st.floats(-10, 10), min_size=1, max_size=30))
def test_rank_shares_are_a_permutation_in_the_order_of_the_values(values: list[float]) -> None:
    """Every rank from 0 to N - 1 is taken once, and a larger value never has a lower rank."""
    tensor = torch.tensor(values, dtype=torch.float64)
    ranks = rank_share(tensor)
    assert torch.allclose(ranks.sort().values * len(values), torch.arange(len(values), dtype=torch.float64))
    assert (tensor[ranks.argsort()].diff() >= 0).all()


@given(seed=SEEDS)
def test_a_partner_has_the_same_labels(seed: int) -> None:
    """Transport stays inside a combination of labels wherever an unseen person has it."""
    generator = torch.Generator().manual_seed(seed)
    for shape in ((12,), (12, 3)):
        forget_labels = torch.randint(0, 2, shape, generator=generator)
        anchor_labels = torch.cat([forget_labels, torch.randint(0, 2, shape, generator=generator)])
        forget, anchor = seen(12, seed, forget_labels), seen(24, seed + 1, anchor_labels)
        assert torch.equal(anchor.labels[draw(forget, anchor)], forget.labels)


def test_labels_that_no_unseen_person_has_take_any_partner() -> None:
    """A class without anchor samples is no error."""
    found = draw(seen(5, 0, torch.full((5,), 7)), seen(9, 1))
    assert ((found >= 0) & (found < 9)).all()


def test_a_combination_that_no_unseen_person_has_takes_the_nearest_ones() -> None:
    """Of several labels as many as possible are the partner's: a far one would teach the opposite."""
    unseen = torch.tensor([[1, 1, 1, 0], [0, 0, 0, 0], [1, 1, 0, 1], [0, 0, 1, 1]], dtype=torch.float32)
    found = draw(seen(20, 0, torch.ones(20, 4)), seen(4, 1, unseen))
    assert set(found.tolist()) == {0, 2}


def test_partners_are_as_the_unseen_are_not_as_the_nearest_is() -> None:
    """Uniform marginals: forget samples that all look like one unseen person are spread over all of them."""
    anchor = seen(40, 3)
    near = Seen(anchor.features[:1].repeat(40, 1), anchor.difficulty, anchor.labels)
    found = draw(near, anchor, weight=0.0)
    assert len(set(found.tolist())) > 15


def test_the_hard_meet_the_hard() -> None:
    """With a weight on difficulty the order of the partners follows that of the forget samples."""
    forget, anchor = seen(60, 5), seen(60, 6)
    matched = anchor.difficulty[draw(forget, anchor, weight=20.0)]
    correlation = torch.corrcoef(torch.stack([forget.difficulty, matched]))[0, 1]
    assert correlation > 0.95


@given(seed=SEEDS, classes=st.integers(1, 4))
def test_every_stranger_is_stood_for_once(seed: int, classes: int) -> None:
    """By an unseen sample of its labels; each of these stands for itself at least."""
    generator = torch.Generator().manual_seed(seed)
    strangers = seen(40, seed, torch.randint(0, classes, (40,), generator=generator))
    unseen = strangers[torch.randperm(40, generator=generator)[:15]]
    counts = strangers_stood_for(unseen, strangers.difficulty, strangers.labels)
    assert (counts >= 1).all()
    for kind in set(unseen.labels.tolist()):
        assert counts[unseen.labels == kind].sum() == (strangers.labels == kind).sum()


def test_hard_unseen_people_stand_for_strangers_as_hard_as_all() -> None:
    """Weighted, an unlucky draw of them is no harder than everybody: nor are the partners that it gives."""
    strangers, forget = seen(1080, 3), seen(400, 4)
    unseen = strangers[hard_ones(strangers)]
    counts = strangers_stood_for(unseen, strangers.difficulty, strangers.labels)
    assert unseen.difficulty.mean() > 0.7
    assert (counts * unseen.difficulty).sum() / counts.sum() == pytest.approx(0.5, abs=0.01)
    assert unseen.difficulty[draw(forget, unseen, weights=counts)].mean() == pytest.approx(0.5, abs=0.05)


def test_large_classes_are_cut_into_several_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded plans still give every sample a partner of its class."""
    monkeypatch.setattr(partners, "MAX_ROWS", 4)
    monkeypatch.setattr(partners, "MAX_COLUMNS", 6)
    labels = torch.arange(30) % 2
    forget, anchor = seen(30, 8, labels), seen(30, 9, labels)
    assert torch.equal(anchor.labels[draw(forget, anchor)], labels)
