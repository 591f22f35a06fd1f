"""The train stage: the original model, trained on everybody."""

from __future__ import annotations

import json
from pathlib import Path

from dlfd_ops.data.manifest import read_manifest
from dlfd_ops.files import write_text
from dlfd_ops.params import Params
from dlfd_ops.workflows.fitting import fit
from dlfd_ops.workflows.layout import Layout


def train(params: Params, root: Path = Path()) -> None:
    """Train the original on the training split; writes ``models/original`` and ``metrics/train.json``.

    Raises:
        BadInput: the manifest or an image is missing or damaged, or a label does not fit.
    """
    layout = Layout(root)
    fitted = fit(params, read_manifest(layout.manifest).split("train"), "original", "training.csv", root)
    if fitted.is_main_process:
        write_text(layout.metrics("train"), json.dumps({"seconds": round(fitted.seconds, 3)}) + "\n")
