"""Whom U-LiRA asks about: the people to forget and as many whom nothing saw, and which shadow model knew whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlfd_ops.data.images import LabelledImages, load_images
from dlfd_ops.data.manifest import Manifest


@dataclass(frozen=True)
class Targets:
    """The samples that are asked about.

    Attributes:
        images: of both kinds together, in the manifest's order.
        members: (N,) whether each is to be forgotten; the others are of people whom nothing saw.
    """

    images: LabelledImages
    members: NDArray[np.bool_]

    @property
    def subjects(self) -> dict[str, list[str]]:
        """The person of each sample, of the members as "forget" and of the others as "test"."""
        people = np.array(self.images.subject_keys, dtype=str)
        return {"forget": people[self.members].tolist(), "test": people[~self.members].tolist()}

    def half(self, shadow: int) -> NDArray[np.bool_]:
        """Return which targets a shadow model was trained on and then forgot, (N,); the others it never saw.

        Half of the people of either kind, with all their samples. Shadows 2k and 2k + 1 have the two halves of one
        draw: of a pair, one forgot a sample and the other never saw it.
        """
        pair, side = divmod(shadow, 2)
        generator = np.random.default_rng(pair)
        people = np.array(self.images.subject_keys, dtype=str)
        chosen = np.zeros(len(people), dtype=bool)
        for turn, kind in enumerate((self.members, ~self.members)):
            drawn = generator.permutation(np.unique(people[kind]))
            # Of two odd numbers one is rounded up and one down, so that the halves are as large as each other.
            first = drawn[: (len(drawn) + turn) // 2]
            chosen |= kind & (np.isin(people, first) == (side == 0))
        return chosen


def draw_targets(manifest: Manifest, forget_ids: Iterable[str], labels: tuple[str, ...]) -> Targets:
    """Return the samples to forget, and people of the test split with as many.

    Args:
        manifest: all samples.
        forget_ids: ids of the samples to forget.
        labels: the label columns to predict.

    Raises:
        BadInput: an image is missing, or a label does not fit.
    """
    forget = manifest.only(forget_ids)
    unseen = _first_people(manifest.split("test").rows, len(forget))
    images = load_images(manifest.only([*forget.rows["sample_id"], *unseen["sample_id"]]), labels)
    return Targets(images, np.isin(images.sample_ids, forget.rows["sample_id"].to_numpy(dtype=str)))


def _first_people(rows: pd.DataFrame, samples: int) -> pd.DataFrame:
    """Return the rows of the first people who together have at least so many samples; all where they have fewer."""
    # In the order of keyed hashes, which is as good as drawn.
    counts = rows.groupby("subject_key").size()
    before = counts.cumsum() - counts
    return rows[rows["subject_key"].isin(counts.index[before < samples])]
