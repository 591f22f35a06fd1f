"""The membership attack: known answers, identities, and scikit-learn and SciPy as oracles."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score, roc_curve

from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.membership import Losses, attack_accuracy, auc_standard_error, roc

# Few distinct values, so that ties within and across the sets are common.
TIED = st.lists(st.integers(0, 9).map(float), min_size=1, max_size=30).map(np.array)


def _drawn(count: int, *, mean: float = 0.0, seed: int = 0) -> Losses:
    return np.exp(np.random.default_rng(seed).normal(mean, 1, count))


def test_separable_losses_are_a_perfect_attack() -> None:
    """Members all below unseen: AUC 1, every member found without a false alarm, accuracy near 1."""
    members, unseen = np.linspace(0, 0.1, 200), np.linspace(5, 6, 200)
    curve = roc(members, unseen)
    assert curve.auc == 1
    assert curve.tpr_at(0.0) == 1
    assert attack_accuracy(members, unseen, splits=10, seed=0) > 0.99


def test_higher_losses_of_members_are_seen_by_accuracy_and_lie_below_half_in_auc() -> None:
    """Overshooting gives the forgotten away just as well; the AUC shows the direction."""
    members, unseen = np.linspace(5, 6, 200), np.linspace(0, 0.1, 200)
    assert roc(members, unseen).auc == 0
    assert attack_accuracy(members, unseen, splits=10, seed=0) > 0.99


def test_one_distribution_is_chance() -> None:
    """Two samples of one distribution: about 0.5; the same losses twice: an AUC of exactly 0.5."""
    members, unseen = _drawn(2000), _drawn(2000, seed=1)
    assert attack_accuracy(members, unseen, splits=10, seed=0) == pytest.approx(0.5, abs=0.04)
    assert roc(members, members).auc == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize(("members", "unseen"), [(3000, 300), (300, 3000)])
def test_accuracy_on_unbalanced_sets_is_not_the_class_prior(members: int, unseen: int) -> None:
    """Without balancing this attack would score 10/11; with it, chance."""
    found = attack_accuracy(_drawn(members), _drawn(unseen, seed=1), splits=10, seed=0)
    assert found == pytest.approx(0.5, abs=0.08)


def test_accuracy_says_something_about_the_losses_and_not_about_the_draw() -> None:
    """Of unbalanced sets each split draws its own part: another seed gives the same accuracy within a hundredth."""
    members, unseen = _drawn(400, mean=-0.2), _drawn(1600, seed=1)
    found = [attack_accuracy(members, unseen, splits=100, seed=seed) for seed in range(6)]
    assert max(found) - min(found) < 0.01


def test_equal_losses_are_exactly_chance() -> None:
    """An attack that can see nothing scores 0.5, not nearly 0.5, in both readings."""
    losses = np.full(57, 0.3)
    assert attack_accuracy(losses, losses, splits=10, seed=0) == 0.5
    assert roc(losses, losses).auc == 0.5


@given(TIED, TIED)
def test_auc_is_the_chance_that_a_member_has_the_lower_loss(members: Losses, unseen: Losses) -> None:
    """The Mann-Whitney identity, ties counted half; SciPy and scikit-learn agree."""
    below = (members[:, None] < unseen[None, :]).mean()
    equal = (members[:, None] == unseen[None, :]).mean()
    auc = roc(members, unseen).auc
    assert auc == pytest.approx(below + equal / 2)
    assert auc == pytest.approx(mannwhitneyu(unseen, members).statistic / (members.size * unseen.size))
    labels = np.repeat([1, 0], [members.size, unseen.size])
    assert auc == pytest.approx(roc_auc_score(labels, -np.concatenate([members, unseen])))


@given(TIED, TIED)
def test_auc_changes_sides_with_the_sets(members: Losses, unseen: Losses) -> None:
    """Swapping members and unseen mirrors the AUC at 0.5."""
    assert roc(members, unseen).auc + roc(unseen, members).auc == pytest.approx(1)


@given(TIED, TIED)
def test_only_the_order_of_losses_matters(members: Losses, unseen: Losses) -> None:
    """The ROC is that of any increasing function of the loss."""
    plain, mapped = roc(members, unseen), roc(np.expm1(members), np.expm1(unseen))
    assert np.array_equal(plain.fpr, mapped.fpr)
    assert np.array_equal(plain.tpr, mapped.tpr)


@given(TIED, TIED, st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.25, 0.5, 1.0]))
def test_rate_at_few_false_alarms_is_the_best_of_scikit_learns_thresholds(
    members: Losses, unseen: Losses, limit: float
) -> None:
    """No threshold with fewer false alarms than allowed recognises more members."""
    labels = np.repeat([1, 0], [members.size, unseen.size])
    fpr, tpr, _ = roc_curve(labels, -np.concatenate([members, unseen]), drop_intermediate=False)
    assert roc(members, unseen).tpr_at(limit) == pytest.approx(tpr[fpr <= limit + 1e-12].max())


@given(TIED, TIED)
def test_rates_rise_together_from_nobody_to_everybody(members: Losses, unseen: Losses) -> None:
    """A ROC is monotone from (0, 0) to (1, 1)."""
    curve = roc(members, unseen)
    assert (curve.fpr[0], curve.tpr[0], curve.fpr[-1], curve.tpr[-1]) == (0, 0, 1, 1)
    assert (np.diff(curve.fpr) >= 0).all()
    assert (np.diff(curve.tpr) >= 0).all()


def test_one_of_a_hundred_counts_as_one_percent() -> None:
    """The limit is met exactly, without a rounding rest: 1 of 100 is allowed at 0.01, 2 are not."""
    unseen = np.arange(100, dtype=np.float64)
    assert roc(np.array([0.5]), unseen).tpr_at(0.01) == 1
    assert roc(np.array([1.5]), unseen).tpr_at(0.01) == 0


def test_small_unseen_set_gives_the_rate_without_any_false_alarm() -> None:
    """With fewer than 1 / FPR unseen samples no false alarm is allowed at all: a tie with one does not count."""
    members, unseen = np.array([0.0, 1.0, 2.0, 9.0]), np.array([2.0, 3.0, 4.0])
    assert roc(members, unseen).tpr_at(0.01) == 0.5


@given(st.integers(2, 12), st.integers(2, 12))
@settings(deadline=None, max_examples=25)
def test_small_sets_are_attacked_without_a_complaint(members: int, unseen: int) -> None:
    """From two samples a side the attack runs, and its accuracy is a share."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = attack_accuracy(_drawn(members), _drawn(unseen, seed=1), splits=3, seed=0)
    assert 0 <= found <= 1


