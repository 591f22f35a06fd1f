"""The data as the original knows them: the manifest, seen through the record of what it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from dlfd_ops.data.manifest import Manifest
from dlfd_ops.data.subjects import read_aliases
from dlfd_ops.data.trained_on import TrainedOn, read_trained_on
from dlfd_ops.workflows.layout import Layout


@dataclass(frozen=True)
class Known:
    """What the original knows of the data, and what the data lack of it.

    Attributes:
        record: of what it was trained on.
        aliases: subject key of a name that was merged into another -> subject key that the manifest has instead.
        data: all samples; ``train`` is what it was trained on and is still there.
        gone: ``sample_id``, ``subject_key`` and ``split`` of what it was trained on and the data no longer have.
    """

    record: TrainedOn
    aliases: Mapping[str, str]
    data: Manifest
    gone: pd.DataFrame


def read_known(layout: Layout, manifest: Manifest) -> Known:
    """Return what the original of the repository knows of its data.

    Args:
        layout: of the repository; the record beside the original and the aliases are read.
        manifest: the data as prepared.

    Raises:
        BadInput: the record or the aliases are missing or damaged, or made with another key than the manifest.
    """
    record, aliases = read_trained_on(layout.trained_on), read_aliases(layout.aliases)
    data = record.as_split(manifest, aliases)
    return Known(record, aliases, data, record.gone_from(data, aliases))
