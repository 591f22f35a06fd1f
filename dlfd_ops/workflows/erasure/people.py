"""Whose data an erasure is about: the people and photos of the fulfilled requests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.identity import SecretKey, check_key_id
from dlfd_ops.data.manifest import Manifest, among, read_manifest
from dlfd_ops.data.subjects import read_aliases
from dlfd_ops.data.trained_on import TrainedOn
from dlfd_ops.deletion.requests import REQUESTS_FILE, DeletionRequest, read_requests
from dlfd_ops.deletion.status import request_statuses
from dlfd_ops.deletion.suppression import (
    SUPPRESSION_FILE,
    Suppressed,
    read_suppression,
    suppress_sample,
    suppress_subject,
)
from dlfd_ops.workflows.layout import Layout


@dataclass(frozen=True)
class Asked:
    """What one fulfilled request is about.

    Attributes:
        request_id: of the request.
        subject_keys: every name of the person; empty where photos were asked for alone.
        sample_ids: of the photos known so far, those that are gone included.
    """

    request_id: str
    subject_keys: frozenset[str]
    sample_ids: frozenset[str]


@dataclass(frozen=True)
class People:
    """All that the fulfilled requests are about.

    Attributes:
        asked: one entry a request, sorted.
        manifest: of the prepared data.
        merged_names: number of names that nobody asked about, and that are one person with somebody who did: in the
            data as they are, they share a photo.
    """

    asked: tuple[Asked, ...]
    manifest: Manifest
    merged_names: int

    @property
    def request_ids(self) -> tuple[str, ...]:
        """The fulfilled requests, sorted."""
        return tuple(asked.request_id for asked in self.asked)

    @property
    def subject_keys(self) -> frozenset[str]:
        """Every name of the people."""
        return frozenset().union(*(asked.subject_keys for asked in self.asked))

    @property
    def sample_ids(self) -> frozenset[str]:
        """All photos known so far."""
        return frozenset().union(*(asked.sample_ids for asked in self.asked))

    def without_others(self, sample_ids: Collection[str]) -> set[str]:
        """Return those of the photos that the data do not have under somebody else.

        Of two people who once shared a photo, older manifests have the photos of both under one name.
        """
        rows = self.manifest.only(sample_ids).rows
        return {*sample_ids}.difference(rows["sample_id"][~among(rows["subject_key"], self.subject_keys)])

    def suppressed(self, key: SecretKey) -> Iterator[Suppressed]:
        """Yield the entries that keep them from coming back; a photo's look is taken while its prepared image is."""
        images = dict(zip(self.manifest.rows["sample_id"], self.manifest.rows["path"], strict=True))
        for asked in self.asked:
            for subject_key in sorted(asked.subject_keys):
                yield suppress_subject(key.key_id, subject_key, asked.request_id)
            for sample_id in sorted(asked.sample_ids & images.keys()):
                image = self.manifest.root / images[sample_id]
                yield suppress_sample(key, sample_id, asked.request_id, image if image.exists() else None)


def find_people(layout: Layout, key: SecretKey) -> People:
    """Return whom the fulfilled requests are about, by the ledger, the intake, the manifest and the suppression list.

    Raises:
        BadInput: a file is missing or damaged, or was made with another key.
    """
    manifest = read_manifest(layout.manifest)
    check_key_id(key, manifest.info.key_id, str(layout.manifest))
    requests = read_requests(layout.root / REQUESTS_FILE)
    statuses = request_statuses(Ledger(layout.ledger).events(), requests)
    fulfilled = [request for request in requests if statuses[request.request_id].state == "fulfilled"]
    suppressed = read_suppression(layout.root / SUPPRESSION_FILE)
    names = _names(read_aliases(layout.aliases).items())
    filed = {request.subject_key for request in fulfilled if request.subject_key is not None}
    return People(
        tuple(
            sorted(
                (_asked(request, manifest, names, suppressed) for request in fulfilled),
                key=lambda asked: asked.request_id,
            )
        ),
        manifest,
        len(frozenset().union(*(names.get(subject, frozenset()) for subject in filed)) - filed),
    )


def cleared(record: TrainedOn, suppress: Sequence[Suppressed], manifest: Manifest) -> TrainedOn:
    """Return the record of what the original was trained on without the people and photos of an erasure.

    Args:
        record: as it stands.
        suppress: what the erasure puts on the suppression list.
        manifest: of the prepared data.
    """
    samples, subjects = ({one.keyed_hash for one in suppress if one.kind == kind} for kind in ("sample", "subject"))
    return record.without(samples, subjects, manifest)


def _names(aliases: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """Return every name of a merged person, by each of the names."""
    people: dict[str, set[str]] = {}
    for alias, subject in aliases:
        people.setdefault(subject, {subject}).add(alias)
    return {name: frozenset(names) for names in people.values() for name in names}


def _asked(
    request: DeletionRequest,
    manifest: Manifest,
    names: dict[str, frozenset[str]],
    suppressed: Sequence[Suppressed],
) -> Asked:
    mine = [entry for entry in suppressed if entry.request_id == request.request_id]
    known = {entry.keyed_hash for entry in mine if entry.kind == "sample"}
    if request.subject_key is None:
        return Asked(request.request_id, frozenset(), frozenset({*request.sample_ids, *known}))
    subjects = names.get(request.subject_key, frozenset({request.subject_key}))
    subjects |= {entry.keyed_hash for entry in mine if entry.kind == "subject"}
    return Asked(request.request_id, subjects, frozenset({*_samples_of(manifest, subjects), *known}))


def _samples_of(manifest: Manifest, subject_keys: Collection[str]) -> set[str]:
    rows = manifest.rows
    return set(rows.loc[rows["subject_key"].isin(list(subject_keys)), "sample_id"])
