"""The numbers of the report: every metric beside its plain meaning and its interval, every rule beside its limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from dlfd_ops.audit.facts import Gated
from dlfd_ops.audit.timeline import printable
from dlfd_ops.evaluation.intervals import HIGH, LOW, is_interval_end

Metrics = Mapping[str, Mapping[str, float | None]]
"""Metrics by model, as ``metrics/unlearning.json`` nests them; ``retrain_gap`` and ``seconds`` stand beside."""

_MEANINGS: dict[str, tuple[str, str]] = {
    "accuracy": ("Accuracy on people never trained on", "higher is better"),
    "accuracy_retain": ("Accuracy on the people it keeps", "higher is better"),
    "accuracy_forget": ("Accuracy on the forgotten people", "best at its accuracy on people never trained on"),
    "mia_auc": ("Attack: telling forgotten from unseen (AUC)", "0.5 is a coin toss"),
    "mia_auc_error": ("Attack: standard error of that AUC", "half with four times the people"),
    "loss_likeness": ("How alike a person's photos are to the model", "0 as those of strangers, 1 all the same"),
    "mia_accuracy": ("Attack: accuracy", "0.5 is a coin toss"),
    "mia_tpr_at_fpr_0.01": ("Attack: forgotten photos exposed at 1 % false alarms", "0.01 is chance"),
    "mia_tpr_at_fpr_0.001": ("Attack: forgotten photos exposed at 0.1 % false alarms", "0.001 is chance"),
    "mia_subject_auc": ("Attack on a person by all their photos (AUC)", "0.5 is a coin toss"),
    "confidence_auc": ("Attack by how sure the model is, without the truth (AUC)", "best at the retrained model's"),
    "confidence_tpr_at_fpr_0.01": ("The same: forgotten photos exposed at 1 % false alarms", "0.01 is chance"),
    "confidence_tpr_at_fpr_0.001": ("The same: forgotten photos exposed at 0.1 % false alarms", "0.001 is chance"),
    "confidence_subject_auc": ("The same, on a person by all their photos (AUC)", "best at the retrained model's"),
    "calibrated_auc": ("Attack that knows how hard a photo is (AUC)", "best at the retrained model's"),
    "calibrated_tpr_at_fpr_0.01": ("The same: forgotten photos exposed at 1 % false alarms", "0.01 is chance"),
    "calibrated_tpr_at_fpr_0.001": ("The same: forgotten photos exposed at 0.1 % false alarms", "0.001 is chance"),
    "calibrated_subject_auc": ("The same, on a person by all their photos (AUC)", "best at the retrained model's"),
    "rmia_auc": ("RMIA, a stronger attack of that kind (AUC)", "best at the retrained model's"),
    "rmia_tpr_at_fpr_0.01": ("RMIA: forgotten photos exposed at 1 % false alarms", "0.01 is chance"),
    "rmia_tpr_at_fpr_0.001": ("RMIA: forgotten photos exposed at 0.1 % false alarms", "0.001 is chance"),
    "rmia_subject_auc": ("RMIA on a person by all their photos (AUC)", "best at the retrained model's"),
    "probe_auc": ("Attack on the model's features (AUC)", "best at the retrained model's"),
    "relearn_steps": ("Training steps until the forgotten are known again", "best at the retrained model's"),
    "forgetting_score": ("Forgetting score", "0 is best"),
    "nomus": ("NoMUS: accuracy and forgetting in one", "1 is best"),
    "loss_distance": ("Distance between the two loss distributions", "0 is alike, 1 is apart"),
    "overshoot": ("Forgotten people stand out as too unknown", "yes would be bad"),
    "loss": ("Mean loss on people never trained on", "lower is better"),
    "loss_forget": ("Mean loss on the forgotten people", "best at the mean loss on people never trained on"),
    "ece": ("Calibration error", "0 is best"),
    "accuracy_validation": ("Accuracy on the validation people", "steered the unlearning; not a result"),
    "mia_auc_validation": ("Attack against the validation people (AUC)", "steered the unlearning; not a result"),
}
_COLUMNS = ("original", "parent", "unlearned", "retrained", "retrain_gap")
_RULES: dict[str, str] = {
    "max_accuracy_drop": "Accuracy lost against the original, at most",
    "max_attack_auc_excess": "Attack AUC above the reference, at most",
    "max_overshoot": "Attack AUC below the reference, at most",
    "max_attack_auc_error": "Standard error of these two, at most",
    "max_calibrated_auc_excess": "Calibrated attack AUC above the retrained model's, at most",
    "min_nomus": "NoMUS, at least",
    "max_sequential_unlearnings": "Unlearnings since the last training, at most",
    "min_evidence": "Evidence, at least (0 is missing, 1 present, 2 signed)",
    "require_complete": "Requested photos or requests left out, at most",
}


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
    ordered = [key for key in _MEANINGS if key in present] + sorted(present - _MEANINGS.keys())
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
                label=_RULES.get(rule.rule, printable(rule.rule)),
                value=rule.value,
                limit=rule.limit,
                passed=rule.passed,
            )
            for rule in gated.rules
        ),
    )


def _row(key: str, models: Sequence[_Numbers]) -> NumberRow:
    label, reading = _MEANINGS.get(key, (printable(key), ""))
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
