"""Running one cell: every trial of a method on validation, then the best one on test."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from pydantic import JsonValue

from dlfd_ops.digest import sha256_json
from dlfd_ops.errors import Diverged
from dlfd_ops.evaluation.membership import attack_accuracy, roc
from dlfd_ops.evaluation.nomus import forgetting_score, nomus
from dlfd_ops.evaluation.people import losses_of
from dlfd_ops.evaluation.predictions import predict
from dlfd_ops.evaluation.utility import accuracy
from dlfd_ops.models.classifier import Classifier
from dlfd_ops.params import YARDSTICKS, Params, with_overrides
from dlfd_ops.workflows.benchmarking.bench import Bench
from dlfd_ops.workflows.benchmarking.cells import ORIGINAL, Cell, Trial
from dlfd_ops.workflows.benchmarking.judging import judge, places_of
from dlfd_ops.workflows.benchmarking.shadows import shadow_metrics

WORST_NOMUS = 0.0
"""Of a trial whose losses are no numbers."""


@dataclass(frozen=True)
class Attempt:
    """A trial and the model that it made."""

    trial: Trial
    model: Classifier


def cell_key(bench: Bench, method: str, seed: int) -> str:
    """Return the digest of everything that a cell depends on, but for the code."""
    params = bench.seeded(seed)
    trials = [] if method in YARDSTICKS else bench.section.trials[method]
    shadows = bench.section.shadows
    return sha256_json(
        [
            method,
            params.base.model_dump(),
            params.train.model_dump(),
            params.evaluate.model_dump(),
            [with_overrides(params.unlearn, trial).model_dump() for trial in trials],
            list(bench.section.seeds),
            bench.data_digest,
            # Without shadows no entry at all: cells from before there were any stay what they are.
            *([{"shadows": shadows}] if shadows else []),
        ]
    )


def run_cell(bench: Bench, method: str, seed: int) -> Cell:
    """Try, choose and judge one method with one seed; a yardstick is judged only.

    Raises:
        BadInput: an input is missing or damaged, or no trial of the method left finite losses.
    """
    trials: tuple[Trial, ...] = ()
    chosen = settings = None
    if method in YARDSTICKS:
        model, seconds = bench.model(method, seed)
    else:
        best, trials = _best_attempt(bench, method, seed)
        model, seconds, chosen = best.model, best.trial.seconds, trials.index(best.trial)
        settings = best.trial.settings
    judged = judge(bench, model, seed, title=f"{method} {seed}")
    return Cell(
        key=cell_key(bench, method, seed),
        method=method,
        seed=seed,
        trials=trials,
        chosen=chosen,
        metrics={**judged.evaluation.metrics, **shadow_metrics(bench, model, settings, seed)},
        seconds=round(seconds, 3),
        curves=judged.evaluation.curves.to_json(),
        places=places_of(judged.predictions),
    )


def _best_attempt(bench: Bench, method: str, seed: int) -> tuple[Attempt, tuple[Trial, ...]]:
    original, _ = bench.model(ORIGINAL, seed)
    best: Attempt | None = None
    trials = []
    for settings in bench.section.trials[method]:
        attempt = _attempt(bench, original, settings, seed)
        trials.append(attempt.trial)
        if best is None or attempt.trial.nomus > best.trial.nomus:
            best = attempt
    assert best is not None  # every method has at least one trial
    if not best.trial.metrics:
        raise Diverged(
            f"a trial of {method} must leave finite losses", received="none", remedy="give it a lower learning rate"
        )
    return best, tuple(trials)


def _attempt(bench: Bench, original: Classifier, settings: Mapping[str, JsonValue], seed: int) -> Attempt:
    params = bench.seeded(seed, settings)
    model = copy.deepcopy(original)
    score, metrics, started = WORST_NOMUS, dict[str, float](), time.perf_counter()
    # A trial that diverges is a bad trial, wherever it is noticed; the others go on.
    with suppress(Diverged):
        try:
            bench.unlearn(model, params, bench.sets_of(params))
        finally:
            seconds = round(time.perf_counter() - started, 3)
        score, metrics = _on_validation(bench, model, params)
    return Attempt(Trial(settings=dict(settings), nomus=score, metrics=metrics, seconds=seconds), model)


def _on_validation(bench: Bench, model: Classifier, params: Params) -> tuple[float, dict[str, float]]:
    """Return the NoMUS with the validation people in the place of the test people, and what it is made of."""
    forget, validation = (
        predict(model, images, batch_size=params.evaluate.batch_size, device=bench.accelerator.device)
        for images in (bench.evaluation_sets.forget, bench.evaluation_sets.validation)
    )
    losses = [losses_of(said) for said in (forget, validation)]
    attack = attack_accuracy(*losses, splits=params.evaluate.attack_splits, seed=params.base.seed)
    right = accuracy(validation)
    found = {"accuracy": right, "mia_accuracy": attack, "mia_auc": roc(*losses).auc}
    return round(nomus(right, forgetting_score(attack)), 6), {name: round(value, 6) for name, value in found.items()}
