"""How useful a model is: accuracy and mean loss on a set."""

from __future__ import annotations

from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.predictions import Predictions


def accuracy(predictions: Predictions) -> float:
    """Return the share of right decisions, 0 to 1; for several labels the mean over the labels.

    Raises:
        BadInput: there are no predictions.
    """
    require_some(len(predictions), "an accuracy")
    return float(predictions.hits.double().mean())


def mean_loss(predictions: Predictions) -> float:
    """Return the mean per-sample loss in nats, at least 0.

    Raises:
        BadInput: there are no predictions.
    """
    require_some(len(predictions), "a mean loss")
    return float(predictions.loss.double().mean())


def require_some(count: int, what: str) -> None:
    """Refuse an empty set.

    Raises:
        BadInput: ``count`` is 0.
    """
    if count == 0:
        raise BadInput(f"{what} needs at least one image", received="an empty set", remedy="check the splits")
