"""The forget list: the training samples of the open requests that the parent does not cover yet.

Beside them stand the samples that the parent has forgotten already and that still exist. They are not forgotten once
more, but nothing may learn from them again, and the evidence about them is measured anew.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from dlfd_ops.digest import sha256_json
from dlfd_ops.errors import BadInput
from dlfd_ops.files import atomic_path, regular_file

_METADATA_KEY = b"dlfd_ops"


@dataclass(frozen=True)
class ForgetRow:
    """One sample to forget, and the requests that ask for it.

    Attributes:
        sample_id: 64 hex, a training sample of the manifest.
        request_ids: sorted, at least one.
    """

    sample_id: str
    request_ids: tuple[str, ...]


@dataclass(frozen=True)
class SampleCount:
    """How many samples a request resolved to.

    Attributes:
        train: that the model was trained on.
        other: that it was not.
        gone: that it was trained on, has not forgotten, and that the data no longer have: it can't be made to forget
            them.
    """

    train: int
    other: int
    gone: int = 0


@dataclass(frozen=True)
class ForgetList:
    """The resolved requests.

    Attributes:
        rows: what is to be forgotten now; sorted by sample id, each sample once.
        counts: request id -> samples; holds every resolved request, also one with no training sample, sorted by id.
        earlier: what the parent has forgotten already and is still there; sorted as well. A sample that is asked for
            once more stands in both.
        held_out: sample ids of the same people outside the training split, sorted. No model knows them, and no
            unlearning may use them as an example of a stranger.
    """

    rows: tuple[ForgetRow, ...]
    counts: dict[str, SampleCount]
    earlier: tuple[ForgetRow, ...] = ()
    held_out: tuple[str, ...] = ()

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """The samples to forget now, sorted."""
        return tuple(row.sample_id for row in self.rows)

    @property
    def cumulative_ids(self) -> tuple[str, ...]:
        """All samples that must not be known afterwards and are still there, sorted."""
        return tuple(sorted({row.sample_id for row in (*self.rows, *self.earlier)}))

    @property
    def samples_by_request(self) -> dict[str, tuple[str, ...]]:
        """Training samples that are still there, of every request that has any, sorted by request id."""
        found: dict[str, set[str]] = {}
        for row in (*self.rows, *self.earlier):
            for request_id in row.request_ids:
                found.setdefault(request_id, set()).add(row.sample_id)
        return {request_id: tuple(sorted(found[request_id])) for request_id in sorted(found)}

    @property
    def request_ids(self) -> tuple[str, ...]:
        """The requests that forgetting this list fulfils, sorted."""
        return tuple(self.counts)

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON of the sorted rows, and of what else there is."""
        rows, earlier = ([[row.sample_id, list(row.request_ids)] for row in part] for part in (self.rows, self.earlier))
        others = {name: part for name, part in (("earlier", earlier), ("held_out", list(self.held_out))) if part}
        return sha256_json({"rows": rows, **others} if others else rows)

    def __len__(self) -> int:
        return len(self.rows)


def write_forget_list(path: Path, forget_list: ForgetList) -> None:
    """Write parquet with the columns ``sample_id``, ``request_ids`` and ``earlier`` (bool), in one rename.

    Counts and what is held out stand in its metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("sample_id", pa.string()), ("request_ids", pa.list_(pa.string())), ("earlier", pa.bool_())])
    rows = [(row, False) for row in forget_list.rows] + [(row, True) for row in forget_list.earlier]
    columns = [
        [row.sample_id for row, _ in rows],
        [list(row.request_ids) for row, _ in rows],
        [earlier for _, earlier in rows],
    ]
    counts = {request_id: [count.train, count.other, count.gone] for request_id, count in forget_list.counts.items()}
    around = json.dumps({"counts": counts, "held_out": forget_list.held_out}).encode()
    table = pa.table(columns, schema=schema.with_metadata({_METADATA_KEY: around}))
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def read_forget_list(path: Path) -> ForgetList:
    """Read and validate a forget list.

    Raises:
        BadInput: no parquet file, or not one that :func:`write_forget_list` wrote.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(regular_file(path))
        rows, earlier = (
            tuple(
                ForgetRow(row["sample_id"], tuple(row["request_ids"]))
                for row in table.to_pylist()
                if row["earlier"] is part
            )
            for part in (False, True)
        )
        around = json.loads((table.schema.metadata or {})[_METADATA_KEY])
        counts = {key: SampleCount(*map(int, count)) for key, count in sorted(around["counts"].items())}
        # A list written before there was this entry has none.
        forget_list = ForgetList(rows, counts, earlier, tuple(map(str, around.get("held_out", ()))))
        _check_rows(forget_list)
    except (OSError, pa.ArrowException, LookupError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(
            f"{path} must be a forget list", received=type(error).__name__, remedy="run the forget_list stage"
        ) from error
    return forget_list


def _check_rows(forget_list: ForgetList) -> None:
    for rows in (forget_list.rows, forget_list.earlier):
        if any(one.sample_id >= other.sample_id for one, other in itertools.pairwise(rows)):
            raise ValueError("rows must be sorted by sample id, each once")
    named = Counter(request for row in forget_list.rows for request in row.request_ids)
    counted = {request: count.train for request, count in forget_list.counts.items() if count.train}
    if named != counted:
        raise ValueError("every request of a row must be counted, and no photo that there is no row of")
