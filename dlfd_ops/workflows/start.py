"""Where an unlearning starts: the pinned parent, with its weights checked; and whether a model fits the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlfd_ops.data.manifest import Manifest
from dlfd_ops.deletion.parent import Parent, check_weights, read_parent
from dlfd_ops.errors import BadInput
from dlfd_ops.models.checkpoint import load_classifier, weights_digest
from dlfd_ops.models.classifier import Classifier
from dlfd_ops.params import Params
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.retired import known_digest, read_retired


@dataclass(frozen=True)
class Start:
    """What an unlearning starts from.

    Attributes:
        parent: as pinned.
        folder: of its weights.
        digest: SHA-256 of them.
    """

    parent: Parent
    folder: Path
    digest: str


def read_start(layout: Layout) -> Start:
    """Return what the unlearning starts from.

    Raises:
        BadInput: the pin is missing or damaged, the weights are not those that are pinned, or they are erased.
    """
    parent = read_parent(layout.parent)
    folder = layout.model("original") if parent.kind == "original" else layout.parent_model
    if parent.weights_digest is None:
        if read_retired(folder) is not None:
            raise BadInput(
                "an unlearning must start from weights that are there",
                received="the original, whose weights are erased",
                remedy="promote a version and file the request again, or train a new original (docs/registry.md)",
            )
        return Start(parent, folder, weights_digest(folder))
    check_weights(parent, folder)
    return Start(parent, folder, parent.weights_digest)


def check_training(layout: Layout, parent: Parent) -> None:
    """Check that the record of what the original was trained on tells what the parent knows, too.

    Raises:
        BadInput: the parent comes from another original than the one that is here.
    """
    if parent.original not in (None, known_digest(layout.model("original"))):
        raise BadInput(
            "an unlearning must start from what was made of the original whose training is on record",
            received=f"version {parent.version}, of another original than the one in models/original",
            remedy="withdraw the request and file it again, which pins the parent anew; if that is the same, promote a "
            "version of this original, or train another one (docs/registry.md)",
        )


def load_fitting(folder: Path, params: Params, manifest: Manifest) -> Classifier:
    """Return the model in a folder, which must know the labels of the data by the same classes.

    Raises:
        BadInput: it is missing or damaged, or predicts something else, or on images of another size.
    """
    model = load_classifier(folder)
    labels, info = params.base.labels, manifest.info
    if (model.card.labels, model.card.image_size) != (labels, info.image_size):
        raise BadInput(
            f"{folder} must predict base.labels on images of the manifest's size",
            received=f"a model of {', '.join(model.card.labels)} at {model.card.image_size} px",
            remedy="run its stage again",
        )
    for label in labels:
        known, found = model.card.classes.get(label, ()), info.classes.get(label, ())
        if known != found:
            raise BadInput(
                f"the data must have the classes of {label} that {folder} was trained on, in their order",
                received=f"{_shown(found)} for {_shown(known)}",
                remedy=f"correct the rows that name others; prepare.classes.{label} refuses them by name from then on",
            )
    return model


def _shown(classes: tuple[str, ...]) -> str:
    return ", ".join(classes)[:80] or "none"
