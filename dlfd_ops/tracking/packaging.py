"""A classifier as a self-contained MLflow model: pt2, no code of this package, no face.

The version's artifacts hold two forms of the same weights: ``data/model.pt2`` is what ``mlflow.pyfunc.load_model``
serves, ``checkpoint/`` (safetensors and JSON) is what an unlearning can start from again. They stand in one place,
so that removing the version's artifacts removes both.
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import mlflow.pytorch
import numpy as np
import torch
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray

from dlfd_ops.errors import CheckFailed
from dlfd_ops.models.checkpoint import CARD, WEIGHTS, load_classifier, weights_digest
from dlfd_ops.models.classifier import ModelCard, ServedClassifier

CHECKPOINT = "checkpoint"
TOLERANCE = 1e-5
"""Largest difference of a probability between the packaged and the original model."""
EXPORTED = Path("data/model.pt2")


def package(checkpoint: Path, target: Path, description: Model) -> None:
    """Write the classifier in ``checkpoint`` into the new folder ``target`` as an MLflow model.

    The export is read back and compared on batches of other sizes than it was traced with.

    Args:
        checkpoint: folder with ``weights.safetensors`` and ``model.json``.
        target: where to write; must not exist.
        description: the ``MLmodel`` to complete: run and model ids are set already.

    Raises:
        BadInput: the checkpoint is missing or damaged.
        CheckFailed: the export does not answer as the model does.
    """
    classifier = load_classifier(checkpoint)
    served = ServedClassifier(classifier).eval()
    with warnings.catch_warnings():
        # Exporting warns about internals of torch that a user can do nothing about.
        warnings.simplefilter("ignore")
        mlflow.pytorch.save_model(
            served,
            str(target),
            mlflow_model=description,
            signature=_signature(classifier.card),
            input_example=noise(2, classifier.card.image_size),
            pip_requirements=requirements(),
            metadata=_metadata(classifier.card, weights_digest(checkpoint)),
            serialization_format="pt2",
        )
    _leave_out_this_machine(target / EXPORTED)
    _check_export(served, target / EXPORTED, classifier.card.image_size)
    (target / CHECKPOINT).mkdir()
    for name in (WEIGHTS, CARD):
        shutil.copyfile(checkpoint / name, target / CHECKPOINT / name)


def noise(batch: int, size: int) -> NDArray[np.float32]:
    """Return (batch, 3, size, size) noise in [0, 1]: an input example that shows nobody.

    Two decimals keep the copies of it that MLflow writes as text small.
    """
    return np.random.default_rng(0).random((batch, 3, size, size)).round(2).astype(np.float32)


def requirements() -> list[str]:
    """Return what serving needs beside MLflow: torch alone, without the build's local version."""
    return [f"torch=={torch.__version__.partition('+')[0]}"]


def _signature(card: ModelCard) -> ModelSignature:
    size = card.image_size
    kind = np.dtype(np.float32)
    return ModelSignature(
        inputs=Schema([TensorSpec(kind, (-1, 3, size, size))]),
        outputs=Schema([TensorSpec(kind, (-1, card.num_outputs))]),
    )


def _metadata(card: ModelCard, digest: str) -> dict[str, object]:
    return {
        "dlfd": {
            "labels": list(card.labels),
            "classes": {label: list(card.classes[label]) for label in card.labels},
            "outputs": list(card.output_names),
            "output_activation": "sigmoid" if card.multi_label else "softmax",
            "input": "RGB, channels first, values in [0, 1]; the normalisation is part of the model",
            "image_size": card.image_size,
            "architecture": card.architecture,
            "weights_digest": digest,
        }
    }


def _leave_out_this_machine(exported: Path) -> None:
    """Write an export anew without the paths of the code that it was traced from, and without its pickled example."""
    program = torch.export.load(exported)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    program.example_inputs = None
    torch.export.save(program, exported)


@torch.no_grad()
def _check_export(served: ServedClassifier, exported: Path, size: int) -> None:
    loaded = torch.export.load(exported).module()
    for batch in (1, 3):
        images = torch.from_numpy(noise(batch, size))
        difference = float((loaded(images) - served(images)).abs().max())
        if not difference < TOLERANCE:
            raise CheckFailed(
                f"the packaged model must answer as the model does, within {TOLERANCE}",
                received=f"a difference of {difference:.2g} on a batch of {batch}",
                remedy="use another version of torch, or report it with the architecture",
            )
