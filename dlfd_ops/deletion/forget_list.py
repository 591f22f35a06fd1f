"""The forget list: the training samples of the open requests that the parent does not cover yet.

Beside them stand the samples that the parent has forgotten already and that still exist. They are not forgotten once
more, but nothing may learn from them again, and the evidence about them is measured anew.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlfd_ops.data.manifest import Manifest, among, text_array
from dlfd_ops.deletion.parent import Parent
from dlfd_ops.deletion.requests import DeletionRequest
from dlfd_ops.digest import sha256_json
from dlfd_ops.errors import BadInput
from dlfd_ops.files import atomic_path, read_bounded, regular_file

if TYPE_CHECKING:
    import pandas as pd

MAX_ALIASES_BYTES = 256 << 20

_METADATA_KEY = b"dlfd_ops"
_ALIAS_COLUMNS = ["alias_key", "subject_key"]


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


def resolve(
    requests: Iterable[DeletionRequest],
    manifest: Manifest,
    parent: Parent,
    aliases: Mapping[str, str] | None = None,
    gone: pd.DataFrame | None = None,
) -> ForgetList:
    """Find the samples of every request that the parent does not exclude.

    A request that the parent covers need not match anything: its data may be gone.

    Args:
        requests: the intake.
        manifest: all samples, every split; ``train`` is what the original was trained on.
        parent: the pinned parent.
        aliases: subject key of a name that was merged into another -> subject key that the manifest has instead.
        gone: ``sample_id``, ``subject_key`` and ``split`` of what the original was trained on and the manifest lacks.

    Raises:
        BadInput: a request was made with another secret key than the manifest, or one that is still to be fulfilled
            matches no sample at all.
    """
    covered, excluded = set(parent.covers), set(parent.excluded)
    requests = list(requests)
    samples = _Samples(manifest.rows, requests, aliases or {})
    lost = _lost(requests, covered, gone, aliases or {})
    asked: dict[str, list[str]] = {}
    earlier: dict[str, list[str]] = {}
    counts: dict[str, SampleCount] = {}
    held_out: set[str] = set()
    for request in requests:
        is_covered = request.request_id in covered
        if request.request_id in excluded and not is_covered:
            continue
        _check_key(request, manifest.info.key_id)
        found = samples.of(request)
        trained = [sample for sample in found if samples.split[sample] == "train"]
        held_out |= set(found) - set(trained)
        if not is_covered:
            if not trained and (not found or lost[request.request_id]):
                raise _matches_nothing(request, lost[request.request_id])
            counts[request.request_id] = SampleCount(len(trained), len(found) - len(trained), lost[request.request_id])
        for sample in trained:
            (earlier if is_covered else asked).setdefault(sample, []).append(request.request_id)
    return ForgetList(_rows(asked), dict(sorted(counts.items())), _rows(earlier), tuple(sorted(held_out)))


def find_samples(
    requests: Iterable[DeletionRequest], manifest: Manifest, aliases: Mapping[str, str] | None = None
) -> dict[str, Sequence[str]]:
    """Return the samples of every request that the manifest holds, in every split: request id -> sample ids.

    Args:
        requests: the intake, settled requests included.
        manifest: all samples, every split.
        aliases: see :func:`resolve`.
    """
    requests = list(requests)
    samples = _Samples(manifest.rows, requests, aliases or {})
    return {request.request_id: samples.of(request) for request in requests}


def check_forgettable(forget_list: ForgetList, manifest: Manifest, parent: Parent, max_share: float) -> None:
    """Check that there is something to forget, and not too much of it.

    Where an unlearned version is the parent, nothing new to forget is no error: that version is the result.

    Args:
        forget_list: the resolved requests.
        manifest: all samples.
        parent: the pinned parent.
        max_share: largest share of the training samples, in (0, 1).

    Raises:
        BadInput: no open request, no training sample among theirs, or a larger share than ``max_share``.
    """
    if not forget_list.counts and parent.kind == "version":
        return
    if not forget_list.counts:
        raise BadInput(
            "there must be an open request to forget",
            received="none that is neither withdrawn, refused nor forgotten already",
            remedy="file one with `dlfd-ops request add`",
        )
    if not forget_list.rows:
        raise BadInput(
            "an open request must concern a training sample before there is anything to unlearn",
            received=f"{len(forget_list.counts)} about people that the model never trained on, "
            f"{next(iter(forget_list.counts))} first",
            remedy="close each with `dlfd-ops request refuse ID --reason never_trained_on` and remove the data",
        )
    trained = int((manifest.rows["split"] == "train").sum())
    if len(forget_list.cumulative_ids) == trained:
        raise BadInput(
            "an unlearning must leave training samples that nobody asked to forget",
            received=f"none of {trained}",
            remedy="train a new original on other people",
        )
    if len(forget_list) > max_share * trained:
        raise BadInput(
            f"one unlearning forgets at most the share {max_share} of the training samples (forget_list.max_share)",
            received=f"{len(forget_list)} of {trained}",
            remedy="train a new original without them, or raise the limit",
        )


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


class _Samples:
    """The rows of the manifest that some request names, indexed by what it names.

    The others may be a thousand times as many, and are not touched one by one.
    """

    def __init__(self, rows: pd.DataFrame, requests: Sequence[DeletionRequest], aliases: Mapping[str, str]) -> None:
        self._aliases = aliases
        subjects = {subject for request in requests if (subject := self._subject(request)) is not None}
        photos = {sample for request in requests for sample in request.sample_ids}
        named = among(rows["subject_key"], subjects) | among(rows["sample_id"], photos)
        samples, people, splits = (
            text_array(rows.loc[named, name]).to_pylist() for name in ("sample_id", "subject_key", "split")
        )
        self.split: dict[str, str] = dict(zip(samples, splits, strict=True))
        self._of_subject: dict[str | None, list[str]] = {}
        for sample, person in zip(samples, people, strict=True):
            self._of_subject.setdefault(person, []).append(sample)

    def of(self, request: DeletionRequest) -> Sequence[str]:
        if request.subject_key is None:
            return [sample for sample in request.sample_ids if sample in self.split]
        return self._of_subject.get(self._subject(request), [])

    def _subject(self, request: DeletionRequest) -> str | None:
        return None if request.subject_key is None else self._aliases.get(request.subject_key, request.subject_key)


def _rows(asked: Mapping[str, Sequence[str]]) -> tuple[ForgetRow, ...]:
    return tuple(ForgetRow(sample, tuple(sorted(ids))) for sample, ids in sorted(asked.items()))


def _check_key(request: DeletionRequest, key_id: str) -> None:
    if request.key_id != key_id:
        raise BadInput(
            "a request and the manifest must be made with the same secret key",
            received=f"{request.request_id} with key {request.key_id}, the manifest with key {key_id}",
            remedy="restore the key and run the prepare stage again (docs/requests.md, section on the key)",
        )


def _lost(
    requests: Iterable[DeletionRequest], covered: Set[str], gone: pd.DataFrame | None, aliases: Mapping[str, str]
) -> Mapping[str, int]:
    """Return how many of the photos that are gone the model still knows, by request."""
    requests = list(requests)
    if gone is None or gone.empty:
        return Counter()
    samples = _Samples(gone, requests, aliases)
    found = {request.request_id: set(samples.of(request)) for request in requests}
    forgotten = set().union(*(found[request_id] for request_id in covered & found.keys()))
    return Counter({request_id: len(lost - forgotten) for request_id, lost in found.items()})


def _matches_nothing(request: DeletionRequest, lost: int) -> BadInput:
    if lost:
        return BadInput(
            "what the model is to forget must be in the data",
            received=f"{request.request_id}: nothing of it, and the original was trained on {lost} photos of it",
            remedy="bring the photos back until they are forgotten, or train a new original (docs/registry.md)",
        )
    return BadInput(
        "a request must match at least one sample of the data",
        received=f"{request.request_id}, whose {request.kind} is not in the manifest",
        remedy="check what was asked with the person, or close it: "
        f"`dlfd-ops request refuse {request.request_id} --reason not_in_data`",
    )


def _check_rows(forget_list: ForgetList) -> None:
    for rows in (forget_list.rows, forget_list.earlier):
        if any(one.sample_id >= other.sample_id for one, other in itertools.pairwise(rows)):
            raise ValueError("rows must be sorted by sample id, each once")
    named = Counter(request for row in forget_list.rows for request in row.request_ids)
    counted = {request: count.train for request, count in forget_list.counts.items() if count.train}
    if named != counted:
        raise ValueError("every request of a row must be counted, and no photo that there is no row of")
