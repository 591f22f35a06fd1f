"""The gate: may a model version pass, by its metrics and the policy? A pure decision."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlfd_ops.evaluation.membership import CHANCE

if TYPE_CHECKING:
    from dlfd_ops.params import Policy

Metrics = Mapping[str, float]

# Metrics are written with six decimals: a value exactly at its limit must not fail over the binary rest of 0.65 - 0.6.
_ROUNDING = 1e-9


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


def decide(metrics: Metrics, policy: Policy) -> Decision:
    """Hold metrics against the policy. Fails closed: a rule whose metric is missing or not finite fails.

    Args:
        metrics: flat names, as ``dvc metrics show`` prints them: ``unlearned.accuracy``, ``original.accuracy``,
            ``unlearned.mia_auc``, ``retrained.mia_auc`` (where a model was retrained), ``unlearned.nomus``.
        policy: the limits; a null limit switches its rule off.
    """
    results: list[RuleResult] = []
    for rule, value_of, keeps in _RULES:
        limit: float | None = getattr(policy, rule)
        if limit is not None:
            value = value_of(metrics)
            finite = math.isfinite(value)
            results.append(RuleResult(rule, value if finite else None, limit, finite and keeps(value, limit)))
    return Decision(all(result.passed for result in results), tuple(results))


def _accuracy_drop(metrics: Metrics) -> float:
    return _metric(metrics, "original.accuracy") - _metric(metrics, "unlearned.accuracy")


def _auc_excess(metrics: Metrics) -> float:
    return _metric(metrics, "unlearned.mia_auc") - _reference_auc(metrics)


def _auc_shortfall(metrics: Metrics) -> float:
    return _reference_auc(metrics) - _metric(metrics, "unlearned.mia_auc")


def _nomus(metrics: Metrics) -> float:
    return _metric(metrics, "unlearned.nomus")


def _reference_auc(metrics: Metrics) -> float:
    # A retrained model without its AUC is a missing metric, not a reason to fall back on chance.
    retrained = any(name.startswith("retrained.") for name in metrics)
    return _metric(metrics, "retrained.mia_auc") if retrained else CHANCE


def _metric(metrics: Metrics, name: str) -> float:
    return metrics.get(name, math.nan)


def _at_most(value: float, limit: float) -> bool:
    return value <= limit + _ROUNDING


def _at_least(value: float, limit: float) -> bool:
    return value >= limit - _ROUNDING


_RULES: tuple[tuple[str, Callable[[Metrics], float], Callable[[float, float], bool]], ...] = (
    ("max_accuracy_drop", _accuracy_drop, _at_most),
    ("max_attack_auc_excess", _auc_excess, _at_most),
    ("max_overshoot", _auc_shortfall, _at_most),
    ("min_nomus", _nomus, _at_least),
)
