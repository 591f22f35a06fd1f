"""What is found once it is known whose photo each is: stronger attacks, and how sure the numbers are.

The loss attack alone asks about a photo, without knowing how hard it is. Here the attacker has more: all photos of a
person, the features, reference models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dlfd_ops.evaluation.intervals import (
    HIGH,
    LOW,
    Intervals,
    Weights,
    bootstrap_intervals,
    weighted_auc,
    weighted_mean,
)
from dlfd_ops.evaluation.linear_probe import LinearProbe, linear_probe
from dlfd_ops.evaluation.membership import CHANCE, AttackTrials, Losses, roc
from dlfd_ops.evaluation.nomus import nomus
from dlfd_ops.evaluation.predictions import Predictions
from dlfd_ops.evaluation.reference_attacks import ReferenceLosses, calibrated_scores, rmia_scores
from dlfd_ops.evaluation.subjects import subject_means

Subjects = Mapping[str, Sequence[str]]
Scores = Mapping[str, tuple[Losses, Losses]]
"""By attack, (M,) values of the members and (U,) of the unseen people; lower says "member", as a loss does."""
_LOSS_ATTACK = "mia"


def person_metrics(
    predictions: Mapping[str, Predictions],
    subjects: Subjects,
    references: ReferenceLosses | None,
    trials: AttackTrials,
    *,
    seed: int,
) -> dict[str, float]:
    """Return the metrics that need to know whose photo each is.

    ``mia_subject_auc``: the loss attack on people, each by the mean over their photos. ``probe_auc``: of a linear probe
    on the features, where the predictions hold them. For the attack ``confidence``, with references also ``calibrated``
    and ``rmia``: ``<attack>_auc``, ``<attack>_subject_auc``, ``<attack>_tpr_at_fpr_0.01`` and
    ``<attack>_tpr_at_fpr_0.001``.

    Intervals of all AUCs, ``accuracy`` and ``nomus``, 95% over people: ``<metric>_low`` and ``<metric>_high``. A set of
    fewer than two people gives no probe and no interval; that of the accuracy needs the test set alone.

    Args:
        predictions: for "forget" and "test", with references for "validation".
        subjects: of "forget" and "test", the person of each photo.
        references: of models that never saw the forget set; none of them the model judged.
        trials: of the paper's attack on the same predictions.
        seed: of the resamples and of the probe's folds.

    Raises:
        BadInput: the references or the subjects do not fit the sets, or a loss is not finite.
    """
    scores = _scores(predictions, references)
    probe = _probe(predictions, subjects, seed)
    metrics = _attack_metrics(scores, subjects)
    if probe is not None:
        metrics["probe_auc"] = probe.auc
    intervals = {
        **_accuracy_interval(predictions, subjects, seed),
        **_photo_intervals(predictions, subjects, scores, trials=trials, probe=probe, seed=seed),
        **_subject_intervals(subjects, scores, seed),
    }
    return _with_ends(metrics, intervals)


def attack_metrics(name: str, members: Losses, unseen: Losses, subjects: Subjects, *, seed: int) -> dict[str, float]:
    """Return the metrics of one attack of the caller's own, named as those of :func:`person_metrics`.

    Args:
        name: of the attack.
        members: (M,) values of samples that were trained on; lower says "member".
        unseen: (U,) values of samples that nothing saw, U at least 1.
        subjects: of the members as "forget" and of the unseen as "test", the person of each.
        seed: of the resamples.

    Raises:
        BadInput: a value is not finite, or nobody is unseen.
    """
    scores = {name: (members, unseen)}
    metrics = _attack_metrics(scores, subjects)

    def statistics(of_members: Weights, of_unseen: Weights) -> dict[str, Losses]:
        return {f"{name}_auc": weighted_auc(members, unseen, of_members, of_unseen)}

    photos = bootstrap_intervals(statistics, subjects["forget"], subjects["test"], seed=seed)
    return _with_ends(metrics, {**photos, **_subject_intervals(subjects, scores, seed)})


def losses_of(predictions: Predictions) -> Losses:
    """Return the (N,) losses in double precision."""
    return predictions.loss.numpy().astype(np.float64)


def _doubts(predictions: Predictions) -> Losses:
    """Return one minus the (N,) confidences, means over the labels: all that is seen without knowing the truth.

    A member is what the model is sure about (Salem et al. 2019, arXiv 1806.01246, the third adversary).
    """
    doubts: Losses = 1 - predictions.confidence.numpy().astype(np.float64).mean(axis=1)
    return doubts


def _scores(predictions: Mapping[str, Predictions], references: ReferenceLosses | None) -> Scores:
    forget, test = losses_of(predictions["forget"]), losses_of(predictions["test"])
    doubts = (_doubts(predictions["forget"]), _doubts(predictions["test"]))
    scores = {_LOSS_ATTACK: (forget, test), "confidence": doubts}
    if references is not None:
        scores["calibrated"] = (
            -calibrated_scores(forget, references.forget),
            -calibrated_scores(test, references.test),
        )
        population = losses_of(predictions["validation"]), references.validation
        scores["rmia"] = (
            -rmia_scores(forget, references.forget, *population),
            -rmia_scores(test, references.test, *population),
        )
    return scores


def _attack_metrics(scores: Scores, subjects: Subjects) -> dict[str, float]:
    metrics = {}
    for name, (members, unseen) in scores.items():
        if name != _LOSS_ATTACK:
            attack = roc(members, unseen)
            metrics[f"{name}_auc"] = attack.auc
            metrics[f"{name}_tpr_at_fpr_0.01"] = attack.tpr_at(0.01)
            metrics[f"{name}_tpr_at_fpr_0.001"] = attack.tpr_at(0.001)
        metrics[f"{name}_subject_auc"] = roc(
            subject_means(members, subjects["forget"]).means, subject_means(unseen, subjects["test"]).means
        ).auc
    return metrics


def _probe(predictions: Mapping[str, Predictions], subjects: Subjects, seed: int) -> LinearProbe | None:
    forget, test = predictions["forget"].features, predictions["test"].features
    if forget is None or test is None:
        return None
    return linear_probe(forget.numpy(), test.numpy(), subjects["forget"], subjects["test"], seed=seed)


def _with_ends(metrics: dict[str, float], intervals: Intervals) -> dict[str, float]:
    ends = {name + end: value for name, both in intervals.items() for end, value in zip((LOW, HIGH), both, strict=True)}
    return {**metrics, **ends}


def _accuracy_interval(predictions: Mapping[str, Predictions], subjects: Subjects, seed: int) -> Intervals:
    correct = predictions["test"].correct.numpy()
    return bootstrap_intervals(lambda unseen: {"accuracy": weighted_mean(correct, unseen)}, subjects["test"], seed=seed)


def _photo_intervals(
    predictions: Mapping[str, Predictions],
    subjects: Subjects,
    scores: Scores,
    *,
    trials: AttackTrials,
    probe: LinearProbe | None,
    seed: int,
) -> Intervals:
    correct = predictions["test"].correct.numpy()

    def statistics(of_members: Weights, of_unseen: Weights) -> dict[str, Losses]:
        aucs = {f"{name}_auc": weighted_auc(*values, of_members, of_unseen) for name, values in scores.items()}
        if probe is not None:
            aucs["probe_auc"] = probe.aucs(of_members, of_unseen)
        distance = np.abs(_attack_accuracies(trials, of_members, of_unseen) - CHANCE)
        return {**aucs, "nomus": nomus(weighted_mean(correct, of_unseen), distance)}

    return bootstrap_intervals(statistics, subjects["forget"], subjects["test"], seed=seed)


def _attack_accuracies(trials: AttackTrials, of_members: Weights, of_unseen: Weights) -> Losses:
    """Return the attack's accuracy under each weighting, (B,), as fitted once.

    The attack is on sets of one size. A draw of people with many photos is not, so each kind counts half.
    """
    members = _share(of_members, trials.member_hits, trials.member_trials)
    return (members + _share(of_unseen, trials.unseen_hits, trials.unseen_trials)) / 2


def _share(weights: Weights, hits: Losses, trials: Losses) -> Losses:
    """Return the weighted share of the trials that hit, (B,): chance where nobody who was tried is left."""
    tried = weights @ trials
    shares: Losses = np.where(tried > 0, weights @ hits / np.maximum(tried, 1), CHANCE)
    return shares


def _subject_intervals(subjects: Subjects, scores: Scores, seed: int) -> Intervals:
    means = {
        f"{name}_subject_auc": (subject_means(members, subjects["forget"]), subject_means(unseen, subjects["test"]))
        for name, (members, unseen) in scores.items()
    }

    def statistics(of_members: Weights, of_unseen: Weights) -> dict[str, Losses]:
        return {
            name: weighted_auc(forgotten.means, unseen.means, of_members, of_unseen)
            for name, (forgotten, unseen) in means.items()
        }

    # Every attack has the same people, in the same order.
    forgotten, unseen = next(iter(means.values()))
    return bootstrap_intervals(statistics, forgotten.subjects, unseen.subjects, seed=seed)
