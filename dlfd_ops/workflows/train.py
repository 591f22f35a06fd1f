"""The train stage: the original model, trained on everybody here, or taken as it was trained elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

from dlfd_ops.data.manifest import read_manifest
from dlfd_ops.data.trained_on import trained_on, write_trained_on
from dlfd_ops.files import write_text
from dlfd_ops.params import Params
from dlfd_ops.training.launch import start_accelerator
from dlfd_ops.workflows.adopt import adopt
from dlfd_ops.workflows.fitting import fit, recipe_digest
from dlfd_ops.workflows.layout import Layout


def train(params: Params, root: Path = Path()) -> None:
    """Train the original on the training split, or adopt it; writes ``models/original`` and ``metrics/train.json``.

    Beside the weights stands what they were trained on: later data may draw other people into the training split.

    Raises:
        BadInput: the manifest or an image is missing or damaged, a label does not fit, or the model to adopt does not.
    """
    layout = Layout(root)
    manifest = read_manifest(layout.manifest)
    data = manifest.split("train")
    factory = params.train.factory
    if factory is not None and factory.weights is not None:
        if start_accelerator().is_main_process:
            adopt(params, data, root / factory.weights, root)
            write_trained_on(trained_on(data), layout.trained_on)
        return
    fitted = fit(params, data, "original", "training.csv", root, manifest=manifest)
    if fitted.is_main_process:
        facts = {
            "seconds": round(fitted.seconds, 3),
            # The requests whose data were gone: the original never saw them, so they need no forgetting.
            "without": list(manifest.info.suppressed_requests),
            # A model that is retrained to compare is trained alike; a frozen stage does not see the parameters change.
            "recipe": recipe_digest(params),
        }
        write_trained_on(trained_on(data), layout.trained_on)
        write_text(layout.metrics("train"), json.dumps(facts) + "\n")
