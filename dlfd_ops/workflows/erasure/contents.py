"""Where the photos lie in DVC's stores, and what there tells about them: read first, then decided, nothing removed."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from dlfd_ops.data.identity import SecretKey
from dlfd_ops.data.removal import is_photo
from dlfd_ops.data.trained_on import TRAINED_ON
from dlfd_ops.digest import sha256_bytes
from dlfd_ops.errors import BadInput
from dlfd_ops.models.checkpoint import WEIGHTS
from dlfd_ops.storage.objects import Contents, ObjectStore

MANIFEST = "manifest.parquet"
_OWNER_COLUMNS = ["sample_id", "subject_key"]
_SAMPLE_ID_DIGITS = 64
_OID = re.compile(rb"\b[0-9a-f]{32}(?:\.dir\b)?")


@dataclass(frozen=True)
class Stores:
    """The cache and the remotes, looked into once.

    Attributes:
        contents: by store.
    """

    contents: Mapping[ObjectStore, Contents]

    @cached_property
    def listings(self) -> dict[str, dict[str, str]]:
        """Every listing in any store: object id -> path in its folder -> object id."""
        found: dict[str, dict[str, str]] = {}
        for store, contents in self.contents.items():
            for oid in contents.listings:
                if oid not in found:
                    found[oid] = store.read_listing(contents.objects[oid][0])
        return found

    def read(self, oid: str) -> bytes | None:
        """Return a content from the first store that has it, or None."""
        for store, contents in self.contents.items():
            if oid in contents.objects:
                return store.read(contents.objects[oid][0])
        return None


@dataclass(frozen=True)
class KnownModel:
    """A model that knew one of the people.

    Attributes:
        oid: object id of its weight file.
        digest: SHA-256 of that.
    """

    oid: str
    digest: str


def samples_of(stores: Stores, subject_keys: Collection[str], skip: Collection[str]) -> set[str]:
    """Return the photos that older manifests name for people: photos that were delivered once and no longer are.

    A file of that name without our columns is another project's, and names nobody of ours.

    Args:
        stores: where to look.
        subject_keys: every name of the people.
        skip: object ids that need not be read.

    Raises:
        BadInput: a manifest is damaged.
    """
    found: set[str] = set()
    for oid in sorted({entries[MANIFEST] for entries in stores.listings.values() if MANIFEST in entries} - set(skip)):
        content = stores.read(oid)
        if content is not None:
            found |= {sample for sample, subject in _owners(content, oid) if subject in subject_keys}
    return found


def _owners(content: bytes, oid: str) -> Iterator[tuple[str, str]]:
    """Yield sample and person of every row of a manifest or a record; nothing where it is another project's."""
    try:
        schema = pq.read_schema(io.BytesIO(content))
        if not all(name in schema.names and _is_text(schema.field(name).type) for name in _OWNER_COLUMNS):
            return
        rows = pq.read_table(io.BytesIO(content), columns=_OWNER_COLUMNS).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise BadInput(
            f"every {MANIFEST} and {TRAINED_ON} in the stores must be readable: it may name what is to be erased",
            received=f"a damaged one, object {oid}",
            remedy="remove that object, or restore it from another copy",
        ) from error
    yield from ((row["sample_id"], row["subject_key"]) for row in rows)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def records_of(stores: Stores, sample_ids: Collection[str], subject_keys: Collection[str]) -> dict[str, str]:
    """Return the records of what originals were trained on that name a photo or one of the people.

    Args:
        stores: where to look.
        sample_ids: the photos to erase.
        subject_keys: every name of the people.

    Returns:
        Object id of the listing -> object id of the record.

    Raises:
        BadInput: a record is damaged.
    """
    recorded = {listing: entries[TRAINED_ON] for listing, entries in stores.listings.items() if TRAINED_ON in entries}
    naming = set()
    for oid in sorted(set(recorded.values())):
        content = stores.read(oid)
        owners = _owners(content, oid) if content is not None else ()
        if any(sample in sample_ids or subject in subject_keys for sample, subject in owners):
            naming.add(oid)
    return {listing: oid for listing, oid in recorded.items() if oid in naming}


