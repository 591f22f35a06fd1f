"""Prepared images with their labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dlfd_ops.data.manifest import Manifest
from dlfd_ops.data.pixels import Pixels, read_pixels
from dlfd_ops.errors import BadInput


@dataclass(frozen=True)
class LabelledImages:
    """Samples in the manifest's row order.

    Attributes:
        images: (N, 3, S, S) uint8; a tensor, or read when they are asked for.
        targets: (N,) int64 class indices for one label, (N, L) float32 of 0 and 1 for several.
        sample_ids: N keyed hashes.
        subject_keys: N keyed hashes.
    """

    images: Pixels
    targets: Tensor
    sample_ids: tuple[str, ...]
    subject_keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sample_ids)

    def first(self, count: int) -> LabelledImages:
        """Return the first ``count`` samples, or all where there are not more.

        The manifest's order is that of keyed hashes, so that they are as good as drawn.
        """
        return self if len(self) <= count else self.rows(torch.arange(count))

    def rows(self, chosen: Tensor) -> LabelledImages:
        """Return the samples whose (K,) int64 row numbers are ``chosen``, in that order; the images in memory."""
        return LabelledImages(
            images=self.images[chosen],
            targets=self.targets[chosen],
            sample_ids=tuple(self.sample_ids[row] for row in chosen),
            subject_keys=tuple(self.subject_keys[row] for row in chosen),
        )


def load_images(manifest: Manifest, labels: tuple[str, ...]) -> LabelledImages:
    """Return the images of ``manifest``, in memory where they fit, and the targets of ``labels``.

    Raises:
        BadInput: a label is not in the manifest, several labels are not all binary, an image is missing or has
            another size than the manifest says. Of images that stay on disk, the first to ask for them hears of that.
    """
    return LabelledImages(
        images=read_pixels([manifest.root / path for path in manifest.rows["path"]], manifest.info.image_size),
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
