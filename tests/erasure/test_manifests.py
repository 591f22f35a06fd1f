"""Older manifests in stores that several projects may share."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dvc.fs import LocalFileSystem

from dlfd_ops.errors import BadInput
from dlfd_ops.storage.objects import ObjectStore
from dlfd_ops.workflows.erasure.contents import MANIFEST, Stores, samples_of

OURS = {"sample_id": ["s1", "s2"], "subject_key": ["anna", "bert"]}


def stores(folder: Path, contents: Sequence[bytes]) -> Stores:
    """Return a store with one listing for each content, which names it as its manifest."""
    for number, content in enumerate(contents):
        names = [f"{number:032x}", f"{number:032x}"[::-1] + ".dir"]
        listing = json.dumps([{"md5": names[0], "relpath": MANIFEST}]).encode()
        for name, held in zip(names, (content, listing), strict=True):
            path = folder / "files/md5" / name[:2] / name[2:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(held)
    store = ObjectStore("DVC remote shared", "shared", False, LocalFileSystem(), str(folder))
    return Stores({store: store.look()})


def parquet(columns: Mapping[str, Sequence[object]]) -> bytes:
    """Return a parquet file."""
    stream = io.BytesIO()
    pq.write_table(pa.table(dict(columns)), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    "foreign",
    [
        {"file": ["a"]},
        {"sample_id": ["s9"]},
        {"sample_id": [1], "subject_key": [2]},
        {**OURS, "subject_key": [[1], []]},
    ],
)
def test_another_projects_manifest_names_nobody(tmp_path: Path, foreign: dict[str, list[object]]) -> None:
    """A file of the same name with other columns is passed over; ours beside it is read."""
    found = samples_of(stores(tmp_path, [parquet(foreign), parquet(OURS)]), {"anna"}, ())
    assert found == {"s1"}


@pytest.mark.parametrize("content", [b"", b"no parquet", parquet(OURS)[:-9], b"PAR1" + bytes(60) + b"PAR1"])
def test_a_damaged_manifest_stops_it_with_one_line(tmp_path: Path, content: bytes) -> None:
    """It may name what is to be erased, so it is not passed over; the object is named."""
    with pytest.raises(BadInput, match=r"manifest.parquet in the stores must be readable.*0{32}") as raised:
        samples_of(stores(tmp_path, [content]), {"anna"}, ())
    assert "\n" not in str(raised.value)
