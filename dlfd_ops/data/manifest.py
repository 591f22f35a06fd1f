"""The manifest: one row a sample, and the only description of the data downstream.

It names no person and holds no plain hash of a face: samples and subjects stand in it by
keyed hashes (see :mod:`dlfd_ops.data.identity`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlfd_ops.digest import canonical_json, sha256_parts
from dlfd_ops.errors import BadInput
from dlfd_ops.files import atomic_path, regular_file

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SPLITS = ("train", "anchor", "validation", "test")
FIXED_COLUMNS = ("sample_id", "path", "subject_key", "split")
_METADATA_KEY = b"dlfd_ops"
FORMAT_VERSION = 1
_ROWS_A_PART = 1 << 16
_NEEDS_ESCAPE = r'["\\\x00-\x1f]'
_ESCAPES = r"^/|(?:^|/)\.\.(?:/|$)"


@dataclass(frozen=True)
class ManifestInfo:
    """What the rows alone do not say; stored in the parquet file's metadata.

    Attributes:
        dataset: name of the data set.
        key_id: public id of the secret key that the keyed hashes were made with.
        image_size: side of the prepared images, in pixels.
        classes: for every label column, the class names; a label is an index into them.
        suppressed: images of the source that the suppression list left out; no part of the digest, as what is not
            there is no content.
        suppressed_requests: the requests for which it did, and those on the list whose images did not come at all.
    """

    dataset: str
    key_id: str
    image_size: int
    classes: dict[str, tuple[str, ...]]
    suppressed: int = 0
    suppressed_requests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """The samples of a data set.

    Attributes:
        rows: columns ``sample_id`` (64 hex), ``path`` (of the prepared image, relative to the manifest),
            ``subject_key`` (64 hex), ``split`` (one of :data:`SPLITS`) and one int64 column a label; sorted by
            ``sample_id``, index 0..n-1.
        info: see :class:`ManifestInfo`.
        root: folder that ``path`` is relative to.
    """

    rows: pd.DataFrame
    info: ManifestInfo
    root: Path

    def split(self, *names: str) -> Manifest:
        """Return the rows of the named splits."""
        return self._with(self.rows[self.rows["split"].isin(names)])

    def only(self, sample_ids: Iterable[str]) -> Manifest:
        """Return the rows whose sample id is among ``sample_ids``."""
        return self._with(self.rows[self.rows["sample_id"].isin(set(sample_ids))])

    def without(self, sample_ids: Iterable[str]) -> Manifest:
        """Return the rows whose sample id is not among ``sample_ids``."""
        return self._with(self.rows[~self.rows["sample_id"].isin(set(sample_ids))])

    def digest(self) -> str:
        """Return the SHA-256 of the content: rows and info, not the file's bytes."""
        around = {"version": FORMAT_VERSION, "info": _info_to_json(self.info), "columns": list(self.rows.columns)}
        # The rows stand before the version in canonical JSON; a million of them are hashed part by part.
        before, after = canonical_json({**around, "rows": []}).rsplit("]", 1)
        return sha256_parts(part.encode() for part in (before, *_rows_to_json(self.rows), f"]{after}"))

    def __len__(self) -> int:
        return len(self.rows)

    def _with(self, rows: pd.DataFrame) -> Manifest:
        return Manifest(rows.reset_index(drop=True), self.info, self.root)


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write ``manifest`` as parquet, in one rename."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(manifest.rows, preserve_index=False)
    metadata = {_METADATA_KEY: json.dumps(_info_to_json(manifest.info) | _left_out(manifest.info)).encode()}
    with atomic_path(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary)


