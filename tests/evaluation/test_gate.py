"""The gate's contract: each rule alone, closed on what is missing, monotone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlfd_ops.evaluation.gate import Decision, Evidence, Facts, Metrics, RuleResult
from dlfd_ops.evaluation.gate import decide as decide_on_facts
from dlfd_ops.evaluation.meanings import RULES
from dlfd_ops.params import Policy

POLICY = Policy(
    max_accuracy_drop=0.05,
    max_attack_auc_excess=0.08,
    max_overshoot=0.06,
    max_attack_auc_error=0.05,
    min_nomus=0.6,
    max_sequential_unlearnings=3,
    min_evidence="present",
    require_complete=True,
)
OFF = Policy(
    max_accuracy_drop=None,
    max_attack_auc_excess=None,
    max_overshoot=None,
    max_attack_auc_error=None,
    min_nomus=None,
    max_sequential_unlearnings=None,
    min_evidence=None,
    require_complete=False,
)
FACTS = Facts(evidence="present", left_out=0, unlearnings=1)
GOOD = {
    "original.accuracy": 0.65,
    "unlearned.accuracy": 0.64,
    "unlearned.mia_auc": 0.51,
    "unlearned.mia_auc_error": 0.02,
    "unlearned.nomus": 0.7,
}
BREAKERS = {
    "max_accuracy_drop": {"unlearned.accuracy": 0.55},
    "max_attack_auc_excess": {"unlearned.mia_auc": 0.6},
    "max_overshoot": {"unlearned.mia_auc": 0.4},
    "max_attack_auc_error": {"unlearned.mia_auc_error": 0.07},
    "min_nomus": {"unlearned.nomus": 0.59},
}
READS = {
    "max_accuracy_drop": ("original.accuracy", "unlearned.accuracy"),
    "max_attack_auc_excess": ("unlearned.mia_auc",),
    "max_overshoot": ("unlearned.mia_auc",),
    "max_attack_auc_error": ("unlearned.mia_auc_error",),
    "min_nomus": ("unlearned.nomus",),
}
SHARE = st.floats(0, 1)


def decide(metrics: Metrics, policy: Policy) -> Decision:
    """Decide where the facts are as they should be."""
    return decide_on_facts(metrics, FACTS, policy)


def _failed(decision: Decision) -> set[str]:
    return {result.rule for result in decision.rules if not result.passed}


def _only(rule: str) -> Policy:
    return OFF.model_copy(update={rule: getattr(POLICY, rule)})


def test_good_metrics_pass_with_every_value_named() -> None:
    """Value and limit of each rule are reported, in the policy's order."""
    decision = decide(GOOD, POLICY)
    assert decision.passed
    assert [replace(result, value=round(result.value or 0, 9)) for result in decision.rules] == [
        RuleResult("max_accuracy_drop", 0.01, 0.05, True),
        RuleResult("max_attack_auc_excess", 0.01, 0.08, True),
        RuleResult("max_overshoot", -0.01, 0.06, True),
        RuleResult("max_attack_auc_error", 0.02, 0.05, True),
        RuleResult("min_nomus", 0.7, 0.6, True),
        RuleResult("max_sequential_unlearnings", 1, 3, True),
        RuleResult("min_evidence", 1, 1, True),
        RuleResult("require_complete", 0, 0, True),
    ]


@pytest.mark.parametrize("rule", BREAKERS)
def test_each_rule_fails_alone(rule: str) -> None:
    """One broken limit refuses the version, and only its rule says so."""
    decision = decide(GOOD | BREAKERS[rule], POLICY)
    assert not decision.passed
    assert _failed(decision) == {rule}


@pytest.mark.parametrize("rule", BREAKERS)
def test_a_null_limit_switches_its_rule_off(rule: str) -> None:
    """A rule that is off neither fails nor is reported."""
    decision = decide(GOOD | BREAKERS[rule], POLICY.model_copy(update={rule: None}))
    assert decision.passed
    assert rule not in {result.rule for result in decision.rules}


