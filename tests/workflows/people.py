"""The synthetic people of a repository by their raw names."""

from __future__ import annotations

from dlfd_ops.data.identity import load_key
from dlfd_ops.data.manifest import read_manifest
from dlfd_ops.workflows.layout import Layout


def trained_people(subjects: int) -> list[str]:
    """Return the raw names of those of the first ``subjects`` people who are in the training split, in order."""
    rows = read_manifest(Layout().manifest).split("train").rows
    keys, key = set(rows["subject_key"]), load_key()
    return [name for number in range(subjects) if key.subject_key(name := f"person-{number:05d}") in keys]
