"""Older manifests in stores that several projects may share."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dvc.fs import LocalFileSystem

from dlfd_ops.data.manifest import Manifest, ManifestInfo
from dlfd_ops.data.trained_on import TRAINED_ON
from dlfd_ops.errors import BadInput
from dlfd_ops.storage.objects import ObjectStore
from dlfd_ops.workflows.erasure.contents import MANIFEST, Stores, records_of, samples_of
from dlfd_ops.workflows.erasure.people import Asked, People

OURS = {"sample_id": ["s1", "s2"], "subject_key": ["anna", "bert"]}


def stores(folder: Path, contents: Sequence[bytes], name: str = MANIFEST) -> Stores:
    """Return a store with one listing for each content, which names it as its manifest, or as its ``name``."""
    for number, content in enumerate(contents):
        oids = [f"{number:032x}", f"{number:032x}"[::-1] + ".dir"]
        listing = json.dumps([{"md5": oids[0], "relpath": name}]).encode()
        for oid, held in zip(oids, (content, listing), strict=True):
            path = folder / "files/md5" / oid[:2] / oid[2:]
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


def test_who_was_one_with_them_keeps_what_is_theirs_by_now() -> None:
    """An older manifest has the photos of both under one name; today one of them is another person, who stays."""
    rows = pd.DataFrame({"sample_id": ["a1", "b1"], "subject_key": ["anna", "bert"]}, dtype="str")
    asked = Asked("req-000000000000", frozenset({"anna"}), frozenset({"a1"}))
    people = People((asked,), Manifest(rows, ManifestInfo("tiny", "0" * 16, 8, {}), Path()), 0)
    assert people.without_others({"a1", "b1", "gone"}) == {"a1", "gone"}


@pytest.mark.parametrize(
    ("samples", "subjects", "found"),
    [((), ("anna",), 1), (("s2",), (), 1), (("s9",), ("carl",), 0)],
)
def test_a_record_that_names_one_of_them_is_found(
    tmp_path: Path, samples: tuple[str, ...], subjects: tuple[str, ...], found: int
) -> None:
    """By a photo or by a person, whether weights lie beside it or not; one of others is left alone."""
    others = parquet({"sample_id": ["s3"], "subject_key": ["dora"]})
    records = records_of(stores(tmp_path, [parquet(OURS), others], TRAINED_ON), samples, subjects)
    assert list(records.values()) == ["0" * 32] * found


@pytest.mark.parametrize("content", [b"", b"no parquet", parquet(OURS)[:-9], b"PAR1" + bytes(60) + b"PAR1"])
def test_a_damaged_manifest_stops_it_with_one_line(tmp_path: Path, content: bytes) -> None:
    """It may name what is to be erased, so it is not passed over; the object is named."""
    with pytest.raises(
        BadInput, match=r"manifest.parquet and trained_on.parquet in the stores must be readable.*0{32}"
    ) as raised:
        samples_of(stores(tmp_path, [content]), {"anna"}, ())
    assert "\n" not in str(raised.value)