def read_manifest(path: Path) -> Manifest:
    """Read and validate a manifest.

    Raises:
        BadInput: no parquet file, not one of ours, a column missing, a split or a label unknown, a path that escapes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(regular_file(path))
    except (OSError, pa.ArrowException) as error:
        raise BadInput(
            f"{path} must be a parquet manifest", received=type(error).__name__, remedy="run the prepare stage"
        ) from error
    metadata = (table.schema.metadata or {}).get(_METADATA_KEY)
    if metadata is None:
        raise BadInput(
            f"{path} must carry the manifest's metadata", received="a foreign parquet file", remedy="run prepare"
        )
    info = _info_from_json(metadata)
    _check_types(table, info)
    manifest = Manifest(table.to_pandas(), info, path.parent)
    validate_manifest(manifest)
    return manifest


def validate_manifest(manifest: Manifest) -> None:
    """Check the laws of a manifest.

    Raises:
        BadInput: a law is broken; the message names it.
    """
    rows, info = manifest.rows, manifest.info
    expected = [*FIXED_COLUMNS, *info.classes]
    if list(rows.columns) != expected:
        raise _broken(f"columns must be {expected}", str(list(rows.columns)))
    if rows["sample_id"].duplicated().any():
        raise _broken("a sample must stand once", "a repeated sample_id")
    unknown = set(rows["split"].unique()) - set(SPLITS)
    if unknown:
        raise _broken(f"a split must be one of {', '.join(SPLITS)}", ", ".join(sorted(unknown)))
    if (rows.groupby("subject_key")["split"].nunique() > 1).any():
        raise _broken("a subject must stand in one split", "a subject in several")
    for label, names in info.classes.items():
        if len(rows) and not rows[label].between(0, len(names) - 1).all():
            raise _broken(f"label {label} must be an index below {len(names)}", "one outside")
    if rows["path"].str.contains(_ESCAPES).any():
        raise _broken("a path must stay inside the prepared folder", "one that escapes")


def _rows_to_json(rows: pd.DataFrame) -> Iterator[str]:
    """Yield the canonical JSON of the rows as lists, without the outer brackets, in parts, made by columns."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pa.large_string()
    for start in range(0, len(rows), _ROWS_A_PART):
        part = rows[start : start + _ROWS_A_PART]
        columns = [pc.cast(_cells(pa.array(part[name])), text) for name in part.columns]
        joined = pc.binary_join_element_wise(*columns, pa.scalar(",", text))
        yield ("," if start else "") + "[" + "],[".join(joined.to_pylist()) + "]"


def _cells(column: pa.Array) -> pa.Array:
    """Return a column's values, each as JSON."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(column.type):
        return column
    if pc.any(pc.match_substring_regex(column, _NEEDS_ESCAPE)).as_py():
        return pa.array([canonical_json(value) for value in column.to_pylist()], pa.large_string())
    quote = pa.scalar('"', column.type)
    return pc.binary_join_element_wise(quote, column, quote, pa.scalar("", column.type))


def _broken(rule: str, received: str) -> BadInput:
    return BadInput(f"manifest: {rule}", received=received, remedy="run the prepare stage again")


def _info_to_json(info: ManifestInfo) -> dict[str, object]:
    return {
        "dataset": info.dataset,
        "key_id": info.key_id,
        "image_size": info.image_size,
        "classes": {label: list(names) for label, names in info.classes.items()},
    }


def _left_out(info: ManifestInfo) -> dict[str, object]:
    return {"suppressed": info.suppressed, "suppressed_requests": list(info.suppressed_requests)}


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def _info_from_json(text: bytes) -> ManifestInfo:
    try:
        value = json.loads(text)
        return ManifestInfo(
            dataset=str(value["dataset"]),
            key_id=str(value["key_id"]),
            image_size=int(str(value["image_size"])),
            classes={str(label): tuple(map(str, _list(names))) for label, names in value["classes"].items()},
            suppressed=int(str(value["suppressed"])),
            suppressed_requests=tuple(map(str, _list(value["suppressed_requests"]))),
        )
    except (KeyError, AttributeError, TypeError, ValueError, RecursionError) as error:
        raise _broken("its metadata must be complete", type(error).__name__) from error


def _check_types(table: pa.Table, info: ManifestInfo) -> None:
    """Check that no value is missing, and that what the laws compare can be compared.

    Raises:
        BadInput: a column is missing, holds a value of another type, or lacks one.
    """
    import pyarrow as pa

    expected, schema = [*FIXED_COLUMNS, *info.classes], table.schema
    if schema.names != expected:
        raise _broken(f"columns must be {expected}", ", ".join(schema.names)[:200])
    for name in expected:
        kind = schema.field(name).type
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if not (text if name in FIXED_COLUMNS else pa.types.is_integer(kind)) or table[name].null_count:
            wanted = "text" if name in FIXED_COLUMNS else "a whole number"
            received = f"{table[name].null_count} rows without" if table[name].null_count else str(kind)
            raise _broken(f"column {name} must hold {wanted} in every row", received)