@pytest.mark.parametrize("broken", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rule", READS)
def test_a_missing_or_broken_metric_fails_its_rule(rule: str, broken: float | None) -> None:
    """Fail closed: no number, no pass; also where an infinity would lie on the good side."""
    for name in READS[rule]:
        metrics = {key: value for key, value in GOOD.items() if key != name}
        if broken is not None:
            metrics[name] = broken
        decision = decide(metrics, _only(rule))
        assert not decision.passed
        assert decision.rules[0].value is None


def test_no_metrics_at_all_fail_every_rule() -> None:
    """An empty file refuses."""
    assert _failed(decide({}, POLICY)) == set(BREAKERS)


def test_without_rules_everything_passes() -> None:
    """A policy that asks for nothing gets nothing, visibly: no rule is reported."""
    assert decide({}, OFF) == Decision(passed=True, rules=())


def test_the_retrained_model_is_the_reference_where_there_is_one() -> None:
    """An AUC of 0.6 is too high against chance, right against a retrained 0.59, and an overshoot against 0.7."""
    attacked = GOOD | {"unlearned.mia_auc": 0.6}
    assert _failed(decide(attacked, POLICY)) == {"max_attack_auc_excess"}
    retrained = attacked | {"retrained.mia_auc_error": 0.02}
    assert decide(retrained | {"retrained.mia_auc": 0.59}, POLICY).passed
    assert _failed(decide(retrained | {"retrained.mia_auc": 0.7}, POLICY)) == {"max_overshoot"}


def test_the_limit_is_on_the_models_own_error() -> None:
    """A model that was retrained to compare with makes nobody fewer: what passes without it passes beside it."""
    policy, retrained = _only("max_attack_auc_error"), {"retrained.mia_auc": 0.5, "retrained.mia_auc_error": 0.07}
    decision = decide(GOOD | retrained | {"unlearned.mia_auc_error": 0.05}, policy)
    assert (decision.passed, decision.rules[0].value) == (True, 0.05)


def test_the_calibrated_attack_is_held_against_the_retrained_model() -> None:
    """Off unless asked for; then it needs both models' numbers, and has no chance level to fall back on."""
    policy = OFF.model_copy(update={"max_calibrated_auc_excess": 0.03})
    known = {"unlearned.calibrated_auc": 0.55, "retrained.calibrated_auc": 0.52}
    assert decide(known, policy).passed
    assert _failed(decide(known | {"unlearned.calibrated_auc": 0.56}, policy)) == {"max_calibrated_auc_excess"}
    for missing in known:
        decision = decide({name: value for name, value in known.items() if name != missing}, policy)
        assert (decision.passed, decision.rules[0].value) == (False, None)
    assert "max_calibrated_auc_excess" not in {result.rule for result in decide(GOOD, POLICY).rules}


@pytest.mark.parametrize(
    ("evidence", "policy", "passed"),
    [
        ("missing", "present", False),
        ("present", "present", True),
        ("signed", "present", True),
        ("missing", "signed", False),
        ("present", "signed", False),
        ("signed", "signed", True),
    ],
)
def test_weaker_evidence_than_the_policy_asks_for_fails(evidence: Evidence, policy: str, passed: bool) -> None:
    """Signed is more than present, and present more than missing."""
    asked = Policy.model_validate(OFF.model_dump() | {"min_evidence": policy})
    assert decide_on_facts(GOOD, Facts(evidence, 0, 1), asked).passed == passed


def test_too_many_unlearnings_upon_each_other_fail() -> None:
    """The limit itself is allowed; one more calls for training anew."""
    assert decide_on_facts(GOOD, replace(FACTS, unlearnings=3), POLICY).passed
    assert _failed(decide_on_facts(GOOD, replace(FACTS, unlearnings=4), POLICY)) == {"max_sequential_unlearnings"}
    assert decide_on_facts(GOOD, replace(FACTS, unlearnings=400), OFF).passed


@pytest.mark.parametrize(
    ("newest", "failed"),
    [
        ({"newest.mia_auc": 0.95, "newest.mia_auc_error": 0.02}, {"max_attack_auc_excess"}),
        ({"newest.mia_auc": 0.05, "newest.mia_auc_error": 0.02}, {"max_overshoot"}),
        ({"newest.mia_auc": 0.75, "newest.mia_auc_error": 0.13}, set()),
        ({"newest.mia_auc": 0.5}, {"max_attack_auc_excess", "max_overshoot"}),
    ],
)
def test_the_newest_requests_are_judged_by_themselves(newest: Metrics, failed: set[str]) -> None:
    """Many forgotten before do not hide a newest one who is not; few photos must be sure; a missing error fails."""
    assert _failed(decide({**GOOD, **newest}, POLICY)) == failed


def test_one_sample_left_out_fails() -> None:
    """Nobody is forgotten but for a photo."""
    decision = decide_on_facts(GOOD, replace(FACTS, left_out=1), POLICY)
    assert _failed(decision) == {"require_complete"}
    assert decide_on_facts(GOOD, replace(FACTS, left_out=1), OFF).passed


@pytest.mark.parametrize("reference", [{"retrained.accuracy": 0.6}, {"retrained.mia_auc": math.nan}])
def test_a_retrained_model_without_its_auc_is_no_reason_to_fall_back_on_chance(reference: dict[str, float]) -> None:
    """A broken reference fails both rules of the attack."""
    decision = decide(GOOD | {"retrained.mia_auc_error": 0.02} | reference, POLICY)
    assert _failed(decision) == {"max_attack_auc_excess", "max_overshoot"}


def test_a_value_at_its_limit_passes() -> None:
    """0.65 - 0.6 is a drop of 0.05, whatever binary fractions make of it."""
    at_limit = {
        "original.accuracy": 0.65,
        "unlearned.accuracy": 0.6,
        "unlearned.mia_auc": 0.58,
        "unlearned.mia_auc_error": 0.05,
        "unlearned.nomus": 0.6,
    }
    assert decide(at_limit, POLICY).passed


@given(SHARE, SHARE, SHARE, st.floats(0.01, 1))
def test_a_better_number_never_turns_a_pass_into_a_failure(
    original: float, unlearned: float, nomus: float, better: float
) -> None:
    """More accuracy and more NoMUS only help."""
    metrics = GOOD | {"original.accuracy": original, "unlearned.accuracy": unlearned, "unlearned.nomus": nomus}
    improved = metrics | {"unlearned.accuracy": unlearned + better, "unlearned.nomus": nomus + better}
    assert _failed(decide(improved, POLICY)) <= _failed(decide(metrics, POLICY))


@given(SHARE, SHARE, SHARE)
def test_an_auc_nearer_to_the_reference_never_fails_more(auc: float, reference: float, step: float) -> None:
    """Moving the attack's AUC towards the reference only helps."""
    metrics = GOOD | {"retrained.mia_auc": reference, "retrained.mia_auc_error": 0.02, "unlearned.mia_auc": auc}
    nearer = metrics | {"unlearned.mia_auc": auc + step * (reference - auc)}
    assert _failed(decide(nearer, POLICY)) <= _failed(decide(metrics, POLICY))


@given(SHARE, SHARE, SHARE, st.floats(0, 0.3), st.floats(0, 0.3))
def test_a_looser_policy_never_fails_more(auc: float, accuracy: float, nomus: float, one: float, other: float) -> None:
    """Every limit works in one direction."""
    metrics = GOOD | {"unlearned.mia_auc": auc, "unlearned.accuracy": accuracy, "unlearned.nomus": nomus}
    tight, loose = sorted((one, other))
    assert _failed(decide(metrics, _with_slack(loose))) <= _failed(decide(metrics, _with_slack(tight)))


def _with_slack(slack: float) -> Policy:
    limits = {"max_accuracy_drop": slack, "max_attack_auc_excess": slack, "max_overshoot": slack}
    return POLICY.model_copy(update=limits | {"min_nomus": 1 - slack})


def test_people_are_told_what_each_rule_limits() -> None:
    """Every limit of the policy has its words, and nothing else has."""
    assert set(RULES) == set(Policy.model_fields)
