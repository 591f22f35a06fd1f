"""The gate: may a model version pass, by its metrics, its facts and the policy? A pure decision."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dlfd_ops.evaluation.membership import CHANCE, SURE

if TYPE_CHECKING:
    from dlfd_ops.params import Policy

Metrics = Mapping[str, float]
Evidence = Literal["missing", "present", "signed"]
STRENGTH: Mapping[Evidence, float] = {"missing": 0, "present": 1, "signed": 2}
"""Evidence as the rule ``min_evidence`` counts it."""

# Metrics are written with six decimals: a value exactly at its limit must not fail over the binary rest of 0.65 - 0.6.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Facts:
    """What the numbers do not say; whoever calls the gate has found it out.

    Attributes:
        evidence: ``present`` when the metrics are those of the very weights, forget list and data, ``signed`` when they
            bear the signature of whoever measured them as well.
        left_out: training samples asked for, and requests, that are not on the forget list, and samples on it that were
            not evaluated.
        unlearnings: how many unlearnings lie between the last training and this model.
    """

    evidence: Evidence
    left_out: int
    unlearnings: int


@dataclass(frozen=True)
class RuleResult:
    """One rule of the policy, applied.

    Attributes:
        rule: name of the policy's limit, for example ``max_accuracy_drop``.
        value: what was held against the limit; None when a metric is missing or not finite.
        limit: the policy's limit.
        passed: whether the value keeps the limit; never without a value.
    """

    rule: str
    value: float | None
    limit: float
    passed: bool


@dataclass(frozen=True)
class Decision:
    """The gate's answer.

    Attributes:
        passed: whether every rule passed; true where the policy switches all rules off.
        rules: one result for each rule that is on, in the policy's order.
    """

    passed: bool
    rules: tuple[RuleResult, ...]


def decide(metrics: Metrics, facts: Facts, policy: Policy) -> Decision:
    """Hold metrics and facts against the policy. Fails closed: a rule whose metric is missing or not finite fails.

    Args:
        metrics: flat names, as ``dvc metrics show`` prints them: those of :func:`accuracy_drop`,
            ``unlearned.nomus``, ``unlearned.mia_auc`` and ``unlearned.mia_auc_error``, ``retrained.mia_auc``
            where a model was retrained, ``newest.mia_auc`` and its error where requests were forgotten before,
            ``calibrated_auc`` of both where reference models were trained.
        facts: what the numbers do not say.
        policy: the limits; a null limit switches its rule off.
    """
    results: list[RuleResult] = []
    for rule, value_of, keeps in _RULES:
        limit = _limit(policy, rule)
        if limit is not None:
            value = value_of(metrics, facts)
            finite = math.isfinite(value)
            results.append(RuleResult(rule, value if finite else None, limit, finite and keeps(value, limit)))
    return Decision(all(result.passed for result in results), tuple(results))


def _limit(policy: Policy, rule: str) -> float | None:
    match rule:
        case "min_evidence":
            return None if policy.min_evidence is None else STRENGTH[policy.min_evidence]
        case "require_complete":
            return 0.0 if policy.require_complete else None
        case _:
            limit: float | None = getattr(policy, rule)
            return limit


def accuracy_drop(metrics: Metrics) -> float:
    """Return the share of right decisions on test that the unlearned model has lost against the original.

    Where the original can't be measured on the test photos of today (``parent.accuracy_drop`` is there): what the
    parent had lost, and what is lost against the parent, which is measured on them. NaN where a number is missing.
    """
    now = _metric(metrics, "unlearned.accuracy")
    if "parent.accuracy_drop" in metrics:
        return metrics["parent.accuracy_drop"] + _metric(metrics, "parent.accuracy") - now
    return _metric(metrics, "original.accuracy") - now


def _accuracy_drop(metrics: Metrics, _: Facts) -> float:
    return accuracy_drop(metrics)


def _auc_excess(metrics: Metrics, _: Facts) -> float:
    reference = _reference(metrics, "mia_auc", CHANCE)
    return _worst(_metric(metrics, "unlearned.mia_auc") - reference, _newest(metrics) - reference)


def _auc_shortfall(metrics: Metrics, _: Facts) -> float:
    reference = _reference(metrics, "mia_auc", CHANCE)
    return _worst(reference - _metric(metrics, "unlearned.mia_auc"), reference - _newest(metrics, above=True))


def _worst(*values: float) -> float:
    # max() alone may pass over NaN.
    return math.nan if any(map(math.isnan, values)) else max(values)


def _newest(metrics: Metrics, *, above: bool = False) -> float:
    """Return the AUC of the newest requests as far as it is sure: many forgotten before must not hide them."""
    if not any(name.startswith("newest.") for name in metrics):
        return _metric(metrics, "unlearned.mia_auc")
    margin = SURE * _metric(metrics, "newest.mia_auc_error")
    return _metric(metrics, "newest.mia_auc") + (margin if above else -margin)


def _calibrated_excess(metrics: Metrics, _: Facts) -> float:
    # Whoever trains references has trained the retrained model: without its number the rule cannot be judged.
    return _metric(metrics, "unlearned.calibrated_auc") - _metric(metrics, "retrained.calibrated_auc")


def _auc_error(metrics: Metrics, _: Facts) -> float:
    # Its own, also beside a retrained model: both are attacked on the same people, whose difficulty they share, so
    # their difference is known about as well as either.
    return _metric(metrics, "unlearned.mia_auc_error")


def _nomus(metrics: Metrics, _: Facts) -> float:
    return _metric(metrics, "unlearned.nomus")


def _evidence(_: Metrics, facts: Facts) -> float:
    return STRENGTH[facts.evidence]


def _unlearnings(_: Metrics, facts: Facts) -> float:
    return facts.unlearnings


def _left_out(_: Metrics, facts: Facts) -> float:
    return facts.left_out


def _reference(metrics: Metrics, name: str, without: float) -> float:
    # A retrained model without the number is a missing metric, not a reason to fall back on chance.
    retrained = any(metric.startswith("retrained.") for metric in metrics)
    return _metric(metrics, f"retrained.{name}") if retrained else without


def _metric(metrics: Metrics, name: str) -> float:
    return metrics.get(name, math.nan)


def _at_most(value: float, limit: float) -> bool:
    return value <= limit + _ROUNDING


def _at_least(value: float, limit: float) -> bool:
    return value >= limit - _ROUNDING


_RULES: tuple[tuple[str, Callable[[Metrics, Facts], float], Callable[[float, float], bool]], ...] = (
    ("max_accuracy_drop", _accuracy_drop, _at_most),
    ("max_attack_auc_excess", _auc_excess, _at_most),
    ("max_overshoot", _auc_shortfall, _at_most),
    ("max_attack_auc_error", _auc_error, _at_most),
    ("max_calibrated_auc_excess", _calibrated_excess, _at_most),
    ("min_nomus", _nomus, _at_least),
    ("max_sequential_unlearnings", _unlearnings, _at_most),
    ("min_evidence", _evidence, _at_least),
    ("require_complete", _left_out, _at_most),
)