@pytest.mark.parametrize("members", [0, 1])
def test_too_few_members_are_chance(members: int) -> None:
    """Nothing to train the attack on: chance, as the documentation states."""
    assert attack_accuracy(_drawn(members), _drawn(50), splits=10, seed=0) == 0.5


def test_no_members_at_all_are_the_chance_line() -> None:
    """An empty forget set has an AUC of 0.5 and nobody recognised."""
    curve = roc(np.array([]), _drawn(10))
    assert curve.auc == 0.5
    assert curve.tpr_at(0.01) == 0


def test_seed_decides() -> None:
    """The same seed gives the same accuracy; another one another draw of the larger set."""
    members, unseen = _drawn(60, mean=-0.5), _drawn(600, seed=1)
    first, again, other = (attack_accuracy(members, unseen, splits=10, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_losses_of_a_ruined_model_are_still_read() -> None:
    """Losses many orders of magnitude apart break nothing."""
    members, unseen = np.geomspace(1e-30, 1e4, 50), np.geomspace(1e-3, 1e5, 50)
    assert 0 <= attack_accuracy(members, unseen, splits=10, seed=0) <= 1
    assert roc(members, unseen).auc > 0.5


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_losses_that_are_not_finite_are_refused(broken: float) -> None:
    """A diverged model is an error with a remedy, on either side and in either reading."""
    bad, good = np.array([0.1, broken]), np.array([0.1, 0.2])
    for members, unseen in ((bad, good), (good, bad)):
        with pytest.raises(BadInput, match="finite; received 1 of 4"):
            roc(members, unseen)
        with pytest.raises(BadInput, match="finite; received 1 of 4"):
            attack_accuracy(members, unseen, splits=10, seed=0)


def test_an_empty_unseen_set_is_refused() -> None:
    """Without people never seen there is no attack."""
    with pytest.raises(BadInput, match="needs unseen images"):
        roc(_drawn(5), np.array([]))
    with pytest.raises(BadInput, match="needs unseen images"):
        attack_accuracy(_drawn(5), np.array([]), splits=10, seed=0)


def test_the_error_at_chance_is_that_of_ranks() -> None:
    """At 0.5 the formula is the variance of the Mann-Whitney statistic: 20 photos against many give 0.066."""
    assert auc_standard_error(0.5, 30, 200) == pytest.approx(np.sqrt((30 + 200 + 1) / (12 * 30 * 200)))
    assert auc_standard_error(0.5, 20, 500) == pytest.approx(0.066, abs=1e-3)
    assert auc_standard_error(0.5, 0, 500) == 0


@given(st.floats(0, 1), st.integers(1, 500), st.integers(1, 500))
def test_the_error_does_not_ask_who_is_who(auc: float, members: int, unseen: int) -> None:
    """Exchanging the two sets turns the AUC over and leaves its error; no error is above a half."""
    error = auc_standard_error(auc, members, unseen)
    assert 0 <= error <= 0.5
    assert auc_standard_error(1 - auc, unseen, members) == pytest.approx(error, abs=1e-7)


def test_the_error_is_how_far_an_auc_is_off() -> None:
    """Over many draws of exponential losses, as the formula assumes, AUCs scatter by what it says."""
    generator = np.random.default_rng(0)
    drawn = [roc(generator.exponential(0.5, 20), generator.exponential(1.0, 100)).auc for _ in range(2000)]
    assert np.std(drawn) == pytest.approx(auc_standard_error(float(np.mean(drawn)), 20, 100), rel=0.1)