def photos_in(
    stores: Stores, key: SecretKey, sample_ids: Collection[str], known: Mapping[str, str], skip: Collection[str]
) -> dict[str, str]:
    """Return which objects are photos to erase: object id -> sample id.

    A prepared image bears its sample id as its name. A raw photo is known by its bytes: those of older listings,
    which are in the workspace no more, are read once.

    Args:
        stores: where to look.
        key: that the sample ids were made with.
        sample_ids: the photos to erase.
        known: objects that are known already.
        skip: objects that are known to stay.
    """
    found = dict(known)
    unread = set()
    for entries in stores.listings.values():
        for path, oid in entries.items():
            name = prepared_sample(path)
            if name is not None and name in sample_ids:
                found.setdefault(oid, name)
            elif name is None and is_photo(path) and oid not in known and oid not in skip:
                unread.add(oid)
    for oid in sorted(unread - found.keys()):
        content = stores.read(oid)
        if content is not None and (sample_id := key.sample_id(content)) in sample_ids:
            found[oid] = sample_id
    return found


def shared(stores: Stores, photos: Collection[str], sample_ids: Collection[str]) -> set[str]:
    """Return the objects that are at the same time the prepared image of a sample that stays."""
    return {
        oid
        for entries in stores.listings.values()
        for path, oid in entries.items()
        if oid in photos and (name := prepared_sample(path)) is not None and name not in sample_ids
    }


def naming(stores: Stores, photos: Collection[str]) -> list[str]:
    """Return the listings that name one of the photos, sorted."""
    return sorted(oid for oid, entries in stores.listings.items() if not set(photos).isdisjoint(entries.values()))


def tables_of(stores: Stores, listings: Sequence[str], stay: Collection[str]) -> set[str]:
    """Return the files, no photos themselves, that stand in these listings and in no other.

    Args:
        stores: where to look.
        listings: that go.
        stay: objects that are known to stay.
    """
    theirs = {oid for listing in listings for path, oid in stores.listings[listing].items() if not is_photo(path)}
    others = {oid for name, entries in stores.listings.items() if name not in set(listings) for oid in entries.values()}
    return theirs - others - set(stay)


def models_without(stores: Stores, safe: Collection[str], alone: Collection[str]) -> dict[str, KnownModel]:
    """Return the models whose weights are not among the safe ones, by what DVC's pointers record of them.

    That is the listing of a folder, or the weight file itself.

    Args:
        stores: where to look.
        safe: SHA-256 of the weights that may stay.
        alone: weight files that are recorded alone.
    """
    found = {oid: entries[WEIGHTS] for oid, entries in stores.listings.items() if WEIGHTS in entries}
    found |= {oid: oid for oid in alone}
    digests = {}
    for oid in sorted(set(found.values())):
        content = stores.read(oid)
        if content is not None and (digest := sha256_bytes(content)) not in safe:
            digests[oid] = digest
    return {recorded: KnownModel(oid, digests[oid]) for recorded, oid in found.items() if oid in digests}


def runs_naming(stores: Stores, oids: Collection[str]) -> Iterator[tuple[ObjectStore, str]]:
    """Yield the run-cache entries that name one of the objects: where they lie, and their path."""
    wanted = {oid.encode() for oid in oids}
    for store, contents in stores.contents.items():
        for path in contents.runs if wanted else ():
            if not wanted.isdisjoint(_OID.findall(store.read(path))):
                yield store, path


def prepared_sample(path: str) -> str | None:
    """Return the sample whose prepared image bears this name, or None for another file."""
    stem = PurePosixPath(path).stem
    return stem if len(stem) == _SAMPLE_ID_DIGITS and set(stem) <= set("0123456789abcdef") else None
