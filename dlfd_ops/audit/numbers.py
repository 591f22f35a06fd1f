"""The numbers of the report: every metric beside its plain meaning and its interval, every rule beside its limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from dlfd_ops.audit.facts import Gated
from dlfd_ops.audit.timeline import printable
from dlfd_ops.evaluation.intervals import HIGH, LOW, is_interval_end
from dlfd_ops.evaluation.meanings import MEANINGS, RULES

Metrics = Mapping[str, Mapping[str, float | None]]
"""Metrics by model, as ``metrics/unlearning.json`` nests them; ``retrain_gap`` and ``seconds`` stand beside."""

_COLUMNS = ("original", "parent", "unlearned", "retrained", "retrain_gap")
Range = tuple[float, float]
_Numbers = Mapping[str, float | None]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NumberRow(_Model):
    """One metric of the models; None where a model lacks it.

    Attributes:
        metric: its key in ``metrics/unlearning.json``.
        label: what it measures, in plain words.
        reading: how to read it.
        original: the model trained on everything.
        parent: the model that the unlearning started from, where the original's weights are erased.
        unlearned: the model after unlearning.
        retrained: the model that never saw the forget set, where one was trained.
        gap: unlearned minus retrained.
        original_range: 95% interval over people of the original's value; None where there is none.
        unlearned_range: likewise of the unlearned model's.
        retrained_range: likewise of the retrained model's.
    """

    metric: str
    label: str
    reading: str
    original: float | None
    parent: float | None
    unlearned: float | None
    retrained: float | None
    gap: float | None
    original_range: Range | None = None
    unlearned_range: Range | None = None
    retrained_range: Range | None = None


class RuleRow(_Model):
    """One rule of the gate."""

    rule: str
    label: str
    value: float | None
    limit: float | None
    passed: bool


class GateVerdict(_Model):
    """The gate's decision on one version."""

    model_name: str
    version: int
    passed: bool
    rules: tuple[RuleRow, ...]


def number_rows(metrics: Metrics) -> tuple[NumberRow, ...]:
    """Return one row a metric: the explained ones first, in their order, then the rest by name."""
    models = [metrics.get(name, {}) for name in _COLUMNS]
    present = {key for model in models for key in model if not is_interval_end(key)}
    ordered = [key for key in MEANINGS if key in present] + sorted(present - MEANINGS.keys())
    return tuple(_row(key, models) for key in ordered)


def gate_verdict(gated: Gated | None) -> GateVerdict | None:
    """Return the gate's decision with its rules in plain words."""
    if gated is None:
        return None
    return GateVerdict(
        model_name=printable(gated.model_name),
        version=gated.version,
        passed=gated.passed,
        rules=tuple(
            RuleRow(
                rule=printable(rule.rule),
                label=RULES.get(rule.rule, printable(rule.rule)),
                value=rule.value,
                limit=rule.limit,
                passed=rule.passed,
            )
            for rule in gated.rules
        ),
    )


def _row(key: str, models: Sequence[_Numbers]) -> NumberRow:
    label, reading = MEANINGS.get(key, (printable(key), ""))
    original, parent, unlearned, retrained, gap = models
    return NumberRow(
        metric=printable(key),
        label=label,
        reading=reading,
        original=original.get(key),
        parent=parent.get(key),
        unlearned=unlearned.get(key),
        retrained=retrained.get(key),
        gap=gap.get(key),
        original_range=_range(original, key),
        unlearned_range=_range(unlearned, key),
        retrained_range=_range(retrained, key),
    )


def _range(numbers: _Numbers, key: str) -> Range | None:
    low, high = numbers.get(key + LOW), numbers.get(key + HIGH)
    return None if low is None or high is None else (low, high)
