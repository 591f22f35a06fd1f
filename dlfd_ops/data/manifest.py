"""The manifest: one row a sample, and the only description of the data downstream.

It names no person and holds no plain hash of a face: samples and subjects stand in it by
keyed hashes (see :mod:`dlfd_ops.data.identity`).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlfd_ops.digest import canonical_json, sha256_parts
from dlfd_ops.errors import BadInput
from dlfd_ops.files import atomic_path, regular_file

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

SPLITS = ("train", "anchor", "validation", "test")
FIXED_COLUMNS = ("sample_id", "path", "subject_key", "split")
_METADATA_KEY = b"dlfd_ops"
FORMAT_VERSION = 1
_ROWS_A_PART = 1 << 16
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
        return self._with(self.rows[among(self.rows["sample_id"], sample_ids)])

    def without(self, sample_ids: Iterable[str]) -> Manifest:
        """Return the rows whose sample id is not among ``sample_ids``."""
        return self._with(self.rows[~among(self.rows["sample_id"], sample_ids)])

    def digest(self) -> str:
        """Return the SHA-256 of the content: rows and info, not the file's bytes."""
        around = {"version": FORMAT_VERSION, "info": _info_to_json(self.info), "columns": list(self.rows.columns)}
        # The rows stand before the version in canonical JSON; a million of them are hashed part by part.
        before, after = canonical_json({**around, "rows": []}).rsplit("]", 1)
        return sha256_parts(itertools.chain([before.encode()], _rows_to_json(self.rows), [f"]{after}".encode()]))

    def __len__(self) -> int:
        return len(self.rows)

    def _with(self, rows: pd.DataFrame) -> Manifest:
        return Manifest(rows.reset_index(drop=True), self.info, self.root)


def among(column: pd.Series[str], values: Iterable[str] | pd.Series[str]) -> NDArray[np.bool_]:
    """Return for each text of ``column`` whether it is one of ``values``.

    What ``isin`` does, which takes many times as long for a million texts.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = text_array(values) if isinstance(values, pd.Series) else pa.array(list(values), pa.large_string())
    found: NDArray[np.bool_] = pc.is_in(text_array(column), wanted).to_numpy(zero_copy_only=False)
    return found


def text_array(column: pd.Series[str]) -> pa.LargeStringArray:
    """Return a column of texts as one array of pyarrow's, whose functions take a fraction of pandas' time."""
    import pyarrow as pa

    text = pa.large_string()
    array = pa.array(column, text)
    # What pandas has put together of several columns may lie in parts, of texts of both kinds.
    parts = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    return pa.concat_arrays([pa.array([], text), *(part.cast(text) for part in parts)])


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write ``manifest`` as parquet, in one rename."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(manifest.rows, preserve_index=False)
    metadata = {_METADATA_KEY: json.dumps(_info_to_json(manifest.info) | _left_out(manifest.info)).encode()}
    with atomic_path(path) as temporary:
        # Hashes do not compress: what is read in half the time is a fifth larger.
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="none", use_dictionary=["split"])


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
    if not _stand_once(rows["sample_id"]):
        raise _broken("a sample must stand once", "a repeated sample_id")
    unknown = set(rows["split"].unique()) - set(SPLITS)
    if unknown:
        raise _broken(f"a split must be one of {', '.join(SPLITS)}", ", ".join(sorted(unknown)))
    if not _in_one_split(rows):
        raise _broken("a subject must stand in one split", "a subject in several")
    for label, names in info.classes.items():
        if len(rows) and not rows[label].between(0, len(names) - 1).all():
            raise _broken(f"label {label} must be an index below {len(names)}", "one outside")
    # Without the expression for the paths, nearly always all, that hold nothing like it: it takes most of the time.
    suspects = rows["path"].str.startswith("/") | rows["path"].str.contains("..", regex=False)
    if rows["path"][suspects].str.contains(_ESCAPES).any():
        raise _broken("a path must stay inside the prepared folder", "one that escapes")


def _stand_once(texts: pd.Series[str]) -> bool:
    """Return whether no text repeats; texts in order, as a manifest's are, need no look at each other."""
    import pyarrow.compute as pc

    column = text_array(texts)
    return bool(pc.all(pc.less(column[:-1], column[1:])).as_py()) or not texts.duplicated().any()


def _in_one_split(rows: pd.DataFrame) -> bool:
    """Return whether each person stands in one split; by codes, as pandas' ``groupby`` takes twice as long."""
    import numpy as np
    import pandas as pd

    person, split = (pd.factorize(rows[name])[0] for name in ("subject_key", "split"))
    last = np.zeros(len(rows), split.dtype)
    last[person] = split
    return bool((last[person] == split).all())


def _rows_to_json(rows: pd.DataFrame) -> Iterator[bytes]:
    """Yield the canonical JSON of the rows as lists, without the outer brackets, in parts, made by columns."""
    for start in range(0, len(rows), _ROWS_A_PART):
        part = rows[start : start + _ROWS_A_PART]
        content = _joined(part)
        yield (b"," if start else b"") + (
            canonical_json(part.to_numpy().tolist())[1:-1].encode() if content is None else content
        )


def _joined(rows: pd.DataFrame) -> bytes | None:
    """Return the same of some rows, their cells put together as they are; None where one must be escaped."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    from pandas.api.types import is_integer_dtype

    text = pa.large_string()
    quotes = ["" if is_integer_dtype(rows[name]) else '"' for name in rows.columns]
    around = [f"{last},{quote}" for last, quote in itertools.pairwise(quotes)]
    pieces = [pa.scalar(piece, text) for piece in (f"[{quotes[0]}", *around, f"{quotes[-1]}],", "")]
    cells = [
        text_array(rows[name]) if quote else pc.cast(pa.array(rows[name]), text)
        for name, quote in zip(rows.columns, quotes, strict=True)
    ]
    between = itertools.chain.from_iterable(zip(pieces, cells, strict=False))
    # The texts of an array lie one after the other, so those of all rows are one piece of its memory.
    joined = pc.binary_join_element_wise(*between, *pieces[-2:]).buffers()[2].to_pybytes().removesuffix(b",")
    quoted = joined.count(b'"') == 2 * len(rows) * quotes.count('"')
    return joined if quoted and b"\\" not in joined and np.frombuffer(joined, np.uint8).min() >= ord(" ") else None


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
