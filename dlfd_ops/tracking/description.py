"""What a person reads on a version's page in MLflow: Markdown, with everything from outside escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlfd_ops.evaluation.gate import Decision
from dlfd_ops.evaluation.meanings import MEANINGS, RULES

MAX_LENGTH = 5000
"""Characters that a description may have in MLflow's databases."""
SHOWN_REQUESTS = 20
MODELS = ("original", "parent", "unlearned", "retrained")
SHOWN = (
    "accuracy",
    "accuracy_retain",
    "accuracy_forget",
    "mia_auc",
    "mia_auc_error",
    "mia_accuracy",
    "mia_subject_auc",
    "calibrated_auc",
    "forgetting_score",
    "nomus",
    "ece",
    "overshoot",
)
"""Metrics that fit on the page, in order; the run has all of them."""


@dataclass(frozen=True)
class Forgotten:
    """What an unlearned version forgets.

    Attributes:
        method: of the unlearning.
        request_ids: the requests that it answers and its parent does not.
        earlier: the requests that its parent has forgotten already.
        measured: how many of these were measured again.
        carried: how many could not be, as their images are gone: what was measured before stands.
        never_knew: whether the parent was trained without these, and never had to forget them: an original.
        samples: number of training images on the forget list.
        forget_list_digest: of that list.
        parent_version: the version that the unlearning started from.
        unlearnings: how many unlearnings lie between the last training and these weights.
        max_unlearnings: how many the policy allows; None for any number.
    """

    method: str
    request_ids: Sequence[str]
    samples: int
    forget_list_digest: str
    parent_version: int
    unlearnings: int
    max_unlearnings: int | None
    earlier: Sequence[str] = ()
    measured: int = 0
    carried: int = 0
    never_knew: bool = False


def describe_original(
    dataset: str, labels: Sequence[str], weights_digest: str, manifest_digest: str, *, without: int = 0
) -> str:
    """Return the text of an original version; ``without`` requests whose data were gone when it was trained."""
    trained = f"without the images of {_count(without, 'request')}, which were gone" if without else "on everything"
    return _bounded(
        [
            f"**Original model** of the data set {escape(dataset)}: trained {trained}, the root of the lineage.",
            "It has forgotten nobody: do not serve it once an unlearned version has passed the gate.",
            f"Predicts {escape(', '.join(labels))}.",
            _digests({"Weights": weights_digest, "Manifest": manifest_digest}),
        ]
    )


def describe_unlearned(
    forgotten: Forgotten, metrics: Mapping[str, float], decision: Decision, digests: Mapping[str, str]
) -> str:
    """Return the text of an unlearned version.

    Args:
        forgotten: what it forgets.
        metrics: flat, ``<model>.<metric>``.
        decision: the gate's.
        digests: what a checker compares, by name.
    """
    verdict = "passed" if decision.passed else "FAILED"
    return _bounded(
        [
            f"**Unlearned model**: forgets {_count(forgotten.samples, 'training image')} of "
            f"{_count(len(forgotten.request_ids), 'deletion request')} with {escape(forgotten.method)}. "
            f"Gate: **{verdict}**.",
            _lineage(forgotten),
            "### Requests\n\n" + _requests(forgotten.request_ids),
            "### Numbers\n\n" + _numbers(metrics),
            "### Gate\n\n" + _gate(decision, retrained="retrained.mia_auc" in metrics),
            "### How to verify\n\n"
            "Run `dlfd-ops audit verify` in the repository: it compares the ledger with the weights, the forget list "
            "and the tags of this version. Tags and aliases can be changed by whoever may write to this store, so they "
            "are no evidence by themselves; nor is a passed metric a proof against a dishonest operator.",
            _digests({"Forget list": forgotten.forget_list_digest, **digests}),
        ]
    )


def _lineage(forgotten: Forgotten) -> str:
    text = f"Started from version {forgotten.parent_version} of this model"
    if not forgotten.earlier:
        return f"{text} (the original)."
    earlier = _count(len(forgotten.earlier), "request")
    if forgotten.never_knew:
        text += f", an original that was trained without the images of {earlier}, which were gone."
    else:
        without = len(forgotten.earlier) - forgotten.measured - forgotten.carried
        text += (
            f", which has forgotten {earlier} before. Their evidence: {forgotten.measured} "
            f"measured again on this version, {forgotten.carried} carried over, as the images are gone, "
            f"{without} without any: nothing of theirs was trained on."
        )
    text += f" This is unlearning number {forgotten.unlearnings} since the last training."
    limit = forgotten.max_unlearnings
    if limit is not None and forgotten.unlearnings >= limit:
        text += f" **The policy allows {limit}: train a new original before the next request.**"
    return text


def escape(text: str) -> str:
    """Return ``text`` so that Markdown shows it as it is: no markup, no HTML, no link, no line break.

    What MLflow's renderer does not know as a backslash escape becomes a character reference.
    """
    referenced = re.sub(r"[&<>@]", lambda found: f"\0{ord(found[0])};", " ".join(text.split()))
    return re.sub(r"([\\`*_{}\[\]()#+!|~:.-])", r"\\\1", referenced).replace("\0", "&#")


def _bounded(paragraphs: list[str]) -> str:
    text = "\n\n".join(paragraphs) + "\n"
    if len(text) > MAX_LENGTH:
        note = "\n\n(shortened; the rest stands in the tags and the ledger)\n"
        text = text[: MAX_LENGTH - len(note)].rpartition("\n")[0] + note
    return text


def _requests(request_ids: Sequence[str]) -> str:
    shown = ", ".join(f"`{_code(request_id)}`" for request_id in request_ids[:SHOWN_REQUESTS])
    more = len(request_ids) - SHOWN_REQUESTS
    return shown + (f" and {more} more (all of them in the tag `dlfd.request_ids`)" if more > 0 else "")


def _numbers(metrics: Mapping[str, float]) -> str:
    models = [model for model in MODELS if any(name.startswith(f"{model}.") for name in metrics)]
    rows = [("", *models, "reading")]
    for metric in SHOWN:
        if not any(f"{model}.{metric}" in metrics for model in models):
            continue
        label, reading = MEANINGS[metric]
        rows.append((label, *(_value(metrics.get(f"{model}.{metric}")) for model in models), reading))
    note = "" if "retrained" in models else "\n\nNo model was retrained for comparison."
    return _table(rows) + note


def _gate(decision: Decision, *, retrained: bool) -> str:
    if not decision.rules:
        return "The policy switches every rule off."
    rows = [("rule", "value", "limit", "")]
    for rule in decision.rules:
        name = f"{escape(rule.rule)} ({RULES[rule.rule]})" if rule.rule in RULES else escape(rule.rule)
        rows.append((name, _value(rule.value), f"{rule.limit:.4g}", "passed" if rule.passed else "**failed**"))
    reference = "the retrained model's AUC" if retrained else "0.5, as no model was retrained"
    return _table(rows) + f"\n\nReference of the attack: {reference}."


def _table(rows: Sequence[Sequence[str]]) -> str:
    # MLflow's page shows the columns of a table without any space between them.
    lines = ["| " + " | ".join([first, *(f"&emsp;{cell}" for cell in rest)]) + " |" for first, *rest in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _digests(digests: Mapping[str, str]) -> str:
    return "### Digests\n\n" + "\n".join(f"- {escape(name)}: `{_code(value)}`" for name, value in digests.items())


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())


def _value(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
