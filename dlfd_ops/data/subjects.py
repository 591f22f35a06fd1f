"""Who is who: names that share a photo are one person, and equal photos are one sample."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlfd_ops.errors import BadInput
from dlfd_ops.files import read_bounded, write_text

MAX_ALIASES_BYTES = 256 << 20

_ALIAS_COLUMNS = ["alias_key", "subject_key"]


@dataclass(frozen=True)
class Sighting:
    """One usable row of a source.

    Attributes:
        sample_id: keyed hash of the photo's bytes.
        subject_key: keyed hash of the name it is listed under, or None where the photo is its own subject.
        labels: class name of every label.
        split: published part, or None.
        identity: a text of the raw data that does not depend on the secret key and orders the subjects: the raw name,
            or the digest of the photo. Stays in memory.
    """

    sample_id: str
    subject_key: str | None
    labels: Mapping[str, str]
    split: str | None
    identity: str


@dataclass(frozen=True)
class Subject:
    """A person.

    Attributes:
        subject_key: the keyed hash that stands for the person in the manifest.
        aliases: all keyed hashes of names that the source gives the person, sorted.
        sample_ids: the person's distinct photos, sorted.
        splits: the published parts that the person stands in.
        identity: the smallest of the sightings' identities.
    """

    subject_key: str
    aliases: tuple[str, ...]
    sample_ids: tuple[str, ...]
    splits: frozenset[str]
    identity: str


def merge_subjects(sightings: Sequence[Sighting]) -> list[Subject]:
    """Return the people behind ``sightings``: the connected components of names and photos.

    A person is named by the smallest keyed hash of their names; a person without a name by the photo, so that the
    result depends neither on the order of the rows nor on how often a photo is listed.
    """
    nodes: dict[str, int] = {}
    edges = [
        (
            nodes.setdefault(f"photo {sighting.sample_id}", len(nodes)),
            nodes.setdefault(f"name {sighting.subject_key or sighting.sample_id}", len(nodes)),
        )
        for sighting in sightings
    ]
    members: dict[int, list[Sighting]] = {}
    for sighting, component in zip(sightings, _components(len(nodes), edges), strict=True):
        members.setdefault(component, []).append(sighting)
    return sorted((_subject(group) for group in members.values()), key=lambda subject: subject.subject_key)


def agree_labels(
    sightings: Sequence[Sighting], classes: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, dict[str, str]], int]:
    """Return the labels of every distinct photo, and the number of photos whose rows disagreed.

    Where the rows of a photo disagree on a label, the class that most rows name holds; of equally frequent classes the
    one that comes first in ``classes``.
    """
    rows: dict[str, list[Mapping[str, str]]] = {}
    for sighting in sightings:
        rows.setdefault(sighting.sample_id, []).append(sighting.labels)
    labels = {
        sample_id: {label: _majority([row[label] for row in group], names) for label, names in classes.items()}
        for sample_id, group in rows.items()
    }
    return labels, sum(any(row != group[0] for row in group) for group in rows.values())


def alias_table(subjects: Sequence[Subject]) -> dict[str, str]:
    """Return, for every name's keyed hash that is not in the manifest, the keyed hash that stands there instead."""
    return {
        alias: subject.subject_key for subject in subjects for alias in subject.aliases if alias != subject.subject_key
    }


def write_aliases(aliases: Mapping[str, str], path: Path) -> None:
    """Write an alias table as CSV with the columns alias_key and subject_key, in one rename.

    A request may name a person by any of their names; the manifest knows the person by one of them.
    """
    rows = [f"{alias},{subject_key}\n" for alias, subject_key in sorted(aliases.items())]
    write_text(path, "".join([f"{','.join(_ALIAS_COLUMNS)}\n", *rows]))


def read_aliases(path: Path) -> dict[str, str]:
    """Read the subjects that the prepare stage merged: alias key -> subject key; empty when there is no such file.

    Raises:
        BadInput: the file is not in the format.
    """
    if not path.exists():
        return {}
    try:
        text = read_bounded(path, max_bytes=MAX_ALIASES_BYTES, what=str(path)).decode()
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        if header != _ALIAS_COLUMNS:
            raise ValueError(f"columns must be {_ALIAS_COLUMNS}")
        return {alias: subject for alias, subject in rows}
    except (csv.Error, ValueError) as error:
        raise BadInput(
            f"{path} must be CSV with the columns {', '.join(_ALIAS_COLUMNS)}",
            received=type(error).__name__,
            remedy="run the prepare stage",
        ) from error


def _components(nodes: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Return the connected component of every edge's first node."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not edges:
        return []
    first, second = np.asarray(edges, dtype=np.int64).T
    graph = coo_array((np.ones(len(edges), dtype=np.int8), (first, second)), shape=(nodes, nodes))
    _, component = connected_components(graph.tocsr(), directed=False)
    return [int(number) for number in component[first]]


def _subject(group: Sequence[Sighting]) -> Subject:
    aliases = tuple(sorted({sighting.subject_key for sighting in group if sighting.subject_key is not None}))
    sample_ids = tuple(sorted({sighting.sample_id for sighting in group}))
    return Subject(
        subject_key=aliases[0] if aliases else sample_ids[0],
        aliases=aliases,
        sample_ids=sample_ids,
        splits=frozenset(sighting.split for sighting in group if sighting.split is not None),
        identity=min(sighting.identity for sighting in group),
    )


def _majority(named: Sequence[str], classes: tuple[str, ...]) -> str:
    votes = Counter(named)
    return min(votes, key=lambda name: (-votes[name], classes.index(name)))
