"""Reading prepared images into memory as labelled tensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dlfd_ops.data.manifest import Manifest
from dlfd_ops.errors import BadInput


@dataclass(frozen=True)
class LabelledImages:
    """Samples held in memory, in the manifest's row order.

    Attributes:
        images: (N, 3, S, S) uint8.
        targets: (N,) int64 class indices for one label, (N, L) float32 of 0 and 1 for several.
        sample_ids: N keyed hashes.
        subject_keys: N keyed hashes.
    """

    images: Tensor
    targets: Tensor
    sample_ids: tuple[str, ...]
    subject_keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sample_ids)


def load_images(manifest: Manifest, labels: tuple[str, ...]) -> LabelledImages:
    """Decode every image of ``manifest`` and gather the targets of ``labels``.

    Raises:
        BadInput: a label is not in the manifest, several labels are not all binary, an image is missing or has
            another size than the manifest says.
    """
    size = manifest.info.image_size
    images = np.empty((len(manifest), 3, size, size), dtype=np.uint8)
    for row, path in enumerate(manifest.rows["path"]):
        images[row] = _read_prepared(manifest.root / path, size)
    return LabelledImages(
        images=torch.from_numpy(images),
        targets=targets_of(manifest, labels),
        sample_ids=tuple(manifest.rows["sample_id"]),
        subject_keys=tuple(manifest.rows["subject_key"]),
    )


def targets_of(manifest: Manifest, labels: tuple[str, ...]) -> Tensor:
    """Return the targets of ``labels``: (N,) int64 for one label, (N, L) float32 for several binary ones.

    Raises:
        BadInput: a label is unknown, or one of several is not binary.
    """
    known = manifest.info.classes
    for label in labels:
        if label not in known:
            raise BadInput(
                "base.labels must name label columns of the manifest",
                received=label,
                remedy=f"choose from {', '.join(known)}",
            )
        if len(labels) > 1 and len(known[label]) != 2:
            raise BadInput(
                "several labels at once must all be binary",
                received=f"{label} with {len(known[label])} classes",
                remedy="predict it alone",
            )
    if len(labels) == 1:
        return torch.as_tensor(manifest.rows[labels[0]].to_numpy(dtype=np.int64).copy())
    return torch.as_tensor(manifest.rows[list(labels)].to_numpy(dtype=np.float32).copy())


def _read_prepared(path: Path, size: int) -> np.ndarray:
    try:
        with Image.open(path) as image:
            if image.size != (size, size):
                raise BadInput(
                    f"a prepared image must be {size} x {size} pixels",
                    received=f"{image.size[0]} x {image.size[1]}",
                    remedy="run the prepare stage again",
                )
            return np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    except OSError as error:
        raise BadInput(
            "every prepared image of the manifest must be readable",
            received=f"{path.name[:12]}...: {type(error).__name__}",
            remedy="run the prepare stage, or dvc checkout",
        ) from error
