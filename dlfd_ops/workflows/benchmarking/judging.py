"""Judging the model of a cell: all metrics on test, with the other seeds' retrained models as references."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dlfd_ops.evaluation.membership import Losses
from dlfd_ops.evaluation.predictions import Predictions
from dlfd_ops.evaluation.reference_attacks import REFERENCE_SETS, ReferenceLosses
from dlfd_ops.evaluation.report import Judgement, judge_model
from dlfd_ops.models.classifier import Classifier
from dlfd_ops.workflows.benchmarking.bench import Bench
from dlfd_ops.workflows.benchmarking.cells import RETRAINED

DRAWN_POINTS = 400
"""Samples a set in the picture of the feature space."""


def judge(bench: Bench, model: Classifier, seed: int, *, title: str) -> Judgement:
    """Judge ``model`` on everybody.

    The retrained models of the other seeds never saw the forget set nor the test set: they are the references of the
    per-sample attacks. A benchmark with one seed has none, and leaves those attacks out.

    Raises:
        BadInput: a loss is not finite.
    """
    return judge_model(
        model,
        bench.evaluation_sets,
        bench.params.evaluate,
        seed=seed,
        device=bench.accelerator.device,
        references=_references(bench, seed),
        progress=title,
    )


def places_of(predictions: Mapping[str, Predictions]) -> dict[str, list[tuple[float, float]]]:
    """Return forget and test samples on the two directions in which the test features vary most.

    The first ``DRAWN_POINTS`` samples of each set; both are shuffled by the keyed hashes that they are sorted by.
    """
    from sklearn.decomposition import PCA

    features = {name: _features(predictions[name]) for name in ("forget", "test")}
    directions = min(2, *features["test"].shape)
    plane = PCA(n_components=directions, svd_solver="full").fit(features["test"])
    # A single test photo, or a single feature, has no second direction.
    padding = ((0, 0), (0, 2 - directions))
    return {name: _points(np.pad(plane.transform(values), padding)) for name, values in features.items()}


def _features(predictions: Predictions) -> NDArray[np.float32]:
    assert predictions.features is not None  # judge_model asks for them
    return predictions.features[:DRAWN_POINTS].numpy()


def _points(values: NDArray[np.float32]) -> list[tuple[float, float]]:
    # Sorted: a point's place in the file must not tell whose it is.
    return sorted((round(float(x), 3), round(float(y), 3)) for x, y in values)


def _references(bench: Bench, seed: int) -> ReferenceLosses | None:
    others = [other for other in bench.section.seeds if other != seed]
    if not others:
        return None
    return ReferenceLosses.stacked([_said_by_retrained(bench, other) for other in others])


def _said_by_retrained(bench: Bench, seed: int) -> dict[str, Losses]:
    # Asked once: every cell of the other seeds wants the same.
    if seed not in bench.reference_losses:
        model, _ = bench.model(RETRAINED, seed)
        sets = vars(bench.evaluation_sets)
        bench.reference_losses[seed] = {name: bench.losses(model, sets[name]) for name in REFERENCE_SETS}
    return bench.reference_losses[seed]
