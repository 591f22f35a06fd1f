"""Where an unlearning starts: the pinned parent, with its weights checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlfd_ops.deletion.parent import Parent, check_weights, read_parent
from dlfd_ops.errors import BadInput
from dlfd_ops.models.checkpoint import weights_digest
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.retired import read_retired


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
