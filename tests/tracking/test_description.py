"""What a person reads on a version's page."""

from __future__ import annotations

from dataclasses import replace

from dlfd_ops.evaluation.gate import Decision, RuleResult
from dlfd_ops.tracking.description import MAX_LENGTH, Forgotten, describe_original, describe_unlearned, escape

METRICS = {
    "original.accuracy": 0.61,
    "original.mia_auc": 0.81,
    "unlearned.accuracy": 0.6,
    "unlearned.mia_auc": 0.52,
    "retrain_gap.mia_auc": 0.01,
}
DECISION = Decision(
    False, (RuleResult("max_accuracy_drop", 0.01, 0.05, True), RuleResult("min_nomus", None, 0.6, False))
)


def text(requests: int = 2, metrics: dict[str, float] | None = None) -> str:
    """Return the description of an unlearned version."""
    ids = [f"req-{number:012x}" for number in range(requests)]
    forgotten = Forgotten("dlfd/anchored", ids, 1234, "f" * 64, parent_version=1, unlearnings=1, max_unlearnings=10)
    return describe_unlearned(forgotten, METRICS if metrics is None else metrics, DECISION, {"Weights": "a" * 64})


def cells(written: str) -> list[list[str]]:
    """Return the rows of every table in a text."""
    rows = [line.strip("|").split("|") for line in written.splitlines() if line.startswith("|")]
    return [[cell.strip().removeprefix("&emsp;") for cell in row] for row in rows]


def test_states_what_was_forgotten_and_from_which_model() -> None:
    """Counts, requests, method and lineage stand in the text."""
    written = text()
    assert "1,234 training images" in written
    assert "2 deletion requests" in written
    assert "`req-000000000001`" in written
    assert "version 1" in written


def test_says_what_was_forgotten_before_and_when_to_train_anew() -> None:
    """Earlier requests are counted by how their evidence came about; at the policy's limit the text advises."""
    chain = Forgotten("m", ["req-1"], 5, "f" * 64, 4, unlearnings=3, max_unlearnings=10, earlier=["a", "b", "c"])
    chain = replace(chain, measured=1, carried=1)
    written = describe_unlearned(chain, METRICS, DECISION, {})
    assert "forgotten 3 requests before" in written
    assert "1 measured again on this version, 1 carried over, as the images are gone, 1 without any" in written
    afresh = describe_unlearned(replace(chain, never_knew=True), METRICS, DECISION, {})
    assert "an original that was trained without the images of 3 requests" in afresh
    assert "Their evidence" not in afresh
    assert "train a new original" not in written
    assert "train a new original" in describe_unlearned(replace(chain, unlearnings=10), METRICS, DECISION, {})


def test_shows_the_numbers_of_every_model_that_has_some() -> None:
    """A retrained model has a column only where there is one."""
    assert ["Attack: telling forgotten from unseen (AUC)", "0.8100", "0.5200", "0.5 is a coin toss"] in cells(text())
    assert "No model was retrained" in text()
    compared = text(metrics={**METRICS, "retrained.mia_auc": 0.51})
    assert ["original", "unlearned", "retrained", "reading"] in [row[1:] for row in cells(compared)]
    assert ["0.8100", "0.5200", "0.5100"] in [row[1:4] for row in cells(compared)]
    assert "No model was retrained" not in compared
    assert "the retrained model's AUC" in compared


def test_shows_every_rule_with_value_and_limit() -> None:
    """A rule whose number is missing fails in words."""
    written = text()
    assert "Gate: **FAILED**" in written
    outcomes = [row[1:] for row in cells(written)]
    assert ["0.0100", "0.05", "passed"] in outcomes
    assert ["not measured", "0.6", "**failed**"] in outcomes


def test_many_requests_are_counted() -> None:
    """A long list is cut where the tag has the rest."""
    assert "and 1980 more (all of them in the tag `dlfd.request_ids`)" in text(requests=2000)


def test_fits_into_mlflow() -> None:
    """A database column holds 5,000 characters, so the text never has more."""
    long = describe_original("d" * 60, ["label" * 12] * 400, "a" * 64, "b" * 64)
    assert len(long) <= MAX_LENGTH
    assert "shortened" in long
    assert len(text(requests=2000)) <= MAX_LENGTH


def test_names_cannot_become_markup() -> None:
    """Tags, links, entities and table cells from outside are shown, not interpreted."""
    hostile = "<img src=x onerror=alert(1)> [a](http://b) | `c` **d** &lt;\n# e"
    written = escape(hostile)
    assert "<" not in written
    assert ">" not in written
    assert "\n" not in written
    for character in "[]()|`*#":
        assert f"\\{character}" in written


def test_a_plain_name_stays_readable() -> None:
    """Letters, digits and slashes need no escape."""
    assert escape("dlfd/anchored") == "dlfd/anchored"
