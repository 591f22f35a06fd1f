"""Adopting an original that was trained elsewhere: somebody else's weights in their own module."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from dlfd_ops.data.images import load_images
from dlfd_ops.data.manifest import Manifest
from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.predictions import predict
from dlfd_ops.files import write_text
from dlfd_ops.models.checkpoint import build_classifier, load_weights, save_classifier
from dlfd_ops.models.wrapped import check_classifier
from dlfd_ops.params import Params
from dlfd_ops.workflows.evaluate import compute_device
from dlfd_ops.workflows.fitting import card_of
from dlfd_ops.workflows.layout import Layout

_LOGGER = logging.getLogger(__name__)


def adopt(params: Params, data: Manifest, weights: Path, root: Path) -> None:
    """Take the weights of ``weights`` as the original; writes ``models/original`` and ``metrics/train.json``.

    Args:
        params: the sections ``base`` and ``train``, the latter with a factory.
        data: the samples that the model was trained on.
        weights: safetensors file.
        root: of the repository.

    Raises:
        BadInput: the weights do not fit the module, the module does not fit its card, or it knows its own training
            images no better than a model that always says the most frequent class.
    """
    layout = Layout(root)
    images = load_images(data, params.base.labels)
    model = build_classifier(card_of(params, data))
    load_weights(model, weights, remedy="give the weights that this factory's module was trained to")
    check_classifier(model)
    hits = predict(model, images, batch_size=params.train.batch_size, device=compute_device(), progress="adopt").hits
    accuracy = float(hits.float().mean())
    _check_knows(accuracy, most_frequent(data, params.base.labels))
    save_classifier(model, layout.model("original"))
    # How long its training took is not known here; the accuracy is on what it was trained on.
    write_text(layout.metrics("train"), json.dumps({"seconds": None, "accuracy": round(accuracy, 6)}) + "\n")
    _LOGGER.info("adopted %s: accuracy %.4f on %d training images", params.train.architecture, accuracy, len(images))


def most_frequent(data: Manifest, labels: tuple[str, ...]) -> float:
    """Return the accuracy of always saying the most frequent class, the mean over the labels."""
    return sum(float(data.rows[label].value_counts(normalize=True).max()) for label in labels) / len(labels)


def _check_knows(accuracy: float, guessed: float) -> None:
    if accuracy <= guessed:
        raise BadInput(
            "the original must know its own training images better than the most frequent class does",
            received=f"accuracy {accuracy:.3f}, where that class alone gives {guessed:.3f}",
            remedy="check the order in prepare.classes, mean, std and base.image_size, and the split of the source",
        )
